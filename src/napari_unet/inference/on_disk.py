"""Images larger than memory: from an array on disk to labels on disk, a tile and a block at a time.

The network's maps go to an array on disk tile by tile; objects are then found in them block by block and stitched. What
is in memory at any time does not depend on the size of the image. For objects up to `OVERLAP` pixels the result is that
of `pipeline.segment`, but for the order of the ids.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.scale import is_rescaled
from napari_unet.inference.tile_runner import Inference
from napari_unet.nets.buffers import BUFFERS
from napari_unet.objects.blocks import Block, BlockStitcher
from napari_unet.objects.stitch import MIN_SLICE_IOU, Matcher, numbered_on
from napari_unet.progress import Progress, Stopwatch
from napari_unet.tiling.grid import Tile
from napari_unet.tiling.prefetch import OrderedThreadPool
from napari_unet.tiling.scaled import ScaledSource
from napari_unet.tiling.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_unet.inference.task import Subimage, Task
    from napari_unet.progress import CancelToken, ProgressCallback
    from napari_unet.tiling.engine import TileResult

OVERLAP = {2: 96, 3: 24}
"""Size, in pixels, up to which objects come out as if the image had been decoded at once, by the spatial axes."""

BLOCK = {2: 2048, 3: 160}
"""Width of the blocks that objects are found in, pixels, by the number of spatial axes."""


STRIP = {2: 256, 3: 8}
"""Rows, or slices, of maps that are brought back to the image's size at a time."""

WRITING = 2
"""Most tiles whose maps are being written while the network goes on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a segmentation on disk came to; see `pipeline.Result`."""

    n_objects: int
    seconds: float


