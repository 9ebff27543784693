"""A model and what its user corrected -> a better model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import NothingToLearnError
from napari_unet.learning.augment import Augmentation
from napari_unet.learning.reader import FieldReader, moved, with_context
from napari_unet.learning.replay import base_samples, replayed
from napari_unet.learning.sampling import make_sample
from napari_unet.learning.session import StepReport, TrainingConfig, TrainingSession
from napari_unet.models.info import DataSource
from napari_unet.models.model import Model, resolve_device

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.sampling import Sample
    from napari_unet.models.info import ModelInfo
    from napari_unet.progress import CancelToken

ANOTHER_KIND = "another_kind"
"""In the recipe of a model: whether it has learned images of another kind than the first of its line was made for."""

CORRECTIONS = DataSource(name="corrections by the user", licence="the user's own")


def took_up_another_kind(info: ModelInfo) -> bool:
    """Return whether a model has learned images of another kind than the first of its line was made for."""
    return bool(info.recipe.get(ANOTHER_KIND))


def finetune_config(model: Model, *, astray: bool = False, off: bool = False, **changes: Any) -> TrainingConfig:
    """Return the settings for learning from corrections.

    Few steps, a rate that is lower for the levels of high resolution, frozen normalisation, and holding on to what the
    model says elsewhere. The rate is low where the model carries no base data along, by which one would see what it
    forgets (`learning.moderation`), unless it is `off` or `astray` (`learning.astray`); there is less to hold on to
    where it is astray.
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
    if ndim == 3:  # few steps, and hardly any foreground in a slice: docs/decisions/0005-holding-on.md
        settings |= {"learning_rate": 3e-4, "least_foreground": 0.25}
    if off or astray or (ndim == 2 and base_samples(model)):
        settings |= {"learning_rate": 1e-3}
    if astray:
        settings |= {"distillation": 0.3, "ema": 0.9}
        if ndim == 2:  # smaller patches: more steps in the same time, of which there can hardly be too many
            settings |= {"learning_rate": 2e-3, "patch": (128, 128), "steps": 400}
        else:
            settings |= {"depth_rate": 1.0}
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
    # From nothing, background is assumed around what is painted: then all of its distances are known.
    in_slices = not model.info.from_nothing
    return make_sample(
        block, parts[0], model.info.outputs, parts[1], corrected=focus, border=border, in_slices=in_slices
    )


def finetune_steps(
    model: Model,
    samples: Sequence[Sample],
    config: TrainingConfig,
    device: str = "auto",
    cancel: CancelToken | None = None,
    *,
    astray: bool = False,
) -> Generator[StepReport, None, Model]:
    """Fine-tune; yield a report after every step and return the new model, also when it is stopped early.

    `astray` says that the images are of another kind than the model knows.

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
    return finetuned(model, session, samples, last.seconds if last else 0.0, astray=astray)


def finetuned(
    model: Model, session: TrainingSession, samples: Sequence[Sample], seconds: float, *, astray: bool
) -> Model:
    """Return what a session has made of a model from the user's samples, with a card that says so."""
    recipe = learned_recipe("fine-tuned on corrections", session.step, seconds, session.config, samples)
    recipe[ANOTHER_KIND] = astray or took_up_another_kind(model.info)
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
