"""The workspace, the history of models and the changes that wait, each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import bright, squares
from napari_unet.errors import UNetError
from napari_unet.layers.model_history import ModelHistory
from napari_unet.layers.session.deferred import DeferredChanges
from napari_unet.layers.session.session import LayerSession
from napari_unet.layers.workspace import Workspace
from napari_unet.learning.gate import Verdict
from napari_unet.learning.history import Generation


@pytest.fixture
def history() -> Any:
    history = ModelHistory()
    yield history
    history.close()


def learned(name: str) -> Generation:
    return Generation(bright(name, threshold=len(name) / 10), Verdict(None))


@pytest.mark.parametrize(
    ("shape", "axes", "told"),
    [
        ((40, 50, 3), "TYX", "The last axis of a colour image is C; got 'TYX', for example 'YXC'."),
        ((40, 50, 3), "CYX", "The last axis of a colour image is C; got 'CYX', for example 'YXC'."),
        (
            (40, 50, 3),
            "YX",
            "The axes 'YX' have 2 letters, but the image has 3 axes (shape (40, 50, 3)); for example 'YXC'.",
        ),
        (
            (40, 50),
            "TYX",
            "The axes 'TYX' have 3 letters, but the image has 2 axes (shape (40, 50)); for example 'YX'.",
        ),
        ((4, 40, 50), "AYX", "The axes 'AYX' have the unknown letter 'A'; known are T, C, Z, Y and X."),
        ((4, 40, 50), "YYX", "The axes 'YYX' name an axis twice."),
        ((4, 40, 50), "TCZ", "The axes 'TCZ' lack Y or X; an image has both."),
        ((4, 40, 50), "", "The axes '' lack Y or X; an image has both."),
        ((4, 40, 50), None, "The axes are None; they must be letters, one for each axis, such as 'ZYX'."),
        ((4, 40, 50), 3, "The axes are 3; they must be letters, one for each axis, such as 'ZYX'."),
    ],
)
def test_axes_that_do_not_fit_are_refused_in_words(viewer: Any, shape: Any, axes: Any, told: str) -> None:
    workspace, said = Workspace(viewer), []
    workspace.said.connect(said.append)
    viewer.add_image(np.zeros(shape, np.uint8), name="a")
    workspace.follow_viewer()
    before = workspace.axes
    assert workspace.set_axes(axes) is False
    assert said[-1].level == "error"
    assert said[-1].text.startswith(told)
    assert workspace.axes == before
    assert workspace.image().axes == before


def test_what_is_no_image_layer_is_not_chosen(viewer: Any) -> None:
    workspace, said = Workspace(viewer), []
    workspace.said.connect(said.append)
    image = viewer.add_image(squares(), name="a")
    workspace.follow_viewer()
    for wrong, name in ((viewer.add_labels(np.zeros((4, 4), int), name="b"), "b"), ("c", "c"), (3, "3")):
        workspace.choose_layer(wrong)
        assert said[-1].text == f"{name} is no image layer. Choose one."
        assert workspace.layer == image


def test_axes_that_fit_are_taken_in_small_letters_too(viewer: Any) -> None:
    workspace = Workspace(viewer)
    assert workspace.set_axes("TYX") is False, "there is no image"
    viewer.add_image(np.zeros((4, 40, 50), np.uint8), name="a")
    workspace.follow_viewer()
    assert workspace.set_axes("tyx") is True
    assert (workspace.axes, workspace.image().axes) == ("TYX", "TYX")


def test_a_workspace_needs_no_helper(viewer: Any) -> None:
    workspace, told = Workspace(viewer), []
    workspace.layer_chosen.connect(lambda: told.append("layer"))
    workspace.image_changed.connect(lambda: told.append("image"))
    workspace.session_closing.connect(lambda session: told.append(session.image.name))
    layer = viewer.add_image(squares(), name="a")
    workspace.follow_viewer()
    assert workspace.layer == layer
    assert told == ["layer", "image"]
    session = workspace.adopt(LayerSession(viewer, layer, workspace.image()))
    assert workspace.session is session
    assert workspace.layer == layer, "labels belong to their image"
    viewer.layers.remove(session.labels_layer)
    assert told == ["layer", "image", "a", "image"]
    assert workspace.session is None
    workspace.leave_viewer()
    workspace.history.close()


def test_a_workspace_without_an_image_says_why(viewer: Any) -> None:
    workspace = Workspace(viewer)
    workspace.follow_viewer()
    with pytest.raises(UNetError, match="There is no image"):
        workspace.image()
    viewer.add_labels(np.zeros((8, 8), int), name="labels")
    with pytest.raises(UNetError, match="is no image layer"):
        workspace.image()
    workspace.leave_viewer()
    workspace.history.close()


def test_what_waits_stays_in_the_history_when_another_model_is_chosen(history: ModelHistory) -> None:
    told = []
    history.none_waits.connect(lambda: told.append(history.waiting))
    history.choose(bright("chosen"))
    first, waiting = learned("new"), learned("waits")
    history.add(first)
    history.let_wait(waiting)
    history.choose(bright("other"))
    assert history.waiting is None
    assert [one.info.name for one in history.generations] == ["chosen", "new", "waits", "other"]
    assert history.earlier is first
    assert told == [None, None]


def test_a_chosen_model_that_was_not_learned_from_makes_room(history: ModelHistory) -> None:
    for name in ("a", "b"):
        history.choose(bright(name))
    assert [one.info.name for one in history.generations] == ["b"]
    assert history.earlier is None


def test_only_the_model_in_use_is_in_memory(history: ModelHistory) -> None:
    history.choose(bright("chosen"))
    first, second = learned("one"), learned("three")
    history.add(first)
    history.add(second)
    history.parking.settle()
    assert [one.in_memory is not None for one in history.generations] == [False, False, True]
    history.use(first)
    assert history.model is first.in_memory
    assert history.current == 1
    assert second.in_memory is None


@pytest.mark.parametrize("everywhere", [False, True])
def test_changes_wait_for_a_stroke_and_for_saving(everywhere: bool) -> None:
    deferred, made = DeferredChanges(), []
    assert not deferred.defer(lambda: made.append("at once"), everywhere=everywhere)
    deferred.stroke = True
    deferred.hold(True)
    assert deferred.defer(lambda: made.append("later"), everywhere=everywhere)
    deferred.hold(False)
    assert not made, "the stroke is not over"
    deferred.end_stroke()
    assert made == ["later"]
    deferred.hold(True)
    assert deferred.defer(lambda: made.append("saved"), everywhere=everywhere) == everywhere
    deferred.hold(False)
    assert made == ["later", *["saved"] * everywhere]


def test_each_layer_keeps_its_channel(viewer: Any, controller: Any) -> None:
    pixels = np.stack([squares() // 9, squares()])
    layers = [viewer.add_image(pixels.copy(), name=name) for name in "ab"]
    workspace, model = controller.workspace, controller.model
    for layer, channel in zip(layers, (1, 0), strict=True):
        workspace.choose_layer(layer)
        assert controller.set_axes("CYX")
        workspace.choose_channel(channel)
        assert controller.segment()
        session = workspace.session
        session.labels_layer.data_setitem(np.nonzero(session.labels_layer.data == session.labels.max()), 0)
        session.labels_layer.data_setitem((np.zeros(9, int), np.arange(9), np.arange(9)), 77)
    assert [workspace.channel_of(layer) for layer in layers] == [1, 0]
    assert [crop.channels for crop in workspace.annotated_crops(model)] == [(1,), (0,)]
    assert [controller.projects.present(session).channel for session in workspace.sessions] == [1, 0]
    workspace.choose_layer(layers[0])
    assert workspace.channel == 1
    assert workspace.session.summary.changed_objects > 0


def test_a_channel_goes_with_the_axes_and_the_pixels_that_it_was_one_of(viewer: Any, controller: Any) -> None:
    layer, workspace = viewer.add_image(np.stack([squares()] * 3), name="a"), controller.workspace
    assert controller.set_axes("CYX")
    workspace.choose_channel(2)
    assert controller.segment()
    layer.data = np.stack([squares()] * 2)
    assert workspace.channel is None, "there is no third channel any more"
    workspace.choose_channel(1)
    layer.data = np.stack([squares() // 2] * 2)
    assert workspace.channel == 1
    assert controller.set_axes("TYX")
    assert workspace.channel is None
    assert controller.messages[-1].text.startswith("The axes are TYX now. The result of before stays as a layer")
    viewer.layers.remove(layer)
    assert workspace.channel is None
    assert workspace._channels == {}
