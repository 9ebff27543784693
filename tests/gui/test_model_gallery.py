"""Which model? with the mouse, in a real window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet.layers.inference import model_gallery
from napari_unet.models.store import save_model

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def gallery(widget: Any, viewer: Any, squares: Any, make_model: Any, monkeypatch: Any) -> Any:
    """An image of nine squares is open, and two models can be tried on it: one finds them, the other nothing."""
    save_model(make_model("blind", threshold=9.0), "blind")
    monkeypatch.setattr(model_gallery, "models_for", lambda image, channel=None: ["blind", "tiny"])
    assert widget.controller.choose_model("blind")
    viewer.add_image(squares(), name="image")
    return widget.image_panel.gallery


def ask(widget: Any, qtbot: Any, click: Any) -> None:
    click(widget.image_panel.which)
    qtbot.waitUntil(lambda: not widget.controller.gallery.busy)


def card(gallery: Any, name: str) -> Any:
    items = [gallery.list.item(row) for row in range(gallery.list.count())]
    return next(item for item in items if item.text().startswith(name))


def test_pictures_come_and_one_click_takes_another_model(widget, viewer, gallery, qtbot, click, wait_idle):
    ask(widget, qtbot, click)
    assert gallery.isVisible()
    assert gallery.list.count() == 2
    assert gallery.selected() == "tiny", "the best guess is selected"
    assert card(gallery, "blind").text().endswith("finds nothing")
    assert "9 objects" in card(gallery, "tiny").text()
    assert "(in use)" in card(gallery, "blind").text()
    click(gallery.use_and_segment)
    assert not gallery.isVisible()
    wait_idle(widget)
    assert widget.controller.model.name == "tiny"
    assert widget.image_panel.model.currentText() == "tiny"
    assert len(np.unique(viewer.layers["image objects"].data)) == 10


def test_another_card_is_chosen_with_the_mouse(widget, gallery, qtbot, click):
    assert widget.controller.choose_model("tiny")
    ask(widget, qtbot, click)
    rect = gallery.list.visualItemRect(card(gallery, "blind"))
    qtbot.mouseClick(gallery.list.viewport(), LEFT, pos=rect.center())
    assert gallery.selected() == "blind"
    click(gallery.use)
    assert widget.controller.model.name == "blind"
    assert widget.controller.session is None, "nothing is segmented"


def test_with_keys_alone(widget, gallery, qtbot, click, wait_idle):
    ask(widget, qtbot, click)
    assert gallery.list.hasFocus() or not gallery.isActiveWindow()
    qtbot.keyClick(gallery.list, Qt.Key.Key_Right)
    assert gallery.selected() == "blind"
    qtbot.keyClick(gallery.list, Qt.Key.Key_Left)
    qtbot.keyClick(gallery.list, Qt.Key.Key_Return)
    wait_idle(widget)
    assert widget.controller.model.name == "tiny"
    assert widget.controller.session is not None


def test_closing_changes_nothing(widget, gallery, qtbot, click):
    click(widget.image_panel.which)
    qtbot.keyClick(gallery, Qt.Key.Key_Escape)
    assert not gallery.isVisible()
    assert not widget.controller.gallery.busy
    assert widget.controller.model.name == "blind"


def test_another_image_is_tried_at_once(widget, viewer, gallery, squares, qtbot, click):
    ask(widget, qtbot, click)
    viewer.add_image(squares(n=2), name="other")
    qtbot.waitUntil(lambda: not widget.controller.gallery.busy)
    assert "4 objects" in card(gallery, "tiny").text()


def test_without_an_image_it_says_so(widget, qtbot, click):
    click(widget.image_panel.which)
    gallery = widget.image_panel.gallery
    assert "There is no image to segment" in gallery.label.text()
    assert not gallery.use.isEnabled()
    assert not gallery.use_and_segment.isEnabled()
    click(gallery.shut)


def test_a_nan_image_is_no_success(widget, viewer, gallery, click, wait_idle):
    viewer.add_image(np.full((64, 64), np.nan, np.float32), name="nan", contrast_limits=(0, 1))
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.messages[-1].level == "warning"
    assert widget.messages[-1].text.startswith("Found 0 objects. No pixel in view is a number")
    assert "#6abf69" not in widget.status.label.styleSheet()


def test_one_click_says_what_the_planes_are(widget, viewer, squares, click):
    row = widget.image_panel.question
    assert not row.isVisible()
    viewer.add_image(squares((8, 96, 96)), name="stack")
    assert row.isVisible()
    assert not row.buttons["CYX"].isVisible(), "nobody has eight channels"
    click(row.buttons["TYX"])
    assert not row.isVisible()
    assert widget.controller.axes == "TYX"
    assert widget.image_panel.axes.currentText() == "TYX"
