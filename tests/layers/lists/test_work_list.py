"""A list of images in a viewer without a window: gone through, stored, segmented as a whole, saved and recovered."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from hand_made import bright, squares
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.projects import autosave
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import left_behind, recovery_folder
from napari_unet.projects.work_list import read_list

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images of different sizes, in which the objects differ."""
    where = tmp_path / "pictures"
    where.mkdir()
    for number in range(5):
        image = (200 * squares((64 + 8 * number, 64))).astype(np.uint8)
        image[0, number] = 250
        tifffile.imwrite(where / f"cells{number}.tif", image)
    return where


def restarted(viewer: Any = None) -> Any:
    controller = Controller(viewer or ViewerModel(), InlineRunner())
    controller.messages = []
    controller.workspace.said.connect(controller.messages.append)
    return controller


def kinds(controller: Any) -> list[str]:
    return [state.kind for state in controller.work_list.states]


def last(controller: Any) -> str:
    return str(controller.messages[-1].text)


def painted(controller: Any, value: int = 33) -> Any:
    """Segment and correct the image in view; return copies of all that has to come back."""
    assert controller.segment()
    session = controller.session
    session.labels_layer.data_setitem((np.array([2, 2]), np.array([3, 4])), value)
    controller.refresh_corrections(everything=True)
    return kept(session)


def kept(session: Any) -> Any:
    corrections = session.corrections
    return (
        session.labels.copy(),
        *(getattr(corrections, name).copy() for name in ("prediction", "seen", "reviewed")),
        corrections.touched,
        corrections.last_id,
        session.segmented_by,
    )


def assert_same(one: Any, other: Any) -> None:
    for before, after in zip(one, other, strict=True):
        assert np.array_equal(before, after) if isinstance(before, np.ndarray) else before == after


def test_a_folder_becomes_a_list_of_which_one_image_is_shown(controller, folder):
    assert controller.open(folder)
    work_list = controller.work_list
    assert [image.name for image in work_list.images] == [f"cells{n}" for n in range(5)]
    assert kinds(controller) == ["to do"] * 5
    assert work_list.in_view == 0
    assert [layer.name for layer in controller.viewer.layers] == ["cells0"]
    assert controller.image_switch.next()
    assert [layer.name for layer in controller.viewer.layers] == ["cells1"]
    assert controller.layer.name == "cells1"
    assert not controller.image_switch.go_to(1), "it is in view"
    assert not controller.image_switch.go_to(5)
    assert controller.image_switch.go_to(4)
    assert not controller.image_switch.next()
    assert last(controller) == "This is the last image of the list."


def test_an_image_comes_back_exactly_as_it_was_left(controller, folder):
    controller.open(folder)
    before = painted(controller)
    assert kinds(controller)[0] == "corrected"
    controller.image_switch.next()
    assert [layer.name for layer in controller.viewer.layers if "reviewed" not in layer.name] == ["cells1"]
    assert kinds(controller)[:2] == ["corrected", "to do"]
    second = painted(controller, 44)
    controller.toggle_reviewed("slice")
    second = kept(controller.session)
    controller.image_switch.previous()
    assert_same(before, kept(controller.session))
    assert controller.session.labels_layer.name == "cells0 objects"
    controller.image_switch.next()
    assert_same(second, kept(controller.session))
    assert kinds(controller)[:2] == ["corrected", "done"]
    assert not [message for message in controller.messages if message.level == "error"]


def test_what_was_not_changed_is_not_written_again(controller, folder):
    controller.open(folder)
    painted(controller)
    controller.image_switch.next()
    project = controller.work_list.project(0) / "project.json"
    before = project.stat().st_mtime_ns
    controller.image_switch.previous()
    controller.image_switch.next()
    assert project.stat().st_mtime_ns == before


def test_segment_all_does_the_rest_and_what_is_out_of_date(controller, folder):
    controller.open(folder)
    before = painted(controller)
    controller.image_switch.go_to(2)
    assert controller.segment_all.start()
    assert not controller.segment_all.busy
    assert kinds(controller) == ["corrected", *["segmented"] * 4]
    assert last(controller) == "Segmented 4 images. Go through them with Page Down, and correct them."
    assert not controller.segment_all.start()
    assert last(controller) == "All images are segmented with this model, or done."
    controller.image_switch.go_to(4)
    assert controller.session.count() == 3
    controller.work_list.set_done(3, True)
    controller.choose_model("sensitive")
    in_use = controller.work_list.in_use
    assert [state.out_of_date(in_use) for state in controller.work_list.states] == [True, True, True, False, True]
    assert controller.segment_all.start()
    assert [state.out_of_date(in_use) for state in controller.work_list.states] == [False] * 5
    controller.image_switch.go_to(0)
    session = controller.session
    changed = before[0] != before[1]
    assert np.array_equal(session.labels[changed], before[0][changed]), "what was corrected stays"
    assert session.corrections.touched == before[4]


