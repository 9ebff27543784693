"""Which tiles an image is cut into, and what each has to read: pure geometry, decided before anything runs.

The tiled result is the untiled one because of three rules. Tiles start on the network's pooling grid. Each reads, on
every side, the halo that its result depends on: real pixels wherever there are any. And only beyond the true border of
the image, for a fixed width that does not depend on the tile, the image is mirrored (Ronneberger et al. 2015,
"overlap-tile strategy"); where the mirrored rim ends, every tiling ends.

A plan may be given a smaller halo. Most of what a pixel depends on is near it, so the result is then nearly the same;
how nearly is measured for each model (`tiling.fast`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.nets import geometry
from napari_unet.progress import format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.nets.spec import UNetSpec

MIRROR = {2: 32, 3: 8}
"""Least width, in pixels, of the mirrored rim around an image, by the number of spatial axes (`same` networks)."""

DEFAULT_BUDGET = {2: 1_600_000, 3: 3_000_000}
"""Most pixels that a tile reads, by the number of spatial axes, where nothing is known of the machine."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile; all tuples have one entry for each spatial axis.

    Attributes
    ----------
    start, stop : tuple of int
        The region of the image whose result comes from this tile.
    read_start : tuple of int
        First pixel that is read; negative where the mirrored rim is.
    read_shape : tuple of int
        Shape of what the network gets.
    offset : tuple of int
        Where `start` lies in the network's output.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    read_start: tuple[int, ...]
    read_shape: tuple[int, ...]
    offset: tuple[int, ...]

    @property
    def region(self) -> tuple[slice, ...]:
        """Where in the image the result belongs."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def crop(self) -> tuple[slice, ...]:
        """Which part of the network's output is the result."""
        shape = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return tuple(slice(o, o + n) for o, n in zip(self.offset, shape, strict=True))

    def holds(self, pixel: Sequence[float]) -> bool:
        """Whether a pixel of the image lies in the region."""
        return all(a <= p < b for a, p, b in zip(self.start, pixel, self.stop, strict=True))

    @property
    def center(self) -> tuple[float, ...]:
        """Middle of the region."""
        return tuple((a + b) / 2 for a, b in zip(self.start, self.stop, strict=True))


