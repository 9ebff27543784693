"""Learning from the corrections in the background: one job at a time, while the user goes on painting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from napari_unet.errors import NothingToLearnError, UNetError
from napari_unet.layers.jobs import Job, Runner
from napari_unet.layers.learning.correction_search import CorrectionSearch
from napari_unet.layers.learning.model_diff import FieldInView, FieldSegmented, preview_steps, view_of
from napari_unet.layers.learning.stored_corrections import LearnedFrom, ProjectCrops
from napari_unet.learning.checks import Checked
from napari_unet.learning.history import Generation
from napari_unet.learning.interactive import Learned, Rescaled, learning_steps
from napari_unet.learning.one_class import OneClass
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.preview import Preview
from napari_unet.learning.step_estimate import enough_seconds, step_estimate
from napari_unet.models.model import Model, resolve_device
from napari_unet.progress import Countdown, PauseToken, Stopwatch, counted, format_seconds
from napari_unet.training.config import StepReport

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_unet.corrections.corrections import Summary
    from napari_unet.layers.learning.model_diff import ModelDiff
    from napari_unet.layers.learning.model_switch import ModelSwitch
    from napari_unet.layers.learning.stored_corrections import StoredCorrections
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Level, Workspace
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.learning.step_estimate import StepEstimate

MIN_JOIN_INTERVAL = 3.0
"""Least seconds between two times that corrections made meanwhile join what is learned from."""

TOLD_AT = 3
"""After so many steps it is known how long one takes."""


@dataclass(frozen=True, slots=True, eq=False)
class _Unread:
    """Images of the list whose corrections cannot be read, and why."""

    why: dict[Path, str]

    def __str__(self) -> str:
        return f"The corrections in {counted(len(self.why), 'image')} could not be read: see Details."


class Learner:
    """Fine-tunes the model in use on all corrections; at most one job at a time.

    A new model is used at once unless something speaks against it: see `learning.gate.Verdict`. Else it waits, and what
    it would change is shown, until the user decides.

    Parameters
    ----------
    workspace : Workspace
    switch : ModelSwitch
        Puts the new model in use, or has it wait.
    diff : ModelDiff
        Shows what the model changes while it learns.
    stored : StoredCorrections
        Corrections of images that are not open.
    runner : Runner
        Where the job runs.

    Attributes
    ----------
    preview : bool
        Whether to show, while it learns, what it makes of the field in view.
    pause : PauseToken
        Holds the job up.
    """

    def __init__(
        self, workspace: Workspace, switch: ModelSwitch, diff: ModelDiff, stored: StoredCorrections, runner: Runner
    ) -> None:
        self._workspace, self._switch, self._diff, self._runner = workspace, switch, diff, runner
        self._stored = stored
        self._job: Job | None = None
        self._search: CorrectionSearch | None = None
        self._refused = False  # whether it found nothing to learn from
        self.preview = False
        self.pause = PauseToken()
        self._countdown: Countdown | None = None
        self._view: FieldInView | None = None  # as of the last step, for the worker
        self._joined: tuple[Summary | None, Stopwatch] = (None, Stopwatch())
        self._more: LearnedFrom | None = None  # for the worker, where that is more by now
        self._closed: set[Path] = set()  # projects of images that were closed since
        workspace.corrected.connect(self._join)
        workspace.session_closing.connect(self._on_closing)

    @property
    def busy(self) -> bool:
        """Whether it learns."""
        return self._job is not None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it ends by itself, at most; None while it does not learn."""
        return None if self._job is None or self._countdown is None else self._countdown.seconds_left

    @property
    def reviewed(self) -> bool:
        """Whether something is reviewed, in open images or others of the list, on which a new model may be checked."""
        return self._stored.reviewed or any(one.summary.reviewed_pixels for one in self._workspace.sessions)

    @property
    def estimate(self) -> StepEstimate | None:
        """How many steps the model in use would learn in the time that is set; None: not known yet."""
        workspace = self._workspace
        if workspace.model is None:
            return None
        return step_estimate(workspace.model, workspace.learning_seconds, workspace.device)

    @property
    def device(self) -> str:
        """Where it learns: "cpu", "cuda:0", ..."""
        return str(resolve_device(self._workspace.device))

    def start(self) -> bool:
        """Begin to learn; return False if there is nothing to learn from, as far as is known by then."""
        workspace = self._workspace
        if self._job is not None:
            workspace.say("Learning is under way. Press Stop first to start again.", "error")
            return False
        try:
            if workspace.model is None or not (workspace.sessions or self._stored.projects()):
                raise NothingToLearnError("There is nothing to learn from yet. Press Segment, then correct the result.")
            search = CorrectionSearch(workspace.sessions)
        except UNetError as error:
            workspace.say_error(error)
            return False
        model, self._search, self._refused = workspace.model, search, False
        self._job = search.job
        workspace.learning.emit(True)
        search.start(self._runner, lambda: self._on_searched(search, model), partial(self._on_failed, search.job))
        if self._job is search.job:
            self._begin(search, model)
        return not self._refused

    def _begin(self, search: CorrectionSearch, model: Model) -> bool:
        """Begin to learn from what is known to be corrected; return whether there is something."""
        workspace = self._workspace
        try:
            given, generation = self._learned_from(model), workspace.history.in_use
        except UNetError as error:
            self._on_failed(search.job, error)
            return False
        if not given.crops and not given.projects:
            return False
        planes = sum(len(one.part.labels) for one in given.crops)
        others = f" and {counted(len(given.projects), 'image')} of the list" if given.projects else ""
        self._job = job = Job(f"Learn from {counted(planes, 'plane')}{others}")
        workspace.history.set_aside()
        self.pause.set(False)
        self._countdown = Countdown(workspace.learning_seconds)
        session = workspace.session
        self._more, self._joined = None, (session.summary if session else None, Stopwatch())
        if session is not None:
            workspace.corrected.emit(session.summary)  # edits that told nobody were found just now
        where = f" in {counted(len(given.projects) + bool(given.crops), 'image')}" if given.projects else ""
        workspace.say(f"Learning from your corrections{where}. You can go on painting.")
        self._runner.start(
            job,
            partial(self._steps, job, model, generation, given, workspace.device, workspace.learning_seconds),
            lambda event: self._on_event(job, event),
            lambda found: self._on_learned(job, model, *found),
            lambda error: self._on_failed(job, error),
        )
        return True

    def hold(self, paused: bool) -> None:
        """Pause, or go on."""
        if self._job is not None:
            self.pause.set(paused)
            if self._countdown is not None:
                self._countdown.hold(paused)
            self._workspace.say("Learning is paused. Press Go on to continue." if paused else "Learning continues.")

    def stop(self) -> None:
        """Stop after the step under way; what was learned until then is used."""
        if self._job is not None:
            self._job.cancel.cancel()

    def close(self) -> None:
        """Stop, and tell of nothing any more."""
        self.stop()
        if self._search is not None:
            self._search.job.cancel.cancel()
        self.pause.set(False)
        self._job = None
        self._workspace.corrected.disconnect(self._join)

    # -- in the worker ---------------------------------------------------------------------------------------------

    def _steps(
        self,
        job: Job,
        model: Model,
        before: Generation | None,
        given: LearnedFrom,
        device: str,
        seconds: float,
    ) -> Generator[
        Rescaled | OneClass | StepReport | Checked | FieldSegmented | _Unread, None, tuple[Learned, Generation]
    ]:
        """Learn, and segment the field in view now and then with what was learned so far; the new model is on disk."""
        stored, watch = ProjectCrops(model, job.cancel), Stopwatch()
        crops = stored.all_of(given)
        seconds = max(seconds - watch.seconds, seconds / 2)  # reading them is a part of the time
        if stored.unread:
            yield _Unread(dict(stored.unread))
        steps = learning_steps(
            model,
            crops,
            seconds,
            device,
            job.cancel,
            pause=self.pause,
            more=partial(self._take_more, stored),
            preview_wanted=self._wants_preview,
        )
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                return self._stored_model(end.value, before)
            view = self._view
            if not isinstance(event, Preview):
                yield event
            elif view is not None:
                yield from preview_steps(view, event.model, device, job.cancel)

    def _stored_model(self, learned: Learned, before: Generation | None) -> tuple[Learned, Generation]:
        """Write what was learned before anybody is told of it: what is told to be there outlives the program."""
        generation = Generation(learned.model, learned.verdict, before)
        if learned.model.info.recipe.get("steps"):
            self._workspace.history.store(generation)
        return learned, generation

    def _wants_preview(self) -> bool:
        """Whether somebody wants to see how far it is."""
        return self.preview and self._view is not None

    def _take_more(self, stored: ProjectCrops) -> list[AnnotatedCrop]:
        """Return all that is to be learned from, if that is more by now."""
        more, self._more = self._more, None
        return [] if more is None else stored.all_of(more)

    # -- while it learns -------------------------------------------------------------------------------------------

    def _on_searched(self, search: CorrectionSearch, model: Model) -> None:
        """Begin if nothing was known to learn from; else what was found meanwhile joins."""
        if self._job is search.job:
            if not self._begin(search, model):
                nothing = "Nothing is corrected or reviewed yet."
                advice = "Paint or erase on the result, or mark a field as Reviewed."
                self._on_failed(search.job, NothingToLearnError(f"{nothing} {advice}"))
        elif self._job is not None and self._search is search and search.found:
            self._hand_over(model)

    def _learned_from(self, model: Model) -> LearnedFrom:
        """Return all that there is to learn from now."""
        crops, closed = self._workspace.annotated_crops(model), frozenset(self._closed)
        self._closed.clear()
        return LearnedFrom(crops, self._stored.projects(), closed)

    def _on_event(self, job: Job, event: object) -> None:
        workspace = self._workspace
        if job is not self._job:
            return
        if isinstance(event, StepReport):
            if event.note:
                workspace.say(event.note)
            elif event.step == TOLD_AT:
                self._tell_if_slow(event)
            self._view = view_of(workspace) if self.preview else None
            workspace.stepped.emit(event)
        elif isinstance(event, Rescaled):
            workspace.say(f"{event} Their diameter is under Segment.", details=event.details)
        elif isinstance(event, OneClass):
            workspace.say(str(event), "warning")
        elif isinstance(event, _Unread):
            workspace.say(str(event), "error", "\n".join(event.why.values()))
        elif isinstance(event, Checked):
            workspace.checked.emit(event)
        elif isinstance(event, FieldSegmented):
            self._diff.show(event)

    def _tell_if_slow(self, report: StepReport) -> None:
        """Say so where the time is too short for this machine: few steps teach little."""
        workspace = self._workspace
        limit, each = workspace.learning_seconds, report.seconds / report.step
        training, wanted = report.seconds + (self.seconds_left or 0.0), DEFAULT_POLICY.duration.min_steps
        if training < wanted * each:
            enough = format_seconds(enough_seconds(wanted, each))
            workspace.say(f"{format_seconds(limit)} is short on this computer. {enough} or more teaches it better.")

    def _join(self, summary: Summary | None) -> None:
        """Hand corrections that were made meanwhile to the worker, now and then."""
        before, since = self._joined
        model = self._workspace.model
        if self._job is None or model is None or summary == before or since.seconds < MIN_JOIN_INTERVAL:
            return
        self._hand_over(model)

    def _hand_over(self, model: Model) -> None:
        """Hand all that there is to learn from by now to the worker."""
        try:
            self._more = self._learned_from(model)
        except UNetError:  # a layer that no longer fits its image; it is told when the user asks for something
            return
        session = self._workspace.session
        self._joined = session.summary if session else None, Stopwatch()

    def _on_closing(self, session: LayerSession) -> None:
        """Let go of a session whose layers are gone."""
        if self._view is not None and self._view.session is session:
            self._view = None
        if session.saved_as is not None:
            self._closed.add(session.saved_as)
        if self._job is None:
            self._search = None

    # -- afterwards ------------------------------------------------------------------------------------------------

    def _ended(self) -> None:
        self._job, self._view, self._more = None, None, None
        self._workspace.learning.emit(False)
        self._diff.hide()

    def _on_failed(self, job: Job, error: Exception) -> None:
        if job is self._job:
            self._refused = self._search is not None and job is self._search.job
            self._ended()
            self._workspace.say_error(error)

    def _on_learned(self, job: Job, model: Model, learned: Learned, generation: Generation) -> None:
        if job is not self._job:
            return
        self._ended()
        workspace, history = self._workspace, self._workspace.history
        recipe = learned.model.info.recipe
        if not recipe.get("steps"):
            workspace.say("Stopped before anything was learned. The model is unchanged.")
            return
        _take_sliders(generation, model)
        if generation.before is not history.in_use:
            history.add_unused(generation)
            workspace.say("You chose another model meanwhile. The new one is in the list of the Learn panel.", "done")
            return
        took = f"Learned for {format_seconds(float(recipe.get('seconds') or 0))}."
        fitted = f"The settings under Adjust were fitted. {learned.fitted}" if learned.fitted is not None else ""
        details = "\n".join(filter(None, (learned.verdict.details, fitted, took)))
        if learned.verdict.should_promote():
            level: Level = "warning" if learned.verdict.is_doubtful else "done"
            self._switch.use_new(generation, str(learned.verdict), details, level)
        else:
            self._switch.propose(generation, f"{learned.verdict} {learned.verdict.advice}", details)


def _take_sliders(new: Generation, model: Model) -> None:
    """Give what was learned from a model the sliders where they were moved to meanwhile, unless it has its own."""
    before = model.info.decoding
    if new.before is None or new.before.info.decoding == before or new.info.decoding != before:
        return
    known = new.model
    new.amend(Model(known.net, known.info.with_decoding(new.before.info.decoding)))
