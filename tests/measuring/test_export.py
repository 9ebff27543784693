"""Several results of several images: what is written, what each says of how it was made, and what is refused."""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from napari_unet.axes import Image, PixelSize
from napari_unet.errors import Cancelled, FileFormatError, UNetError
from napari_unet.io.readers import read_image, read_labels
from napari_unet.measuring.export import Item, export, export_steps
from napari_unet.measuring.kinds import ENDINGS, Kind
from napari_unet.measuring.labelled import Shown, labelled
from napari_unet.measuring.record import ByHand, Origin, Segmentation, sha256
from napari_unet.progress import CancelToken, drive

FILES = [kind for kind in Kind if kind is not Kind.own_zarr]
MADE = Segmentation("nuclei", "ab" * 32, diameter=20.0)


@pytest.fixture
def labels():
    labels = np.zeros((30, 40), np.int32)
    labels[3:13, 5:15], labels[20:24, 0:6] = 1, 2
    labels[6:8, 8:10] = 0
    return labels


@pytest.fixture
def cells(labels, tmp_path):
    """Labels and their image, with a record as the window makes it."""
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, (labels * 10).astype(np.uint16))
    image = Image(labels * 10, "YX", PixelSize(0.5, 0.5), name="cells")
    origin = Origin({"image": path}, "cells", (MADE,), ByHand(1, 4, 0.25))
    return replace(labelled(labels, image), origin=origin)


def record_in(path):
    """Return the record that a result holds, or that lies beside it."""
    if path.suffix == ".csv":
        return json.loads((path.parent / "measurements.json").read_text())
    if path.suffix == ".geojson":
        return json.loads(path.read_text())["provenance"]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as file:
            return json.loads(file.comment)
    if path.suffix == ".png":
        with PIL.Image.open(path) as image:
            return json.loads(image.text["napari_unet"])
    if path.suffix == ".svg":
        return json.loads(ElementTree.parse(path).getroot()[0].text)
    if path.suffix == ".zarr":
        return dict(zarr.open_group(path, mode="r").attrs)["napari_unet"]
    if path.suffix == ".json":
        found = json.loads(path.read_text())
        return found["info"]["provenance"] if "info" in found else found
    with tifffile.TiffFile(path) as file:
        if file.is_imagej:
            return json.loads(file.imagej_metadata["Info"])
        root = ElementTree.fromstring(file.ome_metadata)
        return json.loads(next(one.text for one in root.iter() if one.tag.endswith("Description")))


def test_every_kind_is_written_and_has_its_record(cells, tmp_path):
    report = export([cells], list(FILES), tmp_path / "out")
    assert report.failed == []
    assert report.n_objects == 2
    names = {f"cells{ENDINGS[kind]}" for kind in FILES if kind in ENDINGS}
    assert set(os.listdir(tmp_path / "out")) == names | {
        "measurements.csv", "measurements_by_image.csv", "measurements.json",
    }  # fmt: skip
    for path in report.written:
        record = record_in(path)
        (source,) = record["inputs"]
        assert record["program"] == "napari-unet-interactive", path
        assert source["image"] == {"name": "cells.tif", "sha256": sha256(tmp_path / "cells.tif")}, path
        assert source["segmentations"][0]["model"] == {"name": "nuclei", "sha256": "ab" * 32}, path
        assert source["by_hand"]["corrected_objects"] == 1, path


def test_what_other_programs_read(cells, labels, tmp_path):
    export([cells], FILES, tmp_path)
    with (tmp_path / "measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["label"], row["area_px"]) for row in rows] == [
        ("cells", "1", "96"),
        ("cells", "2", "24"),
    ]
    assert float(rows[0]["area_um2"]) == 24
    shapely = pytest.importorskip("shapely")
    features = json.loads((tmp_path / "cells_outlines.geojson").read_text())["features"]
    shapes = [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in features]
    assert [shape.area for shape in shapes] == [96, 24]
    assert [len(shape.interiors) for shape in shapes] == [1, 0]
    roifile = pytest.importorskip("roifile")
    rois = roifile.roiread(tmp_path / "cells_rois.zip")
    assert [(roi.name, roi.left, roi.top) for roi in rois] == [("1", 5, 3), ("2", 0, 20)]
    coco = json.loads((tmp_path / "cells_coco.json").read_text())
    assert coco["images"][0]["file_name"] == "cells.tif"
    assert [one["area"] for one in coco["annotations"]] == [96, 24]
    for ending in ("_labels.tif", "_labels.ome.tif", "_labels.zarr"):
        np.testing.assert_array_equal(read_labels(tmp_path / f"cells{ending}"), labels)
        assert read_image(tmp_path / f"cells{ending}", indices=True).pixel_size.x == pytest.approx(0.5)


def test_several_images_share_one_table_and_names_stay_apart(cells, labels, tmp_path):
    other = labelled(labels[:20], name="other")
    report = export([cells, other, cells], ["measurements", "geojson"], tmp_path / "out")
    assert report.failed == []
    assert sorted(os.listdir(tmp_path / "out"))[:3] == [
        "cells_2_outlines.geojson", "cells_outlines.geojson", "measurements.csv",
    ]  # fmt: skip
    with (tmp_path / "out" / "measurements_by_image.csv").open(newline="", encoding="utf-8") as file:
        found = [(row["image"], row["objects"]) for row in csv.DictReader(file)]
    assert found == [("cells", "2"), ("other", "1"), ("cells_2", "2")]


