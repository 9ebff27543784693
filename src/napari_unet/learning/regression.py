"""What speaks for or against a new model where nothing is reviewed: the corrections, and what was left alone near them.

Corrected objects are there because the old model failed on them, so that any change looks like a gain; what was left
alone beside them looks right only as far as the user has got. Neither is a score. But a model that has learned mends
objects like those that were corrected more often than it changes those that were left alone; one that has been harmed
does not. Where there are enough corrections, some are kept aside until it has been looked at how many of them a model
mends that has not learned from them; then it learns from these too (docs/decisions/0010-gate.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.learning.held_out import SQUARE
from napari_unet.objects.stitch import best_matches, mostly_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.corrections.part import Part
    from napari_unet.learning.held_out import HeldOutRegion

NEAR = 64
"""Pixels around a correction of which one has seen, while correcting, whether they are right."""

ENOUGH = 8
"""Corrections of which some are kept aside for a while; all of fewer are learned from at once."""

QUARTER = 4
"""Of so many corrections one is kept aside."""

MIN_HELD_OUT = 2
"""Corrections kept aside that the old model gets wrong: by one alone nothing is told."""

MAX_PIXELS = 2**22
"""Of the visited places so many pixels, with what is around them, are looked at, or those of one place: a second."""

WRONG = 0.75
"""An object with less intersection over union than this is one that a person would mend; the simulated one does so."""

MENDED = 0.25
"""Share of the corrections of which a model that mends less mends few."""

MIN_LOST = 2
"""Objects left alone of which the loss of all is held against a model that finds nothing else."""

CHANCE = 0.05
"""That so few corrections are mended beside so much that is changed must be less probable than this to be held against
a model."""

_FOUND = 0.5
_CLASSES = 64
_LEAST_PATCH = 12
"""Of classes, smaller patches within a square are not looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class NearbyRegion:
    """A place that the user has corrected something in.

    Attributes
    ----------
    exam : Exam
        Its labels as they are now; its mask is what the user has seen, its corrected ids are those of the corrected
        objects.
    predicted : ndarray of int, axes ([Z,] Y, X)
        What the program had painted.
    aside : ndarray of bool, axes ([Z,] Y, X)
        The corrections that were kept aside.
    """

    exam: HeldOutRegion
    predicted: NDArray[Any]
    aside: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RegressionCheck:
    """How a new model does on what the user corrected and on what they left alone.

    Attributes
    ----------
    corrections : int
        Corrected objects (of classes: patches) that the old model gets wrong.
    mended : int
        Those of them of which the new model has mended at least half of what was wrong.
    left : int
        Objects (patches) near corrections that were left alone.
    lost : int
        Those of them that the new model no longer finds.
    added : int
        Objects that it finds near corrections where neither the user nor the old model has one.
    aside : bool
        Whether the corrections were kept aside, or learned from.
    nearer : int
        Corrections (of the same) to which the new model comes nearer than the old one did.
    """

    corrections: int
    mended: int
    left: int
    lost: int
    added: int = 0
    aside: bool = False
    nearer: int = 0

    @property
    def mends_few(self) -> bool:
        """Whether it mends so few of the corrections that it has hardly learned from them."""
        return self.mended < MENDED * self.corrections

    @property
    def leads_there(self) -> bool:
        """Whether it comes nearer to most of the corrections, be it by little."""
        return 2 * self.nearer > self.corrections

    @property
    def harmful(self) -> bool:
        """Whether it surely changes what was left alone more often than it mends corrections.

        By Fisher's exact test, at 5 %. A gap between the two shares alone is no harm yet: a model that has just begun
        to learn an image of another kind mends little so far, and changes objects that the user would have corrected
        next. Where no more objects were left alone than corrected, most of what was seen was wrong, and nothing is
        known of the rest. But one that mends nothing, finds nothing new, and loses all that was left alone is no use.
        """
        if self.corrections and not (self.mended or self.added) and self.lost == self.left >= MIN_LOST:
            return True
        if self.left <= self.corrections * (QUARTER if self.aside else 1):
            return False
        changed, there = self.lost + self.added, self.left + self.added
        return _chance(self.mended, self.corrections, changed, there) < CHANCE

    def __str__(self) -> str:
        loses = f"it loses {self.lost}, and it finds {self.added} new"
        if not self.corrections:  # the model was right, and the user saw it otherwise
            return f"Checked on little: of {self.left} objects near corrections that you left alone, {loses}."
        kept = "that were kept aside" if self.aside else "that it learned from"
        mends = f"it mends {self.mended} of {self.corrections} corrections {kept}"
        return f"Checked on little: {mends}; of {self.left} objects near them that you left alone, {loses}."


def _chance(mended: int, corrections: int, changed: int, there: int) -> float:
    """Return how probable it is that so few of the corrections are among all that became different: hypergeometric."""
    from scipy.stats import hypergeom  # takes a while to load, and is needed at the end of a learning only

    return float(hypergeom.cdf(mended, corrections + there, corrections, mended + changed))


def near_corrections(part: Part, corrected: NDArray[np.bool_], pixels: float = 1.0) -> NDArray[np.bool_]:
    """Return the pixels (Z, Y, X) that were segmented and seen when something near them was corrected.

    Parameters
    ----------
    part : Part
    corrected : ndarray of bool, axes (Z, Y, X)
        Corrected objects.
    pixels : float
        Pixels of the image, along Y or X, in one of the network.
    """
    near, reach = corrected, round(NEAR * pixels)
    for axis in (-2, -1):
        near = ndimage.maximum_filter1d(near.view(np.uint8), 2 * reach + 1, axis=axis).view(bool)
    return np.asarray(near & part.corrections.seen[0])


