"""One image layer, its result layer, and what was corrected in it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.corrections.corrections import Corrections, Summary
from napari_unet.corrections.identity import pixels_of, rename, rename_at
from napari_unet.errors import UNetError
from napari_unet.guidance.where_next import Attention
from napari_unet.io import spill
from napari_unet.layers import adapter, canvas
from napari_unet.layers.journal import Hints
from napari_unet.layers.strokes import Strokes
from napari_unet.layers.turns import Turn
from napari_unet.learning.annotations import annotated_crops
from napari_unet.objects.stitch import count_ids
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.inference.steps import Finished
    from napari_unet.inference.task import Task
    from napari_unet.layers.jobs import Steps
    from napari_unet.layers.journal import Recorder
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.model import Model
    from napari_unet.projects.project import Project
    from napari_unet.projects.recovery import Copy

MAX_CUT = 2**24
"""Most pixels of a cut through an image that are compared while the window waits."""

MAX_AT_ONCE = 2**26
"""Most pixels of labels that are looked at while the window waits."""


@dataclass(frozen=True, slots=True, eq=False)
class Renaming:
    """Where in a plane (T, Z) objects have to be given other ids: places of its labels and of what was predicted."""

    plane: tuple[int, int]
    labels: NDArray[np.intp]
    prediction: NDArray[np.intp]
    ids: dict[int, int]


class LayerSession:
    """Joins an image layer and its labels layer; writes results into it and reads corrections out of it.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Image
    image : Image
        The same as the core sees it.
    instances : bool
        Whether ids are objects, or classes.
    saved : Project, optional
        What is taken up again; None: there is nothing yet.
    labels_layer : napari.layers.Labels, optional
        Its labels, if they are in the viewer already.

    Notes
    -----
    Events of the layer are hints that something may have changed; what did, is found by difference. To compare all of a
    large stack takes long: what nobody was told of, in planes that are not in view, is found by a `Search`, or when
    they come into view. All methods belong to the main thread. While the mouse is down on the labels, results wait:
    they must not come between the parts of one brush stroke.
    """

    edited = Signal()
    renewed = Signal(object)  # this session: its image was placed elsewhere, or has other pixels

    def __init__(
        self,
        viewer: Any,
        layer: Any,
        image: Image,
        *,
        instances: bool = True,
        saved: Project | None = None,
        labels_layer: Any = None,
    ) -> None:
        self.viewer, self.layer, self.image = viewer, layer, image
        self.saved_as = saved.path if saved else None
        self.saved_mark = ""  # digest of what lies there, see `projects.project.Mark`; empty: nothing was saved
        self.copy: Copy | None = None  # of what is not saved yet, see `layers.autosave`
        self.spare: Copy | None = None  # room for one, with a copy of the image, where no file has it
        self.recorder: Recorder | None = None  # of a journal beside that copy
        self.channel: int | None = None  # that was chosen when it was worked on last
        self.labels_layer = labels_layer or self._new_layer(instances, saved)
        self.corrections = saved.corrections if saved else Corrections(self.labels.shape, instances=instances)
        self.attention = (saved.attention if saved else None) or Attention(self.corrections.shape)
        self.summary = self.corrections.summary() if saved else Summary()
        self.hints = Hints(self.corrections.shape)
        self.unfinished: tuple[Task, Finished] | None = None  # a segmentation that was stopped
        self.turn = Turn(self.labels_layer)
        self._strokes = self._own_ids() if instances else None
        self._stroke = self._writing = self._edited = self._held = False
        self._waiting: list[Callable[[], None]] = []
        self._shown = self.place
        self._touched = {self._shown}  # planes (T, Z) that may have changed since they were looked at
        events = self.labels_layer.events
        for emitter in (events.paint, events.set_data, events.labels_update, events.data):
            emitter.connect(self._on_hint)
        self.labels_layer.mouse_drag_callbacks.insert(0, self._on_mouse)  # before napari paints
        for emitter in self._placed():
            emitter.connect(self._on_placed)
        layer.events.data.connect(self._on_pixels)

    def _new_layer(self, instances: bool, saved: Project | None) -> Any:
        layer, image = self.layer, self.image
        data = adapter.as_layer_data(saved.labels, layer, image) if saved else adapter.empty_labels(layer, image)
        name = f"{layer.name} {'objects' if instances else 'classes'}"
        # napari draws a layer that is seen three times while it is added, which for a large image takes long.
        added = self.viewer.add_labels(data, name=name, visible=False, **adapter.result_kwargs(layer, image))
        added.visible = True
        return added

    def _own_ids(self) -> Strokes:
        """Return what gives each stroke that touches no object an id of its own."""
        axes = list(self.image.label_axes)
        channel = adapter.channel_axis(self.layer, self.image)
        if channel is not None:
            axes.insert(channel, "C")
        spatial = [index for index, letter in enumerate(axes) if letter in "ZYX"]
        return Strokes(self.viewer, self.labels_layer, self.corrections, spatial, self._widen)

    def _widen(self) -> None:
        """Give the labels a type that holds more ids: the user made it a smaller one."""
        with self._quietly():
            self.labels_layer.data = np.asarray(self.labels_layer.data).astype(np.int32)

    def offer_id(self) -> None:
        """Select an id that nothing has, to paint the next object with, unless the user has chosen one."""
        if self._strokes is not None and not self._stroke:
            self._strokes.offer()

    @property
    def labels(self) -> NDArray[Any]:
        """The layer's labels as they are now, a view with the axes (T, Z, Y, X).

        Raises
        ------
        UNetError
            If the layer's array was replaced by one that does not fit the image.
        """
        return np.asarray(adapter.canonical_view(self.labels_layer.data, self.layer, self.image))

    @property
    def own_labels(self) -> NDArray[Any]:
        """The same in the order of `image.label_axes`."""
        return np.asarray(adapter.own_view(self.labels_layer.data, self.layer, self.image))

    @property
    def place(self) -> tuple[int, int]:
        """Time point and slice in view."""
        return adapter.current_place(self.viewer, self.layer, self.image)

    @property
    def field(self) -> tuple[slice, slice]:
        """Pixels (Y, X) in view; none where the image lies beside the canvas."""
        return canvas.field_in_view(self.viewer, self.layer, self.image)

    def in_view(self, purpose: str) -> tuple[tuple[int, int], tuple[slice, slice], NDArray[np.bool_] | None]:
        """Return the plane (T, Z) and the field (Y, X) that are on the canvas, and which pixels of that; None: all.

        Raises
        ------
        UNetError
            If there are none; the sentence says what to do for the `purpose`.
        """
        canvas.check_on_canvas(self.viewer, self.layer, self.image, purpose)
        field = self.field
        where = canvas.pixels_in_view(self.viewer, self.layer, self.image, field)
        if field[0].stop == 0 or not (where is None or where.any()):
            raise UNetError(f"Nothing of this image is on the canvas. Move it there to {purpose}.")
        return self.place, field, where

    @property
    def middle(self) -> tuple[float, float]:
        """Pixel (Y, X) in the middle of the view."""
        return adapter.middle_of_view(self.viewer, self.layer, self.image)

    def alive(self) -> bool:
        """Whether both layers are still in the viewer."""
        layers = self.viewer.layers
        return self.layer in layers and self.labels_layer in layers

    @property
    def painting(self) -> bool:
        """Whether a brush stroke is under way."""
        return self._stroke

    def fits(self, image: Image) -> bool:
        """Whether an image (the layer's, whose array may have been replaced) goes with the labels as they are now."""
        try:
            labels = adapter.canonical_view(self.labels_layer.data, self.layer, image)
        except UNetError:
            return False
        return image.axes == self.image.axes and labels.shape == self.corrections.shape

    def write(
        self,
        frame: int,
        region: tuple[slice, slice, slice],
        predicted: NDArray[np.int32],
        known: dict[int, int] | None = None,
    ) -> None:
        """Write a new prediction (Z, Y, X) wherever the user has not corrected or reviewed.

        At once, or when the brush stroke under way ends. Of a prediction that comes in pieces, `known` is what
        `Corrections.merge` needs. Only what changes is drawn: drawing all of a large image takes long.
        """
        if self._stroke:
            self._waiting.append(partial(self.write, frame, region, predicted, known))
            return
        if self._edited:
            self.rescan(everything=False)
        labels = self.labels
        merged = self.corrections.merge(labels, frame, region, predicted, known)
        changed = np.nonzero(merged != labels[(frame, *region)])
        if not len(changed[0]):
            return
        if merged.max() > np.iinfo(labels.dtype).max:  # the user made it a smaller type
            self._widen()
        self.hints.suspect(slice(frame, frame + 1), *region)
        with self._quietly():
            where = adapter.layer_indices(frame, region, changed, self.layer, self.image)
            self.labels_layer.data_setitem(where, merged[changed])
            self._forget_undo()

    @property
    def joins_slices(self) -> bool:
        """Whether objects go on from slice to slice."""
        return self.corrections.instances and self.image.is_volume

    @property
    def is_large(self) -> bool:
        """Whether to look at all of the labels takes so long that the window must not wait for it."""
        return int(np.prod(self.corrections.shape)) > MAX_AT_ONCE

    def steps_to_join(self) -> Steps:
        """Return a job that finds which objects of neighbouring slices are one (worker), from a copy of the labels.

        It returns which ids they have to be given, and of large labels tells plane by plane where, for `rename_in`.
        """
        self.rescan()
        labels, corrections, large = self.labels, self.corrections, self.is_large

        def steps() -> Generator[Renaming, None, dict[int, int]]:
            copy = spill.zeros(labels.shape, labels.dtype)
            copy[...] = labels
            ids = corrections.joins(copy)
            if not (large and ids):
                return ids
            for plane in corrections.planes():
                found = Renaming(plane, pixels_of(ids, copy[plane]), pixels_of(ids, corrections.prediction[plane]), ids)
                if len(found.labels) or len(found.prediction):
                    yield found
            return {}

        return steps

    def rename_in(self, part: Renaming) -> None:
        """Give objects other ids in one plane; what was changed meanwhile stays so."""
        if self._stroke or self._held:
            self._waiting.append(partial(self.rename_in, part))
            return
        for array, places in ((self.labels, part.labels), (self.corrections.prediction, part.prediction)):
            rename_at(array[part.plane], places, part.ids)
        with self._quietly():
            self._forget_undo()
            if part.plane == self.place:
                self.labels_layer.refresh(extent=False)

    def rename(self, ids: dict[int, int]) -> None:
        """Give objects other ids, in the labels and in what was predicted; not while these are saved."""
        if self._stroke or self._held:
            self._waiting.append(partial(self.rename, ids))
        elif ids:
            rename(self.labels, ids)
            self.corrections.rename(ids)
            self.hints.undone = True
            with self._quietly():
                self._forget_undo()
                self.labels_layer.refresh(extent=False)

    def hold(self, held: bool) -> None:
        """Hold back what changes the labels all over, or let it come: they are saved plane by plane."""
        self._held = held
        if not (held or self._stroke):
            self._catch_up()

    def show_thumbnail(self) -> None:
        """Draw the layer's small picture in the layer list anew, which writing part by part does not."""
        self.labels_layer.opacity = self.labels_layer.opacity  # napari then draws that picture alone

    def count(self, *, in_view: bool = False) -> int:
        """Return how many objects (or classes) there are now: in all, or in what is in view of the plane."""
        if not in_view:
            return count_ids(self.labels_layer.data)
        field = self.field
        where = canvas.pixels_in_view(self.viewer, self.layer, self.image, field)
        labels = self.labels[(*self.place, *field)]
        return count_ids(labels if where is None else labels[where])

    def in_words(self, count: int) -> str:
        """Return so many objects (or classes) in words."""
        return counted(count, "object" if self.corrections.instances else "class")

    def rescan(self, *, everything: bool = True) -> Summary:
        """Find what was corrected: in what is in view, or in all that may have changed, by undoing too."""
        self._edited = False
        planes = {self.place, *self._across()}
        if everything:
            planes |= self._touched
        self._touched -= planes
        before, self.summary = self.summary, self.corrections.update(self.labels, *planes)
        if before != self.summary and (before.anything or self.summary.anything):
            self.hints.alert()
        return self.summary

    def look_at(self, frame: int, z: slice) -> bool:
        """Find what was corrected in some slices; return whether that was not known."""
        planes = [(frame, index) for index in range(*z.indices(self.corrections.shape[1]))]
        before, self.summary = self.summary, self.corrections.update(self.labels, *planes)
        if before != self.summary and (before.anything or self.summary.anything):
            self.hints.alert()
            self.hints.suspect(slice(frame, frame + 1), z, slice(0, self._size[0]), slice(0, self._size[1]))
        return before != self.summary

    def material(self, model: Model, channel: int | None) -> list[AnnotatedCrop]:
        """Return copies of what there is to learn from here now; nothing where nothing is corrected or reviewed."""
        self._touched.update(self.corrections.supervised_planes())
        self.rescan()
        return annotated_crops(self.image, self.labels, self.corrections, model, channel)

    def edit(
        self, frame: int, region: tuple[slice, slice, slice], where: Sequence[NDArray[np.intp]], values: NDArray[Any]
    ) -> None:
        """Change some pixels of a region (Z, Y, X) as the user would: a correction, and one that can be undone."""
        if len(values):
            self.labels_layer.data_setitem(adapter.layer_indices(frame, region, where, self.layer, self.image), values)
            self.look_at(frame, region[0])

    def review(self, frame: int, region: tuple[slice, slice, slice], where: NDArray[np.bool_]) -> None:
        """Mark some pixels of a region as reviewed; `where` has its axes (Z, Y, X)."""
        self.corrections.reviewed[(frame, *region)] |= where
        self.hints.changed(slice(frame, frame + 1), *region)
        self.look_at(frame, region[0])

    def note_reviewed(self, *, in_view: bool) -> None:
        """Take note that somebody has reviewed the field or the slice in view."""
        (frame, z), (y, x) = self.place, self.field
        rows, columns = (y, x) if in_view else (slice(0, self._size[0]), slice(0, self._size[1]))
        self.hints.suspect(slice(frame, frame + 1), slice(z, z + 1), rows, columns)
        self.hints.alert()

    @property
    def _size(self) -> tuple[int, int]:
        """Pixels of a plane (Y, X)."""
        return self.corrections.shape[2], self.corrections.shape[3]

    def close(self) -> None:
        """Let go of the layers; they stay in the viewer."""
        self.turn.close()
        if self._strokes is not None:
            self._strokes.close()
        for emitter in self._placed():
            emitter.disconnect(self._on_placed)
        self.layer.events.data.disconnect(self._on_pixels)
        events = self.labels_layer.events
        for emitter in (events.paint, events.set_data, events.labels_update, events.data):
            emitter.disconnect(self._on_hint)
        if self._on_mouse in self.labels_layer.mouse_drag_callbacks:
            self.labels_layer.mouse_drag_callbacks.remove(self._on_mouse)

    def _placed(self) -> list[Any]:
        """Return what tells that the image layer was placed elsewhere."""
        events = self.layer.events
        return [getattr(events, name) for name in adapter.result_kwargs(self.layer, self.image)]

    def _on_placed(self, event: Any = None) -> None:
        """Place the labels where the image is now."""
        if self.layer.ndim == self.labels_layer.ndim:  # else the image was replaced by one that they do not fit
            with self._quietly():
                adapter.place(self.labels_layer, adapter.result_kwargs(self.layer, self.image))
        self.renewed.emit(self)

    def _on_pixels(self, event: Any = None) -> None:
        self.renewed.emit(self)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Do not take for edits what is written meanwhile."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False

    def _on_hint(self, event: Any = None) -> None:
        if not self._writing:
            self._edited = True
            kind, edit = "" if event is None else event.type, getattr(event, "value", None)
            moved = kind == "set_data" and self.place != self._shown  # a slider was
            self._touch(kind, edit)
            if not moved:
                self._hint(kind, event)
            if kind == "paint" and self._strokes is not None:
                self._strokes.painted(edit)
        self.edited.emit()

    def _across(self) -> set[tuple[int, int]]:
        """Return the planes that are on the canvas from the side, or in 3D, and may have changed there."""
        frames, slices = canvas.planes_on_canvas(self.viewer, self.layer, self.image)
        if len(frames) == len(slices) == 1:
            return set()
        planes = {(t, z) for t, z in self._touched | set(self.corrections.supervised_planes())}
        planes = {(t, z) for t, z in planes if t in frames and z in slices}
        cut = canvas.cut_on_canvas(self.viewer, self.layer, self.image)
        labels, prediction = self.labels[cut], self.corrections.prediction[cut]
        if labels.size <= MAX_CUT:
            changed = np.nonzero((labels != prediction).any(axis=(2, 3)))
            planes.update((frames[t], slices[z]) for t, z in zip(*(n.tolist() for n in changed), strict=True))
        return planes

    def _touch(self, kind: str, edit: Any) -> None:
        """Note which planes an event may be about."""
        before, self._shown = self._shown, self.place
        painted = adapter.planes_of_edit(edit, self.layer, self.image) if kind == "paint" else None
        if painted is not None:
            self._touched |= painted
        elif kind == "data" or (kind == "paint" and self.labels_layer.n_edit_dimensions > 2):
            self._touched.update(self.corrections.planes())  # the array was replaced, or a brush goes through slices
        elif kind != "set_data" or self._shown == before:  # else it was a slider that moved
            self._touched.add(self._shown)
            if kind == "set_data":  # an undo, which may be about another plane
                self._touched.update(self.corrections.supervised_planes())

    def _hint(self, kind: str, event: Any) -> None:
        """Note which blocks an event is about."""
        try:
            parts = adapter.painted_parts(event, self.viewer, self.layer, self.image) if kind else []
        except (KeyError, ValueError, IndexError):  # the layer was made another one
            parts = []
        for part in parts:
            self.hints.changed(*part)
        if not parts and self._touched:
            self.hints.undone = True
            rows, columns = (slice(0, n) for n in self._size)
            planes = self._touched if kind == "data" else self._touched & {self._shown}
            for frame, z in planes:
                self.hints.suspect(slice(frame, frame + 1), slice(z, z + 1), rows, columns)

    def _on_mouse(self, layer: Any, event: Any) -> Generator[None, None, None]:
        """Hold results back from the press of the mouse button to its release."""
        self._stroke = True
        if self._strokes is not None:
            self._strokes.press(event)
        yield
        while event.type == "mouse_move":
            if self._strokes is not None:
                self._strokes.move(event)
            yield
        if self._strokes is not None:
            self._strokes.release()
        self._stroke = False
        self._catch_up()

    def _catch_up(self) -> None:
        """Do what has waited."""
        waiting, self._waiting = self._waiting, []
        for write in waiting:
            write()

    def _forget_undo(self) -> None:
        """Empty the layer's undo history, in which the pixels are those before the new prediction.

        napari does so when a layer is made read-only; the tool in use is put back.
        """
        layer = self.labels_layer
        mode = layer.mode
        layer.editable = False
        layer.editable = True
        layer.mode = mode
