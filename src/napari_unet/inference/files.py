"""One file, from the image to its labels."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.errors import FileFormatError
from napari_unet.inference.adjusting import adjusted
from napari_unet.inference.content import content_notes
from napari_unet.inference.diameter import said_diameter, with_diameter
from napari_unet.inference.in_memory import Result, segment_task
from napari_unet.inference.on_disk import Outcome, Plane, segment_into
from napari_unet.inference.options import SegmentOptions
from napari_unet.inference.record import segmentation_record
from napari_unet.inference.task import Task, make_task
from napari_unet.inference.which_model import with_chosen_model
from napari_unet.io import spill
from napari_unet.io.atomic import check_writable, completed
from napari_unet.io.channels import channel_number
from napari_unet.io.damage import Damage
from napari_unet.io.fingerprint import Fingerprint
from napari_unet.io.jobs import FileJob, plan_files
from napari_unet.io.readers import read_image
from napari_unet.io.writers import write_labels, write_maps
from napari_unet.io.zarr_labels import write_labels_into
from napari_unet.io.zarr_writer import chunk_width, create_zarr
from napari_unet.models.model import Model, resolve_device
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.axes import Image
    from napari_unet.progress import CancelToken, Progress, ProgressCallback

__all__ = ["FileJob", "SegmentOptions", "peak_memory_mb", "plan_files", "segment_file"]

IN_MEMORY_BYTES = 2**29
"""Labels and maps of more than this are written to disk as they come."""


MAX_CHUNK = 768
"""Largest width, in pixels, of the chunks of maps."""

Ready = Callable[[Path, Path, str], object]
"""Called with a result's name, the complete result that is to get it, and what is to be said of it (damaged chunks)."""


def segment_file(
    job: FileJob,
    model: Model | Literal["auto"],
    options: SegmentOptions,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    ready: Ready | None = None,
) -> dict[str, Any]:
    """Segment one file, write its labels (and maps), and return the report of `napari-unet segment --json`.

    With "auto" for the model, the one that seems to fit the image best is taken (`inference.which_model`). `ready` is
    called for each result before it gets its name; if it raises an error, the result does not get it.

    Raises
    ------
    UNetError
        If it cannot be read, segmented or written; nothing is then left under the target's name.
    """
    job.check(maps=options.maps, overwrite=options.overwrite)
    image, source = read_image(job.source, options.axes, options.series, tolerant=True), Fingerprint.of(job.source)
    if not job.into:
        check_writable(job.target)
    image = replace(image.with_pixel_size(options.pixel_size), diameter=said_diameter(options.diameter))
    image = _told_of_its_place(image, job)
    channel = channel_number(image, options.channel)
    watch, auto = Stopwatch(), isinstance(options.diameter, str)
    if not isinstance(model, Model):
        image, model = with_chosen_model(image, channel=channel, device=options.device, cancel=cancel)
    image, model = with_diameter(image, model, channel=channel, always=auto, device=options.device, cancel=cancel)
    model = adjusted(model, sensitivity=options.sensitivity, separation=options.separation, min_size=options.min_size)
    finding = watch.seconds
    task = make_task(
        image, model, channel=channel, tile=options.tile, device=options.device, mode=options.mode,
        flips=options.flips,
    )  # fmt: skip
    if progress is not None:
        progress = _with_plan(progress, task, options.device)
    _check_kind(job, task)
    on_disk = job.as_zarr or _in_memory_bytes(task, options.maps) > IN_MEMORY_BYTES
    record = segmentation_record(job.source, task, axes=options.axes, series=options.series)
    naming = _Naming(image, source, record, ready)
    done = (_segment_on_disk if on_disk else _segment_in_memory)(job, task, options, naming, progress, cancel)
    return {
        "input": str(job.source),
        "output": str(job.target),
        "model": model.name,
        "n_objects": done.n_objects,
        "seconds": round(finding + done.seconds, 3),
        "device": str(resolve_device(options.device)),
        "tiles": task.n_tiles,
        "tile_shape": list(task.plan.tile_shape),
        "halo": list(task.plan.halo),
        "mode": "exact" if task.plan.exact else "fast",
        "diameter": image.diameter or (round(image.found_diameter, 1) if image.found_diameter else None),
        "zoom": [round(z, 4) for z in task.zoom],
        "damaged": list(image.damage.chunks) if isinstance(image.damage, Damage) else [],
        "note": str(image.damage or ""),
        "notes": [*image.notes, *content_notes(task, done.n_objects)],
        "peak_rss_mb": peak_memory_mb(),
    }


