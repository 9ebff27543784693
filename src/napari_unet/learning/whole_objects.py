"""Where objects end along Z: what a user vouches for in a volume, besides the rings in the slices.

A ring around each section of an object says nothing of what lies above its first slice and below its last one. Then no
object of a volume would be known as a whole, and its distance map would be learned slice by slice, as if objects never
ended (`objects.targets.learned_maps`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.objects.stitch import compact

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SLICES = 3
"""Slices that an object is in, one after the other, from which on it is taken to be drawn as a whole: one or two are
the beginning of an object that somebody goes on with. Not tuned."""


def ends_along_z(labels: NDArray[Any], supervised: NDArray[np.bool_], thickness: int = 1) -> NDArray[np.bool_]:
    """Return the voxels above and below the objects of which all voxels are supervised: there they end.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
        Object ids, 0 is background.
    supervised : ndarray of bool, axes (Z, Y, X)
        What the user vouches for.
    thickness : int
        Slices above and below; more than 1 where a network sees the volume with fewer slices.

    Returns
    -------
    ndarray of bool, axes (Z, Y, X)
        Not in the objects themselves.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((7, 1, 1), int)
    >>> labels[2:5] = 1
    >>> ends_along_z(labels, labels > 0)[:, 0, 0].tolist()
    [False, True, False, False, False, True, False]
    """
    ends = np.zeros(labels.shape, bool)
    numbers = compact(np.where(_with_supervised(labels, supervised), labels, 0))
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        own = numbers[box] == number
        if not own.any(axis=(1, 2)).all() or len(own) < MIN_SLICES or not supervised[box][own].all():
            continue
        z = slice(max(0, box[0].start - thickness), box[0].stop + thickness)
        around = numbers[(z, *box[1:])] == number
        reached = ndimage.binary_dilation(around, np.ones((3, 1, 1), bool), iterations=thickness)
        ends[(z, *box[1:])] |= reached & ~around
    return ends


def _with_supervised(labels: NDArray[Any], supervised: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels of the objects of which some are supervised."""
    ids = np.unique(labels[supervised])
    return np.asarray(np.isin(labels, ids[ids > 0]))
