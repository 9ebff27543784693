"""Whether a new model is better than the old one, beyond what chance makes of a few objects."""

from __future__ import annotations

from dataclasses import dataclass

from napari_unet.learning.comparison import FORGETTING, Comparison
from napari_unet.learning.regression import RegressionCheck  # noqa: TC001 - read when a verdict is read from a project
from napari_unet.progress import counted

MANY = 8
"""A model that has mended few of so many corrections, and is wrong about most, should begin anew."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a new model.

    Attributes
    ----------
    reviewed : Comparison or None
        On reviewed places that it was not trained on; None: too little is reviewed.
    known : Comparison or None
        On what the first model was trained for; None: it carries nothing of that along.
    margin : int
        Pixels between what was learned from and the reviewed places; less than a receptive field where space was short.
    astray : bool
        Whether the images are of another kind than the first model was made for: then it may forget that kind.
    visited : Impression or None
        Where too little is reviewed: on corrections, and what was left alone near them.
    """

    reviewed: Comparison | None
    known: Comparison | None = None
    margin: int = 0
    astray: bool = False
    visited: RegressionCheck | None = None

    @property
    def forgets(self) -> bool:
        """Whether it has lost what the first model could do."""
        return self.known is not None and self.known.after < self.known.before - FORGETTING

    @property
    def harms(self) -> bool:
        """Whether, where too little is reviewed for a score, the corrections speak against it.

        On images of another kind, what was left alone is as wrong as what was corrected: they have to speak alone.
        """
        if self.reviewed is not None or self.visited is None or not self.visited.harmful:
            return False
        return not (self.astray and self.visited.leads_there)

    @property
    def beyond(self) -> bool:
        """Whether the images are so far from what the first model knows that it hardly learns what is corrected."""
        seen = self.visited
        return self.astray and seen is not None and seen.corrections >= MANY and seen.mends_few

    @property
    def serve(self) -> bool:
        """Whether it should be used without asking: it is better, or nothing that is known says that it is not."""
        better = self.reviewed.better if self.reviewed is not None else not self.harms
        return better and (self.astray or not self.forgets)

    def __str__(self) -> str:
        said = []
        if self.reviewed is None and self.visited is not None and self.visited.left + self.visited.corrections:
            said.append(f"{self.visited} Review a field, with objects that are right, for a firm answer.")
        elif self.reviewed is None:
            said.append("Not checked: review a field, with objects that are right, and it can be.")
        else:
            r = self.reviewed
            said.append(
                f"On {counted(r.n, 'reviewed place')} kept aside: {r.before:.2f} before, "
                f"{r.after:.2f} now ({r.low:+.2f} to {r.high:+.2f})."
            )
            if r.broken:
                said.append(f"It loses {counted(r.broken, 'object')} that you had accepted.")
        if self.beyond:
            said.append("It hardly learns this kind of image. New model… begins anew, with what you corrected.")
        elif self.forgets and self.known is not None and self.astray:
            said.append("It is one for this kind of image now: keep it under a name of its own.")
        elif self.forgets and self.known is not None:
            said.append(
                f"It forgets: {self.known.before:.2f} before and {self.known.after:.2f} now on the images that the "
                "first model was made for."
            )
        return " ".join(said)
