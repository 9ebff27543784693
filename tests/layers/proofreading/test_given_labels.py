"""Labels that are in the viewer already become the result to correct."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from hand_made import squares


@pytest.fixture
def image(viewer, controller):
    return viewer.add_image(squares(), name="image")


def given(value: int = 7, dtype: object = np.uint16) -> np.ndarray:
    labels = np.zeros((64, 64), dtype)
    labels[5:20, 5:20], labels[30:50, 30:50] = value, 3
    return labels


def test_labels_become_a_result_and_the_layer_stays_as_it_is(viewer, controller, image):
    layer = viewer.add_labels(given(), name="yesterday")
    assert controller.given_labels.layer == layer
    assert controller.correct_labels()
    session = controller.session
    assert session.labels_layer.name == "image objects"
    assert np.array_equal(session.labels_layer.data, given())
    assert viewer.layers.selection.active == session.labels_layer
    assert not layer.visible
    assert controller.given_labels.layer is None
    assert not session.summary.anything
    assert "2 objects to correct" in controller.messages[-1].text
    session.labels_layer.data_setitem((np.array([10]), np.array([10])), 0)
    assert session.rescan().corrected_objects == 1
    assert np.array_equal(layer.data, given())


def test_gestures_review_learning_and_saving_work_on_them(viewer, controller, image, tmp_path):
    viewer.add_labels(given())
    assert controller.correct_labels()
    session = controller.session
    assert controller.gestures.make("merge", [(10, 10), (40, 40)]) is False, "they lie apart"
    assert controller.gestures.make("split", [(0, 12), (25, 12)])
    assert controller.gestures.make("delete", [(40, 40)])
    assert session.free_id() > 7
    controller.toggle_reviewed("slice")
    assert session.rescan().reviewed_share == 1
    assert session.annotated_crops(controller.model, None)
    assert controller.projects.save(tmp_path / "a")
    assert controller.projects.path.name == "a.unetproj"


def test_segmenting_again_keeps_what_was_corrected(viewer, controller, image):
    viewer.add_labels(given())
    controller.correct_labels()
    layer = controller.session.labels_layer
    layer.data_setitem(np.nonzero(layer.data == 7), 0)
    assert controller.segment()
    assert (layer.data[40:50, 40:50] > 0).all(), "what the model finds replaces what nobody has corrected"
    assert (layer.data[5:9, 5:9] == 0).all()


@pytest.mark.parametrize("make", [
    lambda viewer: viewer.add_labels(da.from_array(given(), chunks=16)),
    lambda viewer: viewer.add_labels([given(), given()[::2, ::2]], multiscale=True),
    lambda viewer: viewer.add_labels(given().astype(bool)),
    lambda viewer: viewer.add_labels(given()[None]),
])  # fmt: skip
def test_lazy_labels_levels_masks_and_further_axes(viewer, controller, image, make):
    layer = make(viewer)
    assert controller.correct_labels(layer)
    assert np.array_equal(controller.session.labels_layer.data > 0, given() > 0)
    assert controller.session.count() == 2


def refused(controller: object, layer: object, words: str) -> None:
    before = controller.session
    assert not controller.correct_labels(layer)
    message = controller.messages[-1]
    assert words in message.text
    assert message.level == "error"
    assert controller.session is before


def test_what_makes_no_sense_is_refused_in_words(viewer, controller, image):
    refused(controller, None, "Select the labels layer")
    refused(controller, image, "Select the labels layer")
    refused(controller, viewer.add_labels(given()[:60]), "The labels are 60 × 64, the image 64 × 64")
    negative = given().astype(np.int16)
    negative[0, 0] = -3
    assert controller.correct_labels(viewer.add_labels(negative))
    assert "negative numbers (-3)" in controller.messages[-1].text
    assert controller.session is None
    controller.choose_layer(None)
    refused(controller, viewer.layers[1], "Open the image")


def test_labels_of_another_result_and_the_overlay_are_no_start(viewer, controller, image):
    controller.segment()
    first = controller.session.labels_layer
    other = viewer.add_image(squares(), name="other")
    controller.choose_layer(other)
    refused(controller, first, "These are the objects of image already")
    viewer.layers.selection.active = first
    assert controller.given_labels.layer is None


def test_a_result_with_corrections_is_not_given_up(viewer, controller, image):
    controller.segment()
    layer = controller.session.labels_layer
    layer.data_setitem((np.array([0]), np.array([0])), 9)
    refused(controller, viewer.add_labels(given()), "image objects has corrections")
    layer.undo()
    controller.session.rescan()
    assert controller.correct_labels(viewer.layers[-1])
    assert controller.session.labels_layer != layer
    assert not layer.visible


def test_what_changes_while_they_are_copied(viewer, later):
    viewer.add_image(squares(), name="image")
    layer = viewer.add_labels(given())
    assert later.correct_labels(layer)
    assert later.given_labels.busy
    assert not later.correct_labels(layer)
    viewer.layers.remove(layer)
    later.runner.finish()
    assert "removed meanwhile" in later.messages[-1].text
    assert later.session is None
    layer = viewer.add_labels(given())
    assert later.correct_labels(layer)
    viewer.add_image(squares(), name="other")
    later.runner.finish()
    assert "Another image was chosen meanwhile" in later.messages[-1].text
    assert later.session is None
    later.close()


def test_labels_of_a_model_of_classes_are_classes(viewer, controller, image):
    assert controller.choose_model("classes")
    controller.correct_labels(viewer.add_labels((given() > 0).astype(np.uint8)))
    assert not controller.session.corrections.instances
    assert controller.session.labels_layer.data.max() == 1
