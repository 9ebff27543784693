"""Measuring and exporting in the window, without a window; and that commands and Python give the same again."""

from __future__ import annotations

import csv
import json
import os
import re
import runpy
import shlex
import shutil
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
from typer.testing import CliRunner

from hand_made import squares
from napari_unet.cli import app
from napari_unet.errors import UNetError
from napari_unet.io.readers import read_labels
from napari_unet.layers.measuring.exporter import Request
from napari_unet.measuring.kinds import Kind


@pytest.fixture
def open_file(tmp_path: Any) -> Any:
    def it(controller: Any, name: str = "cells.tif", data: Any = None, axes: str = "YX", **metadata: Any) -> Any:
        path = tmp_path / name
        data = squares() if data is None else data
        tifffile.imwrite(path, data.astype(np.float32), imagej=True, metadata={"axes": axes, **metadata})
        assert controller.open([path])
        return path

    return it


@pytest.fixture
def segmented(controller: Any, open_file: Any) -> Any:
    """The controller with an image from a file, of which everything is segmented."""
    open_file(controller)
    assert controller.segment()
    return controller


def rows_of(path: Any) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def paint(controller: Any, where: Any, value: int) -> None:
    layer = controller.session.labels_layer
    layer.data_setitem(np.nonzero(where), value)
    controller.refresh_corrections(everything=True)


# -- measure -----------------------------------------------------------------------------------------------------------


def test_measuring_gives_a_table_a_sentence_and_features(segmented: Any) -> None:
    results = segmented.results
    assert results.table is None
    assert results.measure()
    assert results.table["area_px"].tolist() == [100, 100, 100]
    assert results.sentence == "3 objects, median area 100 pixels."
    assert segmented.messages[-1].text == "Measured 3 objects, median area 100 pixels."
    features = segmented.session.labels_layer.features
    assert features["index"].tolist() == results.table["label"].tolist()
    assert features["intensity_mean"].tolist() == [1, 1, 1]
    assert set(results.table["state"]) == {"predicted"}


@pytest.mark.parametrize("nothing", [True, False])
def test_features_that_the_layer_cannot_have_are_told_of(controller: Any, open_file: Any, nothing: bool) -> None:
    """Several squares are of one class; where nothing is found, there is nothing that a layer cannot have."""
    open_file(controller)
    assert controller.choose_model("classes")
    assert controller.segment()
    paint(controller, squares() >= 0, 0)
    if not nothing:
        paint(controller, squares() > 0, 1)
    assert controller.results.measure()
    said = controller.messages[-1]
    assert ("one label" in f"{said.text} {said.details}") is not nothing


def test_it_is_told_when_labels_have_changed_since(segmented: Any) -> None:
    results, told = segmented.results, []
    results.measure()
    results.changed.connect(lambda: told.append(results.is_stale))
    assert not results.is_stale
    segmented.refresh_corrections(everything=True)
    assert not results.is_stale
    square = np.zeros((64, 64), bool)
    square[55:60, 55:60] = True
    paint(segmented, square, 77)
    assert results.is_stale
    assert told[-1]
    results.measure()
    assert not results.is_stale
    assert dict(zip(results.table["label"], results.table["state"], strict=True))[77] == "corrected"
    segmented.segment()
    assert results.is_stale


def test_nothing_to_measure_is_said(controller: Any, viewer: Any) -> None:
    assert not controller.results.measure()
    assert controller.messages[-1].level == "error"
    viewer.add_image(squares())
    assert not controller.results.measure()
    assert "Press Segment first" in controller.messages[-1].text


def test_all_channels_of_the_file_are_measured(controller: Any, open_file: Any) -> None:
    data = np.stack([squares(), squares() * 3])
    open_file(controller, data=data, axes="CYX")
    controller.choose_layer(controller.viewer.layers[0])
    controller.segment()
    controller.results.measure()
    table = controller.results.table
    assert table["intensity_mean_channel0"].tolist() == [1, 1, 1]
    assert table["intensity_mean_channel1"].tolist() == [3, 3, 3]


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
def test_stacks(controller: Any, open_file: Any, axes: str) -> None:
    open_file(controller, data=squares((3, 64, 64)), axes=axes)
    controller.segment()
    controller.results.measure()
    table = controller.results.table
    assert ("volume_voxels" in table) == (axes == "ZYX")
    assert len(table) == (3 if axes == "ZYX" else 9)
    controller.results.go_to(len(table) - 1)
    assert controller.session.plane == ((0, 1) if axes == "ZYX" else (2, 0))


