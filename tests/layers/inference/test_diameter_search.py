"""While it is measured how wide objects are, the window waits for nothing, and nothing is made that has to go again."""

from __future__ import annotations

from typing import Any

import pytest

from hand_made import bright, squares
from napari_unet.errors import ImageError
from napari_unet.layers.inference import diameter_search as module
from napari_unet.models.store import save_model


@pytest.fixture
def measuring(later: Any, viewer: Any) -> Any:
    """A controller that was told to segment an image, and has begun to measure it."""
    save_model(bright(diameter=5), "sized")
    assert later.choose_model("sized")
    viewer.add_image(squares(), name="image")
    later.messages.clear()
    assert later.segment()
    return later


def names(controller: Any) -> list[str]:
    return [layer.name for layer in controller.viewer.layers]


def said(controller: Any) -> list[str]:
    return [message.text for message in controller.messages]


def test_the_click_adds_no_layer_before_it_is_measured(measuring):
    assert measuring.busy
    assert names(measuring) == ["image"]
    assert said(measuring) == ["Looking how wide the objects are."]
    assert not measuring.segment(), "one at a time"
    measuring.runner.finish(0)
    assert names(measuring) == ["image", "image objects"]
    assert measuring.segmenter.works_on(measuring.session)
    measuring.runner.finish(1)
    assert not measuring.busy
    assert "Found 3 objects" in said(measuring)[-1]


def test_stop_leaves_no_layer(measuring):
    measuring.stop_segmenting()
    assert measuring.busy, "until the worker has stopped"
    measuring.runner.finish(0)
    assert not measuring.busy
    assert names(measuring) == ["image"]
    assert said(measuring)[-1] == "Stopped. Press Segment to do the rest."
    assert measuring.segment(), "it can be begun again"


def test_an_image_that_is_removed_meanwhile(measuring):
    measuring.viewer.layers.remove("image")
    measuring.runner.finish(0)
    assert not measuring.busy
    assert names(measuring) == []
    assert measuring.session is None


def test_another_image_that_is_chosen_meanwhile_is_not_segmented(measuring):
    measuring.choose_layer(measuring.viewer.add_image(squares(), name="other"))
    measuring.runner.finish(0)
    assert not measuring.busy
    assert names(measuring) == ["image", "other"]


def test_another_model_that_is_chosen_meanwhile(measuring):
    assert measuring.choose_model("bright")
    assert not measuring.busy
    measuring.runner.finish(0)
    assert names(measuring) == ["image"], "what comes late is dropped"
    assert measuring.segment()
    measuring.runner.finish(1)
    assert "Found 3 objects" in said(measuring)[-1]


def test_labels_that_are_removed_meanwhile_are_not_made_again(measuring):
    measuring.runner.finish(0)
    measuring.runner.finish(1)
    measuring.viewer.layers["image"].data = squares((70, 70))  # to be measured anew
    measuring.viewer.layers["image objects"].data = squares((70, 70)).astype("int32") * 0
    assert measuring.segment()
    assert measuring.runner.jobs[-1].job.title == "Measure the objects"
    measuring.viewer.layers.remove("image objects")
    measuring.runner.finish()
    assert "image objects" not in names(measuring)
    assert not measuring.busy


def test_what_cannot_be_measured_is_segmented_all_the_same(later: Any, viewer: Any, monkeypatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ImageError("No.")

    monkeypatch.setattr(module, "find_diameter", fails)
    save_model(bright(diameter=5), "sized")
    assert later.choose_model("sized")
    viewer.add_image(squares(), name="image")
    assert later.segment()
    later.runner.finish(0)
    later.runner.finish(1)
    assert "Found 3 objects" in said(later)[-1]


def test_nothing_is_told_after_the_window_was_closed(measuring):
    measuring.close()
    told = said(measuring)
    measuring.runner.finish(0)
    assert said(measuring) == told
    assert names(measuring) == ["image"]
