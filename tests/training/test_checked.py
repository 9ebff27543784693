"""Trainings that are checked on their way, and that can be interrupted at any time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_unet.errors import FileFormatError, LearningError
from napari_unet.progress import CancelToken
from napari_unet.training.checked import CheckedTraining
from napari_unet.training.config import StepReport, TrainingConfig
from napari_unet.training.samples import make_sample
from napari_unet.training.trainer import Trainer


class Steps:
    """A trainer whose only weight is the number of its step."""

    def __init__(self, steps=20, loss=lambda step: 1 / step):
        self.steps, self.loss, self.step, self.seconds = steps, loss, 0, 0.0
        self.net = torch.nn.Linear(1, 1, bias=False)

    @property
    def spent(self):
        return self.step / self.steps

    def run(self, cancel=None):
        while self.step < self.steps and not (cancel is not None and cancel.cancelled):
            self.step += 1
            self.seconds += 2.0
            yield StepReport(self.step, self.steps, self.loss(self.step), self.seconds)

    def trained(self):
        net = torch.nn.Linear(1, 1, bias=False)
        net.load_state_dict({"weight": torch.full((1, 1), float(self.step))})
        return net

    def state(self):
        return {"step": torch.tensor(self.step), "seconds": torch.tensor(self.seconds)}

    def restore(self, state):
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def step_of(net):
    return int(net.weight.item())


def course(trainer=None, score=None, **options):
    settings = {"checks": 10, "patience": 3} | options
    return CheckedTraining(trainer or Steps(), None if score is None else lambda net: score(step_of(net)), **settings)


def test_without_scores_the_last_weights_are_taken():
    one = course()
    assert len(list(one.run())) == 20
    assert (step_of(one.trained()), one.best_step, one.stopped_early) == (20, None, False)
    assert [point.step for point in one.curve] == list(range(2, 21, 2))
    assert all(point.score is None for point in one.curve)
    assert one.curve[1].loss == pytest.approx((1 / 3 + 1 / 4) / 2), "mean since the last point"


def test_the_best_weights_are_kept_and_it_stops_when_nothing_is_gained():
    one = course(score=lambda step: 1 - abs(step - 6) / 20)
    list(one.run())
    assert (one.best_step, step_of(one.trained()), one.stopped_early) == (6, 6, True)
    assert one.curve[-1].step == 12, "three checks later"
    assert [point.score for point in one.curve][:2] == pytest.approx([0.7, 0.8])


def test_the_weights_at_the_beginning_may_be_the_best():
    one = course(score=lambda step: 0.9 if step == 0 else 0.5)
    list(one.run())
    assert (one.best_step, step_of(one.trained())) == (0, 0)


def test_it_does_not_stop_before_anything_is_found():
    one = course(score=lambda step: float(step > 16))
    list(one.run())
    assert (one.step, one.stopped_early, one.best_step) == (20, False, 20), "of equals, the later"


def test_checks_are_where_the_steps_are_and_not_the_time():
    """Or the same command would make other models on a busier machine."""
    places = []
    for pace in (1, 7):
        trainer = Steps(steps=7)
        trainer.seconds = float(pace)
        one = course(trainer, score=lambda step: step / 10)
        list(one.run())
        places.append([point.step for point in one.curve])
    assert places[0] == places[1] == [0, 1, 2, 3, 4, 5, 6, 7]


def test_a_loss_that_is_no_number_is_left_out_of_the_curve():
    one = course(Steps(loss=lambda step: float("nan") if step == 3 else 1.0))
    list(one.run())
    assert all(np.isfinite(point.loss) for point in one.curve)


# -- interruptions -----------------------------------------------------------------------------------------------------


def interrupted(path, after, **options):
    """A training that is stopped after some steps."""
    token, one = CancelToken(), course(checkpoint=path, **options)
    for report in one.run(token):
        if report.step == after:
            token.cancel()
    return one


@pytest.mark.parametrize("after", [1, 7, 12, 19])
def test_it_goes_on_where_it_was_stopped(tmp_path, after):
    path, identity = tmp_path / "m.checkpoint", {"images": "1"}

    def score(step):
        return 1 - abs(step - 14) / 20

    first = interrupted(path, after, score=score, identity=identity)
    second = course(checkpoint=path, score=score, identity=identity)
    assert (second.step, second.seconds, second.curve) == (after, 2.0 * after, first.curve)
    assert [report.step for report in second.run()] == list(range(after + 1, 21))
    whole = course(score=score)
    list(whole.run())
    assert second.curve == whole.curve
    assert (second.best_step, step_of(second.trained())) == (14, 14)


def test_what_has_ended_stays_ended(tmp_path):
    path = tmp_path / "m.checkpoint"
    for _ in range(2):
        one = course(checkpoint=path, score=lambda step: 0.5)
        steps = list(one.run())
        assert one.stopped_early
        assert step_of(one.trained()) == one.best_step == 6
    assert steps == []


def test_a_kill_costs_what_came_after_the_last_checkpoint(tmp_path):
    path, one = tmp_path / "m.checkpoint", course(checkpoint=tmp_path / "m.checkpoint")
    steps = one.run()
    for _ in range(5):
        next(steps)
    assert course(checkpoint=path).step == 4, "the last check"
    assert [p.name for p in tmp_path.iterdir()] == ["m.checkpoint"]


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path):
    path = tmp_path / "m.checkpoint"
    interrupted(path, 5, identity={"images": "1", "labels": "1", "settings": "1"})
    kept = path.read_bytes()
    for identity, said in (
        ({"images": "2", "labels": "1", "settings": "1"}, "other images."),
        ({"images": "1", "labels": "2", "settings": "2"}, "other labels and settings."),
    ):
        with pytest.raises(LearningError, match=said):
            course(checkpoint=path, identity=identity)
    assert path.read_bytes() == kept


def damaged(path, how):
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a model":
        save_file({"w": torch.zeros(3)}, path)
    else:
        path.write_text(how)


@pytest.mark.parametrize("how", ["cut", "empty", "a model", "my notes"])
def test_a_file_that_is_no_checkpoint_is_refused_and_kept(tmp_path, how):
    path = tmp_path / "m.checkpoint"
    interrupted(path, 5)
    damaged(path, how)
    kept = path.read_bytes()
    with pytest.raises(FileFormatError, match="no checkpoint"):
        course(checkpoint=path)
    assert path.read_bytes() == kept


def test_a_checkpoint_that_cannot_be_completed_leaves_the_one_before(tmp_path, monkeypatch):
    path = tmp_path / "m.checkpoint"
    interrupted(path, 5)
    monkeypatch.setattr("napari_unet.training.checkpoint.save_file", half_written)
    with pytest.raises(FileFormatError, match="disk is full"):
        list(course(checkpoint=path).run())
    assert course(checkpoint=path).step == 5
    assert [p.name for p in tmp_path.iterdir()] == ["m.checkpoint"]


def half_written(tensors, path, metadata):
    path.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_a_real_network_goes_on_with_its_time_and_rate(tiny_net, blobs, tmp_path):
    image, labels = blobs()
    samples = [make_sample(image[None], labels, ("foreground", "distance"))]
    config = TrainingConfig(steps=6, batch_size=1, patch=(32, 32), ema=0.5, augmentation=None)
    net, path, token = tiny_net(out_channels=2), tmp_path / "m.checkpoint", CancelToken()

    def begun():
        return CheckedTraining(Trainer(net, samples, config), lambda net: 0.5, checks=3, patience=9, checkpoint=path)

    first = begun()
    for report in first.run(token):
        if report.step == 3:
            token.cancel()
    second = begun()
    assert second.step == 3
    assert second.seconds == pytest.approx(first.seconds)
    assert [report.step for report in second.run()] == [4, 5, 6]
    assert second.seconds > first.seconds
    assert second.best_step == 6