def test_labels_are_copied_while_the_user_paints(later: Any, open_file: Any) -> None:
    """Blocks are copied when the worker asks; objects get no other ids until it has all of them."""
    open_file(later)
    while not later.viewer.layers:
        later.runner.finish()
    later.segment()
    later.runner.finish()
    assert later.results.measure()
    assert later.session.held
    assert later.results.busy
    later.runner.finish()
    assert not later.session.held
    assert not later.results.busy
    assert len(later.results.table) == 3


def test_removing_the_layers_meanwhile(later: Any, open_file: Any) -> None:
    open_file(later)
    while not later.viewer.layers:
        later.runner.finish()
    later.segment()
    later.runner.finish()
    later.results.measure()
    later.viewer.layers.clear()
    later.runner.finish()
    assert not later.results.busy
    assert later.results.table is None


def test_only_one_at_a_time_and_it_can_be_stopped(later: Any, open_file: Any) -> None:
    open_file(later)
    while not later.viewer.layers:
        later.runner.finish()
    later.segment()
    later.runner.finish()
    assert later.results.measure()
    assert not later.results.measure()
    assert later.messages[-1].level == "error"
    later.results.stop()
    later.runner.finish()
    assert later.messages[-1].text == "Stopped. Nothing was measured."
    assert not later.session.held


# -- the objects of a chart --------------------------------------------------------------------------------------------


def test_objects_of_a_chart_are_outlined(segmented: Any, viewer: Any) -> None:
    results, layers = segmented.results, segmented.results.marks
    results.measure()
    before = segmented.session.labels_layer.data.copy()
    results.mark(np.array([True, False, True]))
    layer = layers.layer
    first, second, third = results.table["label"].tolist()
    np.testing.assert_array_equal(np.asarray(layer.data), np.isin(before, [first, third]))
    assert layers.ids == [first, third]
    assert not layer.editable
    assert viewer.layers.selection.active == segmented.session.labels_layer
    results.mark(np.array([False, True, False]))
    assert layers.layer is layer
    np.testing.assert_array_equal(np.asarray(layer.data), before == second)
    results.mark(None)
    assert layer not in viewer.layers
    np.testing.assert_array_equal(segmented.session.labels_layer.data, before)


def test_the_outlines_go_with_their_result(segmented: Any, viewer: Any) -> None:
    results = segmented.results
    results.measure()
    results.mark(np.array([True, True, True]))
    told: list[bool] = []
    results.marks.orphaned.connect(lambda: told.append(True))
    viewer.layers.remove(segmented.session.labels_layer)
    assert told
    results.marks.tidy()
    assert [layer.name for layer in viewer.layers if "selected" in layer.name] == []


def test_outlines_that_the_user_has_deleted_come_again(segmented: Any, viewer: Any) -> None:
    results = segmented.results
    results.measure()
    results.mark(np.array([True, True, True]))
    viewer.layers.remove(results.marks.layer)
    results.mark(np.array([True, False, False]))
    assert results.marks.layer in viewer.layers


# -- export ------------------------------------------------------------------------------------------------------------


def test_all_open_images_are_exported(segmented: Any, open_file: Any, tmp_path: Any) -> None:
    open_file(segmented, "other.tif", squares(dim=1))
    segmented.segment()
    exporter, folder = segmented.exporter, tmp_path / "out"
    request = Request((Kind.measurements, Kind.imagej_tiff, Kind.png), folder, "all")
    assert exporter.existing(request) == []
    assert exporter.export(request)
    assert segmented.messages[-1].level == "done"
    assert sorted(os.listdir(folder)) == [
        "cells_labels.tif", "cells_overlay.png", "measurements.csv", "measurements.json", "measurements_by_image.csv",
        "other_labels.tif", "other_overlay.png",
    ]  # fmt: skip
    assert [row["image"] for row in rows_of(folder / "measurements.csv")] == ["cells"] * 3 + ["other"] * 4
    for session in segmented.sessions:
        name = str(session.layer.name)
        np.testing.assert_array_equal(read_labels(folder / f"{name}_labels.tif"), session.labels[0, 0])
    assert len(exporter.existing(request)) == 7


