"""Corrections carried on through slices and time points: to the next one, between two, and from the one before.

What lies between two corrected slices is suggested: it is drawn as an outline and is no label until somebody takes it.
Then it is an edit like any other, in one step of undo.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import EditError, UNetError
from napari_unet.layers.jobs import Job, ignore, once
from napari_unet.layers.proofreading.object_edits import check_editable
from napari_unet.layers.proofreading.object_parts import edited_pixels
from napari_unet.layers.proofreading.suggestion_search import MAX_REACH, SuggestionSearch
from napari_unet.objects.carrying import carried, renamed_on
from napari_unet.objects.edits import Edit, box_of
from napari_unet.objects.linking import MIN_FRAME_IOU
from napari_unet.objects.stitch import MIN_SLICE_IOU
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.proofreading.ghosts import Ghosts
    from napari_unet.layers.proofreading.suggestion_search import Suggestions
    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.objects.outline import Outline

Box = tuple[slice, slice]

_UNDO = "Ctrl+Z takes it back."


class _Axis:
    """The planes of a session along the axis on which corrections are carried on: slices of a stack, else time points.

    Attributes
    ----------
    session : LayerSession
    labels : ndarray of int, axes (N, Y, X)
    prediction : ndarray of int, axes (N, Y, X)
    reviewed : ndarray of bool, axes (N, Y, X)
    index : int
        Of the plane in view.
    word : str
        What a plane is called: "slice" or "time point".
    at : str
        What is said before it: "in" a slice, "at" a time point.
    """

    def __init__(self, session: LayerSession) -> None:
        self._frame, z = session.plane
        self.session, labels, reviewed = session, session.labels, session.corrections.reviewed
        self._along_z = session.image.is_volume
        part = self._frame if self._along_z else (slice(None), 0)
        self.labels: NDArray[Any] = labels[part]
        self.reviewed: NDArray[Any] = reviewed[part]
        self.prediction: NDArray[Any] = session.corrections.prediction[part]
        self.index = z if self._along_z else self._frame
        self.word, self.at = ("slice", "in") if self._along_z else ("time point", "at")
        if len(self.labels) < 2:
            raise UNetError("This image has one plane only: there is no other slice or time point.")

    def plane(self, index: int) -> Plane:
        """Return time point and slice of a plane."""
        return (self._frame, index) if self._along_z else (index, 0)


class Propagation:
    """Carries corrections of the chosen image on.

    Parameters
    ----------
    workspace : Workspace
    segmenter : Segmenter
    ghosts : Ghosts
        Has what is suggested.
    runner : Runner
        Where slices are looked through.
    """

    def __init__(self, workspace: Workspace, segmenter: Segmenter, ghosts: Ghosts, runner: Runner) -> None:
        self._workspace, self._segmenter, self._ghosts, self._runner = workspace, segmenter, ghosts, runner
        self._job: Job | None = None

    @property
    def word(self) -> str | None:
        """What corrections of the chosen image go on through: "slice" or "time point"; None: it has one only."""
        session = self._workspace.session
        if session is None or not session.alive() or not session.corrections.instances:
            return None
        frames, slices = session.corrections.shape[:2]
        return "slice" if session.image.is_volume and slices > 1 else "time point" if frames > 1 else None

    # -- what keys do ----------------------------------------------------------------------------------------------

    def carry_at_cursor(self, step: int = 1) -> bool:
        """Carry the object under the cursor to the next slice or time point (`step` -1: that before), and go there."""
        return self._at_cursor(lambda pixel: self.carry(pixel, step))

    def suggest_at_cursor(self) -> bool:
        """Suggest the object under the cursor between this slice and the other ones in which it was corrected."""
        return self._at_cursor(self.suggest)

    def take_at_cursor(self, *, everywhere: bool = False) -> bool:
        """Take the suggestion under the cursor, in this plane or in all; return whether anything was changed."""
        return self._at_cursor(lambda pixel: self.take(pixel, everywhere=everywhere))

    def _at_cursor(self, do: Any) -> bool:
        session = self._workspace.session
        if session is not None and session.painting:
            return False  # a button of the mouse is down
        pixel = None if session is None else session.geometry.pixel_under_cursor(self._workspace.viewer)
        if session is not None and pixel is None:
            self._workspace.say("Point at an object in the image, and press the key again.", "error")
            return False
        done: bool = do(pixel or (0, 0))
        return done

    # -- from Python -----------------------------------------------------------------------------------------------

    def carry(self, pixel: tuple[int, int], step: int = 1) -> bool:
        """Carry an object to the next slice of a stack, or time point of a series, and show that; return if it changed.

        If an object overlaps it there that is not in this plane, that one gets its id, in the slices that follow, too,
        as far as it goes on and nobody has corrected or reviewed it. Else its shape is copied. In a series of stacks it
        goes to the next slice. All of it is one step of undo. In a large image a worker looks through the slices.

        Parameters
        ----------
        pixel : tuple of int
            (Y, X) in the plane in view.
        step : int
            1, or -1 for the slice before.
        """
        return self._told(self._carry, pixel, step)

    def suggest(self, pixel: tuple[int, int]) -> bool:
        """Suggest an object's shape in the slices, or time points, between this one and others where it was corrected.

        To each side the nearest of these is taken; or the nearest that has it, where it is missing between them. A
        worker looks for them. Returns whether that has begun and, of a runner that is done at once, whether there is
        something to suggest.
        """
        return self._told(self._suggest, pixel)

    def take(self, pixel: tuple[int, int], *, everywhere: bool = False) -> bool:
        """Make an object of the suggestion at a pixel (Y, X) of the plane in view, or in all planes that have it."""
        return self._told(self._take, pixel, everywhere)

    def take_all(self) -> bool:
        """Make objects of all that is suggested."""
        return self._told(self._take_all)

    def close(self) -> None:
        """Look for nothing any more."""
        self._stop()

    def discard(self) -> None:
        """Suggest nothing any more; the labels stay as they are."""
        self._stop()
        self._ghosts.forget()
        self._workspace.say("Nothing is suggested any more. The objects are as they were.")

    # -- how -------------------------------------------------------------------------------------------------------

    def _told(self, do: Any, *arguments: Any) -> bool:
        """Do something with the chosen image, and say what was done; return whether something was.

        `do` returns a sentence, or whether it has begun something of which it tells itself.
        """
        workspace = self._workspace
        try:
            session = check_editable(workspace.viewer, workspace.session)
            if self._segmenter.works_on(session):
                raise UNetError("This image is being segmented. Wait until it is done, or press Stop.")
            done = do(session, *arguments)
        except UNetError as error:
            workspace.say(str(error), "error")
            return False
        if isinstance(done, str):
            workspace.say(done, "done")
        return bool(done)

    def _carry(self, session: LayerSession, pixel: tuple[int, int], step: int) -> str | bool:
        axis = _Axis(session)
        here = axis.labels[axis.index]
        label = _label_at(here, pixel)
        target = axis.index + step
        if not 0 <= target < len(axis.labels):
            raise UNetError(f"This is the {'last' if step > 0 else 'first'} {axis.word}.")
        min_iou = MIN_SLICE_IOU if axis.word == "slice" else MIN_FRAME_IOU
        plane = axis.plane(target)
        there = axis.labels[target]
        if (there == label).any():
            session.geometry.move_view_to(session.viewer, (*plane, *session.middle))
            return f"Object {label} is {axis.at} this {axis.word} already."
        edit = carried(here, there, label, min_iou)
        if edit.made:
            return self._carried(session, axis, label, {target: edit})
        (old,) = (i for i in edit.ids if i != label)
        arrays = axis.labels, axis.prediction, axis.reviewed
        if not session.is_large:
            return self._carried(session, axis, label, {target: edit, **renamed_on(*arrays, target, step, old, label)})

        def write(session: LayerSession, found: dict[int, Edit]) -> str:
            edits = {}
            for index, one in {target: edit, **found}.items():
                now = axis.labels[index][one.box]  # somebody may have painted there meanwhile
                if (now == old).any():
                    after = np.where(now == old, now.dtype.type(label), now)
                    edits[index] = Edit.of(axis.labels[index], one.box, after, "")
            if target not in edits:
                raise UNetError("The object was changed meanwhile. Press the key again.")
            return self._carried(session, axis, label, edits)

        self._stop()
        job = self._job = Job("Carry an object on")
        search = partial(renamed_on, *arrays, target, step, old, label, job.cancel)
        return self._in_worker(job, search, write, axis)

    def _carried(self, session: LayerSession, axis: _Axis, label: int, edits: dict[int, Edit]) -> str:
        """Write an object into other slices, and show the first of these; return what was done."""
        self._write(session, [(axis.plane(index), edit) for index, edit in edits.items()])
        first = next(iter(edits))
        session.geometry.move_view_to(session.viewer, (*axis.plane(first), *session.middle))
        if edits[first].made:
            return f"Object {label}: copied. {_UNDO}"
        more = f" {axis.at} {counted(len(edits), axis.word)}" if len(edits) > 1 else ""
        return f"Object {label}: found, and has its id now{more}. {_UNDO}"

    def _in_worker(self, job: Job, work: Callable[[], Any], then: Callable[..., str], axis: _Axis) -> bool:
        """Have a worker look for something, and do what comes of it; return whether that has begun, or was done."""
        outcome = [True]

        def found(result: Any) -> None:
            if job is self._job:
                self._job = None
                outcome[0] = self._told(self._for_axis, axis, then, result)

        def failed(error: Exception) -> None:
            if job is self._job:
                self._job, outcome[0] = None, False
                self._workspace.say_error(error)

        self._runner.start(job, once(work), ignore, found, failed)
        return outcome[0]

    @staticmethod
    def _for_axis(session: LayerSession, axis: _Axis, then: Callable[..., str], result: Any) -> str:
        """Do something with what a worker has found, unless another image was chosen meanwhile."""
        if session is not axis.session:
            raise UNetError("Another image was chosen meanwhile. Press the key again.")
        return then(session, result)

    def _suggest(self, session: LayerSession, pixel: tuple[int, int]) -> bool:
        """Have it looked for where an object can be suggested; return whether that has begun, or came to something."""
        axis = _Axis(session)
        session.rescan()
        label = _label_at(axis.labels[axis.index], pixel)
        self._stop()
        job = self._job = Job("Suggest in other slices")
        near = range(max(0, axis.index - MAX_REACH), min(len(axis.labels), axis.index + MAX_REACH + 1))
        corrected = {index: session.corrections.corrected_in(axis.plane(index)) for index in near}
        search = SuggestionSearch(axis.labels, axis.reviewed, corrected, axis.index, label, job.cancel)
        return self._in_worker(
            job, search.run, lambda session, found: self._suggested(session, axis, label, found), axis
        )

    def _stop(self) -> None:
        """Look for nothing any more."""
        if self._job is not None:
            self._job.cancel.cancel()
            self._job = None

    def _suggested(self, session: LayerSession, axis: _Axis, label: int, suggestions: Suggestions) -> str:
        """Suggest what was found, for an object that was at that place; return what was done."""
        outlines = {axis.plane(index): [outline] for index, outline in suggestions.outlines.items()}
        if not outlines:
            raise UNetError(f"Correct this object {axis.at} another {axis.word} too, then press the key again.")
        if suggestions.label != label:
            self._join(session, axis, label, suggestions.label)
        self._ghosts.suggest(outlines)
        one, every = (self._workspace.keys.named(action) for action in ("take_suggestion", "take_everywhere"))
        where = f"{axis.at} {counted(len(outlines), axis.word)}"
        return f"Suggested {where}. Look through them; {one} takes one, {every} all."

    def _join(self, session: LayerSession, axis: _Axis, label: int, other: int) -> None:
        """Give an object that was drawn in one plane alone the id of one that was corrected further away.

        Who draws a missing object in two slices has got two ids for it.
        """
        now = session.labels[axis.plane(axis.index)]
        box = box_of(now, [label])
        after = np.where(now[box] == label, now.dtype.type(other), now[box])
        self._write(session, [(axis.plane(axis.index), Edit.of(now, box, after, ""))])

    def _take(self, session: LayerSession, pixel: tuple[int, int], everywhere: bool) -> str | bool:
        there = [one for one in self._ghosts.in_plane(session.plane) if one.holds(*pixel)]
        if not there:
            raise UNetError("There is no suggestion under the cursor. Point at an outline, and press the key again.")
        label = there[0].label
        wanted = [(session.plane, there[0])]
        if everywhere:
            more = self._ghosts.suggested.items()
            wanted += [(p, o) for p, some in more for o in some if o.label == label and o is not there[0]]
        return self._take_these(session, wanted)

    def _take_all(self, session: LayerSession) -> str | bool:
        wanted = [(plane, one) for plane, some in self._ghosts.suggested.items() for one in some]
        if not wanted:
            key = self._workspace.keys.named("suggest_between")
            raise UNetError(f"Nothing is suggested. Point at an object that you corrected, and press {key}.")
        return self._take_these(session, wanted)

    def _take_these(self, session: LayerSession, wanted: Sequence[tuple[Plane, Outline]]) -> str | bool:
        """Write what was suggested; of many planes of a large image a worker looks first where the objects are now."""
        if len(wanted) == 1 or not session.is_large:
            return self._taken(session, wanted, [None] * len(wanted))
        self._stop()
        job = self._job = Job("Take suggestions")
        labels = session.labels

        def look() -> list[Box | None]:
            boxes: list[Box | None] = []
            for plane, one in wanted:
                job.cancel.check()
                boxes.append(one.found_in(labels[plane]) or one.box)
            return boxes

        def write(session: LayerSession, boxes: list[Box | None]) -> str:
            shown = self._ghosts.in_plane
            if not all(any(one is other for other in shown(plane)) for plane, one in wanted):  # discarded, or taken
                raise UNetError("The suggestions were changed meanwhile. Press the key again.")
            return self._taken(session, wanted, boxes)

        return self._in_worker(job, look, write, _Axis(session))

    def _taken(
        self, session: LayerSession, wanted: Sequence[tuple[Plane, Outline]], boxes: Sequence[Box | None]
    ) -> str:
        """Write what was suggested, in one step; return what was done. `boxes`: where the objects are now, if known."""
        edits, refused = [], 0
        pending: dict[Plane, NDArray[Any]] = {}
        for (plane, one), near in zip(wanted, boxes, strict=True):
            labels = pending.get(plane)
            labels = session.labels[plane] if labels is None else labels
            try:
                edit = one.drawn(labels, session.corrections.reviewed[plane], near=near)
            except EditError:
                refused += 1
                continue
            edits.append((plane, edit))
            if sum(p == plane for p, _ in wanted) > 1:
                pending[plane] = edit.applied(labels)
        outlines = [one for _, one in wanted]
        if not edits:
            self._ghosts.forget(outlines)
            raise UNetError("Nothing was changed: the objects have that shape already, or others are in its place.")
        self._write(session, edits)
        self._ghosts.forget(outlines)
        word = _Axis(session).word
        ids = {one.label for one in outlines}
        what = f"object {min(ids)}" if len(ids) == 1 else counted(len(ids), "object")
        return f"Took {what} in {counted(len({p for p, _ in edits}), word)}. {_UNDO}"

    @staticmethod
    def _write(session: LayerSession, edits: Sequence[tuple[Plane, Edit]]) -> None:
        """Carry out edits, each of a plane (Y, X), in one step of undo."""
        if len(edits) > 1 and session.held:
            raise UNetError("The labels are being saved. Try again in a moment.")
        session.edit_frames([edited_pixels(session.labels, frame, edit.in_slice(z)) for (frame, z), edit in edits])
        session.offer_id()


def _label_at(plane: NDArray[Any], pixel: tuple[int, int]) -> int:
    label = int(plane[pixel])
    if label <= 0:
        raise UNetError("There is no object under the cursor. Point at one, and press the key again.")
    return label
