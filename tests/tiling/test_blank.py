"""Blank tiles: the network is asked once for those that are alike, and nothing in the result tells."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.nets.spec import UNetSpec
from napari_unet.tiling import blank
from napari_unet.tiling.blank import BlankTiles
from napari_unet.tiling.engine import Predictor, gather
from napari_unet.tiling.grid import Tile
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource


class Counting:
    """A predictor that counts how often it is asked."""

    def __init__(self, net):
        self.predictor, self.asked = Predictor(net), 0

    def __call__(self, block):
        self.asked += 1
        return self.predictor(block)


@pytest.mark.parametrize(
    ("spec", "shape", "tile"),
    [
        (UNetSpec(features=2, levels=2, out_channels=2), (130, 260), 20),
        (UNetSpec(features=2, levels=1, in_channels=2), (90, 90), 16),
        (UNetSpec(features=2, levels=1, padding="valid", norm="none"), (90, 120), 20),
        (UNetSpec(ndim=3, features=2, levels=1), (30, 60, 60), 10),
    ],
    ids=str,
)
@pytest.mark.parametrize("padding", [0.0, -1.25])
def test_a_padded_image_comes_out_the_same_with_fewer_passes(tiny_net, monkeypatch, spec, shape, tile, padding):
    net = tiny_net(**spec.model_dump())
    image = np.full((spec.in_channels, *shape), padding, np.float32)
    middle = tuple(slice(2 * n // 5, 3 * n // 5) for n in shape)
    content = image[(slice(None), *middle)]
    content[...] = np.random.default_rng(0).random(content.shape, np.float32)
    plan = make_plan(spec, shape, tile=tile)
    few, every = Counting(net), Counting(net)
    found = gather(plan, ArraySource(image), few)
    monkeypatch.setattr(blank, "MOST_BYTES", -1)
    assert np.array_equal(found, gather(plan, ArraySource(image), every)), "bit for bit"
    assert every.asked == len(plan.tiles)
    assert few.asked < 0.8 * every.asked


def tile(offset=(0, 0)):
    return Tile((0, 0), (4, 4), (0, 0), (8, 8), offset)


def block(value=0.0, shape=(1, 8, 8)):
    return np.full(shape, value, np.float32)


def test_only_blank_blocks_that_are_alike_share_their_maps():
    key = BlankTiles.key(block(), tile())
    assert key is not None
    assert key == BlankTiles.key(block(), tile())
    assert key != BlankTiles.key(block(1.0), tile())
    assert key != BlankTiles.key(block(), tile((2, 2))), "another part of the output"
    assert key != BlankTiles.key(block(shape=(2, 8, 8)), tile())
    two = block(shape=(2, 8, 8))
    two[1] = 5.0
    assert BlankTiles.key(two, tile()) is not None, "each channel has its own value"
    for where in ((0, 0, 0), (0, 7, 7), (0, 4, 4), (0, 3, 6)):
        odd = block()
        odd[where] = 1e-6
        assert BlankTiles.key(odd, tile()) is None
    assert BlankTiles.key(block(np.nan), tile()) is None


def test_what_is_kept_is_bounded_and_nobody_can_change_it(monkeypatch):
    tiles = BlankTiles()
    keys = [BlankTiles.key(block(value), tile()) for value in range(blank.MOST_TILES + 1)]
    maps = np.ones((2, 4, 4), np.float32)
    for key in keys[:-1]:
        tiles.keep(key, maps)
    maps[...] = 7
    tiles.maps(keys[1])[...] = 8
    assert (tiles.maps(keys[0]) == 1).all(), "used last, so kept longest"
    assert (tiles.maps(keys[1]) == 1).all()
    tiles.keep(keys[-1], maps)
    assert tiles.maps(keys[2]) is None
    assert tiles.maps(keys[0]) is not None
    assert tiles.maps(None) is None
    monkeypatch.setattr(blank, "MOST_BYTES", maps.nbytes)
    tiles.keep(keys[2], maps)
    assert [tiles.maps(key) is not None for key in keys] == [False, False, True, False]


def test_a_tile_that_was_known_says_nothing_of_the_speed(tiny_model):
    from napari_unet.axes import Image
    from napari_unet.inference.task import make_task
    from napari_unet.inference.tile_runner import Inference

    task = make_task(Image(np.zeros((200, 200), np.uint8), "YX"), tiny_model(), tile=32)
    with Inference(task, "cpu") as inference:
        subimage, speeds = task.subimages[0], []
        for one in task.plan.tiles:
            inference.run(subimage, one)
            speeds.append(inference.seconds_for(1e6))
    assert len(set(speeds)) < len(speeds), "tiles that were known are not counted"
