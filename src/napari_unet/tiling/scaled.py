"""Images at another scale, read part by part: any part is what it is in the whole image made smaller or larger."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.tiling.source import ArraySource, read_mirrored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.tiling.source import Source

_TRUNCATE = 4.0
"""Standard deviations beyond which the smoothing sees nothing."""


class ScaledSource:
    """A source at another size: interpolated linearly, and smoothed before where it is made smaller.

    Parameters
    ----------
    source : Source
        At its own size.
    shape : tuple of int
        Spatial shape that it is to have.

    Notes
    -----
    The same as ``skimage.transform.resize(order=1, anti_aliasing=True)`` of the whole, of which it reads a part only.
    """

    def __init__(self, source: Source, shape: Sequence[int]) -> None:
        self._source, self._shape = source, tuple(shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape."""
        return self._shape

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return the pixels of a region, axes (C, [Z,] Y, X)."""
        places, starts, counts, sigmas = [], [], [], [0.0]
        for part, old, new in zip(region, self._source.shape, self._shape, strict=True):
            step = old / new
            sigma = max(0.0, (step - 1) / 2)
            margin = int(_TRUNCATE * sigma + 0.5)
            place = (np.arange(part.start, part.stop) + 0.5) * step - 0.5
            start = math.floor(place[0]) - margin
            places.append(place - start)
            starts.append(start)
            counts.append(math.floor(place[-1]) + 2 + margin - start)
            sigmas.append(sigma)
        block = read_mirrored(self._source, starts, counts)
        if any(sigmas):
            block = ndimage.gaussian_filter(block, sigmas, truncate=_TRUNCATE)
        for axis, place in enumerate(places, start=1):
            block = _interpolated(block, place, axis)
        return np.ascontiguousarray(block, np.float32)


class PartSource:
    """An image of which a region is known; beyond it, its outermost pixels go on.

    Parameters
    ----------
    array : ndarray, axes (C, [Z,] Y, X)
        The region.
    region : tuple of slice
        Where it lies.
    shape : tuple of int
        Spatial shape of the image.
    """

    def __init__(self, array: NDArray[Any], region: Sequence[slice], shape: tuple[int, ...]) -> None:
        self._array, self._region, self._shape = array, region, shape

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape."""
        return self._shape

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return the pixels of a region."""
        block = self._array
        for axis, (part, known) in enumerate(zip(region, self._region, strict=True), start=1):
            places = np.arange(part.start, part.stop) - known.start
            block = block.take(places.clip(0, known.stop - known.start - 1), axis)
        return block.astype(np.float32, copy=False)


def resized(block: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float32]:
    """Return a block (C, [Z,] Y, X) at another size, smoothed before where it is made smaller."""
    return ScaledSource(ArraySource(block), shape).read(tuple(slice(0, n) for n in shape))


def covering(region: Sequence[slice], old: Sequence[int], new: Sequence[int]) -> tuple[slice, ...]:
    """Return what holds a region of an image of one shape in the same image of another shape."""
    return tuple(
        slice(part.start * n // size, -(-part.stop * n // size)) for part, size, n in zip(region, old, new, strict=True)
    )


def _interpolated(block: NDArray[np.float32], place: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    """Return the values at places between the pixels along an axis."""
    below = np.floor(place).astype(np.intp)
    share = (place - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(block.ndim)])
    if not share.any():
        return block.take(below, axis)
    return np.asarray(block.take(below, axis) * (1 - share) + block.take(below + 1, axis) * share)
