"""What a loss is taken apart into, and what the ways of learning come to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.models.model import Model
from napari_unet.models.store import load_model
from napari_unet.objects.decode import Decoding
from napari_unet.training.samples import make_sample
from napari_unet_benchmarks.fields import Field
from napari_unet_benchmarks.harm import CHOSEN_ON, REPORTED_ON, parts, summary
from napari_unet_benchmarks.harm_begins import Begin, forest_as_input, mean_with_cells_phase
from napari_unet_benchmarks.harm_samples import WEAK, pasted, small_ones_left
from napari_unet_benchmarks.harm_ways import (
    MARKS,
    WAYS,
    Way,
    learned_and_marks,
    mix,
    other_light,
    with_hidden_pixels,
)


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


def test_the_own_teacher_is_followed(model, crops):
    changes = {"patch": (64, 64), "batch_size": 1}
    usual, _ = learned_and_marks(model, crops, 12, Way(lambda config: changes))
    taught, _ = learned_and_marks(
        model, crops, 12, Way(lambda config: changes | {"distillation": 1.0}, sure=0.6, own_teacher=True)
    )
    assert distance(taught.model.net, usual.model.net) > 0
    assert distance(taught.model.net, model.net) > 0


def test_hidden_pixels_are_rebuilt_beside_what_is_learned(model, crops):
    changes = {"patch": (64, 64), "batch_size": 1}
    usual, _ = learned_and_marks(model, crops, 12, Way(lambda config: changes))
    rebuilt, _ = learned_and_marks(model, crops, 12, Way(lambda config: changes, rebuilt=1.0))
    assert distance(rebuilt.model.net, usual.model.net) > 0
    images = torch.rand(2, 1, 64, 64)
    seen, hidden = with_hidden_pixels(images)
    assert 0 < int(hidden.sum()) < 0.05 * hidden.numel()
    assert bool((seen[~hidden] == images[~hidden]).all())
    assert bool((seen[hidden] != images[hidden]).all())


def test_the_contracting_path_can_wait(model, crops):
    changes = {"patch": (64, 64), "batch_size": 1}
    waited, _ = learned_and_marks(model, crops, 12, Way(lambda config: changes, decoder_first=1.0))
    assert distance(waited.model.net.down, model.net.down) == 0
    assert distance(waited.model.net.up, model.net.up) > 0


def test_a_forest_is_one_channel_more_that_the_network_ignores_at_first(model, crops):
    pytest.importorskip("sklearn")
    field = Field(crops[0].image, np.zeros((128, 128), np.int32))
    begin = forest_as_input(Begin(model, crops, [field]))
    pixels = begin.others[0].image.read()[:, 0]
    assert len(pixels) == model.net.spec.in_channels + 1
    assert 0 <= pixels[-1].min() < pixels[-1].max() <= 1
    batch = torch.from_numpy(pixels[None])
    torch.testing.assert_close(begin.model.net(batch), model.net(batch[:, :-1]))
    changes = {"patch": (64, 64), "batch_size": 1}
    learned, _ = learned_and_marks(begin.model, begin.crops, 12, Way(lambda config: changes))
    assert float(learned.model.net.down[0][0].weight.detach()[:, -1].abs().max()) > 0, "and learns to heed"


def test_the_mean_of_two_networks_takes_half_of_each():
    cells, phase = load_model("cells"), load_model("cells_phase")
    mean = mean_with_cells_phase(Begin(cells, [], [])).model
    torch.testing.assert_close(weights(mean.net), (weights(cells.net) + weights(phase.net)) / 2)


def test_another_light_changes_each_image_in_its_own_way():
    images = torch.rand(3, 1, 16, 16)
    shown = other_light(images)
    assert shown.shape == images.shape
    ratios = [
        float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]) for a, b in zip(images, shown, strict=True)
    ]
    assert min(ratios) > 0.8, "it shows the same"
    assert len({round(float(one.mean()), 4) for one in shown - images}) == 3


def one_disc(model):
    """Return a sample in which one disc is known, with a ring of background, and nothing else is."""
    y, x = np.mgrid[:96, :96]
    far = np.hypot(y - 30, x - 30)
    labels = (far < 8).astype(np.int32)
    image = np.random.default_rng(0).normal(0, 0.1, (1, 96, 96)).astype(np.float32) + 2 * labels
    return make_sample(image, labels, model.info.outputs, far < 12)


def test_objects_are_pasted_where_there_is_room(bright_model):
    model = bright_model()
    sample = one_disc(model)
    first, other = pasted([sample], model)
    assert first.image is sample.image
    assert first.weight == other.weight == sample.weight / 2
    discs, count = ndimage.label(other.targets[0] > 0.5)
    assert count > 1
    assert np.ptp(np.bincount(discs.ravel())[1:]) == 0, "whole ones, none on another"
    inside, around = other.image[0][discs > 0], other.image[0][(discs == 0) & (other.supervised[0] > 0)]
    assert inside.mean() > 1.5
    assert around.mean() < 0.8
    assert (other.supervised[0] > 0)[discs > 0].all()
    everything = make_sample(sample.image, discs * 0 + (sample.targets[0] > 0.5), model.info.outputs)
    assert pasted([everything], model)[0] is everything, "all of it is known: nothing is changed"


def test_small_ones_that_nobody_touched_count_as_background_weakly(bright_model):
    model = bright_model()
    sample = one_disc(model)
    sample.image[0, 70:73, 70:73] = 2
    sample.image[0, 60:80, 20:40] = 2  # as large as the known one: it is left as it is
    (found,) = small_ones_left([sample], model)
    assert (found.supervised[0, 70:73, 70:73] == np.float16(WEAK)).all()
    assert (found.targets[0, 70:73, 70:73] == 0).all()
    assert (found.supervised[0, 60:80, 20:40] == 0).all()
    known = sample.supervised > 0
    assert (found.supervised[known] == sample.supervised[known]).all()
    assert (found.targets[known] == sample.targets[known]).all()


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
