"""Ids of objects, which stay the same when a region is segmented again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.label_images import COUNTED_IDS
from napari_unet.objects.stitch import MIN_SLICE_IOU, match_ids, numbered, overlaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from numpy.typing import NDArray


def kept_ids(
    old: NDArray[np.int32],
    protected: NDArray[np.bool_],
    predicted: NDArray[Any],
    beside: NDArray[Any] | None,
    known: dict[int, int],
    last_id: int,
) -> tuple[dict[int, int], int]:
    """Return which id each predicted object gets, and the largest id given so far.

    Parameters
    ----------
    old : ndarray of int32, axes (Z, Y, X)
        The labels of the region as they are.
    protected : ndarray of bool, axes (Z, Y, X)
        The pixels that the prediction does not change.
    predicted : ndarray of int, axes (Z, Y, X)
        New labels of the region.
    beside : ndarray of int, axes (Z, Y, X), optional
        Labels of the neighbouring slice, if slices are segmented one by one.
    known : dict
        Id in the prediction -> id in the labels, from earlier pieces of the prediction.
    last_id : int
        Largest id given so far.

    Returns
    -------
    dict, int
        Id in the prediction -> id in the labels, for ids that are not in `known`: that of the same object before, or 0
        for an object that the user has drawn, or a new one.
    """
    in_use = set(known.values())
    predicted = np.where(np.isin(predicted, list(known)), 0, predicted) if known else predicted
    mapping = {new: was for new, was in match_ids(np.where(protected, 0, old), predicted).items() if was not in in_use}
    taken = set(mapping.values()) | in_use | {int(i) for i in np.unique(old[protected])}
    if beside is not None:
        for new, was in match_ids(beside, predicted, MIN_SLICE_IOU).items():
            if new not in mapping and was not in taken:
                mapping[new] = was
                taken.add(was)
    taken, found_again = set(mapping.values()) | in_use, set(mapping)
    pairs = np.stack(overlaps(np.where(protected, old, 0), predicted), axis=1)
    # These reach out of a reviewed field.
    going_on = set(np.unique(old[np.isin(old, pairs[:, 0]) & ~protected]).tolist())
    sizes = np.bincount(predicted.ravel(), minlength=1)
    for kept, new, count in sorted(pairs.tolist(), key=lambda entry: entry[2]):
        if kept in going_on and kept not in taken and new not in found_again:
            mapping[new] = kept
        elif kept not in going_on and count > 0.5 * sizes[new]:
            mapping[new] = 0  # the outline that the user has drawn is kept
    last_id = max(last_id, largest_id(old))
    for label in numbered(predicted):
        if label not in mapping:
            last_id += 1
            mapping[label] = last_id
    return mapping, last_id


def joined_ids(labels: NDArray[Any], touched: Set[int]) -> dict[int, int]:
    """Return old id -> new id by which objects have one id in all slices.

    They have several if slices were not segmented in order. Two objects in one slice, of any time point, are never
    joined.

    Parameters
    ----------
    labels : ndarray of int, axes (T, Z, Y, X)
    touched : set of int
        Ids of corrected objects, which are kept.
    """
    renamed: dict[int, int] = {}

    def kept(label: int) -> int:
        while label in renamed:
            further = renamed.get(renamed[label], renamed[label])
            renamed[label] = further  # the way there is half as long next time
            label = further
        return label

    planes: dict[int, set[tuple[int, ...]]] = {}  # of all time points: an id is replaced in all of them
    for index in np.ndindex(*labels.shape[:2]):
        for label in np.unique(labels[index]).tolist():
            planes.setdefault(label, set()).add(index)
    for volume in labels:
        for z in range(1, len(volume)):
            for new, old in match_ids(volume[z - 1], volume[z], MIN_SLICE_IOU).items():
                a, b = kept(old), kept(new)
                if a == b or not planes[a].isdisjoint(planes[b]) or {a, b} <= touched:
                    continue
                keep, gone = (b, a) if a not in touched and b in touched else (a, b)
                fewer, more = sorted((planes[keep], planes.pop(gone)), key=len)
                planes[keep] = more
                more |= fewer
                renamed[gone] = keep
    return {label: kept(label) for label in renamed}


def renamed_objects(labels: NDArray[Any], prediction: NDArray[Any], box: tuple[slice, slice]) -> dict[int, int]:
    """Return the objects that have another id than predicted, and the same pixels: id now -> id predicted.

    Parameters
    ----------
    labels, prediction : ndarray of int, axes (Y, X)
    box : tuple of slice, (Y, X)
        Has all pixels that differ.
    """
    now, before = labels[box], prediction[box]
    changed = now != before
    pairs = [*zip(*(column.tolist() for column in overlaps(now[changed], before[changed])), strict=True)]
    for ids, predicted in ((now, before), (labels, prediction)):  # the whole plane only if something is left
        if pairs:
            sizes, sizes_before = _sizes(ids, {a for a, _, _ in pairs}), _sizes(predicted, {b for _, b, _ in pairs})
            pairs = [(a, b, n) for a, b, n in pairs if n == sizes[a] == sizes_before[b]]
    return {a: b for a, b, _ in pairs}


def _sizes(labels: NDArray[Any], ids: Iterable[int]) -> dict[int, int]:
    """Return how many pixels of a plane have each of these ids."""
    present, counts = np.unique(labels[np.isin(labels, list(ids))], return_counts=True)
    return dict(zip(present.tolist(), counts.tolist(), strict=True))


def rename(labels: NDArray[Any], ids: dict[int, int]) -> None:
    """Replace ids in place, in labels (T, Z, Y, X)."""
    keys = np.array(sorted(ids))
    values = np.array([ids[key] for key in keys.tolist()])
    for index in np.ndindex(*labels.shape[:2]):  # plane by plane: a large stack would not fit into memory
        plane = labels[index]
        position = np.searchsorted(keys, plane).clip(max=len(keys) - 1)
        hit = keys[position] == plane
        plane[hit] = values[position[hit]]


def pixels_of(ids: Iterable[int], plane: NDArray[Any]) -> NDArray[np.intp]:
    """Return the flat indices of the pixels of a plane (Y, X) that have one of these ids."""
    return np.flatnonzero(np.isin(plane, list(ids)))


def rename_at(plane: NDArray[Any], pixels: NDArray[np.intp], ids: dict[int, int]) -> None:
    """Replace ids in place at some pixels of a plane (Y, X), as from `pixels_of`; other ids stay."""
    where = np.unravel_index(pixels, plane.shape)
    before, back = np.unique(plane[where], return_inverse=True)
    plane[where] = np.array([ids.get(label, label) for label in before.tolist()], plane.dtype)[back]


def largest_id(labels: NDArray[Any]) -> int:
    """Return the largest id in labels that is below `COUNTED_IDS`."""
    return int(labels[labels < COUNTED_IDS].max(initial=0))
