"""Shows a stop of the walk: the view goes there, and the object is outlined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.layers.display.suspect_outline import SuspectOutline
from napari_unet.layers.guidance.stops import middle_of, pixels_of
from napari_unet.layers.image import canvas
from napari_unet.layers.image.geometry import camera_of

if TYPE_CHECKING:
    from napari_unet.guidance.walk import Stop
    from napari_unet.layers.session.session import LayerSession

AROUND = (4.0, 12.0)
"""How many times as wide as the object the view is, at least and at most; else the zoom changes to `GOOD_AROUND`."""

GOOD_AROUND = 7.0

MIN_ACROSS = 120
"""Pixels that the view is wide at least: of fewer, nobody sees what is around a small object."""

LINE_SHARE = 1 / 250
"""Width of the outline, as a share of the view."""


class StopView:
    """Moves the view to a stop, and draws a line around what it is about.

    Parameters
    ----------
    viewer : napari.Viewer

    Attributes
    ----------
    shown : bool
        Whether a stop is outlined.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer, self._outline = viewer, SuspectOutline(viewer)
        self.shown = False

    def show(self, session: LayerSession, stop: Stop) -> None:
        """Move the view there, zoom if the object is far too small or too large in it, and outline the object."""
        viewer, geometry = self._viewer, session.geometry
        wide = max(part.stop - part.start for part in stop.box)
        geometry.move_view_to(viewer, (*stop.plane, *middle_of(stop)))
        across = canvas.pixels_across(viewer, geometry)
        if not AROUND[0] * wide <= across <= max(AROUND[1] * wide, MIN_ACROSS):
            camera_of(viewer).zoom *= across / max(GOOD_AROUND * wide, MIN_ACROSS)
            across = canvas.pixels_across(viewer, geometry)
        line = max(1, round(LINE_SHARE * across))
        region, mask = pixels_of(session, stop, margin=3 * line + 2)
        self._outline.show(session, stop.plane[0], region, mask, line)
        self.shown = True

    def hide(self) -> None:
        """Outline nothing any more."""
        self._outline.hide()
        self.shown = False

    def remove(self) -> None:
        """Take the layer of the outline away."""
        self._outline.remove()


def is_in_view(session: LayerSession, stop: Stop) -> bool:
    """Return whether the middle of a stop is on the canvas."""
    y, x = middle_of(stop)
    rows, columns = session.field
    return session.plane == stop.plane and rows.start <= y < rows.stop and columns.start <= x < columns.stop
