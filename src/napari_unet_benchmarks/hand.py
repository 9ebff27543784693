"""A real window that is painted in with the mouse, as by a hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable


LEFT, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
NO_KEY = Qt.KeyboardModifier.NoModifier


class Hand:
    """Sends mouse events to the canvas of a viewer, at positions (Y, X) of the world.

    The keys that are held meanwhile are `modifiers`, and the button that is meant is `button`.
    """

    def __init__(self, viewer: Any) -> None:
        self._canvas = viewer.window._qt_viewer.canvas

    @property
    def native(self) -> Any:
        """The widget that gets the events."""
        return self._canvas.native

    @property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """The positions of two corners of the canvas."""
        low, high = (np.asarray(corner, float)[-2:] for corner in self._canvas._viewbox_corners_in_world)
        return low, high

    def at(self, y: float, x: float) -> QPoint:
        """Return where on the canvas a position is."""
        low, high = self.corners
        size = self.native.size()
        share = (np.array([y, x]) - low) / (high - low)
        return QPoint(round(share[1] * size.width()), round(share[0] * size.height()))

    def point_at(self, y: float, x: float, modifiers: Any = NO_KEY) -> None:
        """Move without a button."""
        self.send(QEvent.Type.MouseMove, y, x, NO_BUTTON, NO_BUTTON, modifiers)

    def press(self, y: float, x: float, button: Any = LEFT, modifiers: Any = NO_KEY) -> None:
        """Go there, and press a button."""
        self.point_at(y, x, modifiers)
        self.send(QEvent.Type.MouseButtonPress, y, x, button, button, modifiers)

    def move(self, y: float, x: float, button: Any = LEFT, modifiers: Any = NO_KEY) -> None:
        """Move with the button down."""
        self.send(QEvent.Type.MouseMove, y, x, NO_BUTTON, button, modifiers)

    def release(self, y: float, x: float, button: Any = LEFT, modifiers: Any = NO_KEY) -> None:
        """Let go of it."""
        self.send(QEvent.Type.MouseButtonRelease, y, x, button, NO_BUTTON, modifiers)

    def key(self, key: Any, modifiers: Any = NO_KEY) -> None:
        """Press a key, and let go of it."""
        QTest.keyClick(self.native, key, modifiers)

    def wait_until_drawn(self) -> None:
        """Wait until the canvas has been drawn, once, with all that has changed."""
        drawn: list[object] = []
        canvas = self._canvas._scene_canvas
        canvas.events.draw.connect(drawn.append, position="last")
        canvas.update()
        while not drawn:
            QApplication.processEvents()
        canvas.events.draw.disconnect(drawn.append)

    def send(self, kind: QEvent.Type, y: float, x: float, button: Any, held: Any, modifiers: Any) -> None:
        """Send an event right away, with the button that changes, and the buttons and keys that are held."""
        where = QPointF(self.at(y, x))
        event = QMouseEvent(kind, where, self.native.mapToGlobal(where), button, held, modifiers)
        QApplication.sendEvent(self.native, event)


def strokes(
    viewer: Any,
    layer: Any,
    seconds: float,
    wait: Callable[[float], object],
    tell: Callable[[int, tuple[int, int]], object],
) -> None:
    """Paint stroke after stroke in the middle of the view, none over another; `tell` gets label and pixel of each move.

    A stroke takes half a second to three, and there is as much again between two of them.
    """
    hand, end, label = Hand(viewer), time.perf_counter() + seconds, int(np.asarray(layer.data).max()) + 1
    scale = np.asarray(layer.scale)[-2:]
    low, high = (corner / scale for corner in hand.corners)
    size, middle = np.abs(high - low), (low + high) / 2
    shape = np.array(layer.data.shape[-2:])
    low, high = np.maximum(middle - 0.3 * size, 2), np.minimum(middle + 0.3 * size, shape - 3)
    lines, moves = 40, 30
    step = (high - low) / (lines, moves)
    layer.brush_size = max(1, float(step[0]) * 0.5)
    layer.mode = "paint"
    rng = np.random.default_rng()
    while time.perf_counter() < end:
        for line in range(lines):
            layer.selected_label = label
            y, pause = low[0] + line * step[0], rng.uniform(0.5, 3.0) / moves
            hand.press(y * scale[0], low[1] * scale[1])
            for move in range(1, moves):
                x = low[1] + move * step[1]
                hand.move(y * scale[0], x * scale[1])
                pixel = round(float(y)), round(float(x))
                if int(layer.data[(*(0,) * (layer.data.ndim - 2), *pixel)]) == label:
                    tell(label, pixel)
                wait(pause)
                if time.perf_counter() >= end:
                    break
            hand.release(y * scale[0], x * scale[1])
            label += 1
            wait(rng.uniform(0.1, 1.5))
            if time.perf_counter() >= end:
                return
