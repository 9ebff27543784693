"""A tour of the first minute: a few bubbles beside the panel, shown once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QEvent, QObject, QPoint, Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet.models.store import data_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


WIDTH = 260
"""Of a bubble, pixels."""
GAP = 10
"""Between a bubble and what it is about, pixels."""


_STYLE = "QFrame#tour{background:#1f5f99;border-radius:6px}QFrame#tour QLabel{color:white;background:transparent}"
"""White on blue is seen well on napari's dark theme and on its light one."""


class Stop(NamedTuple):
    """One bubble of the tour: the tab that is in front, what it is about, and what it says."""

    tab: str
    target: Callable[[Any], QWidget]
    text: str


STOPS = (
    Stop("Segment", lambda panel: panel.image_panel, "Open an image or a folder here, or drop it on the panel."),
    Stop(
        "Segment", lambda panel: panel.segment_panel.button, "Segment finds the objects. What is in view comes first."
    ),
    Stop(
        "Correct",
        lambda panel: panel.correct_panel.tools,
        "Correct on the image: Shift + drag merges, Ctrl + drag splits, Shift + click adds. ? shows all.",
    ),
    Stop(
        "Learn",
        lambda panel: panel.learn_panel.button,
        "Learn teaches the network what you corrected. Go on meanwhile.",
    ),
)


def seen() -> bool:
    """Return whether the tour was shown to this person."""
    return _note().exists()


def note_seen() -> None:
    """Note that the tour was shown, so that it does not come again; where that cannot be written, it does."""
    with suppress(OSError):
        _note().parent.mkdir(parents=True, exist_ok=True)
        _note().touch()


def _note() -> Path:
    return data_folder() / "tour-seen"


class Tour(QFrame):
    """One bubble at a time beside what it is about; *Next* goes on, *Close* or Esc ends it.

    Parameters
    ----------
    panel : UNetWidget
        Docked; the bubbles lie in its window.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__(panel.window())
        self._panel, self._number = panel, 0
        self._tab_before = panel.tabs.currentIndex()
        self.setObjectName("tour")
        self.setStyleSheet(_STYLE)
        self.setFixedWidth(WIDTH)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.where = QLabel()
        self.next = QPushButton("Next")
        self.leave = QPushButton("Close")
        self.next.clicked.connect(self._on_next)
        self.leave.clicked.connect(self.end)
        below = QHBoxLayout()
        below.addWidget(self.where, 1)
        below.addWidget(self.leave)
        below.addWidget(self.next)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addLayout(below)
        panel.window().installEventFilter(self)
        self._show()

    def end(self) -> None:
        """Show no further bubble, and the tab that was in front before."""
        with suppress(RuntimeError):  # the window is gone, and this with it
            tabs = self._panel.tabs
            if tabs.tabText(tabs.currentIndex()) == STOPS[min(self._number, len(STOPS) - 1)].tab:
                tabs.setCurrentIndex(self._tab_before)
            self.hide()
            self.deleteLater()

    def eventFilter(self, watched: QObject, event: Any) -> bool:  # noqa: N802 - Qt's name
        """Stay beside the panel when the window gets another size."""
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """End with Esc."""
        if event.key() == Qt.Key.Key_Escape:
            self.end()
        else:
            super().keyPressEvent(event)

    def _on_next(self) -> None:
        self._number += 1
        if self._number < len(STOPS):
            self._show()
        else:
            self.end()

    def _show(self) -> None:
        stop = STOPS[self._number]
        self._panel.show_tab(stop.tab)
        self.text.setText(stop.text)
        self.where.setText(f"{self._number + 1} of {len(STOPS)}")
        self.next.setText("Next" if self._number + 1 < len(STOPS) else "Done")
        self.adjustSize()
        self._place()
        self.show()
        self.raise_()

    def _place(self) -> None:
        """Lie beside what the bubble is about, where there is more room, and within the window."""
        window, target = self._panel.window(), STOPS[self._number].target(self._panel)
        corner = target.mapTo(window, QPoint(0, 0))
        left, right = corner.x() - GAP - self.width(), corner.x() + target.width() + GAP
        x = left if left >= 0 else min(right, window.width() - self.width())
        y = min(max(0, corner.y()), max(0, window.height() - self.height()))
        self.move(max(0, x), y)
