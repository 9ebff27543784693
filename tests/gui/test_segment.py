"""Segment, Stop, and where the results land: in a real viewer, by the real buttons."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from napari.utils import progress
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QApplication, QComboBox, QScrollBar

from napari_unet.layers.image.geometry import camera_of
from napari_unet.tiling.engine import Predictor


def result_of(viewer: Any) -> Any:
    """Return the only result."""
    (layer,) = [layer for layer in viewer.layers if layer.name.endswith("objects")]
    return layer


def done(data: np.ndarray) -> tuple[int, ...]:
    """Return the planes of a stack that have labels."""
    return tuple(int(i) for i in np.flatnonzero(data.reshape(len(data), -1).any(axis=1)))


# -- order, tiles, progress ------------------------------------------------------------------------------------------


def test_slice_in_view_comes_first_then_its_neighbours(widget, viewer, squares, click, gate, qtbot, wait_idle):
    viewer.add_image(squares((5, 96, 96)), name="stack")
    viewer.dims.set_current_step(0, 3)
    click(widget.segment_panel.button)
    seen = []
    for planes in range(1, 6):
        gate.let(1)
        qtbot.waitUntil(lambda planes=planes: len(done(result_of(viewer).data)) == planes)
        seen.append(done(result_of(viewer).data))
    assert seen[:3] == [(3,), (2, 3), (2, 3, 4)]
    wait_idle(widget)
    assert widget.controller.session.count() == 9, "squares of all slices are stitched"


def test_tiles_appear_one_by_one_the_one_in_view_first(widget, viewer, squares, click, gate, many_tiles, look, qtbot):
    image = viewer.add_image(squares(), name="image")
    look((80, 80), zoom=60)
    click(widget.segment_panel.button)
    gate.let(1)
    qtbot.waitUntil(lambda: result_of(viewer).data.any())
    assert widget.controller.busy
    assert result_of(viewer).data[64:, 64:].any()
    assert not result_of(viewer).data[:64, :64].any()
    assert image.data.max() == 100


def test_memory_that_runs_short_is_told_and_the_image_segmented(
    widget, viewer, squares, click, wait_idle, errors, monkeypatch
):
    apply = Predictor._apply

    def poor(self: Predictor, block: np.ndarray, half: bool | None = None) -> np.ndarray:
        if block[0].size > 10_000:
            raise MemoryError
        return apply(self, block, half)

    monkeypatch.setattr(Predictor, "_apply", poor)
    viewer.add_image(squares((192, 192)), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert not errors(widget)
    assert "Found 9 objects" in widget.status.text()
    assert "Memory ran short; going on in smaller tiles" in widget.messages[-1].details


def test_a_network_that_gives_no_numbers_paints_nothing(widget, viewer, squares, click, wait_idle, errors):
    with torch.no_grad():
        widget.controller.model.net.head.bias.fill_(float("nan"))
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert "not numbers" in errors(widget)[-1]
    assert not result_of(viewer).data.any()


def test_the_bar_tells_how_far_it_is(widget, viewer, squares, click, gate, many_tiles, qtbot, wait_idle, timed_at_once):
    viewer.add_image(squares(), name="image")
    panel = widget.segment_panel
    assert not panel.stop.isEnabled()
    assert not widget.progress.isVisible()
    below = widget.status.y()
    click(panel.button)
    assert widget.progress.isVisible()
    assert not panel.button.isEnabled()
    assert panel.stop.isEnabled()
    gate.let(3)
    qtbot.waitUntil(lambda: widget.progress.text().startswith("33%"))
    assert widget.progress.text().startswith("33%")
    assert "left" in widget.progress.text()
    assert not progress._all_instances, "napari's moving sign has all of the window drawn again and again"
    gate.let(6)
    wait_idle(widget)
    assert widget.progress.text() == "100%"
    assert not widget.progress.isVisible(), "at rest there is no progress"
    assert abs(widget.status.y() - below) <= 1, "nothing is pushed about"
    assert panel.button.isEnabled()
    assert not panel.stop.isEnabled()


def test_the_bar_moves_within_one_large_tile(
    widget, viewer, squares, click, slow_tiles, qtbot, wait_idle, timed_at_once
):
    viewer.add_image(squares((384, 384)), name="image")
    panel, texts = widget.segment_panel, []
    widget.controller.workspace.progressed.connect(
        lambda _: texts.append((widget.progress.value(), widget.progress.text()))
    )
    click(panel.button)
    wait_idle(widget)
    values, said = zip(*texts, strict=True)
    assert len(set(values)) > 3
    assert list(values) == sorted(values)
    assert re.fullmatch(r"\d+%, .+ left", said[0])
    assert widget.progress.text() == "100%"


def test_stop_keeps_finished_tiles_and_segment_goes_on(
    widget, viewer, squares, click, gate, many_tiles, qtbot, wait_idle, errors
):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    gate.let(4)
    qtbot.waitUntil(lambda: widget.progress.text().startswith("44%"))
    partly = result_of(viewer).data.copy()
    assert partly.any()
    click(widget.segment_panel.stop)
    gate.let(1)  # the tile under way
    wait_idle(widget)
    assert gate.passed == 5
    kept = result_of(viewer).data
    assert np.array_equal(kept[partly > 0], partly[partly > 0])
    assert len(np.unique(kept)) < 10
    assert widget.status.text().startswith("Stopped")
    assert widget.progress.text() == "stopped at 44%", "it did not wait for the one under way"
    assert widget.progress.isVisible()
    passed = gate.passed
    gate.let(9)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert gate.passed == passed + 5, "it goes on with the tiles that were left"
    assert widget.progress.text() == "100%"
    assert len(np.unique(result_of(viewer).data)) == 10
    assert "Found 9 objects" in widget.status.text()
    assert errors(widget) == []


@pytest.mark.parametrize("change", ["model", "image", "nothing, but it was finished"])
def test_what_was_stopped_begins_anew_where_something_changed(
    widget, viewer, squares, click, gate, many_tiles, qtbot, wait_idle, change
):
    layer = viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    gate.let(9 if change.startswith("nothing") else 5)
    qtbot.waitUntil(lambda: gate.passed >= 5)
    if not change.startswith("nothing"):
        click(widget.segment_panel.stop)
    gate.let(1)
    wait_idle(widget)
    if change == "model":
        assert widget.controller.choose_model("tiny")
    elif change == "image":
        layer.data = squares(n=2)
    passed = gate.passed
    gate.let(9)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.progress.text() == "100%"
    assert gate.passed >= passed + 9 - 1  # one may have been let through before


def test_moving_a_slider_changes_what_comes_next(widget, viewer, squares, click, gate, qtbot, wait_idle):
    viewer.add_image(squares((9, 96, 96)), name="stack")
    viewer.dims.set_current_step(0, 4)
    click(widget.segment_panel.button)
    gate.let(2)
    qtbot.waitUntil(lambda: len(done(result_of(viewer).data)) == 2)
    viewer.dims.set_current_step(0, 8)
    gate.let(2)  # one was chosen before the slider moved
    qtbot.waitUntil(lambda: len(done(result_of(viewer).data)) == 4)
    assert 8 in done(result_of(viewer).data)
    gate.let(9)
    wait_idle(widget)
    assert widget.controller.session.count() == 9, "squares of all slices are stitched"


def test_moving_the_camera_changes_what_comes_next(
    widget, viewer, squares, click, gate, many_tiles, look, qtbot, wait_idle
):
    viewer.add_image(squares(n=6), name="image")
    look((5, 5), zoom=60)
    click(widget.segment_panel.button)
    gate.let(1)
    qtbot.waitUntil(lambda: result_of(viewer).data[:32, :32].any())
    camera_of(viewer).center = (0, 90, 90)
    gate.let(2)  # one was chosen before the camera moved
    qtbot.waitUntil(lambda: gate.passed == 3 and result_of(viewer).data[64:, 64:].any())
    gate.let(9)
    wait_idle(widget)
    assert widget.controller.session.count() == 36
    assert "update" not in str(camera_of(viewer).events.center.callbacks)


def test_no_device_no_tile(widget, viewer, squares, click, wait_idle, errors):
    viewer.add_image(squares(), name="image")
    widget.controller.workspace.device = "cuda:99"
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.progress.text() == "not started"
    assert widget.progress.maximum() > 0, "a bar without an end looks as if something still ran"
    assert errors(widget) == ["There is no device 'cuda:99' on this machine; there is cpu (or auto)."]
    widget.controller.workspace.device = "cpu"
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.progress.text() == "100%"


def choose(box, text):
    """Choose an entry of a combo box as a user does."""
    box.setCurrentText(text)
    box.activated.emit(box.currentIndex())


def test_this_slice_does_the_slice_in_view_only(widget, viewer, squares, click, wait_idle):
    viewer.add_image(squares((4, 96, 96)), name="stack")
    viewer.dims.set_current_step(0, 1)
    assert widget.segment_panel.scope.currentText() == "Whole stack"
    choose(widget.segment_panel.scope, "This slice")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert done(result_of(viewer).data) == (1,)
    viewer.dims.set_current_step(0, 2)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert done(result_of(viewer).data) == (1, 2)
    choose(widget.segment_panel.scope, "Whole stack")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert done(result_of(viewer).data) == (0, 1, 2, 3)


def test_a_single_plane_has_no_slices_to_choose(widget, viewer, squares):
    viewer.add_image(squares(), name="image")
    scope = widget.segment_panel.scope
    assert [scope.itemText(i) for i in range(scope.count())] == ["Whole image", "What is in view"]


def test_what_is_in_view_is_done_and_nothing_else(widget, viewer, click, wait_idle, look):
    cell = np.pad(np.full((12, 12), 200, np.uint8), 14)
    viewer.add_image(np.tile(cell, (3, 10, 10)), name="stack")
    viewer.dims.set_current_step(0, 1)
    look((100, 100), zoom=12)
    choose(widget.segment_panel.scope, "What is in view")
    for _ in range(2):  # by the image's place on the canvas, then by that of its labels
        click(widget.segment_panel.button)
        wait_idle(widget)
        labels = np.asarray(result_of(viewer).data)
        assert done(labels) == (1,)
        (y, x) = (np.flatnonzero(labels[1].any(axis)) for axis in (1, 0))
        assert 0 < y.max() < 200
        assert 0 < x.max() < 200
        look((100, 100), zoom=12)
    choose(widget.segment_panel.scope, "This slice")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert np.asarray(result_of(viewer).data)[1, 200:].any()


# -- kinds of images -------------------------------------------------------------------------------------------------


def test_time_series_as_time_and_as_depth(widget, viewer, squares, click, wait_idle, qtbot):
    viewer.add_image(squares((3, 96, 96)), name="movie")
    axes = widget.image_panel.axes
    assert axes.currentText() == "ZYX"
    axes.setCurrentText("TYX")
    axes.textActivated.emit("TYX")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.controller.session.labels.shape == (3, 1, 96, 96)
    assert done(result_of(viewer).data) == (0, 1, 2)


@pytest.mark.slow
def test_colour_sample(widget, viewer, click, wait_idle, errors):
    viewer.open_sample("napari-unet-interactive", "histology")
    image = viewer.layers[0]
    assert image.rgb
    assert not widget.image_panel.channel.isVisible()
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = result_of(viewer)
    assert labels.data.shape == image.data.shape[:2]
    assert np.allclose(labels.scale, image.scale)
    assert labels.units == image.units
    assert errors(widget) == []


def test_channels_on_a_slider_show_the_labels_in_each(widget, viewer, squares, click, wait_idle, canvas, look, qtbot):
    data = squares((3, 96, 96))
    data[0] = data[2] = 0
    viewer.add_image(data, name="channels", axis_labels=("c", "y", "x"), scale=(2, 1, 1), translate=(5, 0, 0))
    assert widget.controller.axes == "CYX"
    channel = widget.image_panel.channel
    assert channel.isVisible()
    assert channel.count() == 3
    channel.setCurrentIndex(1)
    channel.activated.emit(1)
    click(widget.segment_panel.button)
    wait_idle(widget)
    look()
    labels = result_of(viewer)
    assert labels.data.shape == (1, 96, 96)
    assert len(np.unique(labels.data)) == 10
    for step in range(3):
        viewer.dims.set_current_step(0, step)
        assert viewer.dims.current_step[0] == step
        assert labels._slice.image.raw.any(), f"not seen in channel {step}"
        canvas.key(Qt.Key.Key_R)
    assert widget.controller.session.corrections.reviewed.sum() == 96 * 96, "R pressed three times: the third is on"


@pytest.mark.parametrize("kind", ["rotation", "affine"])
def test_placement_is_that_of_the_image(widget, viewer, squares, click, wait_idle, canvas, look, kind):
    turn = {"rotate": 30} if kind == "rotation" else {"affine": [[0.9, -0.2, 4], [0.2, 1.1, -7], [0, 0, 1]]}
    image = viewer.add_image(
        squares(), name="image", scale=(0.5, 0.25), translate=(10, 20), units="um", axis_labels=("y", "x"), **turn
    )
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = result_of(viewer)
    assert np.allclose(labels._data_to_world.affine_matrix, image._data_to_world.affine_matrix)
    assert labels.units == image.units
    assert labels.axis_labels == ("y", "x")
    assert len(np.unique(labels.data)) == 10
    labels.mode, labels.selected_label, labels.brush_size = "paint", 77, 5
    labels.paint((48, 16), 77)
    wait_idle(widget)
    assert "corrected in" in widget.correct_panel.counts.text()
    look()
    canvas.key(Qt.Key.Key_R)
    assert "100%" in widget.correct_panel.counts.text()


def test_volume_model_on_a_volume(widget, viewer, squares, click, wait_idle, make_model, own_home):
    from napari_unet.models.store import save_model

    save_model(make_model(ndim=3), "tiny3d")
    assert widget.controller.choose_model("tiny3d")
    viewer.add_image(squares((8, 96, 96)), name="volume", scale=(3, 1, 1))
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert len(np.unique(result_of(viewer).data)) == 10


def test_classes(widget, viewer, squares, click, wait_idle, make_model, own_home):
    from napari_unet.models.store import save_model

    save_model(make_model(task="semantic", outputs=("class_0", "class_1")), "classes")
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.controller.choose_model("classes")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert [layer.name for layer in viewer.layers] == ["image", "image objects", "image classes", "image reviewed"]
    assert len(np.unique(viewer.layers["image objects"].data)) == 10, "the result of the other model stays"


# -- several images --------------------------------------------------------------------------------------------------


def test_two_images_have_sessions_of_their_own(widget, viewer, squares, click, wait_idle):
    viewer.add_image(squares(), name="first")
    click(widget.segment_panel.button)
    wait_idle(widget)
    viewer.layers["first objects"].paint((30, 30), 50)
    wait_idle(widget)
    assert "1 object" in widget.correct_panel.counts.text()
    viewer.add_image(squares(n=2), name="second")
    assert widget.image_panel.image.currentText() == "second"
    assert "Nothing corrected" in widget.correct_panel.counts.text()
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert len(np.unique(viewer.layers["second objects"].data)) == 5
    viewer.layers.selection.active = viewer.layers["first objects"]
    assert widget.image_panel.image.currentText() == "first"
    assert "1 object" in widget.correct_panel.counts.text()
    viewer.layers.selection.active = viewer.layers["second"]
    viewer.layers.selection.active = viewer.layers["first"]
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert len(viewer.layers) == 6, "the result that was there is used again, and so is what shows what is reviewed"
    assert viewer.layers["first objects"].data[30, 30] == 50


def test_image_is_chosen_in_the_box_whatever_the_order_of_the_layers(widget, viewer, squares):
    for name in "abc":
        viewer.add_image(squares(), name=name)
    viewer.layers.move(0, 3)
    box = widget.image_panel.image
    for name in "abc":
        box.setCurrentText(name)
        box.activated.emit(box.currentIndex())
        assert widget.controller.layer.name == name
    viewer.layers["b"].name = "renamed"
    assert {box.itemText(i) for i in range(box.count())} == {"a", "renamed", "c"}


def test_segment_again_uses_the_axes_said_meanwhile(widget, viewer, squares, click, wait_idle):
    viewer.add_image(squares((3, 96, 96)), name="stack")
    click(widget.segment_panel.button)
    wait_idle(widget)
    widget.controller.set_axes("TYX")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert [layer.name for layer in viewer.layers] == ["stack", "stack objects", "stack objects [1]", "stack reviewed"]
    assert widget.controller.session.labels.shape == (3, 1, 96, 96)


# -- while the hand is at work ---------------------------------------------------------------------------------------


def test_results_wait_for_the_end_of_a_stroke(widget, viewer, squares, click, gate, many_tiles, qtbot, canvas):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    gate.let(1)
    qtbot.waitUntil(lambda: result_of(viewer).data.any())
    labels = result_of(viewer)
    labels.mode, labels.selected_label, labels.brush_size = "paint", 500, 3
    canvas.press(30, 5)
    canvas.move(30, 20)
    painted = labels.data == 500
    assert painted.sum() > 9
    during = labels.data.copy()
    gate.let(8)
    qtbot.waitUntil(lambda: not widget.runner.busy)
    assert np.array_equal(labels.data, during), "a result came between the parts of a stroke"
    canvas.move(30, 60)
    canvas.release(30, 60)
    assert (labels.data == 500).sum() > painted.sum()
    assert len(np.unique(labels.data)) == 11, "nine objects, the stroke and the ground"
    assert labels.mode == "paint"


def test_polygon_under_way_outlives_a_result(widget, viewer, squares, click, gate, many_tiles, qtbot, canvas):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    gate.let(1)
    qtbot.waitUntil(lambda: result_of(viewer).data.any())
    labels = result_of(viewer)
    labels.mode, labels.selected_label = "polygon", 500
    for corner in ((24, 24), (24, 40), (40, 40)):
        canvas.click(*corner)
    gate.let(8)
    qtbot.waitUntil(lambda: not widget.runner.busy)
    canvas.click(40, 24)
    canvas.key(Qt.Key.Key_Return)
    assert (labels.data == 500).sum() > 150, "the corners clicked before the result came were lost"


def test_undo_does_not_bring_back_what_was_before_a_result(widget, viewer, squares, click, wait_idle):
    image = viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = result_of(viewer)
    labels.paint((30, 30), 50)
    image.data = squares(n=2)
    click(widget.segment_panel.button)
    wait_idle(widget)
    after = labels.data.copy()
    assert not np.array_equal(after > 0, squares() > 0)
    assert np.array_equal(widget.controller.session.image.data, squares(n=2)), "what is learned from is what is seen"
    labels.undo()
    assert np.array_equal(labels.data, after)
    labels.paint((5, 5), 60)
    labels.undo()
    assert np.array_equal(labels.data, after), "an edit after the result can be undone"


# -- closing ---------------------------------------------------------------------------------------------------------


def test_closing_the_dock_stops_the_work(
    widget, viewer, squares, click, gate, many_tiles, qtbot, canvas, network_threads
):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    gate.let(1)
    qtbot.waitUntil(lambda: result_of(viewer).data.any())
    (dock,) = viewer.window._wrapped_dock_widgets.values()
    click(dock.title.close_button)
    kept = result_of(viewer).data.copy()
    gate.let(1)
    qtbot.waitUntil(lambda: not widget.runner.busy)
    assert gate.passed == 2
    assert not network_threads()
    assert np.array_equal(result_of(viewer).data, kept)
    canvas.key(Qt.Key.Key_R)
    result_of(viewer).paint((5, 5), 60)
    viewer.layers.clear()


def test_hiding_the_dock_does_not_stop_the_work(widget, viewer, squares, click, gate, many_tiles, wait_idle):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    (dock,) = viewer.window._wrapped_dock_widgets.values()
    click(dock.title.hide_button)
    gate.let(9)
    wait_idle(widget)
    assert len(np.unique(result_of(viewer).data)) == 10
    dock.show()
    dock.setFloating(True)
    dock.setFloating(False)
    click(widget.segment_panel.button)
    gate.let(9)
    wait_idle(widget)
    assert widget.status.text().startswith("Found 9 objects")


def test_dock_can_be_opened_again(widget, dock, viewer, squares, click, wait_idle):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    viewer.window.remove_dock_widget("all")
    again = dock()
    assert again is not widget
    assert again.controller.choose_model("tiny")
    assert again.image_panel.image.currentText() == "image"
    click(again.segment_panel.button)
    wait_idle(again)
    assert again.status.text().startswith("Found 9 objects")


@pytest.mark.parametrize("job", ["segment", "learn"])
def test_closing_the_window_while_a_worker_runs(
    widget, viewer, squares, click, gate, many_tiles, qtbot, wait_idle, job, network_threads
):
    viewer.add_image(squares(), name="image")
    if job == "segment":
        click(widget.segment_panel.button)
        gate.let(1)
        qtbot.waitUntil(lambda: result_of(viewer).data.any())
    else:
        gate.let(9)
        click(widget.segment_panel.button)
        wait_idle(widget)
        click(widget.correct_panel.reviewed)
        click(widget.learn_panel.button)
        qtbot.waitUntil(lambda: len(widget.learn_panel.plot.losses) > 1)
    runner, gate_was = widget.runner, gate.passed
    viewer.close()
    gate.let(1)
    qtbot.waitUntil(lambda: not runner.busy)
    assert gate.passed <= gate_was + 1
    assert not network_threads()


@pytest.mark.parametrize("shape", [(96, 96), (3, 96, 96)])
def test_what_is_drawn_is_what_was_found(widget, viewer, squares, click, wait_idle, many_tiles, shape):
    """Only what changed is drawn; in the end that has to be everything, and undo must not bring back what was there."""
    viewer.add_image(squares(shape), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = result_of(viewer)
    for z in range(shape[0] if len(shape) == 3 else 1):
        if len(shape) == 3:
            viewer.dims.set_current_step(0, z)
        drawn = labels._slice.image
        plane = labels.data[z] if len(shape) == 3 else labels.data
        assert np.array_equal(drawn.raw, plane)
        shown = drawn.view.copy()
        labels.refresh()
        assert np.array_equal(shown, labels._slice.image.view), "as if all had been drawn at once"
        assert shown.any()
    assert labels.thumbnail[..., :3].any(), "its picture in the layer list is not empty"
    before = labels.data.copy()
    labels.undo()
    assert np.array_equal(labels.data, before)


def test_a_channel_chosen_in_the_panel_is_there_again_with_its_image(widget, viewer, squares, click):
    first = viewer.add_image(np.stack([squares()] * 3), name="first", axis_labels=("c", "y", "x"))
    channel = widget.image_panel.channel
    channel.setCurrentIndex(2)
    channel.activated.emit(2)
    viewer.add_image(np.stack([squares()] * 3), name="second", axis_labels=("c", "y", "x"))
    assert channel.currentIndex() == 0
    viewer.layers.selection.active = first
    assert channel.currentIndex() == 2
    assert widget.controller.workspace.channel == 2


def test_the_wheel_scrolls_and_sets_nothing(widget, viewer, squares, click, wait_idle, monkeypatch):
    viewer.add_image(squares((3, 96, 96)), name="stack", axis_labels=("z", "y", "x"))
    click(widget.segment_panel.button)
    wait_idle(widget)
    session = widget.controller.session
    seconds = widget.learn_panel.seconds
    widget.show_tab("Learn")
    kinds = (QComboBox, QAbstractSpinBox, QAbstractSlider)
    found = [one for kind in kinds for one in widget.findChildren(kind) if not isinstance(one, QScrollBar)]
    assert len(found) > 10

    def values() -> list[object]:
        return [one.currentIndex() if isinstance(one, QComboBox) else one.value() for one in found]

    before = values()
    for one in found:
        one.clearFocus()
        turn(one)
    assert values() == before
    assert widget.controller.session is session
    monkeypatch.setattr(seconds, "hasFocus", lambda: True)  # a window that nobody looks at is never active
    turn(seconds)
    assert seconds.value() != before[found.index(seconds)], "what was clicked is meant"


def turn(widget):
    """Turn the wheel by a notch over a widget."""
    middle = QPointF(widget.rect().center())
    QApplication.sendEvent(
        widget,
        QWheelEvent(
            middle, widget.mapToGlobal(middle), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        ),
    )  # fmt: skip
