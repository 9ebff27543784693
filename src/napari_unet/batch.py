"""Many files, one after the other: what fails is named, and the rest is done all the same."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_unet.axes import Image, PixelSize
from napari_unet.errors import FileFormatError
from napari_unet.io.pairs import stem
from napari_unet.io.readers import image_files, read_image
from napari_unet.io.writers import write_labels, write_maps
from napari_unet.pipeline import Result, segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken, ProgressCallback


@dataclass(frozen=True, slots=True)
class FileJob:
    """An image file and where its labels go."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """How files are segmented; see `pipeline.segment`."""

    axes: str | None = None
    pixel_size: PixelSize | None = None
    channel: int | None = None
    device: str = "auto"
    tile: int | None = None
    maps: bool = False
    overwrite: bool = False


def plan_files(inputs: Sequence[Path], out: Path, file_format: Literal["tif", "zarr"] | None = None) -> list[FileJob]:
    """Return which file is segmented into which.

    Parameters
    ----------
    inputs : sequence of Path
        Files, or folders of files.
    out : Path
        For one input file the file to be written; for several, or a folder, the folder of `<stem>_labels.tif`.
    file_format : {"tif", "zarr"}, optional
        None: by the ending of `out`, else TIFF.

    Raises
    ------
    FileFormatError
        If a folder holds no image, or two inputs would be written to one file.
    """
    several = len(inputs) > 1 or any(_is_folder(path) for path in inputs)
    if not several:
        suffix = f".{file_format}" if file_format else (out.suffix if out.suffix in (".tif", ".tiff", ".zarr") else "")
        if suffix and not out.is_dir():
            return [FileJob(inputs[0], out if out.suffix == suffix else out.with_suffix(suffix))]
    files = [file for path in inputs for file in (image_files(path) if _is_folder(path) else [path])]
    jobs = [FileJob(file, out / f"{stem(file)}_labels.{file_format or 'tif'}") for file in files]
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.target in seen:
            raise FileFormatError(f"{seen[job.target]} and {job.source} would both be written to {job.target}.")
        seen[job.target] = job.source
    return jobs


def segment_file(
    job: FileJob,
    model: Model,
    options: SegmentOptions,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Segment one file, write its labels (and maps), and return the report of `napari-unet segment --json`.

    Raises
    ------
    UNetError
        If it cannot be read, segmented or written; nothing is then left under the target's name.
    """
    if job.target.exists() and not options.overwrite:
        raise FileFormatError(f"{job.target} exists already; with --overwrite it is replaced.")
    image = read_image(job.source, options.axes)
    if options.pixel_size is not None:
        image = Image(image.data, image.axes, options.pixel_size, image.channel_names, image.name)
    result = segment(
        image, model, channel=options.channel, device=options.device, tile=options.tile, keep_maps=options.maps,
        progress=progress, cancel=cancel,
    )  # fmt: skip
    write_labels(job.target, result.labels, result.axes, image.pixel_size, options.overwrite)
    if options.maps:
        _write_maps(job, result, options.overwrite)
    plan = result.task.plan
    return {
        "input": str(job.source),
        "output": str(job.target),
        "n_objects": result.n_objects,
        "seconds": round(result.seconds, 3),
        "device": result.device,
        "tiles": result.task.n_tiles,
        "tile_shape": list(plan.tile_shape),
        "halo": list(plan.halo),
        "peak_rss_mb": peak_memory_mb(),
    }


def _write_maps(job: FileJob, result: Result, overwrite: bool) -> None:
    """Write the maps beside the labels, with the map axis first and no axes of which the image has none."""
    assert result.maps is not None  # they were asked for
    drop = tuple(i for i, letter in enumerate("CTZYX") if letter not in "C" + result.axes)
    axes = "".join(letter for letter in "CTZYX" if letter in "C" + result.axes)
    name = job.target.name.removesuffix(job.target.suffix).removesuffix("_labels")
    path = job.target.with_name(f"{name}_maps.zarr")
    write_maps(path, result.maps.squeeze(drop), axes, result.task.image.pixel_size, overwrite)


def peak_memory_mb() -> float | None:
    """Return the most memory that this process has held so far, in MB; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and path.suffix != ".zarr"
