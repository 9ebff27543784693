"""Images larger than memory: from an array on disk to labels on disk, a tile and a block at a time.

The network's maps go to an array on disk tile by tile; objects are then found in them block by block and stitched. What
is in memory at any time does not depend on the size of the image. For objects up to `OVERLAP` pixels the result is that
of `pipeline.segment`, but for the order of the ids.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference import Inference
from napari_unet.objects.blocks import Block, BlockStitcher
from napari_unet.objects.stitch import SLICE_SHARE, Matcher
from napari_unet.progress import Progress, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_unet.progress import CancelToken, ProgressCallback
    from napari_unet.task import Task, Unit

OVERLAP = {2: 96, 3: 24}
"""Size, in pixels, up to which objects come out as if the image had been decoded at once, by the spatial axes."""

BLOCK = {2: 2048, 3: 160}
"""Width of the blocks that objects are found in, pixels, by the number of spatial axes."""


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

    def index(self, unit: Unit, region: tuple[slice, ...]) -> tuple[Any, ...]:
        """Return the index of a region ([Z,] Y, X) of a unit; the array's part has exactly the region's axes."""
        picks: dict[str, Any] = {"T": unit.frame, "C": slice(None), "Y": region[-2], "X": region[-1]}
        picks["Z"] = unit.z if unit.z is not None else region[0]
        return tuple(picks[letter] for letter in self.axes)

    def read(self, unit: Unit, region: tuple[slice, ...]) -> NDArray[Any]:
        """Return a region of a unit."""
        return np.asarray(self.array[self.index(unit, region)])

    def write(self, unit: Unit, region: tuple[slice, ...], values: NDArray[Any]) -> None:
        """Write a region of a unit."""
        self.array[self.index(unit, region)] = values


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
        From `make_task`, all units.
    labels : Plane
        Where the labels go, of 32-bit integers.
    maps : Plane
        Where the network's maps go, float32. They may lack T and Z, and are then those of the last unit only.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    progress : callable, optional
        Called with a `Progress` after every tile.
    cancel : CancelToken, optional
        Stops within one tile or block, with `Cancelled`.
    """
    watch = Stopwatch()
    inference = Inference(task, device)
    depth_stitched = task.model.info.spec.ndim == 2 and task.image.is_volume
    done, last, present = 0, 0, set[int]()
    before: Unit | None = None
    for unit in task.units:
        gathered = np.empty((task.model.info.spec.out_channels, *task.plan.shape), np.float32) if task.zoom else None
        for tile in task.plan.tiles:
            if cancel is not None:
                cancel.check()
            result = inference.run(unit, tile)
            if gathered is not None:
                gathered[(slice(None), *result.tile.region)] = result.maps
            else:
                maps.write(unit, result.tile.region, result.maps)
            done += 1
            if progress is not None:
                progress(Progress(done, task.n_tiles, watch.seconds, note=result.note))
        inference.end(unit)
        if gathered is not None:  # an image that is rescaled has to fit in memory
            maps.write(unit, (slice(None),) * len(task.plan.shape), task.at_image_size(gathered))
        stitcher = _find_objects(task, unit, labels, maps, cancel)
        if task.model.info.task == "semantic":
            present |= _classes(labels, unit, stitcher)
            continue
        table = stitcher.final_ids()
        follows = before if depth_stitched and before is not None and before.frame == unit.frame else None
        table, last = _numbered(labels, unit, follows, stitcher, table, last)
        for part in stitcher.blocks():
            labels.write(unit, part.region, table[labels.read(unit, part.region)])
        before = unit
    return Outcome(len(present) if task.model.info.task == "semantic" else last, watch.seconds)


def _find_objects(task: Task, unit: Unit, labels: Plane, maps: Plane, cancel: CancelToken | None) -> BlockStitcher:
    """Decode the maps of a unit block by block, several at a time, and write labels with ids that are not yet final."""
    ndim = task.model.info.spec.ndim
    semantic = task.model.info.task == "semantic"
    shape = task.image.space[-ndim:]
    stitcher = BlockStitcher(shape, (BLOCK[ndim],) * ndim, 0 if semantic else OVERLAP[ndim])

    def decode(part: Block) -> NDArray[np.int32]:
        return task.model.decode(maps.read(unit, part.seen))

    for part, found in _in_order(stitcher.blocks(), decode, cancel):
        labels.write(unit, part.region, found[part.crop] if semantic else stitcher.add(part, found))
    return stitcher


def _in_order(
    blocks: Iterator[Block], work: Callable[[Block], NDArray[np.int32]], cancel: CancelToken | None
) -> Iterator[tuple[Block, NDArray[np.int32]]]:
    """Yield each block and what `work` makes of it, in their order, with a few of them under way at a time."""
    workers = max(1, min(4, (os.cpu_count() or 2) - 1))
    with ThreadPoolExecutor(workers) as pool:
        under_way: deque[tuple[Block, Any]] = deque()
        for part in blocks:
            if cancel is not None:
                cancel.check()
            under_way.append((part, pool.submit(work, part)))
            if len(under_way) > workers:
                first, future = under_way.popleft()
                yield first, future.result()
        for first, future in under_way:
            yield first, future.result()


def _numbered(
    labels: Plane, unit: Unit, before: Unit | None, stitcher: BlockStitcher, table: NDArray[np.int32], last: int
) -> tuple[NDArray[np.int32], int]:
    """Return the ids of a unit's objects: those of the slice before that go on, else numbered on from `last`."""
    known: dict[int, int] = {}
    if before is not None:
        matcher = Matcher()
        for part in stitcher.blocks():
            matcher.add(labels.read(before, part.region), table[labels.read(unit, part.region)])
        known = matcher.mapping(SLICE_SHARE)
    new = np.zeros(int(table.max(initial=0)) + 1, np.int32)
    for label in range(1, len(new)):
        if label in known:
            new[label] = known[label]
        else:
            last += 1
            new[label] = last
    return new[table], last


def _classes(labels: Plane, unit: Unit, stitcher: BlockStitcher) -> set[int]:
    found: set[int] = set()
    for part in stitcher.blocks():
        found |= {int(value) for value in np.unique(labels.read(unit, part.region)) if value}
    return found
