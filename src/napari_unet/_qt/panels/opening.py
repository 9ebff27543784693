"""The door for files: a button, and what is dropped on the panel."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.history import get_open_history, update_open_history
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from napari_unet.io.readers import SUFFIXES
from napari_unet.layers.reader import as_project
from napari_unet.projects.description import FILE, SUFFIX
from napari_unet.projects.work_list import SUFFIX as LIST
from napari_unet.projects.work_list import is_work_list

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller

IMAGES = f"Images and projects ({' '.join(f'*{suffix}' for suffix in SUFFIXES if suffix != '.zarr')} {FILE})"
"""Filter of the dialog that chooses files; folders are chosen in another one."""


class OpenButton(QPushButton):
    """Opens images, which then have their axes, pixel size and channels, and projects."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Open…", parent)
        self._controller = controller
        self.setToolTip(
            "Open images, with their axes, pixel size and channels, or a saved project. You can also drop them here."
        )
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.files = menu.addAction("Images…")
        self.files.setToolTip("One or several files. Each becomes a layer, or one layer for each channel.")
        self.folder = menu.addAction("Folder: images, OME-Zarr or project…")
        self.folder.setToolTip("A folder or plate of images becomes a list. Or an OME-Zarr folder, or what was saved.")
        self.setMenu(menu)
        self.files.triggered.connect(self._on_files)
        self.folder.triggered.connect(self._on_folder)
        controller.opener.changed.connect(self.refresh)
        controller.projects.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show whether something can be opened now."""
        self.setEnabled(not self._controller.opener.busy and not self._controller.projects.busy)

    def _on_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Open images", get_open_history()[0], f"{IMAGES};;All files (*)")
        self._open(chosen)

    def _on_folder(self) -> None:
        title = f"Open a folder of images, an OME-Zarr folder, or what was saved ({SUFFIX}, {LIST})"
        chosen = QFileDialog.getExistingDirectory(self, title, get_open_history()[0])
        self._open([chosen] if chosen else [])

    def _open(self, paths: list[str]) -> None:
        if paths:
            update_open_history(paths[0])  # napari's own: its dialogs and these begin in the same folder
            self._controller.open(paths)


def files_of(event: Any) -> list[Path]:
    """Return the files and folders of this computer that are dragged or dropped by an event."""
    mime = event.mimeData()
    urls = mime.urls() if mime is not None else []
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]


def accept_files(event: Any) -> None:
    """Say that files and folders can be dropped here."""
    if event.mimeData().hasUrls():
        event.acceptProposedAction()


def dropped_files(event: Any, controller: Controller) -> list[Path]:
    """Take a drop, and return its files and folders; if there are none, say what can be dropped."""
    paths = files_of(event)
    event.acceptProposedAction()
    if not paths:
        controller.say("Only files and folders on this computer can be dropped here.", "error")
    return paths


class ProjectDrops(QObject):
    """Takes projects that are dropped on napari's canvas: to napari they are folders in which it can read nothing.

    Parameters
    ----------
    controller : Controller
        Opens them.
    window : QWidget
        Of whose canvas, and of what lies on it while it is empty; all else that is dropped there is napari's.
    """

    def __init__(self, controller: Controller, window: QWidget) -> None:
        super().__init__(window)
        self._controller = controller
        middle = window.centralWidget() if hasattr(window, "centralWidget") else None
        inside = [middle, *middle.findChildren(QWidget)] if middle is not None else []
        self._watched = [widget for widget in inside if widget.acceptDrops()]
        for widget in self._watched:
            widget.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """Open what is dropped if it is all projects; else let it pass."""
        if event.type() != QEvent.Type.Drop:
            return False
        paths = files_of(event)
        try:
            ours = bool(paths) and all(as_project(path) or is_work_list(path) for path in paths)
        except OSError:  # a folder that may not be looked into
            ours = False
        if not ours:
            return False
        event.acceptProposedAction()
        self._controller.open(paths)
        return True

    def release(self) -> None:
        """Let go of the canvas."""
        with contextlib.suppress(RuntimeError):  # where the window is closed, Qt has let go of them already
            for widget in self._watched:
                widget.removeEventFilter(self)
            self.deleteLater()
        self._watched.clear()
