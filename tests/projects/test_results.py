"""Results of many projects at once: of a work list, of a folder of projects, and what happens to those that fail."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tifffile

from hand_made import bright, squares
from napari_unet.errors import FileFormatError
from napari_unet.io.finding import FoundImage
from napari_unet.measuring.files import MeasureOptions
from napari_unet.measuring.record import sha256
from napari_unet.models.store import save_model
from napari_unet.objects.measurements import measure
from napari_unet.progress import CancelToken, drive
from napari_unet.projects import results
from napari_unet.projects.project import Project
from napari_unet.projects.results import export_projects, find_projects, holds_projects, measure_projects
from napari_unet.projects.segmenting import new_project, segment_project_steps
from napari_unet.projects.work_list import WorkListDescription, listed, write_list

NAMES = ("b10", "b2", "empty", "not yet")


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_UNET_HOME", str(tmp_path / "home"))


@pytest.fixture
def a_list(tmp_path):
    """A work list of four images, of which three are segmented; in the first something was corrected and reviewed."""
    folder, found = tmp_path / "all.unetlist", []
    (tmp_path / "images").mkdir()
    for name in NAMES:
        path = tmp_path / "images" / f"{name}.tif"
        pixels = (200 * squares()).astype(np.uint8) * (name != "empty")
        tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "YX", "unit": "um"}, resolution=(2, 2))
        found.append(FoundImage(path, None, name))
    images = listed(found, folder, [])
    write_list(folder, WorkListDescription(images=tuple(images)))
    for one in images[:-1]:
        project, where = new_project(one.file(folder), None, None, one.name), folder / one.project
        drive(segment_project_steps(project, bright(), where, cancel=CancelToken()), lambda _: None)
    first = Project.open(folder / images[0].project)
    view = first.image.canonical_labels(first.labels)
    view[0, 0, 2:6, 2:6] = 50
    first.corrections.review(0, slice(0, 1), slice(0, 8), slice(0, 64))
    first.save(overwrite=True)
    return folder


def projects_of(folder):
    return sorted(folder.glob("*.unetproj"))


def everything(path):
    return {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_one_table_of_a_list(a_list):
    before = everything(a_list)
    table = measure_projects(a_list)
    assert list(dict.fromkeys(table["image"].tolist())) == ["b10", "b2"], "in the order of the list"
    assert table.notes[0] == "1 of 4 images have no labels yet, and are left out."
    one = table.where(table["image"] == "b2")
    project = Project.open(next(path for path in projects_of(a_list) if path.name.startswith("b2-")))
    alone = measure(project.labels, project.image, name="b2", provenance=project.provenance)
    for name in alone.columns:
        assert np.array_equal(one[name], alone[name], equal_nan=alone[name].dtype.kind == "f"), name
    first = table.where(table["image"] == "b10")
    assert first["state"][first["label"] == 50].tolist() == ["corrected"]
    assert first["area_um2"][first["label"] == 50].tolist() == [4.0], "16 pixels of 0.5 µm"
    assert everything(a_list) == before, "projects are read only"


def test_a_folder_of_projects_and_one_project(a_list, tmp_path):
    found, notes = find_projects(a_list / "images.json")
    assert [one.name for one in found] == ["b10", "b2", "empty"]
    (tmp_path / "projects").mkdir()
    for path in projects_of(a_list):
        shutil.copytree(path, tmp_path / "projects" / path.name)
    found, notes = find_projects(tmp_path / "projects")
    assert [one.name for one in found] == ["b2", "b10", "empty"], "2 before 10"
    assert notes == ()
    alone = tmp_path / "projects" / projects_of(a_list)[0].name
    assert [one.name for one in find_projects(alone)[0]] == ["b10"]
    assert [one.labels for one in find_projects(alone / "project.json")[0]] == [alone]


@pytest.mark.parametrize("name", ["nothing", "images", "images/b2.tif"])
def test_what_holds_no_projects_is_told(a_list, tmp_path, name):
    assert not holds_projects(tmp_path / name)
    with pytest.raises(FileFormatError, match="no folder of projects"):
        find_projects(tmp_path / name)


def test_a_list_without_labels_is_told(tmp_path):
    write_list(tmp_path / "new.unetlist", WorkListDescription())
    with pytest.raises(FileFormatError, match="Segment them first"):
        find_projects(tmp_path / "new.unetlist")


def gone(a_list, project):
    (a_list.parent / "images" / "b2.tif").unlink()


def no_description(a_list, project):
    (project / "project.json").unlink()


def damaged_description(a_list, project):
    (project / "project.json").write_text("{")


def no_labels(a_list, project):
    shutil.rmtree(next(project.glob("state-*")) / "labels.zarr")


def other_size(a_list, project):
    tifffile.imwrite(a_list.parent / "images" / "b2.tif", np.zeros((5, 7), np.uint8))


def a_file(a_list, project):
    shutil.rmtree(project)
    project.write_text("no project")


@pytest.mark.parametrize("harm", [gone, no_description, damaged_description, no_labels, other_size])
def test_an_image_that_fails_is_named_and_the_rest_is_done(a_list, tmp_path, harm):
    harm(a_list, next(path for path in projects_of(a_list) if path.name.startswith("b2-")))
    table = measure_projects(a_list)
    assert set(table["image"].tolist()) == {"b10"}
    assert "b2" in table.notes[0]
    report = export_projects(a_list, ["measurements", "geojson"], tmp_path / "out")
    assert len(report.failed) == 1
    assert "b2" in report.failed[0]
    assert {path.name for path in report.written} == {
        "measurements.csv", "measurements_by_image.csv", "measurements.json",
        "b10_outlines.geojson", "empty_outlines.geojson",
    }  # fmt: skip


def test_a_project_that_is_no_folder_counts_as_not_segmented(a_list):
    a_file(a_list, next(path for path in projects_of(a_list) if path.name.startswith("b2-")))
    assert measure_projects(a_list).notes[0] == "2 of 4 images have no labels yet, and are left out."


def test_an_export_has_a_row_for_each_image_and_its_record(a_list, tmp_path):
    save_model(bright(), "own")
    report = export_projects(a_list, ["measurements", "ome-tiff"], tmp_path / "out")
    assert report.failed == []
    summary = (tmp_path / "out" / "measurements_by_image.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in summary[1:]] == [["b10", "4"], ["b2", "3"], ["empty", "0"]]
    record = json.loads((tmp_path / "out" / "measurements.json").read_text())
    first = record["inputs"][0]
    assert first["image"] == {"name": "b10.tif", "sha256": sha256(tmp_path / "images" / "b10.tif")}
    (made,) = first["segmentations"]
    assert made["model"] == {"name": "own", "sha256": bright().sha256()}
    assert made["extent"] == "all"
    assert made["pixel_size_um"] == [0.5, 0.5]
    assert "flips" not in made, "a project does not say"
    assert first["by_hand"]["corrected_objects"] == 1
    assert first["by_hand"]["reviewed_share"] == pytest.approx(8 / 64)
    assert record["inputs"][1]["by_hand"]["corrected_pixels"] == 0


def test_nothing_is_written_over_an_input(a_list, tmp_path):
    before = everything(a_list)
    project = projects_of(a_list)[0]
    report = export_projects(a_list, ["measurements", "geojson"], project, overwrite=True)
    assert report.written == []
    assert all("lies in an input" in text for text in report.failed)
    assert everything(a_list) == before


def test_a_project_that_is_saved_meanwhile_is_read_again(a_list, monkeypatch):
    path = projects_of(a_list)[0]
    read, calls = Project.open, []

    def open_late(folder, **options):
        if not calls:
            calls.append(folder)
            project = read(folder)
            project.save(overwrite=True)
            raise FileFormatError("saved anew")
        return read(folder, **options)

    monkeypatch.setattr(Project, "open", open_late)
    assert len(measure_projects(path)) == 4
    assert calls == [path]


def test_pixel_sizes_that_are_said_count(a_list):
    from napari_unet.axes import PixelSize

    table = measure_projects(a_list, MeasureOptions(pixel_size=PixelSize(1, 1)))
    assert table["area_um2"].tolist() == table["area_px"].tolist()


def test_one_project_is_in_memory_at_a_time(a_list, monkeypatch):
    import gc
    import weakref

    alive, read = [], results._opened

    def counted(folder, cancel):
        gc.collect()
        assert not [one for one in alive if one() is not None], "the one before is gone"
        project = read(folder, cancel)
        alive.append(weakref.ref(project.labels.base if project.labels.base is not None else project.labels))
        return project

    monkeypatch.setattr(results, "_opened", counted)
    measure_projects(a_list)
    assert len(alive) == 3
