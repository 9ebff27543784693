"""A model and what its user corrected -> a better model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import LabelsError, ModelMismatchError, NothingToLearnError
from napari_unet.evaluation.metrics import evaluate
from napari_unet.fastmode import with_fast_mode
from napari_unet.learning.augment import Augmentation
from napari_unet.learning.reader import FieldReader
from napari_unet.learning.replay import replayed
from napari_unet.learning.sampling import make_sample
from napari_unet.learning.scale import at_scale_of_labels
from napari_unet.learning.session import StepReport, TrainingConfig, TrainingSession
from napari_unet.models.info import DataSource
from napari_unet.models.model import Model, resolve_device
from napari_unet.models.store import load_model
from napari_unet.pipeline import segment
from napari_unet.progress import Progress, drive
from napari_unet.task import as_image

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.reader import Box
    from napari_unet.learning.sampling import Sample
    from napari_unet.progress import CancelToken, ProgressCallback

CONTEXT = 128
"""Pixels, as the network sees them, around what is learned from that patches may show."""

CORRECTIONS = DataSource(name="corrections by the user", licence="the user's own")


def finetune_config(model: Model, *, astray: bool = False, **changes: Any) -> TrainingConfig:
    """Return the settings for learning from corrections.

    Few steps, a low rate that is lower still for the levels of high resolution, frozen normalisation, and holding on to
    what the model says elsewhere; where it is `astray`, wrong about most, a higher rate, and less to hold on to.
    """
    ndim = model.info.spec.ndim
    settings: dict[str, Any] = {
        "steps": 200,
        "max_seconds": 60.0,
        "batch_size": 4 if ndim == 2 else 2,
        "patch": (160, 160) if ndim == 2 else (16, 96, 96),
        "learning_rate": 1e-4,
        "freeze_norm": True,
        "distillation": 1.0,
        "replay": 0.5,
        "ema": 0.95,
        "depth_rate": 0.5,
        "augmentation": Augmentation(),
        "exclusive": model.info.task == "semantic",
    }
    if astray:
        settings |= {"learning_rate": 1e-3, "distillation": 0.3, "ema": 0.9, "depth_rate": 1.0}
    return TrainingConfig(**(settings | changes))


def image_samples(
    image: Image,
    model: Model,
    labels: NDArray[Any],
    supervised: NDArray[np.bool_] | None = None,
    channels: Sequence[int] | None = None,
    weight: float = 1.0,
    border: float = 0.0,
) -> list[Sample]:
    """Return what there is to learn from one image.

    Parameters
    ----------
    image : Image
        Normalised here, with the statistics of all of it.
    model : Model
        What is to learn; gives normalisation, channels and target maps.
    labels : ndarray of int, axes (T, Z, Y, X)
    supervised : ndarray of bool, axes (T, Z, Y, X), optional
        The pixels that count; None: all.
    channels : sequence of int, optional
        Channels to take; None: all.
    weight : float
        Share of this image among others.
    border : float
        How much more a seam between two objects counts.

    Returns
    -------
    list of Sample
        One for each plane (2D model) or volume (3D model) with supervised pixels.
    """
    reader, ndim = FieldReader(image, model, channels), model.info.spec.ndim
    found = []
    depth = [slice(None)] if ndim == 3 else [slice(z, z + 1) for z in range(image.size("Z"))]
    for frame in range(image.n_frames):
        for z in depth:
            mask = np.ones(labels[frame, z].shape, bool) if supervised is None else supervised[frame, z]
            if mask.any():
                corner = z.start or 0, 0, 0
                found.append(field_sample(reader, model, frame, corner, labels[frame, z], mask, border=border))
    return [replace(sample, weight=weight / len(found)) for sample in found]


def field_sample(
    reader: FieldReader,
    model: Model,
    frame: int,
    corner: tuple[int, int, int],
    labels: NDArray[Any],
    supervised: NDArray[np.bool_],
    corrected: NDArray[np.bool_] | None = None,
    *,
    border: float = 0.0,
) -> Sample:
    """Return what there is to learn from a few slices of an image (one, for a 2D model).

    Parameters
    ----------
    reader : FieldReader
        Of the image.
    model : Model
        What is to learn.
    frame : int
        Time point.
    corner : tuple of int
        Where the labels begin in the image, (Z, Y, X).
    labels : ndarray of int, axes (Z, Y, X)
    supervised : ndarray of bool, axes (Z, Y, X)
        The pixels that count; some do.
    corrected : ndarray of bool, axes (Z, Y, X), optional
        The pixels that most patches are centred on; see `make_sample`.
    border : float
        How much more a seam between two objects counts.
    """
    box = with_context(supervised, model.info.spec.ndim, reader.pixels)
    block = reader.read(frame, moved(box, corner))
    parts = reader.fit(labels[box]), reader.fit(supervised[box])
    focus = None if corrected is None else reader.fit(corrected[box])
    return make_sample(block, parts[0], model.info.outputs, parts[1], corrected=focus, border=border)


def with_context(mask: NDArray[np.bool_], ndim: int, pixels: float = 1.0) -> Box:
    """Return the box (Z, Y, X) of the true pixels with enough around them for any patch that shows one.

    `pixels` is how many of the mask, along Y or X, are one of the network.
    """
    box, margin = [], math.ceil(CONTEXT * pixels)
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        grow = margin if axis or ndim == 3 else 0
        box.append(slice(max(0, int(hit[0]) - grow), min(mask.shape[axis], int(hit[-1]) + 1 + grow)))
    return box[0], box[1], box[2]


def moved(box: Box, corner: tuple[int, int, int]) -> Box:
    """Return a box in a part of an image, (Z, Y, X), as one in the image."""
    z, y, x = (slice(part.start + first, part.stop + first) for part, first in zip(box, corner, strict=True))
    return z, y, x


def finetune_steps(
    model: Model,
    samples: Sequence[Sample],
    config: TrainingConfig,
    device: str = "auto",
    cancel: CancelToken | None = None,
) -> Generator[StepReport, None, Model]:
    """Fine-tune; yield a report after every step and return the new model, also when it is stopped early.

    Raises
    ------
    NothingToLearnError
        If there is no sample.
    """
    if not samples:
        raise NothingToLearnError("No pixel is corrected or reviewed yet, so there is nothing to learn from.")
    session = TrainingSession(model.net, replayed(model, samples, config.replay), config, resolve_device(device))
    last: StepReport | None = None
    for last in session.run(cancel):
        yield last
    return finetuned(model, session, samples, last.seconds if last else 0.0)


def finetuned(model: Model, session: TrainingSession, samples: Sequence[Sample], seconds: float) -> Model:
    """Return what a session has made of a model from the user's samples, with a card that says so."""
    recipe = learned_recipe("fine-tuned on corrections", session.step, seconds, session.config, samples)
    info = model.info.model_copy(
        update={
            "parent": f"{model.name} (sha256 {model.sha256()[:12]})",
            "name": model.name if model.name.endswith("corrected") else f"{model.name}, corrected",
            "training_data": (*(d for d in model.info.training_data if d != CORRECTIONS), CORRECTIONS),
            "recipe": recipe,
            "scores": {},
            "fast": None,
        }
    )
    return Model(session.trained(), info)


