"""Painting with the mouse: what touches no object becomes an object of its own, and one Ctrl+Z takes a stroke back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet.layers.image.geometry import camera_of

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def labels(widget: Any, viewer: Any, squares: Any, click: Any, wait_idle: Any, look: Any) -> Any:
    """Labels of an image with 3 x 3 objects (1 to 9) in the middles of cells of 32 pixels, with a brush of 5."""
    return segmented(widget, viewer, squares(), click, wait_idle, look)


def segmented(widget: Any, viewer: Any, data: Any, click: Any, wait_idle: Any, look: Any) -> Any:
    viewer.add_image(data, name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    layer = viewer.layers["image objects"]
    layer.mode, layer.brush_size = "paint", 5
    look()
    return layer


def stroke(canvas: Any, *path: Any) -> None:
    """Paint along a path. The hand rests at its beginning: napari leaves out moves that come right after a press."""
    canvas.press(*path[0])
    canvas._qtbot.wait(60)
    for place in path[1:]:
        canvas.move(*place)
    canvas.release(*path[-1])


def new_ids(layer: Any, before: np.ndarray) -> list[int]:
    return sorted(set(np.unique(layer.data)) - set(np.unique(before)))


def test_two_missed_cells_are_two_objects(labels: Any, canvas: Any, widget: Any, wait_idle: Any) -> None:
    before = labels.data.copy()
    assert labels.selected_label == 10, "right after Segment it is one that nothing has"
    stroke(canvas, (31, 31), (31, 36))
    stroke(canvas, (63, 63), (63, 52))
    assert new_ids(labels, before) == [10, 11]
    assert np.array_equal(labels.data[before > 0], before[before > 0])
    assert labels.selected_label == 11
    assert labels.data[31, 36] == 10
    assert labels.data[63, 52] == 11
    wait_idle(widget)
    assert widget.controller.session.summary.corrected_objects == 2


def test_a_stroke_on_the_selected_object_makes_it_larger(labels: Any, canvas: Any) -> None:
    before = labels.data.copy()
    labels.selected_label = int(before[16, 16])
    stroke(canvas, (16, 20), (16, 30))
    assert new_ids(labels, before) == []
    assert labels.data[16, 30] == before[16, 16] == labels.selected_label
    stroke(canvas, (31, 31), (24, 31), (18, 30))  # from elsewhere up to it
    assert new_ids(labels, before) == []
    assert labels.data[31, 31] == before[16, 16] == labels.selected_label
    assert labels.mode == "paint"


def test_a_stroke_beside_another_object_is_no_part_of_it(labels: Any, canvas: Any) -> None:
    before = labels.data.copy()
    labels.selected_label = int(before[16, 16])
    stroke(canvas, (40, 56), (48, 56))  # on the rim of the object in the middle
    assert new_ids(labels, before) == [10]
    assert (labels.data == before[16, 16]).sum() == 100


@pytest.mark.parametrize("path", [((31, 31), (31, 40)), ((31, 31), (24, 31), (16, 20), (16, 8)), ((16, 20), (16, 30))])
def test_one_step_back_takes_all_of_a_stroke_back(labels: Any, canvas: Any, path: Any) -> None:
    before = labels.data.copy()
    labels.selected_label = int(before[16, 16])
    stroke(canvas, *path)
    painted = labels.data.copy()
    assert not np.array_equal(painted, before)
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)
    canvas.key(Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert np.array_equal(labels.data, painted)
    canvas.key(Qt.Key.Key_Z, CONTROL)
    stroke(canvas, (63, 63), (63, 66))
    assert labels.data[63, 63] == (11 if path[-1] == (31, 40) else 10), "an id that an object had is not given again"


def test_an_object_that_is_painted_over_whole_is_touched(labels: Any, canvas: Any) -> None:
    labels.brush_size = 3
    canvas.click(31, 31)
    own = labels.selected_label
    labels.brush_size = 9
    stroke(canvas, (31, 50), (31, 31), (31, 12))
    assert labels.selected_label == own
    assert labels.data[31, 31] == labels.data[31, 50] == own
    assert new_ids(labels, np.where(labels.data == own, 0, labels.data)) == [own]


def test_a_label_that_is_chosen_by_hand(labels: Any, canvas: Any) -> None:
    """A number that is typed is meant; a label that is picked is that of an object, which is made larger."""
    labels.selected_label = 77
    for y in (31, 63):
        stroke(canvas, (y, 31), (y, 36))
        assert labels.data[y, 31] == labels.selected_label == 77
    labels.mode = "pick"
    canvas.click(16, 16)
    labels.mode = "paint"
    picked = labels.selected_label
    assert picked == labels.data[16, 16]
    stroke(canvas, (22, 16), (26, 16))
    assert labels.data[26, 16] == picked
    stroke(canvas, (63, 63), (63, 68))
    assert labels.data[63, 63] == 78
    labels.selected_label = 77
    stroke(canvas, (80, 31), (80, 36))
    assert labels.data[80, 31] == 79, "that is an object by now"


def test_the_last_id_that_there_is(labels: Any, canvas: Any) -> None:
    last = np.iinfo(labels.data.dtype).max
    labels.selected_label = last
    stroke(canvas, (31, 31), (31, 36))
    assert labels.data[31, 31] == last
    labels.selected_label = int(labels.data[16, 16])
    stroke(canvas, (63, 63), (63, 66))
    assert labels.data[63, 63] == 10


def test_erasing_is_erasing(labels: Any, canvas: Any) -> None:
    before = labels.data.copy()
    for mode, label in (("erase", 3), ("paint", 0)):
        labels.mode, labels.selected_label = mode, label
        stroke(canvas, (16, 12), (16, 20))
        assert labels.selected_label == label
        assert new_ids(labels, before) == []
        canvas.key(Qt.Key.Key_Z, CONTROL)
        assert np.array_equal(labels.data, before)


def test_labels_that_are_preserved(labels: Any, canvas: Any) -> None:
    before = labels.data.copy()
    labels.preserve_labels = True
    labels.selected_label = int(before[80, 80])
    stroke(canvas, (16, 4), (16, 28))  # across an object: two pieces
    assert np.array_equal(labels.data[before > 0], before[before > 0])
    assert labels.data[16, 4] == labels.data[16, 28] == 10
    stroke(canvas, (80, 50), (80, 80), (80, 92))  # across two, of which one is selected
    assert labels.data[80, 64] == 11
    labels.selected_label = int(before[80, 80])
    stroke(canvas, (70, 64), (70, 80))
    assert labels.data[70, 64] == 12, "it passes the object without touching it"


def test_a_fill_of_the_background_is_an_object(labels: Any, canvas: Any) -> None:
    """A ring is painted, filled, and is one object; a hole that somebody else left is not the selected one's."""
    before = labels.data.copy()
    labels.brush_size = 1
    stroke(canvas, (26, 26), (26, 38), (38, 38), (38, 26), (26, 26))
    own = labels.selected_label
    labels.mode = "fill"
    canvas.click(32, 32)
    assert labels.data[32, 32] == labels.selected_label == own
    assert (labels.data[26:39, 26:39] == own).all()
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert labels.data[32, 32] == 0
    labels.selected_label = int(before[80, 80])
    canvas.click(32, 32)
    assert labels.data[32, 32] == own + 1
    assert (labels.data == before[80, 80]).sum() == 100


