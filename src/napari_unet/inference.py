"""Runs a task: a generator that hands back every tile and unit as it is finished, what is looked at first."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import Cancelled
from napari_unet.models.model import resolve_device
from napari_unet.models.normalize import Statistics, measure
from napari_unet.progress import Progress, Stopwatch
from napari_unet.tiling.ahead import Aside, ReadAhead
from napari_unet.tiling.engine import Engine, Predictor, TileResult, nearest
from napari_unet.tiling.pace import pace_of
from napari_unet.tiling.scaled import ScaledSource
from napari_unet.tiling.source import read_tile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.progress import CancelToken
    from napari_unet.task import Task, Unit
    from napari_unet.tiling.plan import Tile
    from napari_unet.tiling.source import Source

_STATISTICS_PIXELS = 4_000_000

GLANCE = 512
"""Width, in pixels, of what is shown of a plane at once, where its tiles are so large that the first takes a while."""


AHEAD = 2
"""Most results in which objects are looked for while the network goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class TileDone:
    """A tile of a unit that takes several; its labels are provisional: objects still end at the tile's border.

    `region` is (Z, Y, X) slices within the frame, `labels` has the axes (Z, Y, X) and ids from 1.
    """

    unit: Unit
    region: tuple[slice, slice, slice]
    labels: NDArray[np.int32]
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class UnitDone:
    """A finished unit, or what of it was to be done.

    `region` is (Z, Y, X) slices within the frame, `labels` has the axes (Z, Y, X) and ids from 1, `maps` (K, Z, Y, X).
    """

    unit: Unit
    region: tuple[slice, slice, slice]
    labels: NDArray[np.int32]
    maps: NDArray[np.float32]
    progress: Progress


Place = tuple[int, int, float, float]
"""Where somebody is looking: time point, slice, and the pixel (Y, X) in the middle of the view."""


class Inference:
    """The network of a task on its device, and the statistics of its whole image: ready for one tile after another.

    Parameters
    ----------
    task : Task
        From `make_task`.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional
        Ends the tile under way, with `Cancelled`.
    ahead : bool
        Whether the next tile is read, in another thread, while the network is busy with one.
    """

    def __init__(
        self, task: Task, device: str = "auto", *, cancel: CancelToken | None = None, ahead: bool = True
    ) -> None:
        info = task.model.info
        predictor = Predictor(
            task.model.net,
            softmax=info.task == "semantic",
            device=resolve_device(device),
            exact=task.plan.exact,
            check=cancel.check if cancel is not None else None,
        )
        self._reader = ReadAhead() if ahead else None
        self._task, self._engine = task, Engine(task.plan, predictor, self._reader or read_tile)
        self._statistics = measure(sample_pixels(task.image, task.channels), info.normalization)
        self._sources: dict[Unit, Source] = {}
        self._pace = pace_of(info.spec, str(predictor.device), task.plan.exact)

    def __enter__(self) -> Inference:
        return self

    def __exit__(self, *error: object) -> None:
        if self._reader is not None:
            self._reader.close()

    def run(self, unit: Unit, tile: Tile, then: tuple[Unit, Tile] | None = None) -> TileResult:
        """Compute one tile of a unit; `then` is the one that is likely to come next."""
        source = self._source(unit)
        if self._reader is not None:
            self._reader.begin(source, tile)
            if then is not None:
                self._reader.begin(self._source(then[0]), then[1])
        watch = Stopwatch()
        result = self._engine.run(tile, source)
        self._pace.note(math.prod(tile.read_shape), watch.seconds)
        return result

    def seconds_for(self, pixels: int) -> float | None:
        """Return how long so many pixels will take; None before there was a tile."""
        pace = self._pace.per_second
        return pixels / pace if pace else None

    def end(self, unit: Unit) -> None:
        """Let go of what is kept of a unit."""
        self._sources.pop(unit, None)

    def place_in_plan(self, place: Place | None) -> tuple[float, ...] | None:
        """Return the pixel of the plan that a place is at."""
        if place is None:
            return None
        shape, zoom = self._task.plan.shape, self._task.zoom or (1.0,) * len(self._task.plan.shape)
        return tuple(p * z for p, z in zip(place[1:][-len(shape) :], zoom, strict=True))

    def _source(self, unit: Unit) -> Source:
        if unit not in self._sources:
            self._sources[unit] = _unit_source(self._task, unit, self._statistics)
        return self._sources[unit]


