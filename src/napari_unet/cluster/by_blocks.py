"""One large image by blocks, from the image to a Zarr folder of labels.

Tiles of maps are computed, and objects found in blocks as soon as their tiles are there. Then the faces of
neighbouring blocks are compared, which joins the parts of objects, and the blocks of the final labels are written.
The result is that of `inference.on_disk`, with the same ids.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet._version import __version__
from napari_unet.cluster import work
from napari_unet.cluster.ids import NumberedObjects
from napari_unet.cluster.queue import Job, Workers
from napari_unet.cluster.run_folder import LABELS, MAPS, RunFolder, around
from napari_unet.cluster.tile_maps import tiles_for
from napari_unet.cluster.work import Request, TileDone
from napari_unet.errors import ClusterError, FileFormatError, UNetError
from napari_unet.inference.on_disk import BLOCK, OVERLAP
from napari_unet.inference.resume import model_identity, settings_of
from napari_unet.inference.tile_runner import sampled_planes
from napari_unet.io.atomic import check_free, check_writable, completed, reason, remove
from napari_unet.io.fingerprint import Fingerprint
from napari_unet.io.lock import Lock
from napari_unet.models.store import AUTO
from napari_unet.progress import Progress, Stopwatch, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_unet.inference.options import SegmentOptions
    from napari_unet.inference.task import Task
    from napari_unet.io.jobs import FileJob
    from napari_unet.objects.blocks import BlockGrid
    from napari_unet.progress import CancelToken, ProgressCallback

NAMED = 3
"""Failed blocks that are named; all are counted."""


def segment_by_blocks(
    client: Any,
    job: FileJob,
    model: str,
    options: SegmentOptions,
    *,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    block: dict[int, int] | None = None,
    overlap: dict[int, int] | None = None,
) -> dict[str, Any]:
    """Segment one image with the workers of a cluster, and return the report of `napari-unet segment --json`.

    What is finished is kept in a folder beside the target, ``NAME.zarr.unfinished``. The same call goes on with it.

    Parameters
    ----------
    client : distributed.Client
        Its workers have to see image and target under the same paths as this machine.
    job : FileJob
        The target is a Zarr folder.
    model : str
        Name or file of the model, or "auto".
    options : SegmentOptions
        `device` is that of each worker.
    progress : callable, optional
        Called with a `Progress` after every block.
    cancel : CancelToken, optional
        Stops the run, with `Cancelled`.
    block, overlap : dict, optional
        Width of the blocks in which objects are found, and the objects' largest width, pixels, by the number of spatial
        axes; None: those of `inference.on_disk`.

    Raises
    ------
    ClusterError
        If some blocks could not be done. The others are kept.
    UNetError
        If the image cannot be read or segmented, or labels cannot be written.
    """
    if not job.as_zarr:
        raise ClusterError(
            f"Workers write one image to a Zarr folder: give {job.target.name} a name that ends in .zarr."
        )
    job.check(maps=options.maps, overwrite=options.overwrite)
    check_writable(job.target)
    watch, source, target = Stopwatch(), Fingerprint.of(job.source.resolve()), job.target.absolute()
    identity = _identity(source, model, options)
    with _locked(target):
        workers = Workers(client, cancel)
        folder = RunFolder.find(target)
        if folder is None or not folder.is_complete or folder.known().identity != identity:
            _empty(target)
            folder = RunFolder.new(target)
            wanted = Request(
                source.path, target, model, options, identity, dict(block or BLOCK), dict(overlap or OVERLAP)
            )
            workers.call(work.prepare, folder, wanted, network=True)
        known = folder.known()
        run = _Run(folder, workers, watch, progress)
        n_objects = run.segment()
        _finish(folder, job, options, source)
    damaged = sorted(run.damaged)
    note = known.report["note"]
    if damaged:
        named = ", ".join(damaged[:NAMED]) + (", …" if len(damaged) > NAMED else "")
        note = f"{counted(len(damaged), 'damaged chunk')} of {job.source.name} taken as empty: {named}."
    return {
        "input": str(job.source),
        "output": str(job.target),
        "n_objects": n_objects,
        "seconds": round(watch.seconds, 3),
        "damaged": damaged,
        **known.report,
        "note": note,
        "peak_rss_mb": None,
    }


def is_begun(target: Path) -> bool:
    """Return whether there is a run to go on with, of labels that are not finished."""
    folder = RunFolder.find(target.absolute())
    return folder is not None and folder.is_complete


def _identity(source: Fingerprint, model: str, options: SegmentOptions) -> dict[str, Any]:
    """Return what the result of a run depends on, as JSON has it."""
    return {
        "version": __version__,
        "image": [str(source.path), source.modified_ns, source.size_bytes, source.n_files],
        "model": model_identity(model),
        "settings": settings_of(options, auto=model == AUTO),
        "maps": options.maps,
        "device": options.device,
    }


_LOCK = ".napari-unet"
"""Name of a file in the folder of runs, which the program that does one has locked."""


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the folder of the runs that make `target`, which is made; in the end it goes if no run can be gone on with."""
    folder = around(target)
    if folder.is_dir() and os.listdir(folder) and not (folder / _LOCK).exists():
        raise FileFormatError(f"{folder} is in the way, and was not made by this program. Move it elsewhere.")
    try:
        folder.mkdir(exist_ok=True)
        lock = Lock.acquire(folder / _LOCK)
    except OSError as error:
        raise FileFormatError(f"{folder} cannot be written: {reason(error)}.") from error
    if lock is None:
        raise FileFormatError(f"{target.name} is being made by another run. Wait for it, or stop that one.")
    try:
        yield
    finally:
        lock.release()
        if not is_begun(target):
            with suppress(OSError):
                remove(folder)


