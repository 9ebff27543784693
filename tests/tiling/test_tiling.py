"""Tiles: every pixel once, real pixels wherever there are any, and the result of the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.errors import Cancelled, UNetError
from napari_unet.nets import geometry
from napari_unet.nets.spec import UNetSpec, unet2015
from napari_unet.progress import CancelToken
from napari_unet.tiling.engine import Predictor, run_plan
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource, mirrored_indices, read_mirrored

SPECS = {
    "same": UNetSpec(features=2, levels=2),
    "deep": UNetSpec(features=2, levels=4),
    "interpolated": UNetSpec(features=2, levels=2, up="interpolated"),
    "valid": UNetSpec(features=2, levels=2, padding="valid", norm="none"),
    "3d": UNetSpec(ndim=3, features=2, levels=2),
    "flat 3d": UNetSpec(ndim=3, features=2, levels=2, pool_z=(False, True)),
}


@st.composite
def plans(draw):
    spec = draw(st.sampled_from([*SPECS.values(), unet2015()]))
    shape = tuple(draw(st.integers(1, 200)) for _ in range(spec.ndim))
    tile = draw(st.none() | st.integers(1, 120))
    budget = draw(st.integers(1000, 300_000))
    return spec, make_plan(spec, shape, tile, budget)


@settings(max_examples=60, deadline=None)
@given(plans())
def test_every_pixel_comes_from_one_tile_whose_network_gives_it(case):
    spec, plan = case
    covered = np.zeros(plan.shape, int)
    for tile in plan.tiles:
        covered[tile.region] += 1
        geometry.check_input_shape(spec, tile.read_shape)
        for axis, (offset, start, stop) in enumerate(zip(tile.offset, tile.start, tile.stop, strict=True)):
            assert start % spec.stride[axis] == 0
            assert offset + stop - start <= geometry.output_size(spec, tile.read_shape[axis], axis)
    assert (covered == 1).all()
    assert str(len(plan.tiles)) in str(plan)


@settings(max_examples=100, deadline=None)
@given(st.integers(-60, 60), st.integers(1, 120), st.integers(1, 40))
def test_mirroring_is_that_of_numpy(start, count, size):
    padded = np.pad(np.arange(size), (200, 200), mode="reflect")
    assert np.array_equal(mirrored_indices(start, count, size), padded[200 + start : 200 + start + count])


class Recording(ArraySource):
    """A source that refuses to be read outside the image."""

    def read(self, region):
        for part, size in zip(region, self.shape, strict=True):
            assert 0 <= part.start < part.stop <= size
        return super().read(region)


def test_blocks_are_mirrored_beyond_the_border_only():
    image = np.random.default_rng(0).random((2, 23, 31), np.float32)
    padded = np.pad(image, ((0, 0), (50, 50), (50, 50)), mode="reflect")
    for start in ((-16, -16), (0, 5), (10, 20), (-30, 12)):
        block = read_mirrored(Recording(image), start, (40, 36))
        assert np.array_equal(block, padded[:, start[0] + 50 :, start[1] + 50 :][:, :40, :36])


def whole_and_tiled(net, shape, **how):
    image = np.random.default_rng(1).random((1, *shape), np.float32)
    maps = np.full((1, *shape), np.nan, np.float32)
    for result in run_plan(make_plan(net.spec, shape, **how), Recording(image), Predictor(net)):
        maps[(slice(None), *result.tile.region)] = result.maps
    return maps


@pytest.mark.parametrize("name", SPECS)
def test_tiled_equals_whole(tiny_net, name):
    net = tiny_net(**SPECS[name].model_dump())
    shape = (150, 131) if net.spec.ndim == 2 else (5, 34, 30)
    whole = whole_and_tiled(net, shape, budget=10**9)
    for how in ({"tile": 16}, {"tile": 37}, {"tile": 64}, {"budget": 60_000}):
        assert np.abs(whole_and_tiled(net, shape, **how) - whole).max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 7), (40, 2)])
def test_images_smaller_than_the_halo(tiny_net, shape):
    net = tiny_net(levels=3)
    maps = whole_and_tiled(net, shape)
    assert np.isfinite(maps).all()
    assert np.abs(whole_and_tiled(net, shape, tile=1) - maps).max() < 1e-5


def test_the_tile_that_is_looked_at_comes_next(tiny_net):
    net = tiny_net()
    plan = make_plan(net.spec, (128, 128), 32)
    looked_at = iter([(100.0, 100.0), (5.0, 5.0), None, (5.0, 120.0)] + [None] * 99)
    source = ArraySource(np.zeros((1, 128, 128), np.float32))
    order = [r.tile.start for r in run_plan(plan, source, Predictor(net), lambda: next(looked_at))]
    assert order[:4] == [(96, 96), (0, 0), (0, 32), (0, 96)]
    assert len(set(order)) == 16


def test_stop_comes_before_the_next_tile(tiny_net):
    net, cancel = tiny_net(), CancelToken()
    plan = make_plan(net.spec, (128, 128), 32)
    run = run_plan(plan, ArraySource(np.zeros((1, 128, 128), np.float32)), Predictor(net), cancel=cancel)
    next(run)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(run)


def test_what_cannot_be_planned_is_said():
    with pytest.raises(UNetError, match="not possible"):
        make_plan(SPECS["same"], (10, 10), tile=0)
    with pytest.raises(UNetError, match="2 spatial axes"):
        make_plan(SPECS["same"], (10, 10, 10))


def test_a_small_image_is_one_tile():
    plan = make_plan(UNetSpec(features=16, levels=4), (1024, 1024))
    assert len(plan.tiles) == 1
    assert plan.work < 1.2
