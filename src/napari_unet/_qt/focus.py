"""For whoever works by keyboard: an outline around what has the focus, and Tab in the order in which things are seen.

napari's theme draws no focus. A border by a style sheet would have to be matched to the padding of each kind of widget,
and with those that have a style of their own it would move their text; a frame over the widget moves nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QPainter, QPalette, QPen
from qtpy.QtWidgets import QApplication, QFormLayout, QGridLayout, QScrollArea, QTabBar, QTabWidget, QWidget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtWidgets import QLayout, QLayoutItem

WIDTH, RADIUS = 2, 3
"""Of the outline, and of its corners, pixels of the screen."""

_FOLLOWED = {QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide, QEvent.Type.Paint}
_OURS = __name__.rpartition(".")[0]


def outline_focus() -> None:
    """Outline what has the focus from now on, in all windows of this program; once is enough."""
    app = QApplication.instance()
    if app is not None and app.findChild(FocusOutline) is None:
        FocusOutline(app)


class FocusOutline(QObject):
    """Outlines the widget of this plugin that has the focus, unless the mouse gave it that.

    Parameters
    ----------
    app : QApplication
    """

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._frame: _Frame | None = None
        app.focusChanged.connect(self._on_focus)

    def _on_focus(self, _: QWidget | None, now: QWidget | None) -> None:
        frame, self._frame = self._frame, None
        if frame is not None and isalive(frame):
            frame.hide()
            frame.deleteLater()
        if QApplication.mouseButtons() == Qt.MouseButton.NoButton and now is not None and _is_ours(now):
            self._frame = _Frame(now)


class _Frame(QWidget):
    """A frame over a widget, which lets the mouse through; it lies beside it, so it is scrolled and cut off with it."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget.parentWidget())
        self._widget = widget
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        widget.installEventFilter(self)
        self._follow()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Go where the widget goes."""
        if event.type() in _FOLLOWED:
            self._follow()
        elif event.type() == QEvent.Type.ParentChange:
            self.hide()
        return False

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the outline in the colour of the text, which each theme sets off from the background."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.WindowText), WIDTH))
        inset = WIDTH / 2
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(inset, inset, -inset, -inset), RADIUS, RADIUS)
        painter.end()

    def _follow(self) -> None:
        widget, where = self._widget, self._widget.geometry()
        if isinstance(widget, QTabBar):
            where = widget.tabRect(widget.currentIndex()).translated(widget.pos())
        if where != self.geometry():
            self.setGeometry(where)
        shown = widget.isVisible() and widget.parentWidget() is self.parentWidget()
        if shown != self.isVisible():
            self.setVisible(shown)
            self.raise_()


def _is_ours(widget: QWidget) -> bool:
    """Whether a widget is a part of this plugin's panel, lists or dialogs; what a combo box unfolds is none."""
    if widget.isWindow() or widget.window().windowType() == Qt.WindowType.Popup:
        return False
    part: Any = widget
    while part is not None:
        if type(part).__module__.startswith(_OURS):
            return True
        part = part.parent()
    return False


def in_visual_order(whole: QWidget) -> None:
    """Have Tab go from top to bottom and from left to right, whichever part was made first."""
    for one, other in pairwise(_focusable(whole)):
        QWidget.setTabOrder(one, other)


def _focusable(widget: QWidget) -> Iterator[QWidget]:
    """Yield the parts of a widget that Tab stops at, as they are seen."""
    if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield widget
    if isinstance(widget, QTabWidget):
        yield widget.tabBar()
        for index in range(widget.count()):
            yield from _focusable(widget.widget(index))
    elif isinstance(widget, QScrollArea):
        if widget.widget() is not None:
            yield from _focusable(widget.widget())
    elif widget.layout() is not None:
        yield from _in_layout(widget.layout())


def _in_layout(layout: QLayout) -> Iterator[QWidget]:
    for item in _items(layout):
        if item.widget() is not None:
            yield from _focusable(item.widget())
        elif item.layout() is not None:
            yield from _in_layout(item.layout())


def _items(layout: QLayout) -> Iterator[QLayoutItem]:
    """Yield the items of a layout, row by row; Qt numbers them as they were added."""
    if isinstance(layout, QFormLayout):
        roles = (QFormLayout.ItemRole.LabelRole, QFormLayout.ItemRole.FieldRole)
        found = [layout.itemAt(row, role) for row in range(layout.rowCount()) for role in roles]
        yield from (item for item in found if item is not None)
        return
    order = list(range(layout.count()))
    if isinstance(layout, QGridLayout):
        order.sort(key=lambda index: layout.getItemPosition(index)[:2])
    yield from (layout.itemAt(index) for index in order)
