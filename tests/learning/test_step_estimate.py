"""How many steps there is time for is known from what this machine took before, and said without a promise."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.axes import Image
from napari_unet.inference import tile_runner
from napari_unet.inference.task import make_task
from napari_unet.learning import step_estimate as module
from napari_unet.learning.policy import DurationPolicy
from napari_unet.learning.step_estimate import StepEstimate, step_estimate, steps_in
from napari_unet.tiling import throughput

if TYPE_CHECKING:
    from napari_unet.tiling.throughput import Throughput

POLICY = DurationPolicy(min_steps=40, passes=3, other_steps=5, rounding=15)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """No network was run before."""
    for name in ("throughput_of", "learning_throughput_of"):
        monkeypatch.setattr(module, name, cache(getattr(throughput, name).__wrapped__))


def measured(known: Throughput, per_second: float) -> None:
    known.note(1, 10)  # the first does not count
    known.note(10 * per_second, 10)


@pytest.mark.parametrize(
    ("limit", "each", "expected"),
    [
        (60, 0.5, StepEstimate(115)),
        (60, 0.01, StepEstimate(200)),  # more are never made
        (60, 1.5, StepEstimate(35, 75)),  # 45 steps of 1.5 s are 67.5 s
        (15, 1.5, StepEstimate(5, 75)),  # half of the time is for steps in any case
        (15, 100, StepEstimate(1, 4500)),  # and one is always made
    ],
)
def test_steps_and_the_limit_that_would_be_enough(limit, each, expected):
    assert steps_in(limit, each, 200, POLICY) == expected


@given(limit=st.floats(5, 3600), each=st.floats(1e-3, 60), most=st.integers(1, 2000))
def test_the_limit_that_is_said_to_be_enough_is(limit, each, most):
    estimate = steps_in(limit, each, most, POLICY)
    assert 1 <= estimate.steps <= most
    if estimate.enough is not None:
        assert estimate.enough > limit
        assert estimate.enough % POLICY.rounding == 0
        assert steps_in(estimate.enough, each, most, POLICY).enough is None


def test_what_segmenting_has_measured_is_what_is_asked(model, monkeypatch):
    """One object for both: `functools.cache` takes the same argument given in two ways for two."""
    monkeypatch.setattr(tile_runner, "throughput_of", module.throughput_of)
    image = Image(np.zeros((64, 64), np.float32), "YX")
    with tile_runner.Inference(make_task(image, model), "cpu", ahead=False) as inference:
        measured(inference._throughput, 1.0)
    assert step_estimate(model, 60.0, "cpu").steps == 1


def test_nothing_is_said_before_anything_was_run(model):
    assert step_estimate(model, 60.0, "cpu") is None


def test_before_the_first_learning_it_follows_from_segmenting_and_then_from_learning(model):
    pixels = 4 * 160**2
    spec = model.info.spec
    measured(module.throughput_of(spec, "cpu", True), pixels)  # a batch in a second, forwards
    first = step_estimate(model, 60.0, "cpu")
    measured(module.learning_throughput_of(spec, "cpu"), 2 * pixels)  # half a second, all in all
    assert (first.enough is not None, step_estimate(model, 60.0, "cpu").enough) == (True, None)


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (StepEstimate(1, 90.0), "Only about 1 step on this computer; 90 s would be enough."),
        (StepEstimate(17, 45.0), "Only about 17 steps on this computer; 45 s would be enough."),
        (StepEstimate(117), "About 120 steps on this computer."),
    ],
)
def test_it_is_said_in_a_sentence(estimate, said):
    assert str(estimate) == said
