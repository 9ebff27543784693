"""What is remarkable about objects when they are compared with those at the time points before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.guidance.features import ObjectFeatures
    from napari_unet.guidance.policy import WalkPolicy


@dataclass(frozen=True, slots=True, eq=False)
class InTime:
    """For each object of a plane whether it is in this frame alone, and whether its size jumps; shape (n,)."""

    alone: NDArray[np.bool_]
    jump: NDArray[np.bool_]


def compared_in_time(
    labels: NDArray[Any],
    features: ObjectFeatures,
    before: NDArray[Any] | None,
    after: NDArray[Any] | None,
    policy: WalkPolicy,
) -> InTime:
    """Compare the objects of a plane (Y, X) with those of the same slice in the frames before and after.

    An object goes on as the one that shares most pixels with it, whatever their ids. A frame in which few objects go on
    says nothing: they move further than they are wide, or the scene is another.
    """
    none = np.zeros(len(features), bool)
    if not len(features):
        return InTime(none, none)
    ratios = [
        ratio
        for plane in (before, after)
        if plane is not None
        for ratio in [_ratios(labels, features, plane)]
        if np.mean(ratio > 0) >= policy.min_continued
    ]
    if not ratios:
        return InTime(none, none)
    table = np.stack(ratios)
    low, high = table.min(axis=0), table.max(axis=0)
    jump = (low > policy.max_jump) | ((high < 1 / policy.max_jump) & (low > 0))
    return InTime((table == 0).all(axis=0), jump)


def _ratios(labels: NDArray[Any], features: ObjectFeatures, other: NDArray[Any]) -> NDArray[np.float64]:
    """Return how many times as large each object is as the one that it goes on as; 0 where there is none."""
    result = np.zeros(len(features))
    mine, theirs, shared = overlaps(labels, other)
    if not len(mine):
        return result
    present, sizes = np.unique(other[other > 0], return_counts=True)
    order = np.lexsort((shared, mine))
    last = np.flatnonzero(np.diff(mine[order], append=-1))
    best = order[last]
    at = np.searchsorted(features.ids, mine[best])
    result[at] = features.areas[at] / sizes[np.searchsorted(present, theirs[best])]
    return result
