"""Benchmarks run, and what they assert of the result holds; times are not tested."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_unet.axes import Image
from napari_unet.cli import app
from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.in_memory import segment
from napari_unet.nets.spec import unet2015
from napari_unet.nets.unet import UNet
from napari_unet.tiling import budget
from napari_unet_benchmarks import folders, gpu, one_image, peak, tiling
from napari_unet_benchmarks.annotator import Evaluator, _untrained, summary
from napari_unet_benchmarks.annotator_rivals import Dense, RandomForest
from napari_unet_benchmarks.annotator_session import AnnotatorSession, annotate_and_learn
from napari_unet_benchmarks.curves import draw_curves
from napari_unet_benchmarks.fields import DATA_SETS, DataSet, Field, read_fields
from napari_unet_benchmarks.report import in_turn, ratio


def test_tiling(monkeypatch):
    monkeypatch.setitem(tiling.SPECS, 2, tiling.SPECS[2].model_copy(update={"features": 2}))
    monkeypatch.setitem(tiling.WINDOW, 2, (256, 256))
    monkeypatch.setitem(budget.MAX_PIXELS, 2, 300_000)
    monkeypatch.setattr(one_image, "WIDTH", 256)
    monkeypatch.setattr(peak, "SPEC", peak.SPEC.model_copy(update={"features": 4}))
    monkeypatch.setattr(peak, "IMAGE", 20)
    monkeypatch.setitem(peak.MATRIX, "cpu", 64)
    result = CliRunner().invoke(app, ["benchmark", "tiling", "--size", "600", "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["benchmark"] == "tiling"
    assert figures["plan"]["tiles"] > 1
    assert figures["largest error"] < 1e-4
    assert figures["labels that differ"] == 0
    assert figures["largest error of monai"] > 100 * figures["largest error"]
    assert figures["shape"] == [768, 768]
    assert figures["decoding"]["objects"] > 500
    assert figures["unet 2015"]["reads"] == [204, 204]
    assert figures["unet 2015"]["float32"]["share of it"] > 0
    assert figures["unet 2015"]["host to result, exact"]["images of 20x20 per second"] > 0
    assert {"system", "cores", "torch"} <= figures["machine"].keys()


def test_tiling_of_a_volume(monkeypatch):
    monkeypatch.setitem(tiling.SPECS, 3, tiling.SPECS[3].model_copy(update={"features": 2, "levels": 1}))
    monkeypatch.setitem(tiling.WINDOW, 3, (16, 64, 64))
    monkeypatch.setitem(budget.MAX_PIXELS, 3, 1_000_000)
    result = CliRunner().invoke(app, ["benchmark", "tiling", "--volume", "--size", "256", "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["shape"] == [16, 256, 256]
    assert figures["plan"]["tiles"] > 1
    assert figures["largest error"] < 1e-4
    assert figures["labels that differ"] == 0
    assert figures["largest error of monai"] > 100 * figures["largest error"]


def test_all_of_a_graphics_card_is_measured(monkeypatch):
    """On the CPU, which is a device, too."""
    written: dict = {}
    monkeypatch.setattr(gpu, "write_result", lambda name, figures: written.update({name: figures}))
    monkeypatch.setattr(gpu.tiling, "run", lambda *about: {"measured": about})
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cpu", "--size", "600", "--rounds", "1", "--steps", "3"])
    gpu.main()
    (figures,) = written.values()
    assert [figures[what]["measured"] for what in ("planes", "volumes")] == [
        (600, 1, "cpu", False),
        (512, 1, "cpu", True),
    ]
    for found in figures["exact"].values():
        assert found["exact"]["largest difference of a map"] == 0
        assert found["exact"]["objects"][0] == found["exact"]["objects"][1] > 0
    assert all(rate > 0 for rates in figures["learning"].values() for rate in rates.values())


def test_memory():
    result = CliRunner().invoke(app, ["benchmark", "memory", "--size", "256", "--size", "300", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert [row["size"] for row in figures["rows"]] == [256, 300]
    assert all(20 < row["n_objects"] < 60 for row in figures["rows"])
    assert all(100 < row["peak_rss_mb"] < 3000 for row in figures["rows"])


def test_calls_are_timed_in_turn():
    order: list[str] = []
    seconds = in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 3
    assert [len(values) for values in seconds.values()] == [3, 3]


def test_ratio():
    assert ratio([2.0, 3.0, 8.0], [1.0, 1.0, 2.0]) == {"median": 3.0, "least": 2.0, "most": 4.0}


# -- the simulated annotator ------------------------------------------------------------------------------------------


@pytest.fixture
def dark_nuclei():
    """Five fields of dark, noisy nuclei, which the shipped model has not seen and finds less than half of."""
    folder = files("napari_unet") / "samples"
    images = np.sqrt(tifffile.imread(str(folder / "nuclei_stack.tif")).astype(np.float32))
    truths = tifffile.imread(str(folder / "nuclei_stack_reference.tif")).astype(np.int32)
    noise = np.random.default_rng(0).normal(0, 0.8, images.shape) * images.std(axis=(1, 2), keepdims=True)
    dark = (noise - images).astype(np.float32)
    return [Field(Image(image, "YX"), truth) for image, truth in zip(dark, truths, strict=True)]


def test_learning_from_a_few_corrections_beats_not_learning(nuclei, dark_nuclei):
    """Twelve mended objects of one field help two others."""
    evaluator = Evaluator(dark_nuclei[2:4], (), instances=True)

    def score(model):
        return evaluator.scores(lambda image: segment(image, model, device="cpu").labels)["score"]

    (point,) = annotate_and_learn(nuclei, dark_nuclei[:1], rounds=1, objects=12, steps=20, instances=True)
    assert 12 <= point.objects < 24
    assert 40 < point.seconds < 240
    before, after = score(nuclei), score(point.model)
    assert before < 0.5
    assert after > before + 0.06, (before, after)


def test_corrections_stay_when_the_field_is_segmented_again(bright_model, blobs):
    image, truth = blobs((96, 96), n=8, radius=10)
    session = AnnotatorSession(Field(Image(image, "YX"), truth))
    session.show(bright_model(threshold=0.9))
    assert session.correct(2) >= 2
    mended = session.labels.copy()
    protected = session.corrections.protected(session.labels, (0, 0))
    session.show(bright_model(threshold=0.3))
    assert (session.labels[0, 0] == mended[0, 0])[protected].all()
    session.correct(1000)
    assert session.reviewed
    assert evaluate(session.people[0].truth, session.labels[0, 0]).ap["0.75"] == 1
    (crop,) = session.crops(bright_model())
    assert crop.part.mask("supervised").all()


def test_a_finished_field_is_followed_by_the_next(bright_model, blobs):
    """The model finds almost nothing, so every object is corrected; looking a field over is paid once."""
    fields = [
        Field(Image(image, "YX"), truth) for image, truth in (blobs((64, 64), n=4, seed=seed) for seed in range(2))
    ]
    number = [field.objects for field in fields]
    model = bright_model(threshold=3.0)
    points = list(annotate_and_learn(model, fields, rounds=9, objects=number[0], steps=1, instances=True, seed=3))
    assert [point.figures["fields"] for point in points] == [1, 2]
    assert [point.objects for point in points] == [number[0], sum(number)]
    people = [AnnotatorSession(field, seed=3 + i).people[0] for i, field in enumerate(fields)]
    assert points[-1].seconds == pytest.approx(sum(p.draw_all() + p.review() for p in people))
    assert [len(point.crops) for point in points] == [1, 2]


def test_a_volume_is_corrected_slice_by_slice(bright_model, blobs):
    image, truth = blobs((64, 64), n=4, seed=1)
    field = Field(Image(np.stack([image] * 5), "ZYX"), np.stack([truth] * 5), planes=(1, 3))
    (point,) = annotate_and_learn(bright_model(threshold=3.0), [field], rounds=1, objects=6, steps=1, instances=True)
    assert point.objects == 6
    assert [one.part.corner[0] for one in point.crops] == [1, 3]
    first, second = (set(np.unique(one.part.labels)) - {0} for one in point.crops)
    assert (len(first), len(second)) == (4, 2)
    assert not first & second, "an object that is drawn has an id of its own"
    assert field.objects == 20
    forest = RandomForest(instances=True)
    forest.learn(point)
    assert evaluate(field.truth, forest.segment(field.image)).ap["0.50"] > 0.5
    dense = Dense(bright_model(), [field], 1, instances=True)
    dense.learn(replace(point, seconds=1e9))
    assert dense.segment(field.image).shape == field.truth.shape


def test_a_model_untrained_learns_once_two_classes_are_painted(data):
    fields, held_out = read_fields(data, DATA_SETS["squares"], 64)
    assert set(np.unique(fields[0].truth)) == {1, 2}, "0 is what nobody has painted"
    model = _untrained(fields, "semantic", 0)
    points = list(annotate_and_learn(model, fields, rounds=4, objects=1, steps=30, instances=False))
    assert len(points) < 4
    model = points[-1].model
    assert not model.info.is_untrained
    assert set(np.unique(segment(held_out[0].image, model, device="cpu").labels)) <= {1, 2}


def test_fields_are_split_by_file(data):
    fields, held_out = read_fields(data, DATA_SETS["squares"], 48)
    assert [field.image.name for field in fields] == ["a_0.tif", "a_1.tif", "b_0.tif"]
    assert [field.image.name for field in held_out] == ["c_0.tif"]
    assert {field.truth.shape for field in fields} == {(48, 48)}


def test_more_planes_of_a_volume_are_held_out_than_worked_on(tmp_path):
    for name, folder in itertools.product(("a", "b"), ("images", "labels")):
        path = tmp_path / "volumes" / folder / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        volume = np.broadcast_to(np.arange(9)[:, None, None], (9, 64, 64)).astype(np.uint8)  # plane 0 shows nothing
        tifffile.imwrite(path, volume, metadata={"axes": "ZYX"})
    fields, held_out = read_fields(tmp_path, DataSet("volumes", planes=2), 64)
    assert [field.truth[0, 0] for field in fields] == [2, 5]
    assert [field.truth[0, 0] for field in held_out] == [1, 2, 3, 4, 5, 6]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a data set of classes, from three animals."""
    rng = np.random.default_rng(0)
    monkeypatch.setitem(DATA_SETS, "squares", DataSet("squares", base=None, instances=False, grouped=True))
    for name in ("a_0", "a_1", "b_0", "c_0"):
        labels = np.zeros((64, 64), np.uint8)
        labels[12:30, 12:30], labels[36:52, 30:50] = 1, 1
        for folder, array in (("images", 100 * labels + rng.integers(0, 50, labels.shape)), ("labels", labels)):
            path = tmp_path / "squares" / folder / f"{name}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, array.astype(np.uint8))
    return tmp_path


