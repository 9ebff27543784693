"""How results are shown: as outlines or filled, and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget
from superqt.utils import signals_blocked

from napari_unet._qt.panels.parts import objects_table_button

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller


class SeeingRow(QWidget):
    """A box for outlines, and a button for the table.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._appearance, self._keys = controller.appearance, controller.workspace.keys
        self.outlines = QCheckBox()
        self.outlines.setToolTip("Show objects as outlines, with the image in them; else filled.")
        self.table = objects_table_button(controller)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.outlines)
        layout.addStretch(1)
        layout.addWidget(self.table)
        self.outlines.clicked.connect(lambda: self._appearance.toggle())
        self._appearance.changed.connect(self.refresh)
        controller.workspace.image_changed.connect(self.refresh)
        controller.workspace.segmenting.connect(self._on_segmenting)
        self._keys.changed.connect(self.refresh)
        self.refresh()

    def _on_segmenting(self, running: bool) -> None:
        if not running:
            self._appearance.part_neighbours()

    def refresh(self) -> None:
        """Show how the chosen image's objects are shown."""
        self.outlines.setText(self._keys.beside("Outlines", "toggle_outlines"))
        with signals_blocked(self.outlines):
            self.outlines.setChecked(self._appearance.outlined)