def test_a_fill_of_an_object_joins_it_as_ever(labels: Any, canvas: Any) -> None:
    before = labels.data.copy()
    labels.mode, labels.selected_label = "fill", int(before[80, 80])
    canvas.click(16, 16)
    assert (labels.data == before[80, 80]).sum() == 200


def test_each_polygon_is_an_object(labels: Any, canvas: Any) -> None:
    before = labels.data.copy()
    labels.mode = "polygon"
    for number, (y, x) in enumerate(((24, 24), (60, 24))):
        for corner in ((y, x), (y, x + 14), (y + 12, x + 14), (y + 12, x)):
            canvas.click(*corner)
        canvas.key(Qt.Key.Key_Return)
        assert labels.data[y + 6, x + 7] == 10 + number
        assert labels.selected_label == 11 + number
    canvas.key(Qt.Key.Key_Z, CONTROL)
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)
    labels.selected_label = int(before[16, 16])
    for corner in ((16, 16), (16, 40), (20, 40), (20, 16)):
        canvas.click(*corner)
    canvas.key(Qt.Key.Key_Return)
    assert labels.data[18, 38] == before[16, 16], "it began on the selected object"


def test_an_encircled_object(labels: Any, canvas: Any) -> None:
    before = labels.data.copy()
    labels.selected_label = int(before[80, 80])
    canvas.press(26, 26, Qt.MouseButton.RightButton)
    assert labels.selected_label == 10
    canvas.release(26, 26, Qt.MouseButton.RightButton)
    assert (labels.data == before[80, 80]).sum() == 100