class _Naming:
    """What happens before a result gets its name: the image must not have changed, and who wants to know is told.

    Parameters
    ----------
    image : Image
    source : Fingerprint
        Of its file, when it was read.
    record : mapping
        How the labels are made, which they hold themselves (`inference.record`).
    ready : callable, optional
        See `segment_file`.
    """

    def __init__(self, image: Image, source: Fingerprint, record: Mapping[str, Any], ready: Ready | None) -> None:
        self._image, self._source, self.record, self._ready = image, source, record, ready

    def of(self, target: Path) -> Callable[[Path], None]:
        """Return the function to be called with the complete result that will be `target`."""
        return partial(self._before, target)

    def _before(self, target: Path, complete: Path) -> None:
        self._source.check()
        if self._ready is not None:
            self._ready(target, complete, _said_damage(self._image))

    def check(self) -> None:
        """Check that the image has not changed, before labels are written into it, which changes it."""
        self._source.check()


def _check_kind(job: FileJob, task: Task) -> None:
    """Check, of labels that go into their image, that they are of all of it, as it is stored.

    Raises
    ------
    FileFormatError
        If the axes of the image were given other names than it has itself.
    """
    if job.into and task.image.label_axes != read_image(job.source).label_axes:
        raise FileFormatError(f"With --axes no labels are written into {job.source.name}. Write them with -o.")


def _said_damage(image: Image) -> str:
    """Return a sentence about the parts of an image that could not be read so far; empty if there are none."""
    return str(image.damage) if isinstance(image.damage, Damage) and image.damage.chunks else ""


def _told_of_its_place(image: Image, job: FileJob) -> Image:
    """Return an image that notes, where labels of it are written as TIFF, that those do not tell where it lies."""
    where = image.placement
    lies = where is not None and (any(where.translation) or (image.pixel_size is None and set(where.scale) != {1.0}))
    if job.as_zarr or job.into or not lies:
        return image
    note = f"{job.target.name} does not tell where {image.name} lies, as TIFF cannot. With --format zarr labels do."
    return replace(image, notes=(*image.notes, note))


def _with_plan(progress: ProgressCallback, task: Task, device: str) -> ProgressCallback:
    """Return a callback that first tells the plan, and how long that takes if it is known from another image."""
    planned = [task]

    def tell(event: Progress) -> None:
        if planned and event.fraction < 1 and not event.note:
            event = replace(event, note=f"{planned.pop().timed(device)}")
        progress(event)

    return tell


