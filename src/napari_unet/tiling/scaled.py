"""Rescaled images, read part by part: a part equals that part of the whole rescaled image."""

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
"""Radius of the Gaussian filter in standard deviations."""


class ScaledSource:
    """A source resized: interpolated linearly, after smoothing if it is made smaller.

    Parameters
    ----------
    source : Source
        The image at its own size.
    shape : tuple of int
        New spatial shape.

    Notes
    -----
    Equals ``skimage.transform.resize(order=1, anti_aliasing=True)`` of the whole image, but reads only a part of it.
    """

    def __init__(self, source: Source, shape: Sequence[int]) -> None:
        self._source, self._shape = source, tuple(shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape."""
        return self._shape

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return the pixels of a region, axes (C, [Z,] Y, X)."""
        positions, starts, counts, sigmas = [], [], [], [0.0]
        for part, old, new in zip(region, self._source.shape, self._shape, strict=True):
            step = old / new
            sigma = max(0.0, (step - 1) / 2)
            margin = int(_TRUNCATE * sigma + 0.5)
            position = (np.arange(part.start, part.stop) + 0.5) * step - 0.5
            start = math.floor(position[0]) - margin
            positions.append(position - start)
            starts.append(start)
            counts.append(math.floor(position[-1]) + 2 + margin - start)
            sigmas.append(sigma)
        block = read_mirrored(self._source, starts, counts)
        if any(sigmas):
            block = ndimage.gaussian_filter(block, sigmas, truncate=_TRUNCATE)
        for axis, position in enumerate(positions, start=1):
            block = _interpolated(block, position, axis)
        return np.ascontiguousarray(block, np.float32)


class PartSource:
    """An image of which one region is known; beyond it, the nearest known pixels are repeated.

    Parameters
    ----------
    array : ndarray, axes (C, [Z,] Y, X)
        The region.
    region : tuple of slice
        Its position in the image.
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
            positions = np.arange(part.start, part.stop) - known.start
            block = block.take(positions.clip(0, known.stop - known.start - 1), axis)
        return block.astype(np.float32, copy=False)


def resized(block: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float32]:
    """Return a block (C, [Z,] Y, X) resized, after smoothing if it is made smaller."""
    return ScaledSource(ArraySource(block), shape).read(tuple(slice(0, n) for n in shape))


def covering(region: Sequence[slice], old: Sequence[int], new: Sequence[int]) -> tuple[slice, ...]:
    """Return the smallest region of an image of shape `new` that covers a region of the same image of shape `old`."""
    return tuple(
        slice(part.start * n // size, -(-part.stop * n // size)) for part, size, n in zip(region, old, new, strict=True)
    )


def _interpolated(block: NDArray[np.float32], position: NDArray[np.float64], axis: int) -> NDArray[np.float32]:
    """Return the values at fractional positions along an axis, by linear interpolation."""
    below = np.floor(position).astype(np.intp)
    share = (position - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(block.ndim)])
    if not share.any():
        return block.take(below, axis)
    return np.asarray(block.take(below, axis) * (1 - share) + block.take(below + 1, axis) * share)
