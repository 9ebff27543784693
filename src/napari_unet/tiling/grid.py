"""The tiles of a plan, computed when they are indexed: a plan of a million tiles is made as fast as one of four."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from napari_unet.nets import geometry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_unet.nets.spec import UNetSpec

MIRROR = {2: 32, 3: 8}
"""Width, in pixels, of the mirrored rim around an image, by the number of spatial axes (`same` networks)."""

Span = tuple[int, int]
"""The first pixel along an axis, and the one after the last."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile; all tuples have one entry for each spatial axis.

    Attributes
    ----------
    start, stop : tuple of int
        The region of the image whose result comes from this tile.
    read_start : tuple of int
        First pixel that is read; negative in the mirrored rim.
    read_shape : tuple of int
        Shape of the block that is read.
    offset : tuple of int
        Position of `start` in the network's output.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    read_start: tuple[int, ...]
    read_shape: tuple[int, ...]
    offset: tuple[int, ...]

    @property
    def region(self) -> tuple[slice, ...]:
        """Region of the image that the result is for."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def crop(self) -> tuple[slice, ...]:
        """The part of the network's output that is the result."""
        shape = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return tuple(slice(o, o + n) for o, n in zip(self.offset, shape, strict=True))

    def holds(self, pixel: Sequence[float]) -> bool:
        """Return whether a pixel of the image is in the region."""
        return all(a <= p < b for a, p, b in zip(self.start, pixel, self.stop, strict=True))

    @property
    def center(self) -> tuple[float, ...]:
        """Middle of the region."""
        return tuple((a + b) / 2 for a, b in zip(self.start, self.stop, strict=True))


