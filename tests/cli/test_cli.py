"""The command line: exit statuses, what is written where, and what is said on which stream."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
import typer
import zarr

import napari_unet
from napari_unet.cli import app
from napari_unet.cli.messages import say_failed
from napari_unet.errors import UNetError
from napari_unet.inference import files, resume
from napari_unet.io import readers
from napari_unet.io.readers import read_image, read_labels
from napari_unet.io.writers import write_maps
from napari_unet.learning.train import train
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.info import FROM_SCRATCH
from napari_unet.models.store import save_model
from napari_unet.training.checked import CheckedTraining


def report(result):
    """The JSON object that is the last line, and all, of standard output."""
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


def squares(places=((5, 5), (5, 30), (25, 12))):
    image = np.full((48, 60), 20, np.uint16)
    for y, x in places:
        image[y : y + 9, x : x + 9] = 200
    return image


@pytest.fixture
def model(bright_model, tmp_path):
    """Path of a model that finds what is bright."""
    path = tmp_path / "bright.safetensors"
    save_model_file(bright_model(), path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder of three images with 3, 1 and 2 squares."""
    path = tmp_path / "images"
    path.mkdir()
    for name, n in (("a", 3), ("b", 1), ("c", 2)):
        tifffile.imwrite(path / f"{name}.tif", squares(((5, 5), (5, 30), (25, 12))[:n]))
    return path


def names(path):
    return sorted(p.name for p in path.iterdir() if p.name != resume.FOLDER)


# -- segment -----------------------------------------------------------------------------------------------------------


def test_one_file_gives_one_file(run, folder, model, tmp_path):
    out = tmp_path / "new" / "result.tif"
    result = run("segment", folder / "a.tif", "-o", out, "--model", model, "--device", "cpu")
    assert result.stdout == ""
    assert "3 objects" in result.stderr
    labels = read_labels(out)
    assert labels.shape == (48, 60)
    assert np.array_equal(labels > 0, squares() > 100)
    assert names(out.parent) == ["result.tif"]


def test_a_folder_gives_a_folder(run, folder, model, tmp_path):
    out = tmp_path / "out"
    run("segment", folder, "-o", out, "--model", model, "--device", "cpu")
    assert names(out) == ["a_labels.tif", "b_labels.tif", "c_labels.tif"]
    assert [int(read_labels(out / name).max()) for name in names(out)] == [3, 1, 2]


def test_several_files_give_a_folder(run, folder, model, tmp_path):
    out = tmp_path / "out"
    run("segment", folder / "a.tif", folder / "c.tif", "-o", out, "--model", model, "--format", "zarr")
    assert names(out) == ["a_labels.zarr", "c_labels.zarr"]
    assert read_labels(out / "a_labels.zarr").max() == 3


def test_the_report(run, folder, model, tmp_path):
    out = tmp_path / "out"
    card = report(run("segment", folder, "-o", out, "--model", model, "--device", "cpu", "--tile", "32", "--json"))
    assert len(card["results"]) == 3
    first = card["results"][0]
    assert set(first) >= {
        "input", "output", "n_objects", "seconds", "device", "tiles", "tile_shape", "halo", "peak_rss_mb",
    }  # fmt: skip
    assert first["input"] == str(folder / "a.tif")
    assert first["output"] == str(out / "a_labels.tif")
    assert (first["n_objects"], first["device"], first["tiles"]) == (3, "cpu", 4)
    assert first["tile_shape"] == [24, 30]
    assert len(first["halo"]) == 2
    assert first["seconds"] >= 0
    assert first["peak_rss_mb"] > 10
    assert card["failed"] == []


def test_an_existing_result_is_kept(run, folder, model, tmp_path):
    out = tmp_path / "a.tif"
    out.write_bytes(b"precious")
    result = run("segment", folder / "a.tif", "-o", out, "--model", model, status=1)
    assert "--overwrite" in result.stderr
    assert str(out) in result.stderr
    assert out.read_bytes() == b"precious"
    run("segment", folder / "a.tif", "-o", out, "--model", model, "--overwrite")
    assert read_labels(out).max() == 3


def test_an_existing_map_is_kept(run, folder, model, tmp_path):
    arguments = ["segment", folder / "a.tif", "-o", tmp_path / "a.tif", "--model", model, "--maps"]
    run(*arguments, "--pixel-size", "0.5")
    assert read_image(tmp_path / "a_maps.zarr").pixel_size.x == pytest.approx(0.5)
    (tmp_path / "a.tif").unlink()
    before = sorted(p.name for p in (tmp_path / "a_maps.zarr").rglob("*"))
    result = run(*arguments, status=1)
    assert "a_maps.zarr" in result.stderr
    assert sorted(p.name for p in (tmp_path / "a_maps.zarr").rglob("*")) == before


def test_what_fails_is_named_and_the_rest_is_done(run, folder, model, tmp_path):
    (folder / "b.tif").write_bytes(b"II*\0 this is no TIFF at all")
    (folder / "d.tif").write_bytes(b"")
    tifffile.imwrite(folder / "e.tif", np.zeros((20, 20), np.complex64))
    out = tmp_path / "out"
    result = run("segment", folder, "-o", out, "--model", model, "--json", status=1)
    card = report(result)
    assert [os.path.basename(r["input"]) for r in card["results"]] == ["a.tif", "c.tif"]
    assert [os.path.basename(r["input"]) for r in card["failed"]] == ["b.tif", "d.tif", "e.tif"]
    for failure in card["failed"]:
        name = os.path.basename(failure["input"])
        assert len(failure["error"]) > 10
        assert any(name in line for line in result.stderr.splitlines())
    assert names(out) == ["a_labels.tif", "c_labels.tif"]


def test_a_missing_file_is_named(run, folder, model, tmp_path):
    result = run("segment", folder / "a.tif", folder / "gone.tif", "-o", tmp_path / "out", "--model", model, status=1)
    assert "gone.tif" in result.stderr
    assert names(tmp_path / "out") == ["a_labels.tif"]


