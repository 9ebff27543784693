"""The command line, as a person or a script calls it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_unet import batch
from napari_unet.cli import app
from napari_unet.io.readers import read_image, read_labels


@pytest.fixture
def run():
    """Return a function that runs a command line: (exit status, last line on stdout as JSON or None, stderr)."""

    def call(*words):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        lines = result.stdout.strip().splitlines()
        value = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
        return result.exit_code, value, result.stderr

    return call


@pytest.fixture
def folder(tmp_path, blobs):
    """A folder of three images with their labels beside it, and one file that is no image."""
    for name, seed in (("a", 0), ("b", 1), ("c", 2)):
        image, labels = blobs((64, 72), seed=seed)
        for part, array in (("images", np.clip(image * 200, 0, 255).astype(np.uint8)), ("labels", labels)):
            (tmp_path / part).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / part / f"{name}.tif", array.astype(np.uint16))
    return tmp_path


def test_segment_one_file(folder, run):
    out = folder / "out" / "objects.tif"
    status, value, _ = run("segment", folder / "images" / "a.tif", "-o", out, "--json")
    assert status == 0
    (report,) = value["results"]
    assert set(report) == {
        "input", "output", "n_objects", "seconds", "device", "tiles", "tile_shape", "halo", "mode", "damaged",
            "note", "peak_rss_mb"
    }  # fmt: skip
    labels = read_labels(out)
    assert labels.shape == (64, 72)
    assert labels.max() == report["n_objects"] > 0
    assert report["device"] == "cpu" or report["device"].startswith(("cuda", "mps"))


@pytest.mark.parametrize("ending", ["tif", "zarr"])
@pytest.mark.parametrize("fate", ["changed", "disappeared"])
def test_an_image_that_changes_meanwhile_is_told_and_nothing_has_its_name(folder, run, monkeypatch, fate, ending):
    path = folder / "images" / "a.tif"
    for module, name in ((batch, "segment"), (batch, "segment_into")):
        real = getattr(module, name)

        def meanwhile(*args, real=real, **kwargs):
            result = real(*args, **kwargs)
            if fate == "changed":
                path.write_bytes(path.read_bytes() + b"more")
            else:
                path.unlink()
            return result

        monkeypatch.setattr(module, name, meanwhile)
    status, _, told = run("segment", path, "-o", folder / f"out.{ending}")
    assert status == 1
    assert f"a.tif {fate} while it was segmented" in told
    assert not (folder / f"out.{ending}").exists()


def test_segment_a_folder_and_evaluate(folder, run):
    assert run("segment", folder / "images", "-o", folder / "out")[0] == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == [f"{name}_labels.tif" for name in "abc"]
    status, scores, _ = run("evaluate", "--pred", folder / "out", "--truth", folder / "labels", "--json")
    assert status == 0
    assert list(scores) == ["n_images", "n_truth", "n_pred", "ap", "ap_per_image", "f1", "pq", "seg", "dice", "iou"]
    assert scores["n_images"] == 3
    assert scores["ap"]["0.50"] > 0.3  # discs are no nuclei, but bright and round
    (folder / "labels" / "b.tif").unlink()
    status, _, errors = run("evaluate", "--pred", folder / "out", "--truth", folder / "labels")
    assert status == 1
    assert "b_labels.tif" in errors


def test_the_result_does_not_depend_on_the_tile(folder, run):
    for tile, name in ((16, "one"), (48, "two")):
        assert run("segment", folder / "images" / "a.tif", "-o", folder / f"{name}.tif", "--tile", tile)[0] == 0
    assert np.array_equal(read_labels(folder / "one.tif"), read_labels(folder / "two.tif"))


@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_the_plan_is_told_once_with_its_seconds(folder, run, ending):
    out = folder / f"o.{ending}"
    _, _, told = run("segment", folder / "images" / "a.tif", "-o", out, "--tile", 16, "--mode", "exact")
    assert told.count("20 tiles of 16×16, exact, halo ") == 1
    assert "the work of one pass, about " in told


def test_results_are_not_overwritten(folder, run):
    out = folder / "o.tif"
    out.write_bytes(b"mine")
    status, value, errors = run("segment", folder / "images" / "a.tif", "-o", out, "--json")
    assert (status, value["results"], out.read_bytes()) == (1, [], b"mine")
    assert "--overwrite" in errors
    assert run("segment", folder / "images" / "a.tif", "-o", out, "--overwrite")[0] == 0
    assert read_labels(out).shape == (64, 72)


def test_one_bad_file_among_good_ones(folder, run):
    (folder / "images" / "b.tif").write_text("no image")
    status, value, errors = run("segment", folder / "images", "-o", folder / "out", "--json")
    assert status == 1
    assert [r["input"][-5:] for r in value["results"]] == ["a.tif", "c.tif"]
    assert "b.tif" in value["failed"][0]["input"]
    assert "b.tif" in errors
    assert not (folder / "out" / "b_labels.tif").exists()


def test_maps_and_zarr(folder, run):
    out = folder / "o.zarr"
    assert run("segment", folder / "images" / "a.tif", "-o", out, "--maps", "--pixel-size", "0.5")[0] == 0
    maps = read_image(folder / "o_maps.zarr")
    assert maps.axes == "CYX"
    assert maps.data.shape == (2, 64, 72)
    assert maps.pixel_size.x == pytest.approx(0.5)
    assert read_labels(out).shape == (64, 72)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["segment", "IMAGE", "-o", "OUT", "--model", "nope"], 2, "nuclei"),
        (["segment", "IMAGE", "-o", "OUT", "--device", "tpu"], 2, "cpu"),
        (["segment", "IMAGE", "-o", "OUT", "--pixel-size", "big"], 2, "0.65"),
        (["segment", "IMAGE", "-o", "OUT", "--pixel-size", "-1"], 2, "positive"),
        (["segment", "IMAGE", "-o", "OUT", "--tile", "0"], 2, "tile"),
        (["segment", "IMAGE"], 2, "out"),
        (["segment", "IMAGE", "-o", "OUT", "--axes", "ZYX"], 1, "'YX'"),
        (["segment", "IMAGE", "-o", "OUT", "--axes", "QX"], 1, "unknown letter"),
        (["segment", "IMAGE", "-o", "OUT", "--channel", "3"], 1, "channels 0 to 0"),
        (["segment", "gone.tif", "-o", "OUT"], 1, "gone.tif does not exist"),
        (["segment", "EMPTY", "-o", "OUT"], 1, "no image"),
        (["train", "--images", "EMPTY", "--labels", "EMPTY", "-o", "m.safetensors"], 2, "--new"),
        (["train", "--images", "EMPTY", "--labels", "EMPTY", "--new", "unet2d", "-o", "m.pt"], 2, "m.safetensors"),
        (["train", "--images", "EMPTY", "--labels", "EMPTY", "--new", "unet2d", "-o", "m.safetensors"], 1, "no image"),
        (["info", "nope"], 2, "nuclei"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_and_bad_input(folder, run, words, status, said):
    (folder / "empty").mkdir()
    names = {"IMAGE": folder / "images" / "a.tif", "OUT": folder / "out.tif", "EMPTY": folder / "empty"}
    code, _, errors = run(*[names.get(word, word) for word in words])
    assert code == status
    assert said in errors
    assert not (folder / "out.tif").exists()


@pytest.mark.parametrize("task", ["instances", "semantic"])
def test_train_then_segment(folder, run, task):
    if task == "semantic":
        for path in (folder / "labels").iterdir():
            tifffile.imwrite(path, (tifffile.imread(path) > 0).astype(np.uint8))
    model = folder / "mine.safetensors"
    pairs = ["--images", folder / "images", "--labels", folder / "labels"]
    validation = ["--val-images", folder / "images", "--val-labels", folder / "labels"]
    status, value, _ = run(
        "train", *pairs, *validation, "--new", "unet2d", "--task", task, "--steps", 2, "-o", model, "--json"
    )
    assert status == 0
    assert value["steps"] == 2
    assert 0 <= value["scores"]["validation"] <= 1
    status, card, _ = run("info", model, "--json")
    assert (status, card["name"], card["task"]) == (0, "mine", task)
    assert len(card["sha256"]) == 64
    assert run("segment", folder / "images" / "a.tif", "-o", folder / "o.tif", "--model", model)[0] == 0
    assert run("train", *pairs, "--base", model, "--steps", 1, "-o", folder / "again.safetensors")[0] == 0
    status, _, errors = run("train", *pairs, "--new", "unet2d", "--steps", 1, "-o", model)
    assert status == 1
    assert "--overwrite" in errors


def test_models(run):
    status, value, _ = run("models", "--json")
    assert status == 0
    assert value["models"][0]["name"] == "nuclei"
    assert value["models"][0]["shipped"]


def test_progress_goes_to_stderr_and_json_to_stdout(folder):
    command = [sys.executable, "-m", "napari_unet.cli", "segment", "images/a.tif", "-o", "o.tif", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert len(done.stdout.strip().splitlines()) == 1
    assert json.loads(done.stdout)["results"][0]["output"] == "o.tif"
    assert "objects" in done.stderr
