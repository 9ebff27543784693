"""Where the user looks, and what is therefore done first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.task import Unit

if TYPE_CHECKING:
    from napari_unet.axes import Image
    from napari_unet.inference import Place
    from napari_unet.layers.session import LayerSession
    from napari_unet.models.model import Model


class View:
    """What is looked at, handed from the main thread to the worker.

    Parameters
    ----------
    session : LayerSession
        Of the image that is looked at.

    Notes
    -----
    It follows the camera and the sliders until it is closed; the worker asks before every tile.
    """

    def __init__(self, session: LayerSession) -> None:
        self._session = session
        self._place: Place | None = None
        viewer = session.viewer
        self._emitters = [viewer.camera.events.center, viewer.camera.events.zoom, viewer.dims.events.current_step]
        for emitter in self._emitters:
            emitter.connect(self.update)
        self.update()

    def update(self, event: Any = None) -> None:
        """Take note of camera and sliders (main thread)."""
        if self._session.alive():
            self._place = (*self._session.place, *self._session.middle)

    def place(self) -> Place | None:
        """Return what is looked at (worker)."""
        return self._place

    def close(self) -> None:
        """Follow no longer (main thread)."""
        for emitter in self._emitters:
            emitter.disconnect(self.update)


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
