"""A model and samples of what its user corrected -> a better model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_unet.learning.domain_shift import NEW_DOMAIN, has_new_domain
from napari_unet.learning.retention import base_samples, replayed
from napari_unet.models.info import MAX_NAME, DataSource
from napari_unet.models.model import Model, resolve_device
from napari_unet.training.config import StepReport, TrainingConfig
from napari_unet.training.samples import check_any
from napari_unet.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_unet.progress import CancelToken
    from napari_unet.training.samples import Sample

CORRECTIONS = DataSource(name="corrections by the user", licence="the user's own")

_CORRECTED: Final = ", corrected"
_OTHER_KIND: Final = "Learned another kind of image from corrections. For what {0} was made for, use {0}."

# Settings of `TrainingConfig` that fine-tuning differs in; chosen as docs/decisions/0005, and 0035 for volumes, tell.
_COMMON: Final[dict[str, Any]] = {
    "steps": 200,  # on images that a model half knows, more cost what it knew (slices of embryos)
    "max_seconds": 60.0,
    "freeze_norm": True,  # few patches give no statistics
    "distillation": 1.0,
    "replay": 0.5,
    "ema": 0.95,
    "depth_rate": 0.5,
}
_BY_AXES: Final[dict[int, dict[str, Any]]] = {
    2: {"batch_size": 4, "patch": (160, 160), "learning_rate": 1e-4},
    # Few steps in a minute, and of a slice of a volume a fortieth is objects.
    3: {"batch_size": 2, "patch": (16, 64, 64), "learning_rate": 3e-4, "least_foreground": 0.25},
}
_FASTER: Final[dict[str, Any]] = {"learning_rate": 1e-3}
_OUT_OF_DOMAIN: Final[dict[int, dict[str, Any]]] = {
    # There is less to hold on to. Smaller patches give more steps in the same time, and more of them gain more.
    2: {"distillation": 0.3, "ema": 0.9, "learning_rate": 2e-3, "patch": (128, 128), "steps": 400},
    # What it knew of volumes may go: patches of that would take half of the few steps.
    3: {"distillation": 0.3, "ema": 0.9, "learning_rate": 2e-3, "depth_rate": 1.0, "steps": 400, "replay": 0.0},
}


def finetune_config(
    model: Model, *, out_of_domain: bool = False, many_errors: bool = False, **changes: Any
) -> TrainingConfig:
    """Return the settings for learning from corrections.

    Few steps, a rate that is lower for the levels of high resolution, frozen normalisation, and distillation that holds
    the network to its predictions elsewhere. The rate is low where the model carries no base data along, by which one
    would see what it forgets (`learning.retention`), unless it makes many errors (`learning.domain_shift`).

    Parameters
    ----------
    model : Model
    out_of_domain, many_errors : bool
        See `learning.domain_shift`.
    **changes
        Settings of `TrainingConfig` that are to be others.
    """
    ndim = model.info.spec.ndim
    settings = _COMMON | _BY_AXES[ndim] | {"exclusive": not model.info.finds_objects}
    if many_errors or (ndim == 2 and base_samples(model)):
        settings |= _FASTER
    if out_of_domain:
        settings |= _OUT_OF_DOMAIN[ndim]
    return TrainingConfig(**(settings | changes))


def finetune_steps(
    model: Model,
    samples: Sequence[Sample],
    config: TrainingConfig,
    device: str = "auto",
    cancel: CancelToken | None = None,
    *,
    out_of_domain: bool = False,
) -> Generator[StepReport, None, Model]:
    """Fine-tune; yield a report after every step and return the new model, also when it is stopped early.

    Parameters
    ----------
    model : Model
        Where to begin; it is not changed.
    samples : sequence of Sample
        What to learn from; patches of the model's base data are replayed beside them.
    config : TrainingConfig
        How.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional
        Ends the training after the step under way.
    out_of_domain : bool
        Whether the images are of another domain than the model knows; noted in its recipe.

    Raises
    ------
    NothingToLearnError
        If there is no sample.
    """
    check_any(samples)
    session = Trainer(model.net, replayed(model, samples, config.replay), config, resolve_device(device))
    last: StepReport | None = None
    for last in session.run(cancel):
        yield last
    return finetuned(model, session, samples, last.seconds if last else 0.0, out_of_domain=out_of_domain)


def training_seconds(max_seconds: float | None, spent: float, later: float) -> float | None:
    """Return how long to train, so that there is time for what takes `later` seconds afterwards; None: no limit.

    Half of the time is for training in any case.

    Parameters
    ----------
    max_seconds : float or None
        That all may take.
    spent, later : float
        Seconds used up before the training, and needed after it.
    """
    return None if max_seconds is None else max(max_seconds - spent - later, max_seconds / 2)


def finetuned(
    model: Model, session: Trainer, samples: Sequence[Sample], seconds: float, *, out_of_domain: bool
) -> Model:
    """Return what a session has made of a model from the user's samples, with a description that says so."""
    recipe = learned_recipe("fine-tuned on corrections", session.step, seconds, session.config, samples)
    recipe[NEW_DOMAIN] = another = out_of_domain or has_new_domain(model.info)
    first = model.name.removesuffix(_CORRECTED)
    info = model.info.model_copy(
        update={
            "parent": f"{model.name} (sha256 {model.sha256()[:12]})",
            "name": f"{first[: MAX_NAME - len(_CORRECTED)]}{_CORRECTED}",
            "description": _OTHER_KIND.format(first) if another else model.info.description,
            "training_data": (*(d for d in model.info.training_data if d != CORRECTIONS), CORRECTIONS),
            "recipe": recipe,
            "scores": {},
            "fast_mode": None,
        }
    )
    return Model(session.trained(), info)


def learned_recipe(
    method: str, steps: int, seconds: float, config: TrainingConfig, samples: Sequence[Sample]
) -> dict[str, str | int | float | bool | None]:
    """Return what a model's description says of how it learned from the user's samples."""
    return {
        "method": method,
        "steps": steps,
        "seconds": round(seconds, 1),
        "learning_rate": config.learning_rate,
        "supervised_pixels": sum(int(np.count_nonzero(sample.supervised[0])) for sample in samples),
        "seed": config.seed,
    }
