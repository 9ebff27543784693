"""Learning from the corrections, the models that came of it, and the way back to each of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.errors import NothingToLearnError, UNetError
from napari_unet.layers.correction_search import Search
from napari_unet.layers.jobs import Job, Runner, sentence
from napari_unet.layers.model_diff import Changes, Look, Seen, look_steps
from napari_unet.learning.checks import Checked
from napari_unet.learning.history import Generation
from napari_unet.learning.interactive import Learned, Rescaled, learning_steps
from napari_unet.learning.preview import Preview
from napari_unet.models.model import resolve_device
from napari_unet.models.parking import Parking
from napari_unet.progress import PauseToken, Stopwatch, counted, format_seconds
from napari_unet.training.config import StepReport

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_unet.corrections.corrections import Summary
    from napari_unet.layers.controller import Controller
    from napari_unet.layers.session import LayerSession
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.model import Model

JOIN_EVERY = 3.0
"""Least seconds between two times that corrections made meanwhile join what is learned from."""


class Learner:
    """Fine-tunes the controller's model on all corrections; at most one job at a time.

    A new model is used at once unless something speaks against it: see `learning.gate.Verdict`. Else it waits, and what
    it would change is shown, until the user decides.

    Parameters
    ----------
    controller : Controller
        Whose model it is, and whose signals tell of what happens.
    runner : Runner
        Where the job runs.
    """

    changed = Signal()  # the history, or what waits for a decision

    def __init__(self, controller: Controller, runner: Runner) -> None:
        self._controller, self._runner = controller, runner
        self._job: Job | None = None
        self._search: Search | None = None
        self._refused = False  # whether it found nothing to learn from
        self._history: list[Generation] = []
        self._current: Generation | None = None
        self.waiting: Generation | None = None
        self.parking = Parking()
        self.changes = Changes(controller.viewer)
        self.preview = False  # whether to show, while it learns, what it makes of the field in view
        self.pause = PauseToken()
        self._look: Look | None = None  # followed for the worker
        self._joined: tuple[Summary | None, Stopwatch] = (None, Stopwatch())
        self._more: list[AnnotatedCrop] = []
        controller.corrected.connect(self._join)
        controller.segmenting.connect(self._on_segmenting)

    @property
    def busy(self) -> bool:
        """Whether it learns."""
        return self._job is not None

    @property
    def device(self) -> str:
        """Where it learns: "cpu", "cuda:0", ..."""
        return str(resolve_device(self._controller.device))

    @property
    def history(self) -> list[Generation]:
        """All models that were learned, and those that were chosen and learned from, in that order; nothing is lost."""
        self._in_use()
        return list(self._history)

    @property
    def current(self) -> int:
        """Index of the model in use in the history."""
        generation = self._in_use()
        return self._history.index(generation) if generation is not None else 0

    @property
    def can_revert(self) -> bool:
        """Whether there is an earlier model to go back to."""
        return self._earlier() is not None

    def start(self) -> bool:
        """Begin to learn; return False if there is nothing to learn from, as far as is known by then."""
        desk = self._controller
        if self._job is not None:
            desk.say("Learning already; press Stop first to begin anew.", "error")
            return False
        try:
            if desk.model is None or not desk.sessions:
                raise NothingToLearnError("There is nothing to learn from yet. Press Segment, then correct the result.")
            search = Search(desk.sessions)
        except UNetError as error:
            desk.say(str(error), "error")
            return False
        model, self._search, self._refused = desk.model, search, False
        self._job = search.job
        desk.learning.emit(True)
        search.start(self._runner, lambda: self._on_searched(search, model), partial(self._on_failed, search.job))
        if self._job is search.job:
            self._begin(search, model)
        return not self._refused

    def _begin(self, search: Search, model: Model) -> bool:
        """Begin to learn from what is known to be corrected; return whether there is something."""
        desk = self._controller
        try:
            material, generation = self._material(model), self._in_use()
        except UNetError as error:
            self._on_failed(search.job, error)
            return False
        if not material:
            return False
        planes = sum(len(one.part.labels) for one in material)
        self._job = job = Job(f"Learn from {counted(planes, 'plane')}", 0)
        self._set_aside()
        self.pause.set(False)
        self._more, self._joined = [], (desk.session.summary if desk.session else None, Stopwatch())
        if desk.session is not None:
            desk.corrected.emit(desk.session.summary)  # edits that told nobody were found just now
        desk.say("Learning from your corrections. You can go on painting.")
        self._runner.start(
            job,
            partial(self._steps, job, model, material, desk.device, desk.learning_seconds),
            lambda event: self._on_event(job, event),
            lambda learned: self._on_learned(job, generation, learned),
            lambda error: self._on_failed(job, error),
        )
        return True

    def hold(self, paused: bool) -> None:
        """Pause, or go on."""
        if self._job is not None:
            self.pause.set(paused)
            self._controller.say("Learning pauses." if paused else "Learning goes on.")

    def stop(self) -> None:
        """Stop after the step under way; what was learned until then is used."""
        if self._job is not None:
            self._job.cancel.cancel()

    def revert(self) -> None:
        """Go back to the model that the one in use was learned from, or that was in use before it was chosen."""
        earlier = self._earlier()
        if earlier is None:
            self._controller.say("There is no earlier model to go back to.", "error")
            return
        self.go_to(self._history.index(earlier))

    def go_to(self, index: int) -> None:
        """Use a model of the history."""
        if not 0 <= index < len(self.history) or index == self.current:
            return
        back = index < self.current
        try:
            self._use(self._history[index])
        except UNetError as error:  # its file is gone, or damaged
            self._controller.say(str(error), "error")
            self.changed.emit()
            return
        self._show("Back to the model before. In view: " if back else "Another model. In view: ")

    def choose(self, model: Model) -> None:
        """Use a model that is not of the history; the learned ones stay in it, and so does one that waits."""
        self._set_aside()
        self._join_history(Generation(model))
        self._serve(model)

    def use(self) -> None:
        """Use the model that waits for a decision."""
        if self.waiting is not None:
            generation = self.waiting
            self._decide(None)
            self._take(generation)
            self._show("In use now. In view: ")

    def drop(self) -> None:
        """Let go of the model that waits for a decision."""
        if self.waiting is not None:
            self._decide(None)
            self._controller.say("Dropped. The model in use is as it was.")

    def keep_changes(self) -> None:
        """Mark what the new model has changed in view as reviewed."""
        self._changed(self.changes.keep(), "marked as reviewed")

    def refuse_changes(self) -> None:
        """Put back what was in view before the new model, as corrections of the user."""
        self._changed(self.changes.refuse(), "put back, as corrections of yours")

    def _changed(self, pixels: int, what: str) -> None:
        self._controller.refresh_corrections()
        self._controller.say(f"{pixels:,} changed pixels are {what}." if pixels else "Nothing has changed in view.")

    def amend(self, model: Model, known: Model) -> None:
        """Let a model of the history be the same with more known of it."""
        for generation in self._history:
            if generation.in_memory is model:
                generation.amend(known)
                self._keep(generation)

    def take_up(self, generations: list[Generation], current: int, waiting: Generation | None) -> None:
        """Use the models of a project that was opened; those that were learned before stay."""
        self._set_aside()
        before = self._in_use()
        if not any(generation.learned for generation in self._history):
            self._history, before = [], None
        known = {one.sha256(): one for one in self._history if one.learned}
        opened = [known.get(one.sha256(), one) if one.learned else one for one in generations]
        for generation in opened:
            if generation not in self._history:
                if generation.before is None and not self._history:
                    before = None
                self._history.append(generation)
        first = opened[0]
        if first.before is None and first is not before:
            first.before = before
        self._use(opened[current])
        self._decide(waiting)
        for generation in (*opened, *([waiting] if waiting is not None else [])):
            self._keep(generation)

    def let_go(self, session: LayerSession) -> None:
        """Let go of a session whose layers are gone."""
        self.changes.let_go(session)
        if self._look is not None and self._look.session is session:
            self._look = None
        if self._job is None:
            self._search = None

    def close(self) -> None:
        """Stop, and tell of nothing any more."""
        self.stop()
        if self._search is not None:
            self._search.job.cancel.cancel()
        self.pause.set(False)
        self._job = None
        self._controller.corrected.disconnect(self._join)
        self._controller.segmenting.disconnect(self._on_segmenting)
        self.changes.hide()
        self.parking.close()

    def _steps(
        self, job: Job, model: Model, material: list[AnnotatedCrop], device: str, seconds: float
    ) -> Generator[Rescaled | StepReport | Checked | Seen, None, Learned]:
        """Learn, and segment the field in view now and then with what was learned so far (worker)."""
        steps = learning_steps(
            model,
            material,
            seconds,
            device,
            job.cancel,
            pause=self.pause,
            more=self._take_more,
            preview_wanted=self._peeks,
        )
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                learned: Learned = end.value
                return learned
            look = self._look
            if not isinstance(event, Preview):
                yield event
            elif look is not None:
                yield from look_steps(look, event.model, device, job.cancel)

    def _on_searched(self, search: Search, model: Model) -> None:
        """Begin if nothing was known to learn from; else what was found meanwhile joins."""
        if self._job is search.job:
            if not self._begin(search, model):
                nothing = "Nothing is corrected or reviewed yet."
                advice = "Paint or erase on the result, or mark a field as Reviewed."
                self._on_failed(search.job, NothingToLearnError(f"{nothing} {advice}"))
        elif self._job is not None and self._search is search and search.found:
            self._hand_over(model)

    # -- while it learns -------------------------------------------------------------------------------------------

    def _material(self, model: Model) -> list[AnnotatedCrop]:
        desk = self._controller
        return [part for session in desk.sessions for part in session.material(model, desk.channel)]

    def _on_event(self, job: Job, event: object) -> None:
        desk = self._controller
        if job is not self._job:
            return
        if isinstance(event, StepReport):
            if event.note:
                desk.say(event.note)
            self._look = self._present_look() if self.preview else None
            desk.stepped.emit(event)
        elif isinstance(event, Rescaled):
            desk.say(f"{event} Object diameter, in the panel, changes that.")
        elif isinstance(event, Checked):
            desk.checked.emit(event)
        elif isinstance(event, Seen):
            self.changes.show(event)

    def _present_look(self) -> Look | None:
        desk = self._controller
        session, model = desk.session, desk.model
        if session is None or model is None or not session.alive() or desk.viewer.dims.ndisplay == 3:
            return None
        return Look.at(session, desk.channel)

    def _peeks(self) -> bool:
        """Whether somebody wants to see how far it is (worker)."""
        return self.preview and self._look is not None

    def _join(self, summary: Summary | None) -> None:
        """Hand corrections that were made meanwhile to the worker, now and then."""
        before, since = self._joined
        model = self._controller.model
        if self._job is None or model is None or summary == before or since.seconds < JOIN_EVERY:
            return
        self._hand_over(model)

    def _hand_over(self, model: Model) -> None:
        """Hand all that there is to learn from by now to the worker."""
        try:
            self._more = self._material(model)
        except UNetError:  # a layer that no longer fits its image; it is told when the user asks for something
            return
        session = self._controller.session
        self._joined = session.summary if session else None, Stopwatch()

    def _take_more(self) -> list[AnnotatedCrop]:
        """Return all that is to be learned from, if that is more by now (worker)."""
        more, self._more = self._more, []
        return more

    # -- afterwards ------------------------------------------------------------------------------------------------

    def _on_failed(self, job: Job, error: Exception) -> None:
        if job is self._job:
            self._refused = self._search is not None and job is self._search.job
            self._job, self._look, self._more = None, None, []
            self._controller.learning.emit(False)
            self.changes.hide()
            self._controller.say(sentence(error), "error")

    def _on_learned(self, job: Job, before: Generation | None, learned: Learned) -> None:
        if job is not self._job:
            return
        desk = self._controller
        self._job, self._look, self._more = None, None, []
        desk.learning.emit(False)
        self.changes.hide()
        recipe = learned.model.info.recipe
        if not recipe.get("steps"):
            desk.say("Stopped before the first step; the model is as it was.")
            return
        generation = Generation(learned.model, learned.verdict, before)
        if before is not self._in_use():
            self._add_unused(generation)
            desk.say("Another model was chosen meanwhile. What was learned is in the list of the Learn panel.", "done")
            return
        lead = f"Learned in {recipe['steps']} steps ({format_seconds(float(recipe.get('seconds') or 0))}). "
        if learned.verdict.should_promote():
            self._take(generation)
            self._show(f"{lead}{learned.verdict} In view: ")
        else:
            self._decide(generation)
            desk.say(f"{lead}Not in use yet: {learned.verdict} Look at what it would change, then use it or drop it.")
            self._show_changes(generation)

    def _on_segmenting(self, running: bool) -> None:
        if not running:
            self.changes.segmented()

    # -- the history -----------------------------------------------------------------------------------------------

    def _in_use(self) -> Generation | None:
        """Return what is known of the model in use; None: there is none yet."""
        model = self._controller.model
        if model is not None and (self._current is None or self._current.in_memory is not model):
            self._join_history(Generation(model))
        return self._current

    def _earlier(self) -> Generation | None:
        """Return the one that was in use before the one in use; None: there is none."""
        present = self._in_use()
        if present is None:
            return None
        if present.before in self._history:
            return present.before
        index = self._history.index(present)
        return self._history[index - 1] if index else None

    def _join_history(self, generation: Generation) -> None:
        """Add a model that was chosen; one that was chosen before it, of which nothing was learned, makes room."""
        before = self._current
        if before is not None and not before.learned and before is self._history[-1]:
            self._history.pop()
            before = before.before
        generation.before = before
        self._history.append(generation)
        self._make_current(generation)

    def _add_unused(self, generation: Generation) -> None:
        """Add a model that is not in use."""
        generation.used = False
        self._history.append(generation)
        self._keep(generation)
        self.changed.emit()

    def _set_aside(self) -> None:
        """Have none wait for a decision any more; the one that did stays in the history."""
        waiting = self.waiting
        if waiting is not None and waiting not in self._history:
            self._in_use()
            self._add_unused(waiting)
        self._decide(None)

    def _take(self, generation: Generation) -> None:
        """Use a new model, after all others."""
        generation.before = generation.before or self._in_use()
        self._in_use()
        self._history.append(generation)
        self._use(generation)

    def _use(self, generation: Generation) -> None:
        """Use a model of the history."""
        model = generation.hold()
        self._make_current(generation)
        self._serve(model)

    def _make_current(self, generation: Generation) -> None:
        before, self._current = self._current, generation
        generation.used = True
        if before is not None and before is not generation and before in self._history:
            self._keep(before)
        if generation.learned:
            self._keep(generation)

    def _keep(self, generation: Generation) -> None:
        """Have the weights in a file soon, and no longer in memory unless it is in use."""
        if generation.file is None and generation.in_memory is not None:
            model = generation.in_memory

            def written(path: Path) -> None:  # in another thread
                if generation.in_memory is model:
                    generation.file = path
                    if generation is not self._current:
                        generation.release()

            self.parking.keep(model, written)
        elif generation is not self._current:
            generation.release()

    def _serve(self, model: Model) -> None:
        self._controller.serve(model)
        self.changed.emit()

    def _decide(self, generation: Generation | None) -> None:
        """Have a model wait for a decision, or none."""
        self.waiting = generation
        if generation is None:
            self.changes.hide()
        else:
            self._keep(generation)
        self.changed.emit()

    def _show_changes(self, generation: Generation) -> None:
        """Show what the model that waits would change in view."""
        look = self._present_look()
        if look is None:
            return
        desk, job = self._controller, Job("Look at the new model", 0)

        def seen(event: Seen) -> None:
            if self.waiting is generation:
                self.changes.show(event)

        self._runner.start(
            job,
            lambda: look_steps(look, generation.model, desk.device, job.cancel),
            seen,
            lambda _: None,
            lambda error: desk.say(sentence(error), "error"),
        )

    def _show(self, lead: str) -> None:
        """Segment what is in view with the model that is now in use, and say why."""
        desk = self._controller
        if desk.session is None or not desk.session.alive():
            desk.say(lead.removesuffix(" In view: "), "done")
            return
        look = self._present_look()
        if look is not None:
            self.changes.follow(look)
        elif desk.viewer.dims.ndisplay == 2:  # nothing of the image is on the canvas
            desk.say(f"{lead.removesuffix(' In view: ')} Press Segment to see what it finds.", "done")
            return
        desk.segmenter.start(lead, "view")
