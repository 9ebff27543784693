"""The maps of a plane or volume in the files of its tiles, read as if they were one array."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.inference.scale import is_rescaled
from napari_unet.objects.boxes import intersection, relative
from napari_unet.tiling.scaled import ScaledSource, covering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.cluster.run_folder import RunFolder
    from napari_unet.inference.task import Task
    from napari_unet.objects.blocks import Block, BlockGrid
    from napari_unet.tiling.grid import TileGrid


@dataclass(frozen=True)
class TileMaps:
    """Maps (K, [Z,] Y, X) with the pixels of the plan.

    Attributes
    ----------
    folder : RunFolder
    subimage : int
        Number of the plane or volume.
    tiles : TileGrid
    channels : int
        Maps of each pixel.
    """

    folder: RunFolder
    subimage: int
    tiles: TileGrid
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape."""
        return self.tiles.reading.shape

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Return the maps of a region."""
        found = np.empty((self.channels, *(part.stop - part.start for part in region)), np.float32)
        for number in tiles_over(self.tiles, region):
            tile = self.tiles[number]
            common = intersection(region, tile.region)
            maps = np.load(self.folder.tile(self.subimage, number), mmap_mode="r")
            into, out = relative(common, region), relative(common, tile.region)
            found[(slice(None), *into)] = maps[(slice(None), *out)]
        return found


def maps_at_image_size(maps: TileMaps, task: Task, region: tuple[slice, ...]) -> NDArray[np.float32]:
    """Return the maps of a region of the image."""
    return ScaledSource(maps, task.image_shape).read(region) if is_rescaled(task.zoom) else maps.read(region)


def tiles_over(tiles: TileGrid, region: Sequence[slice]) -> list[int]:
    """Return the numbers of the tiles that share pixels with a region."""
    return _numbers(region, tiles.steps, tiles.counts)


def tiles_for(task: Task, block: Block) -> list[int]:
    """Return the numbers of the tiles whose maps a block needs."""
    region, plan = block.seen, task.plan
    if is_rescaled(task.zoom):
        region = covering(region, task.image_shape, plan.shape)
        region = _widened(region, _reach(plan.shape, task.image_shape), plan.shape)
    return tiles_over(plan.tiles, region)


def blocks_for(task: Task, blocks: BlockGrid, number: int) -> list[int]:
    """Return the numbers of the blocks that need the maps of a tile."""
    region = task.plan.tiles[number].region
    if is_rescaled(task.zoom):
        region = _widened(region, _reach(task.plan.shape, task.image_shape), task.plan.shape)
        region = covering(region, task.plan.shape, task.image_shape)
    margin = [2 * blocks.overlap + blocks.smoothing] * len(blocks.shape)
    near = _numbers(_widened(region, margin, blocks.shape), blocks.block, blocks.counts)
    return [one for one in near if number in tiles_for(task, blocks[one])]


def _reach(old: Sequence[int], new: Sequence[int]) -> list[int]:
    """Return how many pixels around a region are read where an image is resized, for each axis; rather too many."""
    return [3 + math.ceil(2 * max(0.0, a / b - 1)) for a, b in zip(old, new, strict=True)]


def _widened(region: Sequence[slice], margin: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, part.start - m), min(n, part.stop + m)) for part, m, n in zip(region, margin, shape, strict=True)
    )


def _numbers(region: Sequence[slice], steps: Sequence[int], counts: Sequence[int]) -> list[int]:
    """Return the numbers of the parts of a grid that begins at 0 which share pixels with a region."""
    along = [range(part.start // step, -(-part.stop // step)) for part, step in zip(region, steps, strict=True)]
    return [int(np.ravel_multi_index(index, tuple(counts))) for index in itertools.product(*along)]
