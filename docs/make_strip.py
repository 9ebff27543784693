"""Make the strip of pictures in the README: objects of the sample images, before and after a gesture.

make screenshots
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPoint, QRect, QSize, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPainter

from napari_unet._qt.window import close_window, live_until, open_window
from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.samples import histology, nuclei_2d
from napari_unet_benchmarks.hand import Hand
from napari_unet_benchmarks.proofreading_paths import dense

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STRIP = Path(__file__).parent / "images" / "gestures.png"

SIDE, GAP, TITLE = 240, 6, 26
"""Width of a picture, the space between two, and the height of the line above them, pixels."""

WIDE = 56.0
"""Pixels of the image along the side of a picture."""

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
NONE = Qt.KeyboardModifier.NoModifier

MISSING = (165, 278)
"""A pale nucleus of the sample that is deleted before the pictures: the model misses none of its nuclei."""

GESTURES: tuple[tuple[str, Callable[[], Any], Any, tuple[float, float], Sequence[tuple[float, float]]], ...] = (
    ("Merge: Shift + drag", nuclei_2d, SHIFT, (153, 316), [(158, 306), (146, 323)]),
    ("Split: Ctrl + drag", histology, CONTROL, (28, 120), [(4, 128), (16, 120), (28, 113)]),
    ("Add: Shift + click", histology, SHIFT, MISSING, [MISSING]),
)


class Scenes:
    """A window with a sample image, segmented, of which pictures are taken."""

    def __init__(self) -> None:
        self._viewer, self.widget = open_window()
        self.widget.controller.walk.goes_on = False
        self.hand = Hand(self._viewer)
        self._sample: Callable[[], Any] | None = None

    def close(self) -> None:
        """Close the window."""
        close_window(self._viewer, self.widget, 60)

    def show(self, sample: Callable[[], Any]) -> None:
        """Open a sample, in pixels, and segment it."""
        if sample is self._sample:
            return
        self._viewer.layers.clear()
        data, kwargs, _ = sample()[0]
        image = self._viewer.add_image(np.asarray(data), name=kwargs["name"], rgb=kwargs.get("rgb", False))
        if not image.rgb:
            image.contrast_limits, image.gamma = (0, float(np.percentile(image.data, 99.8))), 0.6
        self._viewer.layers.selection.active = image
        self.widget.controller.choose_model("nuclei")
        self.widget.controller.segment()
        live_until(lambda: not self.widget.controller.busy, 600)
        live_until(lambda: False, 0.5)
        self._viewer.layers.selection.active = self.widget.controller.session.labels_layer
        if sample is histology:
            self.widget.controller.gestures.make("delete", [MISSING])
        self._sample = sample

    def look(self, middle: tuple[float, float], zoom: float) -> None:
        """Move the view."""
        camera_of(self._viewer).center = (0, *middle)
        camera_of(self._viewer).zoom = zoom
        live_until(lambda: False, 0.3)

    def picture(self, middle: Any, size: tuple[int, int] = (SIDE, SIDE), *, marks: bool = False) -> QImage:
        """Return what is on the canvas about a position, with what is drawn over it, so many pixels wide and high."""
        window = self._viewer.window._qt_window
        for layer in list(self._viewer.layers)[2:]:
            layer.visible = marks  # those of what is corrected would hide the objects
        at = self.hand.native.mapTo(window, self.hand.at(*middle))
        half = QPoint(size[0] // 2, size[1] // 2)
        self.hand.wait_until_drawn()
        return window.grab().toImage().copy(QRect(at - half, QSize(*size)))


class Strip(Scenes):
    """Takes pictures before and after what a hand does."""

    def gesture(self, modifiers: Any, middle: tuple[float, float], path: Any) -> tuple[QImage, QImage]:
        """Make a gesture; return the picture before it ends, and the one after."""
        self.look(middle, SIDE / WIDE)
        points = dense(np.array(path, float), 8)
        self.hand.press(*points[0], modifiers=modifiers)
        live_until(lambda: False, 0.1)
        for place in points[1:]:
            self.hand.move(*place, modifiers=modifiers)
            live_until(lambda: False, 0.06)
        before = self.picture(middle)
        if len(points) == 1:
            self._dot(before, middle, points[0])
        self.hand.release(*points[-1], modifiers=modifiers)
        live_until(lambda: False, 0.6)
        return before, self.picture(middle)

    def walk(self) -> tuple[QImage, QImage]:
        """Go to the second suspect; return the picture, and the one after it was accepted."""
        self._step(Qt.Key.Key_N)
        return self._step(Qt.Key.Key_N), self._step(Qt.Key.Key_A)

    def _step(self, key: Any) -> QImage:
        self.hand.key(key)
        live_until(lambda: False, 1.5)
        low, high = self.hand.corners
        return self.picture((low + high) / 2, marks=True)

    def _dot(self, picture: QImage, middle: tuple[float, float], place: Any) -> None:
        """Draw where a click goes."""
        at = self.hand.at(*place) - self.hand.at(*middle) + QPoint(SIDE // 2, SIDE // 2)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor("black"))
        painter.setBrush(QColor("white"))
        painter.drawEllipse(at, 5, 5)
        painter.end()


def put_together(columns: Sequence[tuple[str, QImage, QImage]]) -> QImage:
    """Return one picture: a title, and two pictures below each other, for each column."""
    strip = QImage(len(columns) * (SIDE + GAP) - GAP, TITLE + 2 * SIDE + GAP, QImage.Format.Format_RGB32)
    strip.fill(QColor("white"))
    painter = QPainter(strip)
    font = QFont("DejaVu Sans")
    font.setPixelSize(15)
    painter.setFont(font)
    for number, (title, before, after) in enumerate(columns):
        left = number * (SIDE + GAP)
        painter.drawText(QRect(left, 0, SIDE, TITLE), Qt.AlignmentFlag.AlignCenter, title)
        painter.drawImage(left, TITLE, before)
        painter.drawImage(left, TITLE + SIDE + GAP, after)
    painter.end()
    return strip


def main() -> None:
    """Make it."""
    film, columns = Strip(), []
    try:
        for title, sample, modifiers, middle, path in GESTURES:
            film.show(sample)
            columns.append((title, *film.gesture(modifiers, middle, path)))
        columns.append(("Walk: N; A accepts", *film.walk()))
    finally:
        film.close()
    put_together(columns).save(str(STRIP))


if __name__ == "__main__":
    main()
