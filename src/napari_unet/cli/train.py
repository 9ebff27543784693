"""`napari-unet train`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_unet.cli.app import app
from napari_unet.cli.checks import check_device, check_device_name, check_model_name, describe_model, open_model
from napari_unet.cli.messages import INTERRUPTED, Bar, fail, print_json, say, stoppable
from napari_unet.cli.options import MAX_INTEGER, Device, Json, Series, complete_model, number, numbered, path_of
from napari_unet.errors import UNetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_unet.progress import CancelToken

    Pairs = Sequence[tuple[Path, Path]]


MAX_MINUTES = 60 * 24 * 365
"""Time for training, at most."""


class TaskName(StrEnum):
    """What the labels are."""

    instances = "instances"
    semantic = "semantic"


class Kind(StrEnum):
    """Architecture of a new network."""

    unet2d = "unet2d"
    unet3d = "unet3d"
    unet2015 = "unet2015"


@app.command(
    epilog="Example: napari-unet train --images images --labels labels --base nuclei --minutes 5 -o mine.safetensors"
)
def train(
    images: Annotated[Path, typer.Option(parser=path_of, metavar="PATH", help="Folder of images.")],
    labels: Annotated[
        Path, typer.Option(parser=path_of, metavar="PATH", help="Folder of label images of the same names.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", parser=path_of, metavar="PATH", help="Model file to write (.safetensors).")
    ],
    val_images: Annotated[
        Path | None, typer.Option(parser=path_of, metavar="PATH", help="Folder of images for validation.")
    ] = None,
    val_labels: Annotated[Path | None, typer.Option(parser=path_of, metavar="PATH", help="Their labels.")] = None,
    val_share: Annotated[
        float | None,
        number(
            float,
            0,
            0.9,
            "Or keep this share of the images aside for validation (default 0.2 of five or more; 0: none).",
        ),
    ] = None,
    series: Series = None,
    channel: Annotated[
        Any, typer.Option(parser=numbered, metavar="NAME|N", help="Channel to learn from: name, or number from 0.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Name or file of the model to begin with.", autocompletion=complete_model)
    ] = None,
    new: Annotated[Kind | None, typer.Option(help="Begin with an untrained network of this kind.")] = None,
    task: Annotated[
        TaskName | None, typer.Option(help="For --new: object ids, or classes (default: instances).")
    ] = None,
    ignore_label: Annotated[int | None, number(int, 0, 2**32 - 1, "Pixels of this value are not learned from.")] = None,
    minutes: Annotated[
        float | None, number(float, 0.0001, MAX_MINUTES, "Train for so long (default 10, unless --steps).")
    ] = None,
    steps: Annotated[int | None, number(int, 1, MAX_INTEGER, "Train for so many steps.")] = None,
    border: Annotated[float, number(float, 0, 1000, "Weight of narrow gaps between objects (2015: 10).")] = 0.0,
    seed: Annotated[int, number(int, 0, 2**32 - 1, "Seed for weights and random samples.")] = 0,
    device: Device = "auto",
    restart: Annotated[bool, typer.Option(help="Begin anew, where an interrupted training would go on.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing model file.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model on labelled images; after Ctrl-C or a crash the same command goes on.

    Images for validation are not learned from: the best weights, and how objects are read out of maps, are chosen on
    them. With none, a fifth of five or more images is kept aside.
    """
    _check_options(base, new, val_images, val_labels, val_share, out)
    check_device_name(device)
    files = _Files.beside(out)
    begin_file = None if base is None else _begin_file(base, task)
    pairs, val_pairs = _matched(images, labels, val_images, val_labels, begin_file, files, overwrite=overwrite)
    check_device(device)
    options = {
        "val_share": val_share, "ignore_label": ignore_label, "border": border, "seed": seed,
        "task": None if task is None else task.value,
        "max_seconds": None if minutes is None else 60 * minutes, "steps": steps, "device": device, "channel": channel,
    }  # fmt: skip
    if new is not None:
        options["kind"] = new.value
    bar = Bar("training")
    try:
        with bar, stoppable() as token:
            done = _trained(
                bar, token, pairs, val_pairs, files, options, base=base, series=series, restart=restart,
                overwrite=overwrite,
            )  # fmt: skip
    except UNetError as error:
        fail(error, 1)
    except KeyboardInterrupt:
        done = None
    if done is None:
        fail(f"Stopped. No model was written{_as_before(out)}.{_goes_on(files.checkpoint)}", INTERRUPTED)
    for sentence in done.pop("said"):
        say(sentence)
    say(f"Written: {out}, and its learning curve, {files.table.name} and {files.picture.name}.")
    if as_json:
        print_json(done)


def _check_options(
    base: str | None,
    new: Kind | None,
    val_images: Path | None,
    val_labels: Path | None,
    val_share: float | None,
    out: Path,
) -> None:
    """Exit with a message if options contradict each other."""
    if (base is None) == (new is None):
        fail("Give either --base, a model to begin with, or --new, a kind of network to train from scratch.", 2)
    if (val_images is None) != (val_labels is None):
        fail("--val-images and --val-labels belong together.", 2)
    if val_share is not None and val_images is not None:
        fail("Give either --val-images, images to check on, or --val-share, a share of --images; not both.", 2)
    check_model_name(out)


