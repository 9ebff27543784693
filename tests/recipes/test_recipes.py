"""The recipes of the shipped models, on a data set of three made-up images."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file, save_file

from finish import finish, preferred
from loop import net_of_card, train, trained
from mean import SHARES, compare_shares
from napari_unet.io.pairs import match_by_stem
from napari_unet.models.checkpoint import load_model_file
from napari_unet.models.info import ModelInfo
from napari_unet.models.replay_set import load_replay_set
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet
from napari_unet.objects.flows import LEARNED
from napari_unet.training.config import TrainingConfig
from recipe import EARLIER, Pair, Recipe, samples
from replay_set import write_replay_set

SPLITS = ("train", "choose", "val")


@pytest.fixture
def data(tmp_path):
    """One image for each split: bright discs on noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    for split in SPLITS:
        labels = np.zeros((64, 64), np.uint16)
        for number, (cy, cx) in enumerate([(16, 16), (16, 46), (46, 16), (44, 44)], start=1):
            labels[(y - cy) ** 2 + (x - cx) ** 2 < 81] = number
        image = (1000 * (labels > 0) + rng.normal(300, 60, labels.shape)).astype(np.uint16)
        for folder, array in (("images", image), ("labels", labels)):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{split}.tif", array)
    return tmp_path


def pairs(data, split):
    found = match_by_stem(data / "images", data / "labels")
    return [Pair("discs", image, labels) for image, labels in found if image.stem == split]


def recipe(*steps, **card):
    first = TrainingConfig(
        steps=1, batch_size=2, patch=(32, 32), learning_rate=1e-2, freeze_norm=False, augmentation=None, ema=0.5
    )
    info = ModelInfo(
        name="discs", spec=UNetSpec(features=4, levels=2, out_channels=4), outputs=LEARNED[2], classes=("disc",), **card
    )
    return Recipe(
        card=info,
        stages=[first.model_copy(update={"steps": n}) for n in steps],
        pairs=pairs,
        grids=({"seeds": ("distance", "flows"), "foreground": (0.4, 0.6)}, {"prominence": (0.2,)}),
        replay_set={"discs": (1, 1)},
        replay_patch=(48, 48),
    )


def lines(run):
    return [line.split() for line in (run / "train.log").read_text().splitlines()]


def test_training_goes_on_where_it_was_interrupted(data, tmp_path, monkeypatch):
    run, planned = tmp_path / "run", recipe(6, 4)
    monkeypatch.setattr("loop.SAVE_EVERY", 2)
    monkeypatch.setattr("loop.LOG_EVERY", 2)

    saved = []

    def save(*args, **kwargs):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(save_file(*args, **kwargs))

    monkeypatch.setattr("loop.save_file", save)
    with pytest.raises(KeyboardInterrupt):
        train(planned, data, run, "cpu")
    before = load_file(run / "stage-0.safetensors")
    assert before["step"] == 4
    assert trained(planned, run, 0)[1] == 4
    monkeypatch.setattr("loop.save_file", save_file)
    train(planned, data, run, "cpu")
    assert [(line[1], line[3]) for line in lines(run)] == [
        ("0", "2"),
        ("0", "4"),
        ("0", "6"),
        ("0", "6"),
        ("1", "2"),
        ("1", "4"),
    ]
    assert trained(planned, run, 1)[1] == 10
    train(planned, data, run, "cpu")  # nothing is left to do
    assert len(lines(run)) == 6


def test_a_later_stage_may_learn_other_maps(data, tmp_path):
    """What the network knew of the maps that stay, it still knows."""
    run, planned = tmp_path / "run", replace(recipe(2, 1), earlier=1)
    train(planned, data, run, "cpu")
    assert planned.outputs(0) == EARLIER
    assert planned.outputs(1) == LEARNED[2]
    first, last = (trained(planned, run, stage)[0].head.weight for stage in (0, 1))
    assert len(first) == 3
    assert len(last) == 4
    shared = [(EARLIER.index(name), LEARNED[2].index(name)) for name in ("foreground", "distance")]
    for old, new in shared:
        assert abs(first[old] - last[new]).max() < 0.05


