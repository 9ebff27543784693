"""The models of a sitting, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.learning.gate import Verdict
    from napari_unet.models.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A model that was in use, or might be, and what is known of it; None for the one that it all began with."""

    model: Model
    verdict: Verdict | None = None

    def __str__(self) -> str:
        if self.verdict is None:
            return self.model.name
        steps, compared = self.model.info.recipe.get("steps"), self.verdict.reviewed
        if compared is not None:
            return f"{steps} steps, {compared.before:.2f} → {compared.after:.2f}"
        seen = self.verdict.visited
        mended = f"mends {seen.mended} of {seen.corrections}" if seen and seen.corrections else "not checked"
        return f"{steps} steps, {mended}"
