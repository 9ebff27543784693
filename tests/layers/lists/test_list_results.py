"""Results of a whole work list in the window, without a window: one table, exports, and how they are made again."""

from __future__ import annotations

import csv
import errno
import json
import os
import runpy
import shlex
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from hand_made import squares
from napari_unet.cli import app
from napari_unet.io.readers import read_labels
from napari_unet.layers.measuring.exporter import Request
from napari_unet.measuring.chart import first_column
from napari_unet.measuring.kinds import Kind

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of different sizes."""
    where = tmp_path / "pictures"
    where.mkdir()
    for number in range(3):
        image = (200 * squares((64 + 8 * number, 64))).astype(np.uint8)
        image[0, number] = 250
        tifffile.imwrite(where / f"cells{number}.tif", image)
    return where


@pytest.fixture
def listed(controller: Any, folder: Path) -> Any:
    """The controller with that folder as a list, of which all is segmented, and an object was added in the first."""
    controller.open(folder)
    controller.segment_all.start()
    paint(controller)
    return controller


def paint(controller: Any, value: int = 33, rows: slice = slice(50, 54)) -> None:
    layer = controller.session.labels_layer
    y, x = np.mgrid[rows, 4:8]
    layer.data_setitem((y.ravel(), x.ravel()), value)
    controller.refresh_corrections(everything=True)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Finisher:
    """Runs jobs to their ends, one after the other, and those that they start."""

    def __init__(self, runner: Any) -> None:
        self._runner, self._done = runner, 0

    def __call__(self) -> None:
        while self._done < len(self._runner.jobs):
            self._runner.finish(self._done)
            self._done += 1


def last(controller: Any) -> Any:
    return controller.messages[-1]


# -- measure -----------------------------------------------------------------------------------------------------------


def test_one_table_of_all_images(listed: Any) -> None:
    results = listed.list_results
    assert results.indices == [0, 1, 2]
    assert results.measure()
    table = results.table
    assert list(dict.fromkeys(table["image"].tolist())) == ["cells0", "cells1", "cells2"]
    first = table.where(table["image"] == "cells0")
    assert first["state"][first["label"] == 33].tolist() == ["corrected"], "of the image in view too, as it is now"
    assert first["area_px"][first["label"] == 33].tolist() == [16]
    assert last(listed).text == "Measured 10 objects in 3 images."
    assert "cells1: 3 objects, median area 100 pixels" in last(listed).details
    assert results.sentence == "3 images: 10 objects, median area 100 pixels."
    listed.results.measure()
    own = listed.results.table
    for name in own.columns:
        same = np.array_equal(own[name], first[name], equal_nan=own[name].dtype.kind == "f")
        assert same, f"{name} is the same as measured by itself"


def test_where_only_some_images_have_a_pixel_size(controller: Any, folder: Path) -> None:
    file = folder / "cells1.tif"
    tifffile.imwrite(file, tifffile.imread(file), imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    controller.open(folder)
    controller.segment_all.start()
    results = controller.list_results
    assert results.measure()
    assert results.sentence == "3 images: 9 objects, median area 100 pixels.", "25 µm² would be the median of three"
    details = last(controller).details.splitlines()
    assert details[0] == "Sizes in µm are known of 1 of 3 images: the others have no pixel size."
    assert "cells1: 3 objects, median area 25.0 µm²" in details
    assert first_column(results.table) == "area_px"


def test_only_what_has_labels_is_measured(controller: Any, folder: Path) -> None:
    controller.open(folder)
    results = controller.list_results
    assert not results.measure()
    assert "Press Segment all first" in last(controller).text
    controller.segment()
    assert results.measure(), "the image in view is stored for it"
    assert set(results.table["image"].tolist()) == {"cells0"}


def test_it_is_told_when_labels_have_changed_since(listed: Any, tmp_path: Path) -> None:
    results = listed.list_results
    results.measure()
    assert not results.is_stale
    listed.image_switch.next()
    listed.image_switch.previous()
    assert not results.is_stale, "looking changes nothing"
    results.export(Request((Kind.png,), tmp_path / "out", "list"))
    listed.outline_shapes()
    listed.work_list.note_suspects(0, 3)
    assert not results.is_stale, "nor does any of these"
    paint(listed, 34, slice(40, 44))
    assert results.is_stale
    results.measure()
    assert not results.is_stale
    listed.image_switch.next()
    paint(listed, 35, slice(40, 44))
    assert results.is_stale, "in another image too"
    results.measure()
    listed.choose_model("sensitive")
    listed.segment_all.start()
    assert results.is_stale


def test_images_of_several_models_are_told(listed: Any) -> None:
    listed.choose_model("sensitive")
    listed.segment()
    listed.list_results.measure()
    assert last(listed).text == "Measured 11 objects in 3 images. Several models made these labels: see Details."
    assert "Segment all brings them up to date" in last(listed).details


def test_an_image_that_is_gone_is_named_and_the_rest_is_done(listed: Any, folder: Path) -> None:
    (folder / "cells1.tif").unlink()
    listed.list_results.measure()
    assert last(listed).level == "error"
    assert last(listed).text == "Measured 7 objects in 2 images. 1 image could not be: see Details."
    assert "cells1" in last(listed).details
    assert set(listed.list_results.table["image"].tolist()) == {"cells0", "cells2"}


def test_a_click_in_the_chart_goes_to_the_image(listed: Any) -> None:
    results = listed.list_results
    results.measure()
    table = results.table
    row = next(n for n in range(len(table)) if table["image"][n] == "cells2" and table["centroid_y_px"][n] > 20)
    results.go_to(row)
    assert listed.work_list.in_view == 2
    y, x = listed.session.geometry.middle_of_view(listed.viewer)
    assert (y, x) == pytest.approx((table["centroid_y_px"][row], table["centroid_x_px"][row]))
    results.go_to(len(table))


def test_selected_objects_are_outlined_where_they_are_in_view(listed: Any) -> None:
    results = listed.list_results
    results.measure()
    results.mark(np.ones(len(results.table), bool))
    assert 33 in listed.results.marks.ids
    assert len(listed.results.marks.ids) == 4
    assert last(listed).text == "10 objects selected in 3 images, 4 of them in this one, in yellow."
    results.mark(None)
    assert listed.results.marks.ids == []


def test_another_list_has_no_measurements(listed: Any, folder: Path, tmp_path: Path) -> None:
    listed.list_results.measure()
    assert listed.list_keeper.save(tmp_path / "saved.unetlist")
    assert listed.list_results.table is not None, "the same list in another place"
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((64, 64), np.uint8))
    other = tmp_path / "other.unetlist"
    from napari_unet.projects.work_list import WorkListDescription, write_list

    write_list(other, WorkListDescription())
    assert listed.list_keeper.open(other)
    assert listed.list_results.table is None
    assert listed.list_results.sentence == ""


# -- export ------------------------------------------------------------------------------------------------------------


def test_an_export_of_all_images(listed: Any, tmp_path: Path) -> None:
    request = Request((Kind.measurements, Kind.imagej_tiff, Kind.geojson), tmp_path / "out", "list")
    assert listed.list_results.existing(request) == []
    assert listed.list_results.export(request)
    assert last(listed).level == "done", last(listed)
    assert last(listed).text.startswith("Exported 9 files to ")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "measurements.csv", "measurements_by_image.csv", "measurements.json",
        *(f"cells{n}_labels.tif" for n in range(3)), *(f"cells{n}_outlines.geojson" for n in range(3)),
    }  # fmt: skip
    summary = rows_of(tmp_path / "out" / "measurements_by_image.csv")
    assert [(row["image"], row["objects"]) for row in summary] == [("cells0", "4"), ("cells1", "3"), ("cells2", "3")]
    assert np.array_equal(read_labels(tmp_path / "out" / "cells0_labels.tif"), listed.session.labels[0, 0])
    record = json.loads((tmp_path / "out" / "measurements.json").read_text())
    assert [one["image"]["name"] for one in record["inputs"]] == [f"cells{n}.tif" for n in range(3)]
    assert {one["segmentations"][0]["model"]["name"] for one in record["inputs"]} == {"bright"}
    assert listed.list_results.existing(request)


def test_nothing_is_written_over_unasked_or_over_an_image(listed: Any, folder: Path) -> None:
    request = Request((Kind.measurements, Kind.imagej_tiff), folder, "list")
    (folder / "measurements.csv").write_text("mine")
    tifffile.imwrite(folder / "cells1_labels.tif", np.ones((3, 3), np.uint8))
    listed.list_results.export(request)
    assert last(listed).level == "error"
    assert (folder / "measurements.csv").read_text() == "mine"
    assert tifffile.imread(folder / "cells1_labels.tif").shape == (3, 3)
    assert (folder / "cells0_labels.tif").exists(), "the rest is done"


def test_a_full_disk_is_told_and_leaves_no_part(listed: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from napari_unet.io import writers

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writers, "_write_tiff", full)
    listed.list_results.export(Request((Kind.measurements, Kind.imagej_tiff), tmp_path / "out", "list"))
    assert last(listed).level == "error"
    assert "3 files written, 3 not" in last(listed).text
    assert "the disk is full" in last(listed).text + last(listed).details
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "measurements.csv", "measurements_by_image.csv", "measurements.json",
    }  # fmt: skip


def test_going_on_while_it_exports(later: Any, folder: Path, tmp_path: Path) -> None:
    finish_all = Finisher(later.runner)
    later.open(folder)
    finish_all()
    later.segment_all.start()
    finish_all()
    later.list_results.export(Request((Kind.measurements, Kind.imagej_tiff), tmp_path / "out", "list"))
    assert later.image_switch.go_to(2)
    finish_all()
    assert later.work_list.in_view == 2
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert not [one for one in later.messages if one.level == "error"]


# -- again -------------------------------------------------------------------------------------------------------------


def test_commands_and_python_give_the_same_again(listed: Any, tmp_path: Path) -> None:
    results = listed.list_results
    with pytest.raises(Exception, match="Save it first"):
        results.command()
    listed.list_keeper.save(tmp_path / "saved.unetlist")
    out = tmp_path / "out"
    results.export(Request((Kind.measurements, Kind.geojson), out, "list"))
    lines = results.command().splitlines()
    assert len(lines) == 2
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line)[1:])
        assert done.exit_code == 0, done.output
    again = tmp_path / "out_again"
    same = ("measurements.csv", "measurements_by_image.csv")
    for name in same:
        assert (again / name).read_text() == (out / name).read_text(), name
    first, second = (json.loads((where / "cells0_outlines.geojson").read_text()) for where in (out, again))
    assert first["features"] == second["features"]
    for path in again.iterdir():
        path.unlink()
    script = tmp_path / "again.py"
    script.write_text(results.python())
    runpy.run_path(str(script))
    for name in same:
        assert (again / name).read_text() == (out / name).read_text(), name


def test_labels_of_a_list_have_python_only(listed: Any, tmp_path: Path) -> None:
    listed.list_keeper.save(tmp_path / "saved.unetlist")
    results = listed.list_results
    results.export(Request((Kind.measurements, Kind.ome_tiff), tmp_path / "out", "list"))
    assert results.command().splitlines()[1].endswith("No command exports labels of a list: copy as Python.")
    results.export(Request((Kind.ome_tiff,), tmp_path / "out", "list"), overwrite=True)
    with pytest.raises(Exception, match="Copy as Python"):
        results.command()
    assert "['ome-tiff']" in results.python()


def test_a_paragraph_about_all_images(listed: Any) -> None:
    with pytest.raises(Exception, match="Press Measure first"):
        listed.list_results.methods()
    listed.list_results.measure()
    text = listed.list_results.methods()
    assert "Objects in 3 images were segmented" in text
    assert "10 objects were measured" in text
    assert "'bright'" in text


def test_the_sliders_of_one_image_are_applied_to_all(controller: Any, folder: Path) -> None:
    for file in folder.iterdir():
        tifffile.imwrite(file, squares(tifffile.imread(file).shape, dim=0.46).astype(np.float32))
    controller.open(folder)
    controller.segment_all.start()
    results, work_list = controller.list_results, controller.work_list
    assert results.measure()
    assert not results.is_stale
    before = len(results.table)
    controller.sliders.move("sensitivity", 0.9)
    controller.sliders.rest()
    assert results.is_stale
    assert work_list.todo() == [1, 2], "the image in view follows at once"
    assert results.measure()
    words = "Several settings made these labels"
    assert words in last(controller).text
    assert f"{words}. Segment all brings them up to date." in last(controller).details
    assert results.export(Request((Kind.imagej_tiff,), folder / "out"))
    assert f"{words}. Segment all brings them up to date." in last(controller).text + last(controller).details
    assert controller.segment_all.start()
    assert work_list.todo() == []
    assert results.measure()
    assert words not in last(controller).text + last(controller).details
    assert len(results.table) > before
    counts = [int((results.table["image"] == name).sum()) for name in ("cells0", "cells1", "cells2")]
    assert len(set(counts)) == 1
    controller.image_switch.go_to(1)
    assert controller.session.segmented_by == work_list.in_use
    controller.sliders.reset()
    assert work_list.todo() == [0, 2], "an image that was opened again is looked at again"
