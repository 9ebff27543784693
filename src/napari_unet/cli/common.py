"""Shared by all commands: the application, common options, progress and messages."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import napari_unet
from napari_unet.errors import Cancelled, ModelFileError, UNetError
from napari_unet.progress import CancelToken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model
    from napari_unet.progress import Progress

NAME = "napari-unet"
INTERRUPTED = 130
"""Exit status after Ctrl-C, as in shells."""

MAX_INTEGER = 10**9
"""Largest value of numbers on the command line that have no other limit."""


class _Group(TyperGroup):
    """Commands that print a message when Ctrl-C stops them."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("Stopped.", INTERRUPTED)


@contextmanager
def stoppable() -> Iterator[CancelToken]:
    """Yield a token that the first Ctrl-C cancels, so that work stops without incomplete files.

    The second Ctrl-C ends the program at once. In other threads than the main one there are no signals.
    """
    token = CancelToken()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()

    if threading.current_thread() is not threading.main_thread():
        yield token
        return
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield token
    except Cancelled:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)


app = typer.Typer(
    name=NAME,
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Shell(StrEnum):
    """Shells for which a completion script can be printed."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"
    powershell = "powershell"


_COMPLETE = f"_{NAME.replace('-', '_').upper()}_COMPLETE"
"""Environment variable that a shell sets to ask for completions."""

if _COMPLETE in os.environ:
    from typer.completion import get_completion_inspect_parameters

    get_completion_inspect_parameters()  # registers the shells


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {napari_unet.__version__}")
        raise typer.Exit


def _show_completion(shell: Shell | None) -> None:
    if shell is not None:
        from typer.completion import get_completion_script  # type: ignore[attr-defined]

        typer.echo(get_completion_script(prog_name=NAME, complete_var=_COMPLETE, shell=shell.value))
        raise typer.Exit


@app.callback(
    epilog="Example: napari-unet segment cells.tif -o cells_labels.tif\n\n"
    'Completion in bash: eval "$(napari-unet --show-completion bash)"'
)
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
    show_completion: Annotated[
        Shell | None,
        typer.Option(
            "--show-completion",
            callback=_show_completion,
            is_eager=True,
            help="Print what makes a shell complete commands and options, to be put into its startup file.",
        ),
    ] = None,
) -> None:
    """Segment microscopy images with U-Nets, train them, and score the results."""


def complete_model(incomplete: str) -> list[str]:
    """Return the names of models that begin with a text, for completion."""
    from napari_unet.models.store import list_models

    return sorted({entry.name for entry in list_models() if entry.name.startswith(incomplete)})


def complete_device(incomplete: str) -> list[str]:
    """Return the names of devices that begin with a text, for completion."""
    return [name for name in ("auto", "cpu", "cuda", "mps") if name.startswith(incomplete)]


def finite(value: float | None) -> float | None:
    """Refuse NaN and infinity, which the ranges of typer do not exclude."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number that can be used here.")
    return value


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", autocompletion=complete_device)]
Series = Annotated[
    int | None, typer.Option(min=0, max=MAX_INTEGER, help="Which image of files that hold several, from 0.")
]


def path_of(text: str | Path) -> Path:
    """Return a path from an argument; an empty one, which would be the current folder, is refused."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty. Is the variable of the shell that it comes from not set?")
    return Path(text)


class Bar:
    """Progress on standard error: a bar on a terminal, else a line every 10 seconds.

    A context manager, which restores the terminal in the end.

    Parameters
    ----------
    title : str
        Name of the task.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._last = 0.0
        self._note = ""
        self._bar: tuple[RichProgress, TaskID] | None = None

    def __enter__(self) -> Bar:
        if sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
            self._bar = _rich_bar(self._title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def __call__(self, progress: Progress) -> None:
        """Show progress."""
        text = progress.message or progress.count
        if self._bar is not None:
            self._bar[0].update(self._bar[1], completed=progress.fraction, text=text)
        if progress.note not in ("", self._note):
            self._note = progress.note
            self._line(progress.note)
        if self._bar is None and progress.elapsed - self._last >= 10:
            self._last = progress.elapsed
            self._line(text)

    def end(self, text: str = "") -> None:
        """Remove the bar, and print a last line."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None
        if text:
            self._line(text)

    def _line(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        line = f"{self._title}: {text}"
        if self._bar is None:
            say(line)
        else:
            self._bar[0].console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _rich_bar(title: str) -> tuple[RichProgress, TaskID]:
    """Show a bar; return it and its only task."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),  # file names may contain brackets
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=sys.stderr, force_terminal=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task(title, total=1.0, text="")
    bar.start()
    return bar, task


def describe_model(name: str) -> tuple[Path, ModelInfo]:
    """Return path and description of a model, without loading torch, or exit with a message."""
    from napari_unet.models.header import read_model_info
    from napari_unet.models.store import find_model

    try:
        path = find_model(name)
        return path, read_model_info(path)
    except ModelFileError as error:
        fail(str(error), 2)


def open_model(name: str) -> Model:
    """Load a model, or exit with a message."""
    from napari_unet.models.store import load_model

    describe_model(name)
    try:
        return load_model(name)
    except ModelFileError as error:
        fail(str(error), 2)


def check_device_name(name: str) -> None:
    """Exit with a message if a device name is not valid on any machine; unlike `check_device`, without torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,4})?", name):
        fail(f"There is no device {name!r}: it is auto, cpu, cuda, cuda:N (N: its number, from 0) or mps.", 2)


def check_device(name: str) -> None:
    """Exit with a message unless this machine has the device."""
    check_device_name(name)
    from napari_unet.models.model import resolve_device

    try:
        resolve_device(name)
    except UNetError as error:
        fail(str(error), 2)


def say(text: str) -> None:
    """Print a message to standard error."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a JSON object, in one line, to standard output."""
    typer.echo(json.dumps(value))


def fail(text: str, status: int) -> NoReturn:
    """Exit with a message and a status."""
    say(text)
    raise typer.Exit(status)
