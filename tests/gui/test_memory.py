"""Nothing holds on to what belongs to an image whose layers are gone, or to a model that nobody uses."""

from __future__ import annotations

import gc
import time
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool

from hand_made import GAIN, bright
from napari_unet.corrections.corrections import Corrections
from napari_unet.layers.learning import learner
from napari_unet.layers.session.session import LayerSession
from napari_unet.learning.gate import Verdict
from napari_unet.learning.interactive import Learned
from napari_unet.models.model import Model
from napari_unet.nets.unet import UNet
from napari_unet.training.config import StepReport

KINDS = (LayerSession, Corrections, UNet)
ELSEWHERE: weakref.WeakSet[Any] = weakref.WeakSet()


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Learning that takes no time and returns a model each time another."""
    given = SimpleNamespace(threshold=0.2, number=0)

    def steps(model: Model, material: Any, seconds: float, device: str, cancel: Any, **options: Any) -> Any:
        for step in range(5):
            time.sleep(0.01)
            yield StepReport(step + 1, 5, 0.5, 0.02 * step)
        given.number += 1
        found = bright("tiny, corrected", threshold=given.threshold + 0.001 * given.number)
        recipe: dict[str, str | int | float | bool | None] = {"steps": 5, "seconds": 1.0}
        return Learned(Model(found.net, found.info.model_copy(update={"recipe": recipe})), Verdict(GAIN))

    monkeypatch.setattr(learner, "learning_steps", steps)
    return given


@pytest.fixture(autouse=True)
def elsewhere() -> Any:
    """What other tests have made, such as one that closes the window while a worker runs, is none of ours."""
    gc.collect()
    ELSEWHERE.update(thing for thing in gc.get_objects() if issubclass(type(thing), KINDS))
    yield
    ELSEWHERE.clear()


def alive(*kinds: type) -> list[int]:
    """Count the instances of some classes; of `KINDS`, those that were made since the test began."""
    gc.collect()
    things = [thing for thing in gc.get_objects() if issubclass(type(thing), kinds) and thing not in ELSEWHERE]
    return [sum(issubclass(type(thing), kind) for thing in things) for kind in kinds]


def arrays(shape: tuple[int, ...]) -> int:
    """Count the arrays of some shape, whoever holds them, that own their memory."""
    gc.collect()
    found: dict[int, Any] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        held = thing.values() if kind is dict else thing if kind in (list, tuple) else ()
        for value in list(held):
            if type(value) is np.ndarray and value.shape == shape and value.base is None:
                found[id(value)] = value
    return len(found)


@pytest.mark.parametrize("kept", [True, False])
def test_rounds_of_work_leave_nothing(widget, viewer, taught, click, wait_idle, qtbot, squares, kept):
    widget.controller.autosave.on = kept
    shape = (97, 101)

    def a_round() -> None:
        viewer.add_image(squares(shape), name="image")
        click(widget.segment_panel.button)
        wait_idle(widget)
        labels = viewer.layers["image objects"]
        for label in np.unique(labels.data)[1:4]:
            labels.data_setitem(np.nonzero(labels.data == label), 0)
        click(widget.learn_panel.button)
        wait_idle(widget)
        widget.decision.show_changes.setChecked(True)
        labels.undo()
        widget.controller.toggle_reviewed()
        widget.controller.revert()
        wait_idle(widget)
        del labels
        viewer.layers.clear()
        wait_idle(widget)
        qtbot.wait(300)
        qtbot.waitUntil(lambda: not QThreadPool.globalInstance().activeThreadCount())
        widget.controller.history.parking.settle()

    counts = []
    for _ in range(3):
        a_round()
        counts.append((*alive(*KINDS), arrays(shape)))
    assert counts[-1][:3] == (0, 0, 1), "the one network is that in use"
    assert counts[-1] == counts[1], counts
    assert len(widget.controller.history.generations) == 4, "all that was learned is there still"
    assert len({generation.sha256() for generation in widget.controller.history.generations}) == 4
    assert alive(UNet) == [1]


def test_a_job_that_has_ended_is_let_go_of(widget, qtbot):
    """Whatever Qt or napari hold of its worker."""
    from napari_unet.layers.jobs import Job, once

    class Held:
        pass

    def start() -> None:
        held = Held()
        widget.runner.start(Job("test"), once(lambda: held), lambda _: held, lambda _: held, lambda _: held)

    for _ in range(3):
        start()
        qtbot.waitUntil(lambda: not widget.runner.busy)
    qtbot.waitUntil(lambda: alive(Held) == [0])
