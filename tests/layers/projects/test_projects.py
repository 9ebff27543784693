"""Saving and taking up a session in a viewer without a window."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from hand_made import LaterRunner, bright, squares
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.reader import get_reader, read_layers
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation
from napari_unet.projects.project import Project


@pytest.fixture
def image_file(tmp_path: Any) -> Path:
    path = tmp_path / "cells.tif"
    pixels = (100 * squares((3, 64, 64))).astype(np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "ZYX", "unit": "um", "spacing": 2}, resolution=(2, 2))
    return path


def opened_file(viewer: Any, path: Path) -> None:
    for data, options, kind in read_layers(path):
        getattr(viewer, f"add_{kind}")(data, **options)


def work(controller: Any) -> Any:
    """Segment, correct and review; return the session."""
    assert controller.segment()
    session = controller.session
    session.labels_layer.data[..., 10:20, 10:20] = 33
    session.labels_layer.data_setitem(np.nonzero(session.labels_layer.data == session.labels[0, 0, 45, 45]), 0)
    controller.toggle_reviewed("slice")
    return session


def fresh(viewer: Any = None) -> Any:
    controller = Controller(viewer or ViewerModel(), InlineRunner())
    controller.messages = []
    controller.workspace.said.connect(controller.messages.append)
    return controller


def same(one: Any, other: Any) -> None:
    assert np.array_equal(one.labels, other.labels)
    assert one.corrections.update(one.labels) == other.corrections.update(other.labels)
    for name in ("prediction", "seen", "reviewed"):
        assert np.array_equal(getattr(one.corrections, name), getattr(other.corrections, name)), name
    assert one.corrections.touched == other.corrections.touched


def material(controller: Any) -> list[Any]:
    return controller.workspace.annotated_crops(controller.model)


def test_a_sitting_is_taken_up_in_a_new_viewer(viewer, controller, image_file, tmp_path):
    opened_file(viewer, image_file)
    session = work(controller)
    controller.object_diameter.say(12.0)
    later = Generation(bright("bright, corrected", threshold=0.3), Verdict(Comparison(0.5, 0.8, 0.1, 0.5, 12)))
    controller.history.add(later)
    controller.revert()
    controller.history.let_wait(Generation(bright("waits", threshold=0.1), Verdict(None)))
    assert controller.projects.path is None
    assert controller.projects.save(tmp_path / "a session")
    assert controller.messages[-1].text.startswith("Saved as a session.unetproj.")
    assert controller.projects.path == tmp_path / "a session.unetproj"

    controller.projects._owned._on_closing(session)  # as if it were closed: else the project is read-only
    other = fresh()
    assert other.projects.open(tmp_path / "a session.unetproj")
    assert [message.level for message in other.messages].count("error") == 0
    assert other.messages[-1].text == f"Opened a session.unetproj: {session.count()} objects."
    assert [layer.name for layer in other.viewer.layers] == ["cells", "cells objects", "cells reviewed"]
    same(other.session, session)
    one, two = session.labels_layer, other.session.labels_layer
    assert np.array_equal(one.scale, two.scale)
    assert one.units == two.units
    assert other.viewer.layers.selection.active == two
    assert other.model.sha256() == controller.model.sha256()
    assert [str(g) for g in other.history.generations] == [str(g) for g in controller.history.generations]
    assert other.history.current == 0
    assert other.history.waiting.model.name == "waits"
    assert other.object_diameter.said == 12
    assert other.axes == "ZYX"
    assert other.projects.path == tmp_path / "a session.unetproj"
    assert len(material(other)) == len(material(controller)) > 0

    two.data[2, 0:5, 0:5] = 44
    assert other.projects.save(), "to the same place"
    assert (Project.open(other.projects.path).labels[2, :5, :5] == 44).all()
    other.segment()
    assert (other.session.labels[0, 2, :5, :5] == 44).all(), "what was corrected stays so"
    other.workspace.learning_seconds = 1
    assert other.learn()


def test_an_image_without_a_file(viewer, controller, tmp_path):
    viewer.add_image(squares(), name="made")
    session = work(controller)
    assert controller.projects.save(tmp_path / "a.unetproj")
    other = fresh()
    assert other.projects.open(tmp_path / "a.unetproj")
    same(other.session, session)
    assert np.array_equal(other.layer.data, squares())
    assert other.layer.name == "made"


@pytest.mark.parametrize("axes", ["CYX", "YXC", "ZCYX"])
def test_channels_and_colours(viewer, controller, tmp_path, axes):
    shape = tuple({"C": 3, "Z": 2, "Y": 64, "X": 64}[letter] for letter in axes)
    pixels = np.zeros(shape, np.uint8)
    moved = np.moveaxis(pixels, axes.index("C"), 0)
    moved[:] = 100 * squares(moved.shape[1:])
    if axes == "YXC":
        viewer.add_image(pixels, rgb=True, name="colours")
        controller.use_model(bright(in_channels=3, inputs="colour"))
    else:
        viewer.add_image(pixels, name="channels")
        controller.set_axes(axes)
        controller.workspace.choose_channel(1)
    session = work(controller)
    assert controller.projects.save(tmp_path / "a.unetproj")
    other = fresh()
    assert other.projects.open(tmp_path / "a.unetproj")
    same(other.session, session)
    assert other.axes == axes
    assert other.workspace.channel == controller.workspace.channel
    assert other.layer.rgb == (axes == "YXC")
    assert np.array_equal(other.session.labels_layer.scale, session.labels_layer.scale)
    assert other.segment()
    # The same by napari's reader, to which the widget comes later.
    viewer = ViewerModel()
    opened_file(viewer, tmp_path / "a.unetproj")
    third = fresh(viewer)
    same(third.session, session)
    assert len([layer for layer in viewer.layers if layer.name.endswith("objects")]) == 1


def test_the_other_channels_of_a_file_are_opened_too(viewer, controller, tmp_path):
    pixels = np.zeros((2, 64, 64), np.uint8)
    pixels[1] = 100 * squares()
    tifffile.imwrite(tmp_path / "two.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    opened_file(viewer, tmp_path / "two.tif")
    controller.choose_layer(viewer.layers[1])
    session = work(controller)
    assert controller.projects.save(tmp_path / "a.unetproj")
    other = fresh()
    assert other.projects.open(tmp_path / "a.unetproj")
    assert [layer.name for layer in other.viewer.layers][:2] == [layer.name for layer in viewer.layers][:2]
    assert other.layer.name == viewer.layers[1].name
    assert other.layer.colormap.name == viewer.layers[1].colormap.name
    same(other.session, session)


# -- by napari's own ways --------------------------------------------------------------------------------------------


def test_dropped_into_napari_it_is_taken_up(viewer, controller, image_file, tmp_path):
    opened_file(viewer, image_file)
    session = work(controller)
    path = tmp_path / "a.unetproj"
    controller.projects.save(path)
    assert get_reader(str(path)) is not None
    other = fresh()
    opened_file(other.viewer, path)
    assert [layer.name for layer in other.viewer.layers] == ["cells", "cells objects", "cells reviewed"]
    same(other.session, session)
    assert other.projects.path == path

    viewer = ViewerModel()
    opened_file(viewer, path)
    viewer.layers["cells objects"].data[1, :9, :9] = 55  # painted before the widget is there
    third = fresh(viewer)
    assert third.session.labels_layer == viewer.layers["cells objects"]
    assert third.session.rescan().corrected_pixels == session.corrections.summary().corrected_pixels + 81
    third.set_axes("TYX")
    assert third.session is None
    viewer.add_image(squares(), name="another")
    assert third.session is None, "what was let go of is not taken up again and again"


def test_only_folders_of_projects_are_read(tmp_path):
    (tmp_path / "folder").mkdir()
    assert get_reader(str(tmp_path / "folder")) is None


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_nothing_to_save(controller, tmp_path):
    assert not controller.projects.save(tmp_path / "a.unetproj")
    assert controller.messages[-1].text == "There is nothing to save yet. Press Segment first."
    assert not controller.projects.open(tmp_path / "nowhere.unetproj") or controller.messages[-1].level == "error"
    assert "There is no project" in controller.messages[-1].text
    assert not controller.projects.busy


def test_where_it_cannot_be_saved(viewer, controller, tmp_path):
    viewer.add_image(squares(), name="made")
    work(controller)
    (tmp_path / "a.unetproj").mkdir()
    controller.projects.save(tmp_path / "a.unetproj")
    assert "is there already, and is not a project" in controller.messages[-1].text
    assert controller.projects.path is None
    assert not controller.projects.busy


def test_an_image_that_is_gone_is_asked_for(viewer, controller, image_file, tmp_path):
    opened_file(viewer, image_file)
    session = work(controller)
    path = tmp_path / "a.unetproj"
    controller.projects.save(path)
    moved = shutil.move(image_file, tmp_path / "moved.tif")
    other, asked = fresh(), []
    other.projects.missing.connect(lambda *told: asked.append(told))
    other.projects.open(path)
    assert asked == [(path, str(image_file))]
    assert "is not there any more" in other.messages[-1].text
    assert not other.projects.busy
    other.projects.open(path, Path(moved))
    same(other.session, session)
    assert other.messages[-1].level == "warning"
    assert "open in another window" in other.messages[-1].text


def test_an_image_that_has_changed_is_told(viewer, controller, image_file, tmp_path):
    opened_file(viewer, image_file)
    work(controller)
    controller.projects.save(tmp_path / "a.unetproj")
    tifffile.imwrite(image_file, 255 - tifffile.imread(image_file), photometric="minisblack")
    controller.close()
    other = fresh()
    other.projects.open(tmp_path / "a.unetproj")
    assert "cells.tif has changed since a.unetproj was saved" in other.messages[-1].text
    assert other.session is not None


# -- while it is saved -----------------------------------------------------------------------------------------------


def test_painting_goes_on_while_it_is_saved(viewer, image_file, tmp_path):
    opened_file(viewer, image_file)
    worked = fresh(viewer)
    worked.use_model(bright())
    session = work(worked)
    runner = LaterRunner()
    worked.projects._runner = runner
    before = session.labels.copy()
    assert worked.projects.save(tmp_path / "a.unetproj")
    runner.step()
    session.labels_layer.data[:] = 77
    session.rename({77: 78})
    assert (session.labels == 77).all(), "objects are renamed in all planes, and not while these are saved"
    assert not worked.projects.save(), "one at a time"
    assert not worked.projects.open(tmp_path / "a.unetproj")
    runner.finish()
    assert (session.labels == 78).all()
    opened = Project.open(tmp_path / "a.unetproj")
    assert np.array_equal(opened.labels[0], before[0, 0])
    assert (opened.labels[1:] == 77).all()


def test_labels_that_are_replaced_while_they_are_saved(viewer, image_file, tmp_path):
    opened_file(viewer, image_file)
    worked = fresh(viewer)
    worked.use_model(bright())
    session = work(worked)
    worked.projects.save(tmp_path / "a.unetproj")
    runner = worked.projects._runner = LaterRunner()
    worked.projects.save()
    runner.step()
    session.labels_layer.data = np.zeros((3, 5, 5), np.int32)
    runner.finish()
    assert worked.messages[-1].text.endswith("Nothing was saved.")
    assert not worked.projects.busy
    assert Project.open(tmp_path / "a.unetproj").corrections.summary().corrected_objects


def test_closed_while_it_is_saved(viewer, image_file, tmp_path):
    opened_file(viewer, image_file)
    worked = fresh(viewer)
    worked.use_model(bright())
    work(worked)
    runner = worked.projects._runner = LaterRunner()
    worked.projects.save(tmp_path / "a.unetproj")
    runner.step()
    said = len(worked.messages)
    worked.close()
    runner.jobs[0].tell = lambda _: None  # a window that is gone takes no more blocks
    runner.finish()
    assert len(worked.messages) == said
    assert [path.name for path in tmp_path.iterdir() if "unetproj" in path.name] == []


def test_saved_while_it_is_segmented(viewer, later, image_file, tmp_path):
    """Labels and prediction of a pixel are always saved together: what the program paints is no correction."""
    opened_file(viewer, image_file)
    assert later.segment()
    segmenting, done = later.segmenter._runner.jobs[0], []
    later.projects.save(tmp_path / "a.unetproj")
    saving = later.projects._runner.jobs[-1]
    assert saving is not segmenting
    for turn in range(100):
        one = saving if turn % 2 else segmenting
        try:
            one.tell(next(one.events))
        except StopIteration as end:
            if one not in done:
                one.end(end.value)
                done.append(one)
    opened = Project.open(tmp_path / "a.unetproj")
    assert opened.labels.any()
    assert not opened.corrections.summary().anything


def test_what_was_found_on_the_image_is_taken_up(viewer, controller, image_file, tmp_path):
    opened_file(viewer, image_file)
    session = work(controller)
    controller.use_model(bright(diameter=5))
    controller.object_diameter.note_found(session.layer, session.image, controller.workspace.channel, 17.0, None)
    assert controller.projects.save(tmp_path / "sized")
    other = fresh()
    assert other.projects.open(tmp_path / "sized.unetproj")
    assert (other.object_diameter.found, other.session.image.found_diameter) == (17.0, 17.0)
    assert other.prepare()[1].zoom == controller.prepare()[1].zoom != ()


# -- two windows on one project ------------------------------------------------------------------------------------


def test_the_second_window_may_look_and_save_elsewhere_and_overwrites_nothing(viewer, controller, image_file, tmp_path):
    opened_file(viewer, image_file)
    work(controller)
    path = tmp_path / "a.unetproj"
    assert controller.projects.save(path)
    assert not controller.projects.read_only
    second = fresh()
    assert second.projects.open(path)
    assert second.projects.read_only
    assert "a is open in another window" in second.messages[-1].text
    second.session.labels_layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 5)
    before = Project.open(path)
    assert not second.projects.save()
    assert "Save as…" in second.messages[-1].text
    assert not second.projects.save(path)
    assert np.array_equal(Project.open(path).labels, before.labels)
    assert second.projects.save(tmp_path / "b")
    assert not second.projects.read_only
    assert Project.open(tmp_path / "b.unetproj").labels[0, 0, 0] == 5
    assert controller.projects.save(), "the first window goes on"
    assert not controller.projects.save(tmp_path / "b.unetproj"), "that is the second window's"
    second.close()
    assert controller.projects.save(tmp_path / "b.unetproj")
    controller.close()


def test_when_the_first_window_is_closed_the_second_may_save(viewer, controller, image_file, tmp_path):
    opened_file(viewer, image_file)
    work(controller)
    assert controller.projects.save(tmp_path / "a.unetproj")
    second, third = fresh(), fresh()
    assert second.projects.open(tmp_path / "a.unetproj")
    assert third.projects.open(tmp_path / "a.unetproj")
    controller.close()
    assert second.projects.claim()
    assert second.projects.save()
    second.close()
    assert not third.projects.save(), "it would overwrite what the second window has saved"
    assert "was saved in another window since" in third.messages[-1].text
    third.close()


def test_a_save_that_fails_owns_nothing(viewer, controller, image_file, tmp_path, monkeypatch):
    opened_file(viewer, image_file)
    work(controller)
    assert controller.projects.save(tmp_path / "a.unetproj")
    second = fresh()
    opened_file(second.viewer, image_file)
    assert second.choose_model("bright")
    work(second)
    assert second.projects.save(tmp_path / "b.unetproj")
    second.close()

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_unet.projects.arrays.create_zarr", full)
    assert controller.projects.save(tmp_path / "b.unetproj")
    assert "the disk is full" in controller.messages[-1].text
    monkeypatch.undo()
    third = fresh()
    assert third.projects.open(tmp_path / "b.unetproj")
    assert not third.projects.read_only
    third.close()
    controller.close()


def test_suggestions_between_slices_are_saved_and_taken_another_day(image_file: Path, tmp_path: Path) -> None:
    controller = fresh()
    opened_file(controller.viewer, image_file)
    controller.use_model(bright())
    assert controller.segment()
    where = np.mgrid[5:15, 5:15].reshape(2, -1)
    for z in (0, 2):
        controller.session.labels_layer.data_setitem((np.full(100, z), *where), 90)
    controller.session.labels_layer.data_setitem((np.full(100, 1), *where), 0)
    controller.viewer.dims.set_current_step(0, 0)
    assert controller.projects.save(tmp_path / "cells")
    before = controller.session.saved_digest
    assert controller.propagation.suggest((10, 10))
    assert controller.ghosts.count == 1
    assert controller.projects.present(controller.session).state_digest().digest != before, "not saved yet"
    assert controller.projects.save()
    controller.close()  # else it is read-only elsewhere
    later = fresh()
    assert later.projects.open(tmp_path / "cells.unetproj")
    assert later.ghosts.count == 1
    assert later.session.saved_digest == later.projects.present(later.session).state_digest().digest
    assert later.propagation.take_all()
    assert (later.session.labels_layer.data[1, 5:15, 5:15] == 90).all()
    assert later.projects.save()
    later.close()
    last = fresh()
    assert last.projects.open(tmp_path / "cells.unetproj")
    assert last.ghosts.count == 0


def test_suggestions_stay_with_their_image(image_file: Path, viewer: Any) -> None:
    controller = fresh(viewer)
    controller.use_model(bright())
    sessions = []
    for name in "ab":
        layer = viewer.add_image(np.zeros((5, 20, 20), np.float32), name=name)
        labels = np.zeros((5, 20, 20), np.uint8)
        labels[[0, 4], 5:15, 5:15] = 3
        controller.choose_layer(layer)
        assert controller.correct_labels(viewer.add_labels(labels))
        sessions.append(controller.session)
    viewer.dims.set_current_step(0, 0)
    assert controller.propagation.suggest((10, 10))
    controller.choose_layer(viewer.layers["a"])
    assert controller.ghosts.count == 0
    controller.choose_layer(viewer.layers["b"])
    assert controller.ghosts.count == 3


def test_the_same_project_twice_in_one_window(viewer, controller, image_file, tmp_path):
    opened_file(viewer, image_file)
    work(controller)
    assert controller.projects.save(tmp_path / "a.unetproj")
    assert controller.projects.open(tmp_path / "a.unetproj")
    assert controller.projects.read_only
    assert "a is already open in this window: it is read-only here." in controller.messages[-1].text
