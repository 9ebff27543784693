"""`napari-unet segment`."""

from __future__ import annotations

import math
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_unet.cli.app import app
from napari_unet.cli.checks import check_device, check_device_name, describe_model, open_model
from napari_unet.cli.messages import INTERRUPTED, Bar, fail, print_json, say, say_failed, stoppable
from napari_unet.cli.options import MAX_INTEGER, Device, Json, Series, complete_model, path_of, pixel_size_of
from napari_unet.errors import Cancelled, FileFormatError, UNetError
from napari_unet.progress import counted, format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.inference.files import SegmentOptions
    from napari_unet.io.jobs import FileJob
    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken


class Format(StrEnum):
    """Format of label files."""

    tif = "tif"
    zarr = "zarr"


class Mode(StrEnum):
    """Tiling mode."""

    auto = "auto"
    exact = "exact"
    fast = "fast"


@app.command(epilog="Example: napari-unet segment images -o results --model nuclei --device cpu")
def segment(
    inputs: Annotated[
        list[Path], typer.Argument(parser=path_of, metavar="INPUT...", help="Image files, or folders of them.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            parser=path_of,
            metavar="PATH",
            help="File for one input; folder for several or for a folder.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option(help="Name or file of a model; auto: what fits each image best.", autocompletion=complete_model),
    ] = "nuclei",
    axes: Annotated[
        str | None, typer.Option(help="Axes as stored, for example ZYX. Default: what the file says.")
    ] = None,
    series: Series = None,
    channel: Annotated[int | None, typer.Option(min=0, max=MAX_INTEGER, help="Channel to segment, from 0.")] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Micrometres: one number, or Y,X, or Z,Y,X.")] = None,
    diameter: Annotated[
        str | None, typer.Option(help="Of the objects, in pixels; or auto: a model finds it on the image.")
    ] = None,
    device: Device = "auto",
    mode: Annotated[Mode, typer.Option(help="exact; fast: nearly the same; auto: fast if good enough.")] = Mode.auto,
    tile: Annotated[
        int | None, typer.Option(min=1, max=2**20, help="Width of the tiles; the exact result does not depend on it.")
    ] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Average over mirrored images; 4 times as long.")] = False,
    file_format: Annotated[Format | None, typer.Option("--format", help="Format of the label files.")] = None,
    maps: Annotated[bool, typer.Option(help="Also write the network's maps, as <stem>_maps.zarr.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace earlier results, but never an image that is read.")] = False,
    as_json: Json = False,
) -> None:
    """Segment images into label files."""
    # All arguments are checked before torch is loaded, which takes seconds.
    if any(str(path) == "-" for path in inputs):
        fail("Images are not read from standard input: give a file or a folder.", 2)
    check_device_name(device)
    sizes = pixel_size_of(pixel_size)
    guesses = model == "auto"
    network_file, info = (None, None) if guesses else describe_model(model)
    wide = _diameter(diameter, info)
    if mode is Mode.fast and info is not None and info.fast_mode is None:
        say(f"{info.name} has no fast mode that is good enough; going on exactly.")
    jobs = _plan(inputs, out, file_format, network_file)
    failed = _refused(jobs, maps=maps, overwrite=overwrite)
    run = _Run(jobs, failed)
    stopped = ""
    if len(failed) < len(jobs):
        try:
            check_device(device)
            network: Model | Literal["auto"] = "auto" if guesses else open_model(model)
            from napari_unet.inference.files import SegmentOptions

            options = SegmentOptions(
                axes, sizes, channel, device, mode.value, tile, maps, overwrite, wide, flips, series
            )
            with stoppable() as cancel:
                run.do(network, options, cancel)
        except KeyboardInterrupt:
            stopped = run.kept()
    if as_json:
        reasons = [{"input": str(jobs[number].source), "error": failed[number]} for number in sorted(failed)]
        report = {"results": run.results, "failed": reasons, "model": info.name if info else model, "mode": mode.value}
        print_json(report | {"stopped": True} if stopped else report)
    if stopped:
        fail(f"Stopped. {stopped}", INTERRUPTED)
    if failed:
        raise typer.Exit(1)


class _Run:
    """Files that are segmented one after the other.

    Parameters
    ----------
    jobs : sequence of FileJob
    failed : dict
        Index of a job -> why it failed; failures are added to it.

    Attributes
    ----------
    results : list of dict
        The report of each finished job.
    """

    def __init__(self, jobs: Sequence[FileJob], failed: dict[int, str]) -> None:
        self._jobs, self._failed = jobs, failed
        self._begun: list[tuple[FileJob, tuple[int, int] | None]] = []
        self.results: list[dict[str, Any]] = []

    def do(self, network: Model | Literal["auto"], options: SegmentOptions, cancel: CancelToken) -> None:
        """Segment all files that have not failed before."""
        for number, job in enumerate(self._jobs):
            if number in self._failed:
                continue
            cancel.check()
            self._begun.append((job, _identity(job.target)))
            try:
                self._do(number, job, network, options, cancel)
            except Cancelled:
                raise
            except UNetError as error:
                self._failed[number] = say_failed(error, job.source)

    def _do(
        self, number: int, job: FileJob, network: Model | Literal["auto"], options: SegmentOptions, cancel: CancelToken
    ) -> None:
        from napari_unet.inference.files import segment_file

        with Bar(f"[{number + 1}/{len(self._jobs)}] {job.source.name}") as bar:
            report = segment_file(job, network, options, bar, cancel)
            seen = _scale_in_words(report["diameter"], report["zoom"])
            found = counted(report["n_objects"], "object")
            by = f" by {report['model']}" if network == "auto" else ""
            bar.end(f"{found}{by}{seen} in {format_seconds(report['seconds'])}, written to {job.target}")
        job.inputs.add(job.target, "a result of this run")
        self.results.append(report)
        for note in [*report["notes"], *([report["note"]] if report["note"] else [])]:
            say(note)
        if report["damaged"]:
            self._failed[number] = report["note"]

    def kept(self) -> str:
        """Return, for a run that was stopped, which results exist."""
        done = [job for job, before in self._begun if _identity(job.target) not in (None, before)]
        kept = f"Kept: {counted(len(done), 'result')}, the last of them {done[-1].target}." if done else ""
        rest = [job for job, _ in self._begun[-1:] if job not in done]
        return (
            f"{kept} Nothing was written of {rest[0].source.name}.".strip() if rest else kept or "Nothing was written."
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what identifies a version of a file; None: it does not exist."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns


def _plan(inputs: Sequence[Path], out: Path, file_format: Format | None, network: Path | None) -> list[FileJob]:
    """Return which file is segmented into which, or exit with a message about names."""
    from napari_unet.io.jobs import check_ending, is_several, plan_files

    asked: Literal["tif", "zarr"] | None = file_format.value if file_format else None
    try:
        check_ending(out, asked, several=is_several(inputs))
    except FileFormatError as error:
        fail(error, 2)
    try:
        return plan_files(inputs, out, asked, keep=_models_kept(network), tell=say)
    except FileFormatError as error:
        fail(error, 1)


def _models_kept(network: Path | None) -> list[Path]:
    """Return the model files that no result may be written over."""
    from napari_unet.models.store import list_models

    return [entry.path for entry in list_models()] if network is None else [network]


def _refused(jobs: Sequence[FileJob], *, maps: bool, overwrite: bool) -> dict[int, str]:
    """Print and return the reasons of jobs that cannot be done, by index."""
    failed = {}
    for number, job in enumerate(jobs):
        try:
            if not os.path.exists(job.source):  # unlike Path.exists, False if permissions are missing
                raise FileFormatError(f"{job.source} does not exist.")
            job.check(maps=maps, overwrite=overwrite)
        except FileFormatError as error:
            failed[number] = say_failed(error, job.source)
    return failed


def _diameter(text: str | None, info: ModelInfo | None) -> float | Literal["auto"] | None:
    if text is None:
        return None
    try:
        diameter = None if text == "auto" else float(text)
    except ValueError:
        diameter = 0.0
    if diameter is not None and not 0 < diameter < math.inf:
        fail(f"--diameter takes a positive number of pixels, for example 30, or auto; got {text}.", 2)
    if info is not None and info.diameter is None:
        fail(
            f"The model {info.name!r} does not know how wide the objects are that it finds, so --diameter says "
            "nothing. Leave it out, or give --pixel-size.",
            2,
        )
    if diameter is not None:
        _check_as_image(diameter)
        return diameter
    if info is None:
        fail("With --model auto give --diameter a number, or leave it out: it is found where a model can.", 2)
    if not info.finds_diameter:
        fail(f"The model {info.name!r} cannot find out how wide objects are. Give --diameter a number.", 2)
    return "auto"


def _check_as_image(diameter: float) -> None:
    """Exit with a message if `Image` does not accept the diameter."""
    import numpy as np

    from napari_unet.axes import Image

    try:
        Image(np.zeros((1, 1), np.uint8), "YX", diameter=diameter)
    except UNetError as error:
        fail(f"--diameter: {error}", 2)


def _scale_in_words(diameter: float | None, zoom: list[float]) -> str:
    from napari_unet.inference.scale import is_rescaled

    if diameter is None or not is_rescaled(zoom):
        return ""
    times = f"{1 / zoom[-1]:.1f} times smaller" if zoom[-1] < 1 else f"{zoom[-1]:.1f} times larger"
    return f" of about {diameter:.0f} pixels, made {times},"
