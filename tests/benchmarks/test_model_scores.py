"""Models scored beside a classical pipeline; times are not tested."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from typer.testing import CliRunner

from hand_made import bright
from napari_unet.axes import Image
from napari_unet.cli import app
from napari_unet.evaluation.metrics import evaluate
from napari_unet.models.checkpoint import save_model_file
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet
from napari_unet_benchmarks import shipped_models as of_shipped
from napari_unet_benchmarks.classical import ClassPipeline, ObjectPipeline, tuned_for_classes, tuned_for_objects
from napari_unet_benchmarks.model_scores import as_wide, run, timed, tuning_samples


def field(shape=(60, 64), radius=5.5, step=20):
    """Labels of balls of two sizes on a grid."""
    labels = np.zeros(shape, np.int32)
    grid = np.indices(shape)
    for number, middle in enumerate(np.ndindex(*(n // step for n in shape)), start=1):
        place = np.array(middle) * step + step // 2
        away = np.sqrt(sum((g - p) ** 2 for g, p in zip(grid, place, strict=True)))
        labels[away < radius * (1.45 if number % 2 else 1)] = number
    return labels


def picture(labels, low=300, high=900, seed=0):
    noise = np.random.default_rng(seed).normal(0, 20, labels.shape)
    return np.where(labels > 0, high, low)[None] + noise


@pytest.mark.parametrize("low_high", [(300, 900), (900, 300)])
@pytest.mark.parametrize("shape", [(60, 64), (40, 44, 48)])
def test_tuned_pipeline_finds_bright_and_dark_objects(low_high, shape):
    labels = field(shape)
    image = picture(labels, *low_high)
    found = tuned_for_objects([(image, labels)])(image)
    assert evaluate(labels, found).f1["0.50"] > 0.9


def test_tuned_pipeline_takes_texture_where_grey_values_say_nothing():
    labels = field((80, 80), step=40, radius=10)
    rng = np.random.default_rng(0)
    image = 500 + np.where(labels > 0, 80, 4) * rng.normal(size=(1, *labels.shape))
    pipeline = tuned_for_objects([(image, labels)])
    assert pipeline.feature == "texture"
    assert evaluate(labels, pipeline(image)).f1["0.50"] > 0.9


def test_pipeline_drops_specks_and_finds_nothing_in_nothing():
    labels = field()
    image = picture(labels)
    image[0, 30, 30:32] = 900
    assert np.bincount(ObjectPipeline("intensity", 0.1, 5, least=20)(image).ravel())[1:].min() >= 20
    assert not ObjectPipeline("intensity", 1.0, 5)(np.full((1, 20, 20), 7)).any()


def rings():
    """Walls around insides that are as grey as the background."""
    grid = np.indices((90, 90))
    classes = np.zeros((90, 90), np.int32)
    for place in np.ndindex(3, 3):
        away = np.hypot(*(grid - np.reshape(np.array(place) * 30 + 15, (2, 1, 1))))
        classes[away < 12] = 2
        classes[away < 8] = 1
    return classes


def test_classes_are_found_by_what_encloses_them():
    classes = rings()
    image = (np.where(classes == 2, 900, 300) + np.random.default_rng(0).normal(0, 15, classes.shape))[None]
    pipeline = tuned_for_classes([(image, classes)])
    assert pipeline.enclosed == (2, 1)
    dice = evaluate(classes, pipeline(image), "semantic").dice_per_class
    assert min(dice.values()) > 0.9


def test_classes_are_found_by_grey_values():
    classes = rings()
    image = np.choose(classes, [500, 900, 100])[None] + np.random.default_rng(0).normal(0, 15, (1, *classes.shape))
    pipeline = tuned_for_classes([(image, classes)])
    assert pipeline.classes == (2, 0, 1)
    assert evaluate(classes, pipeline(image), "semantic").dice > 0.9
    assert pipeline(np.zeros((1, 9, 9))).shape == (9, 9)


def test_a_hole_that_is_open_to_the_border_is_none():
    wall = np.zeros((1, 30, 30))
    wall[0, 5:9, 5:25] = wall[0, 5:25, 5:9] = wall[0, 5:25, 21:25] = 1
    pipeline = ClassPipeline(0.1, (0, 2), enclosed=(2, 1))
    assert 1 not in pipeline(wall)
    wall[0, 21:25, 5:25] = 1
    assert (pipeline(wall) == 1).sum() == 12 * 12


def tiny(task="instances", ndim=2):
    torch.manual_seed(0)
    outputs = ("foreground", "distance") if task == "instances" else ("class_0", "class_1", "class_2")
    spec = UNetSpec(ndim=ndim, in_channels=1, out_channels=len(outputs), features=2, levels=1)
    classes = ("object",) if task == "instances" else ("background", "axon", "myelin")
    info = ModelInfo(name="tiny", spec=spec, outputs=outputs, task=task, classes=classes)
    return Model(UNet(spec).eval().requires_grad_(False), info)


@pytest.fixture
def folder(tmp_path):
    labels = field()
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for index in range(3):
        tifffile.imwrite(tmp_path / "images" / f"{index}.tif", picture(labels, seed=index)[0].astype(np.uint16))
        tifffile.imwrite(tmp_path / "labels" / f"{index}.tif", (labels % 3 if index == 2 else labels).astype(np.uint16))
    return tmp_path


def pairs(folder, *indices):
    return [(folder / "images" / f"{i}.tif", folder / "labels" / f"{i}.tif") for i in indices]


def test_run_scores_every_kind_and_all(folder):
    said, model = [], tiny()
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    val = {"one": pairs(folder, 0), "two": pairs(folder, 0, 1)}
    figures = run(model, val, {"one": pairs(folder, 1)}, rounds=2, say=said.append)
    kinds = figures["kinds"]
    assert [kinds[kind]["images"] for kind in ("one", "two", "all")] == [1, 2, 3]
    assert kinds["one"]["classical"]["f1"]["0.50"] > 0.8
    assert kinds["one"]["classical"]["settings"]["feature"] == "intensity"
    assert {"ap", "f1", "pq", "core_seconds_per_image"} <= kinds["two"]["tiny"].keys()
    assert "classical" not in kinds["two"]
    assert kinds["all"]["tiny"]["n_truth"] == 3 * kinds["one"]["tiny"]["n_truth"]
    assert "classical" not in kinds["all"]
    assert figures["time"]["shape"] == [1024, 1024]
    assert len(figures["time"]["seconds of each round"]) == 2
    assert figures["time"]["on one thread"]["core seconds"] > 0
    for scores in (kinds["two"]["tiny"], kinds["all"]["tiny"]):
        low, high = scores["ap_interval"]["0.50"]
        assert low <= round(scores["ap"]["0.50"], 3) <= high
    assert any("classical" in line for line in said)
    assert json.loads(json.dumps(figures)) == figures
    assert all(torch.equal(value, before[name]) for name, value in model.net.state_dict().items())


def test_run_scores_classes(folder):
    figures = run(tiny("semantic"), {"cells": pairs(folder, 2)}, {"cells": pairs(folder, 2)}, rounds=1, say=str)
    for name in ("tiny", "classical"):
        assert figures["kinds"]["cells"][name]["dice"].keys() == {"axon", "myelin"}


def test_a_volume_is_timed_as_it_is():
    volume = Image(np.random.default_rng(0).random((10, 30, 40), np.float32), "ZYX")
    figures = timed(tiny(ndim=3), volume, rounds=1)
    assert figures["shape"] == figures["shape that the network sees"] == [10, 30, 40]


def test_an_image_is_mirrored_or_cut_to_the_width_that_is_timed():
    pixels = np.arange(12.0).reshape(3, 4)
    wide = as_wide(Image(pixels, "YX"), 7)
    assert wide.data.shape == (7, 7)
    assert wide.data[3].tolist() == [*pixels[2], *pixels[2, :0:-1]]
    assert as_wide(Image(np.zeros((9, 5, 3), np.uint8), "YXC"), 6).space == (1, 6, 6)


def test_tuning_images_are_spread_and_bounded(folder, monkeypatch):
    monkeypatch.setattr("napari_unet_benchmarks.model_scores.TUNED_ON", 2)
    assert len(tuning_samples(pairs(folder, 0, 1, 0, 1, 0))) == 2
    monkeypatch.setattr("napari_unet_benchmarks.model_scores.TUNED_PIXELS", 100)
    assert len(tuning_samples(pairs(folder, 0, 1))) == 1


def test_shipped_models_are_tuned_on_what_is_not_scored(tmp_path, monkeypatch):
    names = {"train": ["a_1", "b_1"], "choose": ["a_2"], "val": ["a_3", "b_3"]}

    def recipe(of, **kinds):
        return SimpleNamespace(
            pairs=lambda data, split: [
                SimpleNamespace(kind=kinds.get(name, name[0]), image=data / name, labels=data / f"{name}_labels")
                for name in names[split]
            ]
        )

    monkeypatch.setattr(of_shipped, "recipe_of", recipe)
    val, train = of_shipped.by_kind("nuclei", tmp_path, None)
    assert {kind: [image.name for image, _ in found] for kind, found in val.items()} == {"a": ["a_3"], "b": ["b_3"]}
    assert {kind: [image.name for image, _ in found] for kind, found in train.items()} == {
        "a": ["a_1", "a_2"], "b": ["b_1"]
    }  # fmt: skip
    monkeypatch.setattr(of_shipped, "recipe_of", lambda name: recipe(name, a_3="rat4", b_3="rat5"))
    _, train = of_shipped.by_kind("axons", tmp_path, None)
    assert [len(train[kind]) for kind in ("rat4", "rat5")] == [3, 3]


def test_command_line(folder):
    model = str(folder / "bright.safetensors")
    save_model_file(bright(), Path(model))
    arguments = ["--images", str(folder / "images"), "--labels", str(folder / "labels")]
    result = CliRunner().invoke(app, ["benchmark", "models", model, *arguments, "--train-images", "x"])
    assert result.exit_code == 2
    assert "belong together" in result.output
    result = CliRunner().invoke(app, ["benchmark", "models", model, *arguments[:3], str(folder / "none")])
    assert result.exit_code == 1
    tuned = ["--train-images", str(folder / "images"), "--train-labels", str(folder / "labels")]
    result = CliRunner().invoke(app, ["benchmark", "models", model, *arguments, *tuned, "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["benchmark"] == "models"
    assert figures["kinds"]["images"]["images"] == 3
    assert {"bright", "classical"} <= figures["kinds"]["images"].keys()
