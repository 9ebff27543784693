"""Runs of whole plans: any image, any tile, any network gives the maps of one pass, from the right pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_unet
from napari_unet.errors import Cancelled
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet
from napari_unet.progress import CancelToken
from napari_unet.tiling.engine import Predictor, gather, run_plan
from napari_unet.tiling.grid import MIRROR
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource, mirrored_indices

SPECS = [
    UNetSpec(features=2, levels=1, out_channels=2),
    UNetSpec(features=2, levels=2, in_channels=2),
    UNetSpec(features=2, levels=2, up="interpolated"),
    UNetSpec(features=2, levels=1, padding="valid", norm="none"),
    UNetSpec(features=2, levels=2, padding="valid", norm="none", out_channels=2),
    UNetSpec(ndim=3, features=2, levels=1),
    UNetSpec(ndim=3, features=2, levels=2, pool_z=(False, True)),
    UNetSpec(ndim=3, features=2, levels=1, padding="valid", norm="none", pool_z=(False,)),
]


@st.composite
def cases(draw):
    spec = draw(st.sampled_from(SPECS))
    largest = (50, 50) if spec.ndim == 2 else (7, 20, 20)
    shape = tuple(draw(st.integers(1, n)) for n in largest)
    return spec, shape, draw(st.integers(1, 60)), draw(st.integers(0, 99))


def run(spec, shape, seed, flips=False, softmax=False, **how):
    """Maps of a network with random weights and norm statistics for a random image."""
    import torch

    torch.manual_seed(seed)
    net = UNet(spec).eval()
    for module in net.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    image = np.random.default_rng(seed).random((spec.in_channels, *shape), np.float32)
    maps = np.full((spec.out_channels, *shape), np.nan, np.float32)
    predictor = Predictor(net, softmax=softmax, flips=flips)
    for result in run_plan(make_plan(spec, shape, **how), ArraySource(image), predictor):
        assert np.isnan(maps[(slice(None), *result.tile.region)]).all()  # no place is done twice
        maps[(slice(None), *result.tile.region)] = result.maps
    return maps


@settings(max_examples=30, deadline=None)
@given(cases())
def test_tiled_equals_whole(case):
    spec, shape, tile, seed = case
    whole = run(spec, shape, seed, budget=10**9)
    assert np.isfinite(whole).all()
    assert np.abs(run(spec, shape, seed, tile=tile) - whole).max() < 1e-5
    assert np.abs(run(spec, shape, seed, budget=2000) - whole).max() < 1e-5


@settings(max_examples=15, deadline=None)
@given(cases(), st.booleans())
def test_tiled_equals_whole_averaged_over_flips(case, softmax):
    spec, shape, tile, seed = case
    whole = run(spec, shape, seed, flips=True, softmax=softmax, budget=10**9)
    assert np.abs(run(spec, shape, seed, flips=True, softmax=softmax, tile=tile) - whole).max() < 1e-5
    assert np.abs(run(spec, shape, seed, flips=True, softmax=softmax, budget=2000) - whole).max() < 1e-5
    assert not softmax or np.abs(whole.sum(0) - 1).max() < 1e-5


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_average_over_flips_is_that_of_the_mirrored_images(tiny_net, spec):
    net = tiny_net(**spec.model_dump())
    shape = (4, 24, 40)[-spec.ndim :]  # whole pooling windows: else a mirrored image would lie otherwise on the grid
    image = np.random.default_rng(0).random((spec.in_channels, *shape), np.float32)
    plain, averaged = Predictor(net), Predictor(net, flips=True)

    def maps(array, predictor):
        return gather(make_plan(spec, shape), ArraySource(array), predictor)

    every = [np.flip(maps(np.flip(image, axes), plain), axes) for axes in ((), (-1,), (-2,), (-2, -1))]
    assert np.abs(maps(image, averaged) - np.mean(every, axis=0)).max() < 1e-6
    assert np.abs(every[0] - every[1]).max() > 1e-4, "one mirroring says something else than another"
    turned = maps(np.flip(image, -1), averaged)
    assert np.abs(np.flip(turned, -1) - maps(image, averaged)).max() < 1e-6


def test_vectors_point_the_other_way_where_a_block_is_mirrored(tiny_net):
    net = tiny_net(out_channels=3)
    image = np.random.default_rng(0).random((1, 24, 40), np.float32)
    plain, vectors = Predictor(net, flips=True)(image), Predictor(net, flips=True, vectors={-2: 1, -1: 2})(image)
    assert np.array_equal(plain[0], vectors[0])
    every = {axes: np.flip(Predictor(net)(np.flip(image, axes)), axes) for axes in ((), (-1,), (-2,), (-2, -1))}
    for axis, output in ((-2, 1), (-1, 2)):
        wanted = np.mean([1 - maps[output] if axis in axes else maps[output] for axes, maps in every.items()], axis=0)
        assert np.abs(vectors[output] - wanted).max() < 1e-6


def test_a_short_halo_is_nearly_the_same_and_nothing_more():
    spec, shape = SPECS[1], (64, 64)
    whole = run(spec, shape, 0)
    errors = [np.abs(run(spec, shape, 0, tile=16, halo=(halo, halo)) - whole).max() for halo in (4, 12, 1000)]
    assert errors[0] > 1e-3
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-5, "a halo wider than there need be is the one there need be"


class Recording(ArraySource):
    """A source that notes what is read and refuses to be read outside the image."""

    def __init__(self, array):
        super().__init__(array)
        self.reads = []

    def read(self, region):
        for part, size in zip(region, self.shape, strict=True):
            assert 0 <= part.start < part.stop <= size
        self.reads.append(region)
        return super().read(region)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_every_block_is_cut_from_the_mirrored_image(case):
    """The oracle: numpy's mirroring of the whole image, from which each block is cut."""
    spec, shape, tile, seed = case
    image = np.random.default_rng(seed).random((spec.in_channels, *shape), np.float32)
    source, plan, blocks = Recording(image), make_plan(spec, shape, tile), []

    def predictor(block):
        blocks.append(block)
        return np.zeros((1, *[n + 200 for n in block.shape[1:]]), np.float32)

    results = list(run_plan(plan, source, predictor))
    assert len(results) == len(blocks) == len(source.reads) == len(plan.tiles)
    rim = 220
    padded = np.pad(image, [(0, 0), *[(rim, rim)] * spec.ndim], mode="reflect") if spec.ndim == 2 else None
    for result, block, read in zip(results, blocks, source.reads, strict=True):
        region = tuple(
            slice(rim + a, rim + a + n) for a, n in zip(result.tile.read_start, result.tile.read_shape, strict=True)
        )
        if padded is not None:
            assert np.array_equal(block, padded[(slice(None), *region)])
        else:
            wanted = image
            for axis, (a, n) in enumerate(zip(result.tile.read_start, result.tile.read_shape, strict=True), start=1):
                mirrored = np.pad(np.arange(image.shape[axis]), rim, mode="reflect")[rim + a : rim + a + n]
                wanted = wanted.take(mirrored, axis=axis)
            assert np.array_equal(block, wanted)
        for axis, part in enumerate(read):  # all real pixels of the block were read, none made up
            a, n = result.tile.read_start[axis], result.tile.read_shape[axis]
            assert part.start <= max(a, 0)
            assert part.stop >= min(a + n, shape[axis])


