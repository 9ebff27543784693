"""Learning goes only so far as it costs little of what was known."""

from __future__ import annotations

import pytest
import torch

from napari_unet.learning import retention
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.models.model import Model

SHARES = DEFAULT_POLICY.promotion.interpolation_shares


@pytest.fixture
def pair(tiny_model, tiny_net):
    model = tiny_model()
    return model, Model(tiny_net(out_channels=len(model.info.outputs), seed=5).eval(), model.info)


def test_too_much_that_was_forgotten_is_given_back(pair, monkeypatch):
    """Of the way from the old weights to the new ones only so much is gone as costs little of the base data."""
    asked = []

    def compare(model, candidate, device, policy):
        asked.append(candidate)
        return Comparison(0.5, (0.40, 0.5)[len(asked) - 1], 0.0, 0.0, 9)

    monkeypatch.setattr(retention, "check_retention", compare)
    model, better = pair
    found, compared = retention.interpolated(model, better, torch.device("cpu"))
    assert asked[0] is better
    assert found.net is asked[1].net
    assert compared.after == 0.5
    assert found.info.recipe["interpolation"] == SHARES[1]
    name = "head.weight"
    old, new, between = (m.net.state_dict()[name] for m in (model, better, found))
    assert torch.allclose(between, old + SHARES[1] * (new - old), atol=1e-6)


def test_a_little_each_time_is_not_much_in_the_end(pair, monkeypatch):
    """What is forgotten counts from the first model of the line on."""
    scores = iter([(0.5, 0.495), (0.495, 0.488), (0.488, 0.479), (0.488, 0.481)])
    monkeypatch.setattr(retention, "check_retention", lambda *_: Comparison(*next(scores), 0.0, 0.0, 9))
    model, better = pair
    shares = []
    for _ in range(3):
        model = retention.interpolated(model, Model(better.net, model.info), torch.device("cpu"))[0]
        shares.append(model.info.recipe.pop("interpolation", 1.0))
    assert shares == [1.0, 1.0, SHARES[1]]
    assert model.info.recipe["base_score"] == 0.5


def test_without_a_replay_set_all_of_it_is_kept(pair):
    model, better = pair
    assert retention.interpolated(model, better, torch.device("cpu")) == (better, None)