def _segment_in_memory(
    job: FileJob,
    task: Task,
    options: SegmentOptions,
    naming: _Naming,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> Result:
    image = task.image
    result = segment_task(task, device=options.device, keep_maps=options.maps, progress=progress, cancel=cancel)
    if result.maps is not None:
        axes = _maps_axes(image)
        drop = tuple(i for i, letter in enumerate("CTZYX") if letter not in axes)
        letters = "".join(letter for letter in "CTZYX" if letter in axes)
        maps = result.maps.squeeze(drop)
        write_maps(
            job.maps_target, maps, letters, image.pixel_size, options.overwrite, image.placement,
            ready=naming.of(job.maps_target),
        )  # fmt: skip
    _write_labels(job, task, options, naming, result.labels, result.axes)
    return result


def _write_labels(job: FileJob, task: Task, options: SegmentOptions, naming: _Naming, labels: Any, axes: str) -> None:
    """Write finished labels, in memory or on disk, to where they go."""
    if job.into:
        naming.check()
        write_labels_into(job.source, labels, axes, name=job.target.name, provenance=naming.record)
        return
    write_labels(
        job.target, labels, axes, task.image.pixel_size, options.overwrite, task.image.placement, naming.record,
        ready=naming.of(job.target),
    )  # fmt: skip


def _segment_on_disk(
    job: FileJob,
    task: Task,
    options: SegmentOptions,
    naming: _Naming,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> Outcome:
    """Segment by blocks; only the finished results have their names, and nothing else is left."""
    with ExitStack() as stack:
        labels = _labels_on_disk(stack, job, task, options, naming)
        maps = _maps_on_disk(stack, job, task, options, naming)
        outcome = segment_into(task, labels, maps, device=options.device, progress=progress, cancel=cancel)
        if not job.as_zarr:
            _write_labels(job, task, options, naming, labels.array, labels.axes)
    return outcome


def _labels_on_disk(stack: ExitStack, job: FileJob, task: Task, options: SegmentOptions, naming: _Naming) -> Plane:
    """Make the array that labels are written to: the result itself, or what a TIFF is made of in the end."""
    image, target, final = task.image, job.target, job.as_zarr
    axes = "".join(letter for letter in "TZYX" if letter in image.label_axes)
    shape = tuple(image.size(letter) for letter in axes)
    if job.into:  # nothing but the labels themselves is ever written into an image
        return Plane(spill.zeros(shape, np.int32), axes)
    path = target if final else target.with_name(f"{target.name}.blocks")
    folder = stack.enter_context(
        completed(
            path,
            overwrite=options.overwrite,
            discard=not final,
            rescue=_has_labels if final else None,
            ready=naming.of(path),
        )
    )
    array = create_zarr(
        folder, shape, axes, image.pixel_size, np.uint32, name=target.stem, labels=True, placement=image.placement,
        provenance=naming.record,
    )  # fmt: skip
    return Plane(array, axes)


def _has_labels(folder: Path) -> bool:
    return any(path.is_file() and not path.name.startswith(".") for path in (folder / "0").rglob("*"))


def _maps_on_disk(stack: ExitStack, job: FileJob, task: Task, options: SegmentOptions, naming: _Naming) -> Plane:
    """Make the array that maps are written to: all of them if wanted, else those of one plane or volume at a time."""
    image, target, spec = task.image, job.target, task.model.info.spec
    axes = _maps_axes(image) if options.maps else "CYX" if spec.ndim == 2 else "CZYX"
    shape = tuple(spec.out_channels if letter == "C" else image.size(letter) for letter in axes)
    if not options.maps and 4 * math.prod(shape) <= IN_MEMORY_BYTES // 2:
        return Plane(np.zeros(shape, np.float32), axes)
    if job.into:
        return Plane(spill.zeros(shape, np.float32), axes)
    path = job.maps_target if options.maps else target.with_name(f"{target.name}.maps")
    folder = stack.enter_context(
        completed(path, overwrite=options.overwrite, discard=not options.maps, ready=naming.of(path))
    )
    tile = dict(zip("ZYX"[-spec.ndim :], task.plan.tile_shape, strict=True))
    chunks = tuple(min(chunk_width(tile.get(letter, 1), MAX_CHUNK), n) for letter, n in zip(axes, shape, strict=True))
    array = create_zarr(
        folder, shape, axes, image.pixel_size, np.float32, name=path.stem, chunks=chunks, placement=image.placement
    )
    return Plane(array, axes)


def _in_memory_bytes(task: Task, maps: bool) -> int:
    """Bytes of the labels and maps that `pipeline.segment` would hold at a time."""
    space, ndim = task.image.space, task.model.info.spec.ndim
    pixels = math.prod(space) * task.image.n_frames
    return 4 * (pixels + task.model.info.spec.out_channels * (pixels if maps else math.prod(space[-ndim:])))


def _maps_axes(image: Image) -> str:
    return "".join(letter for letter in "TCZYX" if letter in "C" + image.label_axes)


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has held so far, in MB; None where the system does not tell."""
    status = Path("/proc/self/status")  # Linux; what `resource` says there may be the peak of the calling process
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) / 2**10, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
