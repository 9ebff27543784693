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
    qtbot.waitUntil(lambda: "suspect" not in viewer.layers)
    assert widget.walk_panel.where.text() == widget.walk_panel.HINT


def test_closing_the_dock_takes_the_outline_away(segment, viewer, press):
    segment(with_large())
    press("N")
    viewer.window.remove_dock_widget("all")
    assert "suspect" not in viewer.layers


# -- a gesture mends and goes on -------------------------------------------------------------------------------------

NO_KEY, CONTROL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def going_on(monkeypatch, no_going_on):
    """The walk goes on by itself, at once."""
    for name in ("GO_ON_AFTER", "GO_ON_LATER"):
        monkeypatch.setattr(f"napari_unet._qt.main_widget.{name}", 1)


def two_large() -> np.ndarray:
    """Return bright squares, two of which are much larger; a small one is close to each of these."""
    image = with_large()
    image[120:150, 90:120] = 100
    for row in (50, 120):
        image[row : row + 20, 120:150] = 0
        image[row : row + 10, 122:132] = 100
    return image


def hand(canvas: Any, path: Any, modifiers: Any) -> None:
    if len(path) == 1:
        canvas.click(*path[0], modifiers=modifiers)
        return
    canvas.press(*path[0], modifiers=modifiers)
    canvas._qtbot.wait(60)
    for place in path[1:]:
        canvas.move(*place, modifiers=modifiers)
    canvas.release(*path[-1], modifiers=modifiers)


MENDING = {  # from the first pixel of the object's box
    "delete": (SHIFT | CONTROL, [(15, 15)], None),
    "split": (CONTROL, [(-4, 15), (15, 15), (34, 15)], None),
    "outline": (NO_KEY, [(15, 15), (36, 12), (36, 18), (15, 18)], "outline"),
    "merge": (SHIFT, [(5, 15), (5, 25), (5, 37)], None),
}


@pytest.mark.parametrize("name", MENDING)
def test_a_gesture_mends_and_goes_on(name, going_on, segment, widget, canvas, press, qtbot):
    labels, walk = segment(two_large()), widget.controller.walk
    press("N")
    first, before = walk.stop, labels.data.copy()
    modifiers, path, tool = MENDING[name]
    y, x = (part.start for part in first.box)
    if tool:
        assert widget.controller.gestures.choose_tool(tool)
    hand(canvas, [(y + dy, x + dx) for dy, dx in path], modifiers)
    assert not np.array_equal(labels.data, before), widget.status.text()
    qtbot.waitUntil(lambda: walk.stop is not first)
    assert widget.controller.gestures.tool == tool, "the tool stays in the hand"
    assert widget.status.text().startswith(f"Object {walk.stop.id}: much larger")
    press("P", SHIFT)
    assert walk.stop is first
    assert widget.walk_panel.where.text().endswith("<i>Done.</i>")


def test_what_is_undone_at_once_is_not_gone_on_from(segment, widget, canvas, press, monkeypatch):
    labels, walk = segment(two_large()), widget.controller.walk
    press("N")
    first, before = walk.stop, labels.data.copy()
    hand(canvas, [first.place], SHIFT | CONTROL)
    assert widget._walk_on.isActive()
    canvas.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels.data, before)
    widget._walk_on.timeout.emit()
    assert walk.stop is first


def test_another_object_or_another_wish_is_not_gone_on_from(segment, widget, canvas, press, click):
    segment(two_large())
    walk = widget.controller.walk
    press("N")
    first = walk.stop
    hand(canvas, [(15, 15)], SHIFT | CONTROL)  # another object
    assert not widget._walk_on.isActive()
    click(widget.walk_panel.goes_on)
    hand(canvas, [first.place], SHIFT | CONTROL)
    assert not widget._walk_on.isActive()
    assert walk.stop is first


def test_several_clicks_on_one_object_come_before_the_next(going_on, segment, widget, canvas, press, qtbot):
    """The third click of a split comes in time, though the second has mended the object."""
    labels, walk = segment(two_large()), widget.controller.walk
    press("N")
    first = walk.stop
    y, x = (part.start for part in first.box)
    qtbot.mouseClick(widget.correct_panel.tools.buttons["split"], Qt.MouseButton.LeftButton)
    later = []
    walk.mended.connect(later.append)
    for place in [(4, 4), (4, 24), (24, 4)]:
        canvas.click(y + place[0], x + place[1])
    assert later == [True, True]
    assert len({int(labels.data[y + dy, x + dx]) for dy, dx in [(4, 4), (4, 24), (24, 4)]}) == 3
    qtbot.waitUntil(lambda: walk.stop is not first)
