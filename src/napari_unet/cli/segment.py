"""`napari-unet segment`."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_unet.axes import PixelSize
from napari_unet.cli.common import Bar, Device, Json, app, check_device, fail, open_model, print_json, say
from napari_unet.errors import FileFormatError, UNetError
from napari_unet.progress import counted, format_seconds

if TYPE_CHECKING:
    from napari_unet.models.model import Model


class Format(StrEnum):
    """Of label files."""

    tif = "tif"
    zarr = "zarr"


class Mode(StrEnum):
    """Of tiling."""

    auto = "auto"
    exact = "exact"
    fast = "fast"


@app.command()
def segment(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File for one input; folder for several or for a folder.")],
    model: Annotated[str, typer.Option(help="Name or file of a model.")] = "nuclei",
    axes: Annotated[
        str | None, typer.Option(help="Axes as stored, for example ZYX. Default: what the file says.")
    ] = None,
    channel: Annotated[int | None, typer.Option(help="Channel to segment, from 0.")] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Micrometres: one number, or Y,X, or Z,Y,X.")] = None,
    diameter: Annotated[
        str | None, typer.Option(help="Of the objects, pixels, or auto: found on the image, whatever else is known.")
    ] = None,
    device: Device = "auto",
    mode: Annotated[Mode, typer.Option(help="exact; fast: nearly the same, as measured.")] = Mode.auto,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Width of the tiles; the exact result does not depend on it.")
    ] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Average over mirror images: 4 times as long.")] = False,
    file_format: Annotated[Format | None, typer.Option("--format", help="Of the label files.")] = None,
    maps: Annotated[bool, typer.Option(help="Also write the network's maps, as <stem>_maps.zarr.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace existing results.")] = False,
    as_json: Json = False,
) -> None:
    """Segment images into label files."""
    from napari_unet.batch import SegmentOptions, plan_files, segment_file

    network = open_model(model)
    check_device(device)
    if mode is Mode.fast and network.info.fast is None:
        say(f"{network.name} has no fast mode that is good enough; going on exactly.")
    wide = _diameter(diameter, network)
    options = SegmentOptions(
        axes, _pixel_size(pixel_size), channel, device, mode.value, tile, maps, overwrite, wide, flips
    )
    try:
        jobs = plan_files(inputs, out, file_format.value if file_format else None)
    except FileFormatError as error:
        fail(str(error), 1)
    results, failed = [], []
    for number, job in enumerate(jobs, start=1):
        bar = Bar(f"[{number}/{len(jobs)}] {job.source.name}")
        try:
            report = segment_file(job, network, options, bar)
        except UNetError as error:
            bar.end()
            failed.append({"input": str(job.source), "error": str(error)})
            say(str(error) if job.source.name in str(error) else f"{job.source}: {error}")
            continue
        seen = _seen(report["diameter"], report["zoom"])
        found = counted(report["n_objects"], "object")
        bar.end(f"{found}{seen} in {format_seconds(report['seconds'])}, written to {job.target}")
        results.append(report)
        if report["note"]:
            say(report["note"])
        if report["damaged"]:
            failed.append({"input": str(job.source), "error": report["note"]})
    if as_json:
        print_json({"results": results, "failed": failed, "model": network.name, "mode": mode.value})
    if failed:
        raise typer.Exit(1)


def _diameter(text: str | None, model: Model) -> float | Literal["auto"] | None:
    from napari_unet.sizing import is_sizable

    if text is None:
        return None
    try:
        diameter = None if text == "auto" else float(text)
    except ValueError:
        diameter = 0.0
    if diameter is not None and not 0 < diameter < math.inf:
        fail(f"--diameter takes a positive number of pixels, for example 30, or auto; got {text}.", 2)
    if model.info.diameter is None:
        fail(
            f"The model {model.name!r} does not know how wide the objects are that it finds, so --diameter says "
            "nothing. Leave it out, or give --pixel-size.",
            2,
        )
    if diameter is not None:
        return diameter
    if not is_sizable(model):
        fail(f"The model {model.name!r} cannot find out how wide objects are. Give --diameter a number.", 2)
    return "auto"


def _seen(diameter: float | None, zoom: list[float]) -> str:
    if diameter is None or not zoom:
        return ""
    times = f"{1 / zoom[-1]:.1f} times smaller" if zoom[-1] < 1 else f"{zoom[-1]:.1f} times larger"
    return f" of about {diameter:.0f} pixels, looked at {times},"


def _pixel_size(text: str | None) -> PixelSize | None:
    if text is None:
        return None
    try:
        return PixelSize.from_sequence([float(part) for part in text.split(",")])
    except (ValueError, UNetError) as error:
        fail(
            f"--pixel-size takes micrometres, for example 0.65 or 0.65,0.65 or 2,0.65,0.65; got {text!r} ({error}).", 2
        )
