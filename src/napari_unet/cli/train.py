"""`napari-unet train`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_unet.cli.app import app
from napari_unet.cli.checks import check_device, check_device_name, describe_model, open_model
from napari_unet.cli.messages import INTERRUPTED, Bar, fail, print_json, say
from napari_unet.cli.options import MAX_INTEGER, Device, Json, Series, complete_model, finite, path_of
from napari_unet.errors import UNetError
from napari_unet.progress import Progress, drive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.training.config import StepReport

    Pairs = Sequence[tuple[Path, Path]]


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
    series: Series = None,
    base: Annotated[
        str | None, typer.Option(help="Name or file of the model to begin with.", autocompletion=complete_model)
    ] = None,
    new: Annotated[Kind | None, typer.Option(help="Begin with an untrained network of this kind.")] = None,
    task: Annotated[TaskName, typer.Option(help="For --new: object ids, or classes.")] = TaskName.instances,
    ignore_label: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Pixels of this value are not learned from.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(max=60 * 24 * 365, callback=finite, help="Train for so long (default 10, unless --steps)."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=MAX_INTEGER, help="Train for so many steps.")] = None,
    border: Annotated[
        float,
        typer.Option(min=0, max=1000, callback=finite, help="Weight of narrow gaps between objects (2015: 10)."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed for weights and random samples.")] = 0,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing model file.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model on labelled images."""
    if (base is None) == (new is None):
        fail("Give either --base, a model to begin with, or --new, a kind of network to train from scratch.", 2)
    if (val_images is None) != (val_labels is None):
        fail("--val-images and --val-labels belong together.", 2)
    if out.suffix.lower() != ".safetensors":
        fail(f"The model file must end in .safetensors; got {out.name!r}, for example {out.stem}.safetensors.", 2)
    if minutes is not None and minutes <= 0:
        fail(f"--minutes must be more than 0; got {minutes}.", 2)
    check_device_name(device)
    begin_file = describe_model(base)[0] if base is not None else None
    pairs, val_pairs = _matched(images, labels, val_images, val_labels, begin_file, out, overwrite=overwrite)
    check_device(device)
    bar = Bar("training")
    try:
        with bar:
            done = _trained(
                bar, pairs, val_pairs, out, series=series, base=base, new=new, task=task, ignore_label=ignore_label,
                minutes=minutes, steps=steps, border=border, seed=seed, device=device,
            )  # fmt: skip
    except UNetError as error:
        fail(error, 1)
    except KeyboardInterrupt:
        before = f"; {out} is as it was before" if out.exists() else ""
        fail(f"Stopped. No model was written{before}.", INTERRUPTED)
    scores = "".join(f" {k}: {v}" for k, v in done["scores"].items())
    say(f"Trained for {done['steps']} steps, loss {done['loss']:.3f}; written to {out}.{scores}")
    for sentence in done["notes"]:
        say(sentence)
    if as_json:
        print_json(done)


def _matched(
    images: Path,
    labels: Path,
    val_images: Path | None,
    val_labels: Path | None,
    base: Path | None,
    out: Path,
    *,
    overwrite: bool,
) -> tuple[Pairs, Pairs | None]:
    """Return the pairs of files, if the model may be written, or exit with a message."""
    from napari_unet.io.atomic import Protected, check_free, check_writable
    from napari_unet.io.pairs import match_by_stem

    try:
        protected = Protected([base] if base is not None else [])
        protected.check(out)
        check_free(out, overwrite=overwrite)
        pairs = match_by_stem(images, labels)
        val_pairs = match_by_stem(val_images, val_labels) if val_images and val_labels else None
        for path in (path for pair in [*pairs, *(val_pairs or [])] for path in pair):
            protected.add(path)
        protected.check(out)
        check_writable(out)
    except UNetError as error:
        fail(error, 1)
    return pairs, val_pairs


def _trained(
    bar: Bar,
    pairs: Pairs,
    val_pairs: Pairs | None,
    out: Path,
    *,
    series: int | str | None,
    base: str | None,
    new: Kind | None,
    task: TaskName,
    ignore_label: int | None,
    minutes: float | None,
    steps: int | None,
    border: float,
    seed: int,
    device: str,
) -> dict[str, Any]:
    """Train, score and write a model; return what `--json` prints."""
    from napari_unet.inference.fast_mode import with_fast_mode
    from napari_unet.learning.dense import train_steps, training_config
    from napari_unet.learning.from_labels import validation_score
    from napari_unet.learning.new_model import model_for_labels
    from napari_unet.models.checkpoint import save_model_file
    from napari_unet.models.model import Model

    begin = open_model(base) if base is not None else None
    seconds = 60 * minutes if minutes is not None else (None if steps is not None else 600.0)
    loaded, truths = _read_pairs(pairs, series)
    validation = None if val_pairs is None else _read_pairs(val_pairs, series)
    notes = [note for image in [*loaded, *(validation[0] if validation else [])] for note in image.notes]
    if begin is None:
        assert new is not None  # either is given
        shown = [t if ignore_label is None else t * (t != ignore_label) for t in truths]
        begin = model_for_labels(new.value, task.value, loaded, shown, seed)
    config = training_config(begin, scratch=base is None, steps=steps, max_seconds=seconds, seed=seed)
    config = config.model_copy(update={"border": border})
    run = train_steps(begin, loaded, truths, config, ignore_label=ignore_label, device=device)
    losses: list[float] = []

    def note(report: StepReport) -> None:
        losses.append(report.loss)
        bar(_training_progress(report.step, report.steps, report.seconds, seconds, losses))

    trained = drive(run, note)
    bar.end()
    scores: dict[str, float] = {}
    if validation is not None:
        scores["validation"] = round(validation_score(trained, *validation, device=device), 4)
    info = trained.info.model_copy(update={"name": out.stem, "scores": scores})
    save_model_file(with_fast_mode(Model(trained.net, info), loaded), out)
    loss = sum(losses[-20:]) / len(losses[-20:])
    return {
        "output": str(out),
        "steps": len(losses),
        "loss": loss,
        "scores": scores,
        "images": len(loaded),
        "notes": list(dict.fromkeys(notes)),
    }


def _training_progress(
    step: int, steps: int, elapsed: float, seconds: float | None, losses: Sequence[float]
) -> Progress:
    recent = losses[-20:]
    message = f"step {step}, loss {sum(recent) / len(recent):.3f}"
    if seconds is not None and elapsed / seconds > step / steps:
        return Progress(round(elapsed), round(max(seconds, elapsed)), elapsed, "seconds", message)
    return Progress(step, steps, elapsed, "steps", message)


def _read_pairs(pairs: Pairs, series: int | str | None) -> tuple[list[Any], list[Any]]:
    """Read images and labels; axes of length 1 that the image does not have are removed from the labels."""
    from napari_unet.io.readers import read_image, read_labels_and_notes

    loaded, truths = [], []
    for image_path, label_path in pairs:
        image, (truth, notes) = read_image(image_path, series=series), read_labels_and_notes(label_path)
        if truth.shape != image.label_shape and truth.squeeze().shape == tuple(n for n in image.label_shape if n > 1):
            truth = truth.reshape(image.label_shape)
        loaded.append(replace(image, notes=(*image.notes, *notes)))
        truths.append(truth)
    return loaded, truths
