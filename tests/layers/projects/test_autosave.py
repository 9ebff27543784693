"""What nobody has saved is kept aside while one works, and taken up again after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from hand_made import LaterRunner, bright, squares
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.projects import autosave, session_copy
from napari_unet.layers.reader import read_layers
from napari_unet.learning.history import Generation
from napari_unet.progress import counted
from napari_unet.projects import keeping, recovery
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import left_behind, recovery_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is always time for the next copy, and no test needs to outlive a loss of power."""
    monkeypatch.setattr(autosave, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(autosave, "MAX_TIME_SHARE", 1e9)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "cells.tif", squares((3, 64, 64)), imagej=True, metadata={"axes": "ZYX"})
    return tmp_path / "cells.tif"


def controller_of(viewer: Any = None, runner: Any = None) -> Any:
    controller = Controller(viewer or ViewerModel(), runner or InlineRunner())
    controller.messages = []
    controller.workspace.said.connect(controller.messages.append)
    controller.autosave.on = True
    return controller


@pytest.fixture
def controller(image_file: Path) -> Any:
    """A controller with a segmented image."""
    controller = controller_of()
    for data, options, _ in read_layers(image_file):
        controller.viewer.add_image(data, **options)
    controller.use_model(bright())
    assert controller.segment()
    return controller


def paint(controller: Any, value: int, plane: int = 0) -> None:
    labels = controller.session.labels_layer
    where = np.nonzero(np.ones((5, 5), bool))
    labels.data_setitem((np.full(25, plane), *where), value)
    controller.refresh_corrections()


def by_hand(controller: Any) -> LaterRunner:
    """From now on copies are made when the test says so."""
    runner = controller.autosave._runner = controller.autosave._old_copies._runner = LaterRunner()
    return runner


def kept(controller: Any) -> np.ndarray:
    return Project.open(controller.autosave.copy_of(controller.session).copy.path).labels


def copies() -> list[Path]:
    return sorted(recovery_folder().glob("*/*.unetproj"))


def test_what_is_painted_is_kept(controller: Any) -> None:
    assert controller.autosave.tick(), "there may be something"
    assert copies() == [], "what the program has found it finds again"
    paint(controller, 50)
    assert controller.autosave.tick()
    assert np.array_equal(kept(controller), controller.session.labels_layer.data)
    assert copies()[0].name == "cells.unetproj"
    assert controller.projects.path is None, "it is not saved by that"
    assert not controller.autosave.tick(), "nothing was heard of since"
    written = (copies()[0] / "project.json").stat().st_mtime_ns
    controller.viewer.dims.set_current_step(0, 2)
    controller.refresh_corrections()
    controller.autosave.tick()
    assert (copies()[0] / "project.json").stat().st_mtime_ns == written, "a slider was moved, nothing has changed"
    paint(controller, 51, 1)
    controller.autosave.tick()
    assert np.array_equal(kept(controller), controller.session.labels_layer.data)
    assert len(copies()) == 1
    assert not [message for message in controller.messages if message.level == "error"]


@pytest.mark.parametrize("what", ["reviewed", "learned", "waiting"])
def test_what_is_reviewed_and_learned_is_kept(controller: Any, what: str) -> None:
    controller.autosave.tick()
    assert copies() == []
    if what == "reviewed":
        controller.toggle_reviewed("slice")
    elif what == "learned":
        controller.history.add(Generation(bright("new", threshold=0.3)))
    else:
        controller.history.let_wait(Generation(bright("new", threshold=0.3)))
    assert controller.autosave.tick()
    opened = Project.open(copies()[0])
    assert opened.corrections.reviewed.any() == (what == "reviewed")
    assert [one.model.name for one in opened.generations] == ["bright"] + ["new"] * (what == "learned")
    assert (opened.waiting is not None) == (what == "waiting")


