"""The object diameter in the window: said for an image, learned by a model, taken where it matters."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from hand_made import LaterRunner, bright, squares
from napari_unet.inference.diameter import find_diameter
from napari_unet.inference.policy import RescalingPolicy
from napari_unet.layers.controller import Controller
from napari_unet.layers.inference import diameter_search as search_module
from napari_unet.layers.learning import learner as module
from napari_unet.learning.gate import Verdict
from napari_unet.learning.interactive import Learned, Rescaled
from napari_unet.models.model import Model
from napari_unet.models.store import save_model
from napari_unet.training.config import StepReport


@pytest.fixture
def with_diameter(controller: Any) -> Any:
    save_model(bright(diameter=5), "sized")
    assert controller.choose_model("sized")
    return controller


def test_what_is_said_sets_the_scale(viewer: Any, with_diameter: Any) -> None:
    viewer.add_image(squares(), name="image")
    assert with_diameter.object_diameter.said is None
    assert with_diameter.prepare()[1].zoom == (1.0, 1.0)
    with_diameter.object_diameter.say(10.0)
    assert with_diameter.object_diameter.said == 10
    assert with_diameter.session.image.diameter == 10, "what was corrected is learned at that scale"
    assert with_diameter.prepare()[1].zoom == (0.5, 0.5)
    with_diameter.segment()
    assert "Found 3 objects" in with_diameter.messages[-1].text


def test_each_image_has_its_own(viewer: Any, with_diameter: Any) -> None:
    first, second = viewer.add_image(squares(), name="a"), viewer.add_image(squares(), name="b")
    with_diameter.object_diameter.say(10.0)
    with_diameter.choose_layer(first)
    assert with_diameter.object_diameter.said is None
    with_diameter.choose_layer(second)
    assert with_diameter.object_diameter.said == 10
    with_diameter.object_diameter.say(None)
    assert with_diameter.object_diameter.said is None


def test_a_model_that_knows_none_is_not_told(viewer: Any, with_diameter: Any) -> None:
    viewer.add_image(squares(), name="image")
    with_diameter.prepare()
    with_diameter.object_diameter.say(10.0)
    assert with_diameter.object_diameter.matters
    with_diameter.choose_model("bright")
    assert not with_diameter.object_diameter.matters
    assert with_diameter.session.image.diameter is None
    assert with_diameter.prepare()[1].zoom == (1.0, 1.0)
    with_diameter.choose_model("sized")
    assert with_diameter.session.image.diameter == 10


def test_a_new_scale_is_told_and_kept(viewer: Any, with_diameter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(model: Model, *_: Any, **__: Any) -> Any:
        coarser = Model(model.net, model.info.model_copy(update={"image_diameter": 20.0, "recipe": {"steps": 1}}))
        yield Rescaled(coarser, model)
        yield StepReport(1, 1, 0.5, 1.0)
        return Learned(coarser, Verdict(None))

    monkeypatch.setattr(module, "learning_steps", steps)
    viewer.add_image(squares(), name="image")
    with_diameter.segment()
    labels = viewer.layers["image objects"]
    labels.data_setitem(np.nonzero(labels.data == labels.data[45, 45]), 0)
    assert with_diameter.object_diameter.learned is None
    assert with_diameter.learn()
    said = [message.text for message in with_diameter.messages if "20 pixels wide" in message.text]
    assert said == ["Objects are about 20 pixels wide; learning on a smaller image. Their diameter is under Segment."]
    assert with_diameter.object_diameter.learned == 20
    assert with_diameter.prepare()[1].zoom == (0.25, 0.25)


def test_where_nothing_is_known_it_is_found_before_the_first_tile(viewer: Any, with_diameter: Any) -> None:
    layer = viewer.add_image(squares(), name="image")
    shown: list[float | None] = []
    with_diameter.workspace.image_changed.connect(lambda: shown.append(with_diameter.object_diameter.found))
    with_diameter.messages.clear()
    assert with_diameter.segment()
    told = [message.text for message in with_diameter.messages]
    assert told[0] == "Looking how wide the objects are."
    assert told[1].startswith("Objects are about 11 pixels wide. Segmenting")
    assert "2.3 times smaller" in with_diameter.messages[1].details
    assert "Found 3 objects" in told[-1]
    assert shown[-1] == with_diameter.object_diameter.found == pytest.approx(11.3, abs=0.1)
    assert with_diameter.prepare()[1].zoom == pytest.approx((5 / with_diameter.object_diameter.found,) * 2)
    with_diameter.messages.clear()
    assert with_diameter.segment()
    assert all("Measuring" not in message.text for message in with_diameter.messages), "once is enough"
    with_diameter.object_diameter.say(5.0)
    assert with_diameter.object_diameter.found is None
    assert with_diameter.prepare()[1].zoom == (1.0, 1.0)
    with_diameter.object_diameter.say(None)
    assert with_diameter.prepare()[1].zoom != (1.0, 1.0)
    layer.data = squares((70, 70))
    assert with_diameter.prepare()[1].zoom == (1.0, 1.0), "it is another image"
    assert with_diameter.segment()
    with_diameter.choose_model("sized")
    assert with_diameter.prepare()[1].zoom == (1.0, 1.0), "another model may see it otherwise"


def test_what_is_learned_goes_before_what_was_found(viewer: Any, with_diameter: Any) -> None:
    viewer.add_image(squares(), name="image")
    assert with_diameter.segment()
    found = with_diameter.object_diameter.found
    info = with_diameter.model.info.model_copy(update={"image_diameter": 20.0})
    with_diameter.use_model(
        Model(with_diameter.model.net, with_diameter.model.info.model_copy(update={"name": "better"}))
    )
    assert with_diameter.object_diameter.found == found, "a model that has learned more goes on with it"
    assert with_diameter.session.image.found_diameter == found
    with_diameter.use_model(Model(with_diameter.model.net, info))
    assert (with_diameter.object_diameter.found, with_diameter.object_diameter.learned) == (None, 20)
    assert with_diameter.prepare()[1].zoom == (0.25, 0.25)


def test_a_model_that_learned_another_size_looks_again(
    viewer: Any, with_diameter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Squares of 11 pixels stay what they are, also for a model that has learned from objects of 90."""
    sure = partial(find_diameter, policy=RescalingPolicy(max_disagreement=1.0))
    monkeypatch.setattr(search_module, "find_diameter", sure)
    viewer.add_image(squares(), name="image")
    with_diameter.use_model(
        Model(with_diameter.model.net, with_diameter.model.info.model_copy(update={"image_diameter": 90.0}))
    )
    assert with_diameter.segment()
    assert (with_diameter.object_diameter.learned, with_diameter.object_diameter.found) == (
        90,
        pytest.approx(11.3, abs=0.1),
    )
    assert with_diameter.prepare()[1].zoom == pytest.approx((5 / with_diameter.object_diameter.found,) * 2)
    with_diameter.messages.clear()
    assert with_diameter.segment()
    assert all("Measuring" not in message.text for message in with_diameter.messages), "once is enough"
    with_diameter.use_model(
        Model(with_diameter.model.net, with_diameter.model.info.model_copy(update={"image_diameter": 50.0}))
    )
    assert with_diameter.object_diameter.found is None, "it was found against another size"
    assert with_diameter.prepare()[1].zoom == (0.1, 0.1)


