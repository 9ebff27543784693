"""`napari-unet train`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_unet.cli.common import Bar, Device, Json, app, check_device, fail, open_model, print_json, say
from napari_unet.errors import UNetError
from napari_unet.progress import Progress, drive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.learning.session import StepReport


class TaskName(StrEnum):
    """What labels mean."""

    instances = "instances"
    semantic = "semantic"


class Kind(StrEnum):
    """Of new networks."""

    unet2d = "unet2d"
    unet3d = "unet3d"
    unet2015 = "unet2015"


@app.command()
def train(
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    labels: Annotated[Path, typer.Option(help="Folder of label images of the same names.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Model file to write (.safetensors).")],
    val_images: Annotated[Path | None, typer.Option(help="Folder of images that are only scored.")] = None,
    val_labels: Annotated[Path | None, typer.Option(help="Their labels.")] = None,
    base: Annotated[str | None, typer.Option(help="Name or file of the model to begin with.")] = None,
    new: Annotated[Kind | None, typer.Option(help="Begin with an untrained network of this kind.")] = None,
    task: Annotated[TaskName, typer.Option(help="For --new: object ids, or classes.")] = TaskName.instances,
    ignore_label: Annotated[int | None, typer.Option(help="Pixels of this value are not learned from.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for so long (default 10, unless --steps).")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Train for so many steps.")] = None,
    border: Annotated[float, typer.Option(min=0, help="How much more a seam between objects counts (2015: 10).")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seeds weights and draws.")] = 0,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option(help="Replace an existing model file.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model on labelled images."""
    from napari_unet.fastmode import with_fast_mode
    from napari_unet.io.atomic import check_writable
    from napari_unet.io.pairs import match_by_stem
    from napari_unet.io.readers import read_image, read_labels
    from napari_unet.learning.labelled import validation_score
    from napari_unet.learning.train import new_model, train_steps, training_config
    from napari_unet.models.checkpoint import save_model_file
    from napari_unet.models.model import Model

    if (base is None) == (new is None):
        fail("Give either --base, a model to begin with, or --new, a kind of network to begin from nothing.", 2)
    if (val_images is None) != (val_labels is None):
        fail("--val-images and --val-labels belong together.", 2)
    if out.suffix != ".safetensors":
        fail(f"The model file must end in .safetensors; got {out.name!r}, for example {out.stem}.safetensors.", 2)
    if minutes is not None and minutes <= 0:
        fail(f"--minutes must be more than 0; got {minutes}.", 2)
    if out.exists() and not overwrite:
        fail(f"{out} exists already; with --overwrite it is replaced.", 1)
    check_device(device)
    begin = open_model(base) if base is not None else None
    seconds = 60 * minutes if minutes is not None else (None if steps is not None else 600.0)
    bar = Bar("training")
    try:
        check_writable(out)
        pictures, truths = _read_pairs(match_by_stem(images, labels), read_image, read_labels)
        validation = None
        if val_images is not None and val_labels is not None:
            validation = _read_pairs(match_by_stem(val_images, val_labels), read_image, read_labels)
        if begin is None:
            assert new is not None  # one of the two was given
            shown = [t if ignore_label is None else t * (t != ignore_label) for t in truths]
            begin = new_model(new.value, task.value, pictures, shown, seed)
        config = training_config(begin, scratch=base is None, steps=steps, max_seconds=seconds, seed=seed)
        config = config.model_copy(update={"border": border})
        run = train_steps(begin, pictures, truths, config, ignore_label=ignore_label, device=device)
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
        save_model_file(with_fast_mode(Model(trained.net, info), pictures), out)
    except UNetError as error:
        bar.end()
        fail(str(error), 1)
    recent = sum(losses[-20:]) / len(losses[-20:])
    say(
        f"Trained for {len(losses)} steps, loss {recent:.3f}; written to {out}."
        + "".join(f" {k}: {v}" for k, v in scores.items())
    )
    if as_json:
        print_json(
            {"output": str(out), "steps": len(losses), "loss": recent, "scores": scores, "images": len(pictures)}
        )


def _training_progress(
    step: int, steps: int, elapsed: float, seconds: float | None, losses: Sequence[float]
) -> Progress:
    recent = losses[-20:]
    message = f"step {step}, loss {sum(recent) / len(recent):.3f}"
    if seconds is not None and elapsed / seconds > step / steps:
        return Progress(round(elapsed), round(max(seconds, elapsed)), elapsed, "seconds", message)
    return Progress(step, steps, elapsed, "steps", message)


def _read_pairs(pairs: Sequence[tuple[Path, Path]], read_image: Any, read_labels: Any) -> tuple[list[Any], list[Any]]:
    """Images and labels of matched files; labels lose axes of length one that the image does not have."""
    pictures, truths = [], []
    for image_path, label_path in pairs:
        image, truth = read_image(image_path), read_labels(label_path)
        if truth.shape != image.label_shape and truth.squeeze().shape == tuple(n for n in image.label_shape if n > 1):
            truth = truth.reshape(image.label_shape)
        pictures.append(image)
        truths.append(truth)
    return pictures, truths
