"""Segmenting in the background: one job at a time, which can be stopped, gone on with, and overtaken by a new model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.errors import Cancelled, FileFormatError, UNetError
from napari_unet.guidance.where_next import Uncertainty
from napari_unet.inference.steps import Finished, UnderWay
from napari_unet.layers.inference.diameter_search import DiameterSearch
from napari_unet.layers.inference.segmenting_run import Run, done_before
from napari_unet.layers.inference.segmenting_words import (
    Judged,
    closing_words,
    opening_words,
)
from napari_unet.layers.inference.viewport import FollowedView, Piece
from napari_unet.layers.jobs import Job, Runner, once
from napari_unet.layers.session.kept_maps import KeptPart
from napari_unet.objects.stitch import count_ids
from napari_unet.progress import shortened
from napari_unet.projects.segmented_by import SegmentedBy

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.axes import Image
    from napari_unet.inference.task import Task
    from napari_unet.layers.inference.object_diameter import ObjectDiameter
    from napari_unet.layers.inference.preparation import Preparation
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.session.slice_joining import Renaming
    from napari_unet.layers.workspace import Level, Scope, Workspace
    from napari_unet.models.model import Model
    from napari_unet.progress import Progress


class Segmenter:
    """Segments the chosen image with the model in use, and writes the result into the session's labels as it comes.

    Parameters
    ----------
    workspace : Workspace
    preparation : Preparation
        Makes the task.
    object_diameter : ObjectDiameter
        Has to be known before, where the model needs it.
    runner : Runner
        Where the job runs.
    """

    ended = Signal()  # it segments no more, and what came of it is told

    def __init__(
        self, workspace: Workspace, preparation: Preparation, object_diameter: ObjectDiameter, runner: Runner
    ) -> None:
        self._workspace, self._preparation = workspace, preparation
        self._search, self._runner = DiameterSearch(workspace, object_diameter, runner), runner
        self._generation = 0
        self._run: Run | None = None
        workspace.model_changed.connect(self._on_model)
        workspace.session_closing.connect(self._on_closing)

    @property
    def busy(self) -> bool:
        """Whether it segments."""
        return self._run is not None or self._search.busy

    def works_on(self, session: LayerSession) -> bool:
        """Whether it segments the image of a session."""
        return self._search.layer is session.layer or (self._run is not None and self._run.session is session)

    def start(self, lead: str = "", scope: Scope | None = None, details: str = "", level: Level = "done") -> bool:
        """Begin, or go on where it was stopped; return whether it began.

        Parameters
        ----------
        lead : str
            Said before the closing sentence: why this was done, where the user did not ask for it.
        scope : {"stack", "slice", "view"}, optional
            How much is segmented; None: as much as the user has chosen.
        details : str
            Of the closing message.
        level : {"info", "done", "warning", "error"}
            Of the closing message: "warning" where the lead sentence is a doubtful one.
        """
        if self.busy:
            self._workspace.say("Segmenting is under way. Press Stop first to start again.", "error")
            return False
        return self._start(lead, scope or self._workspace.scope, details, level, find_diameter_first=True)

    def _start(self, lead: str, scope: Scope, details: str, level: Level, *, find_diameter_first: bool) -> bool:
        """Begin.

        Whether the object diameter is found before is asked once: the pixels of a live image are others each time.
        """
        workspace = self._workspace
        try:
            # Before there is a labels layer, which napari takes a while to make.
            model, image = self._preparation.begin()
            if find_diameter_first and self._search.is_needed(image):
                again = partial(self._start, lead, scope, details, level, find_diameter_first=False)
                self._find_diameter(model, image, again)
                return True
            session, task = self._preparation.prepare(scope)
        except UNetError as error:
            workspace.say_error(error)
            return False
        self._generation += 1
        task, finished = done_before(session, task)
        session.unfinished = None
        tiles = finished.tiles_left(task)
        job = Job(f"Segment {shortened(str(session.layer.name), 30)}", self._generation)
        untimed = task if task.plan.throughput is None and tiles == task.n_tiles else None
        run = self._run = Run(
            job,
            session,
            lead,
            details,
            level,
            FollowedView(session),
            untimed,
            task.covers_image,
            model.info,
            task.image,
        )
        session.forget_shapes(model)
        workspace.segmenting.emit(True)
        workspace.say(*opening_words(task, tiles / task.n_tiles))
        self._runner.start(
            job,
            partial(run.steps, task, finished, workspace.device),
            partial(self._on_event, run),
            lambda _: self._on_segmented(run, task, finished, None),
            partial(self._on_segmented, run, task, finished),
        )
        return True

    def _find_diameter(self, model: Model, image: Image, begin: Callable[[], bool]) -> None:
        """Find out how wide the objects are, then begin with what was to be segmented."""
        workspace = self._workspace
        self._generation += 1

        def found() -> None:
            if not begin():
                workspace.segmenting.emit(False)
                self.ended.emit()

        def given_up() -> None:
            workspace.segmenting.emit(False)
            workspace.say("Stopped. Press Segment to do the rest.")
            self.ended.emit()

        self._search.start(model, image, found, given_up)

    def stop(self) -> None:
        """Stop at once; what is finished stays."""
        self._search.stop()
        if self._run is not None:
            self._run.job.cancel.cancel()

    def close(self) -> None:
        """Stop, and tell nobody."""
        self.stop()
        self._generation += 1
        self._search.drop()
        run, self._run = self._run, None
        if run is not None:
            run.view.close()

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_model(self) -> None:
        """Let go of what is under way, and of maps: they are another model's."""
        self._generation += 1
        for session in self._workspace.sessions:
            session.maps.clear()
        if self.busy:
            self._search.drop()
            if self._run is not None:
                self._run.job.cancel.cancel()
                self._run = None
            self._workspace.segmenting.emit(False)
            self.ended.emit()

    def _on_closing(self, session: LayerSession) -> None:
        """Stop, if it is about a session that is gone."""
        if self._search.layer is session.layer:
            self._search.stop()
        if self._run is not None and self._run.session is session:
            self.stop()

    def _on_event(self, run: Run, event: Piece | UnderWay | Uncertainty | KeptPart | Judged) -> None:
        if run is not self._run or run.job.generation != self._generation or not run.session.alive():
            return
        if isinstance(event, Uncertainty):
            model = self._workspace.model  # of which only the network counts: with other settings it is the same
            run.session.attention.take(event, model and model.net)
        elif isinstance(event, KeptPart):
            if run.is_current:
                run.session.maps.keep(event)
        elif isinstance(event, Judged):
            run.judged = event
        elif isinstance(event, UnderWay) or self._write(run, event):
            self._tell(run, event.progress)

    def _write(self, run: Run, piece: Piece) -> bool:
        """Write a part of the result; return whether it could be."""
        try:
            run.session.write(piece.frame, piece.region, piece.labels, piece.known)
        except UNetError as error:
            run.job.cancel.cancel()
            self._end(run, error)
            return False
        return True

    def _tell(self, run: Run, progress: Progress) -> None:
        workspace = self._workspace
        if run.untimed is not None and progress.fraction < 1:
            task = run.untimed.timed(workspace.device)
            if task.plan.throughput is not None:
                run.untimed = None
                workspace.say(*opening_words(task))
        if progress.note not in ("", run.job.note):
            run.job.note = progress.note
            workspace.say(run.job.note)
        workspace.progressed.emit(progress)

    # -- afterwards ------------------------------------------------------------------------------------------------

    def _on_segmented(self, run: Run, task: Task, finished: Finished, error: Exception | None) -> None:
        run.view.close()
        if isinstance(error, Cancelled | FileFormatError):
            run.session.unfinished = task, finished
        if run is self._run and run.session.alive():
            self._workspace.segmented.emit(run.session, task, error is None)
        if error is not None:
            self._end(run, error)
        elif run is self._run and task.subimages[0].z is not None and run.session.joins_slices:
            self._join_slices(run)
        else:
            self._count(run)

    def _join_slices(self, run: Run) -> None:
        """Give objects one id from slice to slice, which is found out in the background."""

        def joined(ids: dict[int, int]) -> None:
            if run is self._run and run.session.alive():
                run.session.rename(ids)
            self._count(run)

        def found(part: Renaming) -> None:
            if run is self._run and run.session.alive():
                run.session.rename_in(part)

        self._runner.start(
            Job("Join slices", run.job.generation),
            run.session.steps_to_join(),
            found,
            joined,
            partial(self._end, run),
        )

    def _count(self, run: Run) -> None:
        """Count what was found, of a large image in the background, and end."""
        if run.lead or not run.session.is_large or run is not self._run or not run.session.alive():
            self._end(run, None)
            return
        self._runner.start(
            Job("Count objects", run.job.generation),
            once(partial(count_ids, run.session.labels_layer.data)),
            lambda _: None,
            lambda count: self._end(run, None, count),
            partial(self._end, run),
        )

    def _end(self, run: Run, error: Exception | None, count: int | None = None) -> None:
        if run is not self._run:
            return
        workspace, session = self._workspace, run.session
        self._run = None
        in_use = workspace.history.in_use
        if error is None and run.whole and in_use is not None:
            session.segmented_by, session.suspects = SegmentedBy.of(in_use.sha256(), run.info), None
        workspace.segmenting.emit(False)
        if not session.alive():
            workspace.say("The layer was removed while it was being segmented. Nothing else was changed.")
        elif isinstance(error, Cancelled):
            workspace.say("Stopped. Press Segment to do the rest.")
        elif error is not None:
            workspace.say_error(error)
        else:
            session.rescan()
            damage = str(session.image.damage or "")
            details = "\n".join(filter(None, (run.details, run.job.note, damage)))
            count = session.count(in_view=bool(run.lead)) if count is None else count
            if run.whole:
                session.doubt = run.judged.doubt(count)
            model = workspace.model.name if workspace.model is not None else ""
            found = session.in_words(count)
            go_on = workspace.keys.named("next_suspect")
            text, level = closing_words(found, count, run.judged, model, run.lead, damage, go_on)
            if not run.is_current:
                text, level = (
                    f"{found}, of before the pixels were replaced. Segment finds those that are there now.",
                    "warning",
                )
            workspace.say(text, run.level if level == "done" else level, details)
        if session.alive():
            session.show_thumbnail()
            session.offer_id()
        workspace.refresh_corrections(everything=True)
        self.ended.emit()
