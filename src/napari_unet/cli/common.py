"""What the commands share: the application, their common options, progress and messages."""

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
from napari_unet.axes import PixelSize
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
"""Exit status after Ctrl-C, as shells have it."""

LARGEST = 10**9
"""Of any number on the command line that has no range of its own."""


class _Group(TyperGroup):
    """Commands that say in words that Ctrl-C stopped them."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("Stopped.", INTERRUPTED)


@contextmanager
def stoppable() -> Iterator[CancelToken]:
    """Give a token that the first Ctrl-C sets, so that work ends where nothing is half written.

    The second ends it at once. Outside of the main thread, which has no signals, nobody sets it.
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
    """Of which a script of completion can be printed."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"
    powershell = "powershell"


_COMPLETE = f"_{NAME.replace('-', '_').upper()}_COMPLETE"
"""Environment variable by which a shell asks for completions."""

if _COMPLETE in os.environ:
    from typer.completion import get_completion_inspect_parameters

    get_completion_inspect_parameters()  # registers the shells, as typer does for options of its own


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
    """Return the names of models that begin so, for completion."""
    from napari_unet.models.store import list_models

    return sorted({entry.name for entry in list_models() if entry.name.startswith(incomplete)})


def complete_device(incomplete: str) -> list[str]:
    """Return the names of devices that begin so, for completion."""
    return [name for name in ("auto", "cpu", "cuda", "mps") if name.startswith(incomplete)]


def finite(value: float | None) -> float | None:
    """Turn away what is not a number or has no end: no range of a number excludes what is not one."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number that can be used here.")
    return value


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", autocompletion=complete_device)]
Series = Annotated[int | None, typer.Option(min=0, max=LARGEST, help="Which image of files that hold several, from 0.")]


def path_of(text: str | Path) -> Path:
    """Return a path that was given as words; the empty one would be the folder that one is in."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty. Is the variable of the shell that it comes from not set?")
    return Path(text)


def pixel_size_of(text: str | None) -> PixelSize | None:
    """Return the pixel size that was given as words, or end with what is wrong with it."""
    if text is None:
        return None
    try:
        return PixelSize.from_sequence([float(part) for part in text.split(",")])
    except (ValueError, UNetError) as error:
        fail(
            f"--pixel-size takes micrometres, for example 0.65 or 0.65,0.65 or 2,0.65,0.65; got {text!r} ({error}).", 2
        )


class Bar:
    """Progress on standard error: a bar on a terminal, a line now and then elsewhere.

    To be used in a ``with``, so that a terminal is as before however it ends.

    Parameters
    ----------
    title : str
        What is being done.
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
        """Show how far it has come."""
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
        """Finish the bar, with a closing line."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None
        if text:
            self._line(text)

    def _line(self, text: str) -> None:
        """Print a line for good, above the bar if there is one."""
        line = f"{self._title}: {text}"
        if self._bar is None:
            say(line)
        else:
            self._bar[0].console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _rich_bar(title: str) -> tuple[RichProgress, TaskID]:
    """Return a bar that is shown from now on, and its only task."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),  # names of files may have brackets in them
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
    """Return the file of a model and its description, without loading torch; end with what is wrong with it."""
    from napari_unet.models.header import read_model_info
    from napari_unet.models.store import find_model

    try:
        path = find_model(name)
        return path, read_model_info(path)
    except ModelFileError as error:
        fail(str(error), 2)


def open_model(name: str) -> Model:
    """Load a model, or end with what is wrong with it."""
    from napari_unet.models.store import load_model

    describe_model(name)
    try:
        return load_model(name)
    except ModelFileError as error:
        fail(str(error), 2)


def check_device_name(name: str) -> None:
    """End with a message if no machine has a device of that name. Unlike `check_device`, it need not load torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,4})?", name):
        fail(f"There is no device {name!r}: it is auto, cpu, cuda, cuda:N (N: its number, from 0) or mps.", 2)


def check_device(name: str) -> None:
    """End with a message unless this machine has the device."""
    check_device_name(name)
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
