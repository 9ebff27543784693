"""The tuned numbers: one frozen object, every number explained, and heeded by what takes it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from napari_unet.axes import Image
from napari_unet.inference.policy import RescalingPolicy
from napari_unet.inference.scale import is_rescaled, magnification
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.gate import Verdict
from napari_unet.learning.held_out import square_width
from napari_unet.learning.policy import DEFAULT_POLICY, Policy, PromotionPolicy, SplitPolicy


def parts(policy: BaseModel) -> list[BaseModel]:
    """A policy and all that it holds."""
    held = [getattr(policy, name) for name in type(policy).model_fields]
    return [policy, *(one for part in held if isinstance(part, BaseModel) for one in parts(part))]


@pytest.mark.parametrize("part", parts(DEFAULT_POLICY), ids=lambda part: type(part).__name__)
def test_every_number_is_explained_and_none_can_be_changed(part):
    explained = re.findall(r"^    (\w+) : ", type(part).__doc__, re.MULTILINE)
    assert explained == list(type(part).model_fields)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(part, explained[0], getattr(part, explained[0]))
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        type(part)(unknown=1)


def test_it_can_be_written_down_and_read_again():
    policy = Policy(split=SplitPolicy(square_width=64))
    assert Policy.model_validate_json(policy.model_dump_json()) == policy != DEFAULT_POLICY


def test_squares_are_as_wide_as_it_says():
    nothing = np.zeros((1, 40, 40), np.int32)
    assert square_width([nothing], [nothing > 0], SplitPolicy(square_width=64)) == 64


def test_as_much_may_be_forgotten_as_it_says():
    verdict = Verdict(None, retention=Comparison(0.80, 0.77, -0.1, 0.0, 9))
    assert not verdict.should_promote()
    assert verdict.should_promote(Policy(promotion=PromotionPolicy(max_forgetting=0.05)))


def test_as_few_objects_tell_models_apart_as_it_says():
    verdict = Verdict(Comparison(0.8, 0.2, -0.9, -0.3, 5))
    assert not verdict.should_promote()
    assert verdict.should_promote(Policy(promotion=PromotionPolicy(min_compared=6)))


def test_an_image_is_rescaled_as_early_as_it_says(bright_model):
    info = bright_model(info={"diameter": 10.0}).info
    image = Image(np.zeros((20, 20), np.float32), "YX", diameter=13.0)
    assert not is_rescaled(magnification(image, info))
    assert is_rescaled(magnification(image, info, RescalingPolicy(diameter_tolerance=1.2)))
