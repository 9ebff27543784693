"""Objects of which one id stands for several, in several places: each piece gets an id of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_PIECE_SHARE = 0.1
"""Size of a piece of an object, as a share of the size of pieces in the image, below which it is a stray stroke and no
object of its own. Chosen by hand, on no data."""


def with_ids_for_pieces(labels: NDArray[Any], supervised: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Return labels (T, Z, Y, X) in which each piece of an object has an id of its own; the same array if all have.

    A piece far smaller than the image's others is a stray stroke, and keeps its id.

    Parameters
    ----------
    labels : ndarray of int, axes (T, Z, Y, X)
    supervised : ndarray of bool, axes (T, Z, Y, X), optional
        The pixels that count: what is a stray stroke goes by the pieces that have some. None: all.
    """
    masks = [None] * len(labels) if supervised is None else supervised
    found = [_pieces(frame, mask) for frame, mask in zip(labels, masks, strict=True)]
    return (
        labels
        if all(new is None for new in found)
        else np.stack([frame if new is None else new for frame, new in zip(labels, found, strict=True)])
    )


def _pieces(frame: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[Any] | None:
    """Return labels (Z, Y, X) with new ids for the further pieces of objects; None where no object has any."""
    from skimage.measure import label

    parts = np.asarray(label(frame, background=0, connectivity=frame.ndim))  # neighbours with the same id
    ids = np.unique(frame[frame > 0])
    count = int(parts.max(initial=0))
    if count == len(ids):
        return None
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    of = np.asarray(ndimage.maximum(frame, parts, np.arange(1, count + 1))).astype(np.int64)
    order = np.argsort(sizes)
    usual = sizes[order]
    if mask is not None:
        usual = usual[np.isin(order + 1, parts[mask])]
    if not len(usual):
        return None
    middle = usual[np.searchsorted(np.cumsum(usual), usual.sum() / 2)]  # half of the pixels are in smaller
    known, new = set(), of.copy()
    free = int(ids.max()) + 1
    for piece in order[::-1]:
        if of[piece] in known and sizes[piece] >= MIN_PIECE_SHARE * middle:
            new[piece], free = free, free + 1
        known.add(of[piece])
    if np.array_equal(new, of):
        return None
    renamed: NDArray[Any] = np.concatenate([[0], new])[parts]
    return renamed