class Plane:
    """An array on disk or in memory with the axes (T, Z, Y, X), of which some may be missing.

    Parameters
    ----------
    array : numpy.ndarray or zarr.Array
        In the order T, Z, Y, X; maps have a C somewhere before Z.
    axes : str
        Its axes.
    """

    def __init__(self, array: Any, axes: str) -> None:
        self.array, self.axes = array, axes

    def index(self, subimage: Subimage, region: tuple[slice, ...]) -> tuple[Any, ...]:
        """Return the index of a region ([Z,] Y, X) of a plane or volume; what it selects has the region's axes."""
        picks: dict[str, Any] = {"T": subimage.frame, "C": slice(None), "Y": region[-2], "X": region[-1]}
        picks["Z"] = subimage.z if subimage.z is not None else region[0]
        return tuple(picks[letter] for letter in self.axes)

    def read(self, subimage: Subimage, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return a region of a plane or volume."""
        return np.asarray(self.array[self.index(subimage, region)])

    def write(self, subimage: Subimage, region: tuple[slice, ...], values: NDArray[Any]) -> None:
        """Write a region of a plane or volume."""
        self.array[self.index(subimage, region)] = values


def segment_into(
    task: Task,
    labels: Plane,
    maps: Plane,
    *,
    device: str = "auto",
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Outcome:
    """Segment an image into arrays that need not fit in memory.

    Parameters
    ----------
    task : Task
        From `make_task`, with all planes or volumes.
    labels : Plane
        Where the labels go, of 32-bit integers.
    maps : Plane
        Where the network's maps go, float32. They may lack T and Z, and are then those of the last one only.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    progress : callable, optional
        Called with a `Progress` after every tile.
    cancel : CancelToken, optional
        Stops within one tile or block, with `Cancelled`.
    """
    watch = Stopwatch()
    joins_slices = task.model.info.spec.ndim == 2 and task.image.is_volume
    done, last, classes = 0, 0, set[int]()
    before: Subimage | None = None
    tell = progress if progress is not None else lambda _: None
    with BUFFERS, Inference(task, device, cancel=cancel, tells=progress is not None) as inference:
        for subimage in task.subimages:
            with _Objects(task, subimage, labels, maps, cancel) as objects:
                for result in _written(inference, task, subimage, objects, maps):
                    if isinstance(result, float):
                        tell(Progress(done, task.n_tiles, watch.seconds, part=result))
                        continue
                    done += 1
                    tell(Progress(done, task.n_tiles, watch.seconds, note=result.note))
                stitcher = objects.finish()
            if not task.model.info.finds_objects:
                classes |= _classes(labels, subimage, stitcher)
                continue
            table = stitcher.final_ids()
            follows = before if joins_slices and before is not None and before.frame == subimage.frame else None
            table, last = _numbered(labels, subimage, follows, stitcher, table, last)
            for part in stitcher.blocks():
                labels.write(subimage, part.region, table[labels.read(subimage, part.region)])
            before = subimage
    return Outcome(last if task.model.info.finds_objects else len(classes), watch.seconds)


def _written(
    inference: Inference, task: Task, subimage: Subimage, objects: _Objects, maps: Plane
) -> Iterator[TileResult | float]:
    """Yield what `_results` does, after the maps of each tile are written, or kept where the image is rescaled."""
    with OrderedThreadPool[Tile]() as writing:
        for result in _results(inference, task, subimage):
            if isinstance(result, float):
                pass
            elif is_rescaled(task.zoom):
                objects.gather(result)
            else:
                writing.put(partial(_write, maps, subimage, result))
                for written in writing.take(WRITING):
                    objects.find(above=written.start[0])
            yield result
        for _ in writing.take():
            pass


def _results(inference: Inference, task: Task, subimage: Subimage) -> Iterator[TileResult | float]:
    """Yield every tile of a plane or volume, row by row, and before it now and then the share of it that is done."""
    tiles = task.plan.tiles
    for tile, after in itertools.zip_longest(tiles, itertools.islice(tiles, 1, None)):
        yield (yield from inference.steps(subimage, tile, (subimage, after) if after is not None else None))
    inference.end(subimage)


def _write(maps: Plane, subimage: Subimage, result: TileResult) -> Tile:
    maps.write(subimage, result.tile.region, result.maps)
    return result.tile


class _Objects:
    """Finds the objects of a plane or volume block by block, in other threads, as soon as a block's maps are there.

    The ids that are written are not yet final.
    """

    def __init__(self, task: Task, subimage: Subimage, labels: Plane, maps: Plane, cancel: CancelToken | None) -> None:
        ndim, self._semantic = task.model.info.spec.ndim, not task.model.info.finds_objects
        shape = task.image.space[-ndim:]
        self._task, self._subimage, self._labels, self._maps, self._cancel = task, subimage, labels, maps, cancel
        self._stitcher = BlockStitcher(shape, (BLOCK[ndim],) * ndim, 0 if self._semantic else OVERLAP[ndim])
        self._waiting = deque(self._stitcher.blocks())
        self._threads = max(1, min(4, (os.cpu_count() or 2) - 1))
        self._aside: OrderedThreadPool[tuple[Block, NDArray[np.int32]]] = OrderedThreadPool(self._threads)
        self._gathered: NDArray[np.float32] | None = None

    def __enter__(self) -> _Objects:
        return self

    def __exit__(self, *error: object) -> None:
        self._aside.__exit__(*error)

    def gather(self, result: TileResult) -> None:
        """Keep the maps of a tile of an image that is rescaled: at that scale they have to fit in memory."""
        if self._gathered is None:
            self._gathered = np.empty((len(result.maps), *self._task.plan.shape), np.float32)
        self._gathered[(slice(None), *result.tile.region)] = result.maps

    def find(self, above: int) -> None:
        """Go on with the blocks whose maps are complete: those above a row (for volumes, a slice) of the image."""
        while self._waiting and self._waiting[0].seen[0].stop <= above and len(self._aside) <= self._threads:
            self._aside.put(partial(self._decode, self._waiting.popleft()))
        self._take(self._threads)

    def finish(self) -> BlockStitcher:
        """Find the objects of all other blocks, and return what knows how they are joined."""
        if self._gathered is not None:
            self._write_gathered(self._gathered)
        while self._waiting:
            if self._cancel is not None:
                self._cancel.check()
            self._aside.put(partial(self._decode, self._waiting.popleft()))
            self._take(self._threads)
        self._take(0)
        return self._stitcher

    def _write_gathered(self, maps: NDArray[np.float32]) -> None:
        """Write the maps of a plane or volume with the image's pixels, some rows (for volumes, slices) at a time."""
        shape = self._task.image_shape
        source = ScaledSource(ArraySource(maps), shape)
        for start in range(0, shape[0], STRIP[len(shape)]):
            region = (slice(start, min(start + STRIP[len(shape)], shape[0])), *(slice(0, n) for n in shape[1:]))
            self._maps.write(self._subimage, region, source.read(region))

    def _decode(self, part: Block) -> tuple[Block, NDArray[np.int32]]:
        return part, self._task.decode(self._maps.read(self._subimage, part.seen))

    def _take(self, most: int) -> None:
        for part, found in self._aside.take(most):
            new = found[part.crop] if self._semantic else self._stitcher.add(part, found)
            self._labels.write(self._subimage, part.region, new)


def _numbered(
    labels: Plane,
    subimage: Subimage,
    before: Subimage | None,
    stitcher: BlockStitcher,
    table: NDArray[np.int32],
    last: int,
) -> tuple[NDArray[np.int32], int]:
    """Return the ids of the objects: of those that go on from the slice before, else numbered on from `last`."""
    known: dict[int, int] = {}
    if before is not None:
        matcher = Matcher()
        for part in stitcher.blocks():
            matcher.add(labels.read(before, part.region), table[labels.read(subimage, part.region)])
        known = matcher.mapping(MIN_SLICE_IOU)
    new, last = numbered_on(int(table.max(initial=0)), known, last)
    return new[table], last


def _classes(labels: Plane, subimage: Subimage, stitcher: BlockStitcher) -> set[int]:
    found: set[int] = set()
    for part in stitcher.blocks():
        found |= {int(value) for value in np.unique(labels.read(subimage, part.region)) if value}
    return found
