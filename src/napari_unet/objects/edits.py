"""What one gesture changes in labels: a value that somebody writes, and undoes, in one step.

The functions of `edits`, `splitting`, `adding`, `reshaping`, `between_slices` and `redecoding` change no array that
they are given. They return an `Edit`, or raise `EditError` with a sentence for the person who made the gesture.

Pixels that somebody has corrected or reviewed (`protected`) are kept from what an edit takes besides what the gesture
names: the seam of a merge, a suggestion, objects decoded anew. Those of the objects it names may change.

Labels and maps have the axes (Z, Y, X) or (Y, X). What is to be done in one slice of a volume only is done on that
slice, ``labels[z]`` and ``maps.plane(z)``, and lifted into the volume with `Edit.in_slice`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unet.errors import EditError
from napari_unet.limits import times
from napari_unet.objects.boxes import absolute, box_around, grown
from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

MIN_SIZE = 12
"""Pixels that an object has at least after an edit, unless the caller says otherwise; as `decode.Decoding.min_size`."""

_ROWS = 2**18  # pixels that are searched for an id at once, so that they stay in the processor's cache
_ONE_BY_ONE = 8  # as many ids are searched for faster one after the other than all at once


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """What changes in labels. To carry it out: ``labels[edit.box] = edit.labels``.

    Attributes
    ----------
    box : tuple of slice
        The smallest box ([Z,] Y, X) that has all pixels that change.
    labels : ndarray, the data type of the labels
        The labels of the box after the edit.
    ids : tuple of int
        The objects that gain or lose pixels, apart from those made.
    made : tuple of int
        The ids that are new.
    """

    box: tuple[slice, ...]
    labels: NDArray[Any]
    ids: tuple[int, ...]
    made: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, labels: NDArray[Any], box: tuple[slice, ...], after: NDArray[Any], nothing: str, made: Sequence[int] = ()
    ) -> Edit:
        """Return the edit that makes a box of labels look as in `after`.

        Parameters
        ----------
        labels : ndarray of int, axes ([Z,] Y, X)
            All labels, before.
        box : tuple of slice
        after : ndarray of int, the shape of the box
        nothing : str
            What to say where nothing would change.
        made : sequence of int
            The ids that are new.

        Raises
        ------
        EditError
            If nothing would change, or an id is larger than the labels can hold.
        """
        before = labels[box]
        changed = before != after
        tight = box_around(changed)
        if tight is None:
            raise EditError(nothing)
        if (most := int(after.max())) > 0:
            check_id(most, labels.dtype)
        outer = absolute(tight, box)
        old, new = np.unique(before[changed]), np.unique(after[changed])
        ids, fresh = [i for i in np.union1d(old, new).tolist() if i > 0], set(made)
        touched, new_ids = tuple(i for i in ids if i not in fresh), tuple(i for i in ids if i in fresh)
        return cls(outer, after[tight].astype(labels.dtype), touched, new_ids)

    def changed(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which pixels of the box change, given the labels ([Z,] Y, X) before."""
        return np.asarray(labels[self.box] != self.labels)

    def applied(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return a copy of the labels ([Z,] Y, X) after the edit."""
        result = labels.copy()
        result[self.box] = self.labels
        return result

    def shifted(self, corner: Sequence[int]) -> Edit:
        """Return the edit for labels of which those that it was made for are the part that begins at `corner`."""
        box = tuple(slice(s.start + c, s.stop + c) for s, c in zip(self.box, corner, strict=True))
        return Edit(box, self.labels, self.ids, self.made)

    def in_slice(self, z: int) -> Edit:
        """Return the edit (Z, Y, X) of a volume, made for one slice (Y, X) of it."""
        return Edit((slice(z, z + 1), *self.box), self.labels[None], self.ids, self.made)


def merged(
    labels: NDArray[Any],
    ids: Iterable[int],
    *,
    allow_gap: int = 0,
    protected: NDArray[np.bool_] | None = None,
    keep: int | None = None,
) -> Edit:
    """Make one object of several.

    The largest keeps its id, of objects of the same size the first: so the fewest pixels change.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    ids : iterable of int
        In the order in which they were touched; 0 is left out.
    allow_gap : int
        Pixels of background that may lie between two of them. The seam between them is filled as far as it is no wider
        than that. With 0 they have to touch, at a corner at least.
    protected : ndarray of bool, axes ([Z,] Y, X), optional
        Pixels of the background that stay as they are.
    keep : int, optional
        The id that the object gets, of those at another time point for instance; None: that of the largest.

    Raises
    ------
    EditError
        If there are fewer than two objects, or they lie apart.
    """
    wanted = list(dict.fromkeys(int(i) for i in ids if i))
    if len(wanted) < 2:
        raise EditError("To merge, drag from one object into another: two are needed at least.")
    box = grown(box_of(labels, wanted), allow_gap + 1, labels.shape)
    part = labels[box]
    if keep is None:
        present, counts = np.unique(part, return_counts=True)
        sizes = dict(zip(present.tolist(), counts.tolist(), strict=True))
        keep = max(wanted, key=lambda i: sizes[i])
    numbers = _numbered(part, wanted)
    members = numbers > 0
    filled = members
    if allow_gap > 0:
        free = part == 0 if protected is None else (part == 0) & ~protected[box]
        filled = members | (free & _seam(numbers, allow_gap))
    hanging = _with_first(numbers, filled)
    if not hanging.all():
        apart = min(i for i, hangs in zip(wanted, hanging, strict=True) if not hangs)
        near = f" Gaps up to {allow_gap} pixels wide are filled." if allow_gap else ""
        raise EditError(f"Object {apart} does not touch the others, so they are not merged.{near}")
    return Edit.of(labels, box, np.where(filled, keep, part), "There is nothing to merge.")


def deleted(labels: NDArray[Any], ids: Iterable[int]) -> Edit:
    """Make background of some objects.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    ids : iterable of int
        Of any number of objects; 0 is left out.

    Raises
    ------
    EditError
        If there is none of them.
    """
    wanted = list(dict.fromkeys(int(i) for i in ids if i))
    if not wanted:
        raise EditError("There is no object here to delete.")
    box = box_of(labels, wanted)
    part = labels[box]
    return Edit.of(labels, box, np.where(np.isin(part, wanted), 0, part), "There is no object here to delete.")


def id_at(labels: NDArray[Any], point: Sequence[float]) -> int:
    """Return the id of the object at a point ([z,] y, x), 0 for none.

    Raises
    ------
    EditError
        If the point lies outside the image.
    """
    return int(labels[tuple(pixels([point], labels.shape)[0])])


def pixels(points: ArrayLike, shape: Sequence[int]) -> NDArray[np.intp]:
    """Return the pixels that points lie in, axes (n, ndim), each once.

    Parameters
    ----------
    points : array-like of float, axes (n, ndim)
        Coordinates ([z,] y, x); the middle of the first pixel is 0.
    shape : sequence of int
        Of the image.

    Raises
    ------
    EditError
        If one of them lies outside the image.
    """
    found = np.floor(np.reshape(np.asarray(points, np.float64), (-1, len(shape))) + 0.5)
    if not np.isfinite(found).all() or (found < 0).any() or (found >= np.asarray(shape)).any():
        raise EditError(f"That lies outside the image, which has {times(shape)} pixels.")
    _, first = np.unique(found, axis=0, return_index=True)
    return np.asarray(found[np.sort(first)], np.intp)


def box_of(labels: NDArray[Any], ids: Sequence[int]) -> tuple[slice, ...]:
    """Return the smallest box that has all pixels of some objects.

    Raises
    ------
    EditError
        If one of them is not there.
    """
    lead = labels.reshape(-1, labels.shape[-1])
    rows = max(1, _ROWS // max(1, labels.shape[-1]))
    missing = set(ids)
    hit_rows, hit_columns = [], np.zeros(labels.shape[-1], bool)
    for start in range(0, len(lead), rows):
        block = lead[start : start + rows]
        if len(ids) > _ONE_BY_ONE:
            mask = np.isin(block, ids)
            missing.difference_update(block[mask].tolist() if missing else ())
        else:
            mask = np.zeros(block.shape, bool)
            for label in ids:
                here = block == label
                if label in missing and here.any():
                    missing.discard(label)
                mask |= here
        found = np.flatnonzero(mask.any(1))
        if found.size:
            hit_rows.append(found + start)
            hit_columns |= mask.any(0)
    if missing:
        raise EditError(f"There is no object {min(missing)} here.")
    index = np.unravel_index(np.concatenate(hit_rows), labels.shape[:-1])
    bounds = [(int(i.min()), int(i.max()) + 1) for i in (*index, np.flatnonzero(hit_columns))]
    return tuple(slice(*pair) for pair in bounds)


def next_id(labels: NDArray[Any], new_id: int | None, count: int = 1) -> int:
    """Return the first of `count` ids to give to new objects.

    Parameters
    ----------
    labels : ndarray of int
    new_id : int or None
        The next free id, where the caller knows it; None: one more than the largest.

    Raises
    ------
    EditError
        If the labels cannot hold so many.
    """
    first = int(labels.max(initial=0)) + 1 if new_id is None else int(new_id)
    check_id(first + count - 1, labels.dtype)
    return first


def check_id(label: int, dtype: np.dtype[Any]) -> None:
    """Raise `EditError` unless labels of that data type can hold the id of an object."""
    largest = int(np.iinfo(dtype).max) if dtype.kind in "iu" else 1
    if not 1 <= label <= largest:
        raise EditError(f"Object ids go from 1 to {largest} in these labels ({dtype}); {label} is not one.")


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest piece of a mask ([Z,] Y, X) that hangs together by the faces of its pixels."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def _numbered(part: NDArray[Any], ids: Sequence[int]) -> NDArray[np.int32]:
    """Return the number of the object at each pixel, from 1 in the order of `ids`; 0: none of them."""
    order = np.argsort(ids)
    known = np.array(ids)[order]
    place = np.searchsorted(known, part).clip(max=len(known) - 1)
    return np.where(known[place] == part, order[place] + 1, 0).astype(np.int32)


def _seam(numbers: NDArray[np.int32], gap: int) -> NDArray[np.bool_]:
    """Return the pixels between two objects that are no more than `gap` pixels apart there, on the shortest ways."""
    nearest = np.full((2, *numbers.shape), np.inf, np.float32)
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        near = grown(box, gap + 1, numbers.shape)
        distance = ndimage.distance_transform_edt(numbers[near] != number).astype(np.float32)
        first, second = nearest[0][near], nearest[1][near]
        second[...] = np.minimum(second, np.maximum(first, distance))
        first[...] = np.minimum(first, distance)
    return np.asarray(nearest.sum(0) <= gap + 1)  # n pixels between two: their distances there are n + 1 together


def _with_first(numbers: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for each object whether it hangs together with the first one within a mask, by corners too."""
    pieces, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
    objects, of_piece, _ = overlaps(numbers, pieces)
    count = int(numbers.max())
    size = count + int(of_piece.max()) + 1
    graph = coo_array((np.ones(len(objects)), (objects - 1, count + of_piece)), shape=(size, size))
    _, group = connected_components(graph, directed=False)
    return np.asarray(group[:count] == group[0])
