"""The training loop."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_unet.errors import DeviceError, LabelsError, LearningError, NothingToLearnError, UNetError
from napari_unet.progress import CancelToken, PauseToken
from napari_unet.training import trainer as module
from napari_unet.training.config import Augmentation, TrainingConfig
from napari_unet.training.samples import make_sample
from napari_unet.training.trainer import Trainer

OUTPUTS = ("foreground", "distance")


@pytest.fixture
def samples(blobs):
    return [make_sample(image[None], labels, OUTPUTS) for image, labels in (blobs(seed=s) for s in range(2))]


def config(**changes):
    settings = {"steps": 5, "batch_size": 2, "patch": (48, 48), "learning_rate": 1e-2, "freeze_norm": False, "seed": 1}
    return TrainingConfig(**(settings | changes))


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_it_learns(tiny_net, samples):
    session = Trainer(tiny_net(out_channels=2), samples, config(steps=60))
    losses = [report.loss for report in session.run()]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])


def test_the_network_handed_in_is_not_touched(tiny_net, samples):
    net = tiny_net(out_channels=2)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    session = Trainer(net, samples, config())
    assert len(list(session.run())) == 5
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert not torch.equal(weights(session.trained()), weights(net))
    assert not session.trained().training


def test_each_step_is_timed_with_the_pixels_that_it_sees(tiny_net, samples, monkeypatch):
    notes = []
    known = SimpleNamespace(note=lambda pixels, seconds: notes.append((pixels, seconds)))
    monkeypatch.setattr(module, "learning_throughput_of", lambda spec, device: known)
    reports = list(Trainer(tiny_net(out_channels=2), samples, config(steps=3)).run())
    assert [pixels for pixels, _ in notes] == [2 * 48 * 48] * 3
    assert 0 < sum(seconds for _, seconds in notes) <= reports[-1].seconds


def test_frozen_norm(tiny_net, samples):
    net = tiny_net(out_channels=2)
    session = Trainer(net, samples, config(freeze_norm=True))
    list(session.run())
    for name, value in session.trained().state_dict().items():
        if "running" in name:
            assert torch.equal(value, net.state_dict()[name])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_norm_follows_the_patches_for_a_share_of_the_steps(tiny_net, samples, share):
    session = Trainer(tiny_net(out_channels=2), samples, config(freeze_norm=True, free_norm=share, steps=4))
    means = [session.trained().down[0][1].running_mean]
    means += [session.trained().down[0][1].running_mean for _ in session.run()]
    moved = [not torch.equal(a, b) for a, b in itertools.pairwise(means)]
    assert moved == [step < 4 * share for step in range(4)]


def test_the_same_seed_gives_the_same_network(tiny_net, samples):
    runs = []
    for seed in (1, 1, 2):
        session = Trainer(tiny_net(out_channels=2), samples, config(seed=seed))
        list(session.run())
        runs.append(weights(session.trained()))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_half_precision_learns_the_same_within_its_rounding(tiny_net, samples, monkeypatch):
    monkeypatch.setattr(module, "has_matrix_units", lambda device: True)
    nets, losses = [], []
    for precision in ("full", "auto"):
        session = Trainer(tiny_net(out_channels=2), samples, config(precision=precision, learning_rate=1e-3))
        losses.append([report.loss for report in session.run()])
        nets.append(weights(session.trained()))
    assert not torch.equal(*nets)
    assert nets[1].dtype == torch.float32
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_what_has_no_matrix_units_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": False, "avx512_bf16": True}, raising=False)
    assert not module.has_matrix_units(torch.device("cpu"))
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not module.has_matrix_units(torch.device("cpu"))
    assert not module.has_matrix_units(torch.device("mps"))


@pytest.mark.parametrize("distillation", [0.0, 0.5])
def test_labels_that_are_not_supervised_have_no_influence(tiny_net, blobs, distillation):
    image, labels = blobs()
    mask = np.zeros(labels.shape, bool)
    mask[20:60, 20:60] = True
    nets = []
    for outside in (labels, np.full_like(labels, 77)):
        mixed = np.where(mask, labels, outside)
        sample = replace(make_sample(image[None], mixed, OUTPUTS, mask), focus=np.argwhere(mask))
        session = Trainer(tiny_net(out_channels=2), [sample], config(distillation=distillation))
        list(session.run())
        nets.append(weights(session.trained()))
    assert torch.allclose(nets[0], nets[1], atol=1e-7)


def test_what_joins_later_is_held_on_to_as_well(tiny_net, blobs):
    """Where all was known of the first image, and of the one that joins a part."""
    image, labels = blobs()
    mask = np.zeros(labels.shape, bool)
    mask[20:60, 20:60] = True
    part = replace(make_sample(image[None], labels, OUTPUTS, mask), focus=np.argwhere(mask))
    nets = []
    for first in (part, make_sample(image[None], labels, OUTPUTS)):
        session = Trainer(tiny_net(out_channels=2), [first], config(distillation=0.5))
        session.learn_from([part])
        list(session.run())
        nets.append(weights(session.trained()))
    assert torch.allclose(nets[0], nets[1], atol=1e-7)


def test_holding_on_keeps_what_was_not_corrected(tiny_net, blobs):
    image, labels = blobs()
    net = tiny_net(norm="none")
    net.head.weight *= 10  # a network that is sure of what it says
    mask = np.zeros(labels.shape, bool)
    mask[40:50, 40:50] = True
    sample = make_sample(image[None], np.ones_like(labels), ("foreground",), mask)
    block = torch.from_numpy(image)[None, None]
    moved = []
    for distillation in (0.0, 1.0):
        session = Trainer(net, [sample], config(steps=20, distillation=distillation))
        list(session.run())
        sure = (torch.sigmoid(net(block)) - 0.5).abs() > 0.3
        change = (torch.sigmoid(session.trained()(block)) - torch.sigmoid(net(block))).abs()
        assert sure.any()
        moved.append(float(change[sure].mean()))
    assert moved[1] < 0.7 * moved[0]


def test_stop_and_time_limit(tiny_net, samples):
    cancel = CancelToken()
    session = Trainer(tiny_net(out_channels=2), samples, config(steps=1000))
    run = session.run(cancel)
    next(run)
    cancel.cancel()
    assert list(run) == []
    assert session.step == 1
    limited = Trainer(tiny_net(out_channels=2), samples, config(steps=10**6, max_seconds=0.3))
    assert 0 < len(list(limited.run())) < 10**5


def test_a_step_that_is_no_number_changes_nothing(tiny_net, samples, monkeypatch):
    session = Trainer(tiny_net(out_channels=2), samples, config())
    before = weights(session.net).clone()
    real = module.segmentation_loss
    monkeypatch.setattr(module, "segmentation_loss", lambda *a, **k: real(*a, **k) * float("nan"))
    assert np.isnan(next(session.run()).loss)
    assert torch.equal(weights(session.net), before)


def test_a_valid_network_learns_in_3d_too(tiny_net, blobs):
    image, labels = blobs((30, 60, 60), n=6)
    net = tiny_net(ndim=3, padding="valid", norm="none", levels=1, features=2)
    sample = make_sample(image[None], labels, ("foreground",))
    session = Trainer(net, [sample], config(patch=(20, 30, 30), steps=2))
    assert all(np.isfinite(report.loss) for report in session.run())


def test_what_cannot_be_learned_is_said(tiny_net, samples, blobs):
    image, labels = blobs()
    with pytest.raises(UNetError, match="3 axes"):
        Trainer(tiny_net(), samples, config(patch=(8, 8, 8)))
    with pytest.raises(NothingToLearnError):
        Trainer(tiny_net(), [], config())
    with pytest.raises(NothingToLearnError, match="corrected or reviewed"):
        make_sample(image[None], labels, OUTPUTS, np.zeros(labels.shape, bool))
    with pytest.raises(LabelsError, match=r"\(5, 5\)"):
        make_sample(image[None], np.zeros((5, 5), int), OUTPUTS)
    with pytest.raises(LabelsError, match=r"\(5, 5\)"):
        make_sample(image[None], labels, OUTPUTS, np.ones((5, 5), bool))


def test_a_step_without_numbers_is_taken_back_at_half_the_rate(monkeypatch, tiny_net, samples):
    real, fails = module.segmentation_loss, [False] * 12 + [True] + [False] * 5
    monkeypatch.setattr(
        module, "segmentation_loss", lambda *a, **k: real(*a, **k) * (float("nan") if fails.pop(0) else 1)
    )
    session = Trainer(tiny_net(out_channels=2), samples, config(steps=18, ema=0.9))
    notes = [report.note for report in session.run()]
    assert [bool(note) for note in notes] == [index == 12 for index in range(18)]
    assert "taken back" in notes[12]
    assert session._slowed == 0.5
    assert all(torch.isfinite(p).all() for p in session.trained().parameters())


def test_learning_that_fails_whatever_the_rate_ends_with_a_sentence(monkeypatch, tiny_net, samples):
    real = module.segmentation_loss
    monkeypatch.setattr(module, "segmentation_loss", lambda *a, **k: real(*a, **k) * float("nan"))
    session = Trainer(tiny_net(out_channels=2), samples, config(steps=50))
    with pytest.raises(LearningError, match="the model is unchanged"):
        list(session.run())


def test_running_mean_follows_the_weights(tiny_net, samples):
    net = tiny_net(out_channels=2)
    plain, mean = (Trainer(net, samples, config(steps=30, ema=ema)) for ema in (0.0, 0.9))
    list(plain.run())
    list(mean.run())
    pairs = list(zip(net.parameters(), plain.trained().parameters(), mean.trained().parameters(), strict=True))
    way = sum(float((b - a).norm()) for a, b, _ in pairs)
    rest = sum(float((b - c).norm()) for _, b, c in pairs)
    assert 0 < rest < way, "it lies between where the weights began and where they are"


def test_early_layers_move_less(tiny_net, samples):
    net = tiny_net(out_channels=2)
    moved = {}
    for factor in (1.0, 0.1):
        session = Trainer(net, samples, config(depth_rate=factor))
        list(session.run())
        first = zip(net.down[0].parameters(), session.trained().down[0].parameters(), strict=True)
        moved[factor] = sum(float((a - b).norm()) for a, b in first)
    assert moved[0.1] < 0.5 * moved[1.0]


def test_pauses_are_not_counted(tiny_net, samples, monkeypatch):
    class Clock:
        """A stopwatch that stands still."""

        seconds = 0.0

        def leave_out(self, seconds):
            self.seconds -= seconds

    class Pause(PauseToken):
        """Of 100 s before each step."""

        def wait(self, cancel=None):
            clock.seconds += 100
            return 100.0

    clock = Clock()
    monkeypatch.setattr(module, "Stopwatch", lambda: clock)
    session = Trainer(tiny_net(out_channels=2), samples, config(steps=3, max_seconds=50))
    assert [report.seconds for report in session.run(pause=Pause())] == [0, 0, 0]


def test_more_samples_join_while_it_learns(tiny_net, samples):
    first, second = samples
    session = Trainer(tiny_net(out_channels=2), [first], config())
    drawn = []
    for _ in session.run():
        drawn.append(session._sampler.samples)
        session.learn_from([second])
    assert drawn[0] == [first]
    assert drawn[-1] == [second]


def test_seams_count_more(tiny_net, blobs):
    """A network that is wrong at a seam only has a larger loss where seams count more, and learns all the same."""
    image, labels = blobs()
    plain, weighted = (make_sample(image[None], labels, OUTPUTS, border=border) for border in (0.0, 10.0))
    assert weighted.supervised.max() > 2
    assert np.array_equal(weighted.supervised > 0, plain.supervised)
    session = Trainer(tiny_net(out_channels=2), [weighted], config(steps=30, distillation=1.0))
    losses = [report.loss for report in session.run()]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_seams_between_pieces_of_a_class_count_more():
    cells = np.zeros((40, 40), int)
    cells[:, :18], cells[:, 22:] = 1, 1
    sample = make_sample(np.zeros((1, 40, 40)), cells, ("class_0", "class_1"), border=10.0)
    assert sample.supervised[:, 20, 20] == pytest.approx(1 + 10 * np.exp(-(5**2) / 50))
    assert sample.supervised[0, 20, 0] == pytest.approx(1, abs=0.01)


def test_learning_as_the_paper_does(tiny_net, blobs):
    image, labels = blobs()
    sample = make_sample(image[None], (labels > 0).astype(int), ("class_0", "class_1"), border=10.0)
    paper = {"optimizer": "sgd", "momentum": 0.9, "dice": 0.0, "exclusive": True, "batch_size": 1}
    session = Trainer(tiny_net(out_channels=2, norm="none", dropout=0.5), [sample], config(steps=40, **paper))
    assert isinstance(session._optimizer, torch.optim.SGD)
    losses = [report.loss for report in session.run()]
    assert losses[0] < 3
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_dice_is_left_out(tiny_net, samples):
    first = [next(Trainer(tiny_net(out_channels=2), samples, config(dice=dice)).run()).loss for dice in (0, 0.5, 1)]
    assert first[0] < first[1]
    assert first[2] - first[1] == pytest.approx(first[1] - first[0], rel=1e-4)


def test_patches_drawn_ahead_are_the_same(tiny_net, samples, monkeypatch):
    losses = []
    for threads in (0, 1):
        monkeypatch.setattr(module, "DRAWING_THREADS", threads)
        session = Trainer(tiny_net(out_channels=2), samples, config(augmentation=Augmentation()))
        losses.append([report.loss for report in session.run()])
    assert losses[0] == losses[1]


def test_a_card_that_fails_is_told_of_and_nothing_is_lost(tiny_net, samples, monkeypatch):
    session = Trainer(tiny_net(out_channels=2), samples, config())
    session.device = torch.device("meta")  # stands for a card
    monkeypatch.setattr(session, "_learn", lambda *batch: (_ for _ in ()).throw(RuntimeError("CUDA error: lost\nmore")))
    with pytest.raises(DeviceError, match=r"the device meta failed\. The model is unchanged.*\nCUDA error: lost"):
        next(session.run())


@pytest.mark.parametrize("changes", [{"ema": 0.9}, {"optimizer": "sgd"}, {"optimizer": "sgd", "momentum": 0.0}])
def test_it_goes_on_from_a_state(tiny_net, samples, changes):
    """Another session that was given the state knows all that the first did, the optimiser's moments included."""
    net, settings = tiny_net(out_channels=2), config(steps=6, **changes)
    first = Trainer(net, samples, settings)
    for _, _ in zip(range(4), first.run(), strict=False):
        pass
    state = first.state()
    second = Trainer(net, samples, settings)
    second.restore(state)
    assert state.keys() == second.state().keys()
    assert all(torch.equal(value, state[name]) for name, value in second.state().items())
    assert any(name.startswith("optimizer.") for name in state) == (changes.get("momentum") != 0)
    assert torch.equal(weights(second.trained()), weights(first.trained()))
    assert [report.step for report in second.run()] == [5, 6]
