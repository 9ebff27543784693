"""Learning from the corrections, the models before it, and the way back to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.errors import NothingToLearnError, UNetError
from napari_unet.layers.jobs import Job, Runner, sentence
from napari_unet.learning.corrected import learning_steps
from napari_unet.learning.session import StepReport
from napari_unet.progress import format_seconds

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.models.model import Model


class Learner:
    """Fine-tunes the controller's model on all corrections; at most one job at a time.

    Parameters
    ----------
    controller : Controller
        Whose model it is, and whose signals tell of what happens.
    runner : Runner
        Where the job runs.
    """

    def __init__(self, controller: Controller, runner: Runner) -> None:
        self._controller, self._runner = controller, runner
        self._job: Job | None = None
        self._earlier: list[Model] = []

    @property
    def busy(self) -> bool:
        """Whether it learns."""
        return self._job is not None

    @property
    def can_revert(self) -> bool:
        """Whether there is an earlier model to go back to."""
        return bool(self._earlier)

    def start(self) -> bool:
        """Begin to learn; return whether there was something to learn from."""
        desk = self._controller
        if self._job is not None:
            desk.say("Learning already; press Stop first to begin anew.", "error")
            return False
        try:
            if desk.model is None:
                raise NothingToLearnError("There is nothing to learn from yet. Press Segment, then correct the result.")
            model = desk.model
            material = [part for session in desk.sessions for part in session.material(model, desk.channel)]
            if not material:
                raise NothingToLearnError(
                    "Nothing is corrected or reviewed yet. Paint or erase on the result, or mark a field as Reviewed."
                )
        except UNetError as error:
            desk.say(str(error), "error")
            return False
        self._job = job = Job(f"Learn from {len(material)} plane{'s' if len(material) > 1 else ''}", 0)
        device, seconds = desk.device, desk.learning_seconds
        desk.learning.emit(True)
        if desk.session is not None:
            desk.corrected.emit(desk.session.summary)  # edits that told nobody were found just now
        desk.say("Learning from your corrections. You can go on painting.")
        self._runner.start(
            job,
            lambda: learning_steps(model, material, seconds, device, job.cancel),
            self._on_step,
            lambda learned: self._on_learned(job, model, learned.model, None),
            lambda error: self._on_learned(job, model, None, error),
        )
        return True

    def stop(self) -> None:
        """Stop after the step under way; what was learned until then is used."""
        if self._job is not None:
            self._job.cancel.cancel()

    def revert(self) -> None:
        """Go back to the model before the last learning."""
        if not self._earlier:
            self._controller.say("There is no earlier model to go back to.", "error")
            return
        self._controller.serve(self._earlier.pop())
        self._show("Back to the model before. In view: ")

    def forget(self) -> None:
        """Let go of the earlier models: another one was chosen."""
        self._earlier.clear()

    def close(self) -> None:
        """Stop, and tell of nothing any more."""
        self.stop()
        self._job = None

    def _on_step(self, report: object) -> None:
        if self._job is not None and isinstance(report, StepReport):
            self._controller.stepped.emit(report)

    def _on_learned(self, job: Job, before: Model, better: Model | None, error: Exception | None) -> None:
        if job is not self._job:
            return
        desk = self._controller
        self._job = None
        desk.learning.emit(False)
        if better is None:
            desk.say(sentence(error) if error else "Nothing was learned.", "error")
            return
        if before is not desk.model:
            desk.say("Another model was chosen meanwhile; what was learned is dropped.", "error")
            return
        steps, seconds = better.info.recipe.get("steps"), float(better.info.recipe.get("seconds") or 0)
        if not steps:
            desk.say("Stopped before the first step; the model is as it was.")
            return
        self._earlier.append(before)
        desk.serve(better)
        self._show(f"Learned in {steps} steps ({format_seconds(seconds)}). In view: ")

    def _show(self, lead: str) -> None:
        """Segment what is in view with the model that is now in use, and say why."""
        desk = self._controller
        if desk.session is None or not desk.session.alive():
            desk.say(lead.split(". ")[0] + ".", "done")
            return
        scope, desk.scope = desk.scope, "view"
        try:
            desk.segmenter.start(lead)
        finally:
            desk.scope = scope
