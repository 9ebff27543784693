"""Few colours for many objects, so that no two that lie next to each other have the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.neighbours import shifted

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH = 3
"""Pixels along Y or X: objects no further apart are next to each other."""

_PASSES = 8
"""How often objects are gone through that have the colour of a neighbour."""


def neighbour_pairs(labels: NDArray[Any], n_numbers: int) -> NDArray[np.int64]:
    """Return which objects are next to each other in a slice, or touch the one in the next slice.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
        0 is background.
    n_numbers : int
        An object's number is its id - 1, modulo this: as many have one colour each.

    Returns
    -------
    ndarray of int, shape (pairs, 2)
        Numbers of the two, each pair once.
    """
    found = [np.zeros(0, np.int64)]
    for z, plane in enumerate(labels):
        for step in (1, REACH):
            for dy, dx in ((0, step), (step, 0), (step, step), (step, -step)):
                found.append(_pairs(plane, plane, dy, dx, n_numbers))
        if z + 1 < len(labels):
            found.append(_pairs(plane, labels[z + 1], 0, 0, n_numbers))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), n_numbers), axis=1)


def recoloured(colours: NDArray[np.uint8], pairs: NDArray[np.int64], n_colours: int) -> NDArray[np.uint8]:
    """Return colours in which as few neighbours as possible have the same; most objects keep the one they have.

    Objects that have the colour of a neighbour are given, one after the other, the colour that the fewest of their
    neighbours have (greedy colouring). With seven colours, next to no such pair is left in a plane.

    Parameters
    ----------
    colours : ndarray of uint8, shape (numbers,)
        Colour of each number, from 0.
    pairs : ndarray of int, shape (pairs, 2)
        From `neighbour_pairs`.
    n_colours : int
    """
    colours = colours.copy()
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.argsort(both[:, 0], kind="stable")]
    starts = np.searchsorted(both[:, 0], np.arange(len(colours) + 1))
    for _ in range(_PASSES):
        same = colours[pairs[:, 0]] == colours[pairs[:, 1]]
        for number in np.unique(pairs[same].max(axis=1)).tolist():
            beside = np.bincount(colours[both[starts[number] : starts[number + 1], 1]], minlength=n_colours)
            if beside[colours[number]]:
                first = number % n_colours  # where several are free, not always the first one
                colours[number] = (np.argmin(np.roll(beside, -first)) + first) % n_colours
        if not same.any():
            break
    return colours


def _pairs(one: NDArray[Any], other: NDArray[Any], dy: int, dx: int, n_numbers: int) -> NDArray[np.int64]:
    """Return the pairs, as one number each, of the pixels of one plane and those `dy`, `dx` further of another."""
    a, b = shifted(one, other, dy, dx)
    where = (a != b) & (a > 0) & (b > 0)
    first, second = ((part[where].astype(np.int64) - 1) % n_numbers for part in (a, b))
    pairs = np.minimum(first, second) * n_numbers + np.maximum(first, second)
    return np.unique(pairs[first != second])
