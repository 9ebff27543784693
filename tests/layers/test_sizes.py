"""The object diameter in the window: said for an image, learned by a model, taken where it matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import LaterRunner, bright, squares
from napari_unet import sizing
from napari_unet.layers import learner as module
from napari_unet.layers import segmenter as segmenter_module
from napari_unet.layers.controller import Controller
from napari_unet.learning.corrected import Learned, Rescaled
from napari_unet.learning.gate import Verdict
from napari_unet.learning.session import StepReport
from napari_unet.models.model import Model
from napari_unet.models.store import save_model


@pytest.fixture
def sized(controller: Any) -> Any:
    save_model(bright(diameter=5), "sized")
    assert controller.choose_model("sized")
    return controller


def test_what_is_said_sets_the_scale(viewer: Any, sized: Any) -> None:
    viewer.add_image(squares(), name="image")
    assert sized.sizes.said is None
    assert sized.prepare()[1].zoom == ()
    sized.sizes.say(10.0)
    assert sized.sizes.said == 10
    assert sized.session.image.diameter == 10, "what was corrected is learned at that scale"
    assert sized.prepare()[1].zoom == (0.5, 0.5)
    sized.segment()
    assert "Found 3 objects" in sized.messages[-1].text


def test_each_image_has_its_own(viewer: Any, sized: Any) -> None:
    first, second = viewer.add_image(squares(), name="a"), viewer.add_image(squares(), name="b")
    sized.sizes.say(10.0)
    sized.choose_layer(first)
    assert sized.sizes.said is None
    sized.choose_layer(second)
    assert sized.sizes.said == 10
    sized.sizes.say(None)
    assert sized.sizes.said is None


def test_a_model_that_knows_none_is_not_told(viewer: Any, sized: Any) -> None:
    viewer.add_image(squares(), name="image")
    sized.prepare()
    sized.sizes.say(10.0)
    assert sized.sizes.matter
    sized.choose_model("bright")
    assert not sized.sizes.matter
    assert sized.session.image.diameter is None
    assert sized.prepare()[1].zoom == ()
    sized.choose_model("sized")
    assert sized.session.image.diameter == 10


def test_a_new_scale_is_told_and_kept(viewer: Any, sized: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(model: Model, *_: Any, **__: Any) -> Any:
        coarser = Model(model.net, model.info.model_copy(update={"image_diameter": 20.0, "recipe": {"steps": 1}}))
        yield Rescaled(coarser, model)
        yield StepReport(1, 1, 0.5, 1.0)
        return Learned(coarser, Verdict(None))

    monkeypatch.setattr(module, "learning_steps", steps)
    viewer.add_image(squares(), name="image")
    sized.segment()
    labels = viewer.layers["image objects"]
    labels.data_setitem(np.nonzero(labels.data == labels.data[45, 45]), 0)
    assert sized.sizes.learned is None
    assert sized.learn()
    said = [message.text for message in sized.messages if "20 pixels wide" in message.text]
    assert said == [
        "The objects are about 20 pixels wide, so it learns on the image made 4.0 times smaller. "
        "Object diameter, in the panel, changes that."
    ]
    assert sized.sizes.learned == 20
    assert sized.prepare()[1].zoom == (0.25, 0.25)


def test_where_nothing_is_known_it_is_found_before_the_first_tile(viewer: Any, sized: Any) -> None:
    layer = viewer.add_image(squares(), name="image")
    shown: list[float | None] = []
    sized.image_changed.connect(lambda: shown.append(sized.sizes.found))
    sized.messages.clear()
    assert sized.segment()
    told = [message.text for message in sized.messages]
    assert told[0] == "Looking how wide the objects are."
    assert told[1].startswith("The objects are about 11 pixels wide, so the image is looked at 2.3 times smaller. Segm")
    assert "Found 3 objects" in told[-1]
    assert shown[-1] == sized.sizes.found == pytest.approx(11.3, abs=0.1)
    assert sized.prepare()[1].zoom == pytest.approx((5 / sized.sizes.found,) * 2)
    sized.messages.clear()
    assert sized.segment()
    assert all("Looking" not in message.text for message in sized.messages), "once is enough"
    sized.sizes.say(5.0)
    assert sized.sizes.found is None
    assert sized.prepare()[1].zoom == ()
    sized.sizes.say(None)
    assert sized.prepare()[1].zoom != ()
    layer.data = squares((70, 70))
    assert sized.prepare()[1].zoom == (), "it is another image"
    assert sized.segment()
    sized.choose_model("sized")
    assert sized.prepare()[1].zoom == (), "another model may see it otherwise"


def test_what_is_learned_goes_before_what_was_found(viewer: Any, sized: Any) -> None:
    viewer.add_image(squares(), name="image")
    assert sized.segment()
    found = sized.sizes.found
    info = sized.model.info.model_copy(update={"image_diameter": 20.0})
    sized.serve(Model(sized.model.net, sized.model.info.model_copy(update={"name": "better"})))
    assert sized.sizes.found == found, "a model that has learned more goes on with it"
    assert sized.session.image.found_diameter == found
    sized.serve(Model(sized.model.net, info))
    assert (sized.sizes.found, sized.sizes.learned) == (None, 20)
    assert sized.prepare()[1].zoom == (0.25, 0.25)


def test_a_model_that_learned_another_size_looks_again(
    viewer: Any, sized: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Squares of 11 pixels stay what they are, also for a model that has learned from objects of 90."""
    monkeypatch.setattr(sizing, "SURE", 1.0)
    viewer.add_image(squares(), name="image")
    sized.serve(Model(sized.model.net, sized.model.info.model_copy(update={"image_diameter": 90.0})))
    assert sized.segment()
    assert (sized.sizes.learned, sized.sizes.found) == (90, pytest.approx(11.3, abs=0.1))
    assert sized.prepare()[1].zoom == pytest.approx((5 / sized.sizes.found,) * 2)
    sized.messages.clear()
    assert sized.segment()
    assert all("Looking" not in message.text for message in sized.messages), "once is enough"
    sized.serve(Model(sized.model.net, sized.model.info.model_copy(update={"image_diameter": 50.0})))
    assert sized.sizes.found is None, "it was found against another size"
    assert sized.prepare()[1].zoom == (0.1, 0.1)


