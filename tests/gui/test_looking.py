"""Reviewed by keys and menu, the overlay and where to look next, in a real viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_unet.layers.preferences import DEFAULTS
from napari_unet.models.store import save_model

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def segment(widget: Any, viewer: Any, click: Any, wait_idle: Any) -> Any:
    """Segments a new image; returns its labels layer."""

    def made(data: Any, name: str = "image") -> Any:
        viewer.add_image(data, name=name)
        click(widget.segment_panel.button)
        wait_idle(widget)
        return widget.controller.session.labels_layer

    return made


def overlay_of(viewer: Any, name: str = "image reviewed") -> Any:
    return next((layer for layer in viewer.layers if layer.name == name), None)


def reviewed(widget: Any) -> Any:
    return widget.controller.session.corrections.reviewed


# -- keys ------------------------------------------------------------------------------------------------------------


def test_keys_are_free_in_napari(viewer):
    assert str(default_shortcuts["napari:reset_view"][0]) == "Ctrl+R", "that is how napari writes keys"
    ours = {key.replace("-", "+") for key in DEFAULTS["keys"].values()}
    for keymap in (viewer.keymap, viewer.class_keymap, Labels.class_keymap, Image.class_keymap):
        assert not ours & {str(key) for key in keymap}


def test_reviewed_by_keys(look, segment, widget, viewer, squares, canvas, wait_idle):
    labels = segment(squares((3, 96, 96)))
    look()
    viewer.dims.set_current_step(0, 1)
    canvas.key(Qt.Key.Key_R, SHIFT)
    assert reviewed(widget)[0].reshape(3, -1).all(axis=1).tolist() == [False, True, False]
    canvas.key(Qt.Key.Key_R, SHIFT)
    assert not reviewed(widget).any()
    canvas.press(16, 16)
    canvas.release(16, 16)
    canvas.key(Qt.Key.Key_T)
    assert widget.status.text() == "Reviewed: this object counts as right."
    assert reviewed(widget)[0, 1][labels.data[1] == labels.data[1, 16, 16]].all()
    assert not reviewed(widget)[0, 1, 40:].any()
    canvas.press(30, 30)
    canvas.release(30, 30)
    canvas.key(Qt.Key.Key_T)
    assert widget.status.text().startswith("There is no object under the cursor.")
    wait_idle(widget)


def test_reviewed_by_the_menu(segment, widget, squares, look):
    segment(squares((3, 96, 96)))
    look()
    view, plane, under_cursor = widget.correct_panel.more.menu().actions()
    plane.trigger()
    assert reviewed(widget)[0, widget.controller.session.plane[1]].all()
    assert reviewed(widget).mean() == pytest.approx(1 / 3)
    view.trigger()
    assert not reviewed(widget).any()
    assert not under_cursor.isEnabled(), "it says which key to press"


# -- the overlay -----------------------------------------------------------------------------------------------------


def test_overlay_while_painting(look, segment, widget, viewer, squares, canvas, wait_idle):
    labels = segment(squares())
    look()
    labels.mode, labels.selected_label, labels.brush_size = "paint", 50, 3
    canvas.drag((30, 30), (30, 40))
    wait_idle(widget)
    overlay = overlay_of(viewer)
    assert overlay is not None
    assert viewer.layers.selection.active == labels
    assert labels.mode == "paint"
    shown = np.count_nonzero(overlay.data)
    assert shown == (labels.data == 50).sum()
    canvas.drag((60, 30), (60, 40))
    wait_idle(widget)
    assert np.count_nonzero(overlay.data) == (labels.data == 50).sum() > shown
    canvas.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    wait_idle(widget)
    assert np.count_nonzero(overlay.data) == shown


def test_overlay_comes_while_the_mouse_is_down(look, segment, widget, viewer, squares, canvas, wait_idle):
    labels = segment(squares())
    look()
    labels.mode, labels.selected_label, labels.brush_size = "paint", 50, 3
    canvas.press(30, 30)
    canvas.move(30, 35)
    wait_idle(widget)  # the hand rests, the button is down
    assert overlay_of(viewer) is not None
    canvas.move(30, 50)
    canvas.release(30, 50)
    wait_idle(widget)
    assert (labels.data[30, 30:51] == 50).all(), "the stroke went on"
    assert not (overlay_of(viewer).data == 50).any()


def test_overlay_is_no_edit_target(look, segment, widget, viewer, squares, canvas, click, wait_idle):
    labels = segment(squares())
    look()
    click(widget.correct_panel.reviewed)
    wait_idle(widget)
    overlay = overlay_of(viewer)
    viewer.layers.selection.active = overlay
    overlay.mode = "paint"
    assert overlay.mode == "pan_zoom"
    before = overlay.data.copy(), labels.data.copy()
    canvas.drag((30, 30), (30, 40))
    assert np.array_equal(overlay.data, before[0])
    assert np.array_equal(labels.data, before[1])
    assert widget.controller.layer == viewer.layers["image"]
    images = [widget.image_panel.image.itemText(i) for i in range(widget.image_panel.image.count())]
    assert images == ["image"]
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert len(viewer.layers) == 3


def test_overlay_by_its_checkbox(segment, widget, viewer, squares, click, wait_idle):
    labels = segment(squares())
    box = widget.correct_panel.overlay
    assert box.isChecked()
    click(widget.correct_panel.reviewed)
    assert overlay_of(viewer) is not None
    box.click()
    assert overlay_of(viewer) is None
    box.click()
    assert overlay_of(viewer) is not None
    assert viewer.layers.selection.active == labels
    viewer.layers.remove(overlay_of(viewer))
    assert not box.isChecked()
    wait_idle(widget)
    assert overlay_of(viewer) is None


@pytest.mark.parametrize("how", ["image", "all", "selected", "key"])
def test_overlay_goes_with_its_image(segment, widget, viewer, squares, click, wait_idle, how, qtbot, canvas):
    segment(squares())
    click(widget.correct_panel.reviewed)
    wait_idle(widget)
    if how == "image":
        viewer.layers.remove("image")
    elif how == "all":
        viewer.layers.clear()
    else:
        viewer.layers.selection = {viewer.layers["image"], viewer.layers["image objects"]}
        if how == "selected":
            viewer.layers.remove_selected()
        else:
            canvas.key(Qt.Key.Key_Delete, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: overlay_of(viewer) is None)
    assert widget.correct_panel.overlay.isChecked()


def test_overlay_stays_when_the_dock_is_closed(segment, widget, viewer, squares, click):
    segment(squares((3, 96, 96)))
    click(widget.correct_panel.reviewed)
    viewer.window.remove_dock_widget("all")
    QApplication.processEvents()
    viewer.dims.set_current_step(0, 2)
    assert overlay_of(viewer) is not None


# -- class 0 ---------------------------------------------------------------------------------------------------------


def test_class_0_is_asked_of_classes_only(segment, widget, squares, make_model, click, wait_idle):
    zero = widget.correct_panel.zero
    segment(squares())
    assert zero.isHidden()
    save_model(make_model(task="semantic", outputs=("class_0", "class_1")), "classes")
    assert widget.controller.choose_model("classes")
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert not zero.isHidden()
    assert zero.currentText() == "Class 0 is background"
    zero.setCurrentIndex(1)
    zero.activated.emit(1)
    assert not widget.controller.session.corrections.zero_is_background


# -- the panel -----------------------------------------------------------------------------------------------------


def test_the_panel_fits_its_least_width(segment, widget, squares, click):
    segment(squares())
    click(widget.correct_panel.reviewed)
    panel = widget.correct_panel
    for name in ("reviewed", "overlay", "zero"):
        part = getattr(panel, name)
        assert part.sizeHint().width() <= 264
    assert panel.reviewed.sizeHint().width() + panel.more.width() <= 264
    walk = widget.walk_panel
    assert sum(part.minimumSizeHint().width() for part in (walk.previous, walk.accept, walk.next)) + 4 <= 288
