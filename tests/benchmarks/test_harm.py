"""What a loss is taken apart into, and what the ways of learning come to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.models.model import Model
from napari_unet.objects.decode import Decoding
from napari_unet_benchmarks.harm import CHOSEN_ON, MARKS, REPORTED_ON, WAYS, Way, learned_and_marks, mix, parts, summary


@pytest.fixture
def crops(blobs, model):
    image, labels = blobs((128, 128), n=12)
    truth = labels.astype(np.int32)[None, None]
    corrections = Corrections(truth.shape)
    corrections.prediction[:] = truth
    corrections.seen[:] = True
    wrong = truth == truth.max()
    corrections.prediction[wrong] = 0  # the user painted it
    corrections.update(truth)
    return annotated_crops(Image(image, "YX"), truth, corrections, model)


def weights(net):
    return torch.cat([value.flatten() for value in net.parameters()])


def distance(net, other):
    return float((weights(net) - weights(other)).norm())


def test_no_kind_is_both_chosen_and_reported_on():
    folders = [{kind.source.folder for kind in kinds.values()} for kinds in (CHOSEN_ON, REPORTED_ON)]
    assert not folders[0] & folders[1]


def test_two_networks_are_mixed_by_a_share(tiny_net):
    net, other = tiny_net(seed=0), tiny_net(seed=1)
    expected = 0.75 * weights(net) + 0.25 * weights(other)
    mix(net, other, 0.75)
    torch.testing.assert_close(weights(net), expected)


def test_a_way_to_go_only_a_part_goes_that_part(model, crops):
    changes = {"patch": (64, 64), "batch_size": 1}
    whole, marks = learned_and_marks(model, crops, 12, Way(lambda config: changes))
    part, _ = learned_and_marks(model, crops, 12, Way(lambda config: changes, share=0.75))
    assert list(marks) == [MARKS[0]]  # of the marks, those that come before the end
    assert distance(part.model.net, model.net) == pytest.approx(0.75 * distance(whole.model.net, model.net), rel=1e-4)


def test_the_mean_of_all_steps_is_nearer_to_the_old_weights(model, crops):
    changes = {"patch": (64, 64), "batch_size": 1}
    usual, _ = learned_and_marks(model, crops, 12, Way(lambda config: changes))
    mean, _ = learned_and_marks(model, crops, 12, Way(lambda config: changes, mean_of_all=True))
    assert 0 < distance(mean.model.net, model.net) < distance(usual.model.net, model.net)


def test_weights_and_settings_are_taken_apart_where_both_changed(model, tiny_net):
    after = model.info.with_decoding(Decoding(min_size=99))
    learned = Model(tiny_net(seed=1, out_channels=2).eval(), after)
    found = parts(model, learned, {})
    assert found["old weights, new settings"].net is model.net
    assert found["old weights, new settings"].info.decoding.min_size == 99
    assert found["new weights, old settings"].net is learned.net
    assert found["new weights, old settings"].info.decoding == model.info.decoding
    assert "old weights, new settings" not in parts(model, Model(learned.net, model.info), {})


def test_a_way_is_worth_the_mean_over_kinds_and_seeds_beside_the_usual_one():
    def row(kind, seed, way, before, after):
        return {"kind": kind, "seed": seed, "way": way, "scores": {"base": {"ap": before}, "new": {"ap": after}}}

    other = next(way for way in WAYS if way != "as it is")
    rows = [
        row("a", 0, "as it is", 0.5, 0.4), row("a", 1, "as it is", 0.5, 0.6), row("b", 0, "as it is", 0.2, 0.1),
        row("a", 0, other, 0.5, 0.5), row("a", 1, other, 0.5, 0.7), row("b", 0, other, 0.2, 0.4),
        row("a", 0, "half done", 0.5, 0.9),
    ]  # fmt: skip
    found = summary(rows, ["a", "b"])
    assert found[other]["by kind"] == {"a": 0.6, "b": 0.4}
    assert found[other]["beside as it is"] == pytest.approx(0.2)  # 0.1 on a, 0.3 on b, whatever the seeds of each
    assert "half done" not in found
