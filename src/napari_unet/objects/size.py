"""Diameters of objects, measured on labels; and of discs and balls of so many pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.objects.stitch import compact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


MAX_COUNTED_ID = 2**20
"""Largest id up to which pixels are counted by id right away."""


def diameters(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the diameter, in pixels, of every object: that of a disc with the area of its largest section in a plane.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
        Instance ids, 0 is background.
    """
    numbers, largest = labels, int(labels.max(initial=0))
    if largest > MAX_COUNTED_ID or labels.min(initial=0) < 0:
        present, numbers = np.unique(labels, return_inverse=True)
        largest = len(present) - 1
        background = present <= 0
    else:  # several times as fast as sorting all pixels
        background = np.arange(largest + 1) == 0
    areas = np.zeros(largest + 1, np.int64)
    for plane in numbers.reshape(-1, labels.shape[-2] * labels.shape[-1]):
        np.maximum(areas, np.bincount(plane.astype(np.intp), minlength=largest + 1), out=areas)
    return np.asarray(2 * np.sqrt(areas[~background & (areas > 0)] / np.pi))


def depths(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return of every object in how many slices of a volume (Z, Y, X) it is, from the first to the last."""
    boxes = ndimage.find_objects(compact(labels))
    return np.array([box[0].stop - box[0].start for box in boxes], float)


def diameter_of(pixels: float, ndim: int) -> float:
    """Return the diameter of a disc (`ndim` 2) or a ball (3) of so many pixels."""
    return 2 * math.sqrt(pixels / math.pi) if ndim == 2 else (6 * pixels / math.pi) ** (1 / 3)


def pixels_of(diameter: float, ndim: int) -> float:
    """Return how many pixels a disc (`ndim` 2) or a ball (3) of a diameter has."""
    return math.pi / 4 * diameter**2 if ndim == 2 else math.pi / 6 * diameter**3


def typical_diameter(labels: Iterable[NDArray[Any]], least: int = 1) -> float | None:
    """Return the median diameter, in pixels, of all objects in some labels; None if there are fewer than `least`.

    Parameters
    ----------
    labels : iterable of ndarray of int, axes ([Z,] Y, X)
    least : int
        Smallest number of objects.
    """
    found = np.concatenate([np.zeros(0), *map(diameters, labels)])
    return float(np.median(found)) if len(found) >= max(1, least) else None