def _empty(target: Path) -> None:
    """Remove what other runs have left."""
    for path in around(target).iterdir():
        if path.name != _LOCK:
            remove(path)


def _finish(folder: RunFolder, job: FileJob, options: SegmentOptions, source: Fingerprint) -> None:
    """Give the results their names."""
    source.check()
    found = [*([(MAPS, job.maps_target)] if options.maps else []), (LABELS, job.target)]
    for _, target in found:
        check_free(target, overwrite=options.overwrite)
    for name, target in found:
        with completed(target, overwrite=options.overwrite, rescue=lambda _: True) as partial:
            os.replace(folder.path / name, partial)


class _Run:
    """A run: what is to be done of it, and how far it is.

    Attributes
    ----------
    damaged : set of str
        Chunks of the image that could not be read.
    """

    def __init__(
        self, folder: RunFolder, workers: Workers, watch: Stopwatch, progress: ProgressCallback | None
    ) -> None:
        self._folder, self._workers, self._watch, self._tell = folder, workers, watch, progress
        opened = work.open_work(folder)
        self._known, self._task, self._blocks = opened.description, opened.task, opened.blocks
        self._subimages = self._task.subimages
        self._n_blocks = len(self._subimages) * len(self._blocks)
        self._total, self._done = self._task.n_tiles + 2 * self._n_blocks, 0
        self.damaged: set[str] = set()

    def segment(self) -> int:
        """Do what is not done yet, and return the number of objects."""
        self._measure()
        self._workers.run(found := _Finding(self))
        self._check(found.failures)
        if not self._task.model.info.finds_objects:
            classes = self._all(work.write_classes, "written")
            return len({value for values in classes.values() for value in values})
        joined = self._all(work.join_faces)
        numbered = NumberedObjects(self._folder, self._blocks, joined)
        links = self._linked(numbered)
        last = numbered.number(self._subimages if self._joins_slices else None, links)
        self._all(work.write_labels, "written", lambda place: (numbered.first(*place),))
        return last

    @property
    def _joins_slices(self) -> bool:
        return self._known.slices is not None and self._task.image.is_volume

    def _measure(self) -> None:
        if self._folder.statistics.exists():
            return
        planes = len(sampled_planes(self._task.image))
        jobs = _Each(self, work.take_sample, [(number,) for number in range(planes)], counts=False)
        self._workers.run(jobs)
        self._check(jobs.failures)
        self._workers.call(work.measure_statistics, self._folder)

    def _linked(self, numbered: NumberedObjects) -> dict[int, list[Any]]:
        """Return what objects share with those of the slice before, counted in each block, for each slice."""
        if not self._joins_slices:
            return {}
        pairs = [
            subimage
            for subimage in range(1, len(self._subimages))
            if self._subimages[subimage].frame == self._subimages[subimage - 1].frame
        ]
        places = [(subimage, block) for subimage in pairs for block in range(len(self._blocks))]

        def more(place: tuple[int, ...]) -> tuple[Any, ...]:
            subimage, block = place
            first = numbered.first(subimage - 1, block), numbered.first(subimage, block)
            return subimage - 1, first

        jobs = _Each(self, work.count_overlaps, places, more, counts=False)
        self._workers.run(jobs)
        self._check(jobs.failures)
        return {subimage: [jobs.values[subimage, block] for block in range(len(self._blocks))] for subimage in pairs}

    def _all(
        self,
        call: Callable[..., Any],
        counts: str = "",
        more: Callable[[tuple[int, ...]], tuple[Any, ...]] = lambda _: (),
    ) -> dict[tuple[int, ...], Any]:
        """Have workers call a function for each block of each plane or volume; return what each returned."""
        places = [(s, b) for s in range(len(self._subimages)) for b in range(len(self._blocks))]
        jobs = _Each(self, call, places, more, counts=bool(counts))
        self._workers.run(jobs)
        self._check(jobs.failures)
        return jobs.values

    def job(self, call: Callable[..., Any], place: tuple[int, ...], *more: Any, network: bool = False) -> Job:
        """Return a job about a place of this run."""
        return Job(call, (self._folder, *place, *more), place, network)

    def step(self, note: str = "", steps: int = 1) -> None:
        """Tell that a step is done."""
        self._done += steps
        if self._tell is not None:
            self._tell(Progress(self._done, self._total, self._watch.seconds, what="steps", note=note))

    def _check(self, failures: list[_Failure]) -> None:
        """Raise an error that names what failed, if something did."""
        if not failures:
            return
        named = "; ".join(f"{one.where}: {one.error}" for one in failures[:NAMED])
        rest = "; …" if len(failures) > NAMED else ""
        raise ClusterError(
            f"{counted(len(failures), 'block')} could not be done, {named}{rest} The others are kept in "
            f"{self._folder.path.parent.name}: run the same command again to do the rest.",
            " ".join(dict.fromkeys(one.error.details for one in failures if one.error.details)),
        )

    @property
    def parts(self) -> tuple[RunFolder, Task, BlockGrid, int]:
        """What a run consists of: folder, task, blocks, and the number of planes or volumes."""
        return self._folder, self._task, self._blocks, len(self._subimages)

    def place_of_tile(self, subimage: int, number: int) -> str:
        """Return where a tile is, in words."""
        return self._where(subimage, self._task.image_region(self._task.plan.tiles[number].region))

    def place_of_block(self, subimage: int, number: int) -> str:
        """Return where a block is, in words."""
        return self._where(subimage, self._blocks[number].region)

    def _where(self, subimage: int, region: tuple[slice, ...]) -> str:
        one = self._subimages[subimage]
        parts = [f"t {one.frame}"] if self._known.frames > 1 else []
        parts += [f"z {one.z}"] if one.z is not None and self._task.image.is_volume else []
        letters = "zyx"[-len(region) :]
        parts += [f"{letter} {part.start}-{part.stop - 1}" for letter, part in zip(letters, region, strict=True)]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class _Failure:
    where: str
    error: UNetError