@pytest.fixture
def staged(viewer: Any) -> Any:
    """Return a controller whose jobs run when the test says so, with an image and a model that knows a diameter."""
    runner = LaterRunner()
    desk = Controller(viewer, runner)
    viewer.add_image(squares(), name="image")
    desk.serve(bright(diameter=5))
    yield desk, runner
    desk.close()


def test_stop_while_it_is_looked_for(staged: Any) -> None:
    desk, runner = staged
    running, said = [], []
    desk.segmenting.connect(running.append)
    desk.said.connect(lambda message: said.append(message.text))
    assert desk.segment()
    assert desk.busy
    assert not desk.segment(), "one thing at a time"
    desk.stop_segmenting()
    runner.finish()
    assert (running, desk.busy, len(runner.jobs)) == ([True, False], False, 1)
    assert said[-1].startswith("Stopped.")
    desk.segment()
    runner.finish()
    runner.finish()
    assert (running[-1], len(runner.jobs)) == (False, 3)
    assert "Found 3 objects" in said[-1]


@pytest.mark.parametrize("what", ["layer", "model", "removed"])
def test_what_changes_while_it_is_looked_for(staged: Any, viewer: Any, what: str) -> None:
    desk, runner = staged
    running: list[bool] = []
    desk.segmenting.connect(running.append)
    assert desk.segment()
    if what == "layer":
        viewer.layers.selection.active = viewer.add_image(squares(), name="other")
    elif what == "model":
        desk.serve(bright("other"))
    else:
        viewer.layers.remove("image")
    runner.finish()
    assert not desk.busy
    assert running[-1] is False
    assert len(runner.jobs) == 1, "nothing else begins by itself"


def test_where_it_cannot_be_found_it_is_segmented_all_the_same(
    viewer: Any, sized: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> float:
        raise MemoryError

    monkeypatch.setattr(segmenter_module, "find_diameter", fails)
    viewer.add_image(squares(), name="image")
    assert sized.segment()
    assert "Found 3 objects" in sized.messages[-1].text
    assert sized.sizes.found is None


def test_flips_are_a_choice(viewer: Any, sized: Any) -> None:
    viewer.add_image(squares(), name="image")
    assert not sized.prepare()[1].flips
    sized.flips = True
    assert sized.prepare()[1].flips
    assert sized.segment()
    assert "averaged over 4 flips" in sized.messages[-2].text
