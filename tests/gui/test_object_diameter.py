"""The object diameter in the panel."""

from __future__ import annotations

from dataclasses import replace

from hand_made import bright, squares
from napari_unet.models.model import Model


def test_it_is_shown_where_it_matters_and_can_be_said(widget, viewer):
    viewer.add_image(squares(), name="image")
    controller, panel = widget.controller, widget.segment_panel
    controller.use_model(bright())
    assert panel.diameter.isHidden()
    controller.use_model(bright(diameter=5))
    assert not panel.diameter.isHidden()
    assert panel.diameter.text() == "auto"
    assert "about 5 pixels best" in panel.diameter.toolTip()
    panel.diameter.setValue(10)
    assert controller.object_diameter.said == 10
    assert panel.diameter.text() == "10 px"
    panel.diameter.setValue(0)
    assert controller.object_diameter.said is None


def test_what_was_learned_is_shown_and_each_image_has_its_own(widget, viewer):
    model = bright(diameter=5)
    first = viewer.add_image(squares(), name="image")
    controller, panel = widget.controller, widget.segment_panel
    controller.use_model(replace(model, info=model.info.model_copy(update={"image_diameter": 61.4})))
    assert isinstance(controller.model, Model)
    assert panel.diameter.text() == "auto: 61 px"
    panel.diameter.setValue(30)
    viewer.layers.selection.active = viewer.add_image(squares(), name="other")
    assert panel.diameter.text() == "auto: 61 px"
    viewer.layers.selection.active = first
    assert panel.diameter.text() == "30 px"


def test_what_was_found_is_shown_and_can_be_changed(widget, viewer, click, wait_idle):
    viewer.add_image(squares(), name="image")
    controller, panel = widget.controller, widget.segment_panel
    controller.use_model(bright(diameter=5))
    assert panel.diameter.text() == "auto"
    click(widget.segment_panel.flips)
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert panel.diameter.text() == "auto: ~11 px"
    assert controller.session.image.found_diameter == controller.object_diameter.found
    assert controller.prepare()[1].flips
    panel.diameter.stepUp()
    assert controller.object_diameter.said == 12, "the arrows go on from what was found"
    panel.diameter.setValue(0)
    assert panel.diameter.text() == "auto: ~11 px"
