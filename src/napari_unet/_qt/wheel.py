"""The wheel scrolls the panel, and sets nothing that the pointer happens to be over."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget


def keep_from_wheel(whole: QWidget) -> None:
    """Have the wheel set nothing in a widget, but a slider or a number that was clicked or tabbed to."""
    filter_ = _WheelFilter(whole)
    for kind in (QComboBox, QAbstractSpinBox, QAbstractSlider):
        for widget in whole.findChildren(kind):
            if not isinstance(widget, QScrollBar):
                if widget.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                widget.installEventFilter(filter_)


class _WheelFilter(QObject):
    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Hand the wheel on to what lies around a widget."""
        if event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus() and not isinstance(watched, QComboBox):
            return False
        event.ignore()
        return True
