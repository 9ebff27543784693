"""Runs a task: a generator that hands back every tile and unit as it is finished, what is looked at first."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import Cancelled
from napari_unet.inference.tile_runner import Inference
from napari_unet.io.fingerprint import Watched
from napari_unet.progress import Progress, Stopwatch
from napari_unet.tiling.grid import Remaining
from napari_unet.tiling.prefetch import OrderedThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_unet.inference.task import Subimage, Task
    from napari_unet.inference.tile_runner import Place
    from napari_unet.progress import CancelToken
    from napari_unet.tiling.engine import TileResult
    from napari_unet.tiling.grid import Tile

GLANCE = 512
"""Width, in pixels, of what is shown of a plane at once, where its tiles are so large that the first takes a while."""

AHEAD = 2
"""Most results in which objects are looked for while the network goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class TileDone:
    """A tile of a unit that takes several; its labels are provisional: objects still end at the tile's border.

    `region` is (Z, Y, X) slices within the frame, `labels` has the axes (Z, Y, X) and ids from 1.
    """

    unit: Subimage
    region: tuple[slice, slice, slice]
    labels: NDArray[np.int32]
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class SubimageDone:
    """A finished unit, or what of it was to be done.

    `region` is (Z, Y, X) slices within the frame, `labels` has the axes (Z, Y, X) and ids from 1, `maps` (K, Z, Y, X).
    """

    unit: Subimage
    region: tuple[slice, slice, slice]
    labels: NDArray[np.int32]
    maps: NDArray[np.float32]
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class UnderWay:
    """How far it is by now, in the midst of a tile."""

    progress: Progress


@dataclass(slots=True, eq=False)
class Finished:
    """What of a task is done: handed to `segment_steps` again, it goes on where it stopped.

    Attributes
    ----------
    units : set of Unit
        Done to the end.
    tiles : dict
        Of units under way: their maps (K, [Z,] Y, X) as far as they are there, and the tiles that are not.
    source : Watched, optional
        The file that it was read from.
    """

    units: set[Subimage] = field(default_factory=set)
    tiles: dict[Subimage, tuple[NDArray[np.float32], Remaining]] = field(default_factory=dict)
    source: Watched | None = None

    def begin(self, source: Watched | None) -> str:
        """Let go of all that is done if the file is another by now; return what to tell the user of it, mostly ""."""
        changed = bool(self.source and source and self.source.before != source.before)
        if changed:
            self.units.clear()
            self.tiles.clear()
        self.source = source
        return "The image changed since it was stopped, so it is segmented anew." if changed else ""

    def waiting(self, task: Task) -> dict[Subimage, Remaining]:
        """Return the tiles of a task that are not done, by unit; a unit without any is still to be decoded."""
        return {
            unit: self.tiles[unit][1] if unit in self.tiles else Remaining(task.plan.tiles)
            for unit in task.units
            if unit not in self.units
        }

    def tiles_left(self, task: Task) -> int:
        """Return how many tiles of a task are not done."""
        under_way = [self.tiles[unit][1] for unit in self.tiles if unit not in self.units]
        fresh = len(task.units) - len(self.units) - len(under_way)
        return fresh * len(task.plan.tiles) + sum(map(len, under_way))


