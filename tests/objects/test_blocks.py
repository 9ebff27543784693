"""Decoding block by block gives what decoding at once gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.objects.blocks import BlockStitcher
from napari_unet.objects.decode import Decoding, decode_instances
from napari_unet.objects.flows import FLOWS
from napari_unet.objects.targets import target_maps

OUTPUTS = ("foreground", "distance")


def by_blocks(maps, block, overlap, decoding=None, outputs=OUTPUTS):
    """Labels of maps decoded in blocks, and how many blocks there were."""
    decoding = decoding or Decoding()
    stitcher = BlockStitcher(maps.shape[1:], block, overlap)
    labels = np.zeros(maps.shape[1:], np.int32)
    regions = []
    for part in stitcher.blocks():
        labels[part.region] = stitcher.add(part, decode_instances(maps[(slice(None), *part.seen)], outputs, decoding))
        regions.append(part.region)
    return stitcher.final_ids()[labels], len(regions)


def crowd(shape, n, size, seed):
    """Maps of `n` round objects of about `size` pixels, many of which touch, with ripples as networks make them."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((2, *shape), np.float32)
    grid = np.indices(shape)
    for _ in range(n):
        center, radius = rng.uniform(0, shape), rng.uniform(0.3, 0.5) * size
        away = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, center, strict=True))) / radius
        maps[0] = np.maximum(maps[0], away < 1)
        maps[1] = np.maximum(maps[1], np.clip(1 - away, 0, 1))
    maps[1] += ndimage.gaussian_filter(rng.normal(0, 0.3, shape), 1)
    return maps


def same_objects(a, b):
    """Whether two label images differ in the names of their objects only."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(a)) == len(np.unique(b))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("block", "overlap"), [((64, 64), 16), ((50, 90), 20), ((16, 128), 16)])
def test_small_objects_come_out_as_if_decoded_at_once(seed, block, overlap):
    maps = crowd((190, 230), 160, 15, seed)
    whole = decode_instances(maps, OUTPUTS, Decoding())
    labels, n_blocks = by_blocks(maps, block, overlap)
    assert n_blocks > 9
    assert whole.max() > 60
    assert same_objects(whole, labels)
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1)), "ids without gaps"


@pytest.mark.parametrize("shape", [(190, 230), (40, 60, 60)])
@pytest.mark.parametrize("seed", range(3))
def test_objects_told_apart_by_flows_too(blobs, shape, seed):
    flat = len(shape) == 2
    _, labels = blobs(shape, n=160 if flat else 60, radius=6 if flat else 5, seed=seed)
    names = ("foreground", *FLOWS[len(shape)])
    maps = target_maps(labels, names).astype(np.float32)
    maps[1:] += np.random.default_rng(seed).normal(0, 0.3, maps[1:].shape)
    decoding = Decoding(seeds="flows")
    whole = decode_instances(maps, names, decoding)
    found, n_blocks = by_blocks(maps, (50, 64) if flat else (16, 24, 24), 20 if flat else 12, decoding, names)
    assert n_blocks > 9
    assert whole.max() > 20
    assert same_objects(whole, found)


def test_volumes_too():
    maps = crowd((40, 60, 60), 60, 11, 0)
    whole = decode_instances(maps, OUTPUTS, Decoding())
    labels, n_blocks = by_blocks(maps, (16, 24, 24), 12)
    assert n_blocks == 27
    assert whole.max() > 20
    assert same_objects(whole, labels)


def test_an_object_across_many_blocks_is_one():
    maps = np.zeros((2, 200, 200), np.float32)
    for row in range(20, 200, 40):  # a snake through all of the image
        maps[:, row : row + 12, 10:190] = 1
        side = slice(178, 190) if row % 80 == 20 else slice(10, 22)
        maps[:, row : min(row + 40, 192), side] = 1
    assert decode_instances(maps, OUTPUTS, Decoding()).max() == 1
    labels, n_blocks = by_blocks(maps, (32, 32), 16)
    assert n_blocks == 49
    assert labels.max() == 1
    assert np.array_equal(labels > 0, maps[0] > 0.5)


def test_neighbours_across_a_face_stay_two():
    maps = np.zeros((2, 64, 128), np.float32)
    y, x = np.indices((64, 128))
    for column in (54, 74):  # they touch at 64, where the blocks do
        away = np.hypot(y - 32, x - column) / 11
        maps[0] = np.maximum(maps[0], away < 1)
        maps[1] = np.maximum(maps[1], np.clip(1 - away, 0, 1))
    labels, _ = by_blocks(maps, (64, 64), 16, Decoding(smoothing=0))
    assert labels.max() == 2
    assert same_objects(labels, decode_instances(maps, OUTPUTS, Decoding(smoothing=0)))


def test_nothing_found_and_one_block():
    maps = np.zeros((2, 40, 40), np.float32)
    assert not by_blocks(maps, (16, 16), 8)[0].any()
    maps = crowd((60, 60), 12, 14, 1)
    labels, n_blocks = by_blocks(maps, (64, 64), 16)
    assert n_blocks == 1
    assert np.array_equal(labels, decode_instances(maps, OUTPUTS, Decoding()))
