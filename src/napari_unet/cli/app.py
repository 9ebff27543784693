"""The application, to which the commands are added, with its own options."""

from __future__ import annotations

import errno
import os
from enum import StrEnum
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import napari_unet
from napari_unet.cli.messages import INTERRUPTED, fail

NAME = "napari-unet"


class _Group(TyperGroup):
    """Commands that print a message when Ctrl-C stops them."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("Stopped.", INTERRUPTED)
        except OSError as error:  # of a file or folder that nothing else has looked at before
            if error.errno == errno.EPIPE:
                raise  # whoever read the output has enough
            from napari_unet.io.atomic import reason

            fail(f"{error.filename or 'A file'} cannot be read or written: {reason(error)}.", 1)


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
