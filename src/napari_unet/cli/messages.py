"""Messages, progress and the exit status of commands."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from napari_unet.errors import Cancelled, UNetError
from napari_unet.progress import CancelToken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType, TracebackType

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from napari_unet.progress import Progress

INTERRUPTED = 130
"""Exit status after Ctrl-C, as in shells."""


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
        if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
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
            self.line(progress.note)
        if self._bar is None and progress.elapsed - self._last >= 10:
            self._last = progress.elapsed
            self.line(text)

    def end(self, text: str = "") -> None:
        """Remove the bar, and print a last line."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None
        if text:
            self.line(text)

    def line(self, text: str) -> None:
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


def say(text: str) -> None:
    """Print a message to standard error."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a JSON object, in one line, to standard output."""
    typer.echo(json.dumps(value))


def fail(reason: str | UNetError, status: int) -> NoReturn:
    """Exit with a message, or that of an error, and a status."""
    say(reason if isinstance(reason, str) else reason.with_details)
    raise typer.Exit(status)


def say_failed(error: UNetError, *paths: Path) -> str:
    """Say why a file could not be done, with the path of the first if the text has no file's name; return the text.

    A field of a plate is called 0, which no text names it by.
    """
    text = error.with_details
    named = any(path.suffix and re.search(rf"(?<![\w.-]){re.escape(path.name)}(?!\w)", text) for path in paths)
    say(text if named else f"{paths[0]}: {text}")
    return text
