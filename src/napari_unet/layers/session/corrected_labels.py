"""The labels layer of an image: results are written into it, and corrections read out of it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.corrections.corrections import Corrections, Summary
from napari_unet.corrections.identity import rename, rename_at
from napari_unet.corrections.unknown import forget_shapes
from napari_unet.errors import UNetError
from napari_unet.layers.session.deferred import DeferredChanges
from napari_unet.layers.session.edits import EditTracker
from napari_unet.layers.session.labels_layers import forget_undo, widen
from napari_unet.layers.session.layer_pair import LayerPair
from napari_unet.layers.session.slice_joining import joining_steps, linking_steps
from napari_unet.layers.session.strokes import Strokes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.jobs import Steps
    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.slice_joining import Renaming
    from napari_unet.models.model import Model

MAX_PIXELS_AT_ONCE = 2**26
"""Most pixels of labels that are gone through while the window waits."""


class CorrectedLabels(LayerPair):
    """Writes results into a labels layer where nobody has corrected it, and finds what was corrected.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Image
    image : Image
        The same as the core sees it.
    labels_layer : napari.layers.Labels
        Its labels.
    instances : bool
        Whether ids are objects, or classes.
    corrections : Corrections, optional
        What is known of them; None: nothing is corrected yet.

    Attributes
    ----------
    corrections : Corrections
    summary : Summary
        Of the corrections, as of the last comparison.
    unwritten : UnwrittenBlocks
        What may have changed since it was written to the session's journal.
    uncounted : bool
        Whether something was told since corrections were counted that may have changed them.

    Notes
    -----
    Events of the layer are hints that something may have changed; what did, is found by difference. To compare all of a
    large stack takes long: what nobody was told of, in planes that are not in view, is found by a `CorrectionSearch`,
    or when they come into view. All methods belong to the main thread. While the mouse is down on the labels, results
    wait: they must not come between the parts of one brush stroke.
    """

    edited = Signal()

    def __init__(
        self,
        viewer: Any,
        layer: Any,
        image: Image,
        labels_layer: Any,
        *,
        instances: bool,
        corrections: Corrections | None = None,
    ) -> None:
        super().__init__(viewer, layer, image)
        self.labels_layer = labels_layer
        self.corrections = corrections or Corrections(self.labels.shape, instances=instances)
        self.summary = Summary() if corrections is None else corrections.summary()
        self._edits = EditTracker(viewer, labels_layer, self.corrections, self.geometry)
        self.unwritten = self._edits.unwritten
        self._strokes = self._own_ids() if instances else None
        self._deferred = DeferredChanges()
        self._writing = self._edited = self.uncounted = False
        for emitter in self.edit_events():
            emitter.connect(self._on_event)
        labels_layer.mouse_drag_callbacks.insert(0, self._on_mouse)  # before napari paints

    def _own_ids(self) -> Strokes:
        """Return what gives each stroke that touches no object an id of its own."""
        spatial = [index for index, letter in enumerate(self.geometry.label_letters) if letter in "ZYX"]
        return Strokes(self.viewer, self.labels_layer, self.corrections, spatial, self._widen)

    def _widen(self) -> None:
        with self._quietly():
            widen(self.labels_layer)

    # -- what it is about ------------------------------------------------------------------------------------------

    @property
    def painting(self) -> bool:
        """Whether a brush stroke is under way."""
        return self._deferred.stroke

    @property
    def held(self) -> bool:
        """Whether the labels are being saved, plane by plane: what changes many planes has to wait."""
        return self._deferred.held

    @property
    def joins_slices(self) -> bool:
        """Whether objects go on from slice to slice."""
        return self.corrections.instances and self.image.is_volume

    @property
    def is_large(self) -> bool:
        """Whether to go through all of the labels takes so long that the window must not wait for it."""
        return int(np.prod(self.corrections.shape)) > MAX_PIXELS_AT_ONCE

    # -- results in ------------------------------------------------------------------------------------------------

    def write(
        self, frame: int, region: Region, predicted: NDArray[np.int32], known: dict[int, int] | None = None
    ) -> None:
        """Write a new prediction (Z, Y, X) wherever the user has not corrected or reviewed.

        At once, or when the brush stroke under way ends. Of a prediction that comes in pieces, `known` is what
        `Corrections.merge` needs. Only what changes is drawn: drawing all of a large image takes long.
        """
        if self._deferred.defer(partial(self.write, frame, region, predicted, known)):
            return
        if self._edited:
            self.rescan(everything=False)
        labels = self.labels
        merged = self.corrections.merge(labels, frame, region, predicted, known)
        changed = np.nonzero(merged != labels[(frame, *region)])
        self._write(frame, region, changed, merged[changed])

    def forget_shapes(self, model: Model) -> None:
        """Let a model that is about to predict tell what else is in the shapes in which objects were drawn.

        See `corrections.unknown.forget_shapes`. At once, or when the brush stroke under way ends.
        """
        if self._deferred.defer(partial(self.forget_shapes, model), everywhere=True):
            return
        self.rescan()
        for region in forget_shapes(self.corrections, self.labels, model.sha256(), model.info.spec.ndim):
            self.unwritten.suspect(*region)
        self.summary = self.corrections.summary()

    def write_again(self, frame: int, region: Region, before: NDArray[Any], after: NDArray[Any]) -> None:
        """Replace a prediction by one made of the same maps, wherever it is still as it was when that was made.

        At once, or when the brush stroke under way ends; never what the user has corrected or reviewed by then.

        Parameters
        ----------
        frame : int
        region : tuple of slice, (Z, Y, X)
        before, after : ndarray of int, axes (Z, Y, X)
        """
        if self._deferred.defer(partial(self.write_again, frame, region, before, after)):
            return
        if self._edited:
            self.rescan(everything=False)
        labels, corrections = self.labels, self.corrections
        changes = (labels[(frame, *region)] == before) & (before != after)
        for index, z in enumerate(range(region[0].start, region[0].stop)):
            if changes[index].any():
                changes[index] &= ~corrections.protected(labels, (frame, z), region[1:])
        changed = np.nonzero(changes)
        corrections.repredict(frame, region, changed, after[changed])
        uncounted = self.uncounted  # this changes nothing of what is corrected: the hand at a slider need not wait
        self._write(frame, region, changed, after[changed])
        self.uncounted = uncounted

    def _write(
        self, frame: int, region: Region, changed: Sequence[NDArray[np.intp]], values: NDArray[np.int32]
    ) -> None:
        """Write what the program has predicted into the layer, pixels of a region (Z, Y, X)."""
        if not len(values):
            return
        if values.max() > np.iinfo(self.labels.dtype).max:  # the user made it a smaller type
            self._widen()
        self.unwritten.suspect(slice(frame, frame + 1), *region)
        with self._quietly():
            self.labels_layer.data_setitem(self.geometry.layer_indices(frame, region, changed), values)
            forget_undo(self.labels_layer)

    def steps_to_join(self) -> Steps:
        """Return a job that finds which objects of neighbouring slices are one (worker), from a copy of the labels.

        It returns which ids they have to be given, for `rename`; of large labels it yields plane by plane where, for
        `rename_in`.
        """
        self.rescan()
        return joining_steps(self.labels, self.corrections, by_plane=self.is_large)

    def steps_to_link(self) -> Steps:
        """Return a job that finds which objects of a time series are one (worker); it yields where, for `rename_in`."""
        self.rescan()
        return linking_steps(self.labels, self.corrections)

    def rename_in(self, part: Renaming) -> None:
        """Give objects other ids in one plane; what was changed meanwhile stays so."""
        if self._deferred.defer(partial(self.rename_in, part), everywhere=True):
            return
        for array, indices in ((self.labels, part.labels), (self.corrections.prediction, part.prediction)):
            rename_at(array[part.plane], indices, part.ids)
        frame, z = part.plane
        self.unwritten.suspect(slice(frame, frame + 1), slice(z, z + 1), *self._whole_plane)
        with self._quietly():
            forget_undo(self.labels_layer)
            if part.plane == self.plane:
                self.labels_layer.refresh(extent=False)

    def rename(self, ids: dict[int, int]) -> None:
        """Give objects other ids, in the labels and in what was predicted; not while these are saved."""
        if not self._deferred.defer(partial(self.rename, ids), everywhere=True) and ids:
            rename(self.labels, ids)
            self.corrections.rename(ids)
            self.unwritten.undone = True
            with self._quietly():
                forget_undo(self.labels_layer)
                self.labels_layer.refresh(extent=False)

    def hold(self, held: bool) -> None:
        """Hold back what changes the labels all over, or let it come: they are saved plane by plane."""
        self._deferred.hold(held)

    def offer_id(self, largest: int | None = None) -> None:
        """Select an id that nothing has, to paint the next object with, unless the user has chosen one.

        Parameters
        ----------
        largest : int, optional
            The largest id that there is, where the caller knows it.
        """
        if self._strokes is not None and not self.painting:
            self._strokes.offer(largest)

    def free_id(self) -> int:
        """Return an id that no object has or had; the layer is given a type that holds it.

        Raises
        ------
        UNetError
            If the labels are classes.
        """
        if self._strokes is None:
            raise UNetError("These labels are classes, which have no ids of their own.")
        return self._strokes.fresh_id()

    # -- corrections out -------------------------------------------------------------------------------------------

    def rescan(self, *, everything: bool = True) -> Summary:
        """Find what was corrected: in what is in view, or in all that may have changed, by undoing too."""
        self._edited = self.uncounted = False
        labels = self.labels
        self._compare(labels, self._edits.planes_to_compare(labels, self.geometry, everything=everything))
        return self.summary

    def rescan_slices(self, frame: int, z: slice) -> bool:
        """Find what was corrected in some slices; return whether that was not known."""
        planes = {(frame, index) for index in range(*z.indices(self.corrections.shape[1]))}
        before = self.summary
        if self._compare(self.labels, planes):
            self.unwritten.suspect(slice(frame, frame + 1), z, *self._whole_plane)
        return before != self.summary

    def _compare(self, labels: NDArray[Any], planes: set[Plane]) -> bool:
        """Compare planes with what was predicted; return whether corrections are other ones than before."""
        before, self.summary = self.summary, self.corrections.update(labels, *planes)
        changed = before != self.summary and (before.anything or self.summary.anything)
        if changed:
            self.unwritten.note_correction()
        return changed

    def edit(self, frame: int, region: Region, where: Sequence[NDArray[np.intp]], values: NDArray[Any]) -> None:
        """Change some pixels of a region (Z, Y, X) as the user would: a correction, and one that can be undone."""
        self.edit_frames([(frame, region, where, values)])

    def edit_frames(
        self,
        edits: Sequence[tuple[int, Region, Sequence[NDArray[np.intp]], NDArray[Any]]],
        *,
        compare: bool = True,
    ) -> None:
        """Do what `edit` does, in several time points, in one step of undo.

        Parameters
        ----------
        edits : sequence of tuple
            As the arguments of `edit`.
        compare : bool
            Whether what that means for the corrections is found out at once, or when there is time, as after a stroke.
        """
        edits = [edit for edit in edits if len(edit[3])]
        if edits:
            parts = [self.geometry.layer_indices(frame, region, where) for frame, region, where, _ in edits]
            indices = tuple(np.concatenate(axis) for axis in zip(*parts, strict=True))
            self.labels_layer.data_setitem(indices, np.concatenate([values for *_, values in edits]))
            for frame, region, _, _ in edits if compare else ():
                self.rescan_slices(frame, region[0])

    def review(self, frame: int, region: Region, where: NDArray[np.bool_]) -> None:
        """Mark some pixels of a region as reviewed; `where` has its axes (Z, Y, X)."""
        self.review_parts(frame, [(region, where)])

    def review_parts(
        self, frame: int, parts: Iterable[tuple[Region, NDArray[np.bool_]]], *, right: bool = True
    ) -> None:
        """Mark some pixels of several regions as reviewed, or as not reviewed: see `review`."""
        slices = []
        for region, where in parts:
            self.corrections.reviewed[(frame, *region)][where] = right
            self.unwritten.add(slice(frame, frame + 1), *region)
            slices.append(region[0])
        if slices:
            self.unwritten.note_correction()
            self.rescan_slices(frame, slice(min(z.start for z in slices), max(z.stop for z in slices)))

    def note_reviewed(self, *, in_view: bool) -> None:
        """Take note that somebody has reviewed the field or the slice in view."""
        frame, z = self.plane
        rows, columns = self.field if in_view else self._whole_plane
        self.unwritten.suspect(slice(frame, frame + 1), slice(z, z + 1), rows, columns)
        self.unwritten.note_correction()

    @property
    def _whole_plane(self) -> tuple[slice, slice]:
        """All pixels of a plane (Y, X)."""
        return slice(0, self.corrections.shape[2]), slice(0, self.corrections.shape[3])

    # -- events ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the layers; they stay in the viewer."""
        if self._strokes is not None:
            self._strokes.close()
        for emitter in self.edit_events():
            emitter.disconnect(self._on_event)
        if self._on_mouse in self.labels_layer.mouse_drag_callbacks:
            self.labels_layer.mouse_drag_callbacks.remove(self._on_mouse)

    def edit_events(self) -> list[Any]:
        """Return what tells that the labels may have been edited."""
        events = self.labels_layer.events
        return [events.paint, events.set_data, events.labels_update, events.data]

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Do not take for edits what is written meanwhile."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    def _on_event(self, event: Any = None) -> None:
        self.uncounted = True
        if not self._writing:
            self._edited = True
            self._edits.note(event, self.geometry)
            if event is not None and event.type == "paint" and self._strokes is not None:
                self._strokes.painted(event.value)
        self.edited.emit()

    def _on_mouse(self, layer: Any, event: Any) -> Generator[None, None, None]:
        """Hold results back from the press of the mouse button to its release."""
        self._deferred.stroke = True
        if self._strokes is not None:
            self._strokes.press(event)
        yield
        while event.type == "mouse_move":
            if self._strokes is not None:
                self._strokes.move(event)
            yield
        if self._strokes is not None:
            self._strokes.release()
        self._deferred.end_stroke()
