from __future__ import annotations

import numpy as np
import pytest

from napari_unet.errors import FileFormatError
from napari_unet.io.pairs import is_labels_name, label_files, match_by_stem, split_results, stem
from napari_unet.io.readers import image_files
from napari_unet.io.writers import write_labels, write_maps


@pytest.fixture
def make(tmp_path):
    def build(folder, *names):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in names:
            (tmp_path / folder / name).touch()
        return tmp_path / folder

    return build


def names(pairs):
    return [(a.name, b.name) for a, b in pairs]


def test_endings_of_labels_and_ome_are_tolerated(make):
    first = make("a", "x10.tif", "x2.ome.tif", "y.png", "z.tif")
    second = make("b", "x10_labels.tif", "x2_masks.png", "y.tif", "z.ome.tiff", "notes.txt")
    assert names(match_by_stem(first, second)) == [
        ("x2.ome.tif", "x2_masks.png"),
        ("x10.tif", "x10_labels.tif"),
        ("y.png", "y.tif"),
        ("z.tif", "z.ome.tiff"),
    ]


def test_predictions_may_come_first(make):
    assert names(match_by_stem(make("pred", "x_labels.tif"), make("truth", "x.tif"))) == [("x_labels.tif", "x.tif")]


def test_one_folder_for_both(make):
    folder = make("a", "x.tif", "x_masks.tif", "y.tif", "y_masks.tif")
    assert names(match_by_stem(folder, folder)) == [("x.tif", "x_masks.tif"), ("y.tif", "y_masks.tif")]


def test_two_files_are_a_pair(make):
    folder = make("a", "x.tif", "quite_other.tif")
    assert match_by_stem(folder / "x.tif", folder / "quite_other.tif") == [
        (folder / "x.tif", folder / "quite_other.tif")
    ]


def test_a_file_finds_its_partner_in_a_folder(make):
    first, second = make("a", "x.tif", "y.tif"), make("b", "x_labels.tif", "z.tif")
    assert names(match_by_stem(first / "x.tif", second)) == [("x.tif", "x_labels.tif")]
    assert names(match_by_stem(first, second / "x_labels.tif")) == [("x.tif", "x_labels.tif")]
    with pytest.raises(FileFormatError, match=r"y\.tif has no partner"):
        match_by_stem(first / "y.tif", second)


@pytest.mark.parametrize(
    ("ours", "theirs", "named"),
    [(["x.tif", "y.tif"], ["x.tif"], "y.tif"), (["x.tif"], ["x.tif", "w_labels.tif"], "w_labels.tif")],
)
def test_a_missing_partner_is_named(make, ours, theirs, named):
    with pytest.raises(FileFormatError, match=f"{named} has no partner"):
        match_by_stem(make("a", *ours), make("b", *theirs))


def test_a_file_is_not_its_own_partner(make):
    folder = make("a", "x.tif", "x_masks.tif", "y.tif")
    with pytest.raises(FileFormatError, match=r"y\.tif has no partner"):
        match_by_stem(folder, folder)


def test_the_same_stem_twice(make):
    with pytest.raises(FileFormatError, match="both called"):
        match_by_stem(make("a", "x.tif", "x.png"), make("b", "x.tif"))


def test_nothing_there(make, tmp_path):
    with pytest.raises(FileFormatError, match="does not exist"):
        match_by_stem(tmp_path / "none", make("b", "x.tif"))
    with pytest.raises(FileFormatError, match="no image"):
        match_by_stem(make("empty"), make("b", "x.tif"))


def test_results_in_a_folder_are_told_from_images(make):
    names = "a.tif", "a_labels.tif", "a_cp_masks.png", "a_Masks.tif", "a_labels_labels.tif", "b.ome.tif", "b_labels.tif"
    folder = make("a", *names, "c_labels.tif", "_labels.tif", "labels.tif", "masks.tif")
    images, results = split_results(image_files(folder))
    assert {path.name for path in images} == {
        "a.tif", "b.ome.tif", "c_labels.tif", "_labels.tif", "labels.tif", "masks.tif",
    }  # fmt: skip
    assert {path.name for path in results} == set(names) - {"a.tif", "b.ome.tif"}


def test_maps_and_unfinished_results_have_no_partner(make, tmp_path):
    first = make("a", "x.tif", "x_labels.tif")
    for name in ("x_maps.zarr", "x_labels.unfinished.zarr"):
        write_maps(first / name, np.ones((1, 8, 9)), "CYX")
    assert names(match_by_stem(first, make("b", "x.tif"))) == [("x.tif", "x.tif")]
    assert names(match_by_stem(make("b", "x.tif"), first)) == [("x.tif", "x_labels.tif")]
    write_labels(first / "cells.zarr", np.ones((8, 9), int), "YX")
    assert [path.name for path in split_results(image_files(first))[0]] == ["x.tif"]


def test_names(tmp_path):
    assert stem(tmp_path / "a.b.OME.tif") == "a.b"
    assert is_labels_name(tmp_path / "a_Labels.ome.tif")
    assert not is_labels_name(tmp_path / "labels.tif")


def test_label_files_of_a_folder(make):
    def found(path):
        return [(name, file.name) for name, file in label_files(path)]

    assert found(make("a", "a.tif", "a_labels.tif", "b.tif", "x.txt")) == [("a", "a_labels.tif")]
    assert found(make("b", "n2.tif", "n10.tif")) == [("n2", "n2.tif"), ("n10", "n10.tif")]
    assert found(make("c", "q_masks.png") / "q_masks.png") == [("q", "q_masks.png")]
    with pytest.raises(FileFormatError, match=r"a_labels\.tif and a_masks\.png .* both called a;"):
        label_files(make("d", "a_masks.png", "a_labels.tif"))
    with pytest.raises(FileFormatError, match="no image"):
        label_files(make("e", "x.txt"))
