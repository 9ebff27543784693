"""Many files, one after the other or several at once: what fails is told, and the rest is done all the same."""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from napari_unet.errors import Cancelled, DeviceMemoryError, UNetError, is_short_of_memory
from napari_unet.inference.files import IN_MEMORY_BYTES, segment_file
from napari_unet.io.jobs import FileJob
from napari_unet.io.readers import list_series
from napari_unet.io.series import chosen
from napari_unet.models.header import read_model_info
from napari_unet.models.model import Model, resolve_device
from napari_unet.models.store import list_models
from napari_unet.nets.blocked import bytes_per_pixel
from napari_unet.nets.buffers import BUFFERS
from napari_unet.tiling.budget import MAX_PIXELS, free_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_unet.inference.options import SegmentOptions
    from napari_unet.inference.resume import ResultFolder
    from napari_unet.progress import CancelToken, ProgressCallback

    _Begin = Callable[[FileJob], ProgressCallback | None]
    _Run = Callable[[FileJob, ProgressCallback | None], "Outcome"]

MEMORY_SHARE = 0.5
"""Share of the memory that is free at the start which files that are done at once may take; one file may take more."""

Outcome = dict[str, Any] | UNetError
"""The report of a file that was segmented (`segment_file`), or why it could not be."""


def segment_files(
    jobs: Sequence[FileJob],
    model: Model | Literal["auto"],
    options: SegmentOptions,
    *,
    results: ResultFolder | None = None,
    at_once: int = 1,
    begin: _Begin | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[tuple[FileJob, Outcome]]:
    """Segment files, and yield what has become of each when it is done.

    Parameters
    ----------
    jobs : sequence of FileJob
        What is to be done; with `results`, what `ResultFolder.standing` says is not finished.
    model : Model or "auto"
        The model, or the one that seems to fit each image best.
    options : SegmentOptions
        The settings.
    results : ResultFolder, optional
        Where results are put on record, so that a run that is stopped can be gone on with. What they replace is then
        known to be a result of this program, whatever the options say.
    at_once : int
        Files that are segmented at the same time, in threads that share the cores. Fewer where memory is short.
    begin : callable, optional
        Called with each file before it is begun; it may return what is called with the progress of that file. Of
        several files at once no progress is told.
    cancel : CancelToken, optional
        Stops within a tile of each file, with `Cancelled`.

    Yields
    ------
    job : FileJob
        In the order in which they are done.
    outcome : dict or UNetError
        See `Outcome`.
    """

    def run(job: FileJob, progress: ProgressCallback | None) -> Outcome:
        try:
            if results is None:
                return segment_file(job, model, options, progress, cancel)
            ready = results.begin(job)
            return segment_file(job, model, replace(options, overwrite=True), progress, cancel, ready)
        except Cancelled:
            raise
        except UNetError as error:
            return error
        except Exception as error:
            if not is_short_of_memory(error):
                raise
            return DeviceMemoryError(f"There is not enough memory for {job.name}. Close other programs.")

    if at_once == 1 or len(jobs) == 1:
        with BUFFERS:
            yield from _one_by_one(jobs, run, begin, cancel)
    else:
        with BUFFERS, _divided_cores(at_once):
            yield from _side_by_side(jobs, at_once, _Room(model, options), run, begin, cancel)


def _one_by_one(
    jobs: Sequence[FileJob], run: _Run, begin: _Begin | None, cancel: CancelToken | None
) -> Iterator[tuple[FileJob, Outcome]]:
    for job in jobs:
        if cancel is not None:
            cancel.check()
        yield job, run(job, begin(job) if begin is not None else None)


def _side_by_side(
    jobs: Sequence[FileJob], at_once: int, room: _Room, run: _Run, begin: _Begin | None, cancel: CancelToken | None
) -> Iterator[tuple[FileJob, Outcome]]:
    waiting, running = deque(jobs), dict[Future[Outcome], FileJob]()
    with ThreadPoolExecutor(at_once, thread_name_prefix="file") as pool:
        while waiting or running:
            while waiting and len(running) < at_once and room.has(waiting[0], list(running.values())):
                if cancel is not None:
                    cancel.check()
                job = waiting.popleft()
                if begin is not None:
                    begin(job)
                running[pool.submit(run, job, None)] = job
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


class _Room:
    """Which files may be done at once, by the memory that they are expected to take."""

    def __init__(self, model: Model | Literal["auto"], options: SegmentOptions) -> None:
        infos = [model.info] if isinstance(model, Model) else [read_model_info(one.path) for one in list_models()]
        self._tile = max(bytes_per_pixel(info.spec) for info in infos)
        self._map_bytes = max(4 * (3 + info.spec.out_channels) for info in infos)  # with image, labels and a copy
        self._options = options
        self._free = MEMORY_SHARE * free_memory(resolve_device("cpu"))
        self._known: dict[FileJob, int] = {}

    def has(self, job: FileJob, running: Sequence[FileJob]) -> bool:
        """Return whether a file may be begun beside those that are running."""
        return not running or sum(map(self._bytes, [job, *running])) <= self._free

    def _bytes(self, job: FileJob) -> int:
        if job not in self._known:
            self._known[job] = self._estimate(job)
        return self._known[job]

    def _estimate(self, job: FileJob) -> int:
        try:
            found, _ = chosen(list_series(job.source), self._options.series, job.source.name)
        except (UNetError, ValueError):  # it will soon be told what is wrong with it
            return 0
        pixels = math.prod(found.shape)
        volume = dict(zip(found.axes, found.shape, strict=False)).get("Z", 1) > 1
        tile = min(found.plane if not volume else pixels, MAX_PIXELS[3 if volume else 2])
        return self._tile * tile + min(self._map_bytes * pixels, 2 * IN_MEMORY_BYTES)


@contextmanager
def _divided_cores(parts: int) -> Iterator[None]:
    """Have torch use a part of its threads for each file."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // parts))
    try:
        yield
    finally:
        torch.set_num_threads(before)