def test_an_empty_folder_is_told(run, model, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("segment", tmp_path / "empty", "-o", tmp_path / "out", "--model", model, status=1)
    assert "no image" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_a_result_is_replaced_as_a_whole(run, folder, model, tmp_path, ending):
    out = tmp_path / f"o.{ending}"
    arguments = "--model", model, "-o", out, "--maps"
    run("segment", folder / "a.tif", *arguments)
    assert "exists already" in run("segment", folder / "b.tif", *arguments, status=1).stderr
    assert read_labels(out).max() == 3
    run("segment", folder / "b.tif", *arguments, "--overwrite")
    assert read_labels(out).max() == 1
    assert read_image(tmp_path / "o_maps.zarr").data[0].sum() == pytest.approx(81, abs=1)
    assert set(names(tmp_path)) == {"bright.safetensors", "images", f"o.{ending}", "o_maps.zarr"}
    if ending == "zarr":
        assert names(out) == [".zattrs", ".zgroup", "0"]


def test_a_zarr_with_other_things_in_it_is_kept(run, folder, model, tmp_path):
    out = tmp_path / "o.zarr"
    run("segment", folder / "a.tif", "--model", model, "-o", out)
    (out / "notes.txt").write_text("years of work")
    result = run("segment", folder / "b.tif", "--model", model, "-o", out, "--overwrite", status=1)
    assert "choose another name" in result.stderr
    assert read_labels(out).max() == 3
    assert (out / "notes.txt").read_text() == "years of work"


# -- no output is an input ---------------------------------------------------------------------------------------------


def everything(path):
    return {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("way", ["same", "dots", "soft link", "hard link", "link to its folder", "link as input"])
def test_the_image_is_never_replaced(run, folder, model, tmp_path, monkeypatch, way):
    image = folder / "a.tif"
    monkeypatch.chdir(folder)
    (tmp_path / "soft.tif").symlink_to(image)
    (tmp_path / "hard.tif").hardlink_to(image)
    (tmp_path / "door").symlink_to(folder)
    source, out = {
        "same": (image, image),
        "dots": (image, os.path.join(".", "..", "images", "a.tif")),
        "soft link": (image, tmp_path / "soft.tif"),
        "hard link": (image, tmp_path / "hard.tif"),
        "link to its folder": (image, tmp_path / "door" / "a.tif"),
        "link as input": (tmp_path / "soft.tif", image),
    }[way]
    before = everything(tmp_path)
    for options in ([], ["--overwrite"]):
        result = run("segment", source, "-o", out, "--model", model, *options, status=1)
        assert "is an input" in result.stderr
    assert everything(tmp_path) == before
    assert (tmp_path / "soft.tif").is_symlink()


@pytest.mark.parametrize(
    "out", ["in.zarr", "in.zarr/labels.zarr", "in.zarr/labels.tif", "in.zarr/0", "in.zarr/0/l.tif"]
)
@pytest.mark.parametrize("source", ["in.zarr", "in.zarr/0"])
def test_nothing_is_written_into_or_around_a_zarr_that_is_read(run, model, tmp_path, source, out):
    write_maps(tmp_path / "in.zarr", squares()[None].astype(np.float32), "CYX")
    before = everything(tmp_path)
    result = run("segment", tmp_path / source, "-o", tmp_path / out, "--model", model, "--overwrite", status=1)
    assert "an input" in result.stderr or "outside of it" in result.stderr
    assert everything(tmp_path) == before


def test_nothing_is_written_into_a_zarr_at_all(run, folder, model, tmp_path):
    write_maps(tmp_path / "other.zarr", squares()[None].astype(np.float32), "CYX")
    before = everything(tmp_path)
    for out in ("other.zarr/l.tif", "other.zarr/l.zarr", "other.zarr/l"):
        result = run("segment", folder / "a.tif", "-o", tmp_path / out, "--model", model, status=1)
        assert "outside of it" in result.stderr
    assert "a Zarr" in run("segment", folder, "-o", tmp_path / "other.zarr", "--model", model, status=2).stderr
    assert everything(tmp_path) == before


def test_maps_are_not_written_over_an_image(run, model, tmp_path):
    write_maps(tmp_path / "a_maps.zarr", squares()[None].astype(np.float32), "CYX")
    tifffile.imwrite(tmp_path / "a.tif", squares())
    before = everything(tmp_path)
    arguments = "--model", model, "--maps", "--overwrite"
    one = run("segment", tmp_path / "a_maps.zarr", "-o", tmp_path / "a.tiff", *arguments, status=1)
    assert "a_maps.zarr is an input" in one.stderr
    both = run("segment", tmp_path / "a.tif", tmp_path / "a_maps.zarr", "-o", tmp_path, *arguments, status=1)
    assert "a_maps.zarr is an input" in both.stderr
    assert {k: v for k, v in everything(tmp_path).items() if k in before} == before
    assert set(names(tmp_path)) == {
        "a.tif", "a_maps.zarr", "a_maps_labels.tif", "a_maps_maps.zarr", "bright.safetensors",
    }  # fmt: skip


def test_the_result_of_one_is_not_the_image_of_another(run, folder, model):
    shutil.copy(folder / "c.tif", folder / "a_labels.tif")
    kept = (folder / "a_labels.tif").read_bytes()
    arguments = folder / "a.tif", folder / "a_labels.tif", "-o", folder, "--model", model, "--overwrite", "--json"
    card = report(run("segment", *arguments, status=1))
    assert [os.path.basename(f["input"]) for f in card["failed"]] == ["a.tif"]
    assert (folder / "a_labels.tif").read_bytes() == kept
    assert read_labels(folder / "a_labels_labels.tif").max() == 2


def test_a_result_is_not_replaced_by_the_next_one(run, folder, model, tmp_path):
    """As where the disk takes two names for one, such as A_labels.tif and a_labels.tif."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "b_labels.tif").symlink_to(out / "a_labels.tif")
    result = run("segment", folder, "-o", out, "--model", model, "--overwrite", status=1)
    assert "b_labels.tif is a result of this run" in result.stderr
    assert [int(read_labels(out / f"{name}_labels.tif").max()) for name in "abc"] == [3, 3, 2]


def test_the_model_is_not_replaced(run, folder, model, tmp_path):
    (tmp_path / "o.tif").symlink_to(model)
    result = run("segment", folder / "a.tif", "-o", tmp_path / "o.tif", "--model", model, "--overwrite", status=1)
    assert "bright.safetensors" in result.stderr
    assert load_model_file(model).name == "bright"


# -- names of results --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["o.TIF", "o.Tiff", "o.ome.tif", "o.ZARR", "o.ome.zarr", "deep/er/o.tif"])
def test_endings_that_are_written(run, folder, model, tmp_path, name):
    run("segment", folder / "a.tif", "-o", tmp_path / name, "--model", model)
    assert read_labels(tmp_path / name).max() == 3
    assert (tmp_path / name).is_dir() == name.lower().endswith("zarr")


@pytest.mark.parametrize("name", ["o.png", "o.PNG", "o.npy", "o.h5", "o.tif.gz", "o.zip", "o.safetensors", "-"])
def test_endings_that_are_not(run, folder, model, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    before = names(tmp_path)
    for inputs in ([folder / "a.tif"], [folder], [folder / "a.tif", folder / "b.tif"]):
        assert name in run("segment", *inputs, "-o", name, "--model", model, status=2).stderr.replace("as .", f"{name}")
    assert names(tmp_path) == before


def test_a_folder_for_several_is_not_named_as_a_file(run, folder, model, tmp_path):
    for name in ("o.tif", "o.zarr", "o.TIFF"):
        assert "-o o." in run("segment", folder, "-o", tmp_path / name, "--model", model, status=2).stderr
        assert not (tmp_path / name).exists()
    (tmp_path / "file").touch()
    assert "is a file" in run("segment", folder, "-o", tmp_path / "file", "--model", model, status=2).stderr
    (tmp_path / "v1.x").mkdir()
    for name in ("v1.x", "2024.05.01", "plain"):
        run("segment", folder, "-o", tmp_path / name, "--model", model)
        assert names(tmp_path / name) == ["a_labels.tif", "b_labels.tif", "c_labels.tif"]


@pytest.mark.parametrize(("name", "asked"), [("o.tif", "zarr"), ("o.zarr", "tif"), ("o.TIFF", "zarr")])
def test_a_format_against_the_ending(run, folder, model, tmp_path, name, asked):
    arguments = "segment", folder / "a.tif", "-o", tmp_path / name, "--model", model, "--format"
    assert "contradicts" in run(*arguments, asked, status=2).stderr
    assert not (tmp_path / name).exists()
    run(*arguments, "zarr" if asked == "tif" else "tif")
    assert read_labels(tmp_path / name).max() == 3


def test_a_format_for_a_name_without_an_ending(run, folder, model, tmp_path):
    run("segment", folder / "a.tif", "-o", tmp_path / "day.1", "--model", model, "--format", "tif", status=2)
    run("segment", folder / "a.tif", "-o", tmp_path / "o", "--model", model, "--format", "zarr")
    assert read_labels(tmp_path / "o.zarr").max() == 3


def test_one_field_of_a_plate(run, model, tmp_path):
    """What is advised can be done."""
    plate = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "B/03"}, {"path": "B/04"}]}
    plate.create_group("B/03").attrs["well"] = {"images": [{"path": "1"}]}
    write_maps(tmp_path / "field.zarr", squares()[None].astype(np.float32), "CYX")
    shutil.copytree(tmp_path / "field.zarr", tmp_path / "p.zarr" / "B" / "03" / "1")
    advised = tmp_path / "p.zarr" / "B" / "03" / "1"
    for path in (tmp_path / "p.zarr", tmp_path / "p.zarr" / "B" / "03"):
        said = run("segment", path, "-o", tmp_path / "o.tif", "--model", model, status=2).stderr
        assert "go to a folder" in said
        with pytest.raises(UNetError, match=f"such as {re.escape(str(advised))}"):
            read_image(path)
        said = run("segment", path, "-o", tmp_path / path.stem, "--model", model).stderr
        assert ("not there, or are damaged: B/04" in said) == (path.name == "p.zarr")
        assert names(tmp_path / path.stem) == ["p_B_03_1_labels.tif"]
        assert read_labels(tmp_path / path.stem / "p_B_03_1_labels.tif").max() == 3
        assert "finished is left" in run("segment", path, "-o", tmp_path / path.stem, "--model", model).stderr
    run("segment", advised, "-o", tmp_path / "o.tif", "--model", model)
    assert read_labels(tmp_path / "o.tif").max() == 3
    run("segment", advised, "-o", tmp_path / "out", "--model", model)
    assert names(tmp_path / "out") == ["p_B_03_1_labels.tif"]
    assert not (tmp_path / "p.zarr" / "B" / "03" / "1" / "out").exists()


def test_labels_into_the_image(run, folder, model, tmp_path, monkeypatch):
    """Each image of a plate gets labels in its own Zarr; a second run finds them; nothing else is changed."""
    plate = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "B/03"}, {"path": "B/04"}]}
    plate.create_group("B/03").attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
    write_maps(tmp_path / "field.zarr", squares()[None].astype(np.float32), "CYX")
    fields = [tmp_path / "p.zarr" / "B" / "03" / name for name in "01"]
    for field in fields:
        shutil.copytree(tmp_path / "field.zarr", field)
    before = {path: path.read_bytes() for path in (tmp_path / "p.zarr").rglob("*") if path.is_file()}
    arguments = "segment", tmp_path / "p.zarr", "--model", model, "--into-image"
    said = run(*arguments, "unet").stderr
    assert "damaged: B/04" in said
    assert "2 images: 2 segmented." in said
    for field in fields:
        labels = zarr.open_group(field / "labels", mode="r")
        assert labels.attrs["labels"] == ["unet"]
        assert np.asarray(labels["unet/0"]).max() == 3
        assert labels["unet"].attrs["napari_unet"]["inputs"]
    assert {path: path.read_bytes() for path in before} == before
    assert not list((tmp_path / "p.zarr").rglob("*.partial"))
    (fields[0] / "labels" / ".zattrs").unlink()  # killed in between
    made = {path: path.read_bytes() for path in (tmp_path / "p.zarr").rglob("*") if path.is_file()}
    assert "0 segmented, 2 finished before" in run(*arguments, "unet").stderr
    assert {path: path.read_bytes() for path in made} == made
    assert zarr.open_group(fields[0] / "labels", mode="r").attrs["labels"] == ["unet"]
    monkeypatch.setattr(files, "IN_MEMORY_BYTES", 0)
    run("segment", fields[0], "--model", model, "--into-image", "ядра 2")
    labels = zarr.open_group(fields[0] / "labels", mode="r")
    assert labels.attrs["labels"] == ["unet", "ядра 2"]
    np.testing.assert_array_equal(np.asarray(labels["ядра 2/0"]) > 0, np.asarray(labels["unet/0"]) > 0)
    for name in ("", "../x", "a/b", ".x", "a."):
        assert "cannot be called" in run(*arguments, name, status=1).stderr
    assert "no OME-Zarr" in run("segment", folder / "a.tif", "--model", model, "--into-image", "u", status=1).stderr
    assert "leave one of them out" in run(*arguments, "u", "-o", tmp_path / "o", status=2).stderr
    assert "-o a file or a folder" in run(*arguments[:-1], status=2).stderr
    for option in (("--maps",), ("--overwrite",), ("--format", "zarr")):
        assert "goes with -o only" in run(*arguments, "u", *option, status=2).stderr


@pytest.mark.parametrize("options", [(), ("--maps",), ("--format", "zarr", "--maps")])
def test_a_folder_segmented_into_itself_twice(run, folder, model, options):
    arguments = "segment", folder, "-o", folder, "--model", model, *options
    run(*arguments)
    first = names(folder)
    assert len(first) == (6 if not options else 9)
    again = run(*arguments, "--overwrite")
    assert names(folder) == first
    assert "Left out of" in again.stderr
    assert "[3/3] c.tif" in again.stderr
    assert "3 images: 0 segmented, 3 finished before." in run(*arguments).stderr
    ending = "zarr" if "zarr" in options else "tif"
    assert [int(read_labels(folder / f"{name}_labels.{ending}").max()) for name in "abc"] == [3, 1, 2]


def test_a_folder_of_results_only_is_told(run, folder, model, tmp_path):
    run("segment", folder, "-o", tmp_path / "out", "--model", model, "--format", "zarr")
    result = run("segment", tmp_path / "out", "-o", tmp_path / "more", "--model", model, status=1)
    assert "and no image" in result.stderr
    assert not (tmp_path / "more").exists()


# -- what is said of how an image was read -----------------------------------------------------------------------------


def test_notes_and_series(run, folder, model, tmp_path, monkeypatch):
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(squares())
        tif.write(np.pad(squares(((5, 5),)), 3))
    real = files.read_image

    def noted(*args, **kwargs):
        return replace(real(*args, **kwargs), notes=("Two images; this is one.",))

    monkeypatch.setattr(files, "read_image", noted)
    arguments = "segment", path, "-o", tmp_path / "o.tif", "--model", model, "--overwrite"
    for series, n in ((0, 3), (1, 1)):
        result = run(*arguments, "--series", series, "--json")
        card = report(result)["results"][0]
        assert (card["n_objects"], card["notes"]) == (n, ["Two images; this is one."])
        assert "Two images; this is one." in result.stderr.splitlines()
    assert "no scene 2; it has 0" in run(*arguments, "--scene", "2", status=1).stderr
    assert "no scene x; it has 0" in run(*arguments, "--series", "x", status=1).stderr
    for nothing in ("-1", "", " "):
        assert "a number from 0, or a name" in run(*arguments, "--scene", nothing, status=2).stderr.replace("\n", " ")


def test_a_channel_by_its_name(run, model, tmp_path):
    path = tmp_path / "核 of two.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["Hoechst", "Förster 488"]}}
    tifffile.imwrite(path, np.stack([squares(), squares(((5, 5),))]), ome=True, metadata=metadata)
    arguments = "segment", path, "-o", tmp_path / "o.tif", "--model", model, "--overwrite", "--json"
    for channel, n in (("Hoechst", 3), ("förster 488", 1), ("0", 3), ("1", 1)):
        assert report(run(*arguments, "--channel", channel))["results"][0]["n_objects"] == n
    said = run(*arguments, "--channel", "488", status=1).stderr
    assert "has no channel 488; it has 0 'Hoechst', 1 'Förster 488'." in said


def test_two_files_for_one_result_are_told(run, folder, model, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    tifffile.imwrite(other / "a.tif", squares())
    result = run("segment", folder / "a.tif", other / "a.tif", "-o", tmp_path / "out", "--model", model, status=1)
    assert "both be written" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "no such"], "nuclei"),
        (["--model", "gone.safetensors"], "gone.safetensors"),
        (["--device", "cuda:77"], "cpu"),
        (["--device", "toaster"], "cpu"),
        (["--pixel-size", "wide"], "0.65"),
        (["--pixel-size", "1,2,3,4"], "0.65"),
        (["--pixel-size", "-1"], "positive"),
        (["--pixel-size", "nan"], "positive"),
        (["--pixel-size", ""], "0.65"),
        (["--pixel-size", "inf"], "positive"),
        (["--channel", "-1"], "channel"),
        (["--channel", " "], "channel"),
        (["--scene", ""], "scene"),
        (["--device", "cuda:x"], "cuda:N"),
        (["--format", "docx"], "format"),
        (["--mode", "sloppy"], "mode"),
        (["--surprise"], "surprise"),
    ],
)
def test_wrong_usage(run, folder, model, tmp_path, options, said):
    options = options if "--model" in options else ["--model", model, *options]
    result = run("segment", folder / "a.tif", "-o", tmp_path / "out.tif", *options, status=2)
    assert said in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out.tif").exists()


def test_a_damaged_model_is_wrong_usage(run, folder, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"PK\x03\x04 not a model")
    result = run("segment", folder, "-o", tmp_path / "out", "--model", tmp_path / "bad.safetensors", status=2)
    assert "bad.safetensors" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--axes", "QYX"], "unknown letter"),
        (["--axes", "ZYX"], "3 letters"),
        (["--channel", "4"], "has one, number 0"),
    ],
)
def test_options_that_do_not_fit_the_image(run, folder, model, tmp_path, options, said):
    result = run("segment", folder / "a.tif", "-o", tmp_path / "o.tif", "--model", model, *options, status=1)
    assert said in result.stderr


def test_axes_and_pixel_size_are_used(run, bright_model, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model_file(bright_model(info={"pixel_size": (0.5, 0.5)}), path)
    tifffile.imwrite(tmp_path / "s.tif", np.stack([squares(), squares()]))
    arguments = ["segment", tmp_path / "s.tif", "--model", path, "--json"]
    depth = report(run(*arguments, "-o", tmp_path / "z.tif", "--axes", "ZYX"))["results"][0]
    time = report(run(*arguments, "-o", tmp_path / "t.tif", "--axes", "TYX"))["results"][0]
    assert (depth["n_objects"], time["n_objects"]) == (3, 6)
    scaled = report(run(*arguments, "-o", tmp_path / "p.tif", "--axes", "ZYX", "--pixel-size", "0.25"))["results"][0]
    assert scaled["tile_shape"] == [24, 30]
    labels = read_labels(tmp_path / "p.tif")
    assert labels.shape == (2, 48, 60)
    with tifffile.TiffFile(tmp_path / "p.tif") as tif:
        assert tif.series[0].axes == "ZYX"


def test_object_diameter(run, bright_model, folder, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model_file(bright_model(info={"diameter": 10}), path)
    arguments = ["segment", folder / "a.tif", "-o", tmp_path / "o.tif", "--json", "--overwrite"]
    done = report(run(*arguments, "--model", path, "--diameter", "20"))["results"][0]
    assert (done["tile_shape"], done["n_objects"]) == ([24, 30], 3)
    assert "from 1 to 10000, or auto" in run(*arguments, "--model", path, "--diameter", "0", status=2).stderr
    save_model_file(bright_model(), path)
    assert "does not know how wide" in run(*arguments, "--model", path, "--diameter", "20", status=2).stderr


def test_the_diameter_is_found(run, bright_model, folder, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model_file(bright_model(info={"diameter": 4, "image_diameter": 4}), path)
    arguments = ["segment", folder / "a.tif", "-o", tmp_path / "o.tif", "--json", "--overwrite", "--model", path]
    known = report(run(*arguments))["results"][0]
    assert (known["diameter"], known["zoom"]) == (None, [1.0, 1.0])
    ran = run(*arguments, "--diameter", "auto")
    found = report(ran)["results"][0]
    assert found["diameter"] == pytest.approx(10, abs=1.5)  # a square of 9 pixels is as large as a disc of 10
    assert found["zoom"] == pytest.approx([4 / found["diameter"]] * 2, abs=0.01)
    assert f"of about {found['diameter']:.0f} pixels, made 2." in ran.stderr
    assert "from 1 to 10000, or auto" in run(*arguments, "--diameter", "wide", status=2).stderr
    save_model_file(bright_model(info={"diameter": 4, "recipe": {"method": FROM_SCRATCH}}), path)
    assert "cannot find out how wide" in run(*arguments, "--diameter", "auto", status=2).stderr


def test_flips_in_memory_and_on_disk(run, folder, tiny_model, tmp_path):
    path, maps = tmp_path / "tiny.safetensors", []
    save_model_file(tiny_model(), path)
    for name, options in {"plain": (), "flips": ("--flips",), "zarr": ("--flips", "--format", "zarr")}.items():
        run("segment", folder, "-o", tmp_path / name, "--model", path, "--device", "cpu", "--maps", *options)
        maps.append(zarr.open(str(tmp_path / name / "a_maps.zarr"), mode="r")["0"][:])
    assert np.abs(maps[0] - maps[1]).max() > 1e-3
    assert np.abs(maps[1] - maps[2]).max() < 1e-6


def test_maps(run, folder, model, tmp_path):
    run("segment", folder, "-o", tmp_path / "out", "--model", model, "--maps")
    assert "a_maps.zarr" in names(tmp_path / "out")
    group = zarr.open(str(tmp_path / "out" / "a_maps.zarr"), mode="r")
    maps = group if isinstance(group, zarr.Array) else group["0"]
    assert maps.shape == (2, 48, 60)
    assert maps.dtype == np.float32
    assert np.array_equal(maps[0] > 0.5, squares() > 100)


@pytest.mark.parametrize("ending", ["tif", "zarr"])
@pytest.mark.parametrize("fate", ["changed", "disappeared"])
def test_an_image_that_changes_meanwhile_is_told(run, folder, model, tmp_path, monkeypatch, fate, ending):
    path = folder / "a.tif"
    for module, name in ((files, "segment_task"), (files, "segment_into")):
        real = getattr(module, name)

        def meanwhile(*args, real=real, **kwargs):
            result = real(*args, **kwargs)
            if fate == "changed":
                path.write_bytes(path.read_bytes() + b"more")
            else:
                path.unlink()
            return result

        monkeypatch.setattr(module, name, meanwhile)
    result = run("segment", path, "-o", tmp_path / f"out.{ending}", "--model", model, status=1)
    assert f"a.tif {fate} while it was segmented" in result.stderr
    assert not (tmp_path / f"out.{ending}").exists()


@pytest.mark.parametrize("name", ["o.tif", "o.ome.tif", "o.zarr"])
@pytest.mark.parametrize("on_disk", [False, True])
def test_labels_say_how_they_were_made(run, folder, model, tmp_path, monkeypatch, name, on_disk):
    from napari_unet.measuring.record import sha256

    if on_disk:
        monkeypatch.setattr(files, "IN_MEMORY_BYTES", 0)
    image = next(path for path in sorted(folder.iterdir()) if path.suffix == ".tif")
    run("segment", image, "-o", tmp_path / name, "--model", model, "--flips")
    record = record_in(tmp_path / name)
    assert record["command"] == "segment"
    (found,) = record["inputs"]
    assert found["image"] == {"name": image.name, "sha256": sha256(image)}
    (made,) = found["segmentations"]
    assert made["model"]["sha256"] == load_model_file(model).sha256()
    assert (made["extent"], made["flips"]) == ("all", True)
    assert str(tmp_path) not in json.dumps(record), "no paths of this machine"


def record_in(path):
    """Return the record that labels hold."""
    if path.suffix == ".zarr":
        return dict(zarr.open_group(path, mode="r").attrs)["napari_unet"]
    with tifffile.TiffFile(path) as file:
        if file.is_imagej:
            return json.loads(file.imagej_metadata["Info"])
        root = ElementTree.fromstring(file.ome_metadata)
        return json.loads(next(one.text for one in root.iter() if one.tag.endswith("Description")))


def test_tiles_and_modes_give_the_same_labels(run, folder, model, tmp_path):
    ways = {
        "plain": [],
        "t16": ["--tile", "16"],
        "t7": ["--tile", "7"],
        "fast": ["--mode", "fast"],
        "x": ["--mode", "exact"],
    }
    results = []
    for name, options in ways.items():
        run("segment", folder / "a.tif", "-o", tmp_path / f"{name}.tif", "--model", model, *options)
        results.append(read_labels(tmp_path / f"{name}.tif"))
    assert all(np.array_equal(r, results[0]) for r in results)


def test_the_shipped_model_is_the_default(run, nuclei_crop, tmp_path):
    tifffile.imwrite(tmp_path / "n.tif", nuclei_crop)
    card = report(run("segment", tmp_path / "n.tif", "-o", tmp_path / "l.tif", "--device", "cpu", "--json"))
    assert card["model"] == "nuclei"
    assert card["results"][0]["n_objects"] >= 3


@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_the_plan_is_told_once_with_its_seconds(run, folder, model, tmp_path, ending, timed_at_once):
    out = tmp_path / f"o.{ending}"
    told = run("segment", folder / "a.tif", "-o", out, "--tile", 16, "--mode", "exact", "--model", model).stderr
    assert told.count("tiles of 16×16, exact, halo ") == 1
    assert "the work of one pass, about " in told


# -- evaluate ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "truth"
    path.mkdir()
    for name in "ab":
        labels = np.zeros((40, 40), np.uint16)
        labels[2:12, 2:12], labels[20:30, 20:30] = 1, 2
        tifffile.imwrite(path / f"{name}.tif", labels)
    return path


def test_scores(run, truth, tmp_path):
    pred = tmp_path / "pred"
    pred.mkdir()
    labels = tifffile.imread(truth / "a.tif")
    tifffile.imwrite(pred / "a_labels.tif", labels)
    tifffile.imwrite(pred / "b_labels.tif", np.where(labels == 1, labels, 0))
    scores = report(run("evaluate", "--pred", pred, "--truth", truth, "--json"))
    assert set(scores) >= {"n_images", "n_truth", "n_pred", "ap", "ap_per_image", "f1", "pq", "seg", "dice", "iou"}
    assert (scores["n_images"], scores["n_truth"], scores["n_pred"]) == (2, 4, 3)
    assert list(scores["ap"]) == [f"{0.5 + 0.05 * i:.2f}" for i in range(10)]
    assert scores["ap"]["0.50"] == pytest.approx(0.75)
    assert scores["f1"]["0.95"] == pytest.approx(6 / 7)
    plain = run("evaluate", "--pred", pred, "--truth", truth)
    assert "pq" in plain.stdout
    one = report(run("evaluate", "--pred", pred / "a_labels.tif", "--truth", truth / "a.tif", "--json"))
    assert one["ap"]["0.95"] == 1
    copy = tmp_path / "copy"
    shutil.copytree(pred, copy)
    membranes = report(run("evaluate", "--pred", pred, "--truth", copy, "--task", "membranes", "--json"))
    assert membranes["v_rand"] == membranes["v_info"] == membranes["pixel_f1"] == 1
    classes = report(run("evaluate", "--pred", pred, "--truth", truth, "--task", "semantic", "--json"))
    assert 0 < classes["dice"] < 1


def test_a_missing_partner_is_named(run, truth, tmp_path):
    pred = tmp_path / "pred"
    pred.mkdir()
    tifffile.imwrite(pred / "a.tif", tifffile.imread(truth / "a.tif"))
    assert "b.tif" in run("evaluate", "--pred", pred, "--truth", truth, "--json", status=1).stderr
    tifffile.imwrite(pred / "b.tif", np.zeros((41, 40), np.uint8))
    assert "(41, 40)" in run("evaluate", "--pred", pred, "--truth", truth, status=1).stderr
    assert "gone" in run("evaluate", "--pred", tmp_path / "gone", "--truth", truth, status=1).stderr
    run("evaluate", "--pred", pred, "--truth", truth, "--task", "taste", status=2)
    run("evaluate", "--pred", pred, status=2)


# -- train -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def labelled(folder, tmp_path):
    """Folders of images and of their labels."""
    labels = tmp_path / "labels"
    labels.mkdir()
    for path in folder.iterdir():
        tifffile.imwrite(labels / path.name, (tifffile.imread(path) > 100).astype(np.uint8))
    return "--images", folder, "--labels", labels


def test_a_new_model_can_be_used(run, labelled, folder, tmp_path):
    out = tmp_path / "models" / "mine.safetensors"
    result = run("train", *labelled, "--new", "unet2d", "--steps", "2", "-o", out, "--device", "cpu", "--json")
    card = report(result)
    assert (card["output"], card["steps"], card["images"], card["objects"]) == (str(out), 2, 3, 6)
    assert np.isfinite(card["loss"])
    made = load_model_file(out)
    assert made.name == "mine"
    assert made.info.recipe["steps"] == 2
    assert names(out.parent) == ["mine.curve.csv", "mine.curve.png", "mine.safetensors"]
    assert len((out.parent / "mine.curve.csv").read_text().splitlines()) == 3
    run("segment", folder / "a.tif", "-o", tmp_path / "l.tif", "--model", out)
    assert read_labels(tmp_path / "l.tif").shape == (48, 60)
    kept = out.read_bytes()
    run("train", *labelled, "--new", "unet2d", "--steps", "1", "-o", out, status=1)
    assert out.read_bytes() == kept


def test_going_on_from_a_model_with_validation(run, labelled, model, tmp_path):
    validation = "--val-images", labelled[1], "--val-labels", labelled[3]
    out = tmp_path / "further.safetensors"
    result = run("train", *labelled, *validation, "--base", model, "--steps", "2", "-o", out, "--json")
    card = report(result)
    assert set(card["scores"]) == {"validation before", "validation"}
    assert all(0 <= score <= 1 for score in card["scores"].values())
    assert load_model_file(out).info.scores == card["scores"]
    assert load_model_file(out).info.spec == load_model_file(model).info.spec
    assert card["after"]["objects"] == 6
    assert "3 of 3 validation images are also learned from (a.tif)" in result.stderr
    assert "On 3 images with 6 objects that it learned from:" in result.stderr
    assert card["scored_on"] == "learned from"
    assert "not learn from" not in result.stderr
    assert any("also learned from" in note for note in card["notes"])


def test_what_files_say_is_said_once(run, labelled, model, tmp_path, monkeypatch):
    real = readers.read_image

    def noted(*args, **kwargs):
        return replace(real(*args, **kwargs), notes=("Two images; this is one.",))

    monkeypatch.setattr(readers, "read_image", noted)
    validation = "--val-images", labelled[1], "--val-labels", labelled[3]
    begin = "--base", model, "--steps", "1", "-o", tmp_path / "m.safetensors", "--json"
    result = run("train", *labelled, *validation, *begin)
    assert result.stderr.splitlines().count("Two images; this is one.") == 1
    assert report(result)["notes"].count("Two images; this is one.") == 1


def test_a_share_is_kept_aside(run, labelled, model, tmp_path):
    begin = "--base", model, "--steps", "1", "-o", tmp_path / "m.safetensors", "--json"
    result = run("train", *labelled, *begin, "--val-share", "0.3")
    card = report(result)
    assert len(card["kept_aside"]) == 1
    assert card["images"] == 2
    assert f"Kept aside, to check on: {card['kept_aside'][0]}." in result.stderr


def test_results_of_a_training_replace_nothing(run, labelled, model, tmp_path):
    out = tmp_path / "m.safetensors"
    begin = "--base", model, "--steps", "1", "-o", out
    for name in ("m.curve.csv", "m.curve.png", "m.checkpoint"):
        (tmp_path / name).write_text("mine")
        run("train", *labelled, *begin, status=1)
        run("train", *labelled, *begin, "--restart", status=1)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    assert not out.exists()


def test_a_model_for_volumes_is_not_trained_on_planes(run, labelled, tiny_model, tmp_path):
    deep, out = tmp_path / "deep.safetensors", tmp_path / "m.safetensors"
    save_model_file(tiny_model(ndim=3, features=2, levels=1), deep)
    result = run("train", *labelled, "--base", deep, "--steps", "1", "-o", out, status=1)
    assert "a.tif has no Z axis" in result.stderr
    assert not list(tmp_path.glob("m.*"))


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.full((48, 60), np.nan, np.float32), "No pixel of a.tif is a number"),
        (np.zeros((48, 60), np.uint8), "All pixels of a.tif have the same value"),
    ],
)
def test_an_image_without_content_is_told(run, folder, model, tmp_path, pixels, said):
    tifffile.imwrite(folder / "a.tif", pixels)
    result = run("segment", folder, "-o", tmp_path / "out", "--model", model, "--json")
    assert result.stderr.count(said) == 1
    assert [bool(card["notes"]) for card in report(result)["results"]] == [True, False, False]


def test_an_image_without_numbers_is_not_learned_from(run, labelled, tmp_path):
    tifffile.imwrite(labelled[1] / "b.tif", np.full((48, 60), np.nan, np.float32))
    new = "--new", "unet2d", "--steps", "1", "-o", tmp_path / "m.safetensors"
    assert "No pixel of b.tif is a number" in run("train", *labelled, *new, status=1).stderr
    assert not list(tmp_path.glob("m.*"))


def test_validation_that_cannot_be_used(run, labelled, model, tmp_path):
    begin = "train", *labelled, "--base", model, "--steps", "1", "-o", tmp_path / "m.safetensors"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "empty" in run(*begin, "--val-images", empty, "--val-labels", empty, status=1).stderr
    half = tmp_path / "half"
    half.mkdir()
    tifffile.imwrite(half / "a.tif", np.ones((48, 60), np.uint8))
    assert "b.tif has no partner" in run(*begin, "--val-images", labelled[1], "--val-labels", half, status=1).stderr
    tifffile.imwrite(half / "a.tif", np.zeros((48, 60), np.uint8))
    one = "--val-images", labelled[1] / "a.tif", "--val-labels", half
    assert "Validation: No label image holds an object" in run(*begin, *one, status=1).stderr
    assert not list(tmp_path.glob("m.*"))


def test_training_for_minutes_with_classes_and_pixels_to_ignore(run, labelled, tmp_path):
    labels = tifffile.imread(labelled[3] / "a.tif")
    labels[:3] = 9
    tifffile.imwrite(labelled[3] / "a.tif", labels)
    out = tmp_path / "m.safetensors"
    options = "--new", "unet2d", "--task", "semantic", "--ignore-label", "9", "--minutes", "0.01"
    run("train", *labelled, *options, "-o", out)
    assert load_model_file(out).info.outputs == ("class_0", "class_1")
    run("segment", labelled[1] / "a.tif", "-o", tmp_path / "o.tif", "--model", out)
    assert set(np.unique(read_labels(tmp_path / "o.tif"))) <= {0, 1}


def test_training_on_one_of_two_channels(run, labelled, tmp_path):
    for path in labelled[1].iterdir():
        pixels = tifffile.imread(path)
        tifffile.imwrite(path, np.stack([np.zeros_like(pixels), pixels]), metadata={"axes": "CYX"})
    out = tmp_path / "m.safetensors"
    new = "--new", "unet2d", "--steps", "1", "-o", out
    assert "no channel 2" in run("train", *labelled, *new, "--channel", "2", status=1).stderr
    run("train", *labelled, *new, "--channel", "1")
    assert load_model_file(out).info.spec.in_channels == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--base"),
        (["--new", "unet2d", "--base", "nuclei"], "--base"),
        (["--new", "resnet"], "new"),
        (["--base", "nuclei", "--task", "semantic"], "'nuclei' finds objects, so its task is instances; got semantic"),
        (["--base", "axons", "--task", "instances"], "'axons' finds classes, so its task is semantic; got instances"),
        (["--new", "unet2d", "--val-images", "."], "--val-labels"),
        (["--new", "unet2d", "--val-images", ".", "--val-labels", ".", "--val-share", "0.2"], "not both"),
        (["--new", "unet2d", "--device", "toaster"], "cpu"),
        (["--base", "no such"], "nuclei"),
    ],
)
def test_wrong_usage_of_train(run, labelled, tmp_path, options, said):
    result = run("train", *labelled, *options, "-o", tmp_path / "m.safetensors", status=2)
    assert said in result.stderr
    assert not (tmp_path / "m.safetensors").exists()


def test_the_task_of_the_model_may_be_named(run, labelled, model, tmp_path):
    named = "--base", model, "--task", "instances", "--steps", "1", "-o", tmp_path / "m.safetensors"
    run("train", *labelled, *named)


def test_too_little_time_for_one_step_is_told(run, labelled, model, tmp_path, monkeypatch):
    monkeypatch.setattr(CheckedTraining, "_steps", lambda *_: (one for one in ()))
    out = tmp_path / "m.safetensors"
    result = run("train", *labelled, "--base", model, "--minutes", "0.0001", "-o", out, status=1)
    assert "nothing can be learned. Allow more time with --minutes" in result.stderr
    assert not list(tmp_path.glob("m.*"))


@pytest.mark.parametrize("kind", ["images", "labels", "val images", "val labels"])
def test_of_files_with_one_name_the_folder_is_told(run, labelled, tmp_path, kind):
    for path in labelled[1].iterdir():
        for name in ("val images", "val labels"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / path.name).write_bytes((labelled[3] / path.name).read_bytes())
    bad = tmp_path / kind / "a.tif"
    bad.write_bytes(bad.read_bytes()[:-900])
    val = "--val-images", tmp_path / "val images", "--val-labels", tmp_path / "val labels"
    new = "--new", "unet2d", "--steps", "1", "-o", tmp_path / "m.safetensors"
    said = run("train", *labelled, *val, *new, status=1).stderr
    assert f"In {tmp_path / kind}: a.tif is cut off" in said
    if kind in ("labels", "val labels"):
        tifffile.imwrite(bad, np.full((48, 60), -1, np.int16))
        said = run("train", *labelled, *val, *new, status=1).stderr
        assert f"In {tmp_path / kind}: a.tif has the negative label" in said


def test_another_training_is_begun_anew_on_request(run, labelled, model, tmp_path):
    out = tmp_path / "m.safetensors"
    begin = "train", *labelled, "--base", model, "-o", out
    checkpoint = tmp_path / "m.checkpoint"
    train(
        load_model_file(model), [tifffile.imread(labelled[1] / "a.tif")], [tifffile.imread(labelled[3] / "a.tif")],
        steps=1, device="cpu", checkpoint=checkpoint,
    )  # fmt: skip
    assert "begin anew with --restart" in run(*begin, "--steps", "2", status=1).stderr
    run(*begin, "--steps", "2", "--restart")
    assert not checkpoint.exists()


def test_a_checkpoint_of_something_else_is_told_in_one_sentence(run, labelled, model, tmp_path):
    (tmp_path / "m.checkpoint").write_text("mine")
    said = run("train", *labelled, "--base", model, "--steps", "1", "-o", tmp_path / "m.safetensors", status=1).stderr
    assert "Delete or rename it to train.\n" in said
    assert "header" not in said


def test_the_ending_of_a_model_file(run, labelled, tmp_path):
    result = run("train", *labelled, "--new", "unet2d", "-o", tmp_path / "m.pth", status=2)
    assert "m.safetensors" in result.stderr


def test_a_model_that_cannot_be_written_is_not_trained(run, labelled, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    out = tmp_path / "file" / "m.safetensors"
    result = run("train", *labelled, "--new", "unet2d", "--steps", "1", "-o", out, status=1)
    assert "could not be written" in result.stderr
    assert "loss" not in result.stderr


def test_a_model_is_never_written_over_what_it_learns_from(run, labelled, model, tmp_path):
    new = "--new", "unet2d", "--steps", "1", "--overwrite"
    validation = tmp_path / "val"
    validation.mkdir()
    tifffile.imwrite(validation / "v.tif", squares())
    tifffile.imwrite(validation / "v_labels.tif", (squares() > 100).astype(np.uint8))
    val = "--val-images", validation, "--val-labels", validation
    paths = labelled[1] / "a.tif", labelled[3] / "b.tif", validation / "v.tif", validation / "v_labels.tif"
    for number, path in enumerate(paths):
        out = tmp_path / f"{number}.safetensors"
        out.symlink_to(path)
        assert str(path) in run("train", *labelled, *val, *new, "-o", out, status=1).stderr
        assert out.is_symlink()
    kept = model.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(model)
    for out in (model, tmp_path / "link.safetensors"):
        base = "--base", model, "--steps", "1", "--overwrite", "-o", out
        assert "is an input" in run("train", *labelled, *base, status=1).stderr
    assert model.read_bytes() == kept
    save_model(load_model_file(model), "mine")
    (own,) = (tmp_path / "home" / "models").iterdir()
    named = "--base", "mine", "--steps", "1", "--overwrite", "-o", own
    assert "is an input" in run("train", *labelled, *named, status=1).stderr


def test_training_data_that_cannot_be_used(run, labelled, tmp_path):
    out = tmp_path / "m.safetensors"
    new = "--new", "unet2d", "--steps", "1", "-o", out
    (labelled[3] / "b.tif").unlink()
    assert "b.tif" in run("train", *labelled, *new, status=1).stderr
    tifffile.imwrite(labelled[3] / "b.tif", np.zeros((20, 20), np.uint8))
    assert "(20, 20)" in run("train", *labelled, *new, status=1).stderr
    tifffile.imwrite(labelled[3] / "b.tif", np.zeros((48, 60), np.uint8))
    assert "Z axis" in run("train", *labelled, "--new", "unet3d", "--steps", "1", "-o", out, status=1).stderr
    (labelled[1] / "a.tif").write_bytes(b"junk")
    assert "a.tif" in run("train", *labelled, *new, status=1).stderr
    assert "gone" in run("train", "--images", tmp_path / "gone", "--labels", labelled[3], *new, status=1).stderr
    assert not out.exists()


# -- models ------------------------------------------------------------------------------------------------------------


def test_models_are_listed(run, tiny_model):
    save_model(tiny_model(features=2, levels=1), "mine")
    rows = {row["name"]: row for row in report(run("models", "--json"))["models"]}
    assert rows["nuclei"]["shipped"]
    assert not rows["mine"]["shipped"]
    assert rows["mine"]["ndim"] == 2
    with open(rows["mine"]["path"], "wb") as file:
        file.write(b"damaged")
    rows = {row["name"]: row for row in report(run("models", "--json"))["models"]}
    assert "not a model file" in rows["mine"]["error"]
    text = run("models").stdout
    assert "nuclei" in text
    assert "yours" in text


def test_info(run, model, tmp_path):
    card = report(run("info", model, "--json"))
    made = load_model_file(model)
    assert card["sha256"] == made.sha256()
    assert card["spec"]["features"] == 2
    assert card["axes"] == "CYX"
    assert {"normalization", "training_data", "licence", "scores", "pixel_size", "decoding"} <= set(card)
    assert made.sha256() in run("info", model).stdout
    assert report(run("info", "nuclei", "--json"))["licence"]
    run("info", "no such", status=2)
    run("info", tmp_path, status=2)


def test_info_names_data_and_licences(run, tiny_model, tmp_path):
    sources = [{"name": "worms", "licence": "CC-BY-4.0", "source": "https://x.org"}, {"name": "flies"}]
    path = tmp_path / "m.safetensors"
    save_model_file(tiny_model(info={"licence": "CC0-1.0", "training_data": sources}), path)
    lines = run("info", path).stdout.splitlines()
    assert any("name worms, licence CC-BY-4.0, source https://x.org" in line for line in lines)
    assert any("name flies, licence unknown" in line for line in lines)
    assert any(line.split() == ["licence", "CC0-1.0"] for line in lines)


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_pipes_and_devices_are_refused_in_words(run, folder, model, tmp_path, kind):
    paths = {}
    for ending in ("tif", "safetensors"):
        paths[ending] = tmp_path / f"p.{ending}"
        if kind == "fifo":
            os.mkfifo(paths[ending])
        else:
            paths[ending].symlink_to("/dev/zero")
    out = "-o", tmp_path / "o.tif"
    said = [
        run("info", paths["safetensors"], status=2),
        run("segment", folder / "a.tif", *out, "--model", paths["safetensors"], status=2),
        run("segment", paths["tif"], *out, "--model", model, status=1),
        run("evaluate", "--pred", paths["tif"], "--truth", folder / "a.tif", status=1),
    ]
    if kind == "fifo":
        said.append(run("segment", folder / "a.tif", "-o", paths["tif"], "--model", model, "--overwrite", status=1))
    assert all("a pipe or a device" in result.stderr for result in said)


def test_standard_input_is_refused_in_words(run, folder, model, tmp_path):
    for arguments in (
        ("segment", "-", "-o", tmp_path / "o.tif"),
        ("segment", folder / "a.tif", "-", "-o", tmp_path / "o"),
        ("segment", folder / "a.tif", "-o", tmp_path / "o.tif", "--model", "-"),
        ("info", "-"),
    ):
        assert "standard input" in run(*arguments, status=2).stderr


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_name_is_not_the_folder_that_one_is_in(run, folder, model, tmp_path, monkeypatch, empty):
    """As from a variable of the shell that is not set."""
    monkeypatch.chdir(folder)
    for arguments in (
        ("segment", empty, "-o", tmp_path / "o"),
        ("segment", "a.tif", "-o", empty),
        ("evaluate", "--pred", empty, "--truth", "a.tif"),
        ("train", "--images", empty, "--labels", ".", "--new", "unet2d", "-o", tmp_path / "m.safetensors"),
    ):
        assert "it is empty" in run(*arguments, status=2).stderr
    assert names(folder) == ["a.tif", "b.tif", "c.tif"]


def test_the_demo_replaces_only_what_a_demo_wrote(run, tmp_path, monkeypatch):
    demo = pytest.importorskip("napari_unet._qt.demo")

    def writes(out, *, headless, say):
        (out / "labels.tif").write_text("of the demo")
        return {"seconds": 1}

    monkeypatch.setattr(demo, "run_demo", writes)
    mine = tmp_path / "photos"
    mine.mkdir()
    (mine / "labels.tif").write_text("mine")
    assert "choose another folder" in run("demo", "--headless", "-o", mine, status=1).stderr
    assert (mine / "labels.tif").read_text() == "mine"
    for _ in range(2):
        run("demo", "--headless", "-o", tmp_path / "new")


def test_version(run):
    assert run("--version").stdout == f"napari-unet {napari_unet.__version__}\n"


def commands(command=None, words=()):
    """Every command, as (words, command), groups too."""
    command = command or typer.main.get_command(app)
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*words, name))


@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda value: " ".join(value) if value == () else ""
)
def test_every_help_has_an_example_that_can_be_typed(run, words, command):
    for flag in ("-h", "--help"):
        assert "Example: napari-unet" in run(*words, flag).stdout
    example = command.epilog.partition("Example: ")[2].splitlines()[0].split()
    assert example[0] == "napari-unet"
    assert tuple(example[1 : 1 + len(words)]) == words
    while getattr(command, "commands", None):
        command = command.commands[example[len(words) + 1]]
        words = (*words, command.name)
    command.make_context("x", example[1 + len(words) :])  # raises on wrong usage


def test_help_and_unknown_commands(run):
    assert "segment" in run("--help").stdout
    assert "--overwrite" in run("segment", "--help").stdout
    run("dance", status=2)


# -- as a program ------------------------------------------------------------------------------------------------------


def program(*arguments):
    command = [sys.executable, "-c", "from napari_unet.cli import main; main()", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
    )


def test_the_streams_of_the_program(folder, model, tmp_path):
    (folder / "b.tif").write_bytes(b"junk")
    done = program("segment", folder, "-o", tmp_path / "out", "--model", model, "--json")
    assert done.returncode == 1
    card = json.loads(done.stdout)
    assert len(card["results"]) == 2
    assert "b.tif" in done.stderr
    assert "Traceback" not in done.stderr
    assert "\r" not in done.stderr  # no bar where there is no terminal


def test_the_program_refuses_wrong_usage(folder, tmp_path):
    done = program("segment", folder, "-o", tmp_path / "out", "--model", "no such")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


LIGHT = [
    ("-h",),
    ("--version",),
    ("--show-completion", "bash"),
    ("models",),
    ("models", "--json"),
    ("info", "nuclei"),
    ("info", "no such"),
    ("segment", "-h"),
    ("segment",),
    ("segment", "a.tif", "-o", "b.png"),
    ("segment", "a.tif", "-o", "b.tif", "--tile", "0"),
    ("segment", "a.tif", "-o", "b.tif", "--model", "no such"),
    ("segment", "a.tif", "-o", "b.tif", "--device", "toaster"),
    ("segment", "a.tif", "-o", "b.tif", "--diameter", "wide"),
    ("segment", "a.tif", "-o", "a.tif"),
    ("train", "--images", "a", "--labels", "a", "-o", "m.pth", "--new", "unet2d"),
    ("train", "--images", "gone", "--labels", "gone", "-o", "m.safetensors", "--new", "unet2d"),
    ("evaluate", "--pred", "gone", "--truth", "gone"),
    ("measure", "--labels", "gone", "-o", "t.csv"),
    ("contours", "--labels", "gone", "-o", "t.geojson"),
    ("benchmark", "models", "no such", "--images", "a", "--labels", "a"),
]


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_torch_is_loaded_only_where_a_network_runs(arguments, tmp_path):
    code = """
import sys
from napari_unet.cli import main
try:
    main()
finally:
    print("loaded:", *sorted({"torch", "napari", "qtpy"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "loaded:"


def completed_words(*words):
    code = "from napari_unet.cli import main; main()"
    asked = {"_NAPARI_UNET_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | asked
    )
    return done.stdout.split()


def test_completion(tiny_model):
    save_model(tiny_model(features=2, levels=1), "nuclei_of_mine")
    assert completed_words("napari-unet", "seg") == ["segment"]
    assert {"train", "evaluate", "info"} <= set(completed_words("napari-unet", ""))
    assert completed_words("napari-unet", "segment", "--ov") == ["--overwrite"]
    assert completed_words("napari-unet", "segment", "--mode", "f") == ["fast"]
    assert completed_words("napari-unet", "info", "nuclei_") == ["nuclei_of_mine"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_with_the_printed_script(tmp_path):
    script = program("--show-completion", "bash").stdout
    command = tmp_path / "napari-unet"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m napari_unet.cli "$@"\n')
    command.chmod(0o755)
    ask = 'COMP_WORDS=(napari-unet ev); COMP_CWORD=1; _napari_unet_completion napari-unet; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p napari-unet\n{ask}"],
        capture_output=True, text=True, check=True, env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "evaluate"


@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_what_is_kept_when_it_is_stopped(model, tmp_path, ending):
    source, out = tmp_path / "many", tmp_path / "out"
    source.mkdir()
    for number in range(600):
        tifffile.imwrite(source / f"{number:03}.tif", squares())
    code = "from napari_unet.cli import main; main()"
    arguments = "segment", source, "-o", out, "--model", model, "--format", ending, "--device", "cpu", "--json"
    running = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while running.poll() is None and not list(out.glob(f"*_labels.{ending}")):
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    said, told = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in told
    there = names(out)
    assert 0 < len(there) < 600
    assert there == [f"{number:03}_labels.{ending}" for number in range(len(there))], "no gaps, and nothing half done"
    assert all(int(read_labels(out / name).max()) == 3 for name in there)
    last = told.strip().splitlines()[-1]
    assert last.startswith("Stopped. Kept: ")
    assert f"{len(there)} result" in last
    assert str(out / there[-1]) in last
    card = json.loads(said)
    assert card["stopped"]
    assert len(there) - len(card["results"]) in (0, 1)


def test_one_image_of_files_that_hold_several(run, labelled, tmp_path, monkeypatch):
    """The second is another size, which the labels would not fit."""
    for path in labelled[1].iterdir():
        pixels = tifffile.imread(path)
        with tifffile.TiffWriter(path) as tif:
            tif.write(np.zeros((10, 12), np.uint16))
            tif.write(pixels)
    new = "--new", "unet2d", "--steps", "1", "-o", tmp_path / "m.safetensors", "--json"
    assert "(48, 60)" in run("train", *labelled, *new, "--series", "0", status=1).stderr
    assert report(run("train", *labelled, *new, "--series", "1"))["images"] == 3


def test_training_that_is_stopped(labelled, tmp_path):
    out = tmp_path / "m.safetensors"
    code = "from napari_unet.cli import main; main()"
    arguments = "train", *labelled, "--new", "unet2d", "--steps", "1000000", "-o", out, "--device", "cpu"
    running = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while running.poll() is None and not (tmp_path / "m.checkpoint").exists():
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate()
    assert running.returncode == 130
    assert told.strip().splitlines()[-1] == (
        "Stopped. No model was written. The same command goes on from m.checkpoint."
    )
    assert names(tmp_path) == ["images", "labels", "m.checkpoint"]


def on_a_terminal(*arguments, **environment):
    """Run the program with its messages on a terminal; return its status and all that it wrote there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from napari_unet.cli import main; main()", *map(str, arguments)]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, env=os.environ | environment) as running:
        os.close(theirs)
        seen = b""
        while True:
            try:
                chunk = os.read(ours, 65536) if select.select([ours], [], [], 60)[0] else b""
            except OSError:  # the other end is closed
                chunk = b""
            if not chunk:
                break
            seen += chunk
    os.close(ours)
    return running.returncode, seen.decode()


def test_a_bar_on_a_terminal(folder, model, tmp_path):
    odd = folder / "[red]x[bold].tif"
    (folder / "a.tif").rename(odd)
    arguments = "segment", odd, "--model", model, "--device", "cpu", "--tile", "16", "--mode", "exact"
    status, seen = on_a_terminal(*arguments, "-o", tmp_path / "a.tif", TERM="xterm-256color", COLUMNS="200")
    assert status == 0
    assert "━" in seen
    assert "\x1b[?25l" in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l"), "the cursor is back"
    assert "[1/1] [red]x[bold].tif: 3 objects in" in seen
    assert "[1/1] [red]x[bold].tif: " in seen.split("tiles of 16")[0]
    status, seen = on_a_terminal(*arguments, "-o", tmp_path / "b.tif", TERM="dumb")
    assert status == 0
    assert "\x1b" not in seen
    assert "3 objects" in seen


def test_no_bar_where_colours_are_forced_and_there_is_no_terminal(folder, model, tmp_path):
    command = [
        sys.executable,
        "-c",
        "from napari_unet.cli import main; main()",
        "segment",
        folder,
        "-o",
        tmp_path / "o",
    ]
    done = subprocess.run(
        [*command, "--model", model], capture_output=True, text=True, env=os.environ | {"FORCE_COLOR": "1"}, check=True
    )
    assert "\x1b" not in done.stderr
    assert done.stderr.count("objects in") + done.stderr.count("object in") == 3


# -- segment --model auto ----------------------------------------------------------------------------------------------


@pytest.fixture
def samples(tmp_path):
    """A part of the shipped sample of nuclei, and an image on which nothing fits."""
    source = Path(str(resources.files("napari_unet") / "samples" / "nuclei.tif"))
    inside = tmp_path / "samples"
    inside.mkdir()
    tifffile.imwrite(inside / "nuclei.tif", tifffile.imread(source)[:200, :260])
    tifffile.imwrite(inside / "flat.tif", np.full((64, 64), 3, np.uint8))
    return inside


def test_auto_takes_for_each_image_the_model_that_fits(run, samples, tmp_path):
    out = tmp_path / "out"
    result = run("segment", samples, "-o", out, "--model", "auto", "--device", "cpu", "--json")
    card = report(result)
    assert card["model"] == "auto"
    by_name = {Path(one["input"]).name: one for one in card["results"]}
    assert by_name["nuclei.tif"]["model"] == "nuclei"
    assert by_name["nuclei.tif"]["notes"] == []
    assert by_name["nuclei.tif"]["n_objects"] == int(read_labels(out / "nuclei_labels.tif").max()) > 10
    assert "by nuclei" in result.stderr
    assert "No model seems to fit flat.tif; the best guess is" in by_name["flat.tif"]["notes"][0]
    assert "No model seems to fit flat.tif" in result.stderr


def test_auto_with_a_diameter(run, samples, tmp_path):
    out = tmp_path / "a.tif"
    auto = ("segment", samples / "nuclei.tif", "-o", out, "--model", "auto", "--device", "cpu")
    assert "give --diameter a number" in run(*auto, "--diameter", "auto", status=2).stderr
    assert "from 1 to 10000, or auto" in run(*auto, "--diameter", "-3", status=2).stderr
    assert report(run(*auto, "--diameter", "20", "--json"))["results"][0]["diameter"] == 20


def test_auto_never_writes_over_a_model(run, samples, bright_model, tmp_path):
    saved = save_model(bright_model(), "mine")
    before = saved.read_bytes()
    link = tmp_path / "labels.tif"
    link.symlink_to(saved)
    refused = run("segment", samples / "nuclei.tif", "-o", link, "--model", "auto", "--overwrite", status=1)
    assert saved.read_bytes() == before
    assert "mine.safetensors" in refused.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("21.tif is empty.", "{path}: 21.tif is empty."),
        ("a-1.tif is empty.", "{path}: a-1.tif is empty."),
        ("1.tif is empty.", "1.tif is empty."),
        ("Not in /x/1.tif.", "Not in /x/1.tif."),
        ("1.tiff is empty.", "{path}: 1.tiff is empty."),
    ],
)
def test_a_file_is_named_where_the_text_names_another(text, said, tmp_path, capsys):
    say_failed(UNetError(text), tmp_path / "1.tif")
    assert capsys.readouterr().err.strip() == said.format(path=tmp_path / "1.tif")
