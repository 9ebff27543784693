"""Segmenting in the background: one job at a time, which can be stopped, gone on with, and overtaken by a new model."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_unet.errors import Cancelled, FileFormatError, UNetError
from napari_unet.guidance.where_next import Uncertainty, uncertainty_by_cell
from napari_unet.inference.diameter import find_diameter
from napari_unet.inference.scale import is_rescaled
from napari_unet.inference.steps import Finished, SubimageDone, UnderWay, segment_steps
from napari_unet.layers.jobs import Job, Runner, once, sentence
from napari_unet.layers.viewport import Piece, View, pieces
from napari_unet.objects.stitch import count_ids

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_unet.inference.task import Task
    from napari_unet.layers.controller import Controller, Scope
    from napari_unet.layers.session import LayerSession, Renaming
    from napari_unet.progress import Progress

_CORRECT = "Correct them with napari's brush, then Learn."
_NOTHING_FOUND = "Try another model, set the object diameter, or paint some with napari's brush, then Learn."
_AFTER_LEARNING = "Go back returns to the model before."


class Segmenter:
    """Segments what the controller has chosen, and writes it into the session's labels as it comes.

    Parameters
    ----------
    controller : Controller
        Whose image and model it is, and whose signals tell of what happens.
    runner : Runner
        Where the job runs.
    """

    def __init__(self, controller: Controller, runner: Runner) -> None:
        self._controller, self._runner = controller, runner
        self._generation = 0
        self._job: Job | None = None
        self._session: LayerSession | None = None  # what that job is about
        self._view: View | None = None  # followed while that job runs
        self._untimed: Task | None = None  # its task, until it is known how long that takes

    @property
    def busy(self) -> bool:
        """Whether it segments."""
        return self._job is not None

    def start(self, lead: str = "", scope: Scope | None = None, *, look: bool = True) -> bool:
        """Begin, or go on where it was stopped; return whether it began.

        Parameters
        ----------
        lead : str
            Said before the closing sentence: why this was done, where the user did not ask for it.
        scope : {"stack", "slice", "view"}, optional
            How much is segmented; None: as much as the user has chosen.
        look : bool
            Whether it is found out before how wide the objects are, where that is not known. Once: the pixels of a
            live image are others each time.
        """
        desk = self._controller
        if self._job is not None:
            desk.say("Segmenting already; press Stop first to begin anew.", "error")
            return False
        try:
            session, task = desk.prepare(scope)
        except UNetError as error:
            desk.say(str(error), "error")
            return False
        if look and desk.sizes.wanted(session.layer, session.image):
            self._find_size(session, task, lead, scope or desk.scope)
            return True
        self._generation += 1
        task, finished = _done_before(session, task)
        session.unfinished = None
        tiles = finished.tiles_left(task)
        name = str(session.layer.name)
        job = Job(f"Segment {name if len(name) <= 30 else name[:29] + '…'}", tiles, self._generation)
        self._job, self._session = job, session
        self._view = view = View(session)
        self._untimed = task if task.plan.pace is None and tiles == task.n_tiles else None
        device, overlap = desk.device, (os.cpu_count() or 1) > 2  # of two cores one is the window's

        def steps() -> Generator[Any, None, None]:
            events = segment_steps(
                task, device=device, focus=view.place, cancel=job.cancel, finished=finished, overlap=overlap, tells=True
            )
            for event in events:
                yield from [event] if isinstance(event, UnderWay) else pieces(event)
                if isinstance(event, SubimageDone):
                    frame, outputs = event.subimage.frame, task.model.info.outputs
                    yield uncertainty_by_cell(event.maps, event.labels, outputs, frame, event.region)

        def ended(error: Exception | None) -> None:
            view.close()
            if isinstance(error, Cancelled | FileFormatError):
                session.unfinished = task, finished
            if error is None and job is self._job and task.subimages[0].z is not None and session.joins_slices:
                self._join_slices(job, session, lead)
            elif error is None:
                self._count(job, session, lead)
            else:
                self._end(job, session, error, lead)

        desk.segmenting.emit(True)
        what = f"Segmenting: {task}." if tiles == task.n_tiles else f"Going on where it stopped: {tiles} tiles left."
        desk.say(f"{_scale(task)}{what}")
        self._runner.start(job, steps, lambda event: self._on_event(job, session, event), lambda _: ended(None), ended)
        return True

    def _find_size(self, session: LayerSession, task: Task, lead: str, scope: Scope) -> None:
        """Find out how wide the objects are, then begin with what was to be segmented."""
        desk, image, channel = self._controller, session.image, self._controller.channel
        self._generation += 1
        self._job = job = Job("Look how wide objects are", 0, self._generation)
        self._session = session
        find = partial(find_diameter, image, task.model, channel=channel, device=desk.device, cancel=job.cancel)

        def found(diameter: float | None) -> None:
            if job is not self._job:
                return
            if desk.session is not session:  # it was removed, or another image was chosen
                self._end(job, session, Cancelled(), lead)
                return
            desk.sizes.take(session.layer, image, channel, diameter, task.model.info.image_diameter)
            self._job = None
            if not self.start(lead, scope, look=False):
                desk.segmenting.emit(False)

        def failed(error: Exception) -> None:
            if isinstance(error, Cancelled):
                self._end(job, session, error, lead)
            else:
                found(None)  # what is wrong shows when it is segmented

        desk.segmenting.emit(True)
        desk.say("Looking how wide the objects are.")
        self._runner.start(job, once(find), lambda _: None, found, failed)

    def stop(self) -> None:
        """Stop at once; what is finished stays."""
        if self._job is not None:
            self._job.cancel.cancel()

    def drop(self) -> None:
        """Let go of what is under way: it was begun with another model."""
        self._generation += 1
        if self._job is not None:
            self._job.cancel.cancel()
            self._job = self._session = self._untimed = None
            self._controller.segmenting.emit(False)

    def forget(self, session: LayerSession) -> None:
        """Stop, if it is about a session that is gone."""
        if self._session is session:
            self.stop()

    def close(self) -> None:
        """Stop, and tell nobody."""
        self.stop()
        self._generation += 1
        self._job = None
        if self._view is not None:
            self._view.close()

    def _on_event(self, job: Job, session: LayerSession, event: Piece | UnderWay | Uncertainty) -> None:
        if job is not self._job or job.generation != self._generation or not session.alive():
            return
        if isinstance(event, Uncertainty):
            session.attention.take(event, self._controller.model)
        elif isinstance(event, UnderWay) or self._paint(job, session, event):
            self._tell(job, event.progress)

    def _paint(self, job: Job, session: LayerSession, piece: Piece) -> bool:
        """Write a part of the result; return whether it could be."""
        try:
            session.write(piece.frame, piece.region, piece.labels, piece.known)
        except UNetError as error:
            job.cancel.cancel()
            self._end(job, session, error, "")
            return False
        return True

    def _tell(self, job: Job, progress: Progress) -> None:
        desk = self._controller
        if self._untimed is not None and progress.fraction < 1:
            task = self._untimed.timed(desk.device)
            if task.plan.pace is not None:
                self._untimed = None
                desk.say(f"{_scale(task)}Segmenting: {task}.")
        if progress.note not in ("", job.note):
            job.note = progress.note
            desk.say(job.note)
        desk.progressed.emit(progress)

    def _join_slices(self, job: Job, session: LayerSession, lead: str) -> None:
        """Give objects one id from slice to slice, which is found out in the background."""

        def joined(ids: dict[int, int]) -> None:
            if job is self._job and session.alive():
                session.rename(ids)
            self._count(job, session, lead)

        def found(part: Renaming) -> None:
            if job is self._job and session.alive():
                session.rename_in(part)

        self._runner.start(
            Job("Join slices", 0, job.generation),
            session.steps_to_join(),
            found,
            joined,
            lambda error: self._end(job, session, error, lead),
        )

    def _count(self, job: Job, session: LayerSession, lead: str) -> None:
        """Count what was found, of a large image in the background, and end."""
        if lead or not session.is_large or job is not self._job or not session.alive():
            self._end(job, session, None, lead)
            return
        self._runner.start(
            Job("Count objects", 0, job.generation),
            once(partial(count_ids, session.labels_layer.data)),
            lambda _: None,
            lambda count: self._end(job, session, None, lead, count),
            lambda error: self._end(job, session, error, lead),
        )

    def _end(
        self, job: Job, session: LayerSession, error: Exception | None, lead: str, count: int | None = None
    ) -> None:
        desk = self._controller
        if job is not self._job:
            return
        self._job = self._session = self._view = self._untimed = None
        desk.segmenting.emit(False)
        if not session.alive():
            desk.say("The layer was removed while it was being segmented. Nothing else was changed.")
        elif isinstance(error, Cancelled):
            desk.say("Stopped. What was finished stays; Segment goes on from there.")
        elif error is not None:
            desk.say(sentence(error), "error")
        else:
            session.rescan()
            note = " ".join(filter(None, (job.note, str(session.image.damage or ""))))
            count = session.count(in_view=bool(lead)) if count is None else count
            advice = _AFTER_LEARNING if lead else _CORRECT if count else _NOTHING_FOUND
            found = f"{lead or 'Found '}{session.in_words(count)}. {advice}"
            desk.say(f"{found}{' ' * bool(note)}{note}", "done")
        if session.alive():
            session.show_thumbnail()
            session.offer_id()
        desk.refresh_corrections(everything=True)


def _scale(task: Task) -> str:
    """Return what to say of a scale that was found on the image; nothing where it is seen as it is."""
    found, zoom = task.image.found_diameter, task.zoom
    against = task.model.info.image_diameter
    if found is None or task.image.diameter is not None or task.image.found_against != against:
        return ""
    if not is_rescaled(zoom):
        return f"The objects are about {found:.0f} pixels wide, not {against:.0f}. " if against else ""
    times = f"{1 / zoom[-1]:.1f} times smaller" if zoom[-1] < 1 else f"{zoom[-1]:.1f} times larger"
    return f"The objects are about {found:.0f} pixels wide, so the image is looked at {times}. "


def _done_before(session: LayerSession, task: Task) -> tuple[Task, Finished]:
    """Return the task, and what a stopped segmentation has done of it: something only if nothing that matters changed.

    It goes on by the plan that it was begun with: the memory that is free now may be another.
    """
    if session.unfinished is None:
        return task, Finished()
    before, finished = session.unfinished
    going_on = replace(task, plan=before.plan)
    same = (
        before.model is task.model
        and before.image.same_pixels(task.image)
        and (before.image.axes, before.channels) == (task.image.axes, task.channels)
        and (before.plan.shape, before.plan.region) == (task.plan.shape, task.plan.region)
        and before.flips == task.flips
    )
    return (going_on, finished) if same and len(finished.subimages) < len(task.subimages) else (task, Finished())
