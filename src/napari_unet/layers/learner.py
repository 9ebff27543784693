"""Learning from the corrections, the models that came of it, and the way back to each of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.errors import NothingToLearnError, UNetError
from napari_unet.layers.changes import Changes, Look, Seen, look_steps
from napari_unet.layers.jobs import Job, Runner, sentence
from napari_unet.layers.search import Search
from napari_unet.learning.corrected import Checked, Learned, Rescaled, learning_steps
from napari_unet.learning.glimpse import Glimpse
from napari_unet.learning.history import Generation
from napari_unet.learning.session import StepReport
from napari_unet.models.model import resolve_device
from napari_unet.progress import PauseToken, Stopwatch, counted, format_seconds

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_unet.corrections.corrections import Summary
    from napari_unet.layers.controller import Controller
    from napari_unet.learning.lesson import Material
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
        self.waiting: Generation | None = None
        self.changes = Changes(controller.viewer)
        self.preview = False  # whether to show, while it learns, what it makes of the field in view
        self.pause = PauseToken()
        self._look: Look | None = None  # followed for the worker
        self._joined: tuple[Summary | None, Stopwatch] = (None, Stopwatch())
        self._more: list[Material] = []
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
        """All models that were in use since one was chosen, the first of them first."""
        return self._history or ([Generation(self._controller.model)] if self._controller.model else [])

    @property
    def current(self) -> int:
        """Place of the model in use in the history."""
        models = [generation.model for generation in self.history]
        return models.index(self._controller.model) if self._controller.model in models else 0

    @property
    def can_revert(self) -> bool:
        """Whether there is an earlier model to go back to."""
        return self.current > 0

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
            material = self._material(model)
        except UNetError as error:
            self._on_failed(search.job, error)
            return False
        if not material:
            return False
        planes = sum(len(one.part.labels) for one in material)
        self._job = job = Job(f"Learn from {counted(planes, 'plane')}", 0)
        self._decide(None)
        self.pause.set(False)
        self._more, self._joined = [], (desk.session.summary if desk.session else None, Stopwatch())
        if desk.session is not None:
            desk.corrected.emit(desk.session.summary)  # edits that told nobody were found just now
        desk.say("Learning from your corrections. You can go on painting.")
        self._runner.start(
            job,
            partial(self._steps, job, model, material, desk.device, desk.learning_seconds),
            lambda event: self._on_event(job, event),
            lambda learned: self._on_learned(job, model, learned),
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
        """Go back to the model before the one in use."""
        if not self.can_revert:
            self._controller.say("There is no earlier model to go back to.", "error")
            return
        self.go_to(self.current - 1)

    def go_to(self, index: int) -> None:
        """Use a model of the history."""
        if index == self.current or not 0 <= index < len(self._history):
            return
        back = index < self.current
        self._serve(self._history[index].model)
        self._show("Back to the model before. In view: " if back else "Another model. In view: ")

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

    def forget(self) -> None:
        """Let go of the earlier models: another one was chosen."""
        self._history.clear()
        self._decide(None)

    def take_up(self, generations: list[Generation], current: int, waiting: Generation | None) -> None:
        """Use the models of a sitting that was saved."""
        self.forget()
        self._history = list(generations)
        self._serve(generations[current].model)
        self._decide(waiting)

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

    def _steps(
        self, job: Job, model: Model, material: list[Material], device: str, seconds: float
    ) -> Generator[Rescaled | StepReport | Checked | Seen, None, Learned]:
        """Learn, and segment the field in view now and then with what was learned so far (worker)."""
        steps = learning_steps(
            model, material, seconds, device, job.cancel, pause=self.pause, more=self._take_more, peek=self._peeks
        )
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                learned: Learned = end.value
                return learned
            look = self._look
            if not isinstance(event, Glimpse):
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

    def _material(self, model: Model) -> list[Material]:
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

    def _take_more(self) -> list[Material]:
        """Return all that is to be learned from, if that is more by now (worker)."""
        more, self._more = self._more, []
        return more

    # -- afterwards ------------------------------------------------------------------------------------------------

    def _on_failed(self, job: Job, error: Exception) -> None:
        if job is self._job:
            self._job, self._refused = None, self._search is not None and job is self._search.job
            self._controller.learning.emit(False)
            self.changes.hide()
            self._controller.say(sentence(error), "error")

    def _on_learned(self, job: Job, before: Model, learned: Learned) -> None:
        if job is not self._job:
            return
        desk = self._controller
        self._job = None
        desk.learning.emit(False)
        self.changes.hide()
        if before is not desk.model:
            desk.say("Another model was chosen meanwhile; what was learned is dropped.", "error")
            return
        recipe = learned.model.info.recipe
        if not recipe.get("steps"):
            desk.say("Stopped before the first step; the model is as it was.")
            return
        generation = Generation(learned.model, learned.verdict)
        lead = f"Learned in {recipe['steps']} steps ({format_seconds(float(recipe.get('seconds') or 0))}). "
        if learned.verdict.serve:
            self._take(generation)
            self._show(f"{lead}{learned.verdict} In view: ")
        else:
            self._decide(generation)
            desk.say(f"{lead}Not in use yet: {learned.verdict} Look at what it would change, then use it or drop it.")
            self._show_changes(generation)

    def _on_segmenting(self, running: bool) -> None:
        if not running:
            self.changes.segmented()

    def _take(self, generation: Generation) -> None:
        """Use a new model, after the one in use; those that came after that one are let go of."""
        self._history = [*self.history[: self.current + 1], generation]
        self._serve(generation.model)

    def _serve(self, model: Model) -> None:
        self._controller.serve(model)
        self.changed.emit()

    def _decide(self, generation: Generation | None) -> None:
        """Have a model wait for a decision, or none."""
        self.waiting = generation
        if generation is None:
            self.changes.hide()
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