def test_corrections_are_in_what_is_exported_and_in_the_record(segmented: Any, tmp_path: Any) -> None:
    square = np.zeros((64, 64), bool)
    square[55:60, 55:60] = True
    paint(segmented, square, 77)
    segmented.exporter.export(Request((Kind.measurements, Kind.imagej_tiff), tmp_path / "out"))
    states = {row["label"]: row["state"] for row in rows_of(tmp_path / "out" / "measurements.csv")}
    assert states["77"] == "corrected"
    (source,) = json.loads((tmp_path / "out" / "measurements.json").read_text())["inputs"]
    assert source["by_hand"] == {"corrected_objects": 1, "corrected_pixels": 25, "reviewed_share": 0.0}
    assert source["segmentations"][0]["model"]["sha256"] == segmented.model.sha256()
    assert source["segmentations"][0]["extent"] == "all"


def test_what_a_second_model_has_done_is_on_record(segmented: Any, tmp_path: Any) -> None:
    segmented.choose_model("sensitive")
    segmented.segment("view")
    segmented.exporter.export(Request((Kind.geojson,), tmp_path))
    (source,) = json.loads((tmp_path / "cells_outlines.geojson").read_text())["provenance"]["inputs"]
    assert [one["model"]["name"] for one in source["segmentations"]][-1] == "sensitive"


def test_existing_files_and_the_image_stay(segmented: Any, tmp_path: Any) -> None:
    before = (tmp_path / "cells.tif").read_bytes()
    (tmp_path / "cells_outlines.geojson").write_text("precious")
    segmented.exporter.export(Request((Kind.geojson, Kind.svg), tmp_path))
    assert segmented.messages[-1].level == "error"
    assert "1 file written, 1 not" in segmented.messages[-1].text
    assert (tmp_path / "cells_outlines.geojson").read_text() == "precious"
    assert (tmp_path / "cells_overlay.svg").exists()
    assert (tmp_path / "cells.tif").read_bytes() == before


def test_an_image_that_is_open_is_never_replaced(segmented: Any, open_file: Any, tmp_path: Any) -> None:
    """Its name is that which the labels of another one would get."""
    path = open_file(segmented, "cells_labels.tif", squares())
    before = path.read_bytes()
    first = next(session.layer for session in segmented.sessions)
    segmented.choose_layer(first)
    segmented.exporter.export(Request((Kind.imagej_tiff, Kind.svg), tmp_path), overwrite=True)
    assert path.read_bytes() == before
    assert segmented.messages[-1].level == "error"


def test_an_image_whose_file_is_gone_is_exported_all_the_same(segmented: Any, tmp_path: Any) -> None:
    (tmp_path / "cells.tif").unlink()
    segmented.exporter.export(Request((Kind.geojson,), tmp_path / "out"))
    message = segmented.messages[-1]
    assert message.level == "done"
    assert "cells.tif is no longer there; results lack its checksum." in message.text + message.details


def test_labels_into_the_zarr_of_their_image(controller: Any, tmp_path: Any) -> None:
    from napari_unet.io.zarr_writer import write_zarr

    path = tmp_path / "cells.zarr"
    write_zarr(path, squares(), "YX", None, np.float32, name="cells")
    assert controller.open([path])
    controller.segment()
    assert controller.exporter.in_zarr
    controller.exporter.export(Request((Kind.own_zarr,), tmp_path / "out"))
    np.testing.assert_array_equal(read_labels(path / "labels" / "unet"), controller.session.labels[0, 0])


def test_nothing_to_export_is_said(controller: Any, tmp_path: Any) -> None:
    for extent in ("this", "all"):
        assert not controller.exporter.export(Request((Kind.geojson,), tmp_path, extent))
        assert "Press Segment first" in controller.messages[-1].text


# -- again -------------------------------------------------------------------------------------------------------------

ALL = (Kind.measurements, Kind.geojson, Kind.rois, Kind.coco, Kind.imagej_tiff, Kind.ome_zarr, Kind.png, Kind.svg)


def run(text: str) -> None:
    for line in text.splitlines():
        name, *arguments = shlex.split(line)
        assert name == "napari-unet"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output


