"""A check on objects near corrections: what speaks for or against a new model where nothing is reviewed.

Corrected objects are there because the old model failed on them, so that any change looks like a gain. Objects that
were left alone near them look right only as far as the user has got. Neither gives a score. But a model that learned
fixes objects like those that were corrected more often than it changes those that were left alone, and one that got
worse does not. Where there are enough corrections, some are held out until it has been checked how many of them a model
fixes that has not learned from them; then it learns from these too (docs/decisions/0010-gate.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.learning.comparison import MAX_CLASSES, piece_numbers
from napari_unet.learning.held_out import widened
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.objects.stitch import best_matches, mostly_within
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.corrections.part import Part
    from napari_unet.learning.held_out import HeldOutRegion
    from napari_unet.learning.policy import Policy, PromotionPolicy, SplitPolicy


@dataclass(frozen=True, slots=True, eq=False)
class NearbyRegion:
    """A region around corrections.

    Attributes
    ----------
    region : HeldOutRegion
        Its labels as they are now; its mask is what the user has seen, its corrected ids are those of the corrected
        objects.
    predicted : ndarray of int, axes ([Z,] Y, X)
        What the program had painted.
    held_out : ndarray of bool, axes ([Z,] Y, X)
        The corrections that are not learned from.
    """

    region: HeldOutRegion
    predicted: NDArray[Any]
    held_out: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RegressionCheck:
    """How a new model does on what the user corrected and on what they left alone.

    Attributes
    ----------
    corrections : int
        Corrected objects (of classes: patches) that the old model gets wrong.
    fixed : int
        Those of them of which the new model has fixed at least half of what was wrong.
    left_alone : int
        Objects (patches) near corrections that were left alone.
    lost : int
        Those of them that the new model no longer finds.
    added : int
        Objects that it finds near corrections where neither the user nor the old model has one.
    held_out : bool
        Whether the corrections were held out, or learned from.
    nearer : int
        Corrections (of the same) to which the new model comes nearer than the old one did.
    """

    corrections: int
    fixed: int
    left_alone: int
    lost: int
    added: int = 0
    held_out: bool = False
    nearer: int = 0

    @property
    def improves_most(self) -> bool:
        """Whether it comes nearer to most of the corrections, be it by little."""
        return 2 * self.nearer > self.corrections

    def fixes_few(self, policy: PromotionPolicy = DEFAULT_POLICY.promotion) -> bool:
        """Whether it fixes so few of the corrections that it has hardly learned from them."""
        return self.fixed < policy.few_fixed_share * self.corrections

    def regresses(self, policy: Policy = DEFAULT_POLICY) -> bool:
        """Whether it surely changes what was left alone more often than it fixes corrections.

        By Fisher's exact test, at 5 %. A gap between the two shares alone is no regression yet: a model that has just
        begun to learn images of another domain fixes little so far, and changes objects that the user would have
        corrected next. Where no more objects were left alone than corrected, most of what was seen was wrong, and
        nothing is known of the rest. But a model that fixes nothing, finds nothing new, and loses all that was left
        alone is of no use.
        """
        loses_all = self.lost == self.left_alone >= policy.promotion.min_lost
        if self.corrections and not (self.fixed or self.added) and loses_all:
            return True
        made = self.corrections * (policy.split.held_out_every if self.held_out else 1)
        if self.left_alone <= made:
            return False
        changed, there = self.lost + self.added, self.left_alone + self.added
        return _chance(self.fixed, self.corrections, changed, there) < policy.promotion.significance

    def __str__(self) -> str:
        near = f"Of {counted(self.left_alone, 'object')} near corrections that you left alone, it loses {self.lost}."
        changes = f"{near} It finds {self.added} new."
        if not self.corrections:  # the model was right, and the user saw it otherwise
            return changes
        kept = "kept for the comparison" if self.held_out else "that it learned from"
        return f"It fixes {self.fixed} of {counted(self.corrections, 'correction')} {kept}. {changes}"


def _chance(fixed: int, corrections: int, changed: int, there: int) -> float:
    """Return how probable it is that so few of the corrections are among all that became different: hypergeometric."""
    from scipy.stats import hypergeom  # takes a while to load, and is needed at the end of a learning only

    return float(hypergeom.cdf(fixed, corrections + there, corrections, fixed + changed))


def near_corrections(
    part: Part, corrected: NDArray[np.bool_], pixels: float = 1.0, policy: SplitPolicy = DEFAULT_POLICY.split
) -> NDArray[np.bool_]:
    """Return the pixels (Z, Y, X) that were segmented, and seen by the user who corrected something near them.

    Parameters
    ----------
    part : Part
    corrected : ndarray of bool, axes (Z, Y, X)
        Corrected objects.
    pixels : float
        Pixels of the image, along Y or X, in one of the network.
    policy : SplitPolicy
    """
    near = widened(corrected, round(policy.seen_distance * pixels))
    return np.asarray(near & part.corrections.seen[0])


def held_out_corrections(
    corrected: Sequence[NDArray[np.bool_]], ndim: int, policy: SplitPolicy = DEFAULT_POLICY.split
) -> list[NDArray[np.bool_]]:
    """Return the corrected pixels (Z, Y, X) of each part that are held out for a while; none where there are few.

    Whole corrections (objects that touch are one), one in four, as they follow each other down the image.

    Parameters
    ----------
    corrected : sequence of ndarray of bool, axes (Z, Y, X)
        The corrected objects of each part.
    ndim : int
        Whether an object is one of a slice (2), or goes through them (3).
    policy : SplitPolicy
    """
    neighbours = ndimage.generate_binary_structure(3, 1)
    if ndim == 2:
        neighbours[[0, 2]] = False
    labelled = [ndimage.label(mask, neighbours) for mask in corrected]
    enough = sum(count for _, count in labelled) >= policy.min_corrections_to_hold_out
    held_out, before = [], 0
    for components, count in labelled:
        every = policy.held_out_every
        chosen = [index for index in range(1, count + 1) if (before + index) % every == 0] if enough else []
        held_out.append(np.isin(components, chosen))
        before += count
    return held_out


def connected_parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the connected components of a mask ([Z,] Y, X)."""
    components, count = ndimage.label(mask)
    return [components == index for index in range(1, count + 1)]


