"""Memory that runs out at any step: the tile is done again in a smaller way, and the result is the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.errors import DeviceMemoryError, ModelOutputError
from napari_unet.tiling.engine import Predictor, run_plan
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource


class Poor(Predictor):
    """A predictor whose device takes blocks of up to so many pixels, or no more once it was asked so often."""

    def __init__(self, net, most=None, error=None, rungs=()):
        super().__init__(net)
        self.most, self.error, self.rungs, self.sizes = most, error or MemoryError(), list(rungs), []

    def _apply(self, block, half=None):
        self.sizes.append(block[0].size)
        if self.most is not None and block[0].size > self.most:
            raise self.error
        return super()._apply(block, half)

    def weaken(self):
        if not self.rungs:
            return super().weaken()
        name, self.most = self.rungs.pop(0)
        return name


def maps_of(plan, image, predictor):
    maps = np.full((2, *image.shape[1:]), np.nan, np.float32)
    notes = []
    for result in run_plan(plan, ArraySource(image), predictor):
        maps[(slice(None), *result.tile.region)] = result.maps
        notes.append(result.note)
    return maps, notes


@pytest.fixture
def case(tiny_net):
    net = tiny_net(levels=2, out_channels=2)
    image = np.random.default_rng(0).random((1, 300, 400), np.float32)
    plan = make_plan(net.spec, image.shape[1:])
    return net, image, plan, maps_of(plan, image, Predictor(net))[0]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory"),
    ],
    ids=["cuda", "python", "cpu", "mps"],
)
@pytest.mark.parametrize("most", [60_000, 20_000])
def test_smaller_tiles_give_the_same(case, error, most):
    net, image, plan, whole = case
    predictor = Poor(net, most, error)
    maps, notes = maps_of(plan, image, predictor)
    assert np.abs(maps - whole).max() < 1e-5
    assert "smaller tiles" in notes[-1]
    assert predictor.sizes[0] > most, "it began with the whole"


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_halves_are_the_tile(tiny_net, ndim, padding):
    net = tiny_net(ndim=ndim, levels=1, out_channels=2, padding=padding, norm="none")
    shape = (20, 40, 50) if ndim == 3 else (150, 213)
    image = np.random.default_rng(0).random((1, *shape), np.float32)
    plan = make_plan(net.spec, shape)
    whole, _ = maps_of(plan, image, Predictor(net))
    predictor = Poor(net, most=plan.tiles[0].read_shape[0] * 3000 if ndim == 3 else 12_000)
    maps, _ = maps_of(plan, image, predictor)
    assert np.abs(maps - whole).max() < 1e-5
    assert len(predictor.sizes) > 2


def test_what_was_learned_holds_for_the_next_tile(case):
    net, image, _, whole = case
    predictor = Poor(net, 30_000)
    maps, _ = maps_of(make_plan(net.spec, image.shape[1:], tile=200), image, predictor)
    assert np.abs(maps - whole).max() < 1e-5
    too_large = [size for size in predictor.sizes if size > 30_000]
    assert len(too_large) < 4, "each size is tried once, not for every tile"


def test_every_rung_down_to_the_cpu(case):
    net, image, plan, whole = case
    predictor = Poor(net, 0, rungs=[("half precision", 0), ("the CPU", None)])
    maps, notes = maps_of(plan, image, predictor)
    assert np.abs(maps - whole).max() < 1e-5
    assert notes[-1] == "Memory ran short; going on with the CPU."


def test_no_way_left_is_an_error_that_says_so(case):
    net, image, plan, _ = case
    with pytest.raises(DeviceMemoryError, match=r"not enough .* Close other programs"):
        maps_of(plan, image, Poor(net, 0))


def test_a_gpu_goes_to_half_precision_and_then_to_the_cpu(tiny_net):
    predictor = Predictor(tiny_net())
    predictor.device = torch.device("cuda")  # as if there were one
    assert predictor.weaken() == "half precision"
    assert predictor.weaken() == "the CPU"
    assert predictor.device.type == "cpu"
    assert predictor.weaken() == ""


@pytest.mark.parametrize("exact", [True, False])
def test_a_gpu_rounds_only_where_the_plan_is_not_exact(tiny_net, exact):
    predictor = Predictor(tiny_net(), exact=exact)
    predictor.device = torch.device("cuda")  # as if there were one
    before = torch.backends.cudnn.allow_tf32
    with predictor._arithmetic():
        assert torch.backends.cudnn.allow_tf32 is not exact
        assert torch.backends.cudnn.enabled
    assert torch.backends.cudnn.allow_tf32 == before


def test_memory_that_is_short_when_reading(case):
    net, image, plan, whole = case

    class Short(ArraySource):
        def read(self, region):
            if np.prod([part.stop - part.start for part in region]) > 60_000:
                raise MemoryError
            return super().read(region)

    maps = np.empty_like(whole)
    for result in run_plan(plan, Short(image), Predictor(net)):
        maps[(slice(None), *result.tile.region)] = result.maps
    assert np.abs(maps - whole).max() < 1e-5


def test_values_that_are_no_numbers_are_named(tiny_net):
    net = tiny_net()
    with torch.no_grad():
        net.head.bias.fill_(float("nan"))
    with pytest.raises(ModelOutputError, match="not numbers"):
        Predictor(net)(np.zeros((1, 32, 32), np.float32))
