"""Against forgetting: a little of what a model was first trained on, learned again, and asked about afterwards."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.learning.comparison import FORGETTING, Comparison, compare
from napari_unet.learning.held_out import HeldOutRegion, predict_regions
from napari_unet.models.model import Model
from napari_unet.models.remembered import remembered
from napari_unet.models.replay_set import base_data
from napari_unet.progress import Stopwatch
from napari_unet.training.samples import make_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from napari_unet.models.replay_set import ReplayPatch
    from napari_unet.training.samples import Sample

SHARES = (1.0, 0.6, 0.3)
"""How far, on the way from the old weights to the new ones, to go at most: less where that forgets too much."""

BASE_SCORE = "base_score"
"""In the recipe of a model: how the first of its line did on the base data that it carries along, or the last one that
took up another kind of images."""


@dataclass(frozen=True, slots=True, eq=False)
class BasePredictions:
    """What a model makes of some exams.

    Attributes
    ----------
    labels : tuple of ndarray of int32, axes ([Z,] Y, X)
        One for each exam.
    seconds : float
        How long it took.
    """

    labels: tuple[NDArray[np.int32], ...]
    seconds: float


def replayed(model: Model, samples: Sequence[Sample], share: float) -> list[Sample]:
    """Return the samples and, as `share` of all patches, what the model carries along of its first training data."""
    again = base_samples(model) if share else ()
    weight = sum(sample.weight for sample in samples) * share / (1 - share) / max(1, len(again))
    return [*samples, *(replace(sample, weight=weight) for sample in again)]


@remembered
def base_samples(model: Model) -> tuple[Sample, ...]:
    """Return what a model carries along to learn again; made once, since corrections join while it learns."""
    patches = [patch for patch in base_data(model) if not patch.check]
    outputs = model.info.outputs
    return tuple(make_sample(_image(model, patch), patch.labels, outputs, max_focus=256) for patch in patches)


def base_regions(model: Model) -> list[HeldOutRegion]:
    """Return what tells whether a model still knows what the first one of its line did."""
    patches = [patch for patch in base_data(model) if patch.check]
    return [HeldOutRegion(_image(model, patch), patch.labels, np.ones(patch.labels.shape, bool)) for patch in patches]


@remembered
def base_predictions(model: Model, device: torch.device) -> BasePredictions:
    """Return what a model makes of these exams; kept, as learning begins where the last one ended."""
    watch = Stopwatch()
    labels = predict_regions(base_regions(model), model, device)
    return BasePredictions(labels, watch.seconds)


def _image(model: Model, patch: ReplayPatch) -> NDArray[np.float32]:
    return np.asarray(model.adapt_channels(patch.image), np.float32)


def check_retention(model: Model, better: Model, device: torch.device) -> Comparison | None:
    """Compare two models on what the first of their line was trained on; None where nothing of that is known."""
    exams = base_regions(model)
    if not exams:
        return None
    before, after = base_predictions(model, device), base_predictions(better, device)
    return compare(exams, before.labels, after.labels, instances=model.info.finds_objects)


def interpolated(model: Model, better: Model, device: torch.device) -> tuple[Model, Comparison | None]:
    """Return the new model, or one between it and the old, that has forgotten little; and how it does on base data.

    The mean of the weights of a network before and after fine-tuning keeps most of what was gained, and of what was
    known (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). One learning may cost half of what all
    together may.

    Parameters
    ----------
    model, better : Model
        Before and after it learned.
    device : torch.device
        Where they are asked.
    """
    for share in SHARES:
        candidate = better if share == 1 else between(model, better, share)
        compared = check_retention(model, candidate, device)
        if compared is None:
            return better, None
        first = float(model.info.recipe.get(BASE_SCORE) or compared.before)
        if compared.after >= max(compared.before - FORGETTING / 2, first - FORGETTING):
            break
    return _noted(candidate, **{BASE_SCORE: first}), compared


def between(model: Model, better: Model, share: float) -> Model:
    """Return the model that has gone only a share of the way from one to the other."""
    net = copy.deepcopy(better.net)
    before = model.net.state_dict()
    for name, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(before[name], 1 - share)
    return _noted(Model(net, better.info), share_of_the_way=share)


def _noted(model: Model, **facts: float) -> Model:
    """Return a model whose recipe tells these, too."""
    return Model(model.net, model.info.model_copy(update={"recipe": model.info.recipe | facts}))
