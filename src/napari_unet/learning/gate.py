"""Whether a new model should replace the one in use: if it is better, beyond what chance makes of a few objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_unet.learning.comparison import Comparison  # noqa: TC001 - read when a verdict is read from a project
from napari_unet.learning.policy import DEFAULT_POLICY, Policy, PromotionPolicy
from napari_unet.learning.regression import RegressionCheck  # noqa: TC001 - as above
from napari_unet.progress import counted

Unchecked = Literal["nothing reviewed", "too little reviewed", "nothing before"]

_UNCHECKED: dict[Unchecked, str] = {
    "nothing reviewed": "Review a field to know whether it is better.",
    "too little reviewed": "Too little is reviewed to tell whether it is better: review more fields.",
    "nothing before": "It has learned for the first time: press Segment to see what it finds.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a new model.

    Attributes
    ----------
    reviewed : Comparison or None
        On reviewed regions that it was not trained on; None: too little is reviewed.
    retention : Comparison or None
        On what the first model was trained for; None: it carries nothing of that along.
    buffer : int
        Pixels between what was learned from and the reviewed regions; less than a receptive field where space was
        short.
    out_of_domain : bool
        Whether the images are of another domain than the first model was made for: then it may forget that.
    regression : RegressionCheck or None
        Where too little is reviewed: on corrections, and what was left alone near them.
    held_out_images : tuple of str
        Names of the images that nothing was learned from, which `reviewed` is of; empty: it is of held-out squares.
    unchecked : {"nothing reviewed", "too little reviewed", "nothing before"}
        Why there is no comparison, where `reviewed` is None; "nothing before": no model had learned before it.
    """

    reviewed: Comparison | None
    retention: Comparison | None = None
    buffer: int = 0
    out_of_domain: bool = False
    regression: RegressionCheck | None = None
    held_out_images: tuple[str, ...] = ()
    unchecked: Unchecked = "nothing reviewed"

    def forgets(self, policy: PromotionPolicy = DEFAULT_POLICY.promotion) -> bool:
        """Whether it has lost what the first model could do."""
        return self.retention is not None and self.retention.after < self.retention.before - policy.max_forgetting

    def regresses(self, policy: Policy = DEFAULT_POLICY) -> bool:
        """Whether, where too little is reviewed for a score, the corrections speak against it.

        On images of another domain, what was left alone is as wrong as what was corrected: they have to speak alone.
        """
        if self.reviewed is not None or self.regression is None or not self.regression.regresses(policy):
            return False
        return not (self.out_of_domain and self.regression.improves_most)

    def out_of_reach(self, policy: PromotionPolicy = DEFAULT_POLICY.promotion) -> bool:
        """Whether the images are so far from what the first model knows that it hardly learns what is corrected."""
        checked = self.regression
        if not self.out_of_domain or checked is None or checked.corrections < policy.many_corrections:
            return False
        return checked.fixes_few(policy)

    def should_promote(self, policy: Policy = DEFAULT_POLICY) -> bool:
        """Whether it should be used without asking: it is better, or nothing that is known says that it is not."""
        better = self.reviewed.better if self.reviewed is not None else not self.regresses(policy)
        return better and (self.out_of_domain or not self.forgets(policy.promotion))

    def __str__(self) -> str:
        """Return what came of it in a sentence, and what to do."""
        if not self.should_promote():
            outcome = f"{self._reason_against()}, so not in use yet."
        elif self.reviewed is not None:
            after, before = self.reviewed.after, self.reviewed.before
            outcome = f"Better: {after:.0%} right in what you reviewed, {before:.0%} before."
        elif self.out_of_reach():
            outcome = "In use."
        else:
            outcome = f"In use. {_UNCHECKED[self.unchecked]}"
        if self.out_of_reach():
            return f"{outcome} It hardly learns such images: choose New model… to start over from your corrections."
        if self.should_promote() and self.forgets():  # it was made for other images
            return f"{outcome} Save it under a new name: on other images it is worse."
        return outcome

    def _reason_against(self) -> str:
        if self.reviewed is not None and self.reviewed.broken:
            return f"It loses {counted(self.reviewed.broken, 'object')} that you accepted"
        if self.reviewed is not None and self.reviewed.high < 0:
            return "Worse in what you reviewed"
        if self.reviewed is not None and not self.reviewed.better:
            return "Not clearly better"
        if self.forgets() and not self.out_of_domain:
            return "Worse on the images that the first model was made for"
        return "It changes objects that you left alone more often than it fixes others"

    @property
    def details(self) -> str:
        """What the sentence rests on, in lines: scores with their interval, and counts."""
        lines = []
        if self.reviewed is not None:
            lines.append(str(self.reviewed))
        if self.reviewed is not None and self.held_out_images:
            lines.append(f"Compared on images that were not learned from: {', '.join(self.held_out_images)}.")
        checked = self.regression
        if self.reviewed is None and checked is not None and checked.left_alone + checked.corrections:
            lines.append(str(checked))
        if self.retention is not None:
            lines.append(
                "On images like those of the first model: "
                f"{self.retention.before:.0%} right before, {self.retention.after:.0%} now."
            )
        return "\n".join(lines)
