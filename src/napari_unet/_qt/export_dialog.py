"""What is exported, of which images, and where to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, Container, FileEdit, RadioButtons
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QGroupBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_unet._qt.question import confirmed
from napari_unet.errors import UNetError
from napari_unet.layers.measuring.exporter import Request
from napari_unet.measuring.kinds import Kind

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.layers.lists.list_results import ListResults
    from napari_unet.layers.measuring.exporter import Exporter, Extent

GROUPS: dict[str, dict[Kind, tuple[str, str]]] = {
    "Numbers": {
        Kind.measurements: ("Table of measurements (CSV)", "One table of all objects, and one with a row an image."),
    },
    "Outlines": {
        Kind.geojson: ("GeoJSON, for QuPath", "With all measurements; drop it on the image in QuPath."),
        Kind.rois: ("ImageJ ROIs (zip)", "Drop it on ImageJ or Fiji: the ROI Manager opens."),
        Kind.coco: ("COCO JSON", "For training other programs."),
    },
    "Labels": {
        Kind.imagej_tiff: ("TIFF, for ImageJ", "OME-TIFF where ImageJ cannot hold it."),
        Kind.ome_tiff: ("OME-TIFF", "With axes and pixel size."),
        Kind.ome_zarr: ("OME-Zarr", "A folder of its own."),
        Kind.own_zarr: (
            "Into the image's own Zarr",
            "Under labels/, where viewers look. The image stays as it is.",
        ),
    },
    "Pictures": {
        Kind.png: (
            "PNG, for a slide",
            "What slice is in view, outlines, and a scale bar if the pixel size is known.",
        ),
        Kind.svg: ("SVG, to edit", "The same, with outlines that Inkscape and Illustrator can edit."),
    },
}


class ExportDialog(QDialog):
    """Asks what to export.

    Parameters
    ----------
    controller : Controller
    extent : Extent
        Of which images is proposed.
    """

    def __init__(self, controller: Controller, extent: Extent = "this", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export results")
        self._controller = controller
        exporter, list_results = controller.exporter, controller.list_results
        self.boxes: dict[Kind, Any] = {}
        columns = QHBoxLayout()
        left, right = QVBoxLayout(), QVBoxLayout()
        for number, (title, kinds) in enumerate(GROUPS.items()):
            group = QGroupBox(title)
            inside = QVBoxLayout(group)
            for kind, (text, tip) in kinds.items():
                box = CheckBox(text=text, value=kind in exporter.kinds, tooltip=tip)
                self.boxes[kind] = box
                inside.addWidget(box.native)
            (left if number % 2 == 0 else right).addWidget(group)
        for column in (left, right):
            column.addStretch(1)
            columns.addLayout(column)
        own = self.boxes[Kind.own_zarr]
        own.enabled = exporter.in_zarr
        own.value = own.value and exporter.in_zarr
        choices = self._choices()
        self.extent = RadioButtons(label="Images", choices=choices, visible=len(choices) > 1)
        offered = [value for _, value in choices]
        self.extent.value = extent if extent in offered else offered[0]
        self.folder = FileEdit(
            label="Folder",
            mode=FileDialogMode.EXISTING_DIRECTORY,
            value=exporter.start_folder() or list_results.start_folder() or Path.home() / "results",
        )
        form = Container(widgets=[self.extent, self.folder], labels=True)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        buttons = QDialogButtonBox()
        self.go = buttons.addButton("Export", QDialogButtonBox.ButtonRole.AcceptRole)
        self.cancel = buttons.addButton("Cancel", QDialogButtonBox.ButtonRole.RejectRole)
        layout = QVBoxLayout(self)
        layout.addLayout(columns)
        layout.addWidget(form.native)
        layout.addWidget(self.problem)
        layout.addWidget(buttons)
        buttons.accepted.connect(self._on_export)
        buttons.rejected.connect(self.reject)
        for box in self.boxes.values():
            box.changed.connect(self._on_choice)
        self._form = form
        self._on_choice()

    @property
    def request(self) -> Request:
        """What is asked for."""
        kinds = tuple(kind for kind, box in self.boxes.items() if box.value)
        return Request(kinds, Path(str(self.folder.value)), self.extent.value)

    def _choices(self) -> list[tuple[str, Extent]]:
        """Return of which images results can be exported.

        Raises
        ------
        UNetError
            If none is segmented.
        """
        listed, opened = len(self._controller.list_results.indices), len(self._controller.sessions)
        choices: list[tuple[str, Extent]] = []
        if self._controller.session is not None:
            choices.append(("This image", "this"))
        if listed:
            choices.append((f"All {listed} of the list that are segmented", "list"))
        if opened > 1:
            choices.append((f"All {opened} that are open and segmented", "all"))
        if not choices:
            self._controller.exporter.sessions("this")  # says what to do
        return choices

    @property
    def _writer(self) -> Exporter | ListResults:
        return self._controller.list_results if self.extent.value == "list" else self._controller.exporter

    def _on_choice(self) -> None:
        self.go.setEnabled(any(box.value for box in self.boxes.values()))

    def _on_export(self) -> None:
        """Ask about files that are there, and begin."""
        request = self.request
        try:
            there = self._writer.existing(request)
        except (UNetError, OSError) as error:
            self.problem.setText(str(error))
            return
        if there and not self._may_replace(there):
            return
        self._controller.exporter.kinds = request.kinds
        if self._writer.export(request, overwrite=bool(there)):
            self.accept()

    def _may_replace(self, there: list[Path]) -> bool:
        """Ask whether files may be replaced."""
        text = (
            f"{there[0].name} is there already. Replace it?"
            if len(there) == 1
            else f"{len(there)} of these files are there already. Replace them?"
        )
        names = [path.name for path in there]
        more = "\n".join(names[:8]) + (f"\nand {len(names) - 8} more" if len(names) > 8 else "")
        return confirmed(self, "Replace?", text, more, "Replace")
