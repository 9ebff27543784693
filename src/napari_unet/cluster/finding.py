"""Tiles of maps, and the objects in blocks as soon as the tiles that these need are there."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.cluster import work
from napari_unet.cluster.run import Failure
from napari_unet.cluster.tile_maps import tiles_for

if TYPE_CHECKING:
    from napari_unet.cluster.queue import Job
    from napari_unet.cluster.run import Place, Run
    from napari_unet.errors import UNetError


class Finding:
    """Tiles, and the blocks that need them as soon as they are there; see `queue.Jobs`.

    Only a few blocks are begun at a time, in reading order, so that few maps are on disk.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._folder, self._task, self._grid = run.folder, run.task, run.blocks
        self._unopened = run.places
        self._tiles: deque[Place] = deque()
        self._ready: deque[Place] = deque()
        self._missing: dict[Place, set[int]] = {}  # of each block that was begun
        self._waiting: dict[Place, list[int]] = {}  # for each tile that is under way, blocks
        self._counted = np.zeros((len(run.task.subimages), len(run.task.plan.tiles)), bool)
        self.failures: list[Failure] = []

    def take(self) -> Job | None:
        """Return a block whose tiles are all there, else a tile."""
        while not self._ready and not self._tiles:
            place = next(self._unopened, None)
            if place is None:
                return None
            self._open(place)
        if self._ready:
            return self._run.job(work.find_objects, self._ready.popleft())
        return self._run.job(work.compute_tile, self._tiles.popleft(), network=True)

    def _open(self, place: Place) -> None:
        subimage, block = place
        needed: list[Place] = [(subimage, tile) for tile in tiles_for(self._task, self._grid[block])]
        if self._folder.objects(subimage, block).exists():
            self._run.leave_out(1 + self._newly_counted(needed))
            return
        missing = set()
        for tile in needed:
            if tile in self._waiting:
                missing.add(tile[1])
            elif self._folder.tile(*tile).exists():
                self._run.leave_out(self._newly_counted([tile]))
            else:
                self._waiting[tile] = []
                self._tiles.append(tile)
                missing.add(tile[1])
        for number in missing:
            self._waiting[subimage, number].append(block)
        self._missing[place] = missing
        if not missing:
            self._ready.append(place)

    def _newly_counted(self, tiles: list[Place]) -> int:
        """Return how many tiles were not counted yet, and count them: several blocks need a tile."""
        new = [tile for tile in tiles if not self._counted[tile]]
        for tile in new:
            self._counted[tile] = True
        return len(new)

    def done(self, job: Job, value: Any) -> None:
        """Go on with the blocks that have waited for a tile."""
        subimage, number = job.place
        if job.call is not work.compute_tile:
            self._run.step()
            return
        self._run.step(value, self._newly_counted([job.place]))
        for block in self._waiting.pop((subimage, number)):
            missing = self._missing[subimage, block]
            missing.discard(number)
            if not missing:
                del self._missing[subimage, block]
                self._ready.append((subimage, block))

    def failed(self, job: Job, error: UNetError) -> None:
        """Keep what went wrong; blocks that need this tile stay undone."""
        place = (self._run.place_of_tile if job.call is work.compute_tile else self._run.place_of_block)(*job.place)
        self.failures.append(Failure(place, error))
