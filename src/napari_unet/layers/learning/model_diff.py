"""What a new model makes different in view: a layer that shows it, and the way to keep or refuse it part by part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.inference.steps import SubimageDone, segment_steps
from napari_unet.inference.task import Subimage, make_task
from napari_unet.layers.display.appearance import line_width
from napari_unet.layers.display.drawn_layer import DrawnLayer
from napari_unet.layers.session.visibility import ChosenVisibility
from napari_unet.objects import differences
from napari_unet.objects.boxes import relative
from napari_unet.objects.stitch import match_ids, renumber

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken

BEFORE, AFTER = "#ff5ca8", "#c8ff3c"
"""Colours of what was there and of what is new; people who cannot tell red from green can tell these."""

FADED = 0.3
"""By what the opacity of the labels is multiplied while what changes is outlined over them."""

_COLOURS = {
    differences.BEFORE_LINE: BEFORE,
    differences.AFTER_LINE: AFTER,
    differences.GONE: f"{BEFORE}50",
    differences.ADDED: f"{AFTER}50",
}


@dataclass(frozen=True, slots=True, eq=False)
class FieldInView:
    """The field that was in view at a time: handed from the main thread to a worker.

    Attributes
    ----------
    session : LayerSession
    image : Image
    channel : int or None
        That was chosen.
    frame, z : int
        Time point and slice.
    field : tuple of slice
        Pixels (Y, X).
    """

    session: LayerSession
    image: Image
    channel: int | None
    frame: int
    z: int
    field: tuple[slice, slice]

    @classmethod
    def of(cls, session: LayerSession, channel: int | None) -> FieldInView | None:
        """Return what is in view now (main thread); None where nothing is."""
        try:
            (frame, z), field, _ = session.in_view("see what changes")
        except UNetError:
            return None
        return cls(session, session.image, channel, frame, z, field)

    @property
    def region(self) -> Region:
        """Where that is, (Z, Y, X)."""
        return slice(self.z, self.z + 1), *self.field

    def labels(self) -> NDArray[Any]:
        """Return a copy of the labels there, axes (Z, Y, X) (main thread)."""
        return self.session.labels[(self.frame, *self.region)].copy()


@dataclass(frozen=True, slots=True, eq=False)
class FieldSegmented:
    """What a model makes of a field that was in view: labels with the axes (Z, Y, X), ids from 1."""

    view: FieldInView
    labels: NDArray[np.int32]


def preview_steps(
    view: FieldInView, model: Model, device: str, cancel: CancelToken
) -> Generator[FieldSegmented, None, None]:
    """Segment what is in view with a model that is not in use (worker)."""
    subimage = Subimage(view.frame, None if model.info.spec.ndim == 3 else view.z)
    task = make_task(view.image, model, channel=view.channel, subimages=[subimage], field=view.field, device=device)
    for event in segment_steps(task, device=device, cancel=cancel, overlap=False):
        if isinstance(event, SubimageDone):
            within = tuple(
                slice(max(part.start - whole.start, 0), part.stop - whole.start)
                for part, whole in zip(view.region, event.region, strict=True)
            )
            yield FieldSegmented(view, event.labels[within])


def view_of(workspace: Workspace) -> FieldInView | None:
    """Return what is in view of the chosen image; None where nothing is, and in 3D."""
    session = workspace.session
    if session is None or workspace.model is None or not session.alive() or workspace.viewer.dims.ndisplay == 3:
        return None
    return FieldInView.of(session, workspace.channel_of(session.layer))


class ModelDiff:
    """The layer that shows what a new model makes different.

    Parameters
    ----------
    workspace : Workspace
    """

    NAME = "what changes"

    changed = Signal()  # whether there is something to decide on, or whether it is seen

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._viewer = workspace, workspace.viewer
        self._drawn = DrawnLayer(workspace.viewer)
        self._visibility: ChosenVisibility | None = None
        self._shown: tuple[FieldInView, NDArray[Any], NDArray[Any]] | None = None
        self._followed: tuple[FieldInView, NDArray[Any]] | None = None
        self._differences: differences.Differences | None = None
        self._faded: tuple[Any, float] | None = None  # the labels' layer, and its own opacity
        self._other: Any = None  # the layer that shows the other labels while they are compared
        workspace.segmenting.connect(self._on_segmenting)
        workspace.layer_chosen.connect(self._on_layer)
        workspace.session_moved.connect(self._on_moved)
        workspace.session_closing.connect(self._on_closing)

    @property
    def any(self) -> bool:
        """Whether anything has changed that can be decided on."""
        return self._shown is not None and bool((self._shown[1] != self._shown[2]).any())

    @property
    def visible(self) -> bool:
        """Whether it is seen."""
        return self._drawn.layer is not None and bool(self._drawn.layer.visible)

    @visible.setter
    def visible(self, value: bool) -> None:
        if value and self._shown is not None and self.any:
            self._draw(*self._shown)
        else:
            self._remove()
        self.changed.emit()

    @property
    def sentence(self) -> str:
        """What changes, in numbers; empty: nothing that is worth a look."""
        if self._shown is None:
            return ""
        if self._differences is None:
            return f"{np.mean(self._shown[1] != self._shown[2]):.1%} of the pixels"
        return str(self._differences)

    def show_other(self, shown: bool) -> None:
        """Show the labels of the other model in place of those that there are, as long as that is wanted.

        These are the labels before, where the new model is in use, and those after where it waits.
        """
        if self._other is not None:
            layer, opacity, was_visible = self._other
            self._other = None
            if self._shown is not None:
                self._shown[0].session.labels_layer.opacity = opacity
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
            if self._drawn.layer is not None and was_visible:
                self._drawn.layer.visible = True
        if not shown or self._shown is None or not self._shown[0].session.alive():
            return
        view, before, after = self._shown
        layer = view.session.labels_layer
        other = before if np.array_equal(view.labels(), after) else after
        data, placement = view.session.geometry.part_as_layer(other.copy(), view.frame, view.region)
        selected = set(self._viewer.layers.selection)
        opacity = layer.opacity if self._faded is None else self._faded[1]
        made = self._viewer.add_labels(data, name="other model", opacity=opacity, visible=False, **placement)
        made.colormap, made.contour, made.editable = layer.colormap, layer.contour, False
        made.visible = True
        self._viewer.layers.selection = selected
        self._other = made, layer.opacity, self.visible
        if self._drawn.layer is not None:
            self._drawn.layer.visible = False
        layer.opacity = 0.0

    def show(self, segmented: FieldSegmented) -> None:
        """Show what a model that is not in use would change; protected pixels it would not."""
        view = segmented.view
        if not view.session.alive():
            return
        now, labels = view.labels(), view.session.labels
        kept = view.session.corrections.protected(labels, (view.frame, view.z), view.field)[None]
        ids = renumber(segmented.labels, match_ids(now, segmented.labels), int(now.max(initial=0)) + 1)
        self._set(view, now, np.where(kept, now, ids), visible=True)

    def follow(self, view: FieldInView) -> None:
        """Find out, when the field has been segmented anew, what has changed there."""
        self._followed = view, view.labels()

    def refuse(self) -> int:
        """Put back, in view, what was there before, as a correction of the user; return how many pixels."""
        if self._shown is None:
            return 0
        view, before, after = self._shown
        where = self._in_view(view) & (before != after)
        view.session.edit(view.frame, view.region, np.nonzero(where), before[where])
        self._set(view, before, np.where(where, before, after), visible=self.visible)
        return int(np.count_nonzero(where))

    def keep(self) -> int:
        """Mark what changed in view as reviewed; return how many pixels."""
        if self._shown is None:
            return 0
        view, before, after = self._shown
        where = self._in_view(view) & (before != after)
        view.session.review(view.frame, view.region, where)
        self._set(view, np.where(where, after, before), after, visible=self.visible)
        return int(np.count_nonzero(where))

    def hide(self) -> None:
        """Take the layer away."""
        self.show_other(False)
        self._shown = self._followed = None
        self._remove()
        self.changed.emit()

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_segmenting(self, running: bool) -> None:
        """Take note of what has changed in the field that was followed; it is seen when the user wants to."""
        if not running and self._followed is not None:
            (view, before), self._followed = self._followed, None
            if view.session.alive():
                self._set(view, before, view.labels(), visible=False)

    def _on_layer(self) -> None:
        """Be seen while the chosen image is the one that it is about."""
        there = self._workspace.layer is not None and self._drawn.layer is not None
        if there and self._visibility is not None and self._shown is not None:
            self._visibility.set_chosen(self._shown[0].session is self._workspace.session)
            self.changed.emit()

    def _on_moved(self, session: LayerSession) -> None:
        """Lie where the image of a session is now, if it is about that."""
        if self._shown is not None and self._shown[0].session is session:
            view, before, _ = self._shown
            _, placement = session.geometry.part_as_layer(np.zeros(before.shape, np.uint8), view.frame, view.region)
            self._drawn.place(placement)

    def _on_closing(self, session: LayerSession) -> None:
        """Let go of what has changed in a session that is gone; its layer is removed by `hide`, when there is time."""
        if self._shown is not None and self._shown[0].session is session:
            self._shown = self._other = self._faded = None
        if self._followed is not None and self._followed[0].session is session:
            self._followed = None

    def close(self) -> None:
        """Take the layer away, and follow nothing more."""
        self._workspace.segmenting.disconnect(self._on_segmenting)
        self.hide()

    # -- the layer -------------------------------------------------------------------------------------------------

    def _remove(self) -> None:
        if self._faded is not None:
            (layer, opacity), self._faded = self._faded, None
            if layer.opacity == opacity * FADED:  # else the user has chosen another one
                layer.opacity = opacity
        self._drawn.remove()
        self._visibility = None

    def _set(self, view: FieldInView, before: NDArray[Any], after: NDArray[Any], *, visible: bool) -> None:
        self._shown = view, before, after
        objects = view.session.corrections.instances
        self._differences = differences.Differences.of(before, after) if objects else None
        self.visible = visible

    def _in_view(self, view: FieldInView) -> NDArray[np.bool_]:
        """Return which pixels (Z, Y, X) of a field are in view now."""
        seen = np.zeros([part.stop - part.start for part in view.region], bool)
        try:
            plane, field, where = view.session.in_view("decide on what changes")
        except UNetError:
            return seen
        if plane == (view.frame, view.z):
            both = [
                slice(max(now.start, part.start), max(now.start, part.start, min(now.stop, part.stop)))
                for now, part in zip(field, view.field, strict=True)
            ]
            there, here = (relative((both[0], both[1]), origin) for origin in (view.field, field))
            seen[(0, *there)] = True if where is None else where[here]
        return seen

    def _draw(self, view: FieldInView, before: NDArray[Any], after: NDArray[Any]) -> None:
        """Put the layer where the field is, small as that is: a layer of the whole image would take long to make."""
        if self._differences is None:
            values = differences.pixel_picture(before, after)
        else:
            values = self._differences.picture(before, after, line_width(view.session))
        data, placement = view.session.geometry.part_as_layer(values, view.frame, view.region)
        self._remove()
        self._visibility = ChosenVisibility(self._drawn.add(data, self.NAME, _COLOURS, placement))
        layer = view.session.labels_layer
        self._faded = layer, layer.opacity
        layer.opacity *= FADED
