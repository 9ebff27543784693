"""Whether the objects of the chosen image can be walked through, and what to do where they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.layers.image import canvas

if TYPE_CHECKING:
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace

_PURPOSE = "walk through the objects"


def walkable(workspace: Workspace) -> LayerSession:
    """Return the chosen session if its objects are on the canvas.

    Raises
    ------
    UNetError
        If they are not; the sentence says what to do.
    """
    session, viewer = workspace.session, workspace.viewer
    if session is None or not session.alive():
        raise UNetError("Nothing is segmented yet. Press Segment first.")
    if not session.corrections.instances:
        key = workspace.keys.named("review_view")
        raise UNetError(f"These labels are classes, not objects. {key} marks what is in view as reviewed.")
    canvas.check_flat(viewer, _PURPOSE)
    canvas.check_on_canvas(viewer, session.geometry, _PURPOSE, sliders=False)
    if not session.labels_layer.visible:
        raise UNetError("The objects are hidden. Show their layer to walk through them.")
    session.geometry.canonical_labels(session.labels_layer.data)  # says so if they do not fit the image any more
    return session
