"""Runs a task: yields every tile, and every plane or volume, as it is finished; what is in view comes first."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import Cancelled
from napari_unet.inference.tile_runner import Inference
from napari_unet.io.fingerprint import Watched
from napari_unet.nets.buffers import BUFFERS
from napari_unet.progress import Progress, Stopwatch
from napari_unet.tiling.grid import Remaining
from napari_unet.tiling.prefetch import OrderedThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_unet.inference.task import Subimage, Task
    from napari_unet.inference.tile_runner import Position
    from napari_unet.progress import CancelToken
    from napari_unet.tiling.engine import TileResult
    from napari_unet.tiling.grid import Tile

PREVIEW_WIDTH = 512
"""Width, in pixels, of the part of a plane that is shown first, where its tiles are so large that one takes a while."""

MAX_UNDECODED = 2
"""Most results that wait for their objects to be found while the network goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class TileDone:
    """A finished tile of several. Its labels are provisional: objects still end at the tile's border.

    `region` is (Z, Y, X) slices within the frame, `labels` has the axes (Z, Y, X) and ids from 1.
    """

    subimage: Subimage
    region: tuple[slice, slice, slice]
    labels: NDArray[np.int32]
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class SubimageDone:
    """A finished plane or volume, or the part of it that was to be done.

    `region` is (Z, Y, X) slices within the frame, `labels` has the axes (Z, Y, X) and ids from 1, `maps` (K, Z, Y, X).
    """

    subimage: Subimage
    region: tuple[slice, slice, slice]
    labels: NDArray[np.int32]
    maps: NDArray[np.float32]
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class UnderWay:
    """How far it is by now, before a tile is finished."""

    progress: Progress


@dataclass(slots=True, eq=False)
class Finished:
    """What of a task is done: handed to `segment_steps` again, it goes on where it stopped.

    Attributes
    ----------
    subimages : set of Subimage
        Done to the end.
    tiles : dict
        Of planes or volumes under way: their maps (K, [Z,] Y, X) as far as they are there, and the tiles that are not.
    source : Watched, optional
        The file that it was read from.
    """

    subimages: set[Subimage] = field(default_factory=set)
    tiles: dict[Subimage, tuple[NDArray[np.float32], Remaining]] = field(default_factory=dict)
    source: Watched | None = None

    def begin(self, source: Watched | None) -> str:
        """Let go of all that is done if the file is another by now; return what to tell the user of it, mostly ""."""
        changed = bool(self.source and source and self.source.before != source.before)
        if changed:
            self.subimages.clear()
            self.tiles.clear()
        self.source = source
        return "The image has changed since Stop, so all of it is segmented again." if changed else ""

    def waiting(self, task: Task) -> dict[Subimage, Remaining]:
        """Return the tiles of a task that are not done, by plane or volume; one without any is still to be decoded."""
        return {
            subimage: self.tiles[subimage][1] if subimage in self.tiles else Remaining(task.plan.tiles)
            for subimage in task.subimages
            if subimage not in self.subimages
        }

    def tiles_left(self, task: Task) -> int:
        """Return how many tiles of a task are not done."""
        under_way = [self.tiles[subimage][1] for subimage in self.tiles if subimage not in self.subimages]
        fresh = len(task.subimages) - len(self.subimages) - len(under_way)
        return fresh * len(task.plan.tiles) + sum(map(len, under_way))