def assert_same(first: Any, second: Any) -> None:
    """Check that two folders hold the same results; only how objects are numbered, and states, may differ."""
    mine, theirs = rows_of(first / "measurements.csv"), rows_of(second / "measurements.csv")
    assert len(mine) == len(theirs) > 0
    for one, other in zip(*(sorted(rows, key=key) for rows in (mine, theirs)), strict=True):
        known = set(one) & set(other) - {"label"}
        assert set(one) - known <= {"label", "state"}
        assert {name: one[name] for name in known} == {name: other[name] for name in known}
    labels = [read_labels(folder / "cells_labels.tif") for folder in (first, second)]
    pairs = np.unique(np.stack([one.ravel() for one in labels]), axis=1)
    assert len(pairs[0]) == len(set(pairs[0])) == len(set(pairs[1])), "the same objects"
    assert set(os.listdir(first)) - set(os.listdir(second)) <= {"cells_labels.zarr"}  # commands make one label file
    for read in (outlines_of, annotations_of, rois_of, pixels_of, paths_of):
        assert read(first) == read(second)


def outlines_of(folder: Any) -> list[str]:
    features = json.loads((folder / "cells_outlines.geojson").read_text())["features"]
    return sorted(json.dumps([feature["geometry"], feature["properties"].get("measurements")]) for feature in features)


def annotations_of(folder: Any) -> list[str]:
    found = json.loads((folder / "cells_coco.json").read_text())
    return sorted(json.dumps([one["image_id"], one["segmentation"], one["area"]]) for one in found["annotations"])


def rois_of(folder: Any) -> list[tuple[Any, ...]]:
    roifile = pytest.importorskip("roifile")
    return sorted(
        (roi.position, roi.top, roi.left, roi.n_coordinates) for roi in roifile.roiread(folder / "cells_rois.zip")
    )


def pixels_of(folder: Any) -> bytes:
    with PIL.Image.open(folder / "cells_overlay.png") as image:
        return image.tobytes()


def paths_of(folder: Any) -> set[str]:
    return set(re.findall(r' d="([^"]+)"', (folder / "cells_overlay.svg").read_text()))


def key(row: dict[str, str]) -> tuple[str, ...]:
    return row.get("time", ""), row["centroid_y_px"], row["centroid_x_px"]


def assert_the_same_again(controller: Any, tmp_path: Any) -> None:
    """Commands, and then a script, give again what was exported to "out"."""
    run(controller.exporter.command())
    assert_same(tmp_path / "out", tmp_path / "out_again")
    shutil.rmtree(tmp_path / "out_again")
    script = tmp_path / "again.py"
    script.write_text(controller.exporter.python())
    runpy.run_path(str(script))
    assert_same(tmp_path / "out", tmp_path / "out_again")


@pytest.mark.parametrize("axes", ["YX", "ZYX", "CYX"])
def test_the_commands_give_the_same_again(controller: Any, open_file: Any, tmp_path: Any, axes: str) -> None:
    shape = (3, 64, 64)[3 - len(axes) if axes != "CYX" else 1 :]
    data = np.stack([squares() * 0, squares()]) if axes == "CYX" else squares(shape)
    open_file(controller, data=data, axes=axes, unit="um")
    controller.choose_layer(controller.viewer.layers[-1])
    controller.workspace.flips = True
    controller.segment()
    controller.exporter.export(Request(ALL, tmp_path / "out"))
    assert controller.messages[-1].level == "done"
    assert_the_same_again(controller, tmp_path)


def test_the_same_again_with_corrections(segmented: Any, tmp_path: Any) -> None:
    square = np.zeros((64, 64), bool)
    square[55:60, 55:60] = True
    paint(segmented, square, 77)
    segmented.results.measure()
    exporter = segmented.exporter
    with pytest.raises(Exception, match="Export the labels too"):
        exporter.command()
    exporter.export(Request(ALL, tmp_path / "out"))
    run(exporter.command())
    assert rows_of(tmp_path / "out" / "measurements.csv")[-1]["label"] == "77"
    again = rows_of(tmp_path / "out_again" / "measurements.csv")
    first = rows_of(tmp_path / "out" / "measurements.csv")
    assert [{n: v for n, v in row.items() if n != "state"} for row in first] == again


