"""Small pictures of the images of the list, made in the background when they come into view."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPixmap

from napari_unet.errors import UNetError
from napari_unet.io.thumbnails import thumbnail
from napari_unet.layers.jobs import Job, Runner

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH = 44
"""Pixels of the longer side."""

MAX_KEPT = 2000
"""Pictures in memory, at most: of 6 kB each."""

MAX_WAITING = 60
"""Pictures that wait to be made, at most: of what was scrolled past long ago none is needed."""


class Thumbnails(QObject):
    """Keeps pictures, and has those made that are asked for: what was asked for last comes first.

    Parameters
    ----------
    runner : Runner
    """

    made = Signal(object)  # the key of an image whose picture is there

    def __init__(self, runner: Runner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._kept: OrderedDict[Any, QIcon | None] = OrderedDict()  # None: it cannot be read
        self._waiting: OrderedDict[Any, tuple[Path, int | None]] = OrderedDict()
        self._job: Job | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(30)
        self._soon.timeout.connect(self._begin)

    def of(self, key: Any, path: Path, series: int | None) -> QIcon | None:
        """Return the picture of an image; None: it is not made yet, or cannot be."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self._waiting[key] = path, series
        self._waiting.move_to_end(key)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)
        if self._job is None and not self._soon.isActive():
            self._soon.start()
        return None

    def close(self) -> None:
        """Make no more."""
        self._soon.stop()
        self._waiting.clear()
        if self._job is not None:
            self._job.cancel.cancel()

    def _begin(self) -> None:
        """Make those that wait now; others join."""
        if self._job is not None or not self._waiting:
            return
        job = self._job = Job("Thumbnails")

        def steps() -> Generator[tuple[Any, NDArray[Any] | None], None, None]:
            while self._waiting and not job.cancel.cancelled:
                try:
                    key, (path, series) = self._waiting.popitem()
                except KeyError:  # the window has just let go of them
                    return
                try:
                    yield key, thumbnail(path, series, WIDTH)
                except (UNetError, OSError, ValueError):  # it is told when it is opened
                    yield key, None

        def ended(_: object) -> None:
            self._job = None
            if self._waiting and not job.cancel.cancelled:
                self._soon.start()

        self._runner.start(job, steps, self._keep, ended, ended)

    def _keep(self, found: tuple[Any, NDArray[Any] | None]) -> None:
        key, pixels = found
        self._kept[key] = None if pixels is None else _icon(pixels)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        self.made.emit(key)


def as_icon(pixmap: QPixmap, selected: QPixmap | None = None) -> QIcon:
    """Return a picture that is drawn as it is, or as `selected` where it is selected: Qt would tint it there."""
    icon = QIcon()
    icon.addPixmap(selected or pixmap, QIcon.Mode.Selected)
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Disabled):
        icon.addPixmap(pixmap, mode)
    return icon


def _icon(pixels: NDArray[Any]) -> QIcon:
    height, width, _ = pixels.shape
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    square = QPixmap(WIDTH, WIDTH)  # so that names begin at one place, whatever the shapes of the images
    square.fill(QColor("black"))
    painter = QPainter(square)
    painter.drawImage((WIDTH - width) // 2, (WIDTH - height) // 2, image)
    painter.end()
    return as_icon(square)
