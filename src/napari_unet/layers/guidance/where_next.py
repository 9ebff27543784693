"""Goes to where a correction is worth most."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_unet.corrections.reviewing import checked_squares
from napari_unet.errors import UNetError
from napari_unet.guidance.expected_cost import Suspicion
from napari_unet.guidance.ranking import CELL, MAX_SUGGESTIONS
from napari_unet.layers.image import canvas
from napari_unet.layers.image.geometry import camera_of

if TYPE_CHECKING:
    from napari_unet.guidance.where_next import Suggestion
    from napari_unet.layers.workspace import Workspace

MAX_PIXELS_ACROSS = 512
"""Most pixels across that are shown around a position: of more, nobody sees which one is meant."""

_PURPOSE = "go to the next place"

_SUSPICIONS = {
    Suspicion.UNSURE: "The result may be wrong",
    Suspicion.MERGED: "Several objects may be one",
    Suspicion.SPLIT: "One object may be in pieces",
    Suspicion.MISSED: "An object may be missed",
}


class WhereNext:
    """Moves sliders and camera to the next position.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def go(self) -> None:
        """Go to the position where a correction is worth most, and say why."""
        workspace = self._workspace
        session = workspace.session
        if session is None or not session.alive() or not session.attention.anything:
            workspace.say("Nothing is segmented yet. Press Segment and let it finish a slice.", "error")
            return
        try:
            canvas.check_flat(workspace.viewer, _PURPOSE)
            canvas.check_on_canvas(workspace.viewer, session.geometry, _PURPOSE, sliders=False)
            settled = partial(checked_squares, session.corrections, session.labels, width=CELL)
        except UNetError as error:
            workspace.say_error(error)
            return
        suggestion = session.attention.next_suggestion(session.plane, settled)
        if suggestion is None:
            workspace.say("No place is left that is likely to be wrong.", "done")
            return
        wide = max(part.stop - part.start for part in session.field)
        if wide > MAX_PIXELS_ACROSS:
            camera_of(workspace.viewer).zoom *= wide / MAX_PIXELS_ACROSS
        session.geometry.move_view_to(workspace.viewer, (suggestion.frame, suggestion.z, suggestion.y, suggestion.x))
        workspace.say(_why(suggestion))


def _why(suggestion: Suggestion) -> str:
    """Return what to tell the user of a position."""
    again = "All places were shown; starting again. " if suggestion.again else ""
    what = f"{again}{_SUSPICIONS[suggestion.what]} in the middle of the view."
    if not suggestion.left:
        return f"{what} This is the last place."
    number = (
        f"{MAX_SUGGESTIONS} or more places"
        if suggestion.left >= MAX_SUGGESTIONS - 1
        else f"{suggestion.left} more place"
    )
    plural = "s" if 1 < suggestion.left < MAX_SUGGESTIONS - 1 else ""
    return f"{what} {number}{plural} after this one."