def test_what_chooses_the_decoding_has_not_been_learned_from(data):
    planned = recipe(1, 1, 1)
    assert [planned.learned(stage) for stage in range(3)] == [("train",)] * 3
    assert planned.chooser == 2
    on_all = replace(planned, on_all=1)
    assert [on_all.learned(stage) for stage in range(3)] == [("train",), ("train",), ("train", "choose")]
    assert on_all.chooser == 1


def test_the_last_stage_looks_at_mistakes(data):
    """A network that finds nothing has missed the discs, so that three of four patches are centred on them."""
    planned = replace(recipe(1, 1), on_mistakes=1)
    net = UNet(planned.card.spec).eval().requires_grad_(False)
    net.head.weight.zero_()
    net.head.bias.fill_(-9)
    shares = []
    for stage in (0, 1):
        (sample,) = samples(planned, data, stage, net)
        shares.append(np.mean(sample.targets[0][tuple(sample.focus.T)] > 0))
    assert shares[0] == pytest.approx(0.5, abs=0.05)
    assert shares[1] > 0.7


def test_from_pictures_to_a_model_file_with_its_card(data, tmp_path):
    run, out, planned = tmp_path / "run", tmp_path / "discs.safetensors", recipe(60)
    train(planned, data, run, "cpu")
    finish(planned, data, run, out)
    info = load_model_file(out).info
    report = json.loads((run / "finish.json").read_text())
    assert len(report["tried"]) == 5
    assert info.recipe["steps"] == 60
    assert info.replay_set == "discs"
    assert info.outputs == LEARNED[2]
    assert info.decoding.seeds in ("distance", "flows")
    assert info.scores["val AP@0.50"] == report["validation"]["discs"]["ap"]["0.50"] > 0.5


def test_of_decodings_as_good_as_the_best_that_which_finds_most_objects_is_taken():
    best, near, far = ({"mean": mean, "0.50": ap} for mean, ap in ((0.648, 0.79), (0.645, 0.80), (0.642, 0.85)))
    assert preferred([best, near, far]) is near
    assert preferred([best, far]) is best


def test_weights_may_stay_part_of_the_way_to_those_of_the_last_stage(data, tmp_path, capsys):
    run, out, planned = tmp_path / "run", tmp_path / "discs.safetensors", replace(recipe(3, 2), last_share=0.25)
    train(planned, data, run, "cpu")
    shipped, steps = net_of_card(planned, run, 1)
    before, after = (trained(planned, run, stage)[0].state_dict() for stage in (0, 1))
    assert steps == 5
    for name, value in shipped.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(value, 0.75 * before[name] + 0.25 * after[name], atol=1e-6), name
    finish(planned, data, run, out)
    assert load_model_file(out).info.recipe["share_of_last_stage"] == 0.25
    capsys.readouterr()
    compare_shares(planned, data, run, out)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["share"] for row in rows] == list(SHARES)
    assert all(row["ap"].keys() == {"discs", "all"} for row in rows)


def test_patches_to_check_with_are_none_that_were_learned_from(data, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_unet.models.replay_set.shipped_folder", lambda: tmp_path)
    write_replay_set(recipe(1), data, tmp_path / "discs.safetensors")
    learned, check = load_replay_set("discs")
    assert (learned.check, check.check) == (False, True)
    assert learned.labels.shape == (48, 48)
    assert not np.array_equal(learned.image, check.image)


def test_images_are_seen_at_the_scale_of_the_model(data):
    image, labels = recipe(1, diameter=9, image_diameter=18).load(*pairs(data, "val"))
    assert image.shape == (1, 32, 32)
    assert labels.shape == (32, 32)
    assert set(np.unique(labels)) == set(range(5))