def test_slices_of_one_object(
    widget: Any, viewer: Any, squares: Any, click: Any, wait_idle: Any, look: Any, canvas: Any
) -> None:
    labels = segmented(widget, viewer, squares((4, 96, 96)), click, wait_idle, look)
    last = int(labels.data.max())
    viewer.dims.set_current_step(0, 1)
    stroke(canvas, (31, 31), (31, 36))
    own = labels.selected_label
    assert own > last
    viewer.dims.set_current_step(0, 2)
    stroke(canvas, (31, 33), (31, 38))
    assert labels.data[2, 31, 33] == own, "in the next slice it is the same object"
    stroke(canvas, (63, 63), (63, 66))
    assert labels.data[2, 63, 63] == own + 1
    viewer.dims.set_current_step(0, 0)
    labels.selected_label = own
    stroke(canvas, (31, 31), (31, 36))
    assert labels.data[0, 31, 31] == own, "slice 1 lies beside it"
    viewer.dims.set_current_step(0, 3)
    labels.selected_label = own + 1
    labels.n_edit_dimensions, labels.brush_size = 3, 3
    canvas.click(31, 62)
    assert sorted(np.unique(np.nonzero(labels.data == own + 2)[0])) == [2, 3], "a ball"
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert own + 2 not in labels.data


def test_time_points_are_not_beside_each_other(
    widget: Any, viewer: Any, squares: Any, click: Any, wait_idle: Any, look: Any, canvas: Any
) -> None:
    viewer.add_image(squares((3, 96, 96)), name="image", axis_labels=("t", "y", "x"))
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["image objects"]
    labels.mode, labels.brush_size = "paint", 5
    look()
    viewer.dims.set_current_step(0, 1)
    stroke(canvas, (31, 31), (31, 36))
    own = labels.selected_label
    viewer.dims.set_current_step(0, 2)
    stroke(canvas, (31, 31), (31, 36))
    assert labels.data[2, 31, 31] == own + 1


def test_a_type_that_is_full(labels: Any, canvas: Any) -> None:
    labels.data = labels.data.astype(np.uint8)
    labels.data[0, 0] = 255
    labels.selected_label = int(labels.data[16, 16])
    stroke(canvas, (31, 31), (31, 36))
    assert labels.data[31, 31] == labels.selected_label == 256
    assert labels.data[0, 0] == 255


def test_classes_are_painted_with_the_class_that_is_selected(
    widget: Any, viewer: Any, squares: Any, make_model: Any, click: Any, wait_idle: Any, look: Any, canvas: Any
) -> None:
    widget.controller.use_model(make_model(task="semantic", outputs=("class_0", "class_1")))
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["image classes"]
    labels.mode, labels.selected_label, labels.brush_size = "paint", 1, 5
    look()
    for y in (31, 63):
        stroke(canvas, (y, 31), (y, 36))
    assert labels.data[31, 31] == labels.data[63, 31] == labels.selected_label == 1


def test_an_untrained_model_is_painted_for_label_by_label(
    widget: Any, viewer: Any, squares: Any, wait_idle: Any, look: Any, canvas: Any
) -> None:
    viewer.add_image(squares(), name="image")
    assert widget.controller.new_model("mine", "instances")
    labels = viewer.layers["image objects"]
    labels.brush_size = 5
    look()
    stroke(canvas, (16, 14), (16, 18))
    stroke(canvas, (18, 14), (18, 18))
    stroke(canvas, (48, 46), (48, 50))
    assert labels.data[16, 16] == labels.data[19, 16] == 1
    assert labels.data[48, 48] == 2
    canvas.key(Qt.Key.Key_M)
    stroke(canvas, (80, 78), (80, 82))
    assert labels.data[80, 80] == 3
    wait_idle(widget)


def test_outside_of_the_image_nothing_is_painted(labels: Any, canvas: Any, viewer: Any) -> None:
    before = labels.data.copy()
    camera_of(viewer).zoom /= 2
    labels.selected_label = int(before[16, 16])
    stroke(canvas, (-40, -40), (-30, -40))
    assert np.array_equal(labels.data, before)
    assert labels.selected_label == before[16, 16]