@pytest.fixture
def staged(viewer: Any) -> Any:
    """Return a controller whose jobs run when the test says so, with an image and a model that knows a diameter."""
    runner = LaterRunner()
    controller = Controller(viewer, runner)
    viewer.add_image(squares(), name="image")
    controller.use_model(bright(diameter=5))
    yield controller, runner
    controller.close()


def test_stop_while_it_is_looked_for(staged: Any) -> None:
    controller, runner = staged
    running, said = [], []
    controller.workspace.segmenting.connect(running.append)
    controller.workspace.said.connect(lambda message: said.append(message.text))
    assert controller.segment()
    assert controller.busy
    assert not controller.segment(), "one thing at a time"
    controller.stop_segmenting()
    runner.finish()
    assert (running, controller.busy, len(runner.jobs)) == ([True, False], False, 1)
    assert said[-1].startswith("Stopped.")
    controller.segment()
    runner.finish()
    runner.finish()
    assert (running[-1], len(runner.jobs)) == (False, 3)
    assert "Found 3 objects" in said[-1]


@pytest.mark.parametrize("what", ["layer", "model", "removed"])
def test_what_changes_while_it_is_looked_for(staged: Any, viewer: Any, what: str) -> None:
    controller, runner = staged
    running: list[bool] = []
    controller.workspace.segmenting.connect(running.append)
    assert controller.segment()
    if what == "layer":
        viewer.layers.selection.active = viewer.add_image(squares(), name="other")
    elif what == "model":
        controller.use_model(bright("other"))
    else:
        viewer.layers.remove("image")
    runner.finish()
    assert not controller.busy
    assert running[-1] is False
    assert len(runner.jobs) == 1, "nothing else begins by itself"


def test_where_it_cannot_be_found_it_is_segmented_all_the_same(
    viewer: Any, with_diameter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> float:
        raise MemoryError

    monkeypatch.setattr(search_module, "find_diameter", fails)
    viewer.add_image(squares(), name="image")
    assert with_diameter.segment()
    assert "Found 3 objects" in with_diameter.messages[-1].text
    assert with_diameter.object_diameter.found is None


def test_flips_are_a_choice(viewer: Any, with_diameter: Any) -> None:
    viewer.add_image(squares(), name="image")
    assert not with_diameter.prepare()[1].flips
    with_diameter.workspace.flips = True
    assert with_diameter.prepare()[1].flips
    assert with_diameter.segment()
    assert "averaged over 4 flips" in with_diameter.messages[-2].details
