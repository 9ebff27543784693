"""Options that several commands have, and checks of single values."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_unet.axes import PixelSize
from napari_unet.cli.messages import fail
from napari_unet.errors import UNetError

MAX_INTEGER = 10**9
"""Largest value of numbers on the command line that have no other limit."""


def complete_model(incomplete: str) -> list[str]:
    """Return the names of models that begin with a text, for completion."""
    from napari_unet.models.store import list_models

    return sorted({entry.name for entry in list_models() if entry.name.startswith(incomplete)})


def complete_device(incomplete: str) -> list[str]:
    """Return the names of devices that begin with a text, for completion."""
    return [name for name in ("auto", "cpu", "cuda", "mps") if name.startswith(incomplete)]


def number(
    kind: type[int | float], low: float, high: float, about: str, *, metavar: str = "NUMBER", word: str = ""
) -> Any:
    """Return an option that takes a number within limits, and says which where it is given anything else.

    Parameters
    ----------
    kind : {int, float}
    low, high : float
        Smallest and largest number.
    about : str
        What the option does.
    metavar : str
        What the number is of, for the help.
    word : str
        What it takes, too; empty: nothing.
    """

    def parsed(text: str | float) -> str | float:
        if word and text == word:
            return word
        try:
            value = kind(text)
        except (ValueError, OverflowError):
            value = math.nan
        if not low <= value <= high:  # NaN is in no range
            what = "a whole number" if kind is int else "a number"
            also = f", or {word}," if word else ""
            raise typer.BadParameter(f"{what} from {low:.10g} to {high:.10g}{also} is needed; got {str(text)!r:.40}.")
        return value

    return typer.Option(parser=parsed, min=low, max=high, metavar=metavar, help=about)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", autocompletion=complete_device)]


def numbered(text: str) -> int | str:
    """Return what is asked for by number or name: an int where the text is one, but not for "007"."""
    if not text.strip() or re.fullmatch(r"-\d+", text.strip()):
        raise typer.BadParameter(f"a number from 0, or a name, is needed; got {text!r}.")
    number = text.strip().isdecimal() and str(int(text)) == text.strip() and int(text) <= MAX_INTEGER
    return int(text) if number else text


Series = Annotated[
    Any,  # int | str | None, of which typer takes none but Any with a parser
    typer.Option(
        "--scene", "--series", parser=numbered, metavar="NAME|N",
        help="Which image (scene, position) of files that hold several: name, or number from 0.",
    ),
]  # fmt: skip


def path_of(text: str | Path) -> Path:
    """Return a path from an argument, with ``~`` for one's own folder, which a shell leaves as it is in ``--out=~/a``.

    An empty one would be the current folder, and that of another computer a folder called ``https:``: both are refused.
    """
    if not str(text).strip():
        raise typer.BadParameter("it is empty. Is the variable of the shell that it comes from not set?")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(text)):
        raise typer.BadParameter("only files of this computer are read and written; copy it here, or mount it.")
    return Path(os.path.expanduser(text))


def pixel_size_of(text: str | None) -> PixelSize | None:
    """Return the pixel size that an option gives in words, or end with what is wrong with it."""
    if text is None:
        return None
    try:
        return PixelSize.from_sequence([float(part) for part in text.split(",")])
    except (ValueError, UNetError) as error:
        fail(
            f"--pixel-size takes micrometres, for example 0.65 or 0.65,0.65 or 2,0.65,0.65; got {text!r} ({error}).", 2
        )