def segment_steps(
    task: Task,
    *,
    device: str = "auto",
    focus: Callable[[], Place | None] | None = None,
    cancel: CancelToken | None = None,
    finished: Finished | None = None,
    overlap: bool = True,
    tells: bool = False,
) -> Iterator[TileDone | SubimageDone | UnderWay]:
    """Segment, and yield every tile and unit as it is finished.

    Parameters
    ----------
    task : Task
        From `make_task`.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    focus : callable, optional
        Returns where the user is looking, or None; asked before every tile. What is looked at comes next, then what is
        near it, then the other slices and times, the nearest first.
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
    waiting = finished.waiting(task)
    aside: OrderedThreadPool[TileDone | SubimageDone] = OrderedThreadPool(int(overlap), wait=False)
    with Inference(task, device, cancel=cancel, ahead=overlap, tells=tells) as inference, aside:
        glances, tally = _Glances(task, inference), _Tally(waiting, inference, note)
        try:
            while waiting:
                if cancel is not None:
                    cancel.check()
                place = focus() if focus is not None else None
                unit = _next_unit(waiting, place)
                if unit not in finished.tiles:
                    shape = (task.model.info.spec.out_channels, *task.plan.extent)
                    finished.tiles[unit] = np.empty(shape, np.float32), waiting[unit]
                maps, remaining = finished.tiles[unit]
                progress = tally.progress()
                if remaining:
                    tile = _next_tile(remaining, inference, place)
                    glance = glances.before(unit, tile, place)
                    if glance is not None:
                        result = yield from tally.follow(inference.steps(unit, glance, (unit, tile)))
                        yield _provisional(task, unit, result, tally.progress())
                    remaining.remove(tile)
                    left = {other: rest for other, rest in waiting.items() if rest}
                    after = _next_unit(left, place) if left else None
                    then = (after, _next_tile(left[after], inference, place)) if after is not None else None
                    try:
                        result = yield from tally.follow(inference.steps(unit, tile, then), tile)
                    except BaseException:
                        remaining.add(tile)
                        raise
                    maps[(slice(None), *task.plan.within(tile))] = result.maps
                    tally.finish(tile)
                    progress = tally.progress(note=result.note)
                    if remaining:
                        aside.put(partial(_provisional, task, unit, result, progress), "tile")
                if not remaining:
                    del waiting[unit]
                    inference.end(unit)
                    aside.put(partial(_finish, task, unit, maps, progress), "unit")
                for event in aside.take(AHEAD if waiting else 0):
                    yield _noted(event, finished)
        except Cancelled:
            yield from aside.take(kind="tile")  # what is done is shown; a unit is decoded when it goes on
            raise
    if source is not None:
        source.before.check()


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
        del finished.tiles[event.unit]
        finished.units.add(event.unit)
    return event


def _finish(task: Task, unit: Subimage, maps: NDArray[np.float32], progress: Progress) -> SubimageDone:
    maps = task.at_image_size(maps, task.plan.region)
    labels, region = task.decode(maps), task.image_region(task.plan.region)
    return SubimageDone(
        unit, _with_z(unit, region), _volume(labels), maps if maps.ndim == 4 else maps[:, None], progress
    )


class _Glances:
    """Small extra tiles in the middle of the view, each before the large one that it is a part of."""

    def __init__(self, task: Task, inference: Inference) -> None:
        self._task, self._inference = task, inference
        self._had: list[tuple[Subimage, Tile]] = []

    def before(self, unit: Subimage, tile: Tile, place: Place | None) -> Tile | None:
        """Return what to show before a tile; None if that is no sooner, or was shown already."""
        pixel = self._inference.place_in_plan(place)
        if pixel is None or len(pixel) != 2 or not tile.holds(pixel):
            return None
        if any(other == unit and had.holds(pixel) for other, had in self._had):
            return None
        glance = self._task.plan.around(pixel, GLANCE)
        if glance is not None:
            self._had.append((unit, glance))
        return glance


def _provisional(task: Task, unit: Subimage, result: TileResult, progress: Progress) -> TileDone:
    labels = _volume(task.decode(task.at_image_size(result.maps, result.tile.region)))
    return TileDone(unit, _with_z(unit, task.image_region(result.tile.region)), labels, progress)


def _next_unit(units: Iterable[Subimage], place: Place | None) -> Subimage:
    """Return the unit nearest to what is looked at, in time, then in slices; the first where nobody is looking."""
    if place is None:
        return next(iter(units))
    frame, z, *_ = place
    return min(units, key=lambda unit: (abs(unit.frame - frame), 0 if unit.z is None else abs(unit.z - z)))


def _next_tile(remaining: Remaining, inference: Inference, place: Place | None) -> Tile:
    return remaining.nearest(inference.place_in_plan(place))


def _volume(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return labels if labels.ndim == 3 else labels[None]


def _with_z(unit: Subimage, region: tuple[slice, ...]) -> tuple[slice, slice, slice]:
    if len(region) == 3:
        return region[0], region[1], region[2]
    assert unit.z is not None  # a plane has its index
    return slice(unit.z, unit.z + 1), region[0], region[1]
