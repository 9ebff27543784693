"""What is painted, reviewed and undone is written within a second or two, without a copy of all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from hand_made import bright, squares
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.projects import autosave, journal, session_copy
from napari_unet.layers.reader import read_layers
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation
from napari_unet.projects import arrays, keeping
from napari_unet.projects import journal as records
from napari_unet.projects.journal import journals
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import recovery_folder

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 32
SHAPE = (3, 2 * SIDE + 10, 2 * SIDE)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is time for a record at once, for a copy of all never; and no test needs to outlive a loss of power."""
    monkeypatch.setattr(journal, "WRITE_DELAY", 0.0)
    monkeypatch.setattr(autosave, "WRITE_DELAY", 0.0)
    monkeypatch.setattr(journal.Recorder.tick, "__defaults__", (60.0, 0.0))
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(records, "SIDE", SIDE)
    monkeypatch.setattr(arrays, "SIDE", SIDE)


@pytest.fixture(params=["small", "large"])
def controller(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A controller with a segmented image, of which a copy of all is quick, or takes long."""
    if request.param == "large":
        monkeypatch.setattr(session_copy, "MAX_QUICK_PIXELS", 0)
    tifffile.imwrite(tmp_path / "cells.tif", squares(SHAPE), imagej=True, metadata={"axes": "ZYX"})
    controller = Controller(ViewerModel(), InlineRunner())
    controller.messages = []
    controller.workspace.said.connect(controller.messages.append)
    controller.autosave.on = True
    for data, options, _ in read_layers(tmp_path / "cells.tif"):
        controller.viewer.add_image(data, **options)
    controller.use_model(bright())
    assert controller.segment()
    return controller


def paint(
    controller: Any, value: int, plane: int = 0, at: tuple[int, int] = (SIDE - 2, SIDE - 2), size: int = 5
) -> None:
    """Paint a square, by default across four blocks."""
    where = np.nonzero(np.ones((size, size), bool))
    controller.session.labels_layer.data_setitem(
        (np.full(size**2, plane), *(a + b for a, b in zip(at, where, strict=True))), value
    )


def noted(controller: Any) -> None:
    """Let so much time pass that all is written."""
    for _ in range(4):
        controller.autosave.note()
        controller.autosave._writer.settle()


def killed(controller: Any) -> Project:
    """Return what is found after a kill: a copy of the files as they are."""
    (path,) = recovery_folder().glob("*/*.unetproj")
    folder = path.parent.with_name("20200101-000000-1-killed")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(path.parent, folder)
    project = Project.open(folder / path.name)
    shutil.rmtree(folder)
    return project


def same_own(controller: Any, project: Project) -> None:
    """Assert that what is a person's is the same: labels and what is known of them wherever a block has some of it."""
    session = controller.session
    own = (session.labels != session.corrections.prediction) | session.corrections.reviewed
    view = project.image.canonical_labels(project.labels)
    assert np.array_equal((view != project.corrections.prediction) | project.corrections.reviewed, own)
    assert np.array_equal(view[own], session.labels[own])
    assert np.array_equal(project.corrections.reviewed, session.corrections.reviewed)
    assert project.corrections.last_id >= session.corrections.last_id


def test_what_is_painted(controller: Any) -> None:
    noted(controller)
    assert not list(recovery_folder().glob("*/*.unetproj")), "what the program has found it finds again"
    paint(controller, 50)
    noted(controller)
    paint(controller, 51, 1)
    paint(controller, 0, 1, (10, 10), 10)
    noted(controller)
    project = killed(controller)
    same_own(controller, project)
    assert (project.labels[1, 10:20, 10:20] == 0).all()
    assert not [message for message in controller.messages if message.level == "error"]


def test_a_stroke_under_way(controller: Any) -> None:
    layer = controller.session.labels_layer
    stroke = controller.session._on_mouse(layer, type("Event", (), {"type": "mouse_press"})())
    next(stroke)
    with layer.block_history():
        layer.selected_label = 60
        layer.brush_size = 4
        controller.viewer.dims.set_current_step(0, 1)
        for x in range(20, 60, 4):
            layer.paint((1, 40, x), 60)
        noted(controller)
        assert (killed(controller).labels[1, 40, 20:56] == 60).all(), "the mouse button is down still"
    assert list(stroke) == []


def test_undo_fill_and_reviewed(controller: Any) -> None:
    layer = controller.session.labels_layer
    paint(controller, 50)
    noted(controller)
    layer.undo()
    noted(controller)
    same_own(controller, killed(controller))
    layer.redo()
    controller.viewer.dims.set_current_step(0, 0)
    layer.fill((0, 12, 45), 70)
    noted(controller)
    project = killed(controller)
    assert (project.labels[0, 10:20, 40:50] == 70).all()
    controller.toggle_reviewed("slice")
    noted(controller)
    same_own(controller, killed(controller))
    controller.toggle_reviewed("slice")
    noted(controller)
    same_own(controller, killed(controller))


def test_only_reviewed(controller: Any) -> None:
    controller.toggle_reviewed("slice")
    noted(controller)
    assert killed(controller).corrections.reviewed[controller.session.plane].all()


def test_written_by_a_script(controller: Any) -> None:
    paint(controller, 50)
    noted(controller)
    controller.session.labels_layer.data[0, 50:60, 50:60] = 77
    controller.session.labels_layer.refresh()
    noted(controller)
    same_own(controller, killed(controller))


def test_only_learned(controller: Any) -> None:
    controller.history.add(Generation(bright("new", threshold=0.3), Verdict(None)))
    controller.history.let_wait(Generation(bright("waits", threshold=0.35), Verdict(None)))
    noted(controller)
    controller.history.add(Generation(bright("newer", threshold=0.4), Verdict(None)))
    controller.switch.go_to(1)
    noted(controller)
    project = killed(controller)
    assert [one.info.name for one in project.generations] == ["bright", "new", "newer"]
    assert project.current == 1
    assert project.generations[2].before is project.generations[1]
    assert project.waiting.info.name == "waits"


def test_learned_just_now(controller: Any) -> None:
    """A model is noted when it is told, not when it is time to look for changes again."""
    paint(controller, 50)
    noted(controller)
    controller.history.add(Generation(bright("new", threshold=0.3), Verdict(None)))
    controller.autosave._writer.settle()
    assert [one.info.name for one in killed(controller).generations] == ["bright", "new"]
    controller.history.let_wait(Generation(bright("waits", threshold=0.35), Verdict(None)))
    controller.autosave._writer.settle()
    assert killed(controller).waiting.info.name == "waits"


def test_a_copy_of_all_and_on(controller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autosave, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(autosave, "MAX_TIME_SHARE", 1e9)
    paint(controller, 50)
    noted(controller)
    paint(controller, 51, 1)
    noted(controller)
    while controller.autosave.tick():
        pass
    folder = controller.autosave.copy_of(controller.session).copy.folder
    assert all(
        number >= controller.autosave.copy_of(controller.session).copy.journal for number, _ in journals(folder)
    ), "older ones are of no use"
    assert np.array_equal(
        Project.open(controller.autosave.copy_of(controller.session).copy.path).labels,
        controller.session.labels_layer.data,
    )
    paint(controller, 52, 2)
    noted(controller)
    project = killed(controller)
    assert np.array_equal(project.labels, controller.session.labels_layer.data)
    same_own(controller, project)


def test_recovered_and_on(controller: Any) -> None:
    paint(controller, 50)
    noted(controller)
    paint(controller, 51, 1)
    noted(controller)
    labels = controller.session.labels.copy()
    own = labels != controller.session.corrections.prediction
    controller.autosave.copy_of(controller.session).copy.release()
    other = Controller(ViewerModel(), InlineRunner())
    other.autosave.on = True
    other.recovery.search()
    other.recovery.recover(other.recovery.left[0])
    assert np.array_equal(other.session.labels[own], labels[own])
    other.autosave.tick()
    for value in (60, 61):
        paint(other, value, 2)
        noted(other)
    same_own(other, killed(other))


def test_a_record_that_is_cut_off(controller: Any) -> None:
    paint(controller, 50)
    noted(controller)
    paint(controller, 51, 1, (10, 50))
    noted(controller)
    before = controller.session.labels.copy()
    paint(controller, 52, 1, (10, 50))
    noted(controller)
    _, path = journals(controller.autosave.copy_of(controller.session).copy.folder)[-1]
    data = path.read_bytes()
    for length in (len(data) - 1, len(data) - 100):
        path.write_bytes(data[:length])
        assert (killed(controller).labels[1, 10:15, 50:55] == before[0, 1, 10:15, 50:55]).all()
    path.write_bytes(data[:-50] + b"x" * 50)
    assert (killed(controller).labels[1, 10:15, 50:55] == 51).all(), "damaged, it is not read"


def test_labels_that_need_more_bits(controller: Any) -> None:
    layer = controller.session.labels_layer
    layer.data = layer.data.astype(np.int64)
    paint(controller, 2**40)
    noted(controller)
    assert (killed(controller).labels[0, SIDE - 2 : SIDE + 3, SIDE - 2 : SIDE + 3] == 2**40).all()


def test_a_disk_that_is_full_is_told_once(controller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(controller, 50)
    noted(controller)
    said = len(controller.messages)
    monkeypatch.setattr(records, "MIN_FREE_BYTES", 2**80)
    for value in (51, 52):
        paint(controller, value, 1)
        noted(controller)
    texts = [message.details for message in controller.messages[said:]]
    assert len(texts) == 1
    assert "the disk is full" in texts[0]
    monkeypatch.setattr(records, "MIN_FREE_BYTES", 0)
    controller.autosave.copy_of(controller.session).recorder._since_problem.leave_out(-3600)
    noted(controller)
    same_own(controller, killed(controller))


def test_a_folder_that_cannot_be_written_is_told_of_once(controller: Any) -> None:
    recovery_folder().parent.mkdir(parents=True, exist_ok=True)
    recovery_folder().touch()
    said = len(controller.messages)
    for value in (50, 51):
        paint(controller, value)
        noted(controller)
        controller.autosave._tried.leave_out(-3600)
    assert [message.level for message in controller.messages[said:]] == ["error"]
    assert "could not be written. Save the project" in controller.messages[-1].text
    recovery_folder().unlink()
    controller.autosave._tried.leave_out(-3600)
    noted(controller)
    same_own(controller, killed(controller))


def test_what_is_too_large_is_told_once(controller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MAX_COPIED_BYTES", 1000)
    said = len(controller.messages)
    for value in (50, 51):
        paint(controller, value)
        noted(controller)
    assert ["too large" in message.text for message in controller.messages[said:]] == [True]


def test_saved_by_its_user_it_is_gone(controller: Any, tmp_path: Path) -> None:
    paint(controller, 50)
    noted(controller)
    assert controller.projects.save(tmp_path / "a.unetproj")
    for _ in range(3):
        noted(controller)
    assert not list(recovery_folder().iterdir()), "it is saved as it is"
    paint(controller, 51, 1)
    noted(controller)
    same_own(controller, killed(controller))


def test_at_the_end(controller: Any) -> None:
    paint(controller, 50)
    noted(controller)
    paint(controller, 51, 2)
    own = controller.session.labels != controller.session.corrections.prediction
    labels = controller.session.labels.copy()
    controller.close()
    (path,) = recovery_folder().glob("*/*.unetproj")
    assert np.array_equal(Project.open(path).image.canonical_labels(Project.open(path).labels)[own], labels[own])


def test_an_image_that_no_file_has_is_copied_before_there_is_something_to_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_copy, "MAX_QUICK_PIXELS", 0)
    controller = Controller(ViewerModel(), InlineRunner())
    controller.autosave.on = True
    controller.viewer.add_image(squares((64, 64)), name="made")
    controller.use_model(bright())
    controller.segment()
    controller.autosave.note()
    assert len(list(recovery_folder().glob("*/pixels.zarr"))) == 1
    assert not list(recovery_folder().glob("*/*.unetproj"))
    controller.session.labels_layer.data_setitem((np.arange(4), np.arange(4)), 60)
    noted(controller)
    assert not list(recovery_folder().glob("*/pixels.zarr")), "it was moved to where it is needed"
    project = killed(controller)
    assert np.array_equal(np.asarray(project.image.data), squares((64, 64)))
    same_own(controller, project)
    controller.close()


def test_nothing_is_left_of_an_image_that_was_only_looked_at() -> None:
    controller = Controller(ViewerModel(), InlineRunner())
    controller.autosave.on = True
    controller.viewer.add_image(squares((64, 64)), name="made")
    controller.use_model(bright())
    controller.segment()
    noted(controller)
    controller.close()
    assert not list(recovery_folder().glob("*"))


def test_the_main_thread_is_not_held(controller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many blocks, only so many are copied at a time."""
    monkeypatch.setattr(journal.Recorder.tick, "__defaults__", (0.0, 0.0))
    paint(controller, 50)
    controller.autosave.note()
    controller.autosave._writer.settle()
    controller.autosave.note()
    left = len(controller.session.unwritten.urgent)
    for _ in range(10):
        before = len(controller.session.unwritten.urgent)
        controller.autosave.note()
        assert before - len(controller.session.unwritten.urgent) <= 1
    assert left <= 8


def test_what_is_suggested(controller: Any) -> None:
    """Suggestions between slices come back after a kill, and those that were taken do not."""
    for plane in (0, 2):
        paint(controller, 50, plane)
    controller.viewer.dims.set_current_step(0, 2)
    noted(controller)
    assert controller.propagation.suggest((SIDE, SIDE))
    noted(controller)
    ((plane, (one,)),) = controller.ghosts.suggested.items()
    found = killed(controller)
    assert list(found.suggestions) == [plane] == [(0, 1)]
    assert np.array_equal(found.suggestions[plane][0].mask, one.mask)
    same_own(controller, found)
    assert controller.propagation.take_all()
    noted(controller)
    assert killed(controller).suggestions == {}