def check_regression(
    nearby: Sequence[NearbyRegion],
    before: Sequence[NDArray[Any]],
    after: Sequence[NDArray[Any]],
    *,
    instances: bool,
    policy: Policy = DEFAULT_POLICY,
) -> tuple[RegressionCheck, RegressionCheck]:
    """Compare the labels that an old and a new model gave near corrections.

    Parameters
    ----------
    nearby : sequence of NearbyRegion
    before, after : sequence of ndarray of int, axes ([Z,] Y, X)
    instances : bool
        Whether ids are objects, or classes.
    policy : Policy

    Returns
    -------
    held_out, learned : RegressionCheck
        By the corrections that were held out, and by those that were learned from.
    """
    count = _count_objects if instances else _count_patches
    tallies = [count(*trio, policy) for trio in zip(nearby, before, after, strict=True)]
    wrong, fixed, nearer, left, lost, added = np.sum(tallies, axis=0, dtype=int) if tallies else np.zeros((6, 2), int)
    untouched = int(left.sum()), int(lost.sum()), int(added.sum())
    learned, held_out = (
        RegressionCheck(int(wrong[k]), int(fixed[k]), *untouched, held_out=bool(k), nearer=int(nearer[k]))
        for k in (0, 1)
    )
    return held_out, learned


def _count_objects(nearby: NearbyRegion, before: NDArray[Any], after: NDArray[Any], policy: Policy) -> NDArray[np.intp]:
    """Count (wrong, fixed, nearer, left alone, lost, added) of corrections that were learned from, and held out.

    Of a volume only the slices that were seen: an object is often painted in one of those that it goes through.
    """
    region, tally, numbers = nearby.region, np.zeros((6, 2), np.intp), policy.promotion
    slices = region.mask.any((-2, -1)) if region.mask.ndim == 3 else ...
    labels, mask = region.labels[slices], region.mask[slices]
    predicted, held_out = nearby.predicted[slices], nearby.held_out[slices]
    before, after = before[slices], after[slices]
    seen = np.where(mask, labels, 0)
    old, new = (best_matches(labels, found) for found in (before, after))
    held_out_ids = set(np.unique(labels[held_out]).tolist())
    for label in np.unique(seen[seen > 0]).tolist():
        (was, _), (now, _) = old[label], new[label]
        if label in region.corrected:
            if was < numbers.correctable_iou:
                tally[:3, int(label in held_out_ids)] += np.array([1, 1 - now <= (1 - was) / 2, now > was])
        elif was >= numbers.found_iou:
            tally[3:5, 0] += np.array([1, now < numbers.found_iou])
    erased = np.where(mask & (labels == 0) & (predicted > 0), predicted, 0)
    for label in np.setdiff1d(np.unique(erased[erased > 0]), np.unique(labels)).tolist():
        where = erased == label
        was, now = (np.count_nonzero(found[where]) / np.count_nonzero(where) for found in (before, after))
        if was > numbers.found_iou:
            tally[:3, int(held_out[where].any())] += np.array([1, now <= numbers.found_iou, now < was])
    empty = mask & (labels == 0) & (erased == 0)
    tally[5, 0] += max(0, len(mostly_within(after, empty)) - len(mostly_within(before, empty)))
    return tally


def _count_patches(nearby: NearbyRegion, before: NDArray[Any], after: NDArray[Any], policy: Policy) -> NDArray[np.intp]:
    """Count the same for classes: of patches of one class within small squares."""
    region, tally, numbers = nearby.region, np.zeros((6, 2), np.intp), policy.promotion
    pieces = piece_numbers(region.mask.shape, policy.split.piece_width, each_slice=True)
    corrected = region.mask & (region.labels != nearby.predicted)
    groups = corrected & ~nearby.held_out, corrected & nearby.held_out, region.mask & ~corrected
    for group, where in enumerate(groups):
        patch = pieces[where] * MAX_CLASSES + np.minimum(region.labels[where], MAX_CLASSES - 1)
        _, index, sizes = np.unique(patch, return_inverse=True, return_counts=True)
        was, now = (
            np.bincount(index, labels[where] == region.labels[where], len(sizes)) / sizes for labels in (before, after)
        )
        large = sizes >= numbers.min_patch_pixels
        if group == 2:
            there = large & (was >= numbers.found_iou)
            tally[3:5, 0] += np.count_nonzero([there, there & (now < numbers.found_iou)], axis=1)
        else:
            there = large & (was < numbers.found_iou)
            counts = [there, there & (now >= numbers.found_iou), there & (now > was)]
            tally[:3, group] += np.count_nonzero(counts, axis=1)
    return tally
