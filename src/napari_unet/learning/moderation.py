"""A model that has learned goes only so far from what it was as it keeps what the first of its line was trained on."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from napari_unet.learning.gate import FORGETTING, Comparison, compare
from napari_unet.learning.replay import base_answers, base_exams
from napari_unet.models.model import Model

if TYPE_CHECKING:
    import torch

SHARES = (1.0, 0.6, 0.3)
"""How far, on the way from the old weights to the new ones, to go at most: less where that forgets too much."""

BASE_SCORE = "base_score"
"""In the recipe of a model: how the first of its line did on the base data that it carries along, or the last one that
took up another kind of images."""


def remembers(model: Model, better: Model, device: torch.device) -> Comparison | None:
    """Compare two models on what the first of their line was trained on; None where nothing of that is known."""
    exams = base_exams(model)
    if not exams:
        return None
    before, after = base_answers(model, device), base_answers(better, device)
    return compare(exams, before.labels, after.labels, instances=model.info.task == "instances")


def moderated(model: Model, better: Model, device: torch.device) -> tuple[Model, Comparison | None]:
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
        compared = remembers(model, candidate, device)
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
