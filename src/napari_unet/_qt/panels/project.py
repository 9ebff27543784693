"""Opening images and projects, and saving a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_unet._qt.panels.list_saving import choose_where_to_save
from napari_unet._qt.panels.opening import OpenButton
from napari_unet._qt.panels.recovery import RecoveryBox
from napari_unet._qt.question import confirmed
from napari_unet.layers.image import adapter
from napari_unet.projects.description import SUFFIX, project_folder
from napari_unet.projects.names import file_name

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller


class ProjectRow(QWidget):
    """Open files, save the chosen image's project, or under another name; what was not saved before a crash."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._projects = controller, controller.projects
        self.open = OpenButton(controller)
        self.save = QPushButton("Save")
        self.more = QPushButton()
        self.more.setFixedWidth(28)
        self.more.setToolTip("Save under another name.")
        menu = QMenu(self)
        self.save_as = menu.addAction("Save as…")
        self.more.setMenu(menu)
        pair = QHBoxLayout()
        pair.setSpacing(1)
        pair.addWidget(self.save, 1)
        pair.addWidget(self.more)
        buttons = QHBoxLayout()
        buttons.addWidget(self.open, 1)
        buttons.addLayout(pair, 1)
        self.recovery = RecoveryBox(controller)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self.recovery)
        self.save.clicked.connect(self._on_save)
        self.save_as.triggered.connect(self._on_save_as)
        controller.workspace.image_changed.connect(self.refresh)
        controller.workspace.segmenting.connect(self.refresh)  # that is when there begins to be something to save
        self._projects.changed.connect(self.refresh)
        controller.work_list.moved.connect(self.refresh)
        controller.work_list.changed.connect(self.refresh)
        self._projects.missing.connect(self._on_missing)
        self.refresh()

    def refresh(self) -> None:
        """Show what can be done now."""
        keeper, listed = self._controller.list_keeper, self._controller.image_switch.shown.is_chosen
        path, idle = keeper.saved_as if listed else self._projects.path, not self._projects.busy
        there = listed or self._controller.session is not None
        self.save.setEnabled(idle and there)
        self.more.setEnabled(idle and there)
        what = "Save list" if listed else "Save"
        read_only = not listed and self._projects.read_only
        self.save.setText("Save as…" if read_only else what if path else f"{what}…")
        images = " of all images of the list" if listed else ""
        where = f" Saves to {path}." if path else ""
        where = f" {path} is open in another window, so it is saved under another name." if read_only else where
        self.save.setToolTip(
            f"Save labels, corrections and reviewed areas{images}, and models, to continue another day.{where}"
        )

    def _on_save(self) -> None:
        if self._controller.image_switch.shown.is_chosen and self._controller.list_keeper.saved_as is not None:
            self._controller.list_keeper.save()
        elif self._controller.image_switch.shown.is_chosen or self._projects.path is None or not self._projects.claim():
            self._on_save_as()
        else:
            self._projects.save()

    def _on_save_as(self) -> None:
        if self._controller.image_switch.shown.is_chosen:
            choose_where_to_save(self, self._controller)
            return
        layer = self._controller.layer
        name = file_name(str(layer.name)) if layer is not None else "project"
        start = str(Path(self._start_folder()) / f"{name}{SUFFIX}")
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the project", start, f"Projects (*{SUFFIX})")
        if chosen and self._may_replace(project_folder(Path(chosen))):
            self._projects.save(Path(chosen))

    def _may_replace(self, folder: Path) -> bool:
        """Return whether a project may be written there; ask where another one is: the dialog asks for whole names."""
        if not folder.exists() or folder == self._projects.path:
            return True
        there, lost = f"{folder.name} is there already.", "Replacing it deletes its corrections and models."
        return confirmed(self, "Save the project", there, lost, "Replace")

    def _on_missing(self, path: Path, was: str) -> None:
        """Ask where the image of a project is now."""
        title, start = "Where is the image now?", str(path.parent)
        if Path(was).suffix.lower() == ".zarr":
            chosen = QFileDialog.getExistingDirectory(self, title, start)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, title, start)
        if chosen:
            self._projects.open(path, Path(chosen))

    def _start_folder(self) -> str:
        """Return the folder that a dialog begins in: that of the project, or of the image."""
        layer = self._controller.layer
        near = self._projects.path or (adapter.source_of(layer) if layer is not None else None)
        return str(near.parent) if near is not None else str(Path.home())
