"""Work lists on disk: entries, states, copies elsewhere, and segmenting an image into its project without a window."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from hand_made import bright, hazy, squares
from napari_unet.errors import Cancelled, FileFormatError, LabelsError
from napari_unet.io.finding import FoundImage
from napari_unet.progress import CancelToken, drive
from napari_unet.projects.description import read_description
from napari_unet.projects.project import Project
from napari_unet.projects.segmented_by import SegmentedBy
from napari_unet.projects.segmenting import new_project, segment_project_steps
from napari_unet.projects.work_list import (
    WorkListDescription,
    copy_list,
    listed,
    read_list,
    state_of,
    write_list,
)


@pytest.fixture
def image_file(tmp_path):
    path = tmp_path / "images" / "cells.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, (200 * squares()).astype(np.uint8))
    return path


def segmented(project, folder, model=None):
    return drive(segment_project_steps(project, model or bright(), folder, cancel=CancelToken()), lambda _: None)


def labels_of(folder):
    project = Project.open(folder)
    return project.image.canonical_labels(project.labels)


# -- segmenting into a project -----------------------------------------------------------------------------------------


def test_an_image_is_segmented_into_its_project(image_file, tmp_path):
    model = bright()
    assert segmented(new_project(image_file), tmp_path / "a.unetproj", model) == 3
    said = read_description(tmp_path / "a.unetproj")
    assert said.segmented_by == model.sha256()
    assert said.counts.corrected == 0
    project = Project.open(tmp_path / "a.unetproj")
    assert project.image_path == image_file.resolve()
    assert project.corrections.seen.all()
    assert project.attention.anything


def test_what_is_doubtful_is_saved_and_an_older_project_is_read(image_file, tmp_path):
    folder = tmp_path / "a.unetproj"
    project = new_project(image_file)
    project.suspects, project.doubt = 7, "may not fit"
    project.save(folder)
    opened = Project.open(folder)
    assert (opened.suspects, opened.doubt) == (7, "may not fit")
    assert opened.state_digest().digest == project.saved_digest.digest
    opened.suspects = 0
    assert opened.state_digest().digest != project.saved_digest.digest, "it is to be saved again"
    file = folder / "project.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    del said["suspects"], said["doubt"]
    file.write_text(json.dumps(said), encoding="utf-8")
    older = Project.open(folder)
    assert (older.suspects, older.doubt) == (None, None)


def test_what_was_corrected_and_reviewed_stays(image_file, tmp_path):
    folder = tmp_path / "a.unetproj"
    segmented(new_project(image_file), folder)
    project = Project.open(folder)
    view = project.image.canonical_labels(project.labels)
    view[0, 0, 2:6, 2:6] = 50
    lost = int(view[0, 0, 45, 45])
    view[view == lost] = 0
    project.corrections.review(0, slice(0, 1), slice(0, 30), slice(30, 64))
    before = view.copy()
    reviewed = project.corrections.reviewed.copy()
    project.save(folder, overwrite=True)
    assert segmented(Project.open(folder), folder, bright(threshold=0.2)) == 4
    after = labels_of(folder)
    assert (after[0, 0, 2:6, 2:6] == 50).all()
    assert not (after == lost).any()
    assert np.array_equal(after[reviewed], before[reviewed])
    assert after[0, 0, 12, 12] > 0, "elsewhere the new model counts"
    assert np.array_equal(Project.open(folder).corrections.reviewed, reviewed)


def test_the_rest_of_a_shape_that_a_square_was_drawn_out_of_is_another_models_to_tell(tmp_path):
    folder, path = tmp_path / "a.unetproj", tmp_path / "hazy.tif"
    tifffile.imwrite(path, (200 * hazy()).astype(np.uint8))
    assert segmented(new_project(path), folder, bright(threshold=0.2)) == 1
    project = Project.open(folder)
    project.image.canonical_labels(project.labels)[0, 0, 20:26, 20:26] = 77
    project.save(folder, overwrite=True)
    segmented(Project.open(folder), folder, bright(threshold=0.2))
    assert labels_of(folder)[0, 0, 30, 30], "the model that found it is not asked again"
    assert segmented(Project.open(folder), folder, bright(threshold=0.8)) == 2
    after = labels_of(folder)[0, 0]
    assert (after[20:26, 20:26] == 77).all()
    assert not after[30, 30]
    assert after[43, 43] not in (0, 77)


def test_the_same_again_changes_nothing(image_file, tmp_path):
    folder = tmp_path / "a.unetproj"
    segmented(new_project(image_file), folder)
    before = labels_of(folder)
    segmented(Project.open(folder), folder)
    assert np.array_equal(labels_of(folder), before), "ids, too"


def test_slices_are_joined(tmp_path):
    path = tmp_path / "stack.tif"
    pixels = (200 * squares((4, 64, 64))).astype(np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "ZYX"})
    assert segmented(new_project(path), tmp_path / "a.unetproj") == 3
    labels = labels_of(tmp_path / "a.unetproj")
    assert all(np.array_equal(labels[0, 0], labels[0, z]) for z in range(4))


def test_stopped_in_the_middle_nothing_is_saved(image_file, tmp_path):
    cancel = CancelToken()
    steps = segment_project_steps(new_project(image_file), bright(), tmp_path / "a.unetproj", cancel=cancel)
    next(steps)
    cancel.cancel()
    with pytest.raises(Cancelled):
        drive(steps, lambda _: None)
    assert not (tmp_path / "a.unetproj").exists()


def test_labels_of_another_kind_are_left_or_begun_anew(image_file, tmp_path):
    classes = bright(task="semantic", outputs=("class_0", "class_1"), threshold=0.3)
    folder = tmp_path / "a.unetproj"
    segmented(new_project(image_file), folder)
    segmented(Project.open(folder), folder, classes)
    assert set(np.unique(labels_of(folder))) <= {0, 1}
    project = Project.open(folder)
    project.labels[:5, :5] = 1
    project.save(folder, overwrite=True)
    with pytest.raises(LabelsError, match="has corrected classes"):
        segmented(Project.open(folder), folder)
    assert (labels_of(folder)[0, 0, :5, :5] == 1).all()


def test_colours_stay_together_and_channels_do_not(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    assert new_project(tmp_path / "rgb.tif").image.axes == "YXC"
    pixels = np.zeros((2, 30, 40), np.uint8)
    pixels[1] = 7
    tifffile.imwrite(tmp_path / "two.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    assert new_project(tmp_path / "two.tif").image.read().max() == 7, "the last, which the window selects"
    assert new_project(tmp_path / "two.tif", channel=0).image.read().max() == 0
    assert new_project(tmp_path / "two.tif", channel=9).image.read().max() == 7


# -- entries and states ------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.sampled_from([None, 0, 1])), max_size=12))
def test_no_two_entries_are_the_same_or_have_one_name(found):
    images = [FoundImage(Path("/data") / str(i % 3) / "a.tif", series, name) for i, (name, series) in enumerate(found)]
    entries = listed(images, Path("/home/list.unetlist"), [])
    assert len({one.key for one in entries}) == len(entries) == len({(one.path, one.series) for one in images})
    assert len({one.name for one in entries}) == len(entries)
    assert len({one.project for one in entries}) == len(entries)
    assert listed(images, Path("/home/list.unetlist"), entries) == []


def make_list(tmp_path, image_file, n=2):
    folder = tmp_path / "l.unetlist"
    files = [image_file] + [shutil.copy(image_file, image_file.with_name(f"c{i}.tif")) for i in range(1, n)]
    found = [FoundImage(Path(path), None, Path(path).stem) for path in files]
    description = WorkListDescription(images=tuple(listed(found, folder, [])))
    write_list(folder, description)
    return folder, description


def test_states_follow_from_the_projects(tmp_path, image_file):
    folder, description = make_list(tmp_path, image_file)
    image, other = description.images
    model = bright()
    assert state_of(image, folder).kind == "to do"
    assert state_of(image, folder).needs(SegmentedBy("x"))
    segmented(new_project(image.file(folder)), folder / image.project, model)
    found = state_of(image, folder)
    assert (found.kind, found.needs(SegmentedBy(model.sha256())), found.needs(SegmentedBy("x"))) == (
        "segmented",
        False,
        True,
    )
    assert found.out_of_date(SegmentedBy("x"))
    assert not state_of(other, folder).out_of_date(SegmentedBy("x")), "nothing is out of date where nothing was done"
    project = Project.open(folder / image.project)
    project.labels[:3, :3] = 99
    project.save(folder / image.project, overwrite=True)
    assert state_of(image, folder).kind == "corrected"
    project.corrections.review(0, slice(0, 1), slice(0, 32), slice(0, 64))
    project.save(folder / image.project, overwrite=True)
    found = state_of(image, folder)
    assert (found.kind, found.reviewed_share) == ("reviewed", 0.5)
    project.corrections.review(0, slice(0, 1), slice(0, 64), slice(0, 64))
    project.save(folder / image.project, overwrite=True)
    assert state_of(image, folder).kind == "done"
    assert not state_of(image, folder).needs(SegmentedBy("x"))
    assert state_of(other.model_copy(update={"done": True}), folder).kind == "done"
    (folder / image.project / "project.json").write_text("{")
    assert state_of(image, folder).kind == "failed"
    Path(other.absolute).unlink()
    assert "not there any more" in state_of(other, folder).problem


def test_a_list_that_was_copied_finds_its_images_from_there(tmp_path, image_file):
    folder, description = make_list(tmp_path, image_file)
    image = description.images[0]
    segmented(new_project(image.file(folder)), folder / image.project)
    labels = labels_of(folder / image.project)
    target = tmp_path / "deep" / "er" / "copy.unetlist"
    said = copy_list(folder, target, description, CancelToken())
    assert read_list(target).images == said.images
    shutil.rmtree(folder)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(tmp_path / "deep", moved / "deep")
    shutil.move(image_file.parent, moved / "images")
    target = moved / "deep" / "er" / "copy.unetlist"
    assert said.images[0].file(target) == moved / "images" / "cells.tif"
    assert np.array_equal(labels_of(target / image.project), labels)


def test_a_copy_that_cannot_be_made_leaves_nothing(tmp_path, image_file, monkeypatch):
    folder, description = make_list(tmp_path, image_file)
    for image in description.images:
        segmented(new_project(image.file(folder)), folder / image.project)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(FileFormatError, match="the disk is full"):
        copy_list(folder, tmp_path / "b.unetlist", description, CancelToken())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "l.unetlist"]
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        copy_list(folder, tmp_path / "b.unetlist", description, cancel)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "l.unetlist"]
    with pytest.raises(FileFormatError, match="must end in"):
        copy_list(folder, tmp_path / "b", description, CancelToken())
    with pytest.raises(FileFormatError, match="already"):
        copy_list(folder, folder, description, CancelToken())