def segment_steps(
    task: Task,
    *,
    device: str = "auto",
    focus: Callable[[], Position | None] | None = None,
    cancel: CancelToken | None = None,
    finished: Finished | None = None,
    overlap: bool = True,
    tells: bool = False,
) -> Iterator[TileDone | SubimageDone | UnderWay]:
    """Segment, and yield every tile, and every plane or volume, as it is finished.

    Parameters
    ----------
    task : Task
        From `make_task`.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    focus : callable, optional
        Returns the middle of the view, or None; asked before every tile. What is in view comes next, then what is near
        it, then the other slices and times, the nearest first.
    cancel : CancelToken, optional
        Stops within one tile, with `Cancelled`.
    finished : Finished, optional
        What an earlier run of the same image and model has done: it is left out, and what is done now is added.
    overlap : bool
        Whether tiles are read, and objects found, in other threads while the network goes on.
    tells : bool
        Whether it is also told how far a tile is that takes a while.

    Raises
    ------
    Cancelled
        If `cancel` is set.
    FileFormatError
        If the file that the image is read from is gone, or when all is done, if it changed meanwhile.
    """
    finished = Finished() if finished is None else finished
    source = Watched(task.image.source) if task.image.source is not None else None
    note = finished.begin(source)
    aside: OrderedThreadPool[TileDone | SubimageDone] = OrderedThreadPool(int(overlap), wait=False)
    with BUFFERS, Inference(task, device, cancel=cancel, ahead=overlap, tells=tells) as inference, aside:
        run = _Run(task, inference, finished, aside, note)
        try:
            while run.waiting:
                if cancel is not None:
                    cancel.check()
                yield from run.advance(focus() if focus is not None else None)
        except Cancelled:
            yield from aside.take(kind="tile")  # what is done is shown; objects of the whole are found when it goes on
            raise
    if source is not None:
        source.before.check()


class _Run:
    """What is left to do of a task, and how the next tile is chosen, run and decoded.

    Parameters
    ----------
    task : Task
    inference : Inference
        Of the task.
    finished : Finished
        What is done; added to.
    aside : OrderedThreadPool
        Finds objects in another thread.
    note : str
        Told with all progress that has no note of its own.
    """

    def __init__(
        self,
        task: Task,
        inference: Inference,
        finished: Finished,
        aside: OrderedThreadPool[TileDone | SubimageDone],
        note: str,
    ) -> None:
        self._task, self._inference, self._finished, self._aside = task, inference, finished, aside
        self.waiting = finished.waiting(task)
        self._previews, self._tally = _Previews(task, inference), _Tally(self.waiting, inference, note)

    def advance(self, position: Position | None) -> Iterator[TileDone | SubimageDone | UnderWay]:
        """Run the tile that is next by a position in view, and yield what is finished by then."""
        subimage = _next_subimage(self.waiting, position)
        maps, remaining = self._begun(subimage)
        progress = self._tally.progress()
        if remaining:
            progress = yield from self._run_tile(subimage, maps, remaining, position)
        if not remaining:
            del self.waiting[subimage]
            self._inference.end(subimage)
            self._aside.put(partial(_finish, self._task, subimage, maps, progress), "subimage")
        for event in self._aside.take(MAX_UNDECODED if self.waiting else 0):
            yield _noted(event, self._finished)

    def _begun(self, subimage: Subimage) -> tuple[NDArray[np.float32], Remaining]:
        """Return the maps of a plane or volume as far as they are there, and the tiles that are not."""
        if subimage not in self._finished.tiles:
            shape = (self._task.model.info.spec.out_channels, *self._task.plan.extent)
            self._finished.tiles[subimage] = np.empty(shape, np.float32), self.waiting[subimage]
        return self._finished.tiles[subimage]

    def _run_tile(
        self, subimage: Subimage, maps: NDArray[np.float32], remaining: Remaining, position: Position | None
    ) -> Generator[TileDone | UnderWay, None, Progress]:
        """Write the maps of the next tile of a plane or volume, and return how far it is then."""
        tile = _next_tile(remaining, self._inference, position)
        preview = self._previews.before(subimage, tile, position)
        if preview is not None:
            result = yield from self._tally.follow(self._inference.steps(subimage, preview, (subimage, tile)))
            yield _provisional(self._task, subimage, result, self._tally.progress())
        remaining.remove(tile)
        try:
            steps = self._inference.steps(subimage, tile, self._likely_next(position))
            result = yield from self._tally.follow(steps, tile)
        except BaseException:
            remaining.add(tile)
            raise
        maps[(slice(None), *self._task.plan.within(tile))] = result.maps
        self._tally.finish(tile)
        progress = self._tally.progress(note=result.note)
        if remaining:
            self._aside.put(partial(_provisional, self._task, subimage, result, progress), "tile")
        return progress

    def _likely_next(self, position: Position | None) -> tuple[Subimage, Tile] | None:
        """Return the tile that comes next unless the view moves, so that it can be read ahead; None after the last."""
        left = {subimage: remaining for subimage, remaining in self.waiting.items() if remaining}
        if not left:
            return None
        subimage = _next_subimage(left, position)
        return subimage, _next_tile(left[subimage], self._inference, position)


