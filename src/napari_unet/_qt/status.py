"""The status line at the bottom of the dock: what happened and what to do, and details on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QPalette, QTextLayout, QTextOption
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_unet.layers.workspace import Level, Message

LINES = 2
"""Lines of the sentence: there is always room for so many, so that nothing moves when the sentence changes."""
MAX_DETAILS_LINES = 6
"""Lines of details that are seen at once; more are scrolled."""
_COLOURS = {"done": ("#6abf69", "#2e7d32"), "warning": ("#ffca28", "#8a5a00"), "error": ("#ff8a65", "#c62828")}
"""Of the sentence, on a dark and on a light theme."""
_MARGIN = 8
_NO_PADDING = "padding: 0px; margin: 0px;"
"""Napari's theme gives labels some, which would take from the room of the text."""


class StatusLine(QWidget):
    """A sentence on two lines at most, and what is behind *Details*.

    A sentence that is longer than that ends in "…", and stands in the details as a whole.
    """

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = self._details = ""
        self._level: Level = "info"
        self.label = _label()
        self.label.setAlignment(Qt.AlignmentFlag.AlignTop)
        # As wide as the dock is, whatever the sentence: else a long word would widen it.
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.more = QToolButton()
        self.more.setText("Details")
        self.more.setToolTip("Numbers and reasons.")
        self.more.setCheckable(True)
        self.more.setAutoRaise(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.details = _label()
        self.details.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.fold = QScrollArea()
        self.fold.setWidgetResizable(True)
        self.fold.setFrameShape(QFrame.Shape.NoFrame)
        self.fold.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.fold.setWidget(self.details)
        keeps_room = self.more.sizePolicy()
        keeps_room.setRetainSizeWhenHidden(True)
        self.more.setSizePolicy(keeps_room)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(_MARGIN, 4, _MARGIN, 4)
        layout.setSpacing(0)
        layout.addWidget(self.label)
        layout.addWidget(self.more)
        layout.addWidget(self.fold)
        self.more.toggled.connect(lambda _: self._refresh())
        self._say(text, "")

    def text(self) -> str:
        """Return the sentence as a whole."""
        return self._text

    def show_message(self, message: Message) -> None:
        """Say something else; its details are folded."""
        self._level = message.level
        colour_as(self.label, message.level)
        self._say(message.text, message.details)

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Break the sentence in the font that it has now."""
        super().showEvent(event)
        self._refresh()

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Take the colours of another theme."""
        if event.type() == QEvent.Type.StyleChange:
            colour_as(self.label, self._level)
        super().changeEvent(event)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Break the sentence anew."""
        super().resizeEvent(event)
        self._refresh()

    def _say(self, text: str, details: str) -> None:
        self._text, self._details = text, details
        self.more.setChecked(False)
        self._refresh()

    def _refresh(self) -> None:
        """Show as much of the sentence as there is room for, and the details if they are wanted."""
        room = self.width() - 2 * _MARGIN - 2  # rounding
        self.label.ensurePolished()  # by then it has the font of napari's theme
        self.label.setFixedHeight(LINES * self.label.fontMetrics().lineSpacing() + 2)
        shown = _elided(self.label, self._text, room)
        whole = "" if shown == self._text else self._text
        self.label.setText(shown)
        self.details.setText("\n".join(part for part in (whole, self._details) if part))
        self.more.setVisible(bool(self.details.text()))
        opened = self.more.isChecked() and bool(self.details.text())
        self.more.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        high = self.details.heightForWidth(max(1, room - self.fold.verticalScrollBar().sizeHint().width()))
        self.fold.setFixedHeight(min(high, MAX_DETAILS_LINES * self.details.fontMetrics().lineSpacing()) + 2)
        self.fold.setVisible(opened)


def colour_as(label: QLabel, level: Level) -> None:
    """Give a sentence the colour of its kind, in the theme that the window has."""
    around = label.parentWidget() or label  # its own text may be coloured already
    light = around.palette().color(QPalette.ColorRole.WindowText).lightness() < 128
    colour = _COLOURS[level][light] if level in _COLOURS else ""
    style = f"{_NO_PADDING} color: {colour};" if colour else _NO_PADDING
    if style != label.styleSheet():  # Qt takes milliseconds for it each time
        label.setStyleSheet(style)


def _label() -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setStyleSheet(_NO_PADDING)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _elided(label: QLabel, text: str, width: int) -> str:
    """Return a text as it is if it fits into `LINES` lines of a width in pixels, else the beginning of it."""
    if width <= 0:
        return text
    layout = QTextLayout(text, label.font())
    layout.setTextOption(QTextOption())  # breaks at words
    layout.beginLayout()
    ends = []
    while (line := layout.createLine()).isValid():
        line.setLineWidth(width)
        ends.append((line.textStart(), line.textStart() + line.textLength()))
    layout.endLayout()
    if len(ends) <= LINES:
        return text
    start = ends[LINES - 1][0]
    last = label.fontMetrics().elidedText(text[start:], Qt.TextElideMode.ElideRight, width)
    return f"{text[:start]}{last}"
