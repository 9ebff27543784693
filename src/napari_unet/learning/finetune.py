"""A model and what its user corrected -> a better model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import NothingToLearnError
from napari_unet.learning.domain_shift import NEW_DOMAIN, has_new_domain
from napari_unet.learning.retention import base_samples, replayed
from napari_unet.models.info import DataSource
from napari_unet.models.model import Model, resolve_device
from napari_unet.training.config import Augmentation, StepReport, TrainingConfig
from napari_unet.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_unet.progress import CancelToken
    from napari_unet.training.samples import Sample

CORRECTIONS = DataSource(name="corrections by the user", licence="the user's own")


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
        "exclusive": not model.info.finds_objects,
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
    session = Trainer(model.net, replayed(model, samples, config.replay), config, resolve_device(device))
    last: StepReport | None = None
    for last in session.run(cancel):
        yield last
    return finetuned(model, session, samples, last.seconds if last else 0.0, astray=astray)


def finetuned(model: Model, session: Trainer, samples: Sequence[Sample], seconds: float, *, astray: bool) -> Model:
    """Return what a session has made of a model from the user's samples, with a card that says so."""
    recipe = learned_recipe("fine-tuned on corrections", session.step, seconds, session.config, samples)
    recipe[NEW_DOMAIN] = astray or has_new_domain(model.info)
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