class _Tally:
    """How far a run is, and how long the rest takes."""

    def __init__(self, waiting: Mapping[Subimage, Remaining], inference: Inference, note: str = "") -> None:
        self._note = note  # told with all that has none of its own
        self._inference, self._watch, self._done = inference, Stopwatch(), 0
        self._total = sum(map(len, waiting.values()))
        self._pixels = sum(remaining.pixels for remaining in waiting.values())  # still to be read

    def progress(self, part: float = 0.0, pixels: float = 0.0, note: str = "") -> Progress:
        """Return how far it is, with a part of a tile and of its pixels."""
        left = self._inference.seconds_for(self._pixels - pixels)
        seconds = self._watch.seconds
        return Progress(self._done, self._total, seconds, note=note or self._note, left=left, part=part)

    def follow(
        self, steps: Generator[float, None, TileResult], tile: Tile | None = None
    ) -> Generator[UnderWay, None, TileResult]:
        """Yield how far it is while a tile is under way: one of the plan, or an extra one."""
        while True:
            try:
                share = next(steps)
            except StopIteration as end:
                result: TileResult = end.value
                return result
            if tile is not None:
                yield UnderWay(self.progress(share, share * math.prod(tile.read_shape)))

    def finish(self, tile: Tile) -> None:
        """Count a tile."""
        self._done, self._pixels = self._done + 1, self._pixels - math.prod(tile.read_shape)


def _noted(event: TileDone | SubimageDone, finished: Finished) -> TileDone | SubimageDone:
    if isinstance(event, SubimageDone):
        del finished.tiles[event.subimage]
        finished.subimages.add(event.subimage)
    return event


def _finish(task: Task, subimage: Subimage, maps: NDArray[np.float32], progress: Progress) -> SubimageDone:
    maps = task.at_image_size(maps, task.plan.region)
    labels, region = task.decode(maps), task.image_region(task.plan.region)
    return SubimageDone(
        subimage, _with_z(subimage, region), _volume(labels), maps if maps.ndim == 4 else maps[:, None], progress
    )


class _Previews:
    """Small extra tiles in the middle of the view, each before the large one that it is a part of."""

    def __init__(self, task: Task, inference: Inference) -> None:
        self._task, self._inference = task, inference
        self._shown: list[tuple[Subimage, Tile]] = []

    def before(self, subimage: Subimage, tile: Tile, position: Position | None) -> Tile | None:
        """Return what to show before a tile; None if that would be no sooner, or was shown already."""
        pixel = self._inference.position_in_plan(position)
        if pixel is None or len(pixel) != 2 or not tile.holds(pixel):
            return None
        if any(other == subimage and shown.holds(pixel) for other, shown in self._shown):
            return None
        preview = self._task.plan.around(pixel, PREVIEW_WIDTH)
        if preview is not None:
            self._shown.append((subimage, preview))
        return preview


def _provisional(task: Task, subimage: Subimage, result: TileResult, progress: Progress) -> TileDone:
    labels = _volume(task.decode(task.at_image_size(result.maps, result.tile.region)))
    return TileDone(subimage, _with_z(subimage, task.image_region(result.tile.region)), labels, progress)


def _next_subimage(subimages: Iterable[Subimage], position: Position | None) -> Subimage:
    """Return the plane or volume nearest to a position, in time, then in slices; the first where there is none."""
    if position is None:
        return next(iter(subimages))
    frame, z, *_ = position
    return min(
        subimages, key=lambda subimage: (abs(subimage.frame - frame), 0 if subimage.z is None else abs(subimage.z - z))
    )


def _next_tile(remaining: Remaining, inference: Inference, position: Position | None) -> Tile:
    return remaining.nearest(inference.position_in_plan(position))


def _volume(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return labels if labels.ndim == 3 else labels[None]


def _with_z(subimage: Subimage, region: tuple[slice, ...]) -> tuple[slice, slice, slice]:
    if len(region) == 3:
        return region[0], region[1], region[2]
    assert subimage.z is not None  # a plane has its index
    return slice(subimage.z, subimage.z + 1), region[0], region[1]
