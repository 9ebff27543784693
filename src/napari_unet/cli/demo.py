"""`napari-unet demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_unet.cli.app import app
from napari_unet.cli.messages import fail, print_json, say
from napari_unet.cli.options import path_of
from napari_unet.errors import FileFormatError, UNetError

_WRITTEN = ("before.png", "after.png", "labels.tif", "report.json", "afternoon")
"""What the headless demo leaves in its folder."""


@app.command(epilog="Example: napari-unet demo --headless -o demo")
def demo(
    headless: Annotated[bool, typer.Option(help="Run the whole demo without a user, and write screenshots.")] = False,
    out: Annotated[
        Path, typer.Option("-o", "--out", parser=path_of, metavar="PATH", help="Folder for what --headless writes.")
    ] = Path("demo"),
) -> None:
    """Open napari with a segmented sample; or run a whole demo without a user."""
    try:
        from napari_unet._qt.demo import run_demo
    except ImportError as error:
        fail(f'The demo needs napari ({error.name} is missing): pip install "napari-unet-interactive[all]".', 2)
    try:
        if headless:
            _take_folder(out)
        report = run_demo(out, headless=headless, say=say)
    except UNetError as error:
        fail(error, 1)
    if report is not None:
        print_json(report)


def _take_folder(out: Path) -> None:
    """Mark the folder of the demo as its own, unless there are other files.

    Raises
    ------
    FileFormatError
        If there is a file with the name of an output that no earlier demo has written.
    """
    note = out / ".napari-unet-demo"
    try:
        taken = [name for name in _WRITTEN if (out / name).exists()]
        if taken and not note.exists():
            raise FileFormatError(
                f"{out / taken[0]} is there already, and no demo wrote it; choose another folder with -o."
            )
        out.mkdir(parents=True, exist_ok=True)
        note.touch()
    except OSError as error:
        raise FileFormatError(f"{out} cannot be written to: {error.strerror}.") from error
