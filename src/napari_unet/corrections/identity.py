"""Which id an object has: the one it had, whatever is segmented again, and never that of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.stitch import MIN_SLICE_IOU, match_ids, numbered, overlaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from numpy.typing import NDArray

COUNTED_IDS = 2**30
"""New objects are numbered on from the largest id below this; a user may well paint with the last id that there is."""


def kept_ids(
    old: NDArray[np.int32],
    protected: NDArray[np.bool_],
    predicted: NDArray[Any],
    beside: NDArray[Any] | None,
    known: dict[int, int],
    last_id: int,
) -> tuple[dict[int, int], int]:
    """Return which id each predicted object gets, and the last one that was ever given.

    Parameters
    ----------
    old : ndarray of int32, axes (Z, Y, X)
        The labels of the region until now.
    protected : ndarray of bool, axes (Z, Y, X)
        The pixels that the prediction does not change.
    predicted : ndarray of int, axes (Z, Y, X)
        New labels of the region.
    beside : ndarray of int, axes (Z, Y, X), optional
        Labels of the neighbouring slice, where slices are segmented one by one.
    known : dict
        Ids of the prediction that earlier pieces of it have settled.
    last_id : int
        The last id that was given until now.

    Returns
    -------
    dict, int
        For each id of the prediction that is not yet known the one that it gets: the one that it had, or 0 for what the
        user has drawn, or a new one.
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
    taken = set(mapping.values()) | in_use
    kept_ids, new_ids, counts = overlaps(np.where(protected, old, 0), predicted)
    sizes = np.bincount(predicted.ravel(), minlength=1)
    for kept, new, count in sorted(zip(kept_ids, new_ids, counts, strict=True), key=lambda entry: entry[2]):
        goes_on = bool(np.any((old == kept) & ~protected))  # reviewed in part only: the field ended there
        if goes_on and int(kept) not in taken:
            mapping[int(new)] = int(kept)
        elif not goes_on and count > 0.5 * sizes[new]:
            mapping[int(new)] = 0  # the user's outline of this object is final
    last_id = max(last_id, largest_id(old))
    for label in numbered(predicted):
        if label not in mapping:
            last_id += 1
            mapping[label] = last_id
    return mapping, last_id


def joined_ids(labels: NDArray[Any], touched: Set[int]) -> dict[int, int]:
    """Return which id has to become which so that objects keep theirs from slice to slice.

    They do not where slices were not segmented one after another. Two objects of one slice are never joined.

    Parameters
    ----------
    labels : ndarray of int, axes (T, Z, Y, X)
    touched : set of int
        Ids that the user has corrected: of two ids another one gives way.
    """
    renamed: dict[int, int] = {}
    for volume in labels:
        slices: dict[int, set[int]] = {}
        for z, plane in enumerate(volume):
            for label in np.unique(plane).tolist():
                slices.setdefault(label, set()).add(z)
        for z in range(1, len(volume)):
            for new, old in match_ids(volume[z - 1], volume[z], MIN_SLICE_IOU).items():
                a, b = renamed.get(old, old), renamed.get(new, new)
                if a == b or slices[a] & slices[b] or {a, b} <= touched:
                    continue
                keep, gone = (b, a) if a not in touched and b in touched else (a, b)
                slices[keep] |= slices.pop(gone)
                renamed = {k: keep if v == gone else v for k, v in renamed.items()} | {gone: keep}
    return renamed


def rename(labels: NDArray[Any], ids: dict[int, int]) -> None:
    """Replace ids in place, in labels (T, Z, Y, X)."""
    keys = np.array(sorted(ids))
    values = np.array([ids[key] for key in keys.tolist()])
    for index in np.ndindex(*labels.shape[:2]):  # together, the planes of a large stack would not fit into memory
        plane = labels[index]
        place = np.searchsorted(keys, plane).clip(max=len(keys) - 1)
        hit = keys[place] == plane
        plane[hit] = values[place[hit]]


def places_of(ids: Iterable[int], plane: NDArray[Any]) -> NDArray[np.intp]:
    """Return where in a plane (Y, X) some ids are, as indices into its pixels row by row."""
    return np.flatnonzero(np.isin(plane, list(ids)))


def rename_at(plane: NDArray[Any], places: NDArray[np.intp], ids: dict[int, int]) -> None:
    """Replace ids in place at some places of a plane (Y, X), see `places_of`; other ids there stay as they are."""
    where = np.unravel_index(places, plane.shape)
    before, back = np.unique(plane[where], return_inverse=True)
    plane[where] = np.array([ids.get(label, label) for label in before.tolist()], plane.dtype)[back]


def largest_id(labels: NDArray[Any]) -> int:
    """Return the largest id after which new objects are numbered on."""
    return int(labels[labels < COUNTED_IDS].max(initial=0))
