"""Objects merged, split, added and deleted with a real mouse and real keys, and taken back with Ctrl+Z."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_unet.layers.image.geometry import camera_of

SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
BOTH = SHIFT | CONTROL


def dumbbell(shape: tuple[int, ...] = (80, 80)) -> np.ndarray:
    """Two squares with a bridge between them, which the model takes for one object; two small ones and a faint one."""
    image = np.zeros(shape, np.float32)
    image[..., 10:24, 10:24] = image[..., 10:24, 28:42] = 1
    image[..., 14:20, 24:28] = 1
    image[..., 50:60, 10:20] = image[..., 50:60, 22:32] = 1
    image[..., 50:60, 55:65] = 0.46
    return image


@pytest.fixture
def segment(widget: Any, viewer: Any, click: Any, wait_idle: Any, look: Any) -> Any:
    def it(data: np.ndarray) -> Any:
        viewer.add_image(data, name="image")
        click(widget.segment_panel.button)
        wait_idle(widget)
        look()
        layer = viewer.layers["image objects"]
        assert layer.mode == "pan_zoom"
        return layer

    return it


@pytest.fixture
def labels(segment: Any) -> Any:
    return segment(dumbbell())


def ids(layer: Any) -> set[int]:
    return set(np.unique(layer.data).tolist()) - {0}


def drag(canvas: Any, *path: Any, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
    """The hand rests at its beginning: napari leaves out moves that come right after a press."""
    canvas.press(*path[0], modifiers=modifiers)
    canvas._qtbot.wait(60)
    for place in path[1:]:
        canvas.move(*place, modifiers=modifiers)
    canvas.release(*path[-1], modifiers=modifiers)


GESTURES = {
    "merge": (SHIFT, [(55, 14), (55, 20), (55, 28)], -1, "Merged 2 objects."),
    "split": (CONTROL, [(5, 26), (17, 26), (30, 26)], 1, "Split 1 object into 2."),
    "cut free": (CONTROL, [(17, 17)], 1, "Split 1 object into 2."),
    "add": (SHIFT, [(55, 60)], 1, "Added an object of"),
    "delete": (BOTH, [(55, 14)], -1, "Deleted 1 object."),
    "delete several": (BOTH, [(55, 14), (55, 20), (55, 28)], -2, "Deleted 2 objects."),
}


def hand(canvas: Any, path: Any, modifiers: Any) -> None:
    if len(path) == 1:
        canvas.click(*path[0], modifiers=modifiers)
    else:
        drag(canvas, *path, modifiers=modifiers)


def test_a_gesture_and_back(labels: Any, canvas: Any, widget: Any, viewer: Any, wait_idle: Any) -> None:
    before, view = labels.data.copy(), (tuple(camera_of(viewer).center), camera_of(viewer).zoom)
    for name, (modifiers, path, more, words) in GESTURES.items():
        hand(canvas, path, modifiers)
        assert widget.status.text().startswith(words), widget.status.text()
        assert len(ids(labels)) == len(np.unique(before)) - 1 + more, name
        assert (tuple(camera_of(viewer).center), camera_of(viewer).zoom) == view, "the view stays"
        after = labels.data.copy()
        wait_idle(widget)
        summary = widget.controller.session.summary
        assert summary.corrected_pixels == np.count_nonzero(after != before) > 0, name
        canvas.key(Qt.Key.Key_Z, CONTROL)
        assert np.array_equal(labels.data, before), f"{name}: one step back"
        canvas.key(Qt.Key.Key_Z, BOTH)
        assert np.array_equal(labels.data, after), f"{name}: and forth"
        canvas.key(Qt.Key.Key_Z, CONTROL)
        wait_idle(widget)
        assert widget.controller.session.summary.corrected_pixels == 0, name
        canvas._qtbot.wait(60)  # two clicks in quick succession would be a double click


@pytest.mark.parametrize(
    ("key", "place", "more"), [(Qt.Key.Key_D, (55, 14), -1), (Qt.Key.Key_S, (17, 17), 1), (Qt.Key.Key_I, (55, 60), 1)]
)
def test_keys_where_the_mouse_points(key: Any, place: Any, more: int, labels: Any, canvas: Any) -> None:
    before = labels.data.copy()
    canvas.point_at(*place)
    canvas.key(key)
    assert len(ids(labels)) == 3 + more
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)


def test_what_was_added_is_made_larger_by_the_key(segment: Any, canvas: Any, widget: Any) -> None:
    y, x = np.mgrid[:80, :80]
    layer = segment(np.maximum(dumbbell(), 0.47 * np.exp(-((y - 40) ** 2 + (x - 60) ** 2) / 800)).astype(np.float32))
    canvas.click(40, 60, modifiers=SHIFT)
    label, sizes = layer.data[40, 60], [np.count_nonzero(layer.data == layer.data[40, 60])]
    canvas.point_at(41, 61)
    for modifier in (Qt.KeyboardModifier.NoModifier, SHIFT, SHIFT):
        canvas.key(Qt.Key.Key_I, modifier)
        assert layer.data[40, 60] == label > 0
        sizes.append(np.count_nonzero(layer.data == label))
    assert sizes[3] < sizes[0] == sizes[2] < sizes[1]


def test_through_the_slices_of_a_volume_or_in_one(segment: Any, canvas: Any, widget: Any, viewer: Any) -> None:
    layer = segment(dumbbell((3, 80, 80)))
    viewer.dims.set_current_step(0, 1)
    before = layer.data.copy()
    hand(canvas, *GESTURES["split"][1::-1])
    assert (layer.data[:, 17, 17] != layer.data[:, 17, 35]).all()
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(layer.data, before)
    box = widget.correct_panel.tools.slice_only
    assert not box.isHidden()
    box.setChecked(True)
    hand(canvas, *GESTURES["split"][1::-1])
    assert (layer.data[:, 17, 17] != layer.data[:, 17, 35]).tolist() == [False, True, False]
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(layer.data, before)


# -- tools -----------------------------------------------------------------------------------------------------------


def test_tools_work_without_a_key_until_esc(labels: Any, canvas: Any, widget: Any, viewer: Any, click: Any) -> None:
    tools, before = widget.correct_panel.tools, labels.data.copy()
    assert tools.slice_only.isHidden(), "the image has no slices"
    for tool, name in (
        ("merge", "merge"),
        ("split", "split"),
        ("add", "add"),
        ("delete", "delete"),
    ):
        labels.mode = "paint"
        click(tools.buttons[tool])
        assert tools.buttons[tool].isChecked()
        assert labels.mode == "pan_zoom"
        view = tuple(camera_of(viewer).center)
        hand(canvas, GESTURES[name][1], Qt.KeyboardModifier.NoModifier)
        assert widget.status.text().startswith(GESTURES[name][3])
        assert tuple(camera_of(viewer).center) == view, "it does not pan"
        canvas.key(Qt.Key.Key_Z, CONTROL)
        assert np.array_equal(labels.data, before)
    canvas.key(Qt.Key.Key_Escape)
    assert not any(button.isChecked() for button in tools.buttons.values())
    drag(canvas, (40, 40), (40, 50), (40, 60))
    assert tuple(camera_of(viewer).center) != view, "it pans again"
    assert np.array_equal(labels.data, before)


def test_a_tool_is_left_by_its_button_and_by_the_brush(labels: Any, widget: Any, click: Any) -> None:
    tools = widget.correct_panel.tools
    click(tools.buttons["merge"])
    click(tools.buttons["delete"])
    assert [tool for tool, button in tools.buttons.items() if button.isChecked()] == ["delete"]
    click(tools.buttons["delete"])
    assert widget.controller.gestures.tool is None
    click(tools.buttons["add"])
    labels.mode = "paint"
    assert not tools.buttons["add"].isChecked()


def test_a_tool_without_a_result_says_so(widget: Any, viewer: Any, click: Any) -> None:
    viewer.add_image(dumbbell(), name="image")
    button = widget.correct_panel.tools.buttons["merge"]
    click(button)
    assert widget.status.text() == "There are no objects to change yet. Press Segment first."
    assert not button.isChecked()


def test_a_click_in_each_part_splits(labels: Any, canvas: Any, widget: Any, click: Any) -> None:
    tools, before, sketch = widget.correct_panel.tools, labels.data.copy(), widget._sketch
    click(tools.buttons["split"])
    assert not sketch.isVisible()
    canvas.click(17, 17)
    assert sketch.isVisible(), "a dot"
    canvas.key(Qt.Key.Key_Escape)
    assert not sketch.isVisible()
    assert tools.buttons["split"].isChecked(), "the dot is forgotten, and the tool still there"
    for x in (17, 35):
        canvas.click(17, x)
    assert widget.status.text() == "Split into 2 parts. Ctrl+Z takes it back."
    assert labels.data[17, 17] != labels.data[17, 35]
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)
    canvas.key(Qt.Key.Key_Escape)
    canvas.key(Qt.Key.Key_Escape)
    assert widget.controller.gestures.tool is None
    assert not sketch.isVisible()


def test_an_outline_is_moved(labels: Any, canvas: Any, widget: Any) -> None:
    tools, before = widget.correct_panel.tools, labels.data.copy()
    canvas.key(Qt.Key.Key_U)
    assert tools.buttons["outline"].isChecked()
    canvas.point_at(40, 40)
    assert widget.controller.gesture_mouse.sketch.width == labels.brush_size, "it is shown how wide the brush is"
    drag(canvas, (52, 30), (52, 36), (57, 36), (57, 30))
    assert (labels.data[52:57, 32:36] == before[55, 30]).all()
    canvas.key(Qt.Key.Key_Z, CONTROL)
    drag(canvas, (47, 29), (55, 29), (63, 29))
    assert not labels.data[50:60, 29:32].any()
    canvas.key(Qt.Key.Key_Z, CONTROL)
    canvas.click(70, 70)
    assert widget.status.text() == "The line meets no object. Begin inside one, or draw across one."
    assert np.array_equal(labels.data, before)
    canvas.key(Qt.Key.Key_U)
    assert widget.controller.gestures.tool is None


def test_holes_and_outlines_by_key(labels: Any, canvas: Any) -> None:
    labels.data[12:16, 12:16] = 0
    labels.data[49, 15] = labels.data[55, 14]
    labels.refresh()
    before = labels.data.copy()
    canvas.point_at(20, 12)
    canvas.key(Qt.Key.Key_W)
    assert labels.data[14, 14] == before[20, 12]
    canvas._qtbot.wait(60)  # napari leaves out moves that come right after another one
    canvas.point_at(55, 14)
    canvas.key(Qt.Key.Key_W, SHIFT)
    assert labels.data[49, 15] == 0
    canvas.key(Qt.Key.Key_Z, CONTROL)
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)


def turn_wheel(canvas: Any, y: float, x: float, steps: int, modifiers: Any) -> None:
    where = QPointF(canvas.at(y, x))
    nothing, turned = QPoint(), QPoint(0, 120 * steps)
    button, phase = Qt.MouseButton.NoButton, Qt.ScrollPhase.NoScrollPhase
    there = canvas.native.mapToGlobal(where)
    event = QWheelEvent(where, there, nothing, turned, button, modifiers, phase, False)
    QApplication.sendEvent(canvas.native, event)


def test_what_would_be_added_is_shown(segment: Any, canvas: Any, widget: Any, viewer: Any, click: Any) -> None:
    y, x = np.mgrid[:80, :80]
    layer = segment(np.maximum(dumbbell(), 0.47 * np.exp(-((y - 40) ** 2 + (x - 60) ** 2) / 800)).astype(np.float32))
    mouse, zoom, sizes = widget.controller.gesture_mouse, camera_of(viewer).zoom, []
    before = layer.data.copy()
    click(widget.correct_panel.tools.buttons["add"])
    canvas.point_at(41, 61)
    canvas._qtbot.waitUntil(lambda: mouse.sketch.suggested)
    for _ in range(2):
        sizes.append(int(widget.controller.gestures.suggested[0].sum()))
        turn_wheel(canvas, 41, 61, 1, SHIFT)
    assert widget._sketch.isVisible()
    assert camera_of(viewer).zoom == zoom
    assert np.array_equal(layer.data, before)
    sizes.append(int(widget.controller.gestures.suggested[0].sum()))
    canvas.click(41, 61)
    label = layer.data[41, 61]
    assert (layer.data == label).sum() == sizes[2] > sizes[1] > sizes[0]
    turn_wheel(canvas, 41, 61, -1, SHIFT)
    assert (layer.data == label).sum() == sizes[1]
    for _ in range(2):
        canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(layer.data, before)
    canvas.point_at(75, 3)
    canvas._qtbot.waitUntil(lambda: not mouse.sketch.outlines)
    turn_wheel(canvas, 75, 3, 1, Qt.KeyboardModifier.NoModifier)
    viewer.window._qt_viewer.canvas.on_draw(None)  # napari takes the zoom over when it draws
    assert camera_of(viewer).zoom != zoom, "the wheel alone is napari's"


def test_an_object_is_drawn_with_the_tool(labels: Any, canvas: Any, widget: Any, click: Any) -> None:
    before = labels.data.copy()
    click(widget.correct_panel.tools.buttons["add"])
    drag(canvas, (64, 30), (64, 50), (74, 50), (74, 30))
    assert labels.data[69, 40] > before.max()
    assert 160 < (labels.data == labels.data[69, 40]).sum() < 250, "of 200: where a pixel begins depends on the canvas"
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)


def test_a_drag_is_drawn_until_the_button_is_released(labels: Any, canvas: Any, widget: Any, click: Any) -> None:
    before, sketch, mouse = labels.data.copy(), widget._sketch, widget.controller.gesture_mouse
    canvas.press(55, 14, modifiers=SHIFT)
    canvas._qtbot.wait(60)
    for x in (18, 22, 26, 30):
        canvas.move(55, x, modifiers=SHIFT)
    assert sketch.isVisible()
    assert len(mouse.sketch.path) > 2
    assert len(mouse.sketch.outlines) == 2, "both objects"
    low, high = (np.concatenate(mouse.sketch.outlines).min(0), np.concatenate(mouse.sketch.outlines).max(0))
    assert (low.tolist(), high.tolist()) == ([49.5, 9.5], [59.5, 31.5]), "round the pixels"
    picture = sketch.grab().toImage()
    at = canvas.at(49.5, 15)
    near = [picture.pixelColor(at.x(), at.y() + dy).lightness() for dy in range(-3, 4)]
    assert max(near) > 200, "a white line on the border of the object"
    canvas.release(55, 30, modifiers=SHIFT)
    assert not sketch.isVisible()
    assert len(ids(labels)) == 2
    canvas.key(Qt.Key.Key_Z, CONTROL)
    click(widget.correct_panel.tools.buttons["delete"])
    canvas.press(55, 14)
    canvas._qtbot.wait(60)
    canvas.move(55, 28)
    assert sketch.isVisible()
    canvas.key(Qt.Key.Key_Escape)
    assert not sketch.isVisible()
    canvas.release(55, 28)
    assert np.array_equal(labels.data, before), "given up"
    assert widget.controller.gestures.tool == "delete"


def test_time_points_by_the_box(widget: Any, viewer: Any, canvas: Any, click: Any, wait_idle: Any, look: Any) -> None:
    viewer.add_image(dumbbell((3, 80, 80)), name="image", axis_labels=("t", "y", "x"))
    click(widget.segment_panel.button)
    wait_idle(widget)
    look()
    labels, box = viewer.layers["image objects"], widget.correct_panel.tools.later_frames
    labels.data = np.stack([labels.data[0]] * 3)
    viewer.dims.set_current_step(0, 1)
    assert not box.isHidden()
    assert widget.correct_panel.tools.slice_only.isHidden()
    box.setChecked(True)
    canvas.click(55, 14, modifiers=BOTH)
    assert widget.status.text() == "Deleted 1 object at 2 time points. Ctrl+Z takes it back."
    assert (labels.data[:, 55, 14] > 0).tolist() == [True, False, False]
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert (labels.data[:, 55, 14] > 0).all()


def test_help_by_button_and_key(labels: Any, canvas: Any, widget: Any, click: Any) -> None:
    tools = widget.correct_panel.tools
    click(tools.help)
    assert "Shift + drag" in tools._box.text()
    tools._box.close()
    canvas.key(Qt.Key.Key_H)
    assert tools._box.isVisible()
    tools._box.close()


# -- what is not a gesture, or refused -------------------------------------------------------------------------------


def test_the_plain_mouse_pans_and_other_tools_paint(labels: Any, canvas: Any, viewer: Any) -> None:
    before, view = labels.data.copy(), tuple(camera_of(viewer).center)
    canvas.click(17, 17)
    drag(canvas, (40, 40), (40, 50), (40, 60))
    assert tuple(camera_of(viewer).center) != view
    assert np.array_equal(labels.data, before)
    labels.mode, labels.brush_size, labels.selected_label = "erase", 3, 1
    canvas.click(55, 14, modifiers=BOTH)
    assert ids(labels) == ids(labels) | set(np.unique(before[before > 0]).tolist()), "erased, and not deleted"


REFUSED = (
    (SHIFT, [(70, 5), (70, 20), (70, 40)], "drag from one object"),
    (SHIFT, [(17, 17)], "already"),
    (SHIFT, [(72, 40)], "sees no object"),
    (SHIFT, [(55, 14), (55, 28), (55, 84)], "beyond the image"),
    (CONTROL, [(5, 26), (30, 26), (84, 26)], "beyond the image"),
    (CONTROL, [(10, 5), (10, 26), (10, 50)], "does not divide"),
    (CONTROL, [(55, 14)], "no second middle"),
    (CONTROL, [(70, 5), (70, 20), (70, 40)], "crosses no object"),
    (CONTROL, [(70, 70)], "no object here"),
    (BOTH, [(70, 70)], "no object here"),
    (BOTH, [(55, 14), (70, 14), (84, 14)], "beyond the image"),
)


def test_refused_in_words(labels: Any, canvas: Any, widget: Any, look: Any) -> None:
    look(closer=0.8)
    before = labels.data.copy()
    for modifiers, path, words in REFUSED:
        hand(canvas, path, modifiers)
        assert words in widget.status.text(), path
        assert len(widget.status.text()) <= 100
        assert np.array_equal(labels.data, before), words
        canvas.key(Qt.Key.Key_Z, CONTROL)
        assert np.array_equal(labels.data, before), "there is no step to take back"
        canvas._qtbot.wait(60)


KEYS = (Qt.Key.Key_D, Qt.Key.Key_S, Qt.Key.Key_K, Qt.Key.Key_J, Qt.Key.Key_G)
"""Those that change the object under the mouse, or take what is suggested there."""


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda viewer, layer: None, ""),
        (lambda viewer, layer: setattr(layer, "visible", False), "hidden"),
        (lambda viewer, layer: setattr(layer, "editable", False), "read-only"),
        (lambda viewer, layer: viewer.layers.remove(layer), "Press Segment"),
    ],
    ids=["nothing there", "hidden", "read-only", "gone"],
)
def test_keys_that_are_refused(spoil: Any, words: str, segment: Any, canvas: Any, widget: Any, viewer: Any) -> None:
    layer = segment(dumbbell((3, 80, 80)))
    before = layer.data.copy()
    spoil(viewer, layer)
    viewer.layers.selection.active = viewer.layers["image"]
    canvas.point_at(*((17, 17) if words else (72, 40)))
    for key in KEYS:
        said = len(widget.messages)
        canvas.key(key)
        assert len(widget.messages) > said, key
        assert widget.messages[-1].level == "error", key
        assert words in widget.status.text()
        assert len(widget.status.text()) <= 100
        assert np.array_equal(layer.data, before)


def test_the_layer_is_gone(labels: Any, canvas: Any, widget: Any, viewer: Any, click: Any) -> None:
    before = labels.data.copy()
    viewer.layers.remove(labels)
    viewer.layers.selection.active = viewer.layers["image"]
    said = len(widget.messages)
    for modifiers, path, *_ in GESTURES.values():
        hand(canvas, path, modifiers)  # the mouse is napari's again
    assert np.array_equal(labels.data, before)
    assert "image objects" not in viewer.layers
    assert len(widget.messages) == said
    click(widget.correct_panel.tools.buttons["delete"])
    assert "Press Segment" in widget.status.text()


@pytest.mark.parametrize("label", [2**31 - 1, 2**31, 2**32 + 7])
def test_the_largest_ids(label: int, labels: Any, canvas: Any, widget: Any, wait_idle: Any) -> None:
    """They are as good as others for a gesture, or it is refused; none becomes a negative one, or another object."""
    first = labels.data.copy()
    for name, (modifiers, path, more, words) in GESTURES.items():
        small = first[17, 17] if name in ("split", "cut free") else first[55, 14]
        labels.data = np.where(first == small, label, first.astype(np.int64))
        wait_idle(widget)
        before, said = labels.data.copy(), len(widget.messages)
        hand(canvas, path, modifiers)
        wait_idle(widget)
        found, told = ids(labels), widget.messages[said:]
        assert min(found) > 0, name
        if told[-1].level == "error":
            assert np.array_equal(labels.data, before), name
            assert len(widget.status.text()) <= 100
            continue
        assert any(message.text.startswith(words) for message in told), name
        assert len(found) == len(ids_of(before)) + more, name
        new = found - ids_of(before)
        assert all(one < 2**30 for one in new), "new objects are numbered on from the others"
        canvas.key(Qt.Key.Key_Z, CONTROL)
        assert np.array_equal(labels.data, before), name


def ids_of(data: Any) -> set[int]:
    return set(np.unique(data).tolist()) - {0}


def test_while_a_model_learns(labels: Any, canvas: Any, widget: Any, click: Any, wait_idle: Any) -> None:
    """Gestures go on, each in one step, and what they make is not undone when learning ends."""
    labels.data_setitem(tuple(np.indices((5, 5)).reshape(2, -1) + np.array([[68], [5]])), 50)  # something to learn from
    click(widget.learn_panel.button)
    assert widget.controller.learner.busy
    before = labels.data.copy()
    for name, (modifiers, path, more, words) in GESTURES.items():
        hand(canvas, path, modifiers)
        assert any(message.text.startswith(words) for message in widget.messages[-3:]), name
        assert len(ids(labels)) == len(ids_of(before)) + more, name
        canvas.key(Qt.Key.Key_Z, CONTROL)
        assert np.array_equal(labels.data, before), name
    canvas.click(70, 70, modifiers=BOTH)
    assert any("no object here" in message.text for message in widget.messages[-3:])
    hand(canvas, GESTURES["split"][1], GESTURES["split"][0])
    after = labels.data.copy()
    click(widget.learn_panel.stop)
    wait_idle(widget)
    assert np.array_equal(labels.data[5:30, 5:48], after[5:30, 5:48])


@pytest.mark.parametrize(
    ("switch", "words"),
    [("visible", "The objects are hidden. Show their layer to change them."), ("editable", "read-only")],
)
def test_a_hidden_or_locked_layer_stays(switch: str, words: str, labels: Any, canvas: Any, widget: Any) -> None:
    before = labels.data.copy()
    setattr(labels, switch, False)
    for name, (modifiers, path, *_) in GESTURES.items():
        said = len(widget.messages)
        hand(canvas, path, modifiers)
        assert any(words in message.text for message in widget.messages[said:]), name
        assert np.array_equal(labels.data, before), name


def test_an_object_larger_than_the_view(labels: Any, canvas: Any, widget: Any, look: Any) -> None:
    before = labels.data.copy()
    look((17, 17), closer=12)
    drag(canvas, (16, 16), (16, 17), (16, 18), modifiers=CONTROL)
    assert not np.array_equal(labels.data, before), "the line goes on to the border of the object"
    canvas.key(Qt.Key.Key_Z, CONTROL)
    canvas.press(17, 17, modifiers=BOTH)
    canvas._qtbot.wait(60)
    canvas.move(17, 18, modifiers=BOTH)
    assert len(widget.controller.gesture_mouse.sketch.outlines) == 1
    canvas.release(17, 18, modifiers=BOTH)
    assert not labels.data[10:24, 10:42].any()
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)


def test_while_the_image_is_segmented(
    labels: Any, canvas: Any, widget: Any, click: Any, wait_idle: Any, gate: Any
) -> None:
    widget.controller.session.maps.clear()
    before = labels.data.copy()
    click(widget.segment_panel.button)
    for name in GESTURES:
        hand(canvas, GESTURES[name][1], GESTURES[name][0])
        assert widget.status.text() == "This part is being segmented. Wait until it is done, or press Stop.", name
    assert np.array_equal(labels.data, before)
    gate.let(100)
    wait_idle(widget)


def test_while_a_drag_is_drawn_the_slice_changes(segment: Any, canvas: Any, widget: Any, viewer: Any) -> None:
    layer = segment(dumbbell((3, 80, 80)))
    viewer.dims.set_current_step(0, 0)
    before = layer.data.copy()
    canvas.press(55, 14, modifiers=SHIFT)
    canvas._qtbot.wait(60)
    canvas.move(55, 20, modifiers=SHIFT)
    viewer.dims.set_current_step(0, 2)
    canvas.move(55, 28, modifiers=SHIFT)
    canvas.release(55, 28, modifiers=SHIFT)
    assert widget.status.text() == "Another slice came into view meanwhile, so nothing was changed."
    assert np.array_equal(layer.data, before)


def test_the_right_button_and_alt_are_napari_s(labels: Any, canvas: Any, widget: Any) -> None:
    before, said = labels.data.copy(), widget.status.text()
    canvas.press(55, 14, Qt.MouseButton.RightButton, BOTH)
    canvas.release(55, 14, Qt.MouseButton.RightButton, BOTH)
    canvas.click(55, 14, modifiers=Qt.KeyboardModifier.AltModifier)
    canvas.click(55, 14, modifiers=SHIFT | Qt.KeyboardModifier.AltModifier)
    assert widget.status.text() == said
    assert np.array_equal(labels.data, before)


def test_the_layer_goes_while_the_button_is_down(labels: Any, canvas: Any, widget: Any, viewer: Any) -> None:
    canvas.press(55, 14, modifiers=SHIFT)
    viewer.layers.remove(labels)
    canvas.move(55, 28, modifiers=SHIFT)
    canvas.release(55, 28, modifiers=SHIFT)
    QApplication.processEvents()
    assert widget.controller.session is None


def test_the_labels_are_replaced_while_the_button_is_down(labels: Any, canvas: Any, widget: Any) -> None:
    canvas.press(55, 14, modifiers=SHIFT)
    canvas._qtbot.wait(60)
    canvas.move(55, 20, modifiers=SHIFT)
    labels.data = labels.data[:60].copy()
    before = labels.data.copy()
    canvas.move(55, 28, modifiers=SHIFT)
    canvas.release(55, 28, modifiers=SHIFT)
    assert "Press Segment to make new ones" in widget.status.text()
    assert np.array_equal(labels.data, before)
    assert not widget._sketch.isVisible()


# -- larger and smaller by a drag ------------------------------------------------------------------------------------


@pytest.fixture
def blurred(segment: Any) -> Any:
    """Objects, and a faint one whose border is nowhere in particular."""
    y, x = np.mgrid[:80, :80]
    return segment(np.maximum(dumbbell(), 0.47 * np.exp(-((y - 40) ** 2 + (x - 60) ** 2) / 800)).astype(np.float32))


def drag_on_screen(canvas: Any, place: Any, up: int, modifiers: Any = SHIFT) -> None:
    """Drag from a pixel of the image straight up by so many pixels of the screen, or down."""
    low, high = canvas.corners
    pixels = (high[0] - low[0]) / canvas.native.height()
    y, x = place
    canvas.press(y, x, modifiers=modifiers)
    canvas._qtbot.wait(60)
    for share in (0.3, 0.6, 1.0):
        canvas.move(y - share * up * pixels, x, modifiers=modifiers)
    canvas.release(y - up * pixels, x, modifiers=modifiers)


@pytest.mark.parametrize("up", [40, -40])
def test_what_is_suggested_is_sized_by_a_drag_and_added(
    up: int, blurred: Any, widget: Any, canvas: Any, qtbot: Any
) -> None:
    gestures = widget.controller.gestures
    qtbot.mouseClick(widget.correct_panel.tools.buttons["add"], Qt.MouseButton.LeftButton)
    canvas.point_at(40, 60)
    qtbot.waitUntil(lambda: gestures.suggested is not None)
    size, before = int(gestures.suggested[0].sum()), blurred.data.copy()
    drag_on_screen(canvas, (40, 60), up)
    added = int(np.count_nonzero(blurred.data != before))
    assert (added > size) == (up > 0), (size, added)
    assert len(ids(blurred)) == len(np.unique(before)), "one object more"
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(blurred.data, before), "one step"


def test_what_was_added_is_sized_by_a_drag_in_one_step(blurred: Any, widget: Any, canvas: Any, qtbot: Any) -> None:
    qtbot.mouseClick(widget.correct_panel.tools.buttons["add"], Qt.MouseButton.LeftButton)
    canvas.click(40, 60)
    label, before = int(blurred.data[40, 60]), blurred.data.copy()
    for up, larger in ((40, True), (-40, False)):
        was = blurred.data.copy()
        drag_on_screen(canvas, (40, 60), up)
        assert blurred.data[40, 60] == label
        assert ((blurred.data == label).sum() > (was == label).sum()) == larger
    canvas.key(Qt.Key.Key_Z, CONTROL)
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(blurred.data, before)


def test_a_sizing_drag_is_given_up_by_esc(blurred: Any, widget: Any, canvas: Any, qtbot: Any) -> None:
    qtbot.mouseClick(widget.correct_panel.tools.buttons["add"], Qt.MouseButton.LeftButton)
    canvas.click(40, 60)
    before = blurred.data.copy()
    canvas.press(40, 60, modifiers=SHIFT)
    qtbot.wait(60)
    canvas.move(30, 60, modifiers=SHIFT)
    assert widget.controller.gesture_mouse.sketch.suggested
    canvas.key(Qt.Key.Key_Escape)
    assert not widget.controller.gesture_mouse.sketch.outlines
    canvas.move(20, 60, modifiers=SHIFT)
    canvas.release(20, 60, modifiers=SHIFT)
    assert np.array_equal(blurred.data, before)


def test_shift_and_a_drag_from_an_object_still_merge(labels: Any, widget: Any, canvas: Any, qtbot: Any) -> None:
    qtbot.mouseClick(widget.correct_panel.tools.buttons["add"], Qt.MouseButton.LeftButton)
    hand(canvas, GESTURES["merge"][1], SHIFT)
    assert widget.status.text().startswith("Merged 2 objects.")


# -- where the network has not looked --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["click", "key", "tool"])
def test_add_where_there_are_no_maps(
    how: str, labels: Any, widget: Any, canvas: Any, qtbot: Any, wait_idle: Any
) -> None:
    widget.controller.session.maps.clear()
    before = labels.data.copy()
    if how == "click":
        canvas.click(55, 60, modifiers=SHIFT)
    elif how == "key":
        canvas.point_at(55, 60)
        canvas.key(Qt.Key.Key_I)
    else:
        qtbot.mouseClick(widget.correct_panel.tools.buttons["add"], Qt.MouseButton.LeftButton)
        canvas.point_at(55, 60)
        qtbot.waitUntil(lambda: widget.controller.gestures.suggested is not None)
        canvas.click(55, 60)
    qtbot.waitUntil(lambda: labels.data[55, 60] > 0)
    wait_idle(widget)
    assert widget.status.text().startswith("Added an object of")
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)


def test_add_where_no_network_can_look(labels: Any, widget: Any, canvas: Any, make_model: Any) -> None:
    widget.controller.use_model(make_model(task="semantic", outputs=("class_0", "class_1")))
    canvas.click(55, 60, modifiers=SHIFT)
    assert widget.status.text() == "No network can look at this place. Draw around the object; Esc ends that."
    before = labels.data.copy()
    drag(canvas, (50, 55), (50, 65), (60, 65), (60, 55))
    assert len(ids(labels)) == len(np.unique(before)), "the next drag draws it"
