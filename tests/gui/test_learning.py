"""The Learn panel in a real viewer: pausing, the score, a model that waits, the history, what changed."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from hand_made import bright
from napari_unet.layers.learning import learner
from napari_unet.learning.checks import Checked
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.gate import Verdict
from napari_unet.learning.interactive import Learned
from napari_unet.learning.preview import Preview
from napari_unet.models.model import Model
from napari_unet.training.config import StepReport

GAIN = Comparison(0.5, 0.8, 0.1, 0.5, 12)
WORSE = Comparison(0.5, 0.4, -0.2, -0.01, 12)


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Learning of twenty steps that returns the model and the verdict that a test wants."""
    given = SimpleNamespace(verdict=Verdict(GAIN), threshold=0.2, steps=20, stale=0.0, held=threading.Event())

    def steps(model: Model, material: Any, seconds: float, device: str, cancel: Any, **options: Any) -> Any:
        found = bright("tiny, corrected", threshold=given.threshold)
        for step in range(given.steps):
            if options["pause"].paused:
                given.held.set()
            options["pause"].wait(cancel)
            if cancel.cancelled:
                break
            time.sleep(0.02)
            yield StepReport(step + 1, given.steps, 1 / (1 + step), 0.02 * step)
            if step % 5 == 4:
                yield Checked(step + 1, GAIN, given.stale)
                if options["preview_wanted"]():
                    yield Preview(found)
        recipe: dict[str, str | int | float | bool | None] = {"steps": given.steps, "seconds": 1.0}
        return Learned(Model(found.net, found.info.model_copy(update={"recipe": recipe})), given.verdict)

    monkeypatch.setattr(learner, "learning_steps", steps)
    return given


