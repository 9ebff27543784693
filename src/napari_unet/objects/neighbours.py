"""Which objects touch, or lie near, each other."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def touching_pairs(labels: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.int64]:
    """Return the pairs of objects of which a pixel of one is next to a pixel of the other, also across a corner.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
        0 is background.
    ids : ndarray of int, shape (n,)
        All that occur, in ascending order.

    Returns
    -------
    ndarray of int, shape (pairs, 2)
        Places of the two in `ids`; each pair once, the smaller first, in ascending order.
    """
    found = [_pairs(plane, plane, ids, dy, dx) for plane in labels for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1))]
    steps = list(itertools.product((-1, 0, 1), repeat=2))
    found += [_pairs(a, b, ids, dy, dx) for a, b in itertools.pairwise(labels) for dy, dx in steps]
    return np.stack(np.divmod(np.unique(np.concatenate([np.zeros(0, np.int64), *found])), max(1, len(ids))), 1)


def neighbour_counts(
    labels: NDArray[Any], ids: NDArray[Any], distance: float = 0.0, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> NDArray[np.int64]:
    """Return how many other objects each object touches, or has near it.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
        0 is background.
    ids : ndarray of int, shape (n,)
        All that occur, in ascending order.
    distance : float
        0: those that it touches, also across a corner. More: those that touch it once all objects are grown by half of
        that, in the unit of `spacing`, each up to the next one; what has another object in between does not count.
    spacing : sequence of 3 float
        From one pixel to the next along Z, Y and X.
    """
    if distance > 0 and len(ids) > 1:
        from skimage.segmentation import expand_labels

        # Numbers instead of ids, which may be too large for scikit-image; planes as such, which is faster.
        numbers = np.searchsorted(ids, labels).astype(np.int32) + 1
        numbers[labels == 0] = 0
        flat = len(labels) == 1
        grown = expand_labels(numbers[0] if flat else numbers, distance / 2, tuple(spacing[1:] if flat else spacing))
        pairs = touching_pairs(grown[None] if flat else grown, np.arange(1, len(ids) + 1))
    else:
        pairs = touching_pairs(labels, ids)
    return np.asarray(np.bincount(pairs.ravel(), minlength=len(ids)), np.int64)


def _pairs(first: NDArray[Any], second: NDArray[Any], ids: NDArray[Any], dy: int, dx: int) -> NDArray[np.int64]:
    """Return the pairs, as one number each, of all pixels of one plane and those `dy`, `dx` further of another."""
    a, b = shifted(first, second, dy, dx)
    both = (a != b) & (a > 0) & (b > 0)
    pairs = np.sort(np.searchsorted(ids, np.stack([a[both], b[both]])), axis=0)
    return np.unique(pairs[0] * len(ids) + pairs[1])


def shifted(first: NDArray[Any], second: NDArray[Any], dy: int, dx: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two planes so that each pixel of the first stands where the one `dy`, `dx` further of the second does."""
    height, width = first.shape
    up, down, left, right = (max(0, step) for step in (-dy, dy, -dx, dx))
    a = first[up : max(0, height - down), left : max(0, width - right)]
    b = second[down : max(0, height - up), right : max(0, width - left)]
    return a, b
