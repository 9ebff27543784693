"""Label files to tables and outlines, as a script or the window does it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.axes import PixelSize
from napari_unet.errors import FileFormatError, LabelsError
from napari_unet.io.writers import write_labels
from napari_unet.measuring.files import (
    LabelFile,
    MeasureOptions,
    OutlineOptions,
    check_targets,
    find_label_files,
    measure_file,
    read_label_file,
    write_outlines,
    write_table,
)


@pytest.fixture
def labels():
    labels = np.zeros((30, 40), np.uint16)
    labels[3:13, 5:15], labels[20:24, 0:6] = 1, 2
    return labels


@pytest.fixture
def pair(tmp_path, labels):
    write_labels(tmp_path / "a_labels.tif", labels, "YX")
    tifffile.imwrite(tmp_path / "a.tif", labels * 10, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    return LabelFile("a", tmp_path / "a_labels.tif", tmp_path / "a.tif")


def test_a_pair_of_files(pair, tmp_path):
    assert find_label_files(tmp_path, tmp_path) == [pair]
    assert find_label_files(pair.labels) == [LabelFile("a", pair.labels)]
    table, _ = measure_file(pair, MeasureOptions())
    assert table["intensity_mean"].tolist() == [10, 20]
    assert table["area_um2"].tolist() == [25, 6]  # the pixel size is that of the image
    assert measure_file(pair, MeasureOptions(pixel_size=PixelSize(1, 1)))[0]["area_um2"].tolist() == [100, 24]
    write_table(tmp_path / "t.csv", table)
    with pytest.raises(FileFormatError, match="exists already"):
        write_table(tmp_path / "t.csv", table)


def test_outlines_of_a_pair(pair, tmp_path):
    report = write_outlines(pair, tmp_path / "o.geojson", OutlineOptions(tolerance=0.5))
    assert report["n_outlines"] == 2
    found = json.loads((tmp_path / "o.geojson").read_text())
    assert found["provenance"]["settings"]["tolerance_px"] == 0.5
    assert found["features"][0]["properties"]["measurements"]["area_um2"] == 25


def test_an_axis_of_one_channel_is_none(tmp_path, labels):
    tifffile.imwrite(tmp_path / "l.tif", labels[None], ome=True, metadata={"axes": "CYX"})
    image, _ = read_label_file(LabelFile("l", tmp_path / "l.tif"), MeasureOptions())
    assert image.axes == "YX"
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([labels] * 3, -1).astype(np.uint8), photometric="rgb")
    with pytest.raises(LabelsError, match=r"rgb\.tif has 3 channels"):
        read_label_file(LabelFile("rgb", tmp_path / "rgb.tif"), MeasureOptions())


def test_files_of_different_sizes_are_named(pair, labels):
    tifffile.imwrite(pair.image, labels[:, :20])
    with pytest.raises(LabelsError, match=r"a_labels\.tif has 30×40 \(YX\), a\.tif has 30×20 \(YX\)"):
        measure_file(pair, MeasureOptions())


def test_large_labels_are_read_from_the_disk(tmp_path, labels, monkeypatch):
    from napari_unet.io import lazy

    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 0)
    write_labels(tmp_path / "l.zarr", np.stack([labels, labels]), "TYX")
    file = LabelFile("l", tmp_path / "l.zarr")
    assert not isinstance(read_label_file(file, MeasureOptions())[0].data, np.ndarray)
    assert measure_file(file, MeasureOptions())[0]["time"].tolist() == [0, 0, 1, 1]


def test_results_are_kept_apart_from_inputs(pair, tmp_path):
    zarr.open_group(tmp_path / "z.zarr", mode="w")
    for target, told in (
        (pair.image, "is an input"),
        (pair.labels, "is an input"),
        (tmp_path / "z.zarr" / "t.csv", "lies in the Zarr"),
    ):
        with pytest.raises(FileFormatError, match=told):
            check_targets([target], [pair], overwrite=True)
    with pytest.raises(FileFormatError, match="another result"):
        check_targets([tmp_path / "t.csv", tmp_path / "x" / ".." / "t.csv"], [pair])
    check_targets([tmp_path / "t.csv", tmp_path / "s.csv"], [pair])
