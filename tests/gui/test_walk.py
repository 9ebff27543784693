"""The walk from suspect to suspect with real keys and buttons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

SHIFT = Qt.KeyboardModifier.ShiftModifier


def with_large(shape: tuple[int, ...] = (160, 160)) -> np.ndarray:
    """Return sixteen bright squares, of which one in the second row is much larger."""
    image = np.zeros(shape, np.uint8)
    for row in range(4):
        for column in range(4):
            side = 30 if (row, column) == (1, 2) else 10
            y, x = 40 * row + 10, 40 * column + 10
            image[..., y : y + side, x : x + side] = 100
    return image


@pytest.fixture
def segment(widget: Any, viewer: Any, click: Any, wait_idle: Any, look: Any) -> Any:
    """Segments a new image, shows all of it, and returns its labels layer."""

    def made(data: Any) -> Any:
        viewer.add_image(data, name="image")
        click(widget.segment_panel.button)
        wait_idle(widget)
        look()
        return widget.controller.session.labels_layer

    return made


@pytest.fixture
def press(canvas: Any, widget: Any, wait_idle: Any) -> Any:
    """Presses a key on the canvas and waits until what it started is done."""

    def key(letter: str, modifier: Any = Qt.KeyboardModifier.NoModifier) -> str:
        canvas.key(getattr(Qt.Key, f"Key_{letter}"), modifier)
        wait_idle(widget)
        return str(widget.messages[-1].text)

    return key


def test_keys_lead_and_accept(segment, widget, viewer, press):
    labels = segment(with_large())
    walk, panel = widget.controller.walk, widget.walk_panel
    assert not panel.accept.isEnabled()
    assert press("N").startswith(f"Object {walk.stop.id}: much larger than the others.")
    large = walk.stop.id
    assert panel.where.text() == "<b>1 of 1</b>: much larger than the others."
    assert (labels.data == large).sum() == 900
    assert viewer.layers.selection.active == labels
    press("A")
    assert widget.controller.session.corrections.reviewed[0, 0][labels.data == large].all()
    assert widget.messages[-1].text.startswith("No suspect is left.")
    press("N", SHIFT)
    assert walk.stop.id != large
    assert panel.where.text().startswith("<b>2 of 16</b>: ")
    press("P", SHIFT)
    assert walk.stop.id == large
    assert panel.where.text() == "<b>1 of 16</b>: much larger than the others. <i>Done.</i>"
    press("A")
    assert widget.messages[-1].text == "No longer reviewed."
    assert not widget.controller.session.corrections.reviewed.any()
    assert labels.mode == "pan_zoom", "napari's own keys were not meant"


def test_buttons(segment, widget, click, wait_idle):
    segment(with_large())
    walk, panel = widget.controller.walk, widget.walk_panel
    click(panel.next)
    wait_idle(widget)
    first = walk.stop
    assert first is not None
    click(panel.accept)
    wait_idle(widget)
    assert widget.controller.session.corrections.reviewed.any()
    click(panel.previous)
    assert walk.stop is first
    assert panel.where.text().endswith("<i>Done.</i>")


def test_a_gesture_mends_what_is_shown(segment, widget, canvas, press, wait_idle):
    labels = segment(with_large())
    press("N")
    y, x = widget.controller.walk.stop.place
    canvas.click(y, x, modifiers=SHIFT | Qt.KeyboardModifier.ControlModifier)  # delete
    wait_idle(widget)
    assert not labels.data[y, x]
    assert widget.walk_panel.where.text().endswith("<i>Done.</i>")
    assert press("N").startswith("No suspect is left.")
    press("Z", Qt.KeyboardModifier.ControlModifier)
    assert labels.data[y, x]
    assert not widget.walk_panel.where.text().endswith("<i>Done.</i>")


def test_sliders_follow_and_the_plane_in_view_comes_first(segment, widget, viewer, press):
    volume = np.stack([with_large()[::-1], with_large(), with_large()[:, ::-1]])
    segment(volume)
    viewer.dims.set_current_step(0, 2)
    press("N")
    assert widget.controller.session.plane == (0, 2)
    seen = {widget.controller.walk.stop.plane}
    for _ in range(4):
        press("N")
        seen.add(widget.controller.walk.stop.plane)
        assert widget.controller.session.plane == widget.controller.walk.stop.plane
    assert len(seen) > 1


@pytest.mark.parametrize("key", ["N", "A", "P"])
def test_before_anything_is_segmented(widget, canvas, errors, key):
    canvas.key(getattr(Qt.Key, f"Key_{key}"), SHIFT if key == "P" else Qt.KeyboardModifier.NoModifier)
    assert errors(widget)[-1] == "Nothing is segmented yet. Press Segment first."


def test_the_outline_goes_with_the_image(segment, widget, viewer, press, qtbot):
    segment(with_large())
    press("N")
    assert "suspect" in viewer.layers
    viewer.layers.remove("image")
    qtbot.waitUntil(lambda: "suspect" not in viewer.layers, timeout=5000)
    assert widget.walk_panel.where.text() == widget.walk_panel.HINT


def test_closing_the_dock_takes_the_outline_away(segment, viewer, press):
    segment(with_large())
    press("N")
    viewer.window.remove_dock_widget("all")
    assert "suspect" not in viewer.layers
