"""Reviewed: the user says that a field, a slice or an object is right as it is; and what class 0 says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from napari_unet.corrections.reviewing import toggle_field, toggle_object
from napari_unet.errors import UNetError
from napari_unet.layers.image import canvas
from napari_unet.limits import check_choice

if TYPE_CHECKING:
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace

Reviewed = Literal["view", "slice", "object"]
"""What is marked: the field in view, all of the slice, or the object under the cursor."""

_EVERYWHERE = (slice(None), slice(None))
_PURPOSE = "mark a field as reviewed"


class Reviewer:
    """Marks what the user has checked in the session of the chosen image.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def toggle(self, what: Reviewed = "view") -> None:
        """Mark something as reviewed, or take that back where all of it was."""
        workspace = self._workspace
        session = workspace.session
        if session is None or not session.alive():
            workspace.say("There is nothing to review yet. Press Segment first.", "error")
            return
        try:
            canvas.check_flat(workspace.viewer, _PURPOSE)
            check_choice(what, get_args(Reviewed), "What is reviewed")
            now = self._toggle(session, what)
            session.note_reviewed(in_view=what == "view")
            summary = session.rescan(everything=False)
        except UNetError as error:
            workspace.say_error(error)
            return
        workspace.corrected.emit(summary)
        named = {
            "view": "everything in view",
            "slice": "all of this slice",
            "object": "this object" if session.corrections.instances else "this patch",
        }
        workspace.say(f"Reviewed: {named[what]} counts as right." if now else "No longer reviewed.")

    @property
    def zero_is_background(self) -> bool | None:
        """Whether class 0 says that there is nothing, or that a pixel is not labelled; None for objects."""
        session = self._workspace.session
        return None if session is None or session.corrections.instances else session.corrections.zero_is_background

    @zero_is_background.setter
    def zero_is_background(self, value: bool) -> None:
        session = self._workspace.session
        if session is not None:
            session.corrections.zero_is_background = value

    @staticmethod
    def _toggle(session: LayerSession, what: Reviewed) -> bool:
        if not session.labels_layer.visible:
            raise UNetError(f"The labels are hidden. Show them to {_PURPOSE}.")
        plane, field, where = session.in_view(_PURPOSE)
        if what == "object":
            pixel = session.geometry.pixel_under_cursor(session.viewer)
            if pixel is None:
                raise UNetError("There is no object under the cursor. Point at one and press the key again.")
            return toggle_object(session.corrections, session.labels, plane, pixel)
        if what == "slice":
            return toggle_field(session.corrections, plane, _EVERYWHERE)
        return toggle_field(session.corrections, plane, field, where)
