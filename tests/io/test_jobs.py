"""Which image is segmented into which file: each once, what cannot be done is named, and no result is an image."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
import typer

from napari_unet.cli.options import path_of
from napari_unet.errors import FileFormatError
from napari_unet.io.jobs import FileJob, plan_files
from napari_unet.io.pairs import label_files, match_by_stem, split_results
from napari_unet.io.readers import image_files, read_image


def make(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        tifffile.imwrite(folder / name, np.zeros((8, 8), np.uint8))
    return folder


def test_a_file_that_is_named_twice_is_done_once(tmp_path):
    folder = make(tmp_path / "images", "a.tif", "b.tif")
    jobs = plan_files([folder / "a.tif", folder, folder / ".." / "images" / "b.tif"], tmp_path / "out")
    assert [job.source.name for job in jobs] == ["a.tif", "b.tif"]
    assert not any(job.problem for job in jobs)


def test_of_two_images_with_one_name_neither_is_done_and_the_others_are(tmp_path):
    folder = make(tmp_path / "images", "a.tif", "a.tiff", "b.tif")
    problems = {job.source.name: job.problem for job in plan_files([folder], tmp_path / "out")}
    assert problems["b.tif"] == ""
    for one, other in (("a.tif", "a.tiff"), ("a.tiff", "a.tif")):
        assert f"{one} and " in problems[one]
        assert f"{other} would both be written to " in problems[one]


def test_what_is_gone_or_damaged_stays_in_the_list(tmp_path):
    folder = make(tmp_path, "a.tif")
    (folder / "empty.zarr").mkdir()
    (folder / "lost.tif").symlink_to(folder / "gone.tif")
    assert [path.name for path in image_files(folder)] == ["a.tif", "empty.zarr", "lost.tif"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_what_is_no_file_is_named(tmp_path):
    folder = make(tmp_path, "a.tif")
    os.mkfifo(folder / "pipe.tif")
    (folder / "file.zarr").touch()
    (folder / "lost.tif").symlink_to(folder / "gone.tif")
    said = {"pipe.tif": "is no file but a pipe", "file.zarr": "a Zarr is a folder", "lost.tif": "does not exist"}
    assert {path.name for path in image_files(folder)} == {"a.tif", *said}
    for name, words in said.items():
        with pytest.raises(FileFormatError, match=words):
            read_image(folder / name)


def test_a_name_that_is_too_long_is_told(tmp_path):
    with pytest.raises(FileFormatError, match=r"cannot be read: File name too long|does not exist"):
        read_image(tmp_path / f"{'x' * 300}.tif")


def test_pictures_and_learning_curves_are_no_images(tmp_path):
    folder = make(tmp_path, "a.tif", "a_overlay.png", "m.curve.png", "other_overlay.png", "n.curve.png")
    (folder / "m.curve.csv").touch()
    images, results = split_results(image_files(folder))
    assert [path.name for path in results] == ["a_overlay.png", "m.curve.png"]
    assert [path.name for path in images] == ["a.tif", "n.curve.png", "other_overlay.png"]
    labels = make(tmp_path / "labels", "a.tif", "a_overlay.png")
    assert [pair[1].name for pair in match_by_stem(make(tmp_path / "truth", "a.tif"), labels)] == ["a.tif"]
    assert [path.name for _, path in label_files(labels)] == ["a.tif"]


@pytest.mark.parametrize(("target", "maps"), [("a_labels.tif", "a"), ("x.ome.tif", "x"), ("y_labels.ome.zarr", "y")])
def test_maps_lie_beside_the_labels(tmp_path, target, maps):
    assert FileJob(tmp_path / "a.tif", tmp_path / target).maps_target == tmp_path / f"{maps}_maps.zarr"


@pytest.mark.parametrize("text", ["s3://bucket/a.tif", "https://x.org/a.zarr", "file:///a.tif", "", "  "])
def test_what_is_no_path(text):
    with pytest.raises(typer.BadParameter):
        path_of(text)


def test_the_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert path_of("~/a.tif") == tmp_path / "a.tif"
    assert str(path_of("a~b.tif")) == "a~b.tif"