def test_pictures_of_a_stack_show_the_slice_that_is_asked_for(labels, tmp_path):
    stack = np.stack([labels, labels * 0, labels])
    cells = labelled(stack, stack, axes="ZYX", name="cells")
    report = export([cells], ["svg"], tmp_path)
    assert report.notes == ["cells_overlay.svg shows the middle of cells: slice 2, time point 1."]
    assert "<path" not in (tmp_path / "cells_overlay.svg").read_text()
    export([replace(cells, shown=Shown(0, 2))], ["svg"], tmp_path, overwrite=True)
    assert (tmp_path / "cells_overlay.svg").read_text().count("<path") == 2
    report = export([replace(cells, shown=Shown(0, 3))], ["svg", "geojson"], tmp_path, overwrite=True)
    assert (len(report.failed), len(report.written)) == (1, 1)


def test_classes_are_named_in_coco(labels, tmp_path):
    cells = labelled(labels, name="a", task="semantic", classes=("background", "axon", "myelin"))
    export([cells], ["coco"], tmp_path)
    found = json.loads((tmp_path / "a_coco.json").read_text())
    assert [one["name"] for one in found["categories"]] == ["axon", "myelin"]


# -- what cannot be done -----------------------------------------------------------------------------------------------


def test_existing_files_are_replaced_only_if_that_is_said(cells, tmp_path):
    (tmp_path / "cells_outlines.geojson").write_text("precious")
    report = export([cells], ["geojson", "coco"], tmp_path)
    assert [path.name for path in report.written] == ["cells_coco.json"]
    assert "exists already" in report.failed[0]
    assert (tmp_path / "cells_outlines.geojson").read_text() == "precious"
    assert export([cells], ["geojson"], tmp_path, overwrite=True).failed == []


@pytest.mark.parametrize("link", [False, True])
def test_an_input_is_never_written_over(cells, tmp_path, link):
    path = tmp_path / "cells_labels.tif"
    os.link(tmp_path / "cells.tif", path) if link else os.rename(tmp_path / "cells.tif", path)
    cells = replace(cells, origin=replace(cells.origin, files={"image": path}))
    before = path.read_bytes()
    report = export([cells], ["imagej-tiff", "geojson"], tmp_path, overwrite=True)
    assert path.read_bytes() == before
    assert "is an input" in report.failed[0]
    assert [one.name for one in report.written] == ["cells_outlines.geojson"]


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind is not Kind.measurements])
def test_a_full_disk_leaves_no_half_file_and_the_rest_is_done(cells, tmp_path, monkeypatch, kind):
    """The disk is full for one file: where it is given its name, or is synchronised."""
    name, real = f"cells{ENDINGS[kind]}", os.replace

    def replace_or_fail(source, target):
        if os.path.basename(target) == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr("napari_unet.io.atomic.os.replace", replace_or_fail)
    report = export([cells], FILES, tmp_path / "out")
    monkeypatch.undo()
    assert len(report.failed) == 1
    assert name in report.failed[0]
    assert "disk is full" in report.failed[0]
    left = os.listdir(tmp_path / "out")
    assert name not in left
    assert not [one for one in left if "partial" in one]
    assert len(left) == len(FILES) - 2 + 3


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="everything may be written to")
def test_a_folder_that_cannot_be_written_to(cells, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    report = export([cells], ["geojson", "coco", "measurements"], tmp_path / "out")
    assert (report.written, len(report.failed)) == ([], 5)
    assert "Permission denied" in report.failed[0]


def test_a_folder_that_is_a_file(cells, tmp_path):
    (tmp_path / "out").write_text("precious")
    report = export([cells], ["geojson", "png"], tmp_path / "out")
    assert (report.written, len(report.failed)) == ([], 2)
    assert (tmp_path / "out").read_text() == "precious"


def test_an_image_that_is_gone_is_named_and_the_rest_is_done(cells, tmp_path):
    def gone():
        yield from ()
        raise FileFormatError("a.tif is no longer there.")

    def there():
        yield from ()
        return cells

    items = [Item("a", (), gone), Item("cells", (), there)]
    steps = export_steps(items, [Kind.geojson, Kind.measurements], tmp_path / "out")
    report = drive(steps, lambda _: None)
    assert report.failed == ["a.tif is no longer there."]
    assert len(report.written) == 4


@pytest.mark.parametrize("kinds", [["pdf"], [], ["geojson", "doc"]])
def test_kinds_that_there_are_not(cells, tmp_path, kinds):
    with pytest.raises(UNetError, match="kind of export|Nothing is chosen"):
        export([cells], kinds, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_go_into_a_zarr_only(cells, tmp_path):
    report = export([cells], ["own-zarr", "geojson"], tmp_path / "out")
    assert report.failed == ["cells is not an OME-Zarr, so its labels cannot be written into it."]
    assert len(report.written) == 1


def test_stopping_leaves_what_is_complete(cells, tmp_path):
    cancel = CancelToken()

    def there():
        yield from ()
        return cells

    def stop():
        cancel.cancel()
        yield from ()
        return cells

    steps = export_steps([Item("a", (), there), Item("b", (), stop)], [Kind.geojson], tmp_path / "out", cancel=cancel)
    with pytest.raises(Cancelled):
        drive(steps, lambda _: None)
    assert os.listdir(tmp_path / "out") == ["a_outlines.geojson"]
