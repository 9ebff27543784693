"""In a real window: what is reviewed is what the canvas draws, and the keys say so where that is no plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

from napari_unet.layers.image.geometry import camera_of

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def stack(widget: Any, viewer: Any, squares: Any, click: Any, wait_idle: Any, look: Any) -> Any:
    """Return the session of a stack of four slices, whose canvas has been drawn."""
    viewer.add_image(squares((4, 96, 96)), name="stack", scale=(3, 0.5, 2), translate=(1, 5, -8))
    click(widget.segment_panel.button)
    wait_idle(widget)
    look()
    return widget.controller.session


def test_the_field_is_what_napari_draws(stack: Any, look: Any) -> None:
    layer = stack.layer
    for closer in (1.0, 1.3, 3.0, 10.0):
        for pixel in ((48, 48), (10, 90), (95, 0)):
            look(tuple(layer.data_to_world((0, *pixel))[1:]), closer=closer)
            low, high = layer.corner_pixels[:, 1:]  # to whole pixels, outwards
            for part, first, last in zip(stack.field, low, high, strict=True):
                assert first <= part.start <= first + 1, (closer, pixel)
                assert last <= part.stop <= last + 1, (closer, pixel)


def test_the_field_does_not_wait_for_the_canvas_to_be_drawn(stack: Any, viewer: Any, canvas: Any) -> None:
    camera_of(viewer).zoom *= 8
    canvas.key(Qt.Key.Key_R)
    reviewed = np.asarray(stack.corrections.reviewed)
    assert 0 < reviewed.sum() < 96 * 96 / 4


@pytest.mark.parametrize("key", [(Qt.Key.Key_R,), (Qt.Key.Key_R, SHIFT), (Qt.Key.Key_T,), (Qt.Key.Key_N,)])
def test_keys_on_a_stack_from_the_side(stack: Any, viewer: Any, widget: Any, canvas: Any, key: Any) -> None:
    viewer.dims.roll()
    QApplication.processEvents()
    canvas.key(*key)
    assert widget.status.text().startswith("Roll the dimensions until Y and X are on the canvas, to ")
    assert not np.asarray(stack.corrections.reviewed).any()


def test_a_stroke_from_the_side_is_counted_and_taken_back(
    stack: Any, viewer: Any, widget: Any, canvas: Any, wait_idle: Any, look: Any
) -> None:
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 31)
    look()

    def at(z: float, x: float) -> QPoint:
        low, high = (np.asarray(corner)[[0, 2]] for corner in canvas._canvas._viewbox_corners_in_world)
        size, place = canvas._canvas.native.size(), (np.array([z, x]) - low) / (high - low)
        return QPoint(round(place[1] * size.width()), round(place[0] * size.height()))

    canvas.at = at
    labels = stack.labels_layer
    labels.mode, labels.brush_size = "paint", 3
    before = labels.data.copy()
    z, _, x = labels.data_to_world((1, 31, 48))
    canvas.press(z, x)
    canvas.release(z, x)
    wait_idle(widget)
    painted = labels.data != before
    assert painted.any()
    assert set(np.nonzero(painted)[1]) == {31}
    assert stack.summary.corrected_pixels == painted.sum()
    assert stack.summary.corrected_objects == 1
    canvas.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait_idle(widget)
    assert np.array_equal(labels.data, before)
    assert not stack.summary.anything


def test_nothing_is_segmented_in_view_from_the_side(stack: Any, viewer: Any, widget: Any, click: Any) -> None:
    viewer.dims.order = (2, 0, 1)
    widget.controller.workspace.scope = "view"
    click(widget.segment_panel.button)
    assert widget.status.text() == "Roll the dimensions until Y and X are on the canvas, to segment what is in view."
    assert not widget.controller.busy


def test_what_belongs_to_an_image_goes_with_it(
    stack: Any, viewer: Any, widget: Any, squares: Any, canvas: Any, click: Any, wait_idle: Any, look: Any
) -> None:
    canvas.key(Qt.Key.Key_R)
    layer, labels, overlay = (viewer.layers[name] for name in ("stack", "stack objects", "stack reviewed"))
    layer.scale, layer.units, layer.rotate = (2, 0.25, 0.25), ("um",) * 3, 30
    wait_idle(widget)
    assert np.allclose(labels.data_to_world((1, 5, 9)), layer.data_to_world((1, 5, 9)))
    assert np.allclose(overlay.data_to_world((0, 5, 9))[1:], layer.data_to_world((1.5, 5, 9))[1:])
    assert stack.image.pixel_size.x == 0.25
    assert "of the image reviewed" in widget.correct_panel.counts.text()
    viewer.add_image(squares(), name="plane", units=("um", "um"))
    assert not labels.visible
    assert not overlay.visible
    viewer.layers.selection.active = layer
    assert labels.visible
    assert overlay.visible
    assert layer.visible
    assert viewer.layers["plane"].visible
