"""Which tiles an image is cut into, and what each has to read: pure geometry, computed before any work.

The tiled result equals the untiled one because of three rules. Tiles start on the network's pooling grid. Each reads,
on every side, the halo that its result depends on, from the image itself. Only beyond the border of the image the
image is mirrored (Ronneberger et al. 2015, "overlap-tile strategy"), with a width that is the same for every tile.

A plan may have a smaller halo. A pixel depends mostly on what is near it, so the result is then nearly the same; the
difference is measured for each model (`inference.fast_mode`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.nets import geometry
from napari_unet.progress import format_seconds
from napari_unet.tiling.grid import MIRROR, Reading, Tile, TileGrid, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_unet.nets.spec import UNetSpec

DEFAULT_BUDGET = {2: 1_600_000, 3: 3_000_000}
"""Largest number of pixels that a tile reads, by the number of spatial axes, if the machine is not known."""


@dataclass(frozen=True, slots=True)
class TilingPlan:
    """A plan; its text says how much work it is.

    Attributes
    ----------
    tiles : TileGrid
        They cover the region once, without overlap.
    throughput : float, optional
        Pixels that the network reads in a second; None: not known.
    """

    tiles: TileGrid
    throughput: float | None = None

    @property
    def spec(self) -> UNetSpec:
        """Architecture of the network."""
        return self.tiles.reading.spec

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of the image."""
        return self.tiles.reading.shape

    @property
    def halo(self) -> tuple[int, ...]:
        """Pixels, for each spatial axis, read on either side of a tile: all that its result depends on, or fewer."""
        return self.tiles.reading.halo

    @property
    def tile_shape(self) -> tuple[int, ...]:
        """Shape of the largest tile."""
        return self.tiles.largest

    @property
    def region(self) -> tuple[slice, ...]:
        """Region of the image that is computed: all of it, or a part that starts on the pooling grid."""
        return tuple(slice(*span) for span in self.tiles.spans)

    @property
    def extent(self) -> tuple[int, ...]:
        """Shape of that region."""
        return tuple(part.stop - part.start for part in self.region)

    def within(self, tile: Tile) -> tuple[slice, ...]:
        """Return the region of a tile in an array of that shape."""
        return tuple(slice(t.start - r.start, t.stop - r.start) for t, r in zip(tile.region, self.region, strict=True))

    def halves(self, tile: Tile) -> tuple[Tile, ...]:
        """Return two tiles for one, with the same result for less memory; none if the tile is too small."""
        sizes = [b - a for a, b in zip(tile.start, tile.stop, strict=True)]
        axis = max(range(len(sizes)), key=sizes.__getitem__)
        stride = self.spec.stride[axis]
        if sizes[axis] <= max(stride, 2 * MIRROR[self.spec.ndim]):
            return ()
        middle = tile.start[axis] + round_up(sizes[axis] // 2, stride)
        whole = list(zip(tile.start, tile.stop, strict=True))
        cut = ((tile.start[axis], middle), (middle, tile.stop[axis]))
        parts = ((*whole[:axis], part, *whole[axis + 1 :]) for part in cut)
        return tuple(self.tiles.reading.tile(part) for part in parts)

    def around(self, position: tuple[float, ...], size: int) -> Tile | None:
        """Return a tile of about `size` pixels around a position, to be shown first; None if it is not less work."""
        regions = []
        for n, stride, center in zip(self.shape, self.spec.stride, position, strict=True):
            width = min(round_up(size, stride), n)
            start = int(min(max(0.0, center - width / 2), n - width)) // stride * stride
            regions.append((start, min(start + width, n)))
        tile = self.tiles.reading.tile(regions)
        return tile if 2 * math.prod(tile.read_shape) < self.tiles.fewest_pixels else None

    @property
    def exact(self) -> bool:
        """Whether the result is that of one pass over the whole image."""
        return len(self.tiles) == 1 or all(a >= b for a, b in zip(self.halo, geometry.halo(self.spec), strict=True))

    @property
    def work(self) -> float:
        """Pixels read, as a multiple of the image's pixels."""
        return self.tiles.pixels / math.prod(self.extent)

    @property
    def seconds(self) -> float | None:
        """Estimated time; None: not known."""
        return self.tiles.pixels / self.throughput if self.throughput else None

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
        Width of the region of a tile along Y and X (rounded up to the stride); None: it is chosen.
    budget : int, optional
        Largest number of pixels that a tile may read.
    halo : tuple of int, optional
        Pixels, for each spatial axis, to be read on either side of a tile; None: all that the result depends on, which
        is also the largest halo, and the only one of a ``valid`` network.
    region : sequence of slice, optional
        Pixels, for each spatial axis, that are to be computed; None: all.

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
    reading = Reading(spec, shape, halo)
    if tile is not None:
        if tile < 1:
            raise UNetError(f"A tile of {tile} pixels is not possible; the smallest is {spec.stride[-1]}.")
        counts = [1 if axis < spec.ndim - 2 else math.ceil(n / tile) for axis, n in enumerate(extent)]
    else:
        counts = _choose_counts(reading, extent, budget or DEFAULT_BUDGET[spec.ndim])
    steps = [
        max(1, math.ceil(math.ceil(n / count) / stride)) * stride
        for n, count, stride in zip(extent, counts, spec.stride, strict=True)
    ]
    return TilingPlan(TileGrid(reading, tuple(spans), tuple(steps)))


def _choose_counts(reading: Reading, shape: tuple[int, ...], budget: int) -> list[int]:
    """Cut the longest side of a tile into one more piece until a tile reads no more than the budget.

    For a large image, where there would be very many cuts, the width at which a tile fits is found by bisection, and
    only the last few cuts are made one by one.
    """
    strides = reading.spec.stride

    def counts_for(width: int) -> list[int]:
        """Return the fewest pieces that are at most so wide, or as wide as the stride."""
        return [math.ceil(n / max(width, stride)) for n, stride in zip(shape, strides, strict=True)]

    def fits(counts: Sequence[int]) -> bool:
        reads = 1
        for n, count, (reach, rim) in zip(shape, counts, reading.reaches, strict=True):
            reads *= math.ceil(n / count) + 2 * (reach if count > 1 else rim)
        return reads <= budget

    counts = counts_for(_widest(lambda width: fits(counts_for(width)), shape) + 1)
    while not fits(counts):
        sizes = [math.ceil(n / count) for n, count in zip(shape, counts, strict=True)]
        splittable = [axis for axis, size in enumerate(sizes) if size > strides[axis]]
        if not splittable:
            break
        counts[max(splittable, key=lambda axis: sizes[axis])] += 1
    return counts


def _widest(fits: Callable[[int], bool], shape: Sequence[int]) -> int:
    """Return the largest width that fits; 0 if none does.

    The same axes are cut for all widths from one of the shape's up to the next: there the smaller ones fit if any does.
    """
    bounds = sorted({1, *shape, max(shape) + 1}, reverse=True)
    for high, low in pairwise(bounds):
        if fits(low):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if fits(middle) else (low, middle)
            return low
    return 0
