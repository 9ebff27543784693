"""`napari-unet segment`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from napari_unet.cli.app import app
from napari_unet.cli.checks import check_device_name, describe_model
from napari_unet.cli.messages import INTERRUPTED, fail, print_json, say, stoppable
from napari_unet.cli.options import Device, Json, Series, complete_model, number, numbered, path_of, pixel_size_of
from napari_unet.cli.segment_run import SegmentRun
from napari_unet.errors import FileFormatError, UNetError
from napari_unet.limits import DIAMETER, MIN_SIZE, SHARE, TILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.inference.options import SegmentOptions
    from napari_unet.io.jobs import FileJob
    from napari_unet.models.info import ModelInfo

MAX_JOBS = 256
"""Files that may be asked for at once."""


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
        list[Path],
        typer.Argument(parser=path_of, metavar="INPUT...", help="Image files, folders of them, or OME-Zarr plates."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            parser=path_of,
            metavar="PATH",
            help="File for one input; folder for several, a folder or a plate.",
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            "--into-image", metavar="NAME", help="Instead of -o: labels of that name in each image's OME-Zarr."
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="Name or file of a model; auto: what fits each image best.", autocompletion=complete_model),
    ] = "nuclei",
    axes: Annotated[
        str | None, typer.Option(help="Axes as stored, for example ZYX. Default: what the file says.")
    ] = None,
    series: Series = None,
    channel: Annotated[
        Any, typer.Option(parser=numbered, metavar="NAME|N", help="Channel to segment: name, or number from 0.")
    ] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Micrometres: one number, or Y,X, or Z,Y,X.")] = None,
    diameter: Annotated[
        Any,  # float | "auto" | None; see Series
        number(
            float, *DIAMETER, "Width of the objects, in pixels; or auto: a model finds it on the image.", word="auto"
        ),
    ] = None,
    device: Device = "auto",
    mode: Annotated[Mode, typer.Option(help="exact; fast: nearly the same; auto: fast if good enough.")] = Mode.auto,
    tile: Annotated[
        int | None, number(int, *TILE, "Width of the tiles; the exact result does not depend on it.")
    ] = None,
    sensitivity: Annotated[
        float | None, number(float, *SHARE, "As the slider: the larger, the fainter is what counts as an object.")
    ] = None,
    separation: Annotated[
        float | None, number(float, *SHARE, "As the slider: the larger, the more objects are told apart.")
    ] = None,
    min_size: Annotated[
        int | None, number(int, *MIN_SIZE, "Pixels that an object has at least, as the network sees the image.")
    ] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Average over mirrored images; 4 times as long.")] = False,
    file_format: Annotated[Format | None, typer.Option("--format", help="Format of the label files.")] = None,
    maps: Annotated[bool, typer.Option(help="Also write the network's maps, as <stem>_maps.zarr.")] = False,
    jobs: Annotated[int, number(int, 1, MAX_JOBS, "Files at once; they share cores and memory.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="WHERE", help="Workers of dask: local, tcp://HOST:PORT, or a scheduler's file (.json)."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option(help="Do again what is finished, and replace any file but one that is read.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Segment images into label files; of a folder, what is not finished."""
    # All arguments are checked before torch is loaded, which takes seconds.
    if any(str(path) == "-" for path in inputs):
        fail("Images are not read from standard input: give a file or a folder.", 2)
    check_device_name(device)
    _check_scheduler(scheduler, jobs)
    sizes = pixel_size_of(pixel_size)
    guesses = model == "auto"
    network_file, info = (None, None) if guesses else describe_model(model)
    _check_diameter(diameter, info)
    if info is not None and not info.finds_objects and (sensitivity, separation, min_size) != (None, None, None):
        fail(f"{info.name} finds classes. Leave out --sensitivity, --separation and --min-size.", 2)
    if mode is Mode.fast and info is not None and info.fast_mode is None:
        say(f"{info.name} has no fast mode that is good enough; going on exactly.")
    from napari_unet.inference.options import SegmentOptions

    options = SegmentOptions(
        axes, sizes, channel, device, mode.value, tile, maps, overwrite, diameter, flips, series,
        sensitivity, separation, min_size,
    )  # fmt: skip
    if into is not None:
        _check_into(out, options, file_format, scheduler)
        plan = _plan_into(inputs, into)
    else:
        plan = _plan(inputs, out, file_format, network_file)
    run = SegmentRun(plan, out, model, options, scheduler)
    stopped = ""
    try:
        with stoppable() as cancel:
            run.look(cancel)
            if run.waiting:
                run.do(jobs, cancel)
    except KeyboardInterrupt:
        stopped = run.kept()
    if as_json:
        report = run.report | {"model": info.name if info else model, "mode": mode.value}
        print_json(report | {"stopped": True} if stopped else report)
    if stopped:
        fail(f"Stopped. {stopped}", INTERRUPTED)
    run.sum_up()
    if run.failed:
        raise typer.Exit(1)


def _plan(inputs: Sequence[Path], out: Path | None, file_format: Format | None, network: Path | None) -> list[FileJob]:
    """Return which file is segmented into which, or exit with a message about names."""
    if out is None:
        fail("Where do the labels go? Give -o a file or a folder, or --into-image a name.", 2)
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


def _check_into(out: Path | None, options: SegmentOptions, file_format: Format | None, scheduler: str | None) -> None:
    """Exit with a message about options that do not go with labels in their images."""
    if scheduler is not None:
        fail("With --scheduler labels go to -o, not into their images. Leave out --into-image or --scheduler.", 2)
    if out is not None:
        fail("Labels go to -o, or into each image by --into-image: leave one of them out.", 2)
    for name, given in {"maps": options.maps, "overwrite": options.overwrite, "format": file_format}.items():
        if given:
            fail(f"--{name} goes with -o only. Labels in an image are never replaced: give --into-image a new name.", 2)


def _plan_into(inputs: Sequence[Path], name: str) -> list[FileJob]:
    """Return which images get labels of a name, or exit with a message about names."""
    from napari_unet.io.jobs import plan_into

    try:
        return plan_into(inputs, name, tell=say)
    except FileFormatError as error:
        fail(error, 1)


def _models_kept(network: Path | None) -> list[Path]:
    """Return the model files that no result may be written over."""
    from napari_unet.models.store import list_models

    return [entry.path for entry in list_models()] if network is None else [network]


def _check_scheduler(scheduler: str | None, at_once: int) -> None:
    """Exit with a message if there cannot be such a scheduler, or another option contradicts it."""
    if scheduler is None:
        return
    from napari_unet.cluster.connection import check_address

    if at_once > 1:
        fail("Leave out --jobs: with --scheduler as many files are done at once as there are workers.", 2)
    try:
        check_address(scheduler)
    except UNetError as error:
        fail(error, 2)


def _check_diameter(diameter: float | Literal["auto"] | None, info: ModelInfo | None) -> None:
    """Exit with a message if the model can do nothing with what is said of the width of objects."""
    if diameter is None:
        return
    if info is not None and info.diameter is None:
        fail(
            f"The model {info.name!r} does not know how wide the objects are that it finds, so --diameter says "
            "nothing. Leave it out, or give --pixel-size.",
            2,
        )
    if diameter != "auto":
        return
    if info is None:
        fail("With --model auto give --diameter a number, or leave it out: it is found where a model can.", 2)
    if not info.finds_diameter:
        fail(f"The model {info.name!r} cannot find out how wide objects are. Give --diameter a number.", 2)