def test_no_commands_for_pixels_in_no_file(controller: Any, viewer: Any) -> None:
    viewer.add_image(squares())
    controller.segment()
    with pytest.raises(Exception, match="in no file"):
        controller.exporter.command()
    assert "'bright'" in controller.exporter.methods()


def test_a_learned_model_is_named_by_its_file(controller: Any, taught: Any, open_file: Any, tmp_path: Any) -> None:
    open_file(controller)
    controller.segment()
    square = np.zeros((64, 64), bool)
    square[12:18, 12:18] = True
    paint(controller, square, 77)
    assert controller.learn()
    controller.history.parking.close()
    controller.segment("stack")
    made = controller.exporter._made_by.of(controller.session)
    found = made[-1].resolved()
    assert found.model == "bright, corrected"
    assert found.sha256 == controller.model.sha256()
    assert found.file is not None
    assert found.file.exists()


def move_sliders(controller: Any, **positions: float) -> None:
    for slider, value in positions.items():
        controller.sliders.move(slider, value)
        controller.sliders.rest()


def test_the_same_again_where_the_sliders_were_moved(controller: Any, open_file: Any, tmp_path: Any) -> None:
    open_file(controller, data=squares(dim=0.46), unit="um")
    controller.segment()
    move_sliders(controller, sensitivity=0.9, separation=0.3, smallest=8.0)
    assert controller.session.count() == 4
    controller.exporter.export(Request(ALL, tmp_path / "out"))
    assert_the_same_again(controller, tmp_path)
    assert len(rows_of(tmp_path / "out_again" / "measurements.csv")) == 4
    said = json.loads((tmp_path / "out" / "measurements.json").read_text())
    (made,) = said["inputs"][0]["segmentations"]
    assert made["decoding"]["foreground"] == pytest.approx(0.1)
    controller.sliders.reset()
    assert "--sensitivity" not in controller.exporter.command()


def test_measurements_are_of_before_the_sliders_were_moved_or_frames_linked(controller: Any, open_file: Any) -> None:
    open_file(controller, data=squares((3, 64, 64), dim=0.46), axes="TYX")
    controller.segment()
    results = controller.results
    results.measure()
    move_sliders(controller, sensitivity=0.9)
    assert results.is_stale
    results.measure()
    assert not results.is_stale
    assert controller.frame_links.link()
    assert results.is_stale


@pytest.mark.parametrize("how", ["replaced", "in place", "cut"])
def test_pixels_that_were_changed_in_napari_are_not_said_to_be_those_of_the_file(
    controller: Any, open_file: Any, tmp_path: Any, how: str
) -> None:
    open_file(controller)
    layer = controller.viewer.layers[0]
    if how == "in place":
        layer.data = np.array(layer.data)
        layer.data[:40] *= 2
    else:
        layer.data = np.array(layer.data)[: 64 if how == "replaced" else 40] * 2
    assert controller.segment()
    controller.exporter.export(Request((Kind.measurements,), tmp_path / "out"))
    assert "cells.tif has other pixels than are open here" in controller.messages[-1].text + (
        controller.messages[-1].details
    )
    (source,) = json.loads((tmp_path / "out" / "measurements.json").read_text())["inputs"]
    assert "files" not in source or not source["files"]
    with pytest.raises(UNetError, match="not those of the file any more"):
        controller.exporter.command()
    assert "segmented" in controller.exporter.methods()


def test_commands_take_the_labels_of_their_own_image(segmented: Any, open_file: Any, tmp_path: Any) -> None:
    """Two images of one name, from two folders: their labels are told apart by a number."""
    (tmp_path / "other").mkdir()
    square = np.zeros((64, 64), bool)
    square[55:60, 55:60] = True
    paint(segmented, square, 77)
    open_file(segmented, "other/cells.tif", squares(dim=1))
    segmented.segment()
    paint(segmented, square, 88)
    exporter, folder = segmented.exporter, tmp_path / "out"
    exporter.export(Request((Kind.measurements, Kind.imagej_tiff), folder, "all"))
    assert segmented.messages[-1].level == "done"
    for session in segmented.sessions:
        segmented.workspace.choose_layer(session.layer)
        words = shlex.split(exporter.command().splitlines()[0])
        file = words[words.index("--labels") + 1]
        np.testing.assert_array_equal(read_labels(file), session.labels[0, 0])
