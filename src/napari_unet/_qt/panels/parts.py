"""What the panels have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QWidget
from superqt.utils import signals_blocked

if TYPE_CHECKING:
    from qtpy.QtWidgets import QComboBox


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
