"""Whether a new model is used at once: unless it is surely worse (docs/decisions/0029-check.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_unet.learning.comparison import Comparison  # noqa: TC001 - read when a verdict is read from a project
from napari_unet.learning.policy import DEFAULT_POLICY, Policy, PromotionPolicy

Unchecked = Literal["nothing reviewed", "too little reviewed", "nothing before"]

_UNCHECKED: dict[Unchecked, str] = {
    "nothing reviewed": "Review a field to know whether it is better.",
    "too little reviewed": "Too little is reviewed to judge it: review more.",
    "nothing before": "It has learned for the first time: press Segment to see what it finds.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a new model, beside the one before.

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
    held_out_images : tuple of str
        Names of the images that nothing was learned from, which `reviewed` is of; empty: it is of held-out squares.
    unchecked : {"nothing reviewed", "too little reviewed", "nothing before"}
        Why there is no comparison, where `reviewed` is None; "nothing before": no model had learned before it.
    finds_nothing : bool
        Whether it finds not one of the objects of a volume that it has just learned from.
    """

    reviewed: Comparison | None
    retention: Comparison | None = None
    buffer: int = 0
    out_of_domain: bool = False
    held_out_images: tuple[str, ...] = ()
    unchecked: Unchecked = "nothing reviewed"
    finds_nothing: bool = False

    def forgets(self, policy: PromotionPolicy = DEFAULT_POLICY.promotion) -> bool:
        """Whether it has lost what the first model could do."""
        return self.retention is not None and self.retention.after < self.retention.before - policy.max_forgetting

    @property
    def is_doubtful(self) -> bool:
        """Whether it scores lower than the model before, be it by chance, or has lost what the first model could do."""
        before, after = self._percent
        return self.forgets() or after < before

    @property
    def _percent(self) -> tuple[int, int]:
        """What is right in what was reviewed, before and now, as it is said; 0 where it was not compared."""
        return (
            (0, 0) if self.reviewed is None else (round(100 * self.reviewed.before), round(100 * self.reviewed.after))
        )

    def should_promote(self, policy: Policy = DEFAULT_POLICY) -> bool:
        """Whether it should be used without asking: it is not surely worse, or of no use yet."""
        if self.finds_nothing:
            return False
        if self.reviewed is not None and self.reviewed.surely_worse(policy.promotion):
            return False
        return self.out_of_domain or not self.forgets(policy.promotion)

    def __str__(self) -> str:
        """Return what came of it in a sentence, and what to do."""
        if not self.should_promote():
            return f"{self._reason_against()}, so not in use yet."
        if self.reviewed is None:
            forgot = "It forgot some of what it knew: see Details."
            return f"In use. {forgot if self.forgets() else _UNCHECKED[self.unchecked]}"
        before, after = self._percent
        if after < before and self.reviewed.low <= 0:
            return f"In use, but maybe worse: {after}% right in what you reviewed, {before}% before."
        forgot = " It forgot some: see Details." if self.forgets() else ""
        surely = "Better" if self.reviewed.low > 0 else "In use"
        return f"{surely}: {after}% right in what you reviewed, {before}% before.{forgot}"

    @property
    def advice(self) -> str:
        """What to do with a model that is not used yet."""
        return "Learn for longer, or draw more." if self.finds_nothing else "Look at its changes, then use it or not."

    def _reason_against(self) -> str:
        if self.finds_nothing:
            return "It finds none of the objects that you drew"
        if self.reviewed is not None and self.reviewed.surely_worse():
            return "Worse in what you reviewed"
        return "Worse on the images that the first model was made for"

    @property
    def details(self) -> str:
        """What the sentence rests on, in lines: scores with their interval."""
        lines = []
        if self.reviewed is not None:
            images = f" (images that were not learned from: {', '.join(self.held_out_images)})"
            lines.append(f"In what you reviewed{images if self.held_out_images else ''}: {self.reviewed}")
        if self.retention is not None:
            lines.append(
                "On images like those of the first model: "
                f"{self.retention.before:.0%} right before, {self.retention.after:.0%} now."
                + (" Save it under a new name." if self.forgets() else "")
            )
        return "\n".join(lines)
