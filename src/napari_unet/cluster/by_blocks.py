"""One large image by blocks, from the image to a Zarr folder of labels.

Tiles of maps are computed, and objects found in blocks as soon as their tiles are there. Then the faces of
neighbouring blocks are compared, which joins the parts of objects, and the blocks of the final labels are written.
The result is that of `inference.on_disk`, with the same ids.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from napari_unet._version import __version__
from napari_unet.cluster import work
from napari_unet.cluster.finding import Finding
from napari_unet.cluster.ids import JoinedFaces, Linking, NumberedObjects
from napari_unet.cluster.preparing import Request, prepare
from napari_unet.cluster.queue import Workers
from napari_unet.cluster.run import Each, Run
from napari_unet.cluster.run_folder import LABELS, MAPS, RunFolder, around, is_begun
from napari_unet.errors import ClusterError, FileFormatError
from napari_unet.inference.on_disk import BLOCK, OVERLAP
from napari_unet.inference.resume import differences, model_identity, settings_of
from napari_unet.inference.tile_runner import sampled_planes
from napari_unet.io.atomic import check_free, check_writable, completed, reason, remove
from napari_unet.io.damage import Damage
from napari_unet.io.fingerprint import Fingerprint
from napari_unet.io.lock import Lock
from napari_unet.models.store import AUTO, find_model
from napari_unet.progress import Stopwatch, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_unet.cluster.run import Place
    from napari_unet.inference.options import SegmentOptions
    from napari_unet.io.jobs import FileJob
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
    One with other settings begins anew, and leaves it there until the new labels are complete.

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
        folder, note = RunFolder.find(target, identity), ""
        if folder is None:
            note = _about_others(target, identity)
            folder = RunFolder.new(target)
            if model != AUTO:
                _bring(find_model(model), folder)
            wanted = Request(
                source.path, target, model, options, identity, dict(block or BLOCK), dict(overlap or OVERLAP)
            )
            workers.call(prepare, folder, wanted, network=True)
        known = folder.known()
        run = Run(folder, watch, progress)
        run.step(note, 0)
        n_objects = _Steps(run, workers).all()
        notes = [*known.report["notes"], *workers.call(work.content_notes, folder, n_objects)]
        damaged = folder.damaged
        _finish(folder, job, options, source)
        _remove(RunFolder.all(target))
    note = known.report["note"]
    if damaged:
        note = str(Damage(job.source.name, dict.fromkeys(damaged, ""), known.missing))
    return {
        "input": str(job.source),
        "output": str(job.target),
        "n_objects": n_objects,
        "seconds": round(watch.seconds, 3),
        "damaged": damaged,
        **known.report,
        "note": note,
        "notes": notes,
        "peak_rss_mb": None,
    }


def _identity(source: Fingerprint, model: str, options: SegmentOptions) -> dict[str, Any]:
    """Return what the result of a run depends on, as JSON has it."""
    return {
        "image": [str(source.path), source.modified_ns, source.size_bytes, source.n_files],
        "model": model_identity(model),
        "settings": settings_of(options, auto=model == AUTO)
        | {"version": __version__, "maps": options.maps, "device": options.device},
    }


def _bring(model: Path, folder: RunFolder) -> None:
    """Copy a model to where workers see it."""
    try:
        with folder.completing(folder.model) as temporary:
            shutil.copyfile(model, temporary)
    except OSError as error:
        raise FileFormatError(f"{model.name} could not be copied to {folder.path}: {reason(error)}.") from error


_LOCK = ".napari-unet"
"""Name of a file in the folder of runs, which the program that does one has locked."""


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the folder of the runs that make `target`; in the end it goes, unless one can be gone on with."""
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
        with suppress(OSError):
            if not is_begun(target):
                remove(folder)  # while it is locked, so that no other run takes it
        lock.release()
        with suppress(OSError):
            folder.rmdir()


