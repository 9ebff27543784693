"""The object diameter in the window: said for an image, learned by a model, taken where it matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import bright, squares
from napari_unet.layers import learner as module
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