def test_learning_takes_corrections_of_all_images(controller, folder, taught):
    controller.open(folder)
    for index in (0, 1, 2):
        controller.image_switch.go_to(index)
        painted(controller)
    controller.image_switch.go_to(3)
    assert controller.learn()
    assert sorted(one.image.name for one in taught.material) == ["cells0", "cells1", "cells2"]
    assert all(one.part.mask("corrected").any() for one in taught.material)


def test_a_list_is_saved_and_opened_another_day(controller, folder, tmp_path):
    controller.open(folder)
    before = painted(controller)
    assert controller.list_keeper.save(tmp_path / "afternoon")
    saved = tmp_path / "afternoon.unetlist"
    assert controller.work_list.saved_as == saved
    assert [path.name for path in sorted((tmp_path / "home" / "recovery").glob("*/*.unetlist"))] == []
    controller.image_switch.next()
    second = painted(controller)
    assert controller.list_keeper.save()
    assert last(controller) == "Saved in afternoon.unetlist. Use Open… to continue another day."
    controller.close()

    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(saved, moved / "afternoon.unetlist")
    shutil.move(folder, moved / "pictures")
    other = restarted()
    assert other.open(moved / "afternoon.unetlist")
    assert kinds(other) == ["corrected", "corrected", "to do", "to do", "to do"]
    assert other.work_list.in_view == 1, "where it was left"
    assert_same(second, kept(other.session))
    other.image_switch.previous()
    assert_same(before, kept(other.session))
    alone = Project.open(other.work_list.project(0))
    assert np.array_equal(alone.image.canonical_labels(alone.labels), before[0])
    other.close()


def test_what_was_learned_stands_in_the_list(controller, folder, tmp_path, taught):
    controller.open(folder)
    painted(controller)
    assert controller.learn()
    learned = controller.model.sha256()
    controller.list_keeper.save(tmp_path / "a")
    controller.close()
    other = restarted()
    other.open(tmp_path / "a.unetlist")
    assert other.model.sha256() == learned
    assert [one.learned for one in other.history.generations] == [False, True]
    other.close()


def test_models_that_are_written_once_more_or_deleted_do_not_pile_up(controller, folder, tmp_path, taught):
    controller.open(folder)
    painted(controller)
    for threshold in (0.2, 0.3):
        taught.threshold = threshold
        assert controller.learn()
    first, second = [one.sha256() for one in controller.history.generations[1:]]
    controller.list_keeper.save(tmp_path / "a")
    controller.close()
    models = tmp_path / "a.unetlist" / "models"
    for _ in range(3):
        other = restarted()
        other.open(tmp_path / "a.unetlist")
        assert [one.sha256() for one in other.history.generations][1:] == [first, second]
        other.close()
    assert len(list(models.iterdir())) <= 2 * 3
    other = restarted()
    other.open(tmp_path / "a.unetlist")
    assert other.switch.delete(1)
    other.close()
    last = restarted()
    last.open(tmp_path / "a.unetlist")
    assert [one.sha256() for one in last.history.generations][1:] == [second]
    named = {one.file for one in read_list(tmp_path / "a.unetlist").models if one.file}
    assert named <= {path.name for path in models.iterdir()}
    last.close()


def test_sliders_that_were_moved_after_the_model_was_written_stand_in_the_list(controller, folder, tmp_path, taught):
    controller.open(folder)
    painted(controller)
    assert controller.learn()
    controller.list_keeper.save(tmp_path / "a")
    controller.sliders.move("sensitivity", 0.7)
    controller.sliders.rest()
    moved_to = controller.model.info.decoding
    assert moved_to != controller.model.info.original_decoding
    controller.close()
    other = restarted()
    other.open(tmp_path / "a.unetlist")
    assert other.model.info.decoding == moved_to
    other.close()


