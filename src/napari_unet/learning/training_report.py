"""What came of a training, for people and as figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.progress import counted, first_names, format_seconds

if TYPE_CHECKING:
    from napari_unet.learning.comparison import Comparison
    from napari_unet.learning.validation import ImageScore
    from napari_unet.training.curve import CurvePoint

LITTLE = 0.02
"""Share of objects that a model may lose of what it was made for before that is more than a matter of chance; as
`PromotionPolicy.max_forgetting`."""


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What came of a training; `str` says it in a few sentences.

    Attributes
    ----------
    learned_from : tuple of str
        Names of the images.
    objects : int or None
        Objects in them; None where labels are classes.
    validation : tuple of str
        Names of the images that it was checked on.
    not_unseen : tuple of str
        Those of them that were also learned from. The scores are on the others, where there are others.
    kept_aside : tuple of str
        The same, if they were taken from those that were handed in to learn from.
    steps, seconds, loss
        Steps done and the time that they took, with those before an interruption; mean loss of the last ones.
    gone_on : int
        Steps that were done before an interruption.
    best_step : int or None
        Whose weights the model has; None: the last one's.
    stopped_early : bool
        Whether it ended for want of better scores.
    was_interrupted : bool
        Whether it was stopped by its user; then there are no scores.
    before, after : ImageScore or None
        On the images for validation; where there are none, on some that were learned from.
    retained : Comparison or None
        How the old and the new model do on what the first of their line was made for; None: not known.
    first_model : str or None
        Name of that model.
    curve : tuple of CurvePoint
        Loss, and score on the images for validation.
    notes : tuple of str
        What is odd about the images or labels.
    """

    learned_from: tuple[str, ...]
    objects: int | None
    validation: tuple[str, ...]
    kept_aside: tuple[str, ...]
    steps: int
    seconds: float
    loss: float | None
    gone_on: int = 0
    best_step: int | None = None
    stopped_early: bool = False
    was_interrupted: bool = False
    before: ImageScore | None = None
    after: ImageScore | None = None
    retained: Comparison | None = None
    first_model: str | None = None
    curve: tuple[CurvePoint, ...] = ()
    notes: tuple[str, ...] = ()
    not_unseen: tuple[str, ...] = ()

    @property
    def is_on_unseen(self) -> bool:
        """Whether the scores are on images that were not learned from."""
        return len(self.not_unseen) < len(self.validation)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is to be said, in the order in which it matters."""
        return (*self._learned(), *self._scores(), *self._lost(), *self.notes)

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, for JSON."""
        known: dict[str, Any] = {
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "loss": self.loss,
            "images": len(self.learned_from),
            "objects": self.objects,
            "validation_images": list(self.validation),
            "kept_aside": list(self.kept_aside),
            "best_step": self.best_step,
            "stopped_early": self.stopped_early,
            "notes": list(self.notes),
        }
        for name, score in (("before", self.before), ("after", self.after)):
            known[name] = None if score is None else {"score": round(score.value, 4), "objects": score.objects}
        known["scored_on"] = "validation" if self.is_on_unseen else "learned from"
        kept = self.retained
        known["base_data"] = None if kept is None else {"before": round(kept.before, 4), "after": round(kept.after, 4)}
        return known

    def _learned(self) -> list[str]:
        objects = "" if self.objects is None else f" with {counted(self.objects, 'object')}"
        spent = f"{counted(self.steps, 'step')} in {format_seconds(self.seconds)}"
        said = [f"Learned from {counted(len(self.learned_from), 'image')}{objects}: {spent}."]
        if self.gone_on:
            said.append(f"{counted(self.gone_on, 'step')} of these were done before it was interrupted.")
        if self.kept_aside:
            said.append(f"Kept aside, to check on: {first_names(self.kept_aside)}.")
        if self.stopped_early:
            said.append("It stopped early, as the checks got no better.")
        if self.best_step == 0:
            said.append("No check was better than the model it began with, so its weights were kept.")
        elif self.best_step is not None and self.best_step < self.steps:
            said.append("An earlier check was better than the last one, so the weights of that one were kept.")
        return said

    def _scores(self) -> list[str]:
        if self.after is None:
            return []
        where = f"On {counted(self.after.images, 'image')}"
        if self.after.objects is not None:
            where += f" with {counted(self.after.objects, 'object')}"
        now = f"{self.after.value:.0%}"
        if self.after.interval is not None:
            now += f" ({100 * self.after.interval[0]:.0f} to {self.after.interval[1]:.0%} with 95% confidence)"
        was = "" if self.before is None else f"{self.before.value:.0%} right before, "
        if self.is_on_unseen:
            said = f"{where} that it did not learn from: {was}{now} now."
            return [said, "The best weights and settings were chosen on these: expect a little less on new images."]
        said = f"{where} that it learned from: {was}{now} now."
        return [said, "No image was kept aside, so new images come out worse, nobody knows by how much."]

    def _lost(self) -> list[str]:
        if self.retained is None or self.first_model is None:
            return []
        before, after = self.retained.before, self.retained.after
        said = f"On images that {self.first_model} was made for: {before:.0%} right to the outline, {after:.0%} now."
        if before - after <= LITTLE:
            return [said]
        return [said, f"For such images go on using {self.first_model}."]
