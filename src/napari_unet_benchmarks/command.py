"""`napari-unet benchmark NAME`: every benchmark there is.

Those with options of their own are scripts, too: ``python -m napari_unet_benchmarks.NAME``.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_unet.cli.checks import check_device, check_device_name, describe_model, open_model
from napari_unet.cli.messages import fail, print_json, say
from napari_unet.cli.options import MAX_INTEGER, Device, Json, complete_model, number, path_of
from napari_unet.errors import UNetError

benchmark = typer.Typer(
    help="Measure how fast, how exact, how sparing and how quick to learn this program is.",
    epilog="Example: napari-unet benchmark tiling --size 1024",
    no_args_is_help=True,
)

SCRIPTS = {  # each says more with --help
    "afternoon": "Work through a folder of images as a biologist would; count gestures and seconds.",
    "annotator_kinds": "Measure what corrections are worth on eight kinds of image, in one table.",
    "check": "Measure whether better models are used, and worse ones held back.",
    "cluster": "Time one image divided among workers of dask beside one process.",
    "convolution": "Time convolution directly and by the Fourier transform.",
    "decoding": "Compare four ways to tell touching objects apart.",
    "edits": "Measure how well one gesture splits or adds an object.",
    "faults": "Kill a window that paints, makes gestures, learns or saves, and count what is lost.",
    "first_click": "Time the first click on Segment in a window that was just opened.",
    "flips": "Measure what averaging over mirror images gains and costs.",
    "folders": "Time a folder of small images, several at once, and what knowing that they are finished costs.",
    "from_scratch": "Score a new model after its first minute, by how much was painted.",
    "gestures": "Time each gesture from the mouse to the picture.",
    "gpu": "Measure all that is to be measured on a graphics card.",
    "harm": "Find out why learning from one image makes others worse.",
    "learning": "Measure what a few corrections do, here and elsewhere.",
    "object_size": "Measure what finding the object size gains and costs.",
    "other_programs": "Train other programs' networks on the same images for the same time.",
    "proofreading": "Mend real errors with mouse and keys, and count gestures and what they reach.",
    "recovery": "Kill a window while somebody paints, and count what is lost.",
    "rules": "Measure what each rule of learning is worth.",
    "shipped_models": "Score the shipped models beside a tuned classical pipeline.",
    "sliders": "Measure what *Fit to my corrections* gains elsewhere.",
    "snapshots": "Measure whether snapshots that disagree tell where a network is wrong.",
    "train": "Train on three labelled fields for four minutes, and score others.",
    "unet2015": "Train the U-Net of 2015 as its paper says.",
    "volumes": "Measure what learning does in volumes of kinds that nuclei3d does not know.",
    "walk": "Measure how soon the walk from object to object comes to what is wrong.",
    "which_model": "Measure how often the right model is guessed, and doubted.",
    "where_next": "Measure how early the walk for classes comes to what is wrong.",
    "window_memory": "Measure whether a window's memory grows from round to round.",
}


@benchmark.command(epilog="Example: napari-unet benchmark tiling --size 1024")
def tiling(
    size: Annotated[int | None, number(int, 256, 2**18, "Width of the image, pixels.")] = None,
    rounds: Annotated[int, number(int, 1, 10_000, "How often each thing is measured.")] = 5,
    volume: Annotated[bool, typer.Option(help="A volume instead of a plane.")] = False,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Time the inference engine against the bare network and MONAI's sliding window, and check it against one pass."""
    check_device(device)
    from napari_unet_benchmarks import tiling

    _tell(tiling.run(size or (512 if volume else 4096), rounds, device, volume, say=say), as_json)


