"""`napari-unet benchmark` and `demo`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_unet.cli.common import Device, Json, app, check_device, fail, print_json, say
from napari_unet.errors import UNetError


class BenchmarkName(StrEnum):
    """What is measured."""

    tiling = "tiling"
    memory = "memory"
    gui = "gui"


@app.command()
def benchmark(
    name: Annotated[BenchmarkName, typer.Argument(help="What to measure.")],
    size: Annotated[
        list[int] | None, typer.Option(min=256, help="Width of the image, pixels; for memory, several may be given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each thing is measured (tiling).")] = 5,
    volume: Annotated[bool, typer.Option(help="A volume instead of a plane (tiling).")] = False,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Measure how fast, how exact and how sparing this program is on this machine."""
    check_device(device)
    if name is BenchmarkName.gui:
        from napari_unet._qt import benchmark as gui

        figures = gui.run((size or [4096])[0], say=say)
    elif name is BenchmarkName.memory:
        from napari_unet.benchmarks import memory

        figures = memory.run(size or memory.SIZES, device=device, say=say)
    else:
        from napari_unet.benchmarks import tiling

        figures = tiling.run((size or [512 if volume else 4096])[0], rounds, device, volume, say=say)
    if as_json:
        print_json(figures)


@app.command()
def demo(
    headless: Annotated[bool, typer.Option(help="Do the whole job without anybody, and write pictures of it.")] = False,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for what --headless writes.")] = Path("demo"),
) -> None:
    """Open napari with a sample, segmented; or show the whole job without anybody at the screen."""
    try:
        from napari_unet._qt.demo import run_demo
    except ImportError as error:
        fail(f'The demo needs napari ({error.name} is missing): pip install "napari-unet-interactive[all]".', 2)
    try:
        report = run_demo(out, headless=headless, say=say)
    except UNetError as error:
        fail(str(error), 1)
    if report is not None:
        print_json(report)
