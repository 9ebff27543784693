"""Matches objects of two label images: in neighbouring slices, or in two segmentations of one region."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

MIN_SLICE_IOU = 0.25
"""Intersection over union above which objects in two neighbouring slices are the same one."""

_COUNTED = 2**24  # ids up to this one are counted by a table
_PART = 2**20  # pixels that are read at a time


def overlaps(first: NDArray[Any], second: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.intp]]:
    """Return the pairs of ids (both not 0) that share pixels in two label images of one shape, and how many."""
    both = (first > 0) & (second > 0)
    a, b = first[both].astype(np.int64), second[both].astype(np.int64)
    if not a.size:
        return a, b, np.zeros(0, np.intp)
    base = int(b.max()) + 1
    if int(a.max()) >= (2**63 - 1) // base:  # ids such as those of connectomes: one number does not hold two of them
        (ids_a, a), (ids_b, b) = (np.unique(ids, return_inverse=True) for ids in (a, b))
        a, b, counts = overlaps(a + 1, b + 1)
        return ids_a[a - 1], ids_b[b - 1], counts
    pairs, counts = np.unique(a * base + b, return_counts=True)
    return pairs // base, pairs % base, counts


def mostly_within(labels: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the ids (not 0) of the objects of which more than half lies within a mask."""
    ids, _, inside = overlaps(labels, mask)
    present, sizes = np.unique(labels, return_counts=True)
    return np.asarray(ids[inside > sizes[np.searchsorted(present, ids)] / 2])


def best_matches(truth: NDArray[Any], labels: NDArray[Any]) -> dict[int, tuple[float, int]]:
    """Return for each true object its largest intersection over union and the id with that; (0, 0) if there is none.

    Two true objects may have the same best match, but not with more than one half.
    """
    sizes_truth, sizes = (dict(zip(*np.unique(array, return_counts=True), strict=True)) for array in (truth, labels))
    best = {int(i): (0.0, 0) for i in sizes_truth if i > 0}
    for true, label, count in zip(*overlaps(truth, labels), strict=True):
        iou = float(count / (sizes_truth[true] + sizes[label] - count))
        best[int(true)] = max(best[int(true)], (iou, int(label)))
    return best


def match_ids(reference: NDArray[Any], labels: NDArray[Any], min_share: float = 0.5) -> dict[int, int]:
    """Return which id of `labels` is the same object as which id of `reference`.

    Two objects are the same where their overlap is more than `min_share` of their union, one to one, best first.
    """
    matcher = Matcher()
    matcher.add(reference, labels)
    return matcher.mapping(min_share)


class Matcher:
    """Finds which objects of two label images are the same, part by part: they need not fit in memory."""

    def __init__(self) -> None:
        self._shared: Counter[tuple[int, int]] = Counter()
        self._sizes: tuple[Counter[int], Counter[int]] = (Counter(), Counter())

    def add(self, reference: NDArray[Any], labels: NDArray[Any]) -> None:
        """Add a part of both images. No array is indexed by id: a user may paint with any number."""
        first, second, counts = overlaps(reference, labels)
        for a, b, count in zip(first.tolist(), second.tolist(), counts.tolist(), strict=True):
            self._shared[a, b] += count
        for sizes, part in zip(self._sizes, (reference, labels), strict=True):
            ids, counts = np.unique(part, return_counts=True)
            for label, count in zip(ids.tolist(), counts.tolist(), strict=True):
                sizes[label] += count

    def merge(self, other: Matcher, reference: Callable[[int], int], labels: Callable[[int], int]) -> None:
        """Add what another one has counted, in which ids have other names, which are translated by two functions."""
        for (a, b), count in other._shared.items():
            self._shared[reference(a), labels(b)] += count
        for mine, theirs, name in zip(self._sizes, other._sizes, (reference, labels), strict=True):
            for label, count in theirs.items():
                mine[name(label)] += count

    def ious(self) -> dict[tuple[int, int], float]:
        """Return the intersection over union of each pair of ids, of the first and the second image, that overlaps."""
        of_first, of_second = self._sizes
        return {
            (old, new): count / (of_first[old] + of_second[new] - count) for (old, new), count in self._shared.items()
        }

    def mapping(self, min_share: float = 0.5) -> dict[int, int]:
        """Return which id of the second image is the same object as which of the first; see `match_ids`."""
        mapping: dict[int, int] = {}
        used: set[int] = set()
        for (old, new), share in sorted(self.ious().items(), key=lambda entry: (-entry[1], entry[0])):
            if share <= min_share:
                break
            if new not in mapping and old not in used:
                mapping[new] = old
                used.add(old)
        return mapping


