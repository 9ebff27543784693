"""How the labels of results look: in which colours, and as outlines or filled."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.image import canvas
from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.jobs import PresentJob, ignore
from napari_unet.layers.session.object_colours import COLOURS, NAME, object_colours
from napari_unet.objects.colouring import neighbour_pairs, recoloured

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable

    from napari.utils.colormaps import CyclicLabelColormap
    from numpy.typing import NDArray

    from napari_unet.layers.jobs import Job, Runner
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace

MAX_NUMBERS = 65_534
"""Objects that can have a colour of their own choice in napari; of more, several share one."""

MAX_OUTLINED_PIXELS = 2**22
"""Pixels of a plane up to which results are outlined at first: napari finds all outlines anew at each undo and slice,
which takes it about 0.03 s for a million pixels, while the window waits."""

WIDTH, MAX_WIDTH = 2.0, 3
"""Pixels of the screen that an outline is wide, as near as may be; pixels of the image that it is wide at most."""

OUTLINE_OPACITY, FILL_OPACITY = 1.0, 0.7
"""Unless the user has chosen another one; 0.7 is napari's own."""


class Appearance:
    """Gives the labels layers of results their colours, and shows them as outlines or filled.

    Parameters
    ----------
    workspace : Workspace
    runner : Runner
        Where colours are found.

    Notes
    -----
    Objects are outlined, so that the image is seen in them, unless a plane is so large that this takes long. Classes
    are filled, and so is what is painted for an untrained model, where one looks at what is painted. What the user
    chooses holds for all results.
    """

    changed = Signal()  # whether the chosen image's objects are outlined

    def __init__(self, workspace: Workspace, runner: Runner) -> None:
        self._workspace = workspace
        self._chosen: bool | None = None
        self._job = PresentJob(runner)
        self._colours: dict[Hashable, NDArray[np.uint8]] = {}  # number in `COLOURS`, by id
        workspace.session_opened.connect(self._on_opened)
        workspace.session_closing.connect(self._on_closing)
        camera_of(workspace.viewer).events.zoom.connect(self._on_zoom)
        # In 3D napari fills what is outlined, which is right, and warns each time, which nobody can do anything about.
        warnings.filterwarnings("ignore", message="Contours are not displayed during 3D rendering")

    @property
    def outlined(self) -> bool:
        """Whether the labels of the chosen image are shown as outlines."""
        session = self._workspace.session
        return session is not None and bool(session.labels_layer.contour)

    def toggle(self) -> None:
        """Show outlines instead of fill, or the other way round."""
        workspace = self._workspace
        if workspace.session is None or not workspace.session.alive():
            workspace.say("There are no objects to outline yet. Press Segment first.", "error")
            return
        try:
            canvas.check_flat(workspace.viewer, "show outlines")
        except UNetError as error:
            workspace.say_error(error)
            return
        self._chosen = not self.outlined
        for session in workspace.sessions:
            _outline(session, self._chosen)
        self.changed.emit()
        workspace.say("Outlines. Q fills them." if self._chosen else "Filled. Q shows outlines.")

    def close(self) -> None:
        """Follow nothing any more; layers stay as they are."""
        camera_of(self._workspace.viewer).events.zoom.disconnect(self._on_zoom)
        self._job.stop()

    def _on_opened(self, session: LayerSession) -> None:
        if session.labels_layer.colormap.name != NAME:  # a layer that was there before
            _colour(session.labels_layer, object_colours())
        _outline(session, self._by_default(session) if self._chosen is None else self._chosen)
        self.changed.emit()

    def _on_closing(self, session: LayerSession) -> None:
        self._colours.pop(session.key, None)

    def _on_zoom(self, event: Any = None) -> None:
        """Keep outlines as wide on the screen, where that does not take long."""
        session = self._workspace.session
        if session is not None and session.alive() and session.labels_layer.contour and _is_quick(session):
            _outline(session, True)

    def _by_default(self, session: LayerSession) -> bool:
        model = self._workspace.model
        untrained = model is not None and model.info.is_untrained
        return session.corrections.instances and not untrained and _is_quick(session)

    def part_neighbours(self) -> None:
        """Give neighbours in the chosen image different colours, in the background."""
        session = self._workspace.session
        if session is None or not session.alive() or not session.corrections.instances or session.is_large:
            return
        try:
            layer, labels = session.labels_layer, session.labels
        except UNetError:  # another array that does not fit: that is told to whoever wants something of it
            return
        before = self._colours.get(session.key, np.zeros(0, np.uint8))
        job = self._job.begin("Colour objects")

        def done(colours: NDArray[np.uint8] | None) -> None:
            if colours is not None and session.alive():
                self._colours[session.key] = colours
                _colour(layer, object_colours(colours))

        # Colours are no result: where they cannot be found, those that there are stay.
        self._job.run(job, partial(_colouring, labels, before, job), done, ignore)


def _colouring(
    labels: NDArray[Any], before: NDArray[np.uint8], job: Job
) -> Generator[None, None, NDArray[np.uint8] | None]:
    """Find the colour of each object (worker); None: those that there are will do, or it was cancelled.

    Labels, (T, Z, Y, X), are read while they may change: then a pair of neighbours may have the same colour.
    """
    most = min(MAX_NUMBERS, max(len(before), len(COLOURS), int(labels.max(initial=0))))
    colours = (np.arange(most) % len(COLOURS)).astype(np.uint8)
    colours[: len(before)] = before
    pairs = [np.zeros((0, 2), np.int64)]
    for volume in labels:
        pairs.append(neighbour_pairs(volume, most))
        yield
        if job.cancel.cancelled:
            return None
    found = recoloured(colours, np.unique(np.concatenate(pairs), axis=0), len(COLOURS))
    return None if len(before) == most and np.array_equal(found, before) else found


def _colour(layer: Any, colours: CyclicLabelColormap) -> None:
    with layer.events.selected_label.blocker():  # it comes with new colours too, and nobody has selected anything
        layer.colormap = colours


def _is_quick(session: LayerSession) -> bool:
    height, width = session.corrections.shape[2:]
    return height * width <= MAX_OUTLINED_PIXELS


def _outline(session: LayerSession, outlined: bool) -> None:
    layer = session.labels_layer
    width = line_width(session) if outlined else 0
    if layer.contour != width:
        layer.contour = width
    before, after = (FILL_OPACITY, OUTLINE_OPACITY) if outlined else (OUTLINE_OPACITY, FILL_OPACITY)
    if layer.opacity == before:
        layer.opacity = after


def line_width(session: LayerSession) -> int:
    """Return the width of outlines, in pixels of the image: by how many pixels of the screen one of these takes."""
    zoom = camera_of(session.viewer).zoom * float(np.min(np.abs(session.labels_layer.scale[-2:])))
    return int(np.clip(round(WIDTH / zoom), 1, MAX_WIDTH)) if zoom > 0 else 1
