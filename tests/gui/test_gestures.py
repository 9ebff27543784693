"""Objects merged, split, added and deleted with a real mouse and real keys, and taken back with Ctrl+Z."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_unet.layers.geometry import camera_of

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


@pytest.mark.parametrize("name", GESTURES)
def test_a_gesture_and_back(name: str, labels: Any, canvas: Any, widget: Any, viewer: Any, wait_idle: Any) -> None:
    modifiers, path, more, words = GESTURES[name]
    before, view = labels.data.copy(), (tuple(camera_of(viewer).center), camera_of(viewer).zoom)
    hand(canvas, path, modifiers)
    assert widget.status.text().startswith(words), widget.status.text()
    assert len(ids(labels)) == len(np.unique(before)) - 1 + more
    assert (tuple(camera_of(viewer).center), camera_of(viewer).zoom) == view, "the view stays"
    after = labels.data.copy()
    wait_idle(widget)
    summary = widget.controller.session.summary
    assert summary.corrected_pixels == np.count_nonzero(after != before) > 0
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before), "one step back"
    canvas.key(Qt.Key.Key_Z, BOTH)
    assert np.array_equal(labels.data, after), "and forth"
    canvas.key(Qt.Key.Key_Z, CONTROL)
    wait_idle(widget)
    assert widget.controller.session.summary.corrected_pixels == 0


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
        ("split", "cut free"),
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


@pytest.mark.parametrize(
    ("modifiers", "path", "words"),
    [
        (SHIFT, [(70, 5), (70, 20), (70, 40)], "drag from one object"),
        (SHIFT, [(17, 17)], "already"),
        (CONTROL, [(70, 5), (70, 20), (70, 40)], "crosses no object"),
        (CONTROL, [(70, 70)], "no object here"),
        (BOTH, [(70, 70)], "no object here"),
        (BOTH, [(55, 14), (70, 14), (84, 14)], "beyond the image"),
    ],
)
def test_refused_in_words(
    modifiers: Any, path: Any, words: str, labels: Any, canvas: Any, widget: Any, look: Any
) -> None:
    look(closer=0.8)
    before = labels.data.copy()
    hand(canvas, path, modifiers)
    assert words in widget.status.text()
    assert len(widget.status.text()) <= 100
    assert np.array_equal(labels.data, before)


def test_a_hidden_layer_stays(labels: Any, canvas: Any, widget: Any) -> None:
    before = labels.data.copy()
    labels.visible = False
    hand(canvas, GESTURES["delete"][1], BOTH)
    assert widget.status.text() == "The objects are hidden. Show their layer to change them."
    assert np.array_equal(labels.data, before)


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
