"""From scratch: how an untrained model learns from a few objects or strokes that somebody painted on an image.

What makes it useful within a minute on a CPU: a small network that sees as far as the painted objects ask for, a high
rate that falls, and background that nobody has to paint (`learning.background`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import NothingToLearnError
from napari_unet.learning.background import painted_pixels, predicted_objects, surroundings, thinned, with_background
from napari_unet.learning.finetune import CORRECTIONS, learned_recipe
from napari_unet.learning.new_model import fitted_to_objects
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.preview import Previews
from napari_unet.models.info import FROM_SCRATCH
from napari_unet.models.model import Model, resolve_device
from napari_unet.progress import Stopwatch
from napari_unet.training.config import TrainingConfig
from napari_unet.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import torch

    from napari_unet.learning.policy import FromScratchPolicy, Policy
    from napari_unet.learning.preview import Preview
    from napari_unet.models.info import ModelInfo
    from napari_unet.progress import CancelToken, PauseToken
    from napari_unet.training.config import StepReport
    from napari_unet.training.samples import Sample


def from_scratch_config(model: Model, policy: Policy = DEFAULT_POLICY, **changes: Any) -> TrainingConfig:
    """Return the settings for learning from scratch: a high, falling rate, and statistics of its own.

    A model that has learned before goes on with a lower rate, so that it does not begin anew.

    Parameters
    ----------
    model : Model
    policy : Policy
        The rates.
    **changes
        Settings of `TrainingConfig` that are to be others.
    """
    flat, numbers = model.info.spec.ndim == 2, policy.from_scratch
    settings: dict[str, Any] = {
        "steps": 2000,
        "max_seconds": 60.0,
        "batch_size": 4 if flat else 2,
        "patch": (128, 128) if flat else (16, 64, 64),
        "learning_rate": numbers.learning_rate if model.info.is_untrained else numbers.later_learning_rate,
        "weight_decay": numbers.weight_decay,
        "schedule": "cosine",
        "freeze_norm": False,
        "exclusive": not model.info.finds_objects,
    }
    return TrainingConfig(**(settings | changes))


def from_scratch_steps(
    model: Model,
    samples: Sequence[Sample],
    config: TrainingConfig,
    device: str = "auto",
    cancel: CancelToken | None = None,
    *,
    pause: PauseToken | None = None,
    more: Callable[[], Sequence[Sample]] | None = None,
    preview_wanted: Callable[[], bool] | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> Generator[StepReport | Preview, None, Model]:
    """Learn in a model made from scratch; yield a report after every step and return the new model.

    An untrained model for objects learns in two rounds. In the first, a few of the pixels around painted objects count
    as background; in the second all of them, but for those where it predicts an object by now. The network is as large
    as the objects that were painted at first ask for, whatever joins them later.

    Parameters
    ----------
    model : Model
        Where to begin; it is not changed.
    samples : sequence of Sample
        What to learn from.
    config : TrainingConfig
        How.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel, pause : optional
        Tokens that end it, or hold it up, after the step under way.
    more : callable, optional
        Asked after every step: returns all that is to be learned from, if that is more by now, else nothing.
    preview_wanted : callable, optional
        Asked every few seconds whether a `Preview` is wanted.
    policy : Policy
        How often, and how much background is taken.

    Raises
    ------
    NothingToLearnError
        If no object is painted yet, or only one of the classes.
    """
    where, watch = resolve_device(device), Stopwatch()
    diameter = painted_diameter(model, samples)
    rounds = 1
    if model.info.is_untrained:
        _check_enough(model, samples, diameter)
        if diameter is not None:
            model, rounds = fitted_to_objects(model, diameter), 2
    done, previews = 0, Previews(preview_wanted, policy.promotion)

    def learned(session: Trainer, model: Model) -> Model:
        steps = done + session.step
        recipe = learned_recipe(FROM_SCRATCH, steps, watch.seconds, config, samples)
        return Model(session.trained(), _learned(model.info, diameter, recipe, policy.from_scratch))

    for index in range(rounds):
        surrounded = partial(_with_surroundings, model, device=where, policy=policy.from_scratch)
        around = surrounded(samples, diameter)
        rest = rounds - index
        left = None if config.max_seconds is None else max(1e-3, config.max_seconds - watch.seconds) / rest
        each = {"steps": -(-(config.steps - done) // rest), "max_seconds": left, "seed": config.seed + index}
        session = Trainer(model.net, around, config.model_copy(update=each), where)
        for report in session.run(cancel, pause):
            yield replace(report, step=done + report.step, steps=config.steps, seconds=watch.seconds)
            added = more() if more is not None else None
            if added:
                samples, diameter = added, painted_diameter(model, added)
                session.learn_from(surrounded(samples, diameter))
            yield from previews.of(partial(learned, session, model))
        model = learned(session, model)
        done += session.step
        if done >= config.steps or (cancel is not None and cancel.cancelled):
            break
    return model


def painted_diameter(model: Model, samples: Sequence[Sample]) -> float | None:
    """Return how wide a painted object is within a plane, in pixels: that of a disc of their mean area.

    None for classes, and where no object is painted.
    """
    if not model.info.finds_objects:
        return None
    within_planes = ndimage.generate_binary_structure(model.info.spec.ndim, 1)
    if model.info.spec.ndim == 3:
        within_planes[[0, 2]] = False
    area = objects = 0
    for sample in samples:
        painted = painted_pixels(model, sample)
        middles = painted & (sample.targets[model.info.outputs.index("distance")] > 0.5)
        area += int(painted.sum())
        objects += ndimage.label(middles, within_planes)[1]  # each object has one, also where it touches another
    return 2 * math.sqrt(area / objects / math.pi) if objects else None


def _with_surroundings(
    model: Model, samples: Sequence[Sample], diameter: float | None, *, device: torch.device, policy: FromScratchPolicy
) -> list[Sample]:
    """Return samples with background around what is painted in them: as little as possible while nothing is known.

    `diameter` is that of the painted objects, pixels; None for classes, of which background is one that is painted.
    """
    if diameter is None:
        return list(samples)
    found = []
    for sample in samples:
        background = surroundings(model, sample, policy.background_diameters * diameter)
        if model.info.is_untrained:
            background = thinned(background)
        else:
            background &= ~predicted_objects(model, sample, device)
        found.append(with_background(model, sample, background))
    return found


def _learned(info: ModelInfo, diameter: float | None, recipe: dict[str, Any], policy: FromScratchPolicy) -> ModelInfo:
    """Return the description of what has learned: what is far smaller than the painted objects is none."""
    decoding = info.decoding
    if diameter is not None and info.spec.ndim == 2:
        min_size = max(policy.min_pixels, round(policy.min_area_share * math.pi / 4 * diameter**2))
        smoothing = max(1.0, diameter / policy.diameter_to_smoothing)
        decoding = decoding.model_copy(update={"smoothing": smoothing, "min_size": min_size})
    known = {"training_data": (CORRECTIONS,), "recipe": recipe, "scores": {}, "fast_mode": None, "decoding": decoding}
    return info.model_copy(update=known)


def _check_enough(model: Model, samples: Sequence[Sample], diameter: float | None) -> None:
    """Raise `NothingToLearnError` where nothing can be told apart yet."""
    if model.info.finds_objects:
        if diameter is None:
            raise NothingToLearnError("No object is painted yet. Paint a few, then press Learn.")
        return
    shown = {
        k
        for sample in samples
        for k in range(len(sample.targets))
        if np.any(sample.targets[k][sample.supervised[k] > 0])
    }
    if len(shown) < 2:
        names = ", ".join(f"{label} {name}" for label, name in enumerate(model.info.classes) if label)
        raise NothingToLearnError(
            f"Paint at least two of the classes, some strokes of each ({names}), then press Learn."
        )
