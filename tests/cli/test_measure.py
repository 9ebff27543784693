"""`napari-unet measure` and `contours`: what is written where, what is refused, and what is said."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import zipfile

import numpy as np
import pytest
import tifffile

import napari_unet as nu
from hand_made import squares as made_squares
from hand_made_series import KINDS, several, values
from napari_unet.axes import PixelSize
from napari_unet.errors import Cancelled, FileFormatError
from napari_unet.io.writers import write_labels
from napari_unet.measuring.record import sha256
from napari_unet.models.checkpoint import save_model_file
from napari_unet.objects.table import Table


def squares(n):
    labels = np.zeros((48, 60), np.uint16)
    for number, (y, x) in enumerate(((5, 5), (5, 30), (25, 12))[:n], 1):
        labels[y : y + 9, x : x + 10] = number
    return labels


@pytest.fixture
def data(tmp_path):
    """Folders of three label files, with 3, 1 and 2 objects, and of their images."""
    for folder in ("labels", "images"):
        (tmp_path / folder).mkdir()
    for name, n in (("a", 3), ("b", 1), ("c", 2)):
        write_labels(tmp_path / "labels" / f"{name}_labels.tif", squares(n), "YX")
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", squares(n) * 100 + 7)
    return tmp_path


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def everything(path):
    return {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def report(result):
    (line,) = result.stdout.splitlines()
    return json.loads(line)


# -- measure -----------------------------------------------------------------------------------------------------------


def test_one_file_gives_one_table(run, data):
    out = data / "new" / "cells.csv"
    result = run("measure", "--labels", data / "labels" / "a_labels.tif", "-o", out)
    assert result.stdout == ""
    assert "3 objects" in result.stderr
    found = rows(out)
    assert [row["label"] for row in found] == ["1", "2", "3"]
    assert {row["image"] for row in found} == {"a"}
    assert found[0]["area_px"] == "90"
    assert "area_um2" not in found[0]
    assert os.listdir(out.parent) == ["cells.csv"]


def test_folders_give_one_tidy_table(run, data):
    out = data / "cells.csv"
    card = report(
        run(
            "measure",
            "--labels",
            data / "labels",
            "--image",
            data / "images",
            "-o",
            out,
            "--pixel-size",
            "0.5",
            "--json",
        )
    )
    found = rows(out)
    assert [(row["image"], row["label"]) for row in found] == [
        ("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("c", "1"), ("c", "2"),
    ]  # fmt: skip
    assert float(found[1]["area_um2"]) == 22.5
    assert [float(row["intensity_mean"]) for row in found] == [107, 207, 307, 107, 107, 207]
    assert card["n_objects"] == 6
    assert card["output"] == str(out)
    assert [r["n_objects"] for r in card["results"]] == [3, 1, 2]
    assert card["failed"] == []


def test_labels_and_images_in_one_folder(run, data):
    for path in (data / "images").iterdir():
        shutil.copy(path, data / "labels")
    run("measure", "--labels", data / "labels", "-o", data / "1.csv")
    run("measure", "--labels", data / "labels", "--image", data / "labels", "-o", data / "2.csv")
    assert len(rows(data / "1.csv")) == len(rows(data / "2.csv")) == 6


def test_pandas_reads_the_table(run, data):
    pd = pytest.importorskip("pandas")
    run("measure", "--labels", data / "labels", "--image", data / "images", "-o", data / "t.csv")
    frame = pd.read_csv(data / "t.csv")
    assert frame.groupby("image")["label"].count().to_dict() == {"a": 3, "b": 1, "c": 2}
    assert frame["touches_border"].dtype == bool


def test_the_pixel_size_is_that_of_the_files(run, tmp_path):
    write_labels(tmp_path / "l.tif", squares(2), "YX", PixelSize(0.25, 0.25))
    run("measure", "--labels", tmp_path / "l.tif", "-o", tmp_path / "t.csv")
    assert float(rows(tmp_path / "t.csv")[0]["area_um2"]) == pytest.approx(90 / 16)


def test_summary_and_record(run, data):
    out = data / "cells.csv"
    write_labels(data / "labels" / "d_labels.tif", squares(0), "YX")
    tifffile.imwrite(data / "images" / "d.tif", squares(0))
    arguments = "measure", "--labels", data / "labels", "--image", data / "images", "-o", out, "--record"
    run(*arguments, "--summary", data / "s.csv", "--neighbour-distance", "30")
    assert [(row["image"], row["objects"]) for row in rows(data / "s.csv")] == [
        ("a", "3"), ("b", "1"), ("c", "2"), ("d", "0"),
    ]  # fmt: skip
    record = json.loads((data / "cells.json").read_text())
    assert record["version"] == nu.__version__
    assert record["settings"]["neighbour_distance"] == 30
    assert record["inputs"][0]["labels"]["name"] == "a_labels.tif"
    assert len(record["inputs"][3]["image"]["sha256"]) == 64
    assert out.read_text().startswith("image,label,")  # and nothing else in the table


def test_volumes_slices_time_points_and_classes(run, tmp_path):
    stack = np.stack([squares(2), squares(2), squares(1)])
    write_labels(tmp_path / "z.tif", stack, "ZYX", PixelSize(0.5, 0.5, 2.0))
    write_labels(tmp_path / "t.tif", stack, "TYX")

    def table(*arguments):
        run("measure", "-o", tmp_path / "t.csv", "--overwrite", "--labels", *arguments)
        return rows(tmp_path / "t.csv")

    assert [float(row["volume_um3"]) for row in table(tmp_path / "z.tif")] == [270 * 0.5, 180 * 0.5]
    assert [row["slice"] for row in table(tmp_path / "z.tif", "--slices")] == ["0", "0", "1", "1", "2"]
    assert [row["time"] for row in table(tmp_path / "t.tif")] == ["0", "0", "1", "1", "2"]
    assert len(table(tmp_path / "t.tif", "--axes", "ZYX")) == 2
    assert [row["class"] for row in table(tmp_path / "t.tif", "--task", "semantic")] == ["1", "2", "1", "2", "1"]


def test_a_guess_of_axes_follows_the_image(run, tmp_path):
    stack = np.stack([squares(2), squares(1)])
    tifffile.imwrite(tmp_path / "l.tif", stack)  # no axes in it
    tifffile.imwrite(tmp_path / "i.tif", stack, imagej=True, metadata={"axes": "TYX"})
    run("measure", "--labels", tmp_path / "l.tif", "--image", tmp_path / "i.tif", "-o", tmp_path / "t.csv")
    assert [row["time"] for row in rows(tmp_path / "t.csv")] == ["0", "0", "1"]


def test_channels_have_names(run, tmp_path):
    write_labels(tmp_path / "l.tif", squares(2), "YX")
    tifffile.imwrite(tmp_path / "i.tif", np.stack([squares(2)] * 2), imagej=True, metadata={"axes": "CYX"})
    arguments = "measure", "--labels", tmp_path / "l.tif", "--image", tmp_path / "i.tif", "-o", tmp_path / "t.csv"
    run(*arguments, "--channels", "DAPI,GFP")
    assert rows(tmp_path / "t.csv")[1]["intensity_mean_GFP"] == "2"
    assert "2 channels; got 3" in run(*arguments, "--channels", "a,b,c", "--overwrite", status=1).stderr


def test_zarr_labels(run, tmp_path):
    write_labels(tmp_path / "l.zarr", squares(3), "YX")
    run("measure", "--labels", tmp_path / "l.zarr", "-o", tmp_path / "t.csv")
    assert len(rows(tmp_path / "t.csv")) == 3
    run("contours", "--labels", tmp_path / "l.zarr", "-o", tmp_path / "t.geojson")
    assert len(json.loads((tmp_path / "t.geojson").read_text())["features"]) == 3


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_what_fails_is_named_and_the_rest_is_done(run, data):
    (data / "labels" / "b_labels.tif").write_bytes(b"II*\0 this is no TIFF at all")
    tifffile.imwrite(data / "labels" / "d_labels.tif", np.full((48, 60), 0.5, np.float32))
    tifffile.imwrite(data / "images" / "d.tif", squares(1))
    tifffile.imwrite(data / "images" / "c.tif", squares(1)[:40])
    (data / "labels" / "notes.txt").write_text("not an image")
    out = data / "t.csv"
    result = run("measure", "--labels", data / "labels", "--image", data / "images", "-o", out, "--json", status=1)
    card = report(result)
    assert [os.path.basename(f["input"]) for f in card["failed"]] == ["b_labels.tif", "c_labels.tif", "d_labels.tif"]
    assert {row["image"] for row in rows(out)} == {"a"}
    size = card["failed"][1]["error"]
    assert "c_labels.tif" in size
    assert "c.tif has 40×60" in size
    for name in ("b_labels.tif", "c_labels.tif", "d_labels.tif"):
        assert any(name in line for line in result.stderr.splitlines())


def test_nothing_is_written_where_all_fail(run, data):
    for path in (data / "labels").iterdir():
        path.write_bytes(b"")
    card = report(run("measure", "--labels", data / "labels", "-o", data / "t.csv", "--json", status=1))
    assert card["output"] is None
    assert not (data / "t.csv").exists()
    run("contours", "--labels", data / "labels", "-o", data / "out", status=1)
    assert not (data / "out").exists() or os.listdir(data / "out") == []


@pytest.mark.parametrize("command", ["measure", "contours"])
def test_missing_files_are_named(run, data, command):
    out = data / ("t.csv" if command == "measure" else "t.geojson")
    assert "gone.tif" in run(command, "--labels", data / "gone.tif", "-o", out, status=1).stderr
    (data / "empty").mkdir()
    (data / "empty" / "notes.txt").touch()
    target = out if command == "measure" else data / "folder"
    assert "no image" in run(command, "--labels", data / "empty", "-o", target, status=1).stderr
    (data / "images" / "b.tif").unlink()
    told = run(command, "--labels", data / "labels", "--image", data / "images", "-o", target, status=1).stderr
    assert "b_labels.tif has no partner" in told
    assert not out.exists()


def test_an_existing_table_is_kept(run, data):
    out = data / "t.csv"
    out.write_text("precious")
    arguments = "measure", "--labels", data / "labels", "-o", out
    assert "--overwrite" in run(*arguments, status=1).stderr
    assert out.read_text() == "precious"
    run(*arguments, "--overwrite")
    assert len(rows(out)) == 6
    out.unlink()
    (data / "t.json").write_text("precious")
    assert "t.json exists already" in run(*arguments, "--record", status=1).stderr
    assert not out.exists()


def test_no_result_is_an_input_or_another_result(run, data):
    link = data / "t.csv"
    link.symlink_to(data / "labels" / "a_labels.tif")
    before = everything(data)
    arguments = "measure", "--labels", data / "labels", "--overwrite"
    assert "is an input" in run(*arguments, "-o", link, status=1).stderr
    two = "-o", data / "s.csv", "--summary", data / "s.csv"
    assert "another result" in run(*arguments, *two, status=1).stderr
    assert everything(data) == before


def test_a_full_disk_leaves_nothing(run, data, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Table, "to_csv", full)
    assert "disk is full" in run("measure", "--labels", data / "labels", "-o", data / "o" / "t.csv", status=1).stderr
    assert os.listdir(data / "o") == []


@pytest.mark.parametrize(
    "words",
    [
        ("-o", "t.xlsx"),
        ("-o", "t"),
        ("-o", ""),
        ("-o", "t.csv", "--summary", "s.txt"),
        ("-o", "t.csv", "--pixel-size", "wide"),
        ("-o", "t.csv", "--pixel-size", "-1"),
        ("-o", "t.csv", "--neighbour-distance", "-1"),
        ("-o", "t.csv", "--neighbour-distance", "nan"),
        ("-o", "t.csv", "--channels", "DAPI"),
        ("-o", "t.csv", "--task", "magic"),
        (),
    ],
    ids=" ".join,
)
def test_wrong_usage(run, data, monkeypatch, words):
    monkeypatch.chdir(data)
    before = everything(data)
    run("measure", "--labels", "labels", *words, status=2)
    assert everything(data) == before


@pytest.mark.parametrize(("command", "out"), [("measure", "t.csv"), ("contours", "out")])
def test_stopping_is_told(run, data, monkeypatch, command, out):
    from napari_unet.measuring import files

    def stopped(*_, **__):
        raise Cancelled("stop")

    monkeypatch.setattr(files, "measure_file", stopped)
    monkeypatch.setattr(files, "write_outlines", stopped)
    assert "Stopped." in run(command, "--labels", data / "labels", "-o", data / out, status=130).stderr
    assert not (data / out).exists()


def test_a_file_that_goes_away_is_told(data):
    with pytest.raises(FileFormatError, match=r"gone\.tif .* no longer there"):
        sha256(data / "gone.tif")
    assert sha256(data) is None


# -- contours ----------------------------------------------------------------------------------------------------------


def test_geojson_of_one_file(run, data):
    out = data / "a.geojson"
    arguments = "--labels", data / "labels" / "a_labels.tif", "--image", data / "images" / "a.tif"
    card = report(run("contours", *arguments, "-o", out, "--pixel-size", "0.5", "--classification", "Cell", "--json"))
    assert card["results"][0]["n_outlines"] == 3
    found = json.loads(out.read_text())
    assert found["provenance"]["inputs"][0]["image"]["name"] == "a.tif"
    assert found["provenance"]["settings"]["pixel_size_um"] == {"z": None, "y": 0.5, "x": 0.5}
    one = found["features"][1]
    assert one["properties"]["name"] == "2"
    assert one["properties"]["classification"] == {"name": "Cell"}
    assert one["properties"]["measurements"]["area_um2"] == 22.5
    assert one["properties"]["measurements"]["intensity_mean"] == 207
    assert "label" not in one["properties"]["measurements"]


def test_rois_of_one_file(run, data):
    pytest.importorskip("roifile")
    run("contours", "--labels", data / "labels" / "a_labels.tif", "-o", data / "a.zip")
    with zipfile.ZipFile(data / "a.zip") as file:
        assert file.namelist() == ["1.roi", "2.roi", "3.roi"]
        assert json.loads(file.comment)["inputs"][0]["labels"]["name"] == "a_labels.tif"


@pytest.mark.parametrize(("words", "ending"), [((), "_outlines.geojson"), (("--format", "zip"), "_rois.zip")])
def test_a_folder_gives_a_folder(run, data, words, ending):
    if ending.endswith("zip"):
        pytest.importorskip("roifile")
    run("contours", "--labels", data / "labels", "-o", data / "out", *words)
    assert sorted(os.listdir(data / "out")) == [f"{name}{ending}" for name in "abc"]


def test_planes_of_a_stack_have_their_measurements(run, tmp_path):
    write_labels(tmp_path / "z.tif", np.stack([squares(2), squares(1) * 0, squares(1)]), "ZYX")
    run("contours", "--labels", tmp_path / "z.tif", "-o", tmp_path / "z.geojson")
    found = json.loads((tmp_path / "z.geojson").read_text())["features"]
    assert [f["geometry"]["plane"]["z"] for f in found] == [0, 0, 2]
    assert all(f["properties"]["measurements"]["area_px"] == 90 for f in found)


def test_simpler_outlines_and_no_measurements(run, data):
    arguments = "contours", "--labels", data / "labels" / "a_labels.tif", "-o", data / "a.geojson"
    run(*arguments, "--tolerance", "1", "--no-measurements", "--object-type", "annotation")
    one = json.loads((data / "a.geojson").read_text())["features"][0]
    assert one["properties"] == {"objectType": "annotation", "name": "1"}


def test_what_fails_of_a_folder_is_named_and_the_rest_is_done(run, data):
    (data / "labels" / "b_labels.tif").write_bytes(b"")
    (data / "out").mkdir()
    (data / "out" / "c_outlines.geojson").write_text("precious")
    card = report(run("contours", "--labels", data / "labels", "-o", data / "out", "--json", status=1))
    assert [os.path.basename(f["input"]) for f in card["failed"]] == ["b_labels.tif", "c_labels.tif"]
    assert sorted(os.listdir(data / "out")) == ["a_outlines.geojson", "c_outlines.geojson"]
    assert (data / "out" / "c_outlines.geojson").read_text() == "precious"


def test_outlines_never_replace_an_input(run, data):
    source = data / "labels" / "a_labels.tif"
    (data / "a.geojson").symlink_to(source)
    before = everything(data)
    arguments = "contours", "--labels", source, "-o", data / "a.geojson", "--overwrite"
    assert "is an input" in run(*arguments, status=1).stderr
    assert everything(data) == before


@pytest.mark.parametrize(
    "words",
    [
        ("--labels", "labels/a_labels.tif", "-o", "a.svg"),
        ("--labels", "labels/a_labels.tif", "-o", "a"),
        ("--labels", "labels/a_labels.tif", "-o", "a.zip", "--format", "geojson"),
        ("--labels", "labels/a_labels.tif", "-o", "a.geojson", "--tolerance", "-1"),
        ("--labels", "labels/a_labels.tif", "-o", "a.geojson", "--classification", " "),
        ("--labels", "labels", "-o", "a.geojson"),
        ("--labels", "labels", "-o", "images/a.tif"),
    ],
    ids=" ".join,
)
def test_wrong_usage_of_contours(run, data, monkeypatch, words):
    monkeypatch.chdir(data)
    before = everything(data)
    run("contours", *words, status=2)
    assert everything(data) == before


def test_what_is_missing_for_rois_is_told(run, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "roifile", None)
    result = run("contours", "--labels", data / "labels" / "a_labels.tif", "-o", data / "a.zip", status=1)
    assert "pip install roifile" in result.stderr


# -- COCO and pictures -------------------------------------------------------------------------------------------------


def test_coco_and_pictures_of_one_file(run, data):
    source = ("contours", "--labels", data / "labels" / "a_labels.tif", "--image", data / "images" / "a.tif")
    run(*source, "-o", data / "a.json", "--format", "coco")
    found = json.loads((data / "a.json").read_text())
    assert [one["area"] for one in found["annotations"]] == [90, 90, 90]
    assert found["info"]["provenance"]["inputs"][0]["labels"]["name"] == "a_labels.tif"
    run(*source, "-o", data / "b.json")
    assert json.loads((data / "b.json").read_text())["type"] == "FeatureCollection"
    for ending in (".png", ".svg"):
        assert "3 outlines" in run(*source, "-o", data / f"a{ending}").stderr
    assert (data / "a.svg").read_text().count("<path") == 3
    assert (data / "a.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("kind", "ending"), [("coco", "_coco.json"), ("png", "_overlay.png"), ("svg", "_overlay.svg")])
def test_a_folder_of_coco_files_or_pictures(run, data, kind, ending):
    folders = ("--labels", data / "labels", "--image", data / "images")
    run("contours", *folders, "-o", data / "out", "--format", kind)
    assert sorted(os.listdir(data / "out")) == [f"{name}{ending}" for name in "abc"]


def test_the_plane_and_the_channel_of_a_picture(run, tmp_path):
    write_labels(tmp_path / "z.tif", np.stack([squares(2), squares(3), squares(1)]), "ZYX")
    image = np.zeros((3, 2, 48, 60), np.uint16)
    image[2, 1, :, 30:] = 100
    tifffile.imwrite(tmp_path / "i.tif", image, imagej=True, metadata={"axes": "ZCYX"})
    source = ("contours", "--labels", tmp_path / "z.tif", "--image", tmp_path / "i.tif", "-o", tmp_path / "a.svg")
    result = run(*source)
    assert "shows the middle of z: slice 2" in result.stderr
    assert (tmp_path / "a.svg").read_text().count("<path") == 3
    result = run(*source, "--plane", "0,2", "--channel", "1", "--overwrite")
    assert "middle" not in result.stderr
    assert (tmp_path / "a.svg").read_text().count("<path") == 1
    assert "has no slice 7" in run(*source, "--plane", "7", "--overwrite", status=1).stderr
    assert "has no channel 4" in run(*source, "--channel", "4", "--overwrite", status=1).stderr
    assert (tmp_path / "a.svg").read_text().count("<path") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("-o", "a.png"),
        ("-o", "a.geojson", "--image", "images/a.tif", "--plane", "1"),
        ("-o", "a.geojson", "--image", "images/a.tif", "--channel", "0"),
        ("-o", "a.png", "--image", "images/a.tif", "--plane", "x"),
        ("-o", "a.png", "--image", "images/a.tif", "--plane", "0,0,1"),
        ("-o", "a.geojson", "--format", "coco"),
    ],
    ids=" ".join,
)
def test_wrong_usage_of_pictures(run, data, monkeypatch, words):
    monkeypatch.chdir(data)
    before = everything(data)
    run("contours", "--labels", "labels/a_labels.tif", *words, status=2)
    assert everything(data) == before


# -- projects ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def projects(data):
    """A work list of the images, of which two have labels."""
    from napari_unet.axes import Image
    from napari_unet.io.finding import FoundImage
    from napari_unet.projects.work_list import WorkListDescription, listed, write_list

    folder = data / "all.unetlist"
    found = [FoundImage(data / "images" / f"{name}.tif", None, name) for name in "abc"]
    images = listed(found, folder, [])
    write_list(folder, WorkListDescription(images=tuple(images)))
    for one, n in zip(images, (3, 1), strict=False):
        image = Image(tifffile.imread(one.file(folder)), "YX", name=one.name)
        nu.Project(image, squares(n).astype(np.int32), image_path=one.file(folder)).save(folder / one.project)
    return folder


def test_a_work_list_gives_one_table(run, data, projects):
    out = data / "cells.csv"
    result = run("measure", "--labels", projects, "-o", out, "--summary", data / "images.csv", "--record")
    assert [row["image"] for row in rows(out)] == ["a", "a", "a", "b"]
    assert [(row["image"], row["objects"]) for row in rows(data / "images.csv")] == [("a", "3"), ("b", "1")]
    assert "1 of 3 images have no labels yet" in result.stderr
    record = json.loads((data / "cells.json").read_text())
    assert record["inputs"][0]["image"]["sha256"] == sha256(data / "images" / "a.tif")
    run("measure", "--labels", data / "labels", "--image", data / "images", "-o", data / "files.csv")
    intensities = [row["intensity_mean"] for row in rows(data / "files.csv")]
    assert [row["intensity_mean"] for row in rows(out)] == intensities[:4], "as from label files"


def test_a_work_list_gives_outlines(run, data, projects):
    run("contours", "--labels", projects, "-o", data / "out", "--format", "geojson")
    assert sorted(path.name for path in (data / "out").iterdir()) == ["a_outlines.geojson", "b_outlines.geojson"]
    run("contours", "--labels", next(projects.glob("a-*.unetproj")), "-o", data / "a.png")
    assert (data / "a.png").exists()


@pytest.mark.parametrize("option", [("--image", "images"), ("--axes", "YX"), ("--series", "0")])
def test_a_project_knows_its_image(run, data, projects, option):
    name, value = option
    value = data / value if name == "--image" else value
    result = run("measure", "--labels", projects, name, value, "-o", data / "t.csv", status=2)
    assert "A project knows its image" in result.stderr
    assert not (data / "t.csv").exists()


def test_a_damaged_project_is_named_and_the_rest_is_done(run, data, projects):
    (next(projects.glob("a-*.unetproj")) / "project.json").write_text("{")
    result = run("measure", "--labels", projects, "-o", data / "t.csv", "--json", status=1)
    assert [row["image"] for row in rows(data / "t.csv")] == ["b"]
    assert [one["input"] for one in report(result)["failed"]] == [str(next(projects.glob("a-*.unetproj")))]


def test_label_files_beside_a_project_come_first(run, data, projects):
    shutil.copytree(next(projects.glob("a-*.unetproj")), data / "labels" / "a.unetproj")
    run("measure", "--labels", data / "labels", "-o", data / "t.csv")
    assert {row["image"] for row in rows(data / "t.csv")} == {"a", "b", "c"}


# -- the image that was segmented --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".tif", ".ome.tif", ".zarr"])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_say_which_of_several_images_they_are_of(run, tmp_path, bright_model, kind, ending):
    model, path = tmp_path / "bright.safetensors", several(tmp_path / "a.tif", kind)
    save_model_file(bright_model(), model)
    labels, table = tmp_path / f"a_labels{ending}", tmp_path / "t.csv"
    run("segment", path, "-o", labels, "--model", model, "--series", 1, "--channel", 0)
    arguments = "measure", "--labels", labels, "--image", path, "-o", table, "--overwrite"
    run(*arguments)
    assert {row["intensity_mean_channel1"] for row in rows(table)} == {str(values(1, 1))}
    run(*arguments, "--series", 2)  # what is said goes first
    assert {row["intensity_mean_channel1"] for row in rows(table)} == {str(values(2, 1))}
    other = path.rename(path.with_name(f"other{''.join(path.suffixes)}"))
    run("measure", "--labels", labels, "--image", other, "-o", table, "--overwrite")
    assert {row["intensity_mean_channel1"] for row in rows(table)} == {str(values(0, 1))}


def test_labels_say_as_which_axes_they_were_made(run, tmp_path, bright_model):
    model, path = tmp_path / "bright.safetensors", tmp_path / "a.tif"
    save_model_file(bright_model(), model)
    tifffile.imwrite(path, (200 * made_squares((3, 64, 64))).astype(np.uint8), imagej=True, metadata={"axes": "ZYX"})
    run("segment", path, "-o", tmp_path / "l.tif", "--model", model, "--axes", "TYX")
    run("measure", "--labels", tmp_path / "l.tif", "--image", path, "-o", tmp_path / "t.csv")
    assert sorted(row["time"] for row in rows(tmp_path / "t.csv")) == sorted("012" * 3)


@pytest.mark.parametrize(
    "record",
    [
        "", "{", "[]", "3", '{"inputs": 3}', '{"inputs": [3]}', '{"inputs": [{"image": {"name": "a.tif"}}]}',
        '{"inputs": [{"image": {"name": "a.tif"}, "segmentations": []}]}',
        '{"inputs": [{"image": {"name": "a.tif"}, "segmentations": [{"series": -1, "axes": 7}]}]}',
        '{"inputs": [{"image": {"name": "a.tif"}, "segmentations": [{"series": true}]}]}',
        '{"inputs": [{"image": {"name": "a.tif"}, "segmentations": ["series"]}]}',
    ],
)  # fmt: skip
def test_records_that_somebody_has_changed_say_nothing(run, tmp_path, record):
    path = several(tmp_path / "a.tif", "pages")
    record = record.replace("{", '{"program": "napari-unet-interactive", ', 1) if record.startswith('{"') else record
    told = {"axes": "YX", "Info": record}
    tifffile.imwrite(tmp_path / "l.tif", made_squares().astype(np.uint16), imagej=True, metadata=told)
    run("measure", "--labels", tmp_path / "l.tif", "--image", path, "-o", tmp_path / "t.csv")
    assert rows(tmp_path / "t.csv")[0]["intensity_mean_channel1"] == str(values(0, 1))