@dataclass(frozen=True)
class Reading:
    """What has to be read for a part of an image.

    Attributes
    ----------
    spec : UNetSpec
        The network.
    shape : tuple of int
        Spatial shape of the image.
    halo : tuple of int
        Pixels that are read on either side of a part, inside the image.
    """

    spec: UNetSpec
    shape: tuple[int, ...]
    halo: tuple[int, ...]

    @cached_property
    def reaches(self) -> tuple[Span, ...]:
        """For each axis the pixels read beyond a part: within the image, and beyond its border."""
        if self.spec.padding == "valid":
            return tuple((margin, margin) for margin in geometry.valid_margin(self.spec))
        found = []
        for stride, narrow, whole in zip(self.spec.stride, self.halo, geometry.halo(self.spec), strict=True):
            rim = min(round_up(whole, stride), round_up(MIRROR[self.spec.ndim], stride))
            found.append((round_up(narrow, stride), rim))
        return tuple(found)

    def along(
        self, axis: int, start: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return for parts of an axis the first pixel read, their number, and the offset of the part in the output."""
        reach, rim = self.reaches[axis]
        if self.spec.padding == "valid":
            widths, which = np.unique(stop - start, return_inverse=True)
            sizes = np.array([geometry.input_size(self.spec, int(width), axis) for width in widths], np.int64)
            return start - reach, sizes[which], np.zeros_like(start)
        stride = self.spec.stride[axis]
        first = np.maximum(start - reach, -rim)
        last = np.minimum(round_up(stop, stride) + reach, round_up(self.shape[axis], stride) + rim)
        return first, last - first, start - first

    def tile(self, spans: Sequence[Span]) -> Tile:
        """Return the tile of a region that begins on the pooling grid."""
        read = [self.along(axis, *(np.array([at]) for at in span)) for axis, span in enumerate(spans)]
        starts, stops = zip(*spans, strict=True)
        first, size, offset = (tuple(int(part[0]) for part in each) for each in zip(*read, strict=True))
        return Tile(starts, stops, first, size, offset)


@dataclass(frozen=True)
class TileGrid(Sequence[Tile]):
    """The tiles of a region in reading order: they cover it once, without overlap.

    Attributes
    ----------
    reading : Reading
        What each tile reads.
    spans : tuple of (int, int)
        The region; it begins on the pooling grid.
    steps : tuple of int
        Width of a tile along each axis, a multiple of the network's stride.
    """

    reading: Reading
    spans: tuple[Span, ...]
    steps: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Tiles along each axis."""
        return tuple(-(-(stop - start) // step) for (start, stop), step in zip(self.spans, self.steps, strict=True))

    @property
    def largest(self) -> tuple[int, ...]:
        """Shape of the largest region of a tile."""
        return tuple(min(step, stop - start) for (start, stop), step in zip(self.spans, self.steps, strict=True))

    @property
    def pixels(self) -> int:
        """Pixels that all tiles together read."""
        return math.prod(int(axis[3].sum()) for axis in self._axes)

    @property
    def fewest_pixels(self) -> int:
        """Pixels that the tile with the fewest of them reads."""
        return math.prod(int(axis[3].min()) for axis in self._axes)

    def __len__(self) -> int:
        return math.prod(self.counts)

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Tile, ...]: ...
    def __getitem__(self, index: int | slice) -> Tile | tuple[Tile, ...]:
        """Return a tile by its number in reading order, or several."""
        if isinstance(index, slice):
            return tuple(self[number] for number in range(len(self))[index])
        return self._at(np.unravel_index(range(len(self))[index], self.counts))

    def __iter__(self) -> Iterator[Tile]:
        return (self._at(position) for position in product(*map(range, self.counts)))

    def number_of(self, tile: Tile) -> int:
        """Return the number of a tile of this grid in reading order."""
        position = [(a - span[0]) // step for a, span, step in zip(tile.start, self.spans, self.steps, strict=True)]
        return int(np.ravel_multi_index(position, self.counts))

    def distances(self, pixel: Sequence[float]) -> NDArray[np.float64]:
        """Return the squared distance of the middle of every tile to a pixel, one axis for each axis of the image."""
        total = np.zeros(())
        for axis, at in zip(self._axes, pixel, strict=True):
            total = total[..., None] + ((axis[0] + axis[1]) / 2 - at) ** 2
        return total

    @cached_property
    def _axes(self) -> tuple[tuple[NDArray[np.int64], ...], ...]:
        """For each axis: starts, stops, first pixels read, how many are, offsets."""
        found = []
        for axis, ((start, stop), step) in enumerate(zip(self.spans, self.steps, strict=True)):
            starts = np.arange(start, stop, step, dtype=np.int64)
            stops = np.minimum(starts + step, stop)
            found.append((starts, stops, *self.reading.along(axis, starts, stops)))
        return tuple(found)

    def _at(self, position: Sequence[Any]) -> Tile:
        parts = [[int(values[i]) for values in axis] for axis, i in zip(self._axes, position, strict=True)]
        start, stop, read_start, read_shape, offset = (tuple(each) for each in zip(*parts, strict=True))
        return Tile(start, stop, read_start, read_shape, offset)


class Remaining:
    """The tiles of a grid that are still to be computed.

    Parameters
    ----------
    tiles : TileGrid
    """

    def __init__(self, tiles: TileGrid) -> None:
        self.tiles, self._count, self._pixels = tiles, len(tiles), tiles.pixels
        self._left: NDArray[np.bool_] | None = None  # which are left; None: all

    def __len__(self) -> int:
        return self._count

    @property
    def pixels(self) -> int:
        """Pixels that they read."""
        return self._pixels

    def nearest(self, pixel: Sequence[float] | None) -> Tile:
        """Return the tile whose middle is nearest to a pixel; None: the first in reading order."""
        if pixel is None:
            return self.tiles[0 if self._left is None else int(self._left.argmax())]
        distances = self.tiles.distances(pixel)
        if self._left is not None:
            distances[~self._left] = np.inf
        return self.tiles[int(distances.argmin())]

    def remove(self, tile: Tile) -> None:
        """Note that a tile was computed."""
        self._set(tile, left=False)

    def add(self, tile: Tile) -> None:
        """Note that a tile is to be computed again."""
        self._set(tile, left=True)

    def _set(self, tile: Tile, *, left: bool) -> None:
        if self._left is None:
            self._left = np.ones(self.tiles.counts, bool)
        number = self.tiles.number_of(tile)
        if self._left.flat[number] != left:
            self._left.flat[number] = left
            self._count += 1 if left else -1
            self._pixels += (1 if left else -1) * math.prod(tile.read_shape)


@overload
def round_up(value: int, step: int) -> int: ...
@overload
def round_up(value: NDArray[np.int64], step: int) -> NDArray[np.int64]: ...
def round_up(value: Any, step: int) -> Any:
    """Return the next multiple of a step."""
    return -(-value // step) * step