def test_when_it_is_switched_off_or_not_time_yet(controller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(controller, 50)
    controller.autosave.on = False
    assert not controller.autosave.tick()
    controller.autosave.on = True
    monkeypatch.setattr(autosave, "MIN_INTERVAL", 3600.0)
    assert not controller.autosave.tick()
    monkeypatch.setattr(autosave, "MIN_INTERVAL", 0.0)
    controller.autosave._took = 3600.0
    monkeypatch.setattr(autosave, "MAX_TIME_SHARE", 0.05)
    assert not controller.autosave.tick(), "it has taken so long the last time that it may not yet be done again"
    assert copies() == []
    assert not Controller(ViewerModel(), InlineRunner()).autosave.on, "a script has its own ways"


def test_not_within_a_stroke(controller: Any) -> None:
    paint(controller, 50)
    stroke = controller.session._on_mouse(controller.session.labels_layer, type("Event", (), {"type": "mouse_press"})())
    next(stroke)
    assert not controller.autosave.tick()
    assert list(stroke) == []
    assert controller.autosave.tick()
    assert len(copies()) == 1


def test_painting_goes_on_meanwhile(controller: Any) -> None:
    paint(controller, 50)
    runner = by_hand(controller)
    assert controller.autosave.tick()
    runner.step()
    paint(controller, 51, 2)
    controller.session.rename({51: 52})
    assert (controller.session.labels[0, 2, :5, :5] == 51).all(), "ids wait until all planes are copied"
    assert not controller.autosave.tick(), "one at a time"
    runner.finish()
    assert (controller.session.labels[0, 2, :5, :5] == 52).all()
    assert (kept(controller)[2, :5, :5] == 51).all(), "that plane came later"
    controller.autosave.tick()
    runner.finish()
    assert np.array_equal(kept(controller), controller.session.labels_layer.data)


def test_two_images_take_turns(controller: Any) -> None:
    paint(controller, 50)
    first = controller.session
    controller.viewer.add_image(squares(), name="other/..\\image")
    assert controller.segment()
    assert controller.session is not first
    controller.session.labels_layer.data_setitem((np.arange(4), np.arange(4)), 60)
    assert controller.autosave.tick()
    assert controller.autosave.tick()
    assert {path.name for path in copies()} == {"cells.unetproj", "other-..-image.unetproj"}
    other = Project.open(controller.autosave.copy_of(controller.session).copy.path)
    assert np.array_equal(other.image.data, squares()), "no file has its pixels"
    assert np.array_equal(Project.open(controller.autosave.copy_of(first).copy.path).labels, first.labels_layer.data)


# -- saved by its user -----------------------------------------------------------------------------------------------


def test_when_it_is_saved_the_copy_goes(controller: Any, tmp_path: Path) -> None:
    paint(controller, 50)
    controller.autosave.tick()
    assert len(copies()) == 1
    assert controller.projects.save(tmp_path / "a.unetproj")
    assert list(recovery_folder().iterdir()) == []
    controller.refresh_corrections()
    assert controller.autosave.tick()
    assert list(recovery_folder().iterdir()) == [], "it is saved as it is"
    saved = (tmp_path / "a.unetproj" / "project.json").read_bytes()
    paint(controller, 51)
    controller.autosave.tick()
    assert len(copies()) == 1
    assert (tmp_path / "a.unetproj" / "project.json").read_bytes() == saved
    controller.session.labels_layer.undo()
    controller.refresh_corrections()
    controller.autosave.tick()
    assert list(recovery_folder().iterdir()) == [], "as it was saved"


def test_what_is_opened_is_saved(controller: Any, tmp_path: Path) -> None:
    paint(controller, 50)
    controller.projects.save(tmp_path / "a.unetproj")
    other = controller_of()
    other.projects.open(tmp_path / "a.unetproj")
    assert other.autosave.tick()
    assert copies() == []
    paint(other, 51)
    other.autosave.tick()
    assert len(copies()) == 1


def test_saving_comes_first(controller: Any, tmp_path: Path) -> None:
    paint(controller, 50)
    runner = by_hand(controller)
    controller.autosave.tick()
    runner.step()
    assert controller.projects.save(tmp_path / "a.unetproj"), "it does not wait"
    assert not controller.autosave.tick(), "the worker has not ended"
    with pytest.raises(IndexError):
        runner.step(1)
    runner.jobs[0].tell = lambda _: None  # what it asks for is not given any more
    runner.finish(0)
    for index in range(1, len(runner.jobs)):
        runner.finish(index)
    assert copies() == []
    assert not controller.session._deferred.held
    paint(controller, 51)
    saving = controller.projects._runner = LaterRunner()
    controller.projects.save()
    assert not controller.autosave.tick(), "not while it is saved"
    saving.finish()
    assert np.array_equal(Project.open(controller.projects.path).labels, controller.session.labels_layer.data)


def test_saved_while_the_last_files_of_a_copy_are_written(controller: Any, tmp_path: Path) -> None:
    """A worker that cannot be stopped any more must not bring back what is saved by now."""
    paint(controller, 50)
    controller.autosave.tick()
    paint(controller, 51)
    runner = by_hand(controller)
    controller.autosave.tick()
    for _ in range(3):
        runner.step()
    controller.projects.save(tmp_path / "a.unetproj")
    assert len(copies()) == 1, "it waits for the worker"
    runner.finish(0)
    runner.finish(1)
    assert list(recovery_folder().iterdir()) == []
    assert controller.autosave.copy_of(controller.session).copy is None


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_what_is_too_large_is_told_once(controller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MAX_COPIED_BYTES", 1000)
    said = len(controller.messages)
    for value in (50, 51):
        paint(controller, value)
        assert not controller.autosave.tick()
    assert ["too large" in message.text for message in controller.messages[said:]] == [True]
    controller.close()
    assert copies() == []


def test_a_disk_that_is_full_is_told_once(controller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "MIN_FREE_BYTES", 2**80)
    said = len(controller.messages)
    for value in (50, 51):
        paint(controller, value)
        assert controller.autosave.tick()
    texts = [message.text for message in controller.messages[said:]]
    assert len(texts) == 1
    assert "could not be written. Save the project" in texts[0]
    assert copies() == []
    monkeypatch.setattr(recovery, "MIN_FREE_BYTES", 0)
    assert controller.autosave.tick(), "it is tried again"
    assert len(copies()) == 1


def test_labels_that_are_replaced_meanwhile(controller: Any) -> None:
    paint(controller, 50)
    controller.autosave.tick()
    paint(controller, 51)
    before = controller.session.labels_layer.data.copy()
    runner = by_hand(controller)
    controller.autosave.tick()
    runner.step()
    controller.session.labels_layer.data = np.zeros((3, 5, 5), np.int32)
    runner.finish()
    assert np.array_equal(kept(controller), before)
    assert not controller.session._deferred.held


# -- afterwards ------------------------------------------------------------------------------------------------------


def test_recovered_it_is_not_saved_yet(controller: Any, tmp_path: Path) -> None:
    paint(controller, 50)
    controller.toggle_reviewed("slice")
    controller.autosave.tick()
    paint(controller, 51, 1)  # a moment before the end
    path, labels = (
        controller.autosave.copy_of(controller.session).copy.path,
        controller.session.labels_layer.data.copy(),
    )
    controller.close()

    other, third = controller_of(), controller_of()
    for one in (other, third):
        one.recovery.search()
        assert [left.path for left in one.recovery.left] == [path]
    other.recovery.recover(other.recovery.left[0])
    assert other.messages[-1].text == "Recovered cells: 5 objects, not saved yet."
    assert other.recovery.left == []
    assert [layer.name for layer in other.viewer.layers] == ["cells", "cells objects", "cells reviewed"]
    assert np.array_equal(other.session.labels_layer.data, labels), "small as it is, it was kept once more at the end"
    assert other.session.summary.reviewed_pixels == 64 * 64
    assert other.projects.path is None
    third.recovery.recover(third.recovery.left[0])
    assert "open in another window" in third.messages[-1].text
    assert third.recovery.left == []
    assert third.session is None

    other.autosave.tick()
    assert copies() == [path]
    paint(other, 52)
    other.autosave.tick()
    assert copies() == [path], "it goes on in the same place"
    assert np.array_equal(kept(other), other.session.labels_layer.data)
    other.projects.save(tmp_path / "a.unetproj")
    assert list(recovery_folder().iterdir()) == []


def test_recovered_it_is_saved_where_it_was(controller: Any, tmp_path: Path) -> None:
    paint(controller, 50)
    controller.projects.save(tmp_path / "a.unetproj")
    paint(controller, 51)
    controller.autosave.tick()
    controller.close()
    other = controller_of()
    other.recovery.search()
    other.recovery.recover(other.recovery.left[0])
    assert other.projects.path == tmp_path / "a.unetproj"
    assert (Project.open(tmp_path / "a.unetproj").labels[0, :5, :5] == 50).all()
    assert other.projects.save()
    assert (Project.open(tmp_path / "a.unetproj").labels[0, :5, :5] == 51).all()


def test_an_image_that_no_file_has(controller: Any) -> None:
    controller.viewer.add_image(squares(), name="made")
    assert controller.segment()
    controller.session.labels_layer.data_setitem((np.arange(4), np.arange(4)), 60)
    controller.autosave.tick()
    controller.autosave.tick()
    controller.close()
    other = controller_of()
    other.recovery.search()
    other.recovery.recover(next(left for left in other.recovery.left if left.path.stem == "made"))
    other.projects.save(recovery_folder().parent / "saved.unetproj")
    assert np.array_equal(np.asarray(other.layer.data), squares()), "it does not need the copy, which is gone"
    assert not [path for path in copies() if path.stem == "made"]


def test_an_image_that_is_gone_is_asked_for(controller: Any, image_file: Path) -> None:
    paint(controller, 50)
    controller.close()
    moved = image_file.rename(image_file.with_name("moved.tif"))
    other, asked = controller_of(), []
    other.projects.missing.connect(lambda *told: asked.append(told))
    other.recovery.search()
    other.recovery.recover(other.recovery.left[0])
    assert asked == [(copies()[0], str(image_file))]
    assert len(other.recovery.left) == 1, "it is still there"
    other.projects.open(asked[0][0], moved)
    assert other.session.summary.corrected_pixels == 25
    assert other.projects.path is None
    assert other.recovery.left == []


def test_discarded_it_is_gone(controller: Any) -> None:
    paint(controller, 50)
    controller.close()
    other = controller_of()
    other.recovery.search()
    other.recovery.discard(other.recovery.left[0])
    assert other.recovery.left == []
    assert list(recovery_folder().iterdir()) == []


def test_closed_without_a_change_since_it_was_saved(controller: Any, tmp_path: Path) -> None:
    paint(controller, 50)
    controller.projects.save(tmp_path / "a.unetproj")
    controller.close()
    assert left_behind() == ([], [])
    assert copies() == []


def test_closed_while_a_copy_is_made(controller: Any) -> None:
    paint(controller, 50)
    controller.autosave.tick()
    paint(controller, 51)
    runner = by_hand(controller)
    controller.autosave.tick()
    runner.step()
    labels = controller.session.labels_layer.data.copy()
    controller.close()
    runner.jobs[0].tell = lambda _: None  # a window that is gone takes no more blocks
    runner.finish(0)
    left, _ = left_behind()
    assert len(left) == 1
    assert np.array_equal(Project.open(left[0].path).labels, labels)


def test_a_layer_that_is_removed_is_kept(controller: Any) -> None:
    """napari removes all layers before it closes a viewer."""
    paint(controller, 50)
    labels = controller.session.labels_layer.data.copy()
    controller.viewer.layers.clear()
    left, _ = left_behind()
    assert np.array_equal(Project.open(left[0].path).labels, labels)


def test_of_what_is_large_only_what_has_changed_is_written_at_the_end(
    controller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(controller, 50)
    controller.autosave.tick()
    state = (controller.autosave.copy_of(controller.session).copy.path / "project.json").read_bytes()
    paint(controller, 51)
    labels = controller.session.labels_layer.data.copy()
    monkeypatch.setattr(session_copy, "MAX_QUICK_PIXELS", 100)
    controller.close()
    left, _ = left_behind()
    assert (left[0].path / "project.json").read_bytes() == state
    assert np.array_equal(Project.open(left[0].path).labels, labels)


@pytest.mark.parametrize("how", ["labels", "axes"])
def test_work_that_is_let_go_of_is_offered_at_once(controller: Any, how: str) -> None:
    session, told = controller.session, []
    controller.recovery.changed.connect(lambda: told.append(list(controller.recovery.left)))
    session.labels_layer.data_setitem((np.full(9, 1), np.arange(9), np.arange(9)), 55)
    controller.refresh_corrections()
    painted = session.labels.copy()
    if how == "labels":
        controller.viewer.layers.remove(session.labels_layer)
        assert controller.messages[-1].text == "The result of cells was removed. Recover, at the top, brings it back."
    else:
        controller.set_axes("TYX")
    assert len(told[-1]) == 1
    controller.recovery.recover(controller.recovery.left[0])
    assert controller.recovery.left == []
    assert np.array_equal(controller.session.labels, painted)


def test_what_other_axes_let_go_of_is_kept_with_its_channel(controller: Any) -> None:
    layer = controller.viewer.add_image(np.stack([squares() * 0, squares()]), name="channels")
    controller.choose_layer(layer)
    assert controller.set_axes("CYX")
    controller.workspace.choose_channel(1)
    assert controller.segment()
    paint(controller, 50)
    assert controller.set_axes("TYX")
    assert controller.workspace.channel is None
    assert Project.open(left_behind()[0][0].path).channel == 1


def test_a_process_that_is_killed(image_file: Path) -> None:
    code = """
import sys
import numpy as np
from napari.components import ViewerModel
from hand_made import bright
from napari_unet.layers.projects import autosave
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.reader import read_layers
autosave.MIN_INTERVAL, autosave.MAX_TIME_SHARE = 0.0, 1e9
controller = Controller(ViewerModel(), InlineRunner())
controller.autosave.on = True
for data, options, _ in read_layers(sys.argv[1]):
    controller.viewer.add_image(data, **options)
controller.use_model(bright())
assert controller.segment()
everywhere = np.nonzero(np.ones((3, 64, 64), bool))
for number in range(100, 10**6):
    controller.session.labels_layer.data_setitem(everywhere, number)
    assert controller.autosave.tick()
    print(number, flush=True)
"""
    command = [sys.executable, "-c", code, str(image_file)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for _ in range(3):
            number = int(process.stdout.readline())
        assert left_behind() == ([], []), "it is in the hands of that process"
        time.sleep(0.03)
        os.kill(process.pid, signal.SIGKILL)
        said = process.stdout.read().split()
    number = int(said[-1]) if said else number
    controller = controller_of()
    controller.recovery.search()
    controller.recovery.recover(controller.recovery.left[0])
    found = np.unique(controller.session.labels_layer.data).tolist()
    assert set(found) <= {number, number + 1}, "each block as it was kept last, or as it was just being kept"
    assert controller.session.summary.corrected_pixels == 3 * 64 * 64
    assert controller.messages[-1].text == f"Recovered cells: {counted(len(found), 'object')}, not saved yet."