@dataclass(frozen=True, slots=True)
class TilingPlan:
    """A frozen plan: print it to see what it costs.

    Attributes
    ----------
    spec : UNetSpec
        The network it is for.
    shape : tuple of int
        Spatial shape of the image.
    tile_shape : tuple of int
        Largest region of a tile.
    halo : tuple of int
        Pixels read on either side of a region: all that its result depends on, or fewer.
    region : tuple of slice
        What of the image is done: all of it, or a part that starts on the grid.
    tiles : tuple of Tile
        They cover that once, without overlap.
    pace : float, optional
        Pixels that the network reads in a second; None: not known.
    """

    spec: UNetSpec
    shape: tuple[int, ...]
    tile_shape: tuple[int, ...]
    halo: tuple[int, ...]
    region: tuple[slice, ...]
    tiles: tuple[Tile, ...]
    pace: float | None = None

    @property
    def extent(self) -> tuple[int, ...]:
        """Shape of what is done."""
        return tuple(part.stop - part.start for part in self.region)

    def within(self, tile: Tile) -> tuple[slice, ...]:
        """Return where in an array of that shape a tile belongs."""
        return tuple(slice(t.start - r.start, t.stop - r.start) for t, r in zip(tile.region, self.region, strict=True))

    def halves(self, tile: Tile) -> tuple[Tile, ...]:
        """Return two tiles for one, with the same result for less memory; none if it is too small for that to help."""
        sizes = [b - a for a, b in zip(tile.start, tile.stop, strict=True)]
        axis = max(range(len(sizes)), key=sizes.__getitem__)
        stride = self.spec.stride[axis]
        if sizes[axis] <= max(stride, 2 * MIRROR[self.spec.ndim]):
            return ()
        middle = tile.start[axis] + _round_up(sizes[axis] // 2, stride)
        whole = list(zip(tile.start, tile.stop, strict=True))
        cut = ((tile.start[axis], middle), (middle, tile.stop[axis]))
        parts = ((*whole[:axis], part, *whole[axis + 1 :]) for part in cut)
        return tuple(_make_tile(self.spec, self.shape, self.halo, part) for part in parts)

    def around(self, place: tuple[float, ...], size: int) -> Tile | None:
        """Return a tile of about `size` pixels around a place, to show that first; none if it is no less work."""
        regions = []
        for n, stride, center in zip(self.shape, self.spec.stride, place, strict=True):
            width = min(_round_up(size, stride), n)
            start = int(min(max(0.0, center - width / 2), n - width)) // stride * stride
            regions.append((start, min(start + width, n)))
        tile = _make_tile(self.spec, self.shape, self.halo, tuple(regions))
        cheapest = min(math.prod(other.read_shape) for other in self.tiles)
        return tile if 2 * math.prod(tile.read_shape) < cheapest else None

    @property
    def exact(self) -> bool:
        """Whether the result is that of one pass over the whole image."""
        return len(self.tiles) == 1 or all(a >= b for a, b in zip(self.halo, geometry.halo(self.spec), strict=True))

    @property
    def work(self) -> float:
        """Pixels read, as a multiple of the image's pixels."""
        return self._read / math.prod(self.extent)

    @property
    def seconds(self) -> float | None:
        """How long it takes, if that is known."""
        return self._read / self.pace if self.pace else None

    @property
    def _read(self) -> int:
        return sum(math.prod(tile.read_shape) for tile in self.tiles)

    def __str__(self) -> str:
        n = len(self.tiles)
        size = "×".join(str(v) for v in self.tile_shape)
        time = f", about {format_seconds(max(1.0, self.seconds))}" if self.seconds else ""
        if n == 1:
            return f"1 tile of {size}{time}"
        mode = "exact" if self.exact else "fast"
        return f"{n} tiles of {size}, {mode}, halo {max(self.halo)}, {self.work:.1f}× the work of one pass{time}"


def make_plan(
    spec: UNetSpec,
    shape: Sequence[int],
    tile: int | None = None,
    budget: int | None = None,
    halo: tuple[int, ...] | None = None,
    region: Sequence[slice] | None = None,
) -> TilingPlan:
    """Return the plan for an image.

    Parameters
    ----------
    spec : UNetSpec
        Architecture; gives stride and halo.
    shape : sequence of int
        Spatial shape of the image, ([Z,] Y, X).
    tile : int, optional
        Width of a tile's region along Y and X (rounded up to the stride), instead of the planned one.
    budget : int, optional
        Most pixels that a tile may read.
    halo : tuple of int, optional
        Pixels, for each spatial axis, to be read on either side of a tile; None, or more than there need be: all that
        the result depends on. A ``valid`` network always reads those.
    region : sequence of slice, optional
        Pixels, for each spatial axis, that are wanted; None: all.

    Raises
    ------
    UNetError
        If `tile` is not positive.
    """
    shape = tuple(int(n) for n in shape)
    if len(shape) != spec.ndim:
        raise UNetError(f"The network has {spec.ndim} spatial axes, the image {len(shape)} (shape {shape}).")
    wanted = [range(n)[part] for n, part in zip(shape, region or [slice(None)] * spec.ndim, strict=True)]
    spans = [(part.start // stride * stride, part.stop) for part, stride in zip(wanted, spec.stride, strict=True)]
    extent = tuple(stop - start for start, stop in spans)
    exact = geometry.halo(spec)
    halo = exact if halo is None or spec.padding == "valid" else tuple(map(min, halo, exact))
    if tile is not None:
        if tile < 1:
            raise UNetError(f"A tile of {tile} pixels is not possible; the smallest is {spec.stride[-1]}.")
        counts = [1 if axis < spec.ndim - 2 else math.ceil(n / tile) for axis, n in enumerate(extent)]
    else:
        counts = _choose_counts(spec, extent, halo, budget or DEFAULT_BUDGET[spec.ndim])
    cuts = [_cut(*span, count, stride) for span, count, stride in zip(spans, counts, spec.stride, strict=True)]
    grid: list[tuple[tuple[int, int], ...]] = [()]
    for intervals in cuts:
        grid = [(*region, interval) for region in grid for interval in intervals]
    tiles = tuple(_make_tile(spec, shape, halo, region) for region in grid)
    largest = tuple(max(b - a for a, b in intervals) for intervals in cuts)
    return TilingPlan(spec, shape, largest, halo, tuple(slice(*span) for span in spans), tiles)


def _choose_counts(spec: UNetSpec, shape: tuple[int, ...], halo: tuple[int, ...], budget: int) -> list[int]:
    """Cut the longest region in two more pieces until a tile's reading stays within the budget."""
    counts = [1] * len(shape)
    while True:
        sizes = [math.ceil(n / count) for n, count in zip(shape, counts, strict=True)]
        reads = 1
        for axis, (size, count) in enumerate(zip(sizes, counts, strict=True)):
            reach, rim = _reach(spec, halo, axis)
            reads *= size + 2 * (reach if count > 1 else rim)
        splittable = [axis for axis, size in enumerate(sizes) if size > spec.stride[axis]]
        if reads <= budget or not splittable:
            return counts
        counts[max(splittable, key=lambda axis: sizes[axis])] += 1


def _reach(spec: UNetSpec, halo: tuple[int, ...], axis: int) -> tuple[int, int]:
    """Pixels read beyond a region: within the image, and beyond its border."""
    if spec.padding == "valid":
        margin = geometry.valid_margin(spec)[axis]
        return margin, margin
    reach, whole = (_round_up(width[axis], spec.stride[axis]) for width in (halo, geometry.halo(spec)))
    return reach, min(whole, _round_up(MIRROR[spec.ndim], spec.stride[axis]))


def _cut(start: int, stop: int, count: int, stride: int) -> list[tuple[int, int]]:
    """Cut an interval into about `count` even ones that start on the grid."""
    step = max(1, math.ceil(math.ceil((stop - start) / count) / stride)) * stride
    return [(first, min(first + step, stop)) for first in range(start, stop, step)]


def _make_tile(
    spec: UNetSpec, shape: tuple[int, ...], halo: tuple[int, ...], region: tuple[tuple[int, int], ...]
) -> Tile:
    read_start, read_shape, offset = [], [], []
    for axis, (start, stop) in enumerate(region):
        reach, rim = _reach(spec, halo, axis)
        if spec.padding == "valid":
            first, size = start - reach, geometry.input_size(spec, stop - start, axis)
            offset.append(0)
        else:
            stride = spec.stride[axis]
            first = max(start - reach, -rim)
            last = min(_round_up(stop, stride) + reach, _round_up(shape[axis], stride) + rim)
            size = last - first
            offset.append(start - first)
        read_start.append(first)
        read_shape.append(size)
    starts, stops = zip(*region, strict=True)
    return Tile(starts, stops, tuple(read_start), tuple(read_shape), tuple(offset))


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