@benchmark.command(epilog="Example: napari-unet benchmark memory --size 4096")
def memory(
    size: Annotated[list[int] | None, number(int, 256, 2**18, "Widths of the images, pixels.")] = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Measure how much memory files of growing size take, from zarr to zarr."""
    check_device(device)
    from napari_unet_benchmarks import memory

    _tell(memory.run(size or memory.SIZES, device=device, say=say), as_json)


@benchmark.command(epilog="Example: napari-unet benchmark gui --size 1024")
def gui(
    size: Annotated[int, number(int, 256, 2**18, "Width of the image, pixels.")] = 4096,
    as_json: Json = False,
) -> None:
    """Measure how long the window pauses."""
    from napari_unet_benchmarks import window

    _tell(window.run(size, say=say), as_json)


@benchmark.command(epilog="Example: napari-unet benchmark annotator --data data --quick -o figures")
def annotator(
    data: Annotated[
        Path, typer.Option(parser=path_of, metavar="PATH", help="Folder of all data sets, each with images and labels.")
    ],
    name: Annotated[str, typer.Option("--set", help="Which of them.")] = "cells_phase_t98g",
    rounds: Annotated[int, number(int, 1, 10_000, "How often the program learns.")] = 8,
    objects: Annotated[int, number(int, 1, MAX_INTEGER, "Corrections before each time.")] = 5,
    steps: Annotated[int, number(int, 1, MAX_INTEGER, "Training steps each time.")] = 30,
    ceiling_steps: Annotated[int, number(int, 1, MAX_INTEGER, "Training steps on all labels.")] = 300,
    size: Annotated[int, number(int, 64, 2**18, "Width of a field, pixels.")] = 512,
    fields: Annotated[int, number(int, 1, MAX_INTEGER, "Most fields to work on.")] = 8,
    held_out: Annotated[int, number(int, 1, MAX_INTEGER, "Most fields held out.")] = 8,
    rivals: Annotated[bool, typer.Option(help="What else the annotation could have bought, too.")] = True,
    seed: Annotated[int, number(int, 0, 2**32 - 1, "Seeds the annotator's hand and untrained networks.")] = 0,
    base: Annotated[str | None, typer.Option(help="Model to begin with, instead of the set's own.")] = None,
    quick: Annotated[bool, typer.Option(help="A run of a minute, to see that all works.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", parser=path_of, metavar="PATH", help="Folder for the figures and their curves."),
    ] = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Measure how much a correction is worth: a simulated person mends, the program learns, against four rivals."""
    check_device_name(device)
    if base is not None:
        describe_model(base)
    from napari_unet_benchmarks.annotator import Settings, run
    from napari_unet_benchmarks.fields import DATA_SETS

    if name not in DATA_SETS:
        fail(f"There is no data set called {name!r}; there are {', '.join(DATA_SETS)}.", 2)
    check_device(device)
    settings = Settings(
        rounds, objects, steps, ceiling_steps, size, fields, held_out, rivals=rivals, seed=seed, base=base
    )
    try:
        figures = run(data, name, settings.quick() if quick else settings, device, say=say)
    except UNetError as error:
        fail(str(error), 1)
    if out is not None:
        _write(figures, out)
    _tell(figures, as_json)


@benchmark.command(epilog="Example: napari-unet benchmark models nuclei --images images --labels labels")
def models(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="The model to score.", autocompletion=complete_model)
    ],
    images: Annotated[
        Path, typer.Option(parser=path_of, metavar="PATH", help="Folder of images that it has never seen.")
    ],
    labels: Annotated[
        Path, typer.Option(parser=path_of, metavar="PATH", help="Folder of label images of the same names.")
    ],
    train_images: Annotated[
        Path | None, typer.Option(parser=path_of, metavar="PATH", help="Images to tune a classical pipeline on.")
    ] = None,
    train_labels: Annotated[Path | None, typer.Option(parser=path_of, metavar="PATH", help="Their labels.")] = None,
    rounds: Annotated[int, number(int, 1, 10_000, "How often each thing is timed.")] = 5,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Score a model on labelled images beside a tuned threshold and watershed, and time it beside the bare network."""
    if (train_images is None) != (train_labels is None):
        fail("--train-images and --train-labels belong together.", 2)
    check_device_name(device)
    describe_model(name)
    check_device(device)
    model = open_model(name)
    from napari_unet.io.pairs import match_by_stem
    from napari_unet_benchmarks.model_scores import run
    from napari_unet_benchmarks.report import report

    try:
        val = {"images": match_by_stem(images, labels)}
        train = None
        if train_images is not None and train_labels is not None:
            train = {"images": match_by_stem(train_images, train_labels)}
        figures = run(model, val, train, device, rounds, say)
    except UNetError as error:
        fail(str(error), 1)
    _tell(report("models", figures), as_json)


def _tell(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(figures)


def _write(figures: dict[str, Any], folder: Path) -> None:
    """Write figures and, where matplotlib is there, their curves."""
    from napari_unet_benchmarks.curves import draw_curves
    from napari_unet_benchmarks.report import write_figures

    path = write_figures(figures, folder, f"annotator-{figures['data']}")
    try:
        draw_curves(figures, path.with_suffix(".png"))
    except ImportError:
        say("Without matplotlib there are no curves.")
    say(f"written to {path}")


def _run_script(context: typer.Context) -> None:
    name, asked = str(context.command.name), list(context.args)
    arguments = [one for one in asked if one != "--json"]
    helps = bool({"-h", "--help"} & set(arguments))
    as_json = len(arguments) < len(asked) and not helps
    sys.argv = [context.command_path, *arguments]
    script = import_module(f"napari_unet_benchmarks.{name}")
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():  # what a script tells on its way is no result
            script.main()
    finally:
        if helps:  # the script has said what its options are
            typer.echo(f"\n  --json  print the result as one JSON object, in the last line\n\n{context.command.epilog}")
    if as_json:
        from napari_unet_benchmarks.results import last_result  # loads torch, which some scripts time

        print_json(last_result(name))


for _name, _help in SCRIPTS.items():
    _data = (
        ""
        if _name in ("convolution", "faults", "first_click", "gestures", "recovery", "window_memory")
        else " --data DATA"
    )
    benchmark.command(
        _name,
        help=_help,
        epilog=f"Example: napari-unet benchmark {_name}{_data}",
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_run_script)
