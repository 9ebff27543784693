"""Half precision is taken where it is measured to be faster and as good as the same, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.nets.geometry import check_input_shape
from napari_unet.nets.spec import UNetSpec
from napari_unet.tiling import engine
from napari_unet.tiling.engine import Predictor
from napari_unet.tiling.precision import FIRST_WIDTH, half_pays

SPECS = [UNetSpec(levels=3), UNetSpec(levels=2, padding="valid", norm="none"), UNetSpec(ndim=3, levels=1)]


class Device:
    """Says what each precision takes, on a clock of its own, and what comes of it."""

    def __init__(self, spec, error=0.0, launch=0.004, full=1e-7, half=0.5e-7):
        self.spec, self.error, self.launch, self.pace, self.now = spec, error, launch, {"full": full, "half": half}, 0.0
        self.shapes = []

    def run(self, block, precision):
        check_input_shape(self.spec, block.shape[1:])
        self.shapes.append(block.shape)
        self.now += max(self.launch, self.pace[precision] * block[0].size)
        return block + (self.error if precision == "half" else 0.0)

    def decides(self, block):
        full, half = (lambda part, p=p: self.run(part, p) for p in ("full", "half"))
        return half_pays(full, half, block, self.spec, lambda: self.now)


def block_for(spec):
    return np.zeros(
        (1, *((1036, 1036) if spec.padding == "valid" else (1024, 1024) if spec.ndim == 2 else (4, 1024, 1024))),
        np.float32,
    )


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_it_is_taken_where_it_is_faster_and_the_same(spec):
    block = block_for(spec)
    assert Device(spec).decides(block)
    assert Device(spec, error=0.009).decides(block)
    assert not Device(spec, error=0.011).decides(block)
    assert not Device(spec, error=np.nan).decides(block)
    assert not Device(spec, half=0.95e-7).decides(block)
    assert not Device(spec, half=10e-7).decides(block), "as on CPUs"


def test_a_time_that_is_that_of_launching_says_nothing_so_larger_parts_are_tried():
    spec = SPECS[0]
    device = Device(spec, full=1e-8, half=0.2e-8)
    assert not device.decides(np.zeros((1, 512, 512), np.float32)), "no more than that is there to be gained"
    device = Device(spec, full=3e-8, half=1e-8)
    assert device.decides(block_for(spec))
    assert {shape[-1] for shape in device.shapes} == {FIRST_WIDTH, 2 * FIRST_WIDTH, 4 * FIRST_WIDTH}
    slow = Device(spec, full=1e-6)
    slow.decides(block_for(spec))
    assert {shape[-1] for shape in slow.shapes} == {FIRST_WIDTH}, "a slow device is not kept busy with trials"


@pytest.mark.parametrize(("exact", "tried"), [(True, 0), (False, 1)])
def test_a_gpu_tries_once_and_only_in_the_fast_mode(tiny_net, monkeypatch, exact, tried):
    asked, ran = [], []
    monkeypatch.setattr(engine, "half_pays", lambda full, half, block, spec: asked.append((full, half)) or True)
    predictor = Predictor(tiny_net(), exact=exact)
    predictor.device = torch.device("cuda")  # as if there were one
    predictor._untried = not exact
    monkeypatch.setattr(predictor, "_apply", lambda block, half=None: ran.append(predictor._half) or block)
    for _ in range(3):
        predictor(np.zeros((1, 32, 32), np.float32))
    assert (len(asked), ran) == (tried, [not exact] * 3)
    assert predictor.weaken() == ("half precision" if exact else "the CPU"), "what is done already does not help"


def test_a_block_beyond_the_numbers_of_half_precision_is_done_in_full(tiny_net, monkeypatch):
    predictor = Predictor(tiny_net())
    predictor._half = True
    monkeypatch.setattr(predictor, "_apply", lambda block, half=None: block if half is False else block + np.inf)
    assert np.array_equal(predictor(np.zeros((1, 8, 8), np.float32)), np.zeros((1, 8, 8)))


def test_a_cpu_never_tries(tiny_net, monkeypatch):
    monkeypatch.setattr(engine, "half_pays", lambda *_: pytest.fail("it loses there, by a factor of ten"))
    Predictor(tiny_net(), exact=False)(np.zeros((1, 32, 32), np.float32))
