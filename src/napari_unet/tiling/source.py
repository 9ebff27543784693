"""Where tiles read their pixels: from the image, which is mirrored beyond its border."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.tiling.grid import Tile


class Source(Protocol):
    """An image as tiles see it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape, ([Z,] Y, X)."""
        ...

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return normalised pixels, axes (C, [Z,] Y, X), of a region that lies within the image."""
        ...


class ArraySource:
    """A source over a normalised array in memory, axes (C, [Z,] Y, X)."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape."""
        return self._array.shape[1:]

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return the pixels of a region."""
        return self._array[(slice(None), *region)].astype(np.float32, copy=False)


def read_tile(source: Source, tile: Tile) -> NDArray[np.float32]:
    """Return the block that a tile reads, axes (C, [Z,] Y, X)."""
    return read_mirrored(source, tile.read_start, tile.read_shape)


def mirrored_indices(start: int, count: int, size: int) -> NDArray[np.intp]:
    """Return the indices within ``0..size`` of the positions ``start, start + 1, ...`` of a mirrored axis.

    The border pixel itself is not repeated: ... 2 1 | 0 1 2 3 | 2 1 ...; an axis of one pixel repeats it.
    """
    if size == 1:
        return np.zeros(count, np.intp)
    period = 2 * (size - 1)
    position = np.arange(start, start + count) % period
    return np.where(position < size, position, period - position)


def read_mirrored(source: Source, start: Sequence[int], shape: Sequence[int]) -> NDArray[np.float32]:
    """Return a block (C, [Z,] Y, X) that begins at `start`, which may be outside the image."""
    indices = [mirrored_indices(a, n, size) for a, n, size in zip(start, shape, source.shape, strict=True)]
    box = tuple(slice(int(index.min()), int(index.max()) + 1) for index in indices)
    block = source.read(box)
    for axis, (index, part) in enumerate(zip(indices, box, strict=True), start=1):
        if len(index) != block.shape[axis] or index[0] != part.start or index[-1] != part.stop - 1:
            block = np.take(block, index - part.start, axis=axis)
    return block
