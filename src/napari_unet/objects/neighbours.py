"""Which objects touch, or lie near, each other."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    return _meeting(labels, ids, lambda first, second, dy, dx: True)


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
        0: those that it touches, also across a corner. More: those, too, with a gap of up to that between them, in the
        unit of `spacing`; what has another object in between does not count.
    spacing : sequence of 3 float
        From one pixel to the next along Z, Y and X.
    """
    if distance > 0 and len(ids) > 1:
        pairs = _near_pairs(labels, ids, distance, spacing)
    else:
        pairs = touching_pairs(labels, ids)
    return np.asarray(np.bincount(pairs.ravel(), minlength=len(ids)), np.int64)


def _near_pairs(
    labels: NDArray[Any], ids: NDArray[Any], distance: float, spacing: Sequence[float]
) -> NDArray[np.int64]:
    """Return the pairs of objects whose nearest pixels have a gap of up to a distance between them.

    The background is dealt out to the nearest object. Where the shares of two objects meet, the gap between them is as
    wide as the ways to both of them together.
    """
    planes = len(labels) == 1  # which as such are faster
    background = labels[0] == 0 if planes else labels == 0
    way, nearest = ndimage.distance_transform_edt(
        background, sampling=tuple(spacing[1:] if planes else spacing), return_indices=True
    )
    shares = (labels[0] if planes else labels)[tuple(nearest)]
    way, shares = np.reshape(way.astype(np.float32), labels.shape), shares.reshape(labels.shape)
    most = distance * (1 + 1e-5)

    def near(first: int, second: int, dy: int, dx: int) -> NDArray[np.bool_]:
        return np.asarray(np.add(*shifted(way[first], way[second], dy, dx)) <= most)

    return _meeting(shares, ids, near)


def _meeting(
    labels: NDArray[Any], ids: NDArray[Any], counts: Callable[[int, int, int, int], NDArray[np.bool_] | bool]
) -> NDArray[np.int64]:
    """Return the pairs of objects that meet somewhere where it counts; see `touching_pairs`.

    Parameters
    ----------
    labels, ids
        As for `touching_pairs`.
    counts : callable
        Is given two planes, by number, and how far each pixel of the second lies from that of the first along Y and X;
        it says for which pairs of pixels (of `shifted` planes) it counts.
    """
    steps = list(itertools.product((-1, 0, 1), repeat=2))
    within = [(z, z, dy, dx) for z in range(len(labels)) for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1))]
    found = [np.zeros(0, np.int64)]
    for first, second, dy, dx in [*within, *((z, z + 1, *step) for z in range(len(labels) - 1) for step in steps)]:
        a, b = shifted(labels[first], labels[second], dy, dx)
        both = (a != b) & (a > 0) & (b > 0) & counts(first, second, dy, dx)
        pairs = np.sort(np.searchsorted(ids, np.stack([a[both], b[both]])), axis=0)
        found.append(np.unique(pairs[0] * len(ids) + pairs[1]))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(1, len(ids))), 1)


def shifted(first: NDArray[Any], second: NDArray[Any], dy: int, dx: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two planes so that each pixel of the first stands where the one `dy`, `dx` further of the second does."""
    height, width = first.shape
    up, down, left, right = (max(0, step) for step in (-dy, dy, -dx, dx))
    a = first[up : max(0, height - down), left : max(0, width - right)]
    b = second[down : max(0, height - up), right : max(0, width - left)]
    return a, b
