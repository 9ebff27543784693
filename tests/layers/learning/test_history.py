"""What was learned is never lost before somebody drops it, whatever is chosen, learned, opened or removed meanwhile."""

from __future__ import annotations

import gc
import os
from typing import Any
from weakref import ref

import numpy as np
import pytest
from napari.components import ViewerModel

from hand_made import GAIN, bright, squares
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.projects import autosave
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation
from napari_unet.models.store import load_model, save_model
from napari_unet.projects.project import Project

WORSE = Verdict(Comparison(0.5, 0.4, -0.2, -0.01, 12))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autosave, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(autosave, "MAX_TIME_SHARE", 1e9)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def learned(viewer: Any, controller: Any, taught: Any, thresholds: tuple[float, ...] = (0.2,)) -> list[str]:
    """Segment, correct and learn; return the hashes of the models."""
    viewer.add_image(squares(), name="image")
    controller.segment()
    labels = viewer.layers["image objects"]
    labels.data_setitem(np.nonzero(labels.data == labels.data[45, 45]), 0)
    for threshold in thresholds:
        taught.threshold = threshold
        controller.learn()
    return hashes(controller)[1:]


def hashes(controller: Any) -> list[str]:
    return [generation.sha256() for generation in controller.history.generations]


@pytest.mark.parametrize("way", ["list", "file", "new", "the same"])
def test_another_model_is_chosen(viewer, controller, taught, tmp_path, way):
    mine = learned(viewer, controller, taught, (0.2, 0.3))
    if way == "new":
        assert controller.new_model("blank", "instances")
    elif way == "file":
        path = save_model(bright("elsewhere", threshold=0.7), "elsewhere").rename(tmp_path / "a.safetensors")
        assert controller.choose_model(path)
    else:
        assert controller.choose_model("sensitive" if way == "list" else "bright")
    assert hashes(controller)[1:3] == mine
    assert controller.history.current == 3
    assert controller.history.generations[3].model is controller.model
    controller.revert()
    assert controller.model.sha256() == mine[-1], "Go back returns to the one that was in use"


def test_looking_through_the_list_adds_nothing(viewer, controller, taught):
    learned(viewer, controller, taught)
    for name in ("sensitive", "bright", "sensitive"):
        controller.choose_model(name)
    names = [generation.info.name for generation in controller.history.generations]
    assert names == ["bright", "bright, corrected", "sensitive"]
    controller.learn()
    controller.choose_model("bright")
    names = [generation.info.name for generation in controller.history.generations]
    assert names == ["bright", "bright, corrected", "sensitive", "bright, corrected", "bright"]


def test_going_back_and_learning_again(viewer, controller, taught):
    first, second = learned(viewer, controller, taught, (0.2, 0.3))
    controller.switch.go_to(0)
    taught.threshold = 0.25
    controller.learn()
    assert hashes(controller)[1:3] == [first, second]
    third = controller.model.sha256()
    assert hashes(controller)[3] == third
    controller.revert()
    assert controller.history.current == 0
    controller.switch.go_to(2)
    controller.revert()
    assert controller.history.current == 1


@pytest.mark.parametrize("way", ["learning", "choosing", "new", "opening"])
def test_a_model_that_waits_is_overtaken(viewer, controller, taught, tmp_path, way):
    learned(viewer, controller, taught)
    if way == "opening":
        controller.projects.save(tmp_path / "a.unetproj")
    taught.verdict, taught.threshold = WORSE, 0.35
    controller.learn()
    waiting = controller.history.waiting
    assert waiting is not None
    taught.verdict, taught.threshold = Verdict(GAIN), 0.25
    if way == "learning":
        controller.learn()
    elif way == "choosing":
        controller.choose_model("sensitive")
    elif way == "new":
        controller.new_model("blank", "instances")
    else:
        controller.projects.open(tmp_path / "a.unetproj")
    assert controller.history.waiting is None
    assert waiting in controller.history.generations
    assert controller.history.generations[controller.history.current] is not waiting
    controller.switch.go_to(controller.history.generations.index(waiting))
    assert controller.model.sha256() == waiting.sha256()


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_not_used_stays_with_its_score(viewer, controller, taught, tmp_path, restart):
    learned(viewer, controller, taught)
    taught.verdict, taught.threshold = WORSE, 0.35
    controller.learn()
    refused = controller.history.waiting
    controller.switch.drop()
    history = controller.history
    assert (history.waiting, history.generations[-1], history.current) == (None, refused, 1)
    assert controller.model is not refused.model
    if restart:
        controller.projects.save(tmp_path / "a.unetproj")
        controller.close()
        controller = Controller(ViewerModel(), InlineRunner())
        controller.projects.open(tmp_path / "a.unetproj")
        history = controller.history
    assert (history.generations[-1].verdict, history.generations[-1].sha256()) == (WORSE, refused.sha256())
    taught.verdict, taught.threshold = Verdict(GAIN), 0.25
    controller.learn()
    controller.switch.go_to(2)
    assert controller.model.sha256() == refused.sha256()


