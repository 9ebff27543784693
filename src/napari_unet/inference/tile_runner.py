"""The network of a task on its device, and what it reads: ready for one tile after another."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.scale import is_rescaled
from napari_unet.models.model import resolve_device
from napari_unet.models.normalize import Statistics, measure
from napari_unet.progress import CancelToken, Stopwatch
from napari_unet.tiling.engine import Engine, Predictor, TileResult
from napari_unet.tiling.prefetch import Prefetcher
from napari_unet.tiling.scaled import ScaledSource
from napari_unet.tiling.source import read_tile
from napari_unet.tiling.throughput import LEAST_PIXELS, throughput_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.inference.task import Subimage, Task
    from napari_unet.tiling.grid import Tile
    from napari_unet.tiling.source import Source

_STATISTICS_PIXELS = 4_000_000
"""Pixels from which the statistics for normalising are taken, at most."""

TELL_EVERY = 0.5
"""Seconds between two reports of how far a tile is."""

Position = tuple[int, int, float, float]
"""Middle of the view: time point, slice, and the pixel (Y, X)."""


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
    tells : bool
        Whether `steps` tells how far a tile is; the network then runs in a thread of its own.
    statistics : Statistics, optional
        Those of the whole image, if they are known; None: they are measured.
    """

    def __init__(
        self,
        task: Task,
        device: str = "auto",
        *,
        cancel: CancelToken | None = None,
        ahead: bool = True,
        tells: bool = False,
        statistics: Statistics | None = None,
    ) -> None:
        info = task.model.info
        predictor = Predictor(
            task.model.net,
            softmax=not info.finds_objects,
            device=resolve_device(device),
            exact=task.plan.exact,
            check=self._on_block,
            flips=task.flips,
            vectors=info.vectors,
        )
        self._reader = Prefetcher() if ahead else None
        self._task, self._engine = task, Engine(task.plan, predictor, self._reader or read_tile)
        self._statistics = statistics or measure(sample_pixels(task.image, task.channels), info.normalization)
        self._sources: dict[Subimage, Source] = {}
        self._throughput = throughput_of(info.spec, str(predictor.device), task.plan.exact)
        self._cancel, self._closed = cancel, CancelToken()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network") if tells else None
        self._pixels, self._share, self._watch = 0, 0.0, Stopwatch()  # of the tile under way
        self._asked = False  # the network, about this tile

    def __enter__(self) -> Inference:
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.cancel()
        if self._thread is not None:
            self._thread.shutdown()
        if self._reader is not None:
            self._reader.close()

    def steps(
        self, subimage: Subimage, tile: Tile, then: tuple[Subimage, Tile] | None = None
    ) -> Generator[float, None, TileResult]:
        """Compute one tile as `run` does, and yield now and then which share of the work on it is done."""
        if self._thread is None:
            return self.run(subimage, tile, then)
        running, told = self._thread.submit(self.run, subimage, tile, then), 0.0
        while wait([running], TELL_EVERY).not_done:
            if told < self._share < 1:  # at 1 it is done, and only the thread is not
                told = self._share
                yield told
        return running.result()

    def run(self, subimage: Subimage, tile: Tile, then: tuple[Subimage, Tile] | None = None) -> TileResult:
        """Compute one tile of a plane or volume; `then` is the one that is likely to come next."""
        source = self._source(subimage)
        if self._reader is not None:
            self._reader.begin(source, tile)
            if then is not None:
                self._reader.begin(self._source(then[0]), then[1])
        self._pixels, self._share, self._watch = self._task.passes * math.prod(tile.read_shape), 0.0, Stopwatch()
        self._asked = False
        result = self._engine.run(tile, source)
        if self._asked:  # a blank tile that was known says nothing of how long the network takes
            self._note(1.0)
        return result

    def seconds_for(self, pixels: float) -> float | None:
        """Return how long so many pixels will take; None before there was a tile."""
        per_second = self._throughput.per_second
        return self._task.passes * pixels / per_second if per_second else None

    def end(self, subimage: Subimage) -> None:
        """Let go of what is kept of a plane or volume."""
        self._sources.pop(subimage, None)

    def position_in_plan(self, position: Position | None) -> tuple[float, ...] | None:
        """Return the pixel of the plan, ([Z,] Y, X), at a position in the image."""
        if position is None:
            return None
        shape, zoom = self._task.plan.shape, self._task.zoom
        return tuple(p * z for p, z in zip(position[1:][-len(shape) :], zoom, strict=True))

    def _on_block(self, share: float) -> None:
        for token in (self._cancel, self._closed):
            if token is not None:
                token.check()
        self._asked = True
        self._note(share)

    def _note(self, share: float) -> None:
        """Take note of the share of a tile that is done; done in smaller ones, it begins with each of them anew."""
        if share > self._share:
            if self._pixels >= LEAST_PIXELS:
                self._throughput.note((share - self._share) * self._pixels, self._watch.seconds)
            self._share, self._watch = share, Stopwatch()

    def _source(self, subimage: Subimage) -> Source:
        if subimage not in self._sources:
            self._sources[subimage] = _subimage_source(self._task, subimage, self._statistics)
        return self._sources[subimage]


def sample_pixels(image: Image, channels: Sequence[int]) -> NDArray[Any]:
    """Return an even sample of all pixels of an image, axes (C, n); all of them where they are few."""
    return np.concatenate([sample_plane(image, channels, plane) for plane in sampled_planes(image)], axis=1)


SampledPlane = tuple[int, int, int]
"""A plane that is sampled: time point, slice, and every how many-th pixel along Y and X is taken."""


def sampled_planes(image: Image) -> list[SampledPlane]:
    """Return the planes of an image that an even sample of its pixels is taken from."""
    depth, height, width = image.space
    planes = list(itertools.product(range(image.n_frames), range(depth)))
    # Every so many-th pixel along Y and X, and every so many-th plane where there are several.
    surplus = len(planes) * height * width / _STATISTICS_PIXELS
    step = max(1, math.ceil(surplus ** (1 / 3)) if len(planes) > 1 else math.ceil(surplus**0.5))
    return [(frame, z, step) for frame, z in planes[::step]]


def sample_plane(image: Image, channels: Sequence[int], plane: SampledPlane) -> NDArray[Any]:
    """Return the sample of one of these planes, axes (C, n)."""
    frame, z, step = plane
    every = slice(None, None, step)
    block = image.read(frame, slice(z, z + 1), every, every, channels)
    return block.reshape(len(channels), -1)


class _ImageSource:
    """Reads a plane or volume of an image tile by tile, normalised."""

    def __init__(self, task: Task, subimage: Subimage, statistics: Statistics) -> None:
        self._task, self._subimage, self._statistics = task, subimage, statistics

    @property
    def shape(self) -> tuple[int, ...]:
        return self._task.image.space[-self._task.model.info.spec.ndim :]

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        model, subimage = self._task.model, self._subimage
        z = region[0] if subimage.z is None else slice(subimage.z, subimage.z + 1)
        block = self._task.image.read(subimage.frame, z, region[-2], region[-1], self._task.channels)
        return model.normalized(block, self._statistics)


def _subimage_source(task: Task, subimage: Subimage, statistics: Statistics) -> Source:
    source = _ImageSource(task, subimage, statistics)
    return ScaledSource(source, task.plan.shape) if is_rescaled(task.zoom) else source
