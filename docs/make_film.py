"""Make the film in the README: objects of the sample images merged, split, added, and walked through.

make screenshots

The scenes are those of the strip of pictures (`make_strip`), made in a real window with a mouse that is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from make_strip import GESTURES, WIDE, Scenes
from PIL import Image
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPainter, QPolygon

from napari_unet._qt.window import live_until
from napari_unet_benchmarks.proofreading_paths import dense

if TYPE_CHECKING:
    from collections.abc import Sequence

FILM = Path(__file__).parent / "images" / "gestures.gif"

WIDTH, HEIGHT, TITLE = 640, 400, 30
"""Of a frame, and of the line above the picture, pixels."""

MAX_BYTES = 1_500_000

COLOURS = 96
"""Of each frame: fewer make a smaller file."""

MOVE, HOLD = 70, 1300
"""Milliseconds that a frame is shown while the mouse moves, and where there is something to see."""

_ARROW = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12))


class Film(Scenes):
    """Takes frames of what a hand does in a window."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[QImage] = []
        self.times: list[int] = []

    def take(self, title: str, middle: Any, time: int, mouse: tuple[float, float] | None = None) -> None:
        """Take a frame: what is about a position, a title, and an arrow where the mouse is."""
        picture = self.picture(middle, (WIDTH, HEIGHT), marks=mouse is None)
        frame = QImage(WIDTH, HEIGHT + TITLE, QImage.Format.Format_RGB32)
        frame.fill(QColor("#262930"))
        painter = QPainter(frame)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont("DejaVu Sans")
        font.setPixelSize(16)
        painter.setFont(font)
        painter.setPen(QColor("white"))
        painter.drawText(QRect(12, 0, WIDTH - 24, TITLE), Qt.AlignmentFlag.AlignVCenter, title)
        painter.drawImage(0, TITLE, picture)
        if mouse is not None:
            at = self.hand.at(*mouse) - self.hand.at(*middle) + QPoint(WIDTH // 2, HEIGHT // 2 + TITLE)
            painter.setPen(QColor("black"))
            painter.setBrush(QColor("white"))
            painter.drawPolygon(QPolygon([at + QPoint(x, y) for x, y in _ARROW]))
        painter.end()
        self.frames.append(frame)
        self.times.append(time)

    def gesture_in(self, title: str, modifiers: Any, middle: tuple[float, float], path: Any) -> None:
        """Make a gesture, with frames from before its beginning to after its end."""
        self.look(middle, HEIGHT / WIDE)
        points = dense(np.array(path, float), 8)
        start = points[0] + np.array([6.0, 9.0])
        for share in (0.0, 0.5, 1.0):
            place = start + share * (points[0] - start)
            self.hand.point_at(*place, modifiers=modifiers)
            self.take(title, middle, MOVE if share else HOLD, tuple(place))
        self.hand.press(*points[0], modifiers=modifiers)
        live_until(lambda: False, 0.1)
        for place in points[1:]:
            self.hand.move(*place, modifiers=modifiers)
            live_until(lambda: False, 0.06)
            self.take(title, middle, MOVE, tuple(place))
        self.take(title, middle, 300, tuple(points[-1]))
        self.hand.release(*points[-1], modifiers=modifiers)
        live_until(lambda: False, 0.6)
        self.take(title, middle, HOLD, tuple(points[-1]))

    def walk_in(self) -> None:
        """Go through three suspects."""
        for key, title in (
            (Qt.Key.Key_N, "N"),
            (Qt.Key.Key_A, "A accepts, next"),
            (Qt.Key.Key_A, "A accepts, next"),
        ):
            self.hand.key(key)
            live_until(lambda: False, 1.5)
            low, high = self.hand.corners
            reason = self.widget.controller.walk.reason
            self.take(f"{title}: {reason}", (low + high) / 2, HOLD)


def save(frames: Sequence[QImage], times: Sequence[int], path: Path) -> int:
    """Write a GIF that repeats; return its size in bytes."""
    pictures = [_as_image(frame).quantize(COLOURS, dither=Image.Dither.NONE) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=list(times), loop=0, optimize=True)
    return path.stat().st_size


def _as_image(frame: QImage) -> Image.Image:
    frame = frame.convertToFormat(QImage.Format.Format_RGB888)
    pixels = np.frombuffer(frame.constBits().asstring(frame.sizeInBytes()), np.uint8)
    rows = pixels.reshape(frame.height(), frame.bytesPerLine())[:, : 3 * frame.width()]
    return Image.fromarray(rows.reshape(frame.height(), frame.width(), 3).copy())


def main() -> None:
    """Make it."""
    film = Film()
    try:
        for title, sample, modifiers, middle, path in GESTURES:
            film.show(sample)
            film.gesture_in(title, modifiers, middle, path)
        film.walk_in()
    finally:
        film.close()
    size = save(film.frames, film.times, FILM)
    assert size <= MAX_BYTES, f"{size} bytes are too many for a README"
    print(f"{FILM}: {len(film.frames)} frames, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
