"""What the commands share: the application, their common options, progress and messages."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from napari_unet.errors import ModelFileError, UNetError

if TYPE_CHECKING:
    from napari_unet.models.model import Model
    from napari_unet.progress import Progress


app = typer.Typer(
    name="napari-unet",
    help="Segment microscopy images with U-Nets, train them, and score the results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


class Bar:
    """Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._terminal = sys.stderr.isatty()
        self._last = 0.0
        self._note = ""

    def __call__(self, progress: Progress) -> None:
        """Show how far it has come."""
        if progress.note not in ("", self._note):
            self._note = progress.note
            self.end(progress.note)
        text = f"{self._title}: {progress.message or progress.count}"
        if self._terminal:
            filled = round(24 * progress.fraction)
            sys.stderr.write(f"\r\x1b[K|{'█' * filled}{'·' * (24 - filled)}| {text}")
            sys.stderr.flush()
        elif progress.elapsed - self._last >= 10:
            self._last = progress.elapsed
            say(text)

    def end(self, text: str = "") -> None:
        """Finish the bar, with a closing line."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
        if text:
            say(f"{self._title}: {text}")


def open_model(name: str) -> Model:
    """Load a model, or end with what is wrong with it."""
    from napari_unet.models.store import load_model

    try:
        return load_model(name)
    except ModelFileError as error:
        fail(str(error), 2)


def check_device(name: str) -> None:
    """End with a message unless this machine has the device."""
    from napari_unet.models.model import resolve_device

    try:
        resolve_device(name)
    except UNetError as error:
        fail(str(error), 2)


def say(text: str) -> None:
    """Print a line for people."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print the one line for programs."""
    typer.echo(json.dumps(value))


def fail(text: str, status: int) -> NoReturn:
    """End with a message and an exit status."""
    say(text)
    raise typer.Exit(status)