class _Each:
    """A call for each of some places; see `queue.Jobs`."""

    def __init__(
        self,
        run: _Run,
        call: Callable[..., Any],
        places: list[tuple[int, ...]],
        more: Callable[[tuple[int, ...]], tuple[Any, ...]] = lambda _: (),
        *,
        counts: bool = True,
    ) -> None:
        self._run, self._call, self._more, self._counts = run, call, more, counts
        self._waiting = iter(places)
        self.values: dict[tuple[int, ...], Any] = {}
        self.failures: list[_Failure] = []

    def take(self) -> Job | None:
        """Return the next job."""
        place = next(self._waiting, None)
        return None if place is None else self._run.job(self._call, place, *self._more(place))

    def done(self, job: Job, value: Any) -> None:
        """Keep what was returned."""
        self.values[job.place] = value
        self._run.step(steps=int(self._counts))

    def failed(self, job: Job, error: UNetError) -> None:
        """Keep what went wrong."""
        where = self._run.place_of_block(*job.place) if len(job.place) == 2 else f"plane {job.place[0]} of the sample"
        self.failures.append(_Failure(where, error))


class _Finding:
    """Tiles, and the blocks that need them as soon as they are there; see `queue.Jobs`.

    Only a few blocks are begun at a time, in reading order, so that few maps are on disk.
    """

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._folder, self._task, self._grid, self._count = run.parts
        self._unopened = self._places()
        self._tiles: deque[tuple[int, int]] = deque()
        self._ready: deque[tuple[int, int]] = deque()
        self._missing: dict[tuple[int, int], set[int]] = {}  # of each block that was begun
        self._waiting: dict[tuple[int, int], list[int]] = {}  # for each tile that is under way, blocks
        self._counted: set[tuple[int, int]] = set()
        self.failures: list[_Failure] = []

    def _places(self) -> Iterator[tuple[int, int]]:
        return ((subimage, block) for subimage in range(self._count) for block in range(len(self._grid)))

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

    def _open(self, place: tuple[int, int]) -> None:
        subimage, block = place
        needed = [(subimage, tile) for tile in tiles_for(self._task, self._grid[block])]
        if self._folder.objects(subimage, block).exists():
            self._count_tiles(needed)
            self._run.step()
            return
        missing = set()
        for tile in needed:
            if tile in self._waiting:
                missing.add(tile[1])
            elif self._folder.tile(*tile).exists():
                self._count_tiles([tile])
            else:
                self._waiting[tile] = []
                self._tiles.append(tile)
                missing.add(tile[1])
        for tile in missing:
            self._waiting[subimage, tile].append(block)
        self._missing[place] = missing
        if not missing:
            self._ready.append(place)

    def _count_tiles(self, tiles: list[tuple[int, int]], note: str = "") -> None:
        """Count tiles as done, each once."""
        new = [tile for tile in tiles if tile not in self._counted]
        self._counted.update(new)
        self._run.step(note, len(new))

    def done(self, job: Job, value: Any) -> None:
        """Go on with the blocks that have waited for a tile."""
        subimage, number = job.place
        if job.call is not work.compute_tile:
            self._run.step()
            return
        assert isinstance(value, TileDone)
        self._run.damaged.update(value.damaged)
        self._count_tiles([(subimage, number)], value.note)
        for block in self._waiting.pop((subimage, number)):
            missing = self._missing[subimage, block]
            missing.discard(number)
            if not missing:
                del self._missing[subimage, block]
                self._ready.append((subimage, block))

    def failed(self, job: Job, error: UNetError) -> None:
        """Keep what went wrong; blocks that need this tile stay undone."""
        place = (self._run.place_of_tile if job.call is work.compute_tile else self._run.place_of_block)(*job.place)
        self.failures.append(_Failure(place, error))
