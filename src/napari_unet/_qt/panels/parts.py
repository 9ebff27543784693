"""What the panels have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget
from superqt.utils import signals_blocked

if TYPE_CHECKING:
    from qtpy.QtWidgets import QComboBox

    from napari_unet.layers.controller import Controller


def count(number: int, what: str) -> str:
    """Return "1 pixel", "2 pixels"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def fill(box: QComboBox, texts: list[str], current: int) -> None:
    """Set the entries of a combo box without telling anybody."""
    with signals_blocked(box):
        box.clear()
        box.addItems(texts)
        for index, text in enumerate(texts):
            box.setItemData(index, text, Qt.ItemDataRole.ToolTipRole)
        if texts:
            box.setCurrentIndex(current)


def row(*widgets: tuple[QWidget, int]) -> QWidget:
    """Return widgets side by side, each with its share of the space."""
    whole = QWidget()
    layout = QHBoxLayout(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget, stretch in widgets:
        layout.addWidget(widget, stretch)
    return whole


def objects_table_button(controller: Controller) -> QPushButton:
    """Return a button that shows the list of all objects."""
    button = QPushButton("Objects table")
    button.setToolTip("List all objects: sort, filter, go from one to the next, correct several at once.")
    button.clicked.connect(lambda: controller.object_table.wanted.emit())
    return button
