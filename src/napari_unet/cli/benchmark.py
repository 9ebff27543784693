"""`napari-unet benchmark`, if the package of benchmarks is installed, as it is from the source."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from napari_unet.cli.app import app
from napari_unet.cli.messages import fail

PACKAGE = "napari_unet_benchmarks"


def _from_source() -> None:
    """Benchmarks come with the source of the program."""
    fail(
        "Benchmarks come with the source, not with the installed package: get the repository, and there run "
        "pip install -e .",
        2,
    )


if find_spec(PACKAGE) is not None:
    app.add_typer(import_module(f"{PACKAGE}.command").benchmark, name="benchmark")
else:
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("benchmark", context_settings=settings)(_from_source)