def test_a_list_that_nobody_saved_is_offered_again(controller, folder):
    controller.open(folder)
    before = painted(controller)
    controller.image_switch.next()
    controller.close()
    other = restarted()
    other.recovery.search()
    assert [str(left).split(" (")[0] for left in other.recovery.left] == ["pictures"]
    other.recovery.recover(other.recovery.left[0])
    assert not other.recovery.left
    assert kinds(other) == ["corrected", *["to do"] * 4]
    other.image_switch.go_to(0)
    assert_same(before, kept(other.session))
    other.close()


def test_a_list_without_any_work_leaves_nothing(controller, folder, tmp_path):
    controller.open(folder)
    controller.close()
    assert left_behind() == ([], [])
    assert not list((tmp_path / "home" / "recovery").iterdir())


def test_bad_files_are_named_and_the_others_are_done(controller, folder):
    (folder / "notes.txt").write_text("about the cells")
    (folder / "broken.tif").write_bytes(b"II*\0 this is none")
    (folder / "cells0_labels.tif").write_bytes((folder / "cells0.tif").read_bytes())
    tifffile.imwrite(folder / "cells1_labels.tif", np.ones((3, 5), np.uint16))  # of another shape than its image
    assert controller.open(folder)
    assert len(controller.work_list.images) == 5
    said = next(message for message in controller.messages if "could not be read" in message.text)
    assert said.text == "Added 5 images to the list. broken.tif could not be read: see Details."
    for name in ("broken.tif", "notes.txt is no image.", "cells0_labels.tif holds labels.", "cells1_labels.tif holds"):
        assert name in said.details


def test_an_image_that_is_gone_in_the_middle(controller, folder):
    controller.open(folder)
    (folder / "cells2.tif").unlink()
    assert controller.segment_all.start()
    assert kinds(controller) == ["segmented", "segmented", "failed", "segmented", "segmented"]
    assert last(controller) == "Segmented 4 of 5 images. cells2 could not be: see Details."
    controller.image_switch.go_to(1)
    controller.image_switch.next()
    assert controller.messages[-1].level == "error"
    assert controller.work_list.in_view is None
    assert controller.image_switch.next(), "the one after it, not the first"
    assert controller.work_list.in_view == 3


def test_the_same_folder_twice_and_two_images_of_one_name(controller, folder, tmp_path):
    controller.open(folder)
    assert controller.open(folder)
    assert len(controller.work_list.images) == 5
    assert last(controller) == "These images are in the list already."
    other = tmp_path / "second"
    other.mkdir()
    shutil.copy(folder / "cells0.tif", other)
    shutil.copy(folder / "cells1.tif", other)
    controller.open(other)
    names = [image.name for image in controller.work_list.images]
    assert names[5:] == ["cells0 (second)", "cells1 (second)"]
    assert len({image.project for image in controller.work_list.images}) == 7


def test_an_empty_folder(controller, tmp_path):
    (tmp_path / "none").mkdir()
    assert not controller.open(tmp_path / "none")
    assert controller.messages[-1].level == "error"
    assert not controller.work_list.images
    assert controller.work_list.add([tmp_path / "none"])
    assert controller.messages[-1].level == "error"
    assert controller.work_list.folder is None


def test_what_cannot_be_stored_stays_in_view(controller, folder, tmp_path):
    controller.open(folder)
    before = painted(controller)
    in_the_way = controller.work_list.project(0)
    in_the_way.write_text("not a project")
    assert controller.image_switch.next()
    assert controller.messages[-1].level == "error"
    assert controller.work_list.in_view == 0
    assert_same(before, kept(controller.session))
    in_the_way.unlink()
    assert controller.image_switch.next()
    assert controller.work_list.in_view == 1
    assert controller.image_switch.previous()
    assert_same(before, kept(controller.session))


def test_a_project_that_cannot_be_written_is_named_and_the_rest_is_done(controller, folder):
    controller.open(folder)
    controller.work_list.project(2).write_text("not a project")
    controller.segment_all.start()
    assert kinds(controller) == ["segmented", "segmented", "failed", "segmented", "segmented"]
    assert last(controller) == "Segmented 4 of 5 images. cells2 could not be: see Details."


def test_two_windows_do_not_share_a_list(controller, folder, tmp_path):
    controller.open(folder)
    controller.list_keeper.save(tmp_path / "a")
    other = restarted()
    assert other.open(tmp_path / "a.unetlist")
    assert last(other) == "a.unetlist is open in another window. Close it there first."
    assert not other.work_list.images