def test_annotator(data, tmp_path):
    words = ["annotator", "--data", data, "--set", "squares", "--rounds", 1, "--objects", 6, "--steps", 1]
    words += ["--ceiling-steps", 1, "--size", 64, "--base", "axons", "-o", tmp_path / "out", "--json"]
    result = CliRunner().invoke(app, ["benchmark", *map(str, words)])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    (written,) = (tmp_path / "out").glob("annotator-squares-*.json")
    assert json.loads(written.read_text()) == figures
    assert figures["base"] == "axons"
    rows = figures["rows"]
    assert [len(rows[who]) for who in ("program", "dense", "scratch")] == [2, 1, 1]
    assert [row["seconds"] for row in rows["program"][1:]] == [row["seconds"] for row in rows["scratch"]]
    assert rows["program"][0]["seconds"] == 0 < rows["program"][1]["seconds"]
    assert 0 < figures["ceiling"]["score"] <= 1


def test_a_model_of_another_task(data):
    words = ["annotator", "--data", str(data), "--set", "squares", "--base", "cells_phase"]
    result = CliRunner().invoke(app, ["benchmark", *words])
    assert result.exit_code == 1
    assert "another model" in result.stderr


def test_a_data_set_that_is_not_there(data):
    result = CliRunner().invoke(app, ["benchmark", "annotator", "--data", str(data), "--set", "circles"])
    assert result.exit_code == 2
    assert "squares" in result.stderr
    result = CliRunner().invoke(app, ["benchmark", "annotator", "--data", str(data), "--set", "axons_sem"])
    assert result.exit_code == 1
    assert "axons_sem" in result.stderr


