"""Where the user looks, and what is therefore done first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.pipeline import Unit

if TYPE_CHECKING:
    from napari_unet.axes import Image
    from napari_unet.layers.session import LayerSession
    from napari_unet.models.model import Model


class View:
    """The middle of the view, handed from the main thread to the worker.

    Parameters
    ----------
    session : LayerSession
        Of the image that is looked at.
    """

    def __init__(self, session: LayerSession) -> None:
        self._session = session
        self._place: tuple[float, float] | None = None
        self.update()

    def update(self) -> None:
        """Take note of the camera (main thread)."""
        y, x = self._session.field
        self._place = ((y.start + y.stop) / 2, (x.start + x.stop) / 2)

    def place(self) -> tuple[float, float] | None:
        """Return the (Y, X) pixel in the middle of the view (worker)."""
        return self._place


def order_units(image: Image, model: Model, frame: int, z: int, *, whole: bool) -> list[Unit]:
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
        return [Unit(t, None) for t in sorted(frames, key=lambda t: abs(t - frame))]
    depth = range(image.size("Z")) if whole else [z]
    return [
        Unit(t, d)
        for t in sorted(frames, key=lambda t: abs(t - frame))
        for d in sorted(depth, key=lambda d: abs(d - z))
    ]