def test_another_project_is_opened(viewer, controller, taught, tmp_path):
    mine = learned(viewer, controller, taught, (0.2, 0.3))
    assert controller.projects.save(tmp_path / "a.unetproj")
    other = Controller(ViewerModel(), InlineRunner())
    other.use_model(bright("other"))
    theirs = learned(other.viewer, other, taught, (0.26, 0.27))
    other.projects.open(tmp_path / "a.unetproj")
    assert [one for one in hashes(other) if one in (*mine, *theirs)] == [*theirs, *mine]
    assert other.model.sha256() == mine[-1]
    assert other.can_revert
    other.projects.open(tmp_path / "a.unetproj")
    assert [one for one in hashes(other) if one in (*mine, *theirs)] == [*theirs, *mine], "opened twice, there once"


@pytest.mark.parametrize("what", ["removed", "closed", "nothing else"])
def test_after_the_end(viewer, controller, taught, what):
    """The image's layers are removed, or the window is closed; nothing but a model may be there to be kept."""
    controller.autosave.on = True
    learned(viewer, controller, taught, (0.2, 0.3))
    controller.choose_model("sensitive")
    mine = hashes(controller)
    if what == "nothing else":
        viewer.layers["image objects"].data[:] = controller.session.corrections.prediction[0, 0]
        controller.refresh_corrections(everything=True)
        assert not controller.session.summary.anything
    if what == "removed":
        viewer.layers.clear()
        assert hashes(controller) == mine, "they are there still"
    controller.close()
    other = Controller(ViewerModel(), InlineRunner())
    other.recovery.search()
    other.recovery.recover(other.recovery.left[0])
    assert hashes(other) == mine
    assert other.history.current == 3
    assert other.history.generations[2].verdict == Verdict(GAIN)


def test_where_each_comes_from_is_saved(viewer, controller, taught, tmp_path):
    learned(viewer, controller, taught)
    controller.switch.go_to(0)
    taught.threshold = 0.3
    controller.learn()
    controller.projects.save(tmp_path / "a.unetproj")
    models = Project.open(tmp_path / "a.unetproj").generations
    assert [models.index(one.before) if one.before else None for one in models] == [None, 0, 0]


def test_a_name_that_another_has_taken_meanwhile(viewer, later):
    """Its fast mode is measured for a while; who saves under that name meanwhile does not lose anything."""
    viewer.add_image(np.tile(squares(), (4, 4)), name="image")
    later.segment()
    later.runner.finish()
    assert later.save("mine")
    theirs = bright("theirs", threshold=0.8)
    save_model(theirs, "mine", overwrite=True)
    later.runner.finish()
    assert load_model("mine").sha256() == theirs.sha256()
    assert later.history.current == 0
    assert len(later.history.generations) == 1


# -- weights that nobody uses ----------------------------------------------------------------------------------------


def test_weights_not_in_use_are_in_files_and_not_in_memory(viewer, controller, taught):
    learned(viewer, controller, taught, (0.2, 0.3, 0.25))
    controller.history.parking.settle()
    history = controller.history.generations
    assert [generation.in_memory is not None for generation in history] == [False, False, False, True]
    for generation in history:
        assert load_model(generation.file if generation.file else "").sha256() == generation.sha256()
    model = ref(history[1].model)
    gc.collect()
    assert model() is None, "read when it was asked for, and let go of"
    controller.switch.go_to(1)
    assert controller.model is history[1].in_memory
    controller.history.parking.settle()
    assert [generation.in_memory is not None for generation in history] == [False, True, False, False]
    assert controller.segment()


def test_no_room_for_the_weights(viewer, controller, taught, tmp_path):
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "learned").touch()
    mine = learned(viewer, controller, taught, (0.2, 0.3))
    controller.history.parking.settle()
    assert "cannot be written to" in controller.history.parking.problem
    assert all(generation.in_memory is not None for generation in controller.history.generations)
    assert hashes(controller)[1:] == mine


def test_weights_whose_file_is_gone_are_told_of(viewer, controller, taught):
    learned(viewer, controller, taught)
    controller.switch.go_to(0)
    controller.history.parking.settle()
    generation = controller.history.generations[1]
    assert isinstance(generation, Generation)
    generation.file.unlink()
    gc.collect()
    controller.switch.go_to(1)
    assert controller.messages[-1].level == "error"
    assert "There is no model file" in controller.messages[-1].text
    assert controller.history.current == 0
