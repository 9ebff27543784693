"""Tiles: every pixel once, real pixels wherever there are any, and the result of the whole image."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.errors import Cancelled, UNetError
from napari_unet.nets import geometry
from napari_unet.nets.spec import UNetSpec, unet2015
from napari_unet.progress import CancelToken
from napari_unet.tiling.engine import Predictor, run_plan
from napari_unet.tiling.grid import Remaining
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
    shape = tuple(draw(st.integers(1, 200 if spec.ndim == 2 else 40)) for _ in range(spec.ndim))
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


@pytest.mark.parametrize(
    ("spec", "shape", "how", "n_tiles"),
    [
        (SPECS["deep"], (100_000, 100_000), {"tile": 1000}, 100 * 100),
        (SPECS["deep"], (1_000_000, 1_000_000), {"tile": 16}, 62_500**2),
        (SPECS["3d"], (10_000, 100_000, 100_000), {"tile": 64}, 1563**2),
    ],
)
def test_a_plan_of_any_size_holds_no_tiles(spec, shape, how, n_tiles):
    plan = make_plan(spec, shape, **how)
    tracemalloc.start()
    plan = make_plan(spec, shape, **how)
    assert len(plan.tiles) == n_tiles
    assert plan.tiles[-1].stop == shape
    assert plan.tiles.number_of(plan.tiles[n_tiles // 3]) == n_tiles // 3
    assert str(plan.tiles.counts[-1] ** 2) in str(plan)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("shape", [(10**9, 10**9), (10, 10**9), (1, 1), (17, 10**6)])
def test_a_tile_of_the_largest_image_stays_about_within_the_budget(shape):
    plan = make_plan(SPECS["deep"], shape, budget=300_000)
    first, middle, last = plan.tiles[0], plan.tiles[len(plan.tiles) // 2], plan.tiles[-1]
    assert (
        max(np.prod(tile.read_shape, dtype=float) for tile in (first, middle, last)) <= 375_000
    )  # rounded up to the stride
    assert (first.start, last.stop) == ((0, 0), shape)
    assert plan.tiles.fewest_pixels <= np.prod(last.read_shape, dtype=float) <= plan.tiles.pixels


@settings(max_examples=60, deadline=None)
@given(plans(), st.randoms(use_true_random=False))
def test_tiles_that_remain_are_counted_and_the_nearest_is_found(case, random):
    _, plan = case
    remaining, tiles = Remaining(plan.tiles), list(plan.tiles)
    assert tiles == list(plan.tiles[:]) == [plan.tiles[i] for i in range(len(tiles))]
    left = random.sample(tiles, min(len(tiles), 5))
    for tile in tiles:
        if tile not in left:
            remaining.remove(tile)
    remaining.remove(left[0])
    remaining.add(left[0])
    assert len(remaining) == len(left)
    assert remaining.pixels == sum(np.prod(tile.read_shape) for tile in left)
    pixel = [random.uniform(-10, n + 10) for n in plan.shape]
    distances = [sum((a - b) ** 2 for a, b in zip(tile.center, pixel, strict=True)) for tile in left]
    found = remaining.nearest(pixel)
    assert distances[left.index(found)] == pytest.approx(min(distances))
    assert remaining.nearest(None) == min(left, key=plan.tiles.number_of)


def test_a_small_image_is_one_tile():
    plan = make_plan(UNetSpec(features=16, levels=4), (1024, 1024))
    assert len(plan.tiles) == 1
    assert plan.work < 1.2