def numbered_on(count: int, known: Mapping[int, int], last: int) -> tuple[NDArray[np.int32], int]:
    """Return an id for each of the objects 1 to `count`, and the last id that is used.

    Parameters
    ----------
    count : int
    known : mapping of int to int
        Objects that have an id already, as they go on from the slice before.
    last : int
        Last id that was used; the other objects are numbered on from it.

    Returns
    -------
    ids : ndarray of int32, shape (count + 1,)
        By object; that of 0 is 0.
    last : int

    Examples
    --------
    >>> numbered_on(3, {2: 4}, 7)
    (array([0, 8, 4, 9], dtype=int32), 9)
    """
    new = np.ones(count + 1, bool)
    new[[0, *(label for label in known if label <= count)]] = False
    ids = np.where(new, last + np.cumsum(new, dtype=np.int32), 0).astype(np.int32)
    for label, known_id in known.items():
        if 0 < label <= count:
            ids[label] = known_id
    return ids, last + int(np.count_nonzero(new))


def numbered(labels: NDArray[Any]) -> list[int]:
    """Return the ids (not 0) of labels that were numbered from 1; faster than sorting."""
    ids: list[int] = (np.flatnonzero(np.bincount(labels.ravel())[1:]) + 1).tolist()
    return ids


def count_ids(labels: NDArray[Any]) -> int:
    """Return the number of ids (not 0) without sorting a large image."""
    if not labels.size or labels.min() < 0 or labels.max() >= _COUNTED:
        return int(np.count_nonzero(np.unique(labels)))
    seen = np.zeros(int(labels.max()) + 1, bool)
    for part in _parts(labels):
        values = part.ravel()
        seen[values[np.flatnonzero(values[1:] != values[:-1])]] = True  # each run of one id is counted once
        seen[values[-1]] = True
    return int(np.count_nonzero(seen[1:]))


def _parts(labels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield labels in small parts; by the first axis if the array is not contiguous."""
    if not labels.flags.c_contiguous:
        yield from labels
        return
    flat = labels.reshape(-1)
    for start in range(0, flat.size, _PART):
        yield flat[start : start + _PART]


def compact(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Return the labels renumbered 1, 2, ... in order: a user may have painted with a very large id."""
    ids = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(ids, labels) + 1, 0)


def renumber(labels: NDArray[Any], mapping: dict[int, int], first_free: int) -> NDArray[np.int32]:
    """Return the labels with mapped ids replaced; the others get `first_free`, `first_free` + 1, ..."""
    table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    for label in numbered(labels):
        new = mapping.get(label)
        if new is None:
            new, first_free = first_free, first_free + 1
        table[label] = new
    return np.asarray(table[labels])


def stitch_slices(labels: NDArray[Any], min_share: float = MIN_SLICE_IOU) -> NDArray[np.int32]:
    """Return a volume in which an object keeps its id from slice to slice.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
        Each slice segmented on its own; ids of different slices may coincide.
    min_share : float
        Intersection over union above which two objects in neighbouring slices are the same, one to one.

    Returns
    -------
    ndarray of int32, axes (Z, Y, X), ids 1, 2, ...
    """
    result = np.zeros(labels.shape, np.int32)
    next_id = 1
    for z in range(len(labels)):
        mapping = match_ids(result[z - 1], labels[z], min_share) if z else {}
        result[z] = renumber(labels[z], mapping, next_id)
        next_id = max(next_id, int(result[z].max(initial=0)) + 1)
    return result