def learned_recipe(
    method: str, steps: int, seconds: float, config: TrainingConfig, samples: Sequence[Sample]
) -> dict[str, str | int | float | bool | None]:
    """Return what a model's card says of how it learned from the user's samples."""
    return {
        "method": method,
        "steps": steps,
        "seconds": round(seconds, 1),
        "learning_rate": config.learning_rate,
        "supervised_pixels": sum(int(np.count_nonzero(sample.supervised[0])) for sample in samples),
        "seed": config.seed,
    }


def finetune(
    model: Model | str,
    images: Sequence[Any],
    labels: Sequence[NDArray[Any]],
    *,
    supervised: Sequence[NDArray[np.bool_] | None] | None = None,
    axes: str | None = None,
    max_seconds: float | None = 60.0,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    validation: tuple[Sequence[Any], Sequence[NDArray[Any]]] | None = None,
    config: TrainingConfig | None = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Model:
    """Fine-tune a model on labelled images.

    Parameters
    ----------
    model : Model or str
        Where to begin; it is not changed.
    images : sequence of array-like or Image
        Each with two to five axes.
    labels : sequence of ndarray of int
        One for each image, with its axes but the channels.
    supervised : sequence of ndarray of bool, optional
        The pixels of each image that count, shaped as its labels; None: all. No other pixel has any influence.
    axes : str, optional
        Meaning of the images' axes; None: guessed.
    max_seconds : float, optional
        Stop after this time.
    steps : int, optional
        Stop after so many steps.
    seed : int
        Seeds all draws.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    validation : (images, labels), optional
        Scored before and after (AP at IoU 0.5, or mean Dice of classes); the figures stand in the new model's scores.
    config : TrainingConfig, optional
        All settings; overrides `max_seconds`, `steps` and `seed`.
    progress : callable, optional
        Called with a `Progress` after every step.
    cancel : CancelToken, optional
        Ends the training after the step under way; what was learned so far is returned.

    Returns
    -------
    Model

    Raises
    ------
    NothingToLearnError
        If no pixel is supervised.
    LabelsError, ImageError, ModelMismatchError
        If the input does not fit together.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    if len(images) != len(labels) or (supervised is not None and len(supervised) != len(images)):
        raise LabelsError(f"There are {len(images)} images and {len(labels)} label images; each image needs its own.")
    if config is None:
        limits: dict[str, Any] = {"max_seconds": max_seconds, "seed": seed}
        limits["steps"] = steps if steps is not None else (200 if max_seconds is None else 100_000)
        config = finetune_config(model, **limits)
    pictures = [as_image(data, axes, name=f"image {index}") for index, data in enumerate(images, start=1)]
    masks = [None] * len(pictures) if supervised is None else supervised
    for image, truth, mask in zip(pictures, labels, masks, strict=True):
        for array, what in ((truth, "labels"), (mask, "mask of supervised pixels")):
            if array is not None and array.shape != image.label_shape:
                raise LabelsError(
                    f"The {what} of {image.name} have the shape {array.shape}; needed is {image.label_shape}."
                )
        model.check_channels(image.n_channels)
    views = [image.canonical_labels(truth) for image, truth in zip(pictures, labels, strict=True)]
    model = at_scale_of_labels(model, pictures, views)
    samples: list[Sample] = []
    for image, view, mask in zip(pictures, views, masks, strict=True):
        samples += image_samples(image, model, view, None if mask is None else image.canonical_labels(mask))

    def tell(report: StepReport) -> None:
        if progress is not None:
            progress(Progress(report.step, report.steps, report.seconds, "steps", f"loss {report.loss:.3f}"))

    better = drive(finetune_steps(model, samples, config, device, cancel), tell)
    better = with_fast_mode(better, pictures)
    if validation is None:
        return better
    scores = {}
    for when, candidate in (("before", model), ("after", better)):
        scores[f"validation {when}"] = validation_score(candidate, *validation, axes=axes, device=device)
    return Model(better.net, better.info.model_copy(update={"scores": scores}))


def validation_score(
    model: Model, images: Sequence[Any], labels: Sequence[NDArray[Any]], axes: str | None = None, device: str = "auto"
) -> float:
    """Return the score of a model on labelled images: AP at IoU 0.5, or the mean Dice of the classes."""
    if len(images) != len(labels):
        raise ModelMismatchError(f"There are {len(images)} validation images and {len(labels)} label images.")
    predicted = [segment(image, model, axes=axes, device=device).labels for image in images]
    scores = evaluate(list(labels), predicted, task=model.info.task).to_dict()
    if model.info.task == "semantic":
        return float(scores["dice"])
    return float(scores["ap"]["0.50"])
