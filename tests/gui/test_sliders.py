"""The sliders moved with a real mouse: what is in view follows, the rest when they rest; put back, fitted, hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_unet.models.store import save_model

DIM = 46  # of 100: found from a sensitivity of 0.83 on


def spots() -> np.ndarray:
    """Sixteen squares, the right half of them faint."""
    image = np.zeros((100, 100), np.float32)
    for y in range(10, 90, 20):
        for x in range(10, 90, 20):
            image[y : y + 9, x : x + 9] = DIM / 100 if x > 40 else 1
    return image


@pytest.fixture
def labels(widget: Any, viewer: Any, click: Any, wait_idle: Any, look: Any) -> Any:
    viewer.add_image(spots(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    look()
    panel = widget.segment_panel.adjust
    if not panel.fold.isExpanded():
        panel.fold.expand(animate=False)
    return viewer.layers["image objects"]


def n_objects(layer: Any) -> int:
    return len(np.unique(layer.data)) - 1


def drag(qtbot: Any, slider: Any, value: float) -> None:
    """Take the handle and draw it there."""
    inner = slider._slider
    half, width = 8, inner.rect().width() - 16

    def at(v: float) -> QPoint:
        return QPoint(round(half + width * v / slider.maximum()), inner.rect().center().y())

    qtbot.mousePress(inner, Qt.MouseButton.LeftButton, pos=at(slider.value()))
    for share in (0.25, 0.5, 0.75, 1.0):
        qtbot.mouseMove(inner, at(slider.value() + share * (value - slider.value())))
        qtbot.wait(60)
    qtbot.mouseMove(inner, at(value))
    qtbot.mouseRelease(inner, Qt.MouseButton.LeftButton, pos=at(value))


def at_rest(qtbot: Any, widget: Any, wait_idle: Any) -> None:
    panel = widget.segment_panel.adjust
    qtbot.waitUntil(lambda: panel._moved is None and widget.controller.sliders._wanted is None)
    qtbot.waitUntil(lambda: not widget.controller.sliders.busy)
    wait_idle(widget)


def test_a_slider_is_dragged_and_reset(labels: Any, widget: Any, qtbot: Any, click: Any, wait_idle: Any) -> None:
    panel = widget.segment_panel.adjust
    assert n_objects(labels) == 8
    assert not panel.reset.isEnabled()
    drag(qtbot, panel.sliders["sensitivity"], 0.95)
    at_rest(qtbot, widget, wait_idle)
    assert n_objects(labels) == 16
    assert ": 16 objects" in widget.messages[-1].text
    assert widget.controller.model.info.decoding.foreground < 0.15
    click(panel.reset)
    at_rest(qtbot, widget, wait_idle)
    assert n_objects(labels) == 8
    assert panel.sliders["sensitivity"].value() == pytest.approx(0.5)
    assert not panel.reset.isEnabled()


def test_the_smallest_object_is_typed(labels: Any, widget: Any, qtbot: Any, wait_idle: Any) -> None:
    slider = widget.segment_panel.adjust.sliders["smallest"]
    slider.setValue(30)
    at_rest(qtbot, widget, wait_idle)
    assert n_objects(labels) == 0
    assert widget.messages[-1].text.startswith("Smallest object 30 pixels wide: 0 objects")


def test_a_stroke_stays_and_is_fitted_to(
    labels: Any, widget: Any, canvas: Any, qtbot: Any, click: Any, wait_idle: Any
) -> None:
    panel = widget.segment_panel.adjust
    labels.mode, labels.brush_size = "paint", 9
    for y in (14, 34, 54):
        canvas.drag((y, 54), (y + 1, 55))
    wait_idle(widget)
    painted = labels.data.copy()
    assert n_objects(labels) == 11
    click(panel.fit)
    at_rest(qtbot, widget, wait_idle)
    qtbot.waitUntil(lambda: not widget.controller.fit.busy)
    at_rest(qtbot, widget, wait_idle)
    touched = np.isin(painted, sorted(widget.controller.session.corrections.touched)) & (painted > 0)
    assert np.array_equal(labels.data[touched], painted[touched])
    assert widget.messages[-1].level == "done"


def test_classes_have_no_sliders(widget: Any, make_model: Any) -> None:
    widget.show_tab("Segment")
    assert widget.segment_panel.adjust.isVisible()
    save_model(make_model("classes", task="semantic", outputs=("class_0", "class_1")), "classes")
    assert widget.controller.choose_model("classes")
    assert not widget.segment_panel.adjust.isVisible()
    assert widget.controller.choose_model("tiny")
    assert widget.segment_panel.adjust.isVisible()


def test_after_opening_a_project_a_slider_answers_at_once(
    labels: Any, widget: Any, viewer: Any, qtbot: Any, wait_idle: Any, tmp_path: Any, look: Any
) -> None:
    assert widget.controller.projects.save(tmp_path / "cells.unetproj")
    wait_idle(widget)
    viewer.layers.clear()
    assert widget.controller.projects.open(tmp_path / "cells.unetproj")
    wait_idle(widget)
    look()
    session = widget.controller.session
    qtbot.waitUntil(lambda: session.maps.part_at(0, (0, 50, 50)) is not None)
    drag(qtbot, widget.segment_panel.adjust.sliders["sensitivity"], 0.95)
    at_rest(qtbot, widget, wait_idle)
    assert n_objects(session.labels_layer) == 16