@pytest.fixture
def labels(widget: Any, viewer: Any, squares: Any, click: Any, wait_idle: Any) -> Any:
    """The result on nine squares, of which the first is too dark to be found; one was erased."""
    image = squares().astype(np.float32) / 100
    image[:32, :32] *= 0.4
    viewer.add_image(image, name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["image objects"]
    labels.data_setitem(np.nonzero(labels.data == labels.data[80, 80]), 0)
    return labels


def test_a_model_that_waits_is_shown_and_used(labels, widget, viewer, taught, click, wait_idle):
    panel = widget.learn_panel
    assert not widget.decision.waiting.isVisible()
    taught.verdict = Verdict(WORSE)
    click(panel.button)
    wait_idle(widget)
    assert widget.decision.waiting.isVisible()
    assert not widget.decision.changes.isVisible()
    assert "not in use yet" in widget.status.text()
    assert viewer.layers["what changes"].data.any()
    assert viewer.layers.selection.active == labels, "the brush stays where it was"
    assert labels.data[16, 16] == 0
    click(widget.decision.use)
    wait_idle(widget)
    assert labels.data[16, 16] > 0
    assert not widget.decision.waiting.isVisible()
    assert "what changes" not in viewer.layers
    assert [panel.models.itemText(i) for i in range(panel.models.count())] == ["1: tiny", "2: learned, 50% → 40%"]
    assert panel.models.isVisible()


def test_a_model_that_waits_is_dropped(labels, widget, viewer, taught, click, wait_idle):
    taught.verdict = Verdict(WORSE)
    click(widget.learn_panel.button)
    wait_idle(widget)
    click(widget.decision.drop)
    assert widget.status.text().startswith("Not used: the model in use is unchanged.")
    assert not widget.decision.waiting.isVisible()
    models = widget.learn_panel.models
    assert [models.itemText(i) for i in range(models.count())] == ["1: tiny", "2: learned, 50% → 40%, not used"]
    assert models.currentIndex() == 0
    assert "what changes" not in viewer.layers


def test_what_changed_is_shown_kept_and_taken_back(labels, widget, viewer, taught, click, wait_idle):
    panel = widget.learn_panel
    click(panel.button)
    wait_idle(widget)
    assert widget.decision.changes.isVisible()
    assert not widget.decision.show_changes.isChecked()
    widget.decision.show_changes.click()
    assert viewer.layers["what changes"].get_value((16, 16), world=True)
    widget.decision.show_changes.click()
    assert "what changes" not in viewer.layers
    click(widget.decision.refuse)
    assert labels.data[16, 16] == 0
    assert "put back" in widget.status.text()
    assert not widget.decision.changes.isVisible(), "nothing is left to decide on"


def test_another_model_of_the_history_by_choosing_it(labels, widget, taught, click, wait_idle):
    panel = widget.learn_panel
    click(panel.button)
    wait_idle(widget)
    panel.models.setCurrentIndex(0)
    panel.models.activated.emit(0)
    wait_idle(widget)
    assert widget.controller.model.name == "tiny"
    assert labels.data[16, 16] == 0
    assert not panel.back.isEnabled()


def test_all_models_are_listed_until_they_are_deleted(labels, widget, taught, click, wait_idle, monkeypatch):
    """Also those that were not used, and those learned from an earlier one; choosing another model takes none away."""
    panel = widget.learn_panel
    assert panel.delete.isHidden(), "nothing was learned yet"
    click(panel.button)
    wait_idle(widget)
    panel.models.activated.emit(0)
    wait_idle(widget)
    taught.verdict, taught.threshold = Verdict(WORSE), 0.25
    click(panel.button)
    wait_idle(widget)
    assert widget.controller.choose_model("nuclei")
    assert [panel.models.itemText(i) for i in range(panel.models.count())] == [
        "1: tiny",
        "2: learned, 50% → 80%",
        "3: learned, 50% → 40%, from 1, not used",
        "4: nuclei",
    ]
    assert panel.models.currentIndex() == 3
    panel.models.activated.emit(2)
    wait_idle(widget)
    assert panel.models.itemText(2) == "3: learned, 50% → 40%, from 1"
    _delete_by_the_menu(panel, monkeypatch)
    assert [panel.models.itemText(i) for i in range(panel.models.count())] == [
        "1: tiny",
        "2: learned, 50% → 40%",
        "3: nuclei",
    ]
    assert panel.models.currentIndex() == 1
    assert not panel.delete.isEnabled(), "what is left is in use, or was not learned"


def _delete_by_the_menu(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete the one model that can be, and answer first that it is not to be."""
    asked = []

    def answer(which: int) -> None:
        def press(box: QMessageBox) -> None:
            asked.append(box.text())
            box.buttons()[which].click()

        monkeypatch.setattr(QMessageBox, "exec", press)

    menu = panel.delete.menu()
    menu.aboutToShow.emit()
    assert [action.text() for action in menu.actions()] == ["2: learned, 50% → 80%"]
    answer(1)
    menu.actions()[0].trigger()
    assert panel.models.count() == 4, "Cancel"
    answer(0)
    menu.actions()[0].trigger()
    assert asked == ["Delete the model 2: learned, 50% → 80%?"] * 2


def test_pause_and_go_on(labels, widget, taught, click, qtbot, wait_idle):
    panel = widget.learn_panel
    assert not panel.pause.isEnabled()
    taught.steps = 10_000
    click(panel.button)
    qtbot.waitUntil(lambda: len(panel.plot.losses) > 2)
    click(panel.pause)
    assert panel.pause.text() == "Go on"
    qtbot.waitUntil(taught.held.is_set)
    qtbot.wait(200)  # what it told before comes
    steps = len(panel.plot.losses)
    qtbot.wait(500)
    assert len(panel.plot.losses) == steps
    click(panel.pause)
    qtbot.waitUntil(lambda: len(panel.plot.losses) > steps)
    click(panel.pause)
    click(panel.stop)
    wait_idle(widget)
    assert panel.pause.text() == "Pause"
    assert not panel.pause.isEnabled()


def test_the_score_and_advice(labels, widget, taught, click, qtbot, wait_idle):
    panel = widget.learn_panel
    taught.steps, taught.stale = 10_000, 40.0
    click(panel.button)
    qtbot.waitUntil(lambda: len(panel.plot.scores) > 1)
    assert panel.plot.scores[0] == 0.8
    assert "No better for 40 s: correct something new. N shows where" in panel.news.text()
    panel.grab()
    click(panel.stop)
    wait_idle(widget)
    assert not panel.news.isVisible()


def test_the_preview(labels, widget, viewer, taught, click, qtbot, wait_idle):
    panel = widget.learn_panel
    taught.steps = 10_000
    panel.preview.click()
    click(panel.button)
    qtbot.waitUntil(lambda: "what changes" in viewer.layers)
    assert viewer.layers.selection.active == labels
    panel.preview.click()
    qtbot.waitUntil(lambda: "what changes" not in viewer.layers)
    click(panel.stop)
    wait_idle(widget)
    assert "what changes" not in viewer.layers


def test_the_time_that_is_left_is_shown(labels, widget, taught, click, qtbot, wait_idle):
    panel = widget.learn_panel
    taught.steps = 10_000
    click(panel.button)
    qtbot.waitUntil(lambda: panel.button.text().startswith("Learning: "))
    assert panel.button.text() in {f"Learning: {seconds} s left" for seconds in range(61)} | {"Learning: 1 min left"}
    click(panel.pause)
    left = widget.controller.learner.seconds_left
    qtbot.wait(300)
    assert widget.controller.learner.seconds_left == pytest.approx(left, abs=0.05), "it stands still while paused"
    click(panel.pause)
    click(panel.stop)
    wait_idle(widget)
    assert panel.button.text() == "Learn"
    assert widget.controller.learner.seconds_left is None
