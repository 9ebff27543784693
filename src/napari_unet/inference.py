"""Runs a task: a generator that hands back every tile and unit as it is finished, what is looked at first."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.models.model import resolve_device
from napari_unet.models.normalize import Statistics, measure, normalize
from napari_unet.progress import Progress, Stopwatch
from napari_unet.task import Task, Unit, resized
from napari_unet.tiling.engine import Engine, Predictor, TileResult, nearest
from napari_unet.tiling.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.progress import CancelToken
    from napari_unet.tiling.plan import Tile
    from napari_unet.tiling.source import Source

_STATISTICS_PIXELS = 4_000_000

GLANCE = 256
"""Width, in pixels, of what is shown of a plane at once, where its tiles are so large that the first takes a while."""


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
    """A finished unit: final labels, axes (Z, Y, X) with ids from 1, and maps, axes (K, Z, Y, X)."""

    unit: Unit
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
    """

    def __init__(self, task: Task, device: str = "auto") -> None:
        info = task.model.info
        predictor = Predictor(task.model.net, softmax=info.task == "semantic", device=resolve_device(device))
        self._task, self._engine = task, Engine(task.plan, predictor)
        self._statistics = measure(sample_pixels(task.image, task.channels), info.normalization)
        self._sources: dict[Unit, Source] = {}

    def run(self, unit: Unit, tile: Tile) -> TileResult:
        """Compute one tile of a unit."""
        if unit not in self._sources:
            self._sources[unit] = _unit_source(self._task, unit, self._statistics)
        return self._engine.run(tile, self._sources[unit])

    def end(self, unit: Unit) -> None:
        """Let go of what is kept of a unit."""
        self._sources.pop(unit, None)

    def place_in_plan(self, place: Place | None) -> tuple[float, ...] | None:
        """Return the pixel of the plan that a place is at."""
        if place is None:
            return None
        shape, zoom = self._task.plan.shape, self._task.zoom or (1.0,) * len(self._task.plan.shape)
        return tuple(p * z for p, z in zip(place[1:][-len(shape) :], zoom, strict=True))


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
    """
    watch = Stopwatch()
    finished = Finished() if finished is None else finished
    waiting = finished.waiting(task)
    done, total, note = 0, sum(map(len, waiting.values())), ""
    inference = Inference(task, device)
    yield from _glance(task, inference, waiting, finished, focus() if focus is not None else None)
    while waiting:
        if cancel is not None:
            cancel.check()
        place = focus() if focus is not None else None
        unit = _next(waiting, place)
        if unit not in finished.tiles:
            finished.tiles[unit] = np.empty((task.model.info.spec.out_channels, *task.plan.shape), np.float32), set()
        maps, tiles = finished.tiles[unit]
        if waiting[unit]:
            result = inference.run(unit, waiting[unit].pop(nearest(waiting[unit], inference.place_in_plan(place))))
            maps[(slice(None), *result.tile.region)] = result.maps
            tiles.add(result.tile)
            done, note = done + 1, result.note
        progress = Progress(done, total, watch.seconds, note=note)
        if waiting[unit] and not task.zoom:
            yield _provisional(task, unit, result, progress)
        if not waiting[unit]:
            maps = task.at_image_size(maps)
            labels = task.model.decode(maps)
            del waiting[unit], finished.tiles[unit]
            inference.end(unit)
            finished.units.add(unit)
            yield UnitDone(unit, _volume(labels), maps if maps.ndim == 4 else maps[:, None], progress)


def _glance(
    task: Task, inference: Inference, waiting: dict[Unit, list[Tile]], finished: Finished, place: Place | None
) -> Iterator[TileDone]:
    """Yield a small extra tile in the middle of the view, before the large one that it is a part of."""
    if place is None or not waiting or task.zoom or len(task.plan.shape) != 2:
        return
    unit = _next(waiting, place)
    tile = task.plan.around(inference.place_in_plan(place) or (), GLANCE)
    if tile is None or unit in finished.tiles:
        return
    progress = Progress(0, sum(map(len, waiting.values())))
    yield _provisional(task, unit, inference.run(unit, tile), progress)


def _provisional(task: Task, unit: Unit, result: TileResult, progress: Progress) -> TileDone:
    labels = _volume(task.model.decode(result.maps))
    return TileDone(unit, _with_z(unit, result.tile.region), labels, progress)


def _next(units: Iterable[Unit], place: Place | None) -> Unit:
    """Return the unit nearest to what is looked at, in time, then in slices; the first where nobody is looking."""
    if place is None:
        return next(iter(units))
    frame, z, *_ = place
    return min(units, key=lambda unit: (abs(unit.frame - frame), 0 if unit.z is None else abs(unit.z - z)))


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
        if unit.z is not None:
            block = block[:, 0]
        return model.adapt_channels(normalize(block, self._statistics, model.info.normalization))


def _unit_source(task: Task, unit: Unit, statistics: Statistics) -> Source:
    source = _ImageSource(task, unit, statistics)
    if not task.zoom:
        return source
    return ArraySource(resized(source.read(tuple(slice(0, n) for n in source.shape)), task.plan.shape))


def _volume(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return labels if labels.ndim == 3 else labels[None]


def _with_z(unit: Unit, region: tuple[slice, ...]) -> tuple[slice, slice, slice]:
    if len(region) == 3:
        return region[0], region[1], region[2]
    assert unit.z is not None  # a plane has its index
    return slice(unit.z, unit.z + 1), region[0], region[1]
