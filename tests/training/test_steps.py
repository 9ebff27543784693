"""What one step does to the weights, and at which rate: each setting by its effect."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_unet.training import trainer as module
from napari_unet.training.config import TrainingConfig
from napari_unet.training.samples import make_sample
from napari_unet.training.trainer import Trainer

RATE = 0.01
MAX_GRADIENT = 5.0


@pytest.fixture
def sample(blobs):
    image, labels = blobs()
    return make_sample(image[None], labels, ("foreground", "distance"))


def config(**changes):
    settings = {"steps": 5, "batch_size": 2, "patch": (48, 48), "learning_rate": RATE, "weight_decay": 0.0, "seed": 1}
    return TrainingConfig(**(settings | {"freeze_norm": False, "augmentation": None, "warmup": 0} | changes))


PLAIN = {"optimizer": "sgd", "momentum": 0.0}
"""A step is then the rate times the gradient."""


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.fixture
def loss_times(monkeypatch):
    """Return a function that has the loss of each step multiplied by the next of some factors, the last one forever."""
    real = module.segmentation_loss

    def multiply(*factors):
        left = list(factors)
        monkeypatch.setattr(
            module, "segmentation_loss", lambda *a, **k: real(*a, **k) * (left.pop(0) if len(left) > 1 else left[0])
        )

    return multiply


def moved(net, sample, **changes):
    """Return how far the first step moves the weights."""
    session = Trainer(net, [sample], config(**changes))
    next(session.run())
    return float((weights(session.net) - weights(net)).norm())


def rates(session):
    """Return the learning rate of each step."""
    return [session._optimizer.param_groups[-1]["lr"] for _ in session.run()]


# -- the size of a step --------------------------------------------------------------------------------------


def test_a_gradient_is_cut_to_its_largest_length(tiny_net, sample, loss_times):
    net = tiny_net(out_channels=2, norm="none")
    loss_times(1e6)
    assert moved(net, sample, **PLAIN) == pytest.approx(RATE * MAX_GRADIENT, rel=1e-3)


def test_a_short_gradient_is_left_as_it_is(tiny_net, sample, loss_times):
    net = tiny_net(out_channels=2, norm="none")
    steps = []
    for factor in (1e-3, 2e-3):
        loss_times(factor)
        steps.append(moved(net, sample, **PLAIN))
    assert steps[1] == pytest.approx(2 * steps[0], rel=1e-2)
    assert steps[1] < 0.1 * RATE * MAX_GRADIENT


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_weights_shrink_by_their_decay(tiny_net, sample, loss_times, optimizer):
    net = tiny_net(out_channels=2, norm="none")
    loss_times(0.0)
    session = Trainer(net, [sample], config(optimizer=optimizer, weight_decay=0.5))
    next(session.run())
    assert torch.allclose(weights(session.net), (1 - RATE * 0.5) * weights(net), atol=1e-7)


# -- the rate ------------------------------------------------------------------------------------------------


def test_the_rate_rises_over_the_first_steps(tiny_net, sample):
    session = Trainer(tiny_net(out_channels=2), [sample], config(steps=6, warmup=3))
    assert rates(session) == pytest.approx([RATE * f for f in (0.25, 0.5, 0.75, 1, 1, 1)])


def test_a_constant_rate_stays(tiny_net, sample):
    assert rates(Trainer(tiny_net(out_channels=2), [sample], config())) == pytest.approx([RATE] * 5)


def test_a_falling_rate_is_half_a_cosine_over_the_steps(tiny_net, sample):
    session = Trainer(tiny_net(out_channels=2), [sample], config(steps=8, schedule="cosine"))
    assert rates(session) == pytest.approx([RATE * (1 + math.cos(math.pi * i / 8)) / 2 for i in range(8)])


def test_a_falling_rate_falls_with_the_time_where_that_runs_out_first(tiny_net, sample, monkeypatch):
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(module, "Stopwatch", lambda: clock)
    session = Trainer(tiny_net(out_channels=2), [sample], config(steps=1000, schedule="cosine", max_seconds=30))
    found = []
    for _ in session.run():
        found.append(session._optimizer.param_groups[-1]["lr"])
        clock.seconds += 3
    assert found == pytest.approx([RATE * (1 + math.cos(math.pi * i / 10)) / 2 for i in range(11)])


def test_no_step_is_begun_that_would_end_after_the_time(tiny_net, sample, monkeypatch):
    """Steps of 4 s in 10 s: two, not three."""
    clock = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(module, "Stopwatch", lambda: clock)
    session = Trainer(tiny_net(out_channels=2), [sample], config(steps=1000, max_seconds=10))
    step = session._train_step

    def slow(*batch):
        clock.seconds += 4
        return step(*batch)

    monkeypatch.setattr(session, "_train_step", slow)
    assert [report.step for report in session.run()] == [1, 2]


def test_one_step_is_made_in_any_time(tiny_net, sample, monkeypatch):
    monkeypatch.setattr(module, "Stopwatch", lambda: SimpleNamespace(seconds=0.0))
    assert len(list(Trainer(tiny_net(out_channels=2), [sample], config(steps=1, max_seconds=0.001)).run())) == 1


def test_deep_levels_learn_at_the_full_rate_and_early_ones_at_less(tiny_net, sample):
    session = Trainer(tiny_net(out_channels=2, levels=3), [sample], config(depth_rate=0.5))
    next(session.run())
    found = [group["lr"] / RATE for group in session._optimizer.param_groups]
    assert found == pytest.approx([0.125, 0.25, 0.5, 1, 1, 1])  # three levels and the deepest; the decoder, the head


# -- a step that fails ---------------------------------------------------------------------------------------


def test_a_failed_step_goes_back_to_the_last_copy_and_forgets_the_moments(tiny_net, sample, loss_times):
    loss_times(*[1.0] * 12, math.nan, 1.0)
    session = Trainer(tiny_net(out_channels=2), [sample], config(steps=20, ema=0.9))
    after = []
    for report in session.run():
        after.append(weights(session.net).clone())
        if report.note:
            break
    assert report.step == 13
    assert torch.equal(after[-1], after[10])  # copies are made every ten steps, beginning with the first
    assert torch.equal(weights(session._mean), after[10])
    assert not session._optimizer.state


def test_a_gradient_that_is_no_number_is_a_failed_step(tiny_net, sample, monkeypatch):
    """The loss may be one all the same, as that of a root at zero."""
    net, real = tiny_net(out_channels=2), module.segmentation_loss
    monkeypatch.setattr(
        module, "segmentation_loss", lambda logits, *a, **k: real(logits, *a, **k) + (0 * logits.sum()).sqrt()
    )
    session = Trainer(net, [sample], config())
    assert "taken back" in next(session.run()).note
    assert torch.equal(weights(session.net), weights(net))


def test_after_a_failed_step_the_rate_is_halved(tiny_net, sample, loss_times):
    loss_times(1.0, math.nan, 1.0)
    session = Trainer(tiny_net(out_channels=2), [sample], config(steps=4))
    found = rates(session)
    assert found[0] == RATE
    assert found[2:] == pytest.approx([RATE / 2] * 2)


# -- what is drawn, and the mean of the weights --------------------------------------------------------------


def test_targets_are_those_of_the_middle_where_the_network_sees_more_than_it_answers(tiny_net):
    labels = np.random.default_rng(0).integers(0, 2, (96, 96))
    sample = make_sample(labels[None].astype(np.float32), labels, ("foreground",))
    session = Trainer(tiny_net(padding="valid", norm="none", levels=1), [sample], config(batch_size=3))
    images, targets, supervised = session._batch()
    assert len(images) == 3
    assert images.shape[-1] > targets.shape[-1] == supervised.shape[-1]
    edge = (images.shape[-1] - targets.shape[-1]) // 2
    assert torch.equal(images[..., edge:-edge, edge:-edge], targets)


def test_the_mean_of_the_weights_follows_faster_at_first(tiny_net, sample):
    """After one step it would else still be where it began: nine tenths of the way back."""
    net = tiny_net(out_channels=2)
    session = Trainer(net, [sample], config(ema=0.9))
    next(session.run())
    begun, now, mean = weights(net), weights(session.net), weights(session.trained())
    assert torch.allclose(mean, begun + 0.75 * (now - begun), atol=1e-6)


def test_a_session_that_goes_on_draws_other_patches(tiny_net, sample):
    net = tiny_net(out_channels=2)
    first = Trainer(net, [sample], config())
    begun = first._batch()[0]
    list(first.run())
    later = []
    for _ in range(2):
        again = Trainer(net, [sample], config())
        again.restore(first.state())
        later.append(again._batch()[0])
    assert torch.equal(*later)
    assert not torch.equal(later[0], begun)


@pytest.fixture
def partly(blobs):
    """Return a sample of which a part is supervised."""
    image, labels = blobs()
    part = np.zeros(labels.shape, bool)
    part[20:60, 20:60] = True
    return make_sample(image[None], labels, ("foreground", "distance"), part)


def sure_net(tiny_net):
    """Return a network that is sure of what it says; it is not held to the rest."""
    net = tiny_net(out_channels=2)
    net.head.weight *= 10
    return net


def test_the_network_is_held_to_what_it_said_only_where_nothing_is_supervised(tiny_net, partly):
    losses = {}
    for distillation in (0.0, 1.0):
        for all_supervised in (True, False):
            session = Trainer(sure_net(tiny_net), [partly], config(distillation=distillation))
            images, targets, supervised = session._batch()
            with torch.no_grad():
                session.net.head.bias += 1.0  # it has moved
            mask = torch.ones_like(supervised) if all_supervised else supervised
            losses[distillation, all_supervised] = session._learn(images, targets, mask)
    assert losses[1.0, True] == losses[0.0, True]
    assert losses[1.0, False] > losses[0.0, False]


def test_at_first_there_is_nothing_to_hold_it_back_from(tiny_net, partly):
    """What it said is what it says in use: with the statistics of batch normalisation as they were."""
    first = [
        next(Trainer(sure_net(tiny_net), [partly], config(distillation=d, freeze_norm=True)).run()).loss
        for d in (0.0, 1.0)
    ]
    assert first[1] == pytest.approx(first[0], rel=1e-6)
