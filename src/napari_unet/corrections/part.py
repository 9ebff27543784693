"""What there is to learn from in a few slices, as a copy: the user goes on painting meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A copy of a part of some neighbouring slices: all that there is to learn from in them, and what lies around.

    Attributes
    ----------
    frame : int
        Time point.
    corner : tuple of int
        Where it begins, (Z, Y, X).
    labels : ndarray of int32, axes (Z, Y, X)
    corrections : Corrections
        Of these labels, as one time point.
    elsewhere : int
        About how many pixels of these slices, outside of it, are objects.
    """

    frame: int
    corner: tuple[int, int, int]
    labels: NDArray[np.int32]
    corrections: Corrections
    elsewhere: int = 0

    def mask(self, kind: Literal["corrected", "supervised"]) -> NDArray[np.bool_]:
        """Return the pixels that were corrected, or all that are learned from; axes (Z, Y, X)."""
        find = getattr(self.corrections, kind)
        return np.stack([find(self.labels[None], (0, z)) for z in range(len(self.labels))])

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """The pixels that the user has checked, axes (Z, Y, X)."""
        reviewed: NDArray[np.bool_] = self.corrections.reviewed[0]
        return reviewed
