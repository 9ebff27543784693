"""Objects in the slices between two corrected ones, from signed distances to both outlines.

Shape-based interpolation after Raya and Udupa (1990, doi:10.1109/42.52980): halfway between two outlines lies what is
as far inside the one as outside the other. Objects that move are brought to where they are halfway before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.objects.boxes import absolute, box_around
from napari_unet.objects.outline import Outline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def interpolated(first: NDArray[Any], last: NDArray[Any], n: int) -> NDArray[Any]:
    """Return `n` slices between two.

    Parameters
    ----------
    first, last : ndarray of int, axes (Y, X)
        Labels of two slices; an object has the same id in both. One that is in one of them only becomes smaller from
        slice to slice, and is gone in the other.
    n : int
        Slices between them, evenly spaced.

    Returns
    -------
    ndarray of the labels' data type, axes (n, Y, X)
        Where two objects would overlap, a pixel goes to the one that it lies further inside.
    """
    result = np.zeros((n, *first.shape), first.dtype)
    depth = np.zeros((n, *first.shape), np.float32)
    ids = np.union1d(first, last)
    for label in ids[ids > 0].tolist():
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


def outlines_between(
    labels: NDArray[Any] | Mapping[int, NDArray[Any]], first: int, last: int, label: int
) -> dict[int, Outline]:
    """Return the shape of an object in each slice between two of its slices, by slice.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
        Or (T, Y, X): frames between two others; or these two, by number.
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
            rows, columns = absolute(tight, box)
            found[z] = Outline(label, (rows, columns), plane[tight] > 0)
    return found
