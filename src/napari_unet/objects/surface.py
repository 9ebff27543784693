"""The surface area of objects in volumes, by counting how often straight lines enter and leave them.

The formula of Cauchy and Crofton with the 13 directions to the neighbours of a voxel, each weighted by its share of all
directions: G. Lehmann and D. Legland, Efficient N-dimensional surface estimation using Crofton formula and run-length
encoding, Insight Journal 2012. For balls of five voxels' radius and more it is within 2 %, for faces that lie along the
axes up to 10 % too small. (To add up faces of voxels gives 50 % too much for a ball of any size.)
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.neighbours import shifted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.objects.regions import Regions

DIRECTIONS = tuple(step for step in itertools.product((0, 1), (-1, 0, 1), (-1, 0, 1)) if step > (0, 0, 0))
"""To the neighbours of a voxel along Z, Y and X; of two opposite ones the one."""

_SAMPLES = 50_000
"""Directions on a sphere by which the shares of these are found."""


def crossings(regions: Regions, volume: NDArray[Any]) -> NDArray[np.int64]:
    """Return how often lines through all voxels cross the surface of each object, shape (13, objects).

    Parameters
    ----------
    regions : Regions
    volume : ndarray of int, axes (Z, Y, X)
        The labels that they are of. What lies outside of it is background.
    """
    found = np.zeros((len(DIRECTIONS), len(regions)), np.int64)
    empty = np.zeros((volume.shape[1] + 2, volume.shape[2] + 2), volume.dtype)
    above = empty
    for plane in itertools.chain(volume, [None]):
        here = empty if plane is None else np.pad(plane, 1)
        for number, (dz, dy, dx) in enumerate(DIRECTIONS):
            a, b = shifted(above if dz else here, here, dy, dx)
            changed = a != b
            for side in (a[changed], b[changed]):
                found[number] += np.bincount(regions.number(side[side > 0]), minlength=len(regions))
        above = here
    return found


def surfaces(counts: NDArray[np.int64], spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the surface area of each object.

    Parameters
    ----------
    counts : ndarray of int, shape (13, objects)
        As from `crossings`.
    spacing : tuple of float
        From one voxel to the next along Z, Y and X; the area is in the square of its unit.
    """
    lengths = np.linalg.norm(np.array(DIRECTIONS) * np.array(spacing), axis=1)
    # Lines in a direction are as dense as voxels are along them: length / volume of a voxel for each unit of area.
    areas = float(np.prod(spacing)) * np.array(_shares(spacing)) / lengths
    return np.asarray(2 * areas @ counts, np.float64)


@lru_cache(64)
def _shares(spacing: tuple[float, float, float]) -> tuple[float, ...]:
    """Return the share of all directions in space for which each of the 13 is the nearest."""
    steps = np.array(DIRECTIONS) * np.array(spacing)
    units = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    number = np.arange(_SAMPLES) + 0.5  # a spiral of evenly spread points (Fibonacci sphere)
    z, turn = 1 - 2 * number / _SAMPLES, np.pi * (1 + 5**0.5) * number
    wide = np.sqrt(1 - z**2)
    points = np.stack([z, wide * np.sin(turn), wide * np.cos(turn)], 1)
    nearest = np.abs(points @ units.T).argmax(1)
    shares: list[float] = (np.bincount(nearest, minlength=len(DIRECTIONS)) / _SAMPLES).tolist()
    return tuple(shares)