def held_out_corrections(corrected: Sequence[NDArray[np.bool_]], ndim: int) -> list[NDArray[np.bool_]]:
    """Return the corrected pixels (Z, Y, X) of each part that are kept aside for a while; none where there are few.

    Whole corrections (objects that touch are one), one in four, as they follow each other down the image.

    Parameters
    ----------
    corrected : sequence of ndarray of bool, axes (Z, Y, X)
        The corrected objects of each part.
    ndim : int
        Whether an object is one of a slice (2), or goes through them (3).
    """
    beside = ndimage.generate_binary_structure(3, 1)
    if ndim == 2:
        beside[[0, 2]] = False
    found = [ndimage.label(mask, beside) for mask in corrected]
    total = sum(number for _, number in found)
    held, before = [], 0
    for places, number in found:
        picked = [index for index in range(1, number + 1) if (before + index) % QUARTER == 0] if total >= ENOUGH else []
        held.append(np.isin(places, picked))
        before += number
    return held


def places(visited: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the connected parts of what was visited, ([Z,] Y, X)."""
    found, number = ndimage.label(visited)
    return [found == index for index in range(1, number + 1)]


def check_regression(
    visits: Sequence[NearbyRegion], before: Sequence[NDArray[Any]], after: Sequence[NDArray[Any]], *, instances: bool
) -> tuple[RegressionCheck, RegressionCheck]:
    """Compare the labels that an old and a new model gave of visited places: by what was kept aside, and by the rest.

    Parameters
    ----------
    visits : sequence of Visit
    before, after : sequence of ndarray of int, axes ([Z,] Y, X)
    instances : bool
        Whether ids are objects, or classes.
    """
    count = _count_objects if instances else _count_patches
    tallies = [count(*trio) for trio in zip(visits, before, after, strict=True)]
    wrong, mended, nearer, left, lost, added = np.sum(tallies, axis=0, dtype=int) if tallies else np.zeros((6, 2), int)
    untouched = int(left.sum()), int(lost.sum()), int(added.sum())
    learned, aside = (
        RegressionCheck(int(wrong[k]), int(mended[k]), *untouched, aside=bool(k), nearer=int(nearer[k])) for k in (0, 1)
    )
    return aside, learned


def _count_objects(visit: NearbyRegion, before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.intp]:
    """Count (wrong, mended, nearer, left alone, lost, added) of what was learned from and of what was kept aside.

    Of a volume only the slices that were seen: an object is often painted in one of those that it goes through.
    """
    exam, tally = visit.exam, np.zeros((6, 2), np.intp)
    slices = exam.mask.any((-2, -1)) if exam.mask.ndim == 3 else ...
    labels, mask, predicted, aside = (a[slices] for a in (exam.labels, exam.mask, visit.predicted, visit.aside))
    before, after = before[slices], after[slices]
    seen = np.where(mask, labels, 0)
    old, new = (best_matches(labels, found) for found in (before, after))
    held = set(np.unique(labels[aside]).tolist())
    for label in np.unique(seen[seen > 0]).tolist():
        (was, _), (now, _) = old[label], new[label]
        if label in exam.corrected:
            if was < WRONG:
                tally[:3, int(label in held)] += np.array([1, 1 - now <= (1 - was) / 2, now > was])
        elif was >= _FOUND:
            tally[3:5, 0] += np.array([1, now < _FOUND])
    erased = np.where(mask & (labels == 0) & (predicted > 0), predicted, 0)
    gone = np.setdiff1d(np.unique(erased[erased > 0]), np.unique(labels))
    for label in gone.tolist():
        where = erased == label
        was, now = (np.count_nonzero(found[where]) / np.count_nonzero(where) for found in (before, after))
        if was > _FOUND:
            tally[:3, int(aside[where].any())] += np.array([1, now <= _FOUND, now < was])
    empty = mask & (labels == 0) & (erased == 0)
    tally[5, 0] += max(0, len(mostly_within(after, empty)) - len(mostly_within(before, empty)))
    return tally


def _count_patches(visit: NearbyRegion, before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.intp]:
    """Count the same for classes: of patches of one class within small squares."""
    exam, tally = visit.exam, np.zeros((6, 2), np.intp)
    square = np.zeros(exam.mask.shape, np.int64)
    for axis, size in enumerate(exam.mask.shape):
        step = SQUARE if axis >= exam.mask.ndim - 2 else 1
        index = (np.arange(size) // step).reshape([-1 if a == axis else 1 for a in range(square.ndim)])
        square = square * (size // step + 1) + index
    corrected = exam.mask & (exam.labels != visit.predicted)
    for kind, where in enumerate((corrected & ~visit.aside, corrected & visit.aside, exam.mask & ~corrected)):
        patch = square[where] * _CLASSES + np.minimum(exam.labels[where], _CLASSES - 1)
        _, index, sizes = np.unique(patch, return_inverse=True, return_counts=True)
        was, now = (
            np.bincount(index, labels[where] == exam.labels[where], len(sizes)) / sizes for labels in (before, after)
        )
        large = sizes >= _LEAST_PATCH
        if kind == 2:
            there = large & (was >= _FOUND)
            tally[3:5, 0] += np.count_nonzero([there, there & (now < _FOUND)], axis=1)
        else:
            there = large & (was < _FOUND)
            tally[:3, kind] += np.count_nonzero([there, there & (now >= _FOUND), there & (now > was)], axis=1)
    return tally
