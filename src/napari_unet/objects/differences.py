"""What differs between two segmentations of one field, object by object, as numbers and as a picture of outlines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME = 0.8
"""Intersection over union from which on an object counts as the same: an outline that moves by one pixel changes it to
about 0.9 for an object 20 pixels wide."""

_GONE = 0.5
"""Share of an object that has to lie on background in the other segmentation, for it to be new or gone."""

BEFORE_LINE, AFTER_LINE, GONE, ADDED = 1, 2, 3, 4
"""Values of the picture: outlines before and after, and what lies in objects that are gone, or new."""


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """Objects that differ between two segmentations.

    Attributes
    ----------
    before, after : ndarray of int
        Ids of the objects in each that are not the same in the other one.
    gone, added : ndarray of int
        Those of them that have nothing in their place in the other one.
    """

    before: NDArray[Any]
    after: NDArray[Any]
    gone: NDArray[Any]
    added: NDArray[Any]

    @classmethod
    def of(cls, before: NDArray[Any], after: NDArray[Any]) -> Differences:
        """Compare two label images of one shape; ids need not agree."""
        sizes = [dict(zip(*np.unique(labels, return_counts=True), strict=True)) for labels in (before, after)]
        same: tuple[set[int], set[int]] = (set(), set())
        covered: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        for one, other, both in zip(*(part.tolist() for part in overlaps(before, after)), strict=True):
            covered[0][one] += both
            covered[1][other] += both
            if both >= SAME * (sizes[0][one] + sizes[1][other] - both):
                same[0].add(one)
                same[1].add(other)
        changed = [np.array([i for i in sizes[k] if i and i not in same[k]], np.int64) for k in (0, 1)]
        alone = [
            np.array([i for i in changed[k].tolist() if sizes[k][i] - covered[k][i] > _GONE * sizes[k][i]], np.int64)
            for k in (0, 1)
        ]
        return cls(changed[0], changed[1], alone[0], alone[1])

    def __str__(self) -> str:
        """Return how many objects are new, gone and changed, as far as there are any."""
        reshaped = max(len(self.after) - len(self.added), len(self.before) - len(self.gone))
        parts = ((len(self.added), "new"), (len(self.gone), "gone"), (reshaped, "changed"))
        return ", ".join(f"{number} {what}" for number, what in parts if number)

    def picture(self, before: NDArray[Any], after: NDArray[Any], width: int = 1) -> NDArray[np.uint8]:
        """Return a picture of what differs: outlines before and after, and what is gone or new filled.

        Parameters
        ----------
        before, after : ndarray of int, axes (Z, Y, X)
        width : int
            Pixels of the outlines.
        """
        values = np.zeros(before.shape, np.uint8)
        values[np.isin(before, self.gone)] = GONE
        values[np.isin(after, self.added)] = ADDED
        for labels, ids, value in ((before, self.before, BEFORE_LINE), (after, self.after, AFTER_LINE)):
            values[_outlines(np.where(np.isin(labels, ids), labels, 0), width)] = value
        return values


def _outlines(labels: NDArray[Any], width: int) -> NDArray[np.bool_]:
    """Return the pixels of objects that are less than `width` from their border, in each slice (Z, Y, X)."""
    size = (1, 2 * width + 1, 2 * width + 1)
    low, high = ndimage.minimum_filter(labels, size), ndimage.maximum_filter(labels, size)
    return np.asarray((labels > 0) & (low != high))


def pixel_picture(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture of the pixels whose class differs: which are background before, afterwards, or neither."""
    values = np.zeros(before.shape, np.uint8)
    different = before != after
    values[different] = AFTER_LINE
    values[different & (before == 0)] = ADDED
    values[different & (after == 0)] = GONE
    return values