def _begin_file(base: str, task: TaskName | None) -> Path:
    """Return the file of the model to begin with, or exit with a message if it has another task."""
    from napari_unet.models.info import check_task

    path, info = describe_model(base)
    try:
        check_task(base, info, None if task is None else task.value)
    except UNetError as error:
        fail(error, 2)
    return path


@dataclass(frozen=True, slots=True)
class _Files:
    """What is written: the model, its learning curve, and, until it is done, a checkpoint."""

    model: Path
    table: Path
    picture: Path
    checkpoint: Path

    @classmethod
    def beside(cls, model: Path) -> _Files:
        """Return the names of the files that belong to a model file."""
        return cls(model, *(model.with_suffix(ending) for ending in (".curve.csv", ".curve.png", ".checkpoint")))


def _as_before(out: Path) -> str:
    return f"; {out} is as it was before" if out.exists() else ""


def _goes_on(checkpoint: Path) -> str:
    return f" The same command goes on from {checkpoint.name}." if checkpoint.exists() else ""


def _matched(
    images: Path,
    labels: Path,
    val_images: Path | None,
    val_labels: Path | None,
    base: Path | None,
    files: _Files,
    *,
    overwrite: bool,
) -> tuple[Pairs, Pairs | None]:
    """Return the pairs of files, if the results may be written, or exit with a message."""
    from napari_unet.io.atomic import Protected, check_free, check_writable
    from napari_unet.io.pairs import match_by_stem

    written = files.model, files.table, files.picture, files.checkpoint
    try:
        protected = Protected([base] if base is not None else [])
        for path in written:
            protected.check(path)
        for path in written[:3]:
            check_free(path, overwrite=overwrite)
        pairs = match_by_stem(images, labels)
        val_pairs = match_by_stem(val_images, val_labels) if val_images and val_labels else None
        for path in (path for pair in [*pairs, *(val_pairs or [])] for path in pair):
            protected.add(path)
        for path in written:
            protected.check(path)
        check_writable(files.model)
    except UNetError as error:
        fail(error, 1)
    return pairs, val_pairs


def _trained(
    bar: Bar,
    token: CancelToken,
    pairs: Pairs,
    val_pairs: Pairs | None,
    files: _Files,
    options: dict[str, Any],
    *,
    base: str | None,
    series: int | str | None,
    restart: bool,
    overwrite: bool,
) -> dict[str, Any] | None:
    """Train, score and write a model; return what `--json` prints, and what is said; None if it was stopped."""
    from napari_unet.io.atomic import remove
    from napari_unet.learning.train import train as train_model
    from napari_unet.models.checkpoint import save_model_file
    from napari_unet.models.model import Model
    from napari_unet.training.checkpoint import load_checkpoint
    from napari_unet.training.curve import write_curve

    begin = open_model(base) if base is not None else None
    loaded, truths = _read_pairs(pairs, series)
    validation = None if val_pairs is None else _read_pairs(val_pairs, series)
    if restart and load_checkpoint(files.checkpoint) is not None:  # a file of another program is left alone
        remove(files.checkpoint)
    model, report = train_model(
        begin, loaded, truths, validation=validation, checkpoint=files.checkpoint, progress=bar, cancel=token, **options
    )
    bar.end()
    if report.was_interrupted:
        return None
    save_model_file(Model(model.net, model.info.model_copy(update={"name": files.model.stem})), files.model)
    write_curve(report.curve, files.table, files.picture, overwrite=overwrite)
    remove(files.checkpoint)
    return {
        "output": str(files.model),
        **report.to_dict(),
        "scores": model.info.scores,
        "curve": [str(files.table), str(files.picture)],
        "said": report.sentences,
    }


@contextmanager
def _in_folder_of(path: Path) -> Iterator[None]:
    """Say of errors in which folder their file is: image and labels often have the same name."""
    try:
        yield
    except UNetError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"In {path.parent}: {error}", error.details) from error


def _read_pairs(pairs: Pairs, series: int | str | None) -> tuple[list[Any], list[Any]]:
    """Read images and labels; axes of length 1 that the image does not have are removed from the labels."""
    from napari_unet.io.readers import read_image, read_labels_and_notes

    loaded, truths = [], []
    for image_path, label_path in pairs:
        with _in_folder_of(image_path):
            image = read_image(image_path, series=series)
        with _in_folder_of(label_path):
            truth, notes = read_labels_and_notes(label_path)
        if truth.shape != image.label_shape and truth.squeeze().shape == tuple(n for n in image.label_shape if n > 1):
            truth = truth.reshape(image.label_shape)
        loaded.append(replace(image, notes=(*image.notes, *notes)))
        truths.append(truth)
    return loaded, truths