@dataclass(slots=True, eq=False)
class Finished:
    """What of a task is done: handed to `segment_steps` again, it goes on where it stopped.

    Attributes
    ----------
    units : set of Unit
        Done to the end.
    tiles : dict
        Of units under way: their maps (K, [Z,] Y, X) as far as they are there, and the tiles that are.
    """

    units: set[Unit] = field(default_factory=set)
    tiles: dict[Unit, tuple[NDArray[np.float32], set[Tile]]] = field(default_factory=dict)

    def waiting(self, task: Task) -> dict[Unit, list[Tile]]:
        """Return the tiles of a task that are not done, by unit; a unit without any is still to be decoded."""
        left = {unit: list(task.plan.tiles) for unit in task.units if unit not in self.units}
        for unit in left.keys() & self.tiles.keys():
            left[unit] = [tile for tile in left[unit] if tile not in self.tiles[unit][1]]
        return left


def segment_steps(
    task: Task,
    *,
    device: str = "auto",
    focus: Callable[[], Place | None] | None = None,
    cancel: CancelToken | None = None,
    finished: Finished | None = None,
    overlap: bool = True,
) -> Iterator[TileDone | UnitDone]:
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
    """
    watch = Stopwatch()
    finished = Finished() if finished is None else finished
    waiting = finished.waiting(task)
    done, total = 0, sum(map(len, waiting.values()))
    left_over = sum(math.prod(tile.read_shape) for tiles in waiting.values() for tile in tiles)  # pixels
    aside: Aside[TileDone | UnitDone] = Aside(int(overlap), wait=False)
    with Inference(task, device, cancel=cancel, ahead=overlap) as inference, aside:
        glances = _Glances(task, inference)
        try:
            while waiting:
                if cancel is not None:
                    cancel.check()
                place = focus() if focus is not None else None
                unit = _next_unit(waiting, place)
                if unit not in finished.tiles:
                    shape = (task.model.info.spec.out_channels, *task.plan.extent)
                    finished.tiles[unit] = np.empty(shape, np.float32), set()
                maps, tiles = finished.tiles[unit]
                progress = Progress(done, total, watch.seconds, left=inference.seconds_for(left_over))
                if waiting[unit]:
                    tile = _next_tile(waiting[unit], inference, place)
                    glance = glances.before(unit, tile, place)
                    if glance is not None:
                        result = inference.run(unit, glance, (unit, tile))
                        progress = Progress(done, total, watch.seconds, left=inference.seconds_for(left_over))
                        yield _provisional(task, unit, result, progress)
                    waiting[unit].remove(tile)
                    left = {other: rest for other, rest in waiting.items() if rest}
                    after = _next_unit(left, place) if left else None
                    then = (after, _next_tile(left[after], inference, place)) if after is not None else None
                    result = inference.run(unit, tile, then)
                    maps[(slice(None), *task.plan.within(tile))] = result.maps
                    tiles.add(result.tile)
                    done, left_over = done + 1, left_over - math.prod(tile.read_shape)
                    expected = inference.seconds_for(left_over)
                    progress = Progress(done, total, watch.seconds, note=result.note, left=expected)
                    if waiting[unit]:
                        aside.put(partial(_provisional, task, unit, result, progress), "tile")
                if not waiting[unit]:
                    del waiting[unit]
                    inference.end(unit)
                    aside.put(partial(_finish, task, unit, maps, progress), "unit")
                for event in aside.take(AHEAD if waiting else 0):
                    yield _noted(event, finished)
        except Cancelled:
            yield from aside.take(kind="tile")  # what is done is shown; a unit is decoded when it goes on
            raise


def _noted(event: TileDone | UnitDone, finished: Finished) -> TileDone | UnitDone:
    if isinstance(event, UnitDone):
        del finished.tiles[event.unit]
        finished.units.add(event.unit)
    return event


def _finish(task: Task, unit: Unit, maps: NDArray[np.float32], progress: Progress) -> UnitDone:
    maps = task.at_image_size(maps, task.plan.region)
    labels, region = task.decode(maps), task.image_region(task.plan.region)
    return UnitDone(unit, _with_z(unit, region), _volume(labels), maps if maps.ndim == 4 else maps[:, None], progress)


class _Glances:
    """Small extra tiles in the middle of the view, each before the large one that it is a part of."""

    def __init__(self, task: Task, inference: Inference) -> None:
        self._task, self._inference = task, inference
        self._had: list[tuple[Unit, Tile]] = []

    def before(self, unit: Unit, tile: Tile, place: Place | None) -> Tile | None:
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


def _provisional(task: Task, unit: Unit, result: TileResult, progress: Progress) -> TileDone:
    labels = _volume(task.decode(task.at_image_size(result.maps, result.tile.region)))
    return TileDone(unit, _with_z(unit, task.image_region(result.tile.region)), labels, progress)


def _next_unit(units: Iterable[Unit], place: Place | None) -> Unit:
    """Return the unit nearest to what is looked at, in time, then in slices; the first where nobody is looking."""
    if place is None:
        return next(iter(units))
    frame, z, *_ = place
    return min(units, key=lambda unit: (abs(unit.frame - frame), 0 if unit.z is None else abs(unit.z - z)))


def _next_tile(tiles: Sequence[Tile], inference: Inference, place: Place | None) -> Tile:
    return tiles[nearest(tiles, inference.place_in_plan(place))]


def sample_pixels(image: Image, channels: Sequence[int]) -> NDArray[Any]:
    """Return an even sample of all pixels of an image, axes (C, n); all of them where they are few."""
    depth, height, width = image.space
    planes = list(itertools.product(range(image.n_frames), range(depth)))
    # Every so many-th pixel along Y and X, and every so many-th plane where there are several.
    surplus = len(planes) * height * width / _STATISTICS_PIXELS
    step = max(1, math.ceil(surplus ** (1 / 3)) if len(planes) > 1 else math.ceil(surplus**0.5))
    taken = []
    for frame, z in planes[::step]:
        every = slice(None, None, step)
        block = image.read(frame, slice(z, z + 1), every, every, channels)
        taken.append(block.reshape(len(channels), -1))
    return np.concatenate(taken, axis=1)


class _ImageSource:
    """Reads a unit of an image tile by tile, normalised."""

    def __init__(self, task: Task, unit: Unit, statistics: Statistics) -> None:
        self._task, self._unit, self._statistics = task, unit, statistics

    @property
    def shape(self) -> tuple[int, ...]:
        return self._task.image.space[-self._task.model.info.spec.ndim :]

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        model, unit = self._task.model, self._unit
        z = region[0] if unit.z is None else slice(unit.z, unit.z + 1)
        block = self._task.image.read(unit.frame, z, region[-2], region[-1], self._task.channels)
        return model.normalized(block, self._statistics)


def _unit_source(task: Task, unit: Unit, statistics: Statistics) -> Source:
    source = _ImageSource(task, unit, statistics)
    return ScaledSource(source, task.plan.shape) if task.zoom else source


def _volume(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return labels if labels.ndim == 3 else labels[None]


def _with_z(unit: Unit, region: tuple[slice, ...]) -> tuple[slice, slice, slice]:
    if len(region) == 3:
        return region[0], region[1], region[2]
    assert unit.z is not None  # a plane has its index
    return slice(unit.z, unit.z + 1), region[0], region[1]
