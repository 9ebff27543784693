"""The whole job in a real viewer: open, segment, correct, review, learn, go back, save."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog

from napari_unet._qt.workers import QtRunner
from napari_unet.layers.jobs import Job

SHIPPED = "nuclei"


@pytest.fixture
def segmented(widget: Any, viewer: Any, squares: Any, click: Any, wait_idle: Any, look: Any) -> Any:
    """The labels layer of an image of nine squares (the tiny model finds them all)."""
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["image objects"]
    labels.brush_size = 3
    look()
    return labels


@pytest.fixture
def counts(widget: Any, wait_idle: Any) -> Any:
    """Waits for the counting and returns what the panel says."""

    def text() -> str:
        wait_idle(widget)
        said = widget.correct_panel.counts.text()
        return said.replace("<b>", "").replace("</b>", "").replace("<i>", "").replace("</i>", "")

    return text


NOTHING = "Nothing corrected or reviewed yet."


# -- the sample, from the first click to the last --------------------------------------------------------------------


@pytest.mark.slow
def test_whole_job_on_the_sample(dock, viewer, click, wait_idle, counts_of, errors, look, qtbot, monkeypatch):
    widget = dock()
    assert viewer.open_sample("napari-unet-interactive", "nuclei")
    (image,) = viewer.layers
    assert widget.image_panel.image.currentText() == image.name
    assert widget.image_panel.model.currentText() == SHIPPED, "the shipped model is the one that is offered first"

    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers[f"{image.name} objects"]
    found = len(np.unique(labels.data)) - 1
    assert found > 20
    assert widget.status.text() == f"Found {found} objects. Press N to see what may be wrong. Correct it, then Learn."
    assert viewer.layers.selection.active is labels
    for attribute in ("scale", "translate", "rotate", "shear"):
        assert np.allclose(getattr(labels, attribute), getattr(image, attribute)), attribute
    assert (labels.units, labels.axis_labels) == (image.units, image.axis_labels)

    before = labels.data.copy()
    new = int(labels.data.max()) + 1
    labels.brush_size = 12
    labels.paint((20, 20), new)
    gone = int(labels.data[tuple(np.argwhere((labels.data > 0) & (labels.data != new))[0])])
    labels.data_setitem(np.nonzero(labels.data == gone), 0)
    assert "in 2 objects" in counts_of(widget) or "in 3 objects" in counts_of(widget)
    look(closer=2.5)
    click(widget.correct_panel.reviewed)
    assert "of the image reviewed" in counts_of(widget)
    reviewed = widget.controller.session.corrections.reviewed[0, 0].copy()
    assert 0.1 < reviewed.mean() < 0.9, "the field in view is a part of the image"

    corrected = labels.data.copy()
    held = reviewed | (corrected != before)
    widget.learn_panel.seconds.setValue(600)
    learn(widget, click, qtbot)
    click(widget.learn_panel.stop)
    wait_idle(widget)
    assert "Learned for " in widget.messages[-1].details
    if widget.controller.history.waiting is not None:  # whether so few steps are a gain is not what is tested here
        click(widget.decision.use)
        wait_idle(widget)
    assert widget.controller.model.name == f"{SHIPPED}, corrected"
    assert widget.image_panel.model.currentText() == f"{SHIPPED}, corrected"
    assert np.array_equal(labels.data[held], corrected[held])

    click(widget.segment_panel.button)
    wait_idle(widget)
    assert np.array_equal(labels.data[held], corrected[held])
    assert len(viewer.layers) == 3, "the image, its objects, and what is reviewed"

    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("my nuclei", True))
    click(widget.learn_panel.save)
    assert "my nuclei" in widget.status.text()
    click(widget.learn_panel.back)
    wait_idle(widget)
    assert widget.controller.model.name == SHIPPED
    assert not widget.learn_panel.back.isEnabled()
    assert np.array_equal(labels.data[held], corrected[held])

    viewer.window.remove_dock_widget("all")
    again = dock()
    models = again.image_panel.model
    assert "my nuclei" in [models.itemText(i) for i in range(models.count())]
    models.setCurrentText("my nuclei")
    models.textActivated.emit("my nuclei")
    assert again.controller.model.name == "my nuclei"
    assert errors(widget) == errors(again) == []


@pytest.fixture
def counts_of(wait_idle: Any) -> Any:
    def text(widget: Any) -> str:
        wait_idle(widget)
        return widget.correct_panel.counts.text().replace("<b>", "").replace("</b>", "")

    return text


# -- every way of editing is a correction ----------------------------------------------------------------------------


def test_nothing_is_corrected_at_first(segmented, counts):
    assert counts() == NOTHING


def test_brush(segmented, counts, canvas):
    segmented.mode, segmented.selected_label = "paint", 50
    canvas.drag((30, 30), (30, 40), (30, 50))
    painted = int((segmented.data == 50).sum())
    assert painted >= 3 * 20
    assert counts() == f"{painted} pixels corrected in 1 object; 0% of the image reviewed."


def test_eraser(segmented, counts, canvas):
    segmented.mode, segmented.brush_size = "erase", 5
    canvas.drag((12, 16), (20, 16))
    assert counts().endswith("in 1 object; 0% of the image reviewed.")
    segmented.mode = "pan_zoom"


def test_fill_bucket(segmented, counts, canvas):
    segmented.mode, segmented.selected_label = "fill", 99
    canvas.click(16, 16)
    assert (segmented.data == 99).sum() == 100
    assert counts().startswith("100 pixels corrected in 2 objects"), "the old id and the new one"


def test_polygon(segmented, counts, canvas):
    segmented.mode, segmented.selected_label = "polygon", 50
    for corner in ((24, 24), (24, 40), (40, 40), (40, 24)):
        canvas.click(*corner)
    assert counts() == NOTHING, "the polygon is not closed yet"
    canvas.key(Qt.Key.Key_Return)
    area = int((segmented.data == 50).sum())
    assert area > 200
    assert counts().startswith(f"{area} pixels corrected in 1 object")


def test_undo_and_redo(segmented, counts):
    segmented.paint((30, 30), 50)
    one = counts()
    assert one.startswith("9 pixels")
    segmented.paint((30, 45), 51)
    two = counts()
    assert two.startswith("18 pixels corrected in 2 objects")
    segmented.undo()
    assert counts() == one
    segmented.undo()
    assert counts() == NOTHING
    segmented.redo()
    assert counts() == one


def test_undo_by_its_key(segmented, counts, canvas):
    segmented.mode, segmented.selected_label = "paint", 50
    canvas.click(30, 30)
    assert counts().startswith("9 pixels")
    canvas.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert counts() == NOTHING


def test_array_written_by_a_script_is_found_at_learn(segmented, widget, click, wait_idle, counts, errors):
    segmented.data[30:34, 30:34] = 50  # tells nobody
    widget.learn_panel.seconds.setValue(5)
    click(widget.learn_panel.button)
    assert errors(widget) == []
    assert "16 pixels" in widget.correct_panel.counts.text()
    click(widget.learn_panel.stop)
    wait_idle(widget)
    assert counts().startswith("16 pixels corrected in 1 object")


def test_merging_by_a_replaced_array(segmented, counts):
    labels = segmented.data.copy()
    labels[labels == 2] = 1
    segmented.data = labels
    assert counts().startswith("100 pixels corrected in 2 objects")


# -- reviewed --------------------------------------------------------------------------------------------------------


def test_reviewed_by_button_and_by_key_and_back(segmented, widget, click, counts, canvas):
    click(widget.correct_panel.reviewed)
    assert counts() == "Nothing corrected; 100% of the image reviewed."
    assert widget.status.text().startswith("Reviewed: ")
    canvas.key(Qt.Key.Key_R)
    assert counts() == NOTHING
    assert widget.status.text() == "No longer reviewed."
    canvas.key(Qt.Key.Key_R)
    assert "100%" in counts()


def test_reviewed_is_what_is_in_view(segmented, widget, look, click, counts):
    look((48, 48), closer=4)
    click(widget.correct_panel.reviewed)
    reviewed = widget.controller.session.corrections.reviewed[0, 0]
    assert reviewed[48, 48]
    assert not reviewed[0].any()
    assert not reviewed[:, 0].any()
    look()
    click(widget.correct_panel.reviewed)
    assert "100%" in counts(), "what was reviewed before is a part of the field: it is added to, not taken back"


def test_reviewed_pixels_outlive_a_segmentation(segmented, widget, viewer, squares, click, wait_idle, counts):
    click(widget.correct_panel.reviewed)
    kept = segmented.data.copy()
    viewer.layers["image"].data = squares(n=2)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert np.array_equal(segmented.data, kept)


# -- learning --------------------------------------------------------------------------------------------------------


def learn(widget: Any, click: Any, qtbot: Any, steps: int = 2) -> None:
    """Press Learn, and wait for the first steps."""
    click(widget.learn_panel.button)
    qtbot.waitUntil(lambda: len(widget.learn_panel.plot.losses) >= steps)


def test_painting_while_it_learns_is_not_lost(segmented, widget, click, qtbot, canvas, counts, wait_idle):
    segmented.paint((30, 30), 50)
    learn(widget, click, qtbot)
    segmented.mode, segmented.selected_label = "paint", 60
    canvas.drag((64, 30), (64, 40))
    painted = segmented.data.copy()
    assert (painted == 60).any()
    click(widget.learn_panel.stop)
    wait_idle(widget)
    assert widget.controller.model.name == "tiny, corrected"
    assert np.array_equal(segmented.data == 50, painted == 50)
    assert np.array_equal(segmented.data == 60, painted == 60)
    assert "in 2 objects" in counts()


def test_stop_uses_what_was_learned(segmented, widget, click, qtbot, wait_idle):
    segmented.paint((30, 30), 50)
    learn(widget, click, qtbot, steps=3)
    assert not widget.learn_panel.button.isEnabled()
    click(widget.learn_panel.stop)
    wait_idle(widget)
    steps = len(widget.learn_panel.plot.losses)
    assert widget.controller.model.info.recipe["steps"] == steps
    assert "Learned for " in widget.messages[-1].details
    assert widget.learn_panel.button.isEnabled()
    assert not widget.learn_panel.stop.isEnabled()


def test_only_the_view_is_segmented_again(widget, viewer, squares, click, qtbot, wait_idle):
    viewer.add_image(squares((3, 96, 96)), name="stack")
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["stack objects"]
    viewer.dims.set_current_step(0, 1)
    labels.paint((1, 30, 30), 50)
    learn(widget, click, qtbot)
    click(widget.learn_panel.stop)
    wait_idle(widget)
    assert widget.progress.text() == "100%"
    assert widget.controller.workspace.scope == "stack", "that was for once"
    assert (labels.data[1] == 50).any()


def test_segment_while_it_learns(segmented, widget, click, qtbot, wait_idle, errors):
    segmented.paint((30, 30), 50)
    learn(widget, click, qtbot)
    click(widget.segment_panel.button)
    qtbot.waitUntil(lambda: widget.segment_panel.button.isEnabled())
    click(widget.learn_panel.stop)
    wait_idle(widget)
    assert widget.controller.model.name == "tiny, corrected"
    assert (segmented.data == 50).any()
    assert errors(widget) == []


def test_two_learnings_and_back_twice(segmented, widget, click, qtbot, wait_idle):
    first = widget.controller.model
    for row in (30, 64):
        segmented.paint((row, 30), row)
        learn(widget, click, qtbot)
        click(widget.learn_panel.stop)
        wait_idle(widget)
    assert widget.controller.model.name == "tiny, corrected"
    click(widget.learn_panel.back)
    wait_idle(widget)
    assert widget.controller.model.name == "tiny, corrected"
    assert widget.status.text().startswith("Back to the model before. In view: ")
    click(widget.learn_panel.back)
    wait_idle(widget)
    assert widget.controller.model is first
    assert not widget.learn_panel.back.isEnabled()
    assert {30, 64} <= set(np.unique(segmented.data))


def test_another_model_chosen_while_it_learns(segmented, widget, click, qtbot, wait_idle, make_model, own_home):
    from napari_unet.models.store import save_model

    save_model(make_model(), "other")
    segmented.paint((30, 30), 50)
    learn(widget, click, qtbot)
    assert widget.controller.choose_model("other")
    click(widget.learn_panel.stop)
    wait_idle(widget)
    assert widget.controller.model.name == "other"
    assert "is in the list of the Learn panel" in widget.status.text()
    assert [generation.learned for generation in widget.controller.history.generations] == [False, True]


@pytest.mark.parametrize(
    ("name", "said"),
    [("", None), ("   ", None), ("a/b", "cannot be a model's name"), (SHIPPED, "choose another"), ("tiny", "already")],
)
def test_names_that_a_model_cannot_be_saved_under(segmented, widget, click, monkeypatch, errors, name, said):
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: (name, True))
    click(widget.learn_panel.save)
    assert len(errors(widget)) == (said is not None)
    assert said is None or said in errors(widget)[0]


@pytest.mark.parametrize("rounds", range(3))
def test_closing_while_a_job_runs_ends_it_in_silence(qtbot, rounds):
    """The worker ends in its own time, calls nobody, and warns of nothing (a warning in Qt's loop fails a test)."""
    runner, told, begun, going_on = QtRunner(), [], threading.Event(), threading.Event()

    def steps():
        begun.set()
        going_on.wait(60)  # seconds; a test that fails must not hang
        yield "late"
        return "later"

    runner.start(Job("job"), steps, told.append, told.append, told.append)
    assert begun.wait(60)
    runner.close()
    going_on.set()
    qtbot.waitUntil(lambda: not runner.busy)
    assert not told