def test_a_damaged_list(controller, folder, tmp_path):
    controller.open(folder)
    controller.list_keeper.save(tmp_path / "a")
    controller.close()
    file = tmp_path / "a.unetlist" / "images.json"
    text = file.read_text()
    for damage in ("", text[: len(text) // 2], text.replace('"path"', '"paths"'), text.replace("work-list", "other")):
        file.write_text(damage)
        other = restarted()
        other.open(file)
        assert other.messages[-1].level == "error"
        assert not other.work_list.images
    file.write_text(text)
    assert read_list(file.parent).images[0].name == "cells0"


def test_a_list_is_not_saved_over_something_else(controller, folder, tmp_path):
    controller.open(folder)
    painted(controller)
    (tmp_path / "a.unetlist").mkdir()
    controller.list_keeper.save(tmp_path / "a")
    assert last(controller).endswith("already. Choose another name.")
    assert controller.work_list.saved_as is None
    controller.image_switch.next()
    assert kinds(controller)[0] == "corrected"


def test_a_plate_field_by_field(controller, tmp_path):
    zarr = pytest.importorskip("zarr")
    plate = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "B/2"}], "columns": [], "rows": []}
    for well in ("A/1", "B/2"):
        group = plate.create_group(well)
        group.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
        for field in "01":
            image = group.create_group(field)
            image.attrs["multiscales"] = [
                {"version": "0.4", "axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}
            ]
            image.create_array("0", data=(200 * squares()).astype(np.uint8))
    assert controller.open(tmp_path / "plate.zarr")
    assert [one.name for one in controller.work_list.images] == [
        "plate A/1/0",
        "plate A/1/1",
        "plate B/2/0",
        "plate B/2/1",
    ]
    assert controller.segment_all.start()
    assert kinds(controller) == ["segmented"] * 4


def test_channels_and_segment_all_with_the_channel_in_view(controller, tmp_path):
    where = tmp_path / "two"
    where.mkdir()
    for number in range(3):
        pixels = np.zeros((2, 64, 64), np.uint8)
        pixels[0] = 200 * squares()
        tifffile.imwrite(where / f"c{number}.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    controller.open(where)
    assert [layer.name for layer in controller.viewer.layers] == ["c0 channel 1", "c0 channel 2"]
    controller.choose_layer(controller.viewer.layers[0])
    before = painted(controller)
    assert controller.segment_all.start()
    controller.image_switch.next()
    assert controller.session.count() == 3
    assert controller.layer.name == "c1 channel 1"
    names = [layer.name for layer in controller.viewer.layers]
    assert names == ["c1 channel 2", "c1 channel 1", "c1 channel 1 objects"]
    controller.image_switch.previous()
    assert_same(before, kept(controller.session))


def test_results_of_two_channels_are_not_lost(controller, tmp_path):
    where = tmp_path / "two"
    where.mkdir()
    for number in range(2):
        pixels = np.stack([200 * squares(), 200 * squares()[::-1]]).astype(np.uint8)
        tifffile.imwrite(where / f"c{number}.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    controller.open(where)
    controller.choose_layer(controller.viewer.layers["c0 channel 1"])
    before = painted(controller)
    controller.choose_layer(controller.viewer.layers["c0 channel 2"])
    painted(controller, 44)
    assert controller.image_switch.next()
    assert last(controller).startswith("This image has results of two channels, and a list keeps one.")
    assert controller.work_list.in_view == 0
    assert controller.projects.save(tmp_path / "other")
    controller.viewer.layers.remove(controller.session.labels_layer)
    assert controller.image_switch.next()
    controller.image_switch.previous()
    assert controller.layer.name == "c0 channel 1"
    assert_same(before, kept(controller.session))
    alone = Project.open(tmp_path / "other.unetproj")
    assert (alone.labels[2, 3:5] == 44).all()


def test_layers_of_somebody_else_stay(controller, folder):
    points = controller.viewer.add_points(np.zeros((1, 2)), name="mine")
    controller.open(folder)
    controller.image_switch.next()
    assert points in controller.viewer.layers


def test_an_image_that_was_open_before_is_taken_into_the_list(controller, folder):
    controller.open(folder / "cells0.tif")
    before = painted(controller)
    controller.open(folder)
    assert controller.work_list.in_view == 0
    assert len([layer for layer in controller.viewer.layers if layer.name == "cells0"]) == 1
    controller.image_switch.next()
    controller.image_switch.previous()
    assert_same(before, kept(controller.session))


def test_another_list_takes_the_place_of_the_first(controller, folder, tmp_path):
    controller.open(folder)
    before = painted(controller)
    controller.list_keeper.save(tmp_path / "a")
    controller.image_switch.next()
    controller.close()
    other = restarted()
    other.choose_model("bright")
    other.open(folder)
    painted(other, 55)
    other.open(tmp_path / "a.unetlist")
    assert other.work_list.saved_as == tmp_path / "a.unetlist"
    other.image_switch.go_to(0)
    assert_same(before, kept(other.session))
    assert [left.path.stem for left in left_behind()[0]] == ["pictures"], "the first one is kept"
    other.close()


def test_a_model_of_another_kind_leaves_corrected_objects(controller, folder):
    controller.open(folder)
    painted(controller)
    controller.image_switch.next()
    controller.use_model(bright(threshold=0.3, task="semantic", outputs=("class_0", "class_1")))
    controller.segment_all.start()
    assert kinds(controller) == ["corrected", *["segmented"] * 4]
    assert "cells0 has corrected objects" in controller.messages[-1].details


def test_segment_leaves_corrected_objects_to_a_model_of_another_kind(controller, folder):
    controller.open(folder)
    before = painted(controller)
    controller.use_model(bright(threshold=0.3, task="semantic", outputs=("class_0", "class_1")))
    assert not controller.segment()
    assert "has corrected objects, and the model finds classes" in controller.messages[-1].text
    controller.image_switch.next()
    controller.image_switch.previous()
    assert_same(before, kept(controller.session))


# -- what nobody has saved, with recovery copies switched on -----------------------------------------------------------


@pytest.fixture
def keeping(controller, monkeypatch):
    """A controller that keeps copies of what is not saved whenever it is asked."""
    monkeypatch.setattr(autosave, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(autosave, "MAX_TIME_SHARE", 1e9)
    controller.autosave.on = True
    return controller


def copies() -> list[str]:
    return sorted(path.name for path in recovery_folder().glob("*/*.unetproj"))


def test_an_image_that_is_left_needs_no_copy_of_its_own(keeping, folder):
    keeping.open(folder)
    painted(keeping)
    keeping.autosave.tick()
    assert copies() == ["cells0.unetproj"]
    keeping.image_switch.next()
    assert copies() == []
    keeping.image_switch.previous()
    keeping.image_switch.next()
    assert copies() == []
    assert keeping.recovery.left == []


@pytest.mark.parametrize("saved", [False, True])
def test_unsaved_work_on_the_image_in_view_comes_back_with_the_list(keeping, folder, tmp_path, saved):
    keeping.open(folder)
    painted(keeping)
    if saved:
        assert keeping.list_keeper.save(tmp_path / "a")
    keeping.image_switch.next()
    painted(keeping)
    keeping.image_switch.previous()
    keeping.session.labels_layer.data_setitem((np.array([5, 5]), np.array([3, 4])), 77)
    keeping.refresh_corrections(everything=True)
    before = kept(keeping.session)
    keeping.close()
    assert copies() == ["cells0.unetproj"]

    other = restarted()
    other.recovery.search()
    if saved:
        assert other.open(tmp_path / "a.unetlist")
    else:
        assert len(other.recovery.left) == 1, "the copy comes with the list"
        other.recovery.recover(other.recovery.left[0])
    assert other.work_list.in_view == 0
    assert_same(before, kept(other.session))
    other.image_switch.next()
    assert copies() == [], "it is in the list now"
    other.image_switch.previous()
    assert_same(before, kept(other.session))
    other.close()


def test_layers_that_somebody_deletes_come_back_from_the_copy(keeping, folder):
    keeping.open(folder)
    before = painted(keeping)
    keeping.viewer.layers.remove(keeping.session.labels_layer)
    keeping.viewer.layers.remove(keeping.layer)
    keeping.image_switch.go_to(1)
    keeping.image_switch.go_to(0)
    assert_same(before, kept(keeping.session))


def test_a_discarded_list_is_gone(keeping, folder):
    keeping.open(folder)
    painted(keeping)
    keeping.image_switch.next()
    keeping.close()
    other = restarted()
    other.recovery.search()
    other.recovery.discard(other.recovery.left[0])
    assert other.recovery.left == []
    assert not [path for path in recovery_folder().iterdir() if not path.name.endswith(".gone")]
    other.close()
