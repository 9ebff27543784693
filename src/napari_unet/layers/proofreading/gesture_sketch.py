"""What is drawn over the canvas while a gesture is under way: the way of the mouse, and objects that it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.layers.image import canvas
from napari_unet.layers.proofreading.object_parts import window_around
from napari_unet.objects.boxes import box_around
from napari_unet.objects.contours import plane_contours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession

MAX_OUTLINED = 512
"""Pixels to each side of the mouse in which an object is outlined: the hand must not wait for a large one."""

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Sketch:
    """Lines and dots in one plane, as pixels (y, x) of the image.

    Attributes
    ----------
    path : tuple of point
        The way of the mouse.
    width : float
        Of the brush along it, pixels; 0: a line only.
    closed : bool
        Whether the path is an outline, whose end is joined to its beginning.
    dots : tuple of point
        Where somebody has clicked.
    outlines : tuple of ndarray, axes (n, 2)
        Rings around objects that the gesture is about.
    suggested : bool
        Whether the outlines are those of objects that are not there yet.
    """

    path: Points = ()
    width: float = 0.0
    closed: bool = False
    dots: Points = ()
    outlines: tuple[NDArray[np.float64], ...] = field(default=(), compare=False)
    suggested: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (self.path or self.dots or self.outlines)


def on_canvas(session: LayerSession, points: Any, size: tuple[float, float]) -> NDArray[np.float64]:
    """Return where on a canvas pixels of the image (n, 2) lie, as (n, 2): y and x from its upper left corner.

    Parameters
    ----------
    session : LayerSession
    points : array-like, axes (n, 2)
        y, x.
    size : tuple of float
        Height and width of the canvas, in pixels of the screen.
    """
    geometry, viewer = session.geometry, session.viewer
    return canvas.pixels_on_canvas(viewer, geometry, np.reshape(np.asarray(points, float), (-1, 2)), size)


def outline_of(session: LayerSession, plane: Plane, label: int, point: Sequence[float]) -> list[NDArray[np.float64]]:
    """Return rings (n, 2), pixels y and x, around the part of an object that is near a point (y, x) of a plane."""
    labels = session.labels[plane]
    window = window_around(point, MAX_OUTLINED, labels.shape)
    return rings(labels[window] == label, (window[0].start, window[1].start))


def rings(mask: NDArray[np.bool_], corner: tuple[int, int]) -> list[NDArray[np.float64]]:
    """Return rings (n, 2), pixels y and x, around the pixels of a mask whose corner is a pixel of the image."""
    found = box_around(mask)
    if found is None:
        return []
    start = np.array([s.start + c for s, c in zip(found, corner, strict=True)]) - 0.5  # the corner of a pixel
    return [
        ring + start for _, parts in plane_contours(mask[found].astype(np.uint8)) for part in parts for ring in part
    ]
