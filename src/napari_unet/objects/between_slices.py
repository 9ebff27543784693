"""Objects in the slices between two corrected ones, from signed distances to both outlines.

Shape-based interpolation after Raya and Udupa (1990, doi:10.1109/42.52980): halfway between two outlines lies what is
as far inside the one as outside the other. Objects that move are brought to where they are halfway before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import EditError
from napari_unet.objects.edits import Edit, box_around
from napari_unet.objects.outline import Outline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def interpolated(first: NDArray[Any], last: NDArray[Any], n: int, ids: Iterable[int] | None = None) -> NDArray[Any]:
    """Return `n` slices between two.

    Parameters
    ----------
    first, last : ndarray of int, axes (Y, X)
        Labels of two slices; an object has the same id in both. One that is in one of them only becomes smaller from
        slice to slice, and is gone in the other.
    n : int
        Slices between them, evenly spaced.
    ids : iterable of int, optional
        The objects; None: all.

    Returns
    -------
    ndarray of the labels' data type, axes (n, Y, X)
        Where two objects would overlap, a pixel goes to the one that it lies further inside.
    """
    result = np.zeros((n, *first.shape), first.dtype)
    depth = np.zeros((n, *first.shape), np.float32)
    wanted = np.union1d(first, last) if ids is None else np.unique(np.fromiter(ids, first.dtype))
    for label in wanted[wanted > 0].tolist():
        masks = first == label, last == label
        box = box_around(masks[0] | masks[1])
        if box is None:
            continue
        pair = [np.pad(mask[box], 1) for mask in masks]
        core = (slice(1, -1),) * first.ndim
        for k in range(n):
            inside = _between(pair, (k + 1) / (n + 1))[core]
            more = inside > depth[k][box]
            result[k][box][more] = label
            depth[k][box][more] = inside[more]
    return result


def interpolated_between(
    labels: NDArray[Any],
    first: int,
    last: int,
    ids: Iterable[int] | None = None,
    *,
    protected: NDArray[np.bool_] | None = None,
) -> Edit:
    """Replace objects in the slices between two by what follows from these.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
    first, last : int
        Slices that are right, in either order.
    ids : iterable of int, optional
        The objects; None: all of these two slices.
    protected : ndarray of bool, axes (Z, Y, X), optional
        Pixels that stay as they are. Those of other objects do so too.

    Raises
    ------
    EditError
        If there is no slice between them, none of the objects is in them, or nothing would change.
    """
    low, high = sorted((first, last))
    if low < 0 or high >= len(labels):
        raise EditError(f"Slices go from 0 to {len(labels) - 1}; got {low} and {high}.")
    if high - low < 2:
        raise EditError(f"There is no slice between slices {low} and {high}.")
    ends = labels[low], labels[high]
    present = np.union1d(*ends)
    wanted = present[present > 0] if ids is None else np.intersect1d(present[present > 0], np.fromiter(ids, np.int64))
    if not wanted.size:
        raise EditError(f"There is no object in slices {low} and {high} to continue between them.")
    box = (slice(low + 1, high), slice(0, labels.shape[1]), slice(0, labels.shape[2]))
    part = labels[box]
    new = interpolated(*ends, high - low - 1, wanted.tolist())
    open_pixels = (part == 0) | np.isin(part, wanted)
    if protected is not None:
        open_pixels &= ~protected[box]
    after = np.where(open_pixels, new, part)
    return Edit.of(labels, box, after, f"Slices {low + 1} to {high - 1} are already what follows from these two.")


def _between(pair: list[NDArray[np.bool_]], share: float) -> NDArray[np.float32]:
    """Return how far inside an object each pixel is, negative outside, at a share of the way between two slices."""
    depths = [_signed_distance(mask) if mask.any() else None for mask in pair]
    one, other = depths
    if one is None or other is None:
        left, depth = (1 - share, one) if other is None else (share, other)
        assert depth is not None
        return np.asarray(depth - (1 - left) * depth.max(), np.float32)
    middles = [np.argwhere(mask).mean(0) for mask in pair]
    middle = (1 - share) * middles[0] + share * middles[1]
    moved = [ndimage.shift(d, middle - m, order=1, mode="nearest") for d, m in zip((one, other), middles, strict=True)]
    return np.asarray((1 - share) * moved[0] + share * moved[1], np.float32)


def _signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance to the outline, which runs between pixels: 0.5 in the outermost of them, -0.5 around."""
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    return np.asarray(np.where(mask, inside - 0.5, 0.5 - outside), np.float32)


def outlines_between(labels: NDArray[Any], first: int, last: int, label: int) -> dict[int, Outline]:
    """Return the shape of an object in each slice between two of its slices, by slice.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
        Or (T, Y, X): frames between two others.
    first, last : int
        Slices that have the object, in either order.
    label : int
        Its id.
    """
    low, high = sorted((first, last))
    masks = [labels[z] == label for z in (low, high)]
    box = box_around(masks[0] | masks[1])
    if box is None or high - low < 2:
        return {}
    one, other = (mask[box].astype(np.uint8) for mask in masks)
    found: dict[int, Outline] = {}
    for z, plane in enumerate(interpolated(one, other, high - low - 1), low + 1):
        tight = box_around(plane > 0)
        if tight is not None:
            where = [slice(b.start + t.start, b.start + t.stop) for b, t in zip(box, tight, strict=True)]
            found[z] = Outline(label, (where[0], where[1]), plane[tight] > 0)
    return found