def _about_others(target: Path, identity: dict[str, Any]) -> str:
    """Return a sentence if there are other runs to go on with, which stay for that; remove what is left of the rest."""
    _remove([one for one in RunFolder.all(target) if not one.is_complete])
    other = RunFolder.find(target)
    if other is None:
        return ""
    why = differences(other.known().identity, identity)
    return f"Begun anew ({why}). The unfinished run of before is kept until this one is done."


def _remove(folders: list[RunFolder]) -> None:
    for folder in folders:
        remove(folder.path)


def _finish(folder: RunFolder, job: FileJob, options: SegmentOptions, source: Fingerprint) -> None:
    """Give the results their names."""
    source.check()
    found = [*([(MAPS, job.maps_target)] if options.maps else []), (LABELS, job.target)]
    for _, target in found:
        check_free(target, overwrite=options.overwrite)
    for name, target in found:
        with completed(target, overwrite=options.overwrite, rescue=lambda _: True) as partial:
            os.replace(folder.path / name, partial)


class _Steps:
    """The steps of a run, one after the other."""

    def __init__(self, run: Run, workers: Workers) -> None:
        self._run, self._workers = run, workers

    def all(self) -> int:
        """Do what is not done yet, and return the number of objects."""
        self._measure()
        self._do(Finding(self._run))
        if not self._run.task.model.info.finds_objects:
            classes: set[int] = set()
            self._each(work.write_classes, keep=lambda _, found: classes.update(found))
            return len(classes)
        joined = JoinedFaces(len(self._run.task.subimages), self._run.blocks)
        self._each(work.join_faces, keep=joined.add, counts=False)
        objects = NumberedObjects(self._run.folder, joined)
        self._number(objects)
        self._each(
            work.write_labels,
            more=lambda place: (objects.first(*place),),
            is_done=lambda place: self._run.folder.written(*place).exists(),
        )
        return objects.last

    def _measure(self) -> None:
        """Find the statistics by which intensities are normalised."""
        folder = self._run.folder
        if folder.statistics.exists():
            return
        planes = range(len(sampled_planes(self._run.task.image)))
        self._do(Each(self._run, work.take_sample, [(number,) for number in planes], counts=False))
        self._workers.call(work.measure_statistics, folder)

    def _number(self, objects: NumberedObjects) -> None:
        """Give objects their final ids; in planes of a volume those go on that share pixels with the plane before."""
        run, following = self._run, list[int]()
        if run.known.slices is not None and run.task.image.is_volume:
            frames = [one.frame for one in run.task.subimages]
            following = [number for number in range(1, len(frames)) if frames[number] == frames[number - 1]]
        linking = Linking(objects, following, len(run.blocks))
        if not following:
            return

        def more(place: Place) -> tuple[Any, ...]:
            subimage, block = place
            return subimage - 1, (objects.first(subimage - 1, block), objects.first(subimage, block))

        places = ((number, block) for number in following for block in range(len(run.blocks)))
        self._do(Each(run, work.count_overlaps, places, more, linking.add, counts=False))

    def _each(self, call: Callable[..., Any], **more: Any) -> None:
        """Have workers call a function for each block of each plane or volume; `more` as for `run.Each`."""
        self._do(Each(self._run, call, self._run.places, **more))

    def _do(self, jobs: Each | Finding) -> None:
        """Do jobs; raise an error that names what failed, if something did."""
        self._workers.run(jobs)
        if jobs.failures:
            named = "; ".join(f"{one.where}: {one.error}" for one in jobs.failures[:NAMED])
            rest = "; …" if len(jobs.failures) > NAMED else ""
            raise ClusterError(
                f"{counted(len(jobs.failures), 'block')} could not be done: {named}{rest} The others are kept in "
                f"{self._run.folder.path.parent.name}; run the same command again to do the rest.",
                " ".join(dict.fromkeys(one.error.details for one in jobs.failures if one.error.details)),
            )
