"""How fast a network is, is known from what was run, and told in the sentence of a plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.axes import Image
from napari_unet.inference import tile_runner
from napari_unet.inference.steps import segment_steps
from napari_unet.inference.task import make_task
from napari_unet.nets.spec import UNetSpec
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.throughput import LEAST_PIXELS, MIN_SECONDS, WARM_UP, Throughput, throughput_of

AMOUNTS = st.floats(1, 1e9)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1))
def test_it_lies_between_the_slowest_and_the_fastest(notes):
    throughput = Throughput()
    assert throughput.per_second is None
    throughput.note(1.0, WARM_UP)
    for pixels, seconds in notes:
        throughput.note(pixels, max(seconds, MIN_SECONDS))
    notes = [(pixels, max(seconds, MIN_SECONDS)) for pixels, seconds in notes]
    speeds = [pixels / seconds for pixels, seconds in notes]
    assert min(speeds) * 0.999 <= throughput.per_second <= max(speeds) * 1.001


def test_the_first_second_does_not_count_and_nothing_is_told_for_two_more():
    throughput = Throughput()
    throughput.note(10, 1.5)  # slow: libraries start
    assert throughput.per_second is None
    throughput.note(1000, 1.0)
    assert throughput.per_second is None
    throughput.note(1000, 1.0)
    assert throughput.per_second == 1000


def test_what_is_long_ago_counts_little():
    throughput = Throughput()
    for _ in range(100):
        throughput.note(1000, 1.0)
    for _ in range(100):
        throughput.note(10, 1.0)
    assert throughput.per_second == pytest.approx(10, rel=0.1)


def test_networks_of_one_shape_share_it_and_others_do_not():
    spec = UNetSpec(features=3)
    assert throughput_of(spec, "cpu", True) is throughput_of(UNetSpec(features=3), "cpu", True)
    assert (
        len(
            {
                id(throughput_of(spec, "cpu", True)),
                id(throughput_of(spec, "mps", True)),
                id(throughput_of(UNetSpec(features=4), "cpu", True)),
                id(throughput_of(spec, "cpu", False)),
            }
        )
        == 4
    )


def test_a_plan_tells_the_seconds_where_they_are_known():
    plan = make_plan(UNetSpec(features=2, levels=2), (256, 256), tile=64)
    assert plan.seconds is None
    assert "about" not in str(plan)
    timed = replace(plan, throughput=plan.work * 256**2 / 9)
    assert timed.seconds == pytest.approx(9)
    assert str(timed) == f"{plan}, about 9 s"
    assert str(replace(plan, throughput=1e12)).endswith("about 1 s")


def test_a_task_tells_the_seconds_of_all_its_slices_once_one_was_done(bright_model, timed_at_once):
    model = bright_model(features=2, levels=1, up="interpolated")
    image = Image(np.zeros((3, 40, 40), np.uint8), "ZYX")
    task = make_task(image, model)
    assert task.plan.throughput is None, "no network of this shape was run before"
    list(segment_steps(task, device="cpu"))
    timed = task.timed("cpu")
    assert make_task(image, model).plan.throughput == timed.plan.throughput > 0
    slow = replace(task, plan=replace(task.plan, throughput=1600 * task.plan.work / 7))
    assert str(slow) == "3 slices, each 1 tile of 40×40, about 7 s; about 21 s in all"


@pytest.mark.parametrize(("width", "known"), [(1, False), (100, False), (200, True)])
def test_tiny_images_do_not_tell_how_long_large_ones_take(bright_model, timed_at_once, monkeypatch, width, known):
    """Of one pixel, nearly all of the time is that of the call: "only about 1 step on this computer" was said then."""
    monkeypatch.setattr(tile_runner, "LEAST_PIXELS", LEAST_PIXELS)
    model = bright_model(features=7 + known, levels=1, up="interpolated")  # of shapes that no other test has
    task = make_task(Image(np.zeros((width, width), np.uint8), "YX"), model)
    list(segment_steps(task, device="cpu"))
    assert (task.timed("cpu").plan.throughput is not None) is known
