"""Between worker and window: what is in view, and results in pieces that can be painted at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.inference.task import Subimage
from napari_unet.layers.image.geometry import camera_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.inference.steps import SubimageDone, TileDone
    from napari_unet.inference.tile_runner import Position
    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.models.model import Model
    from napari_unet.progress import Progress


class FollowedView:
    """What is in view, handed from the main thread to the worker.

    Parameters
    ----------
    session : LayerSession
        Of the image that is in view.

    Notes
    -----
    It follows the camera and the sliders until it is closed; the worker asks before every tile.
    """

    def __init__(self, session: LayerSession) -> None:
        self._session = session
        self._position: Position | None = None
        viewer = session.viewer
        camera = camera_of(viewer).events
        self._emitters = [camera.center, camera.zoom, viewer.dims.events.current_step]
        for emitter in self._emitters:
            emitter.connect(self.update)
        self.update()

    def update(self, event: Any = None) -> None:
        """Take note of camera and sliders (main thread)."""
        if self._session.alive():
            self._position = (*self._session.plane, *self._session.middle)

    def position(self) -> Position | None:
        """Return the time point, the slice and the pixel (Y, X) in the middle of the view (worker)."""
        return self._position

    def close(self) -> None:
        """Follow no longer (main thread)."""
        for emitter in self._emitters:
            emitter.disconnect(self.update)


def ordered_subimages(image: Image, model: Model, frame: int, z: int, *, whole: bool) -> list[Subimage]:
    """Return the planes or volumes to segment: the one in view first, then by their distance to it.

    Parameters
    ----------
    image, model
        A 2D model does planes, a 3D one volumes.
    frame, z : int
        Time point and slice in view.
    whole : bool
        All of them, or the one in view only.
    """
    frames = range(image.n_frames) if whole else [frame]
    if model.info.spec.ndim == 3:
        return [Subimage(t, None) for t in sorted(frames, key=lambda t: abs(t - frame))]
    depth = range(image.size("Z")) if whole else [z]
    return [
        Subimage(t, d)
        for t in sorted(frames, key=lambda t: abs(t - frame))
        for d in sorted(depth, key=lambda d: abs(d - z))
    ]


MAX_PIECE_PIXELS = 2**17
"""Most pixels that are painted at a time: the window takes no longer for it than a hand notices."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A part of a result, small enough to be painted between two moves of the mouse.

    Attributes
    ----------
    frame : int
        Time point.
    region : tuple of slice
        Where, (Z, Y, X).
    labels : ndarray of int32, axes (Z, Y, X)
        Ids from 1, which mean the same in all pieces of one result.
    known : dict
        Shared by the pieces of one result: which of its ids became which. The main thread's.
    progress : Progress
    """

    frame: int
    region: Region
    labels: NDArray[np.int32]
    known: dict[int, int]
    progress: Progress


def pieces(event: TileDone | SubimageDone) -> Iterator[Piece]:
    """Cut a result into pieces of whole rows, and of whole slices where these are small (worker)."""
    labels, known = event.labels, dict[int, int]()
    depth, height, width = labels.shape
    corner = tuple(part.start for part in event.region)
    slices = max(1, MAX_PIECE_PIXELS // (height * width))
    rows = height if slices > 1 else max(1, MAX_PIECE_PIXELS // width)
    for z in range(0, depth, slices):
        for y in range(0, height, rows):
            part = labels[z : z + slices, y : y + rows]
            region = tuple(slice(a + b, a + b + n) for a, b, n in zip(corner, (z, y, 0), part.shape, strict=True))
            yield Piece(event.subimage.frame, (region[0], region[1], region[2]), part, known, event.progress)
