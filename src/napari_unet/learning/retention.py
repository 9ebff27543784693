"""Against forgetting: a little of what a model was first trained on is replayed, and checked afterwards."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.learning.comparison import Comparison, compare
from napari_unet.learning.held_out import HeldOutRegion, decoded_regions, region_maps
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.cached import cached_per_model
from napari_unet.models.model import Model
from napari_unet.models.replay_set import base_data
from napari_unet.progress import Stopwatch
from napari_unet.training.samples import make_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from napari_unet.learning.policy import Policy
    from napari_unet.models.replay_set import ReplayPatch
    from napari_unet.training.samples import Sample

BASE_SCORE = "base_score"
"""In the recipe of a model: the score on the base data that it carries along, of the first model of its line, or of the
last one that learned images of another domain."""


@dataclass(frozen=True, slots=True, eq=False)
class BasePredictions:
    """What a model makes of the base data that is kept for checking.

    Attributes
    ----------
    labels : tuple of ndarray of int32, axes ([Z,] Y, X)
        One for each region.
    seconds, decoding_seconds : float
        How long it took, and how long of that to read objects out of maps.
    """

    labels: tuple[NDArray[np.int32], ...]
    seconds: float
    decoding_seconds: float

    @property
    def pixels(self) -> int:
        """Pixels of the network in all regions."""
        return sum(one.size for one in self.labels)


def replayed(model: Model, samples: Sequence[Sample], share: float) -> list[Sample]:
    """Return the samples and, as `share` of all patches, what the model carries along of its first training data."""
    base = base_samples(model) if share else ()
    weight = sum(sample.weight for sample in samples) * share / (1 - share) / max(1, len(base))
    return [*samples, *(replace(sample, weight=weight) for sample in base)]


@cached_per_model
def base_samples(model: Model) -> tuple[Sample, ...]:
    """Return the replay set of a model; made once, since corrections join while it learns."""
    patches = [patch for patch in base_data(model) if not patch.check]
    outputs = model.info.outputs
    return tuple(make_sample(_image(model, patch), patch.labels, outputs, max_focus=256) for patch in patches)


def base_regions(model: Model) -> list[HeldOutRegion]:
    """Return the regions that tell whether a model still knows what the first one of its line did."""
    patches = [patch for patch in base_data(model) if patch.check]
    return [HeldOutRegion(_image(model, patch), patch.labels, np.ones(patch.labels.shape, bool)) for patch in patches]


@cached_per_model
def base_predictions(model: Model, device: torch.device) -> BasePredictions:
    """Return what a model makes of `base_regions`; cached, as learning begins where the last one ended."""
    watch, regions = Stopwatch(), base_regions(model)
    maps = list(region_maps(regions, model, device))
    network = watch.seconds
    labels = decoded_regions(regions, model, maps)
    return BasePredictions(labels, watch.seconds, watch.seconds - network)


def _image(model: Model, patch: ReplayPatch) -> NDArray[np.float32]:
    return np.asarray(model.adapt_channels(patch.image), np.float32)


def check_retention(
    model: Model, better: Model, device: torch.device, policy: Policy = DEFAULT_POLICY
) -> Comparison | None:
    """Compare two models on what the first of their line was trained on; None where nothing of that is known."""
    regions = base_regions(model)
    if not regions:
        return None
    before, after = base_predictions(model, device), base_predictions(better, device)
    return compare(regions, before.labels, after.labels, instances=model.info.finds_objects, policy=policy)


def interpolated(
    model: Model, better: Model, device: torch.device, policy: Policy = DEFAULT_POLICY
) -> tuple[Model, Comparison | None]:
    """Return the new model, or one between it and the old, that has forgotten little; and how it does on base data.

    The mean of the weights of a network before and after fine-tuning keeps most of what was gained, and of what was
    known (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). One learning may cost half of what all
    together may.

    Parameters
    ----------
    model, better : Model
        Before and after it learned.
    device : torch.device
        Where they are checked.
    policy : Policy
    """
    limits = policy.promotion
    for share in limits.interpolation_shares:
        candidate = better if share == 1 else interpolate_weights(model, better, share)
        compared = check_retention(model, candidate, device, policy)
        if compared is None:
            return better, None
        first = float(model.info.recipe.get(BASE_SCORE) or compared.before)
        if compared.after >= max(compared.before - limits.max_forgetting_at_once, first - limits.max_forgetting):
            break
    return _with_recipe(candidate, **{BASE_SCORE: first}), compared


def interpolate_weights(model: Model, better: Model, share: float) -> Model:
    """Return the model that has gone only a share (0..1) of the way from one to the other."""
    net = copy.deepcopy(better.net)
    before = model.net.state_dict()
    for name, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(before[name], 1 - share)
    return _with_recipe(Model(net, better.info), interpolation=share)


def _with_recipe(model: Model, **facts: float) -> Model:
    """Return a model whose recipe tells these, too."""
    return Model(model.net, model.info.model_copy(update={"recipe": model.info.recipe | facts}))