@pytest.mark.parametrize("spec", SPECS[:3], ids=str)
def test_the_mirrored_rim_does_not_depend_on_the_tile(spec):
    ends = set()
    for tile in (8, 20, 33, 64, 500):
        tiles = make_plan(spec, (130, 97), tile).tiles
        ends.add(
            (
                *(min(t.read_start[axis] for t in tiles) for axis in (0, 1)),
                *(max(t.read_start[axis] + t.read_shape[axis] for t in tiles) for axis in (0, 1)),
            )
        )
    assert len(ends) == 1
    assert min(ends.pop()) >= -MIRROR[2]


def test_one_pixel_is_mirrored_to_itself():
    assert mirrored_indices(-5, 11, 1).tolist() == [0] * 11


def test_focus_is_asked_before_every_tile_and_the_nearest_comes_next():
    plan = make_plan(SPECS[0], (60, 100), 10)
    rng = np.random.default_rng(0)
    places, left = [], set(plan.tiles)

    def focus():
        places.append(tuple(rng.uniform(-20, 120, 2)))
        return places[-1]

    source = ArraySource(np.zeros((1, 60, 100), np.float32))
    for number, result in enumerate(run_plan(plan, source, lambda b: b, focus), start=1):
        assert len(places) == number
        distances = {t: sum((a - b) ** 2 for a, b in zip(t.center, places[-1], strict=True)) for t in left}
        assert distances[result.tile] == min(distances.values())
        left.remove(result.tile)
    assert not left


def test_without_a_focus_tiles_come_in_reading_order():
    plan = make_plan(SPECS[0], (64, 64), 16)
    source = ArraySource(np.zeros((1, 64, 64), np.float32))
    starts = [r.tile.start for r in run_plan(plan, source, lambda b: b, lambda: None)]
    assert starts == sorted(starts)


def test_after_a_stop_no_pixel_is_read():
    plan, cancel = make_plan(SPECS[0], (64, 64), 16), CancelToken()
    source = Recording(np.zeros((1, 64, 64), np.float32))
    running = run_plan(plan, source, lambda b: b, cancel=cancel)
    next(running)
    next(running)
    cancel.cancel()
    with pytest.raises(Cancelled, match="kept"):
        next(running)
    assert len(source.reads) == 2


def test_the_shipped_model_gives_the_same_in_tiles(nuclei, nuclei_crop):
    whole = napari_unet.segment(nuclei_crop, nuclei, device="cpu", keep_maps=True)
    assert whole.task.n_tiles == 1
    assert whole.n_objects >= 3
    for tile in (64, 100):
        tiled = napari_unet.segment(nuclei_crop, nuclei, device="cpu", tile=tile, keep_maps=True)
        assert tiled.task.n_tiles >= 6
        assert np.abs(tiled.maps - whole.maps).max() < 1e-4
        assert np.array_equal(tiled.labels, whole.labels)
