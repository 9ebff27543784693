"""A model from nothing, from New model to a segmented image, without a window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from hand_made import bright
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.learning import from_scratch


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def controller(viewer):
    controller = Controller(viewer, InlineRunner())
    controller.said_so_far = []
    controller.workspace.said.connect(lambda message: controller.said_so_far.append((message.level, message.text)))
    return controller


@pytest.fixture
def short(monkeypatch):
    """Learn in a few small steps."""
    config = from_scratch.from_scratch_config

    def few(model, *_, **changes):
        patch = (48, 48) if model.info.spec.ndim == 2 else (8, 32, 32)
        limits = {"steps": 150, "max_seconds": None, "batch_size": 2, "patch": patch}
        return config(model, **(changes | limits))

    monkeypatch.setattr("napari_unet.learning.interactive.from_scratch_config", few)


def squares(shape=(96, 96)):
    """Bright squares in three rows of three."""
    image = np.random.default_rng(0).normal(0, 0.05, shape).astype(np.float32)
    for y in (10, 42, 74):
        for x in (10, 42, 74):
            image[..., y : y + 12, x : x + 12] += 1
    return image


def test_new_model_paint_learn_and_segment(viewer, controller, short):
    viewer.add_image(squares(), name="image")
    assert controller.new_model("mine", "instances")
    labels = viewer.layers["image objects"]
    assert viewer.layers.selection.active == labels
    assert (labels.mode, labels.selected_label) == ("paint", 1)
    assert not labels.data.any()
    assert controller.said_so_far[-1] == (
        "info",
        "Paint a few whole objects, each with its own label (M: next label), then press Learn.",
    )
    labels.data[10:22, 10:22], labels.data[42:54, 42:54] = 1, 2
    assert controller.learn()
    assert controller.model.name == "mine"
    assert not controller.model.info.is_untrained
    assert controller.said_so_far[-1][1].startswith("In use. It has learned for the first time")
    assert controller.segment()
    assert len(np.unique(labels.data)) - 1 == 9
    assert [level for level, _ in controller.said_so_far].count("error") == 0


def test_what_was_corrected_before_is_kept(viewer, controller, short):
    """A model that was wrong is left behind; the objects that were drawn over its result are not."""
    viewer.add_image(squares(), name="image")
    controller.use_model(bright())
    assert controller.segment()
    old = viewer.layers["image objects"]
    assert old.data.max() == 9
    old.data[10:24, 10:26] = 77  # larger than it was found
    old.data[40:56, 40:56] = 0
    controller.refresh_corrections(everything=True)
    controller.session.review(0, (slice(0, 1), slice(70, 96), slice(0, 30)), np.ones((1, 26, 30), bool))
    assert controller.new_model("mine", "instances")
    new = controller.session.labels_layer
    assert new is not old
    assert not old.visible
    assert new.data[12, 12] == 77
    assert new.data[76, 12] > 0, "accepted as it was found"
    assert len(np.unique(new.data)) - 1 == 2, "what only the model said is gone"
    supervised = controller.session.corrections.supervised(controller.session.labels, (0, 0))
    assert supervised[46:50, 46:50].all(), "what was erased is known to be background"
    assert not supervised[76, 46], "and what was not looked at is not"
    assert controller.session.summary.reviewed_share > 0
    assert controller.said_so_far[-1] == ("info", "Your corrections were kept (2 objects). Press Learn.")
    assert controller.learn()
    assert not controller.model.info.is_untrained


@pytest.mark.parametrize(("classes", "kept"), [(("background", "square"), True), (("ground", "other"), False)])
def test_strokes_of_the_same_classes_are_kept(viewer, controller, classes, kept):
    viewer.add_image(squares(), name="image")
    assert controller.new_model("first", "semantic", classes=("background", "square"))
    viewer.layers["image classes"].data[12:20, 12:20] = 2
    controller.refresh_corrections(everything=True)
    assert controller.new_model("second", "semantic", classes=classes)
    assert (controller.session.labels_layer.data[14, 14] == 2) == kept
    assert ("1 class)" in controller.said_so_far[-1][1]) == kept


def test_segment_with_an_untrained_model_paints_nothing_and_says_so(viewer, controller):
    viewer.add_image(squares(), name="image")
    controller.new_model("mine", "instances")
    viewer.layers.remove("image objects")
    assert not controller.segment()
    assert controller.said_so_far[-1][1].startswith("Nothing is learned yet. Paint a few whole objects")
    assert not controller.busy
    labels = viewer.layers["image objects"]
    assert not labels.data.any()
    labels.data[10:22, 10:22] = 5
    labels.mode, labels.selected_label = "pan_zoom", 6
    assert not controller.segment()
    assert (labels.mode, labels.selected_label) == ("pan_zoom", 6), "who has begun to paint is left in peace"
    assert (labels.data[10:22, 10:22] == 5).all()


def test_learn_before_anything_is_painted(viewer, controller):
    viewer.add_image(squares(), name="image")
    controller.new_model("mine", "instances")
    assert not controller.learn()
    assert controller.said_so_far[-1][1].startswith("Nothing is corrected or reviewed yet. Paint")


def test_classes(viewer, controller, short):
    viewer.add_image(squares(), name="image")
    assert controller.new_model("mine", "semantic", classes=("background", "square"))
    labels = viewer.layers["image classes"]
    assert "(label 1 for background, 2 for square)" in controller.said_so_far[-1][1]
    labels.data[12:20, 12:20] = 2
    controller.learn()
    assert controller.said_so_far[-1][0] == "error"
    assert "at least two of the classes" in controller.said_so_far[-1][1]
    assert controller.model.info.is_untrained
    labels.data[24:40, :] = 1
    controller.learn()
    controller.segment()
    assert set(np.unique(labels.data)) == {1, 2}
    assert ((labels.data == 2) == (squares() > 0.5)).mean() > 0.95


@pytest.mark.parametrize("ndim", [2, 3])
def test_stacks(viewer, controller, short, ndim):
    viewer.add_image(squares((6, 96, 96)), name="stack", scale=(2, 1, 1), units=("um", "um", "um"))
    assert controller.new_model("mine", "instances", ndim)
    assert controller.model.info.pixel_size == (2.0, 1.0, 1.0)[-ndim:]
    assert ("in all its slices" in controller.said_so_far[-1][1]) == (ndim == 3)
    viewer.layers["stack objects"].data[2, 10:22, 10:22] = 1
    assert controller.learn()
    assert controller.model.info.recipe["steps"] == 150


def test_another_models_result_is_put_aside(viewer, controller, bright_model):
    viewer.add_image(squares(), name="image")
    controller.use_model(bright_model())
    controller.segment()
    first = viewer.layers["image objects"]
    assert first.data.any()
    controller.new_model("mine", "instances")
    assert not first.visible
    assert first.data.any()
    assert controller.session.labels_layer.name == "image objects [1]"
    assert not controller.session.labels_layer.data.any()


def test_going_back_to_nothing_paints_nothing(viewer, controller, short):
    viewer.add_image(squares(), name="image")
    controller.new_model("mine", "instances")
    labels = viewer.layers["image objects"]
    labels.data[10:22, 10:22] = 1
    controller.learn()
    found = labels.data.copy()
    controller.revert()
    assert controller.model.info.is_untrained
    assert np.array_equal(labels.data, found)
    assert controller.said_so_far[-1][1].startswith("Nothing is learned yet.")


def test_what_cannot_be_made_is_told(viewer, controller):
    assert not controller.new_model("mine", "instances")
    assert "There is no image" in controller.said_so_far[-1][1]
    viewer.add_image(squares(), name="image")
    assert not controller.new_model("nuclei", "instances")
    assert controller.said_so_far[-1][1] == "There is a model called 'nuclei' already; choose another name."
    assert not controller.new_model("mine", "instances", 3)
    assert not controller.new_model("mine", "semantic", classes=("background",))
    assert controller.model is None
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image"]


def test_a_saved_one_is_still_untrained(viewer, controller):
    viewer.add_image(squares(), name="image")
    controller.new_model("mine", "instances")
    assert controller.save("mine")
    assert controller.choose_model("mine")
    assert controller.model.info.is_untrained