def test_summary():
    rows = {
        "program": [
            {"seconds": 0, "objects": 0, "score": 0.1, "known": 0.9},
            {"seconds": 30, "objects": 5, "score": 0.5, "known": 0.85, "wait": 3.0},
            {"seconds": 60, "objects": 9, "score": 0.8, "known": 0.87, "wait": 5.0},
        ],
        "dense": [{"score": 0.5}, {"score": 0.6}],
    }
    assert summary(rows, best=0.85, objects=90, dense_seconds=600) == {
        "seconds from the last stroke to a new picture": 4.0,
        "most forgotten": 0.05,
        "90 % of the ceiling": {
            "objects": 9, "share of the objects": 0.1, "seconds": 60, "share of the seconds": 0.1,
        },
        "ahead of dense": "1 of 2 times",
    }  # fmt: skip


def test_curves(tmp_path):
    pytest.importorskip("matplotlib")
    rows = {
        who: [{"seconds": s, "objects": s, "score": 0.5, "known": 0.9} for s in (0, 9)] for who in ("program", "dense")
    }
    draw_curves({"rows": rows, "ceiling": {}, "measure": "AP", "data": "squares"}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_work_of_the_2015_network_is_that_of_its_layers():
    """Counted by hand for 572 x 572: two 3x3 convolutions a level, 2x2 up-convolutions, and 1x1 at the end."""
    sizes, features = [570, 282, 138, 66, 30], [64, 128, 256, 512, 1024]
    pairs, into = 0, 1
    for size, width in zip(sizes, features, strict=True):
        pairs += 9 * (into * width * size**2 + width * width * (size - 2) ** 2)
        into = width
    for size, width in zip((56, 104, 200, 392), (512, 256, 128, 64), strict=True):
        pairs += 2 * width * width * size**2  # each pixel of the lower level gives four
        pairs += 9 * (2 * width * width * (size - 2) ** 2 + width * width * (size - 4) ** 2)
    pairs += 64 * 2 * 388**2
    assert peak._floating_point_operations(UNet(unet2015()), (1, 572, 572)) == 2 * pairs


@pytest.mark.parametrize(("script", "options"), [("object_size", []), ("flips", ["--model", "nuclei"])])
def test_scripts_run_on_two_images(blobs, tmp_path, script, options):
    for part in ("images", "labels"):
        (tmp_path / "nuclei_dsb2018" / "val" / part).mkdir(parents=True)
    for seed in range(2):
        for part, array in zip(("images", "labels"), blobs((120, 130), n=9, seed=seed, radius=9), strict=True):
            values = (1000 * array.clip(0)).astype(np.uint16) if part == "images" else array.astype(np.uint16)
            tifffile.imwrite(tmp_path / "nuclei_dsb2018" / "val" / part / f"fluorescence_{seed}.tif", values)
    command = [sys.executable, "-m", "napari_unet.cli", "benchmark", script, "--data", tmp_path, "--smoke", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "fluorescence" in ran.stdout
    assert "written to" not in ran.stdout


def test_a_folder_several_at_once(blobs, tmp_path):
    images = tmp_path / "nuclei_bbbc039" / "val" / "images"
    images.mkdir(parents=True)
    for seed in range(3):
        image, _ = blobs((120, 130), n=9, seed=seed, radius=9)
        tifffile.imwrite(images / f"{seed}.tif", (1000 * image.clip(0)).astype(np.uint16))
    figures = folders.run(tmp_path, 2, 1)
    assert figures["images"] == figures["found finished"] == 2
    assert figures["the same pixels of each object"]
    assert len(set(figures["objects"].values())) == 1
    assert set(figures["idle threads"]["seconds"]) == {"passive", "default"}


def test_where_the_time_of_an_image_goes(monkeypatch):
    monkeypatch.setattr(one_image, "WIDTH", 256)
    figures = one_image.run(1)
    assert figures["objects"] > 10
    assert set(figures["seconds of one core"]) > {"array to labels", "bare network", "engine", "decoding"}
    assert 0 < figures["decoding's share"]["median"] < 1
