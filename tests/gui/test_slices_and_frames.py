"""Labels from elsewhere, suggestions between slices, objects carried on and lost ones taken: with mouse and keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_unet._qt.panels.propagation import GivenLabelsButton, SlicesAndFrames
from napari_unet.projects.project import Project

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def begin(widget: Any, viewer: Any, click: Any, qtbot: Any, look: Any) -> Any:
    """Open an image and labels (N, 80, 80), and correct these; return the labels layer and the fold."""

    def it(labels: np.ndarray, axes: str) -> tuple[Any, Any]:
        viewer.add_image(np.zeros(labels.shape, np.float32), name="image")
        widget.controller.set_axes(axes)
        viewer.add_labels(labels, name="given")
        button = widget.findChild(GivenLabelsButton)
        widget.tabs.setCurrentIndex(1)
        qtbot.waitUntil(button.isVisible)
        click(button)
        qtbot.waitUntil(lambda: widget.controller.session is not None)
        assert not button.isVisible()
        fold = widget.findChild(SlicesAndFrames)
        fold.expand(animate=False)
        qtbot.waitUntil(lambda: not fold.link.visibleRegion().isEmpty())
        look()
        return viewer.layers["image objects"], fold

    return it


@pytest.fixture
def point(canvas: Any, qtbot: Any) -> Any:
    def at(y: float, x: float) -> None:
        qtbot.wait(60)  # vispy and napari both thin out moves in quick succession
        canvas.point_at(y, x)

    return at


def stack() -> np.ndarray:
    labels = np.zeros((5, 80, 80), np.uint16)
    labels[[0, 4], 20:40, 20:40] = 3
    labels[:, 50:70, 50:70] = 8
    return labels


def test_slices_between_are_suggested_and_taken_with_keys(widget, viewer, begin, canvas, point, qtbot, click, errors):
    layer, fold = begin(stack(), "ZYX")
    viewer.dims.set_point(0, 0)
    point(30, 30)
    canvas.key(Qt.Key.Key_J)
    qtbot.waitUntil(lambda: widget.controller.ghosts.count == 3)
    assert fold.take_all.isVisible()
    assert fold.suggested.text() == "3 outlines suggested"
    assert np.array_equal(layer.data, stack())
    viewer.dims.set_point(0, 2)
    assert viewer.layers["image suggested"].data.max() == 2
    point(30, 30)
    canvas.key(Qt.Key.Key_G)
    assert (layer.data[2] == stack()[0]).all()
    click(fold.take_all)
    assert (layer.data == stack()[0]).all()
    assert not fold.take_all.isVisible()
    viewer.layers.selection.active = layer
    canvas.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    canvas.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, stack())
    assert errors(widget) == []


def test_an_object_is_carried_on_with_one_key(widget, viewer, begin, canvas, point, qtbot, errors):
    layer, fold = begin(stack(), "ZYX")
    assert not fold.tracks.isVisible()
    viewer.dims.set_point(0, 0)
    point(30, 30)
    canvas.key(Qt.Key.Key_K)
    assert viewer.dims.current_step[0] == 1
    point(30, 30)
    canvas.key(Qt.Key.Key_K)
    assert (layer.data[:3] == stack()[0]).all()
    point(5, 5)
    canvas.key(Qt.Key.Key_K)
    assert errors(widget) == ["There is no object under the cursor. Point at one, and press the key again."]


def test_frames_are_linked_lost_objects_taken_and_tracks_drawn(
    widget, viewer, begin, canvas, point, qtbot, click, errors
):
    labels = np.zeros((3, 80, 80), np.uint16)
    labels[0, 20:40, 20:40], labels[0, 50:70, 50:70] = 1, 2
    labels[1, 52:72, 50:70] = 1
    labels[2, 54:74, 50:70] = 5
    layer, fold = begin(labels, "TYX")
    assert fold.link.text() == "Link in time"
    click(fold.link)
    qtbot.waitUntil(lambda: [np.unique(frame).tolist() for frame in layer.data] == [[0, 1, 2], [0, 2], [0, 2]])
    viewer.dims.set_point(0, 1)
    fold.lost.click()
    qtbot.waitUntil(lambda: len(widget.controller.ghosts.in_plane((1, 0))) == 1)
    point(30, 30)
    canvas.key(Qt.Key.Key_G)
    assert np.unique(layer.data[1]).tolist() == [0, 1, 2]
    click(fold.tracks)
    qtbot.waitUntil(lambda: "image tracks" in viewer.layers)
    assert viewer.layers["image tracks"].data.shape == (5, 4)
    assert errors(widget) == []


def test_the_second_window_says_that_it_may_only_look(
    widget, viewer, begin, click, qtbot, wait_idle, another_window, tmp_path, monkeypatch, errors
):
    layer, _ = begin(stack(), "ZYX")
    saved = {"as": str(tmp_path / "a.unetproj")}
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (saved["as"], ""))
    click(widget.image_panel.project.save)
    wait_idle(widget)
    second = another_window()
    second.controller.open(tmp_path / "a.unetproj")
    wait_idle(second)
    qtbot.waitUntil(lambda: second.controller.session is not None)
    wait_idle(second)
    row = second.image_panel.project
    assert row.save.text() == "Save as…"
    assert "open in another window" in second.messages[-1].text
    saved["as"] = str(tmp_path / "b.unetproj")
    click(row.save)
    wait_idle(second)
    assert row.save.text() == "Save"
    assert np.array_equal(Project.open(tmp_path / "b.unetproj").labels, layer.data)
    assert errors(second) == []
