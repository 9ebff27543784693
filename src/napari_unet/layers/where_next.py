"""Goes to where a correction is worth most."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_unet.corrections.reviewing import looked_at
from napari_unet.errors import UNetError
from napari_unet.guidance.expected_cost import Suspicion
from napari_unet.guidance.ranking import CELL, MAX_SUGGESTIONS
from napari_unet.layers import adapter, canvas

if TYPE_CHECKING:
    from napari_unet.guidance.where_next import Suggestion
    from napari_unet.layers.controller import Controller

CLOSE = 512
"""Most pixels across that are shown of a place: of more, nobody sees which one is meant."""

_SUSPICIONS = {
    Suspicion.UNSURE: "The network is unsure",
    Suspicion.MERGED: "Several objects may be one",
    Suspicion.SPLIT: "One object may be in pieces",
    Suspicion.MISSED: "An object may be missed",
}


class Guide:
    """Moves sliders and camera of the controller's viewer to the next place.

    Parameters
    ----------
    controller : Controller
        Whose image it is, and whose signals tell of what happens.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def look_next(self) -> None:
        """Go to the place where a correction is worth most, and say why."""
        desk = self._controller
        session = desk.session
        if session is None or not session.alive() or not session.attention.anything:
            desk.say("There is nothing to look at yet. Press Segment first, and let it finish a slice.", "error")
            return
        if desk.viewer.dims.ndisplay == 3:
            desk.say("Switch to the 2D view to be shown where to look next.", "error")
            return
        try:
            canvas.check_on_canvas(
                desk.viewer, session.layer, session.image, "be shown where to look next", sliders=False
            )
            settled = partial(looked_at, session.corrections, session.labels, width=CELL)
        except UNetError as error:
            desk.say(str(error), "error")
            return
        place = session.attention.next_suggestion(session.place, settled)
        if place is None:
            desk.say("The network is sure of everything that you have not looked at yet.", "done")
            return
        wide = max(part.stop - part.start for part in session.field)
        if wide > CLOSE:
            adapter.camera_of(desk.viewer).zoom *= wide / CLOSE
        adapter.look_at(desk.viewer, session.layer, session.image, (place.frame, place.z, place.y, place.x))
        desk.say(_why(place))


def _why(place: Suggestion) -> str:
    """Return what to tell the user of a place."""
    again = "All places were shown; it begins anew. " if place.again else ""
    what = f"{again}{_SUSPICIONS[place.what]} in the middle of the view"
    if not place.left:
        return f"{what}. This is the last place."
    number = f"{MAX_SUGGESTIONS} or more places" if place.left >= MAX_SUGGESTIONS - 1 else f"{place.left} more place"
    plural = "s" if 1 < place.left < MAX_SUGGESTIONS - 1 else ""
    return f"{what}; {number}{plural} after this one."
