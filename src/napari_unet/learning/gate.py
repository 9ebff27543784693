"""Whether a new model should replace the one in use: if it is better, beyond what chance makes of a few objects."""

from __future__ import annotations

from dataclasses import dataclass

from napari_unet.learning.comparison import Comparison  # noqa: TC001 - read when a verdict is read from a project
from napari_unet.learning.policy import DEFAULT_POLICY, Policy, PromotionPolicy
from napari_unet.learning.regression import RegressionCheck  # noqa: TC001 - as above
from napari_unet.progress import counted


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
    """

    reviewed: Comparison | None
    retention: Comparison | None = None
    buffer: int = 0
    out_of_domain: bool = False
    regression: RegressionCheck | None = None

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
        return " ".join([*self._about_these_images(), *self._about_others()])

    def _about_these_images(self) -> list[str]:
        checked, reviewed = self.regression, self.reviewed
        if reviewed is None and checked is not None and checked.left_alone + checked.corrections:
            return [f"{checked} Review a field, with objects that are right, for a firm answer."]
        if reviewed is None:
            return ["Not checked: review a field, with objects that are right, and it can be."]
        said = [
            f"On {counted(reviewed.n, 'reviewed place')} kept aside: {reviewed.before:.2f} before, "
            f"{reviewed.after:.2f} now ({reviewed.low:+.2f} to {reviewed.high:+.2f})."
        ]
        if reviewed.broken:
            said.append(f"It loses {counted(reviewed.broken, 'object')} that you had accepted.")
        return said

    def _about_others(self) -> list[str]:
        if self.out_of_reach():
            return ["It hardly learns this kind of image. New model… begins anew, with what you corrected."]
        if self.retention is None or not self.forgets():
            return []
        if self.out_of_domain:
            return ["It is one for this kind of image now: keep it under a name of its own."]
        return [
            f"It forgets: {self.retention.before:.2f} before and {self.retention.after:.2f} now on the images that the "
            "first model was made for."
        ]
