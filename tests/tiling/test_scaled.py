"""Parts of an image at another scale are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.transform import resize

from napari_unet.tiling.scaled import PartSource, ScaledSource, covering, resized
from napari_unet.tiling.source import ArraySource

SHAPES = [
    ((40, 57), (20, 19)),
    ((40, 57), (80, 93)),
    ((40, 57), (13, 90)),
    ((9, 40, 31), (9, 13, 12)),
    ((1, 7), (3, 2)),
]


def image(shape):
    return np.random.default_rng(0).random((2, *shape)).astype(np.float32)


@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_the_whole_is_that_of_scikit_image(old, new):
    whole = image(old)
    wanted = np.stack([resize(channel, new, order=1, anti_aliasing=True) for channel in whole])
    assert resized(whole, new) == pytest.approx(wanted, abs=1e-5)
    assert resized(whole, new).dtype == np.float32


@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_any_part_is_that_of_the_whole(old, new):
    source = ScaledSource(ArraySource(image(old)), new)
    whole = source.read(tuple(slice(0, n) for n in new))
    rng = np.random.default_rng(1)
    for _ in range(10):
        ends = [sorted(rng.choice(n + 1, 2, replace=False)) for n in new]
        region = tuple(slice(int(a), int(b)) for a, b in ends)
        assert source.read(region) == pytest.approx(whole[(slice(None), *region)], abs=1e-6)


def test_a_part_is_read_only():
    class Watched(ArraySource):
        read_so_far = 0

        def read(self, region):
            block = super().read(region)
            self.read_so_far += block[0].size
            return block

    source = Watched(image((400, 400)))
    ScaledSource(source, (100, 100)).read((slice(40, 50), slice(0, 10)))
    assert source.read_so_far < 80 * 80


def test_beyond_a_known_part_its_border_goes_on():
    source = PartSource(np.arange(12.0).reshape(1, 3, 4), (slice(2, 5), slice(1, 5)), (9, 9))
    assert source.shape == (9, 9)
    found = source.read((slice(1, 6), slice(0, 6)))[0]
    assert found[1:4, 1:5].tolist() == np.arange(12.0).reshape(3, 4).tolist()
    assert (found[0] == found[1]).all()
    assert (found[:, 0] == found[:, 1]).all()


@pytest.mark.parametrize(("old", "new"), [(100, 37), (37, 100), (64, 64)])
def test_what_covers_a_region(old, new):
    for start in range(0, old, 7):
        (there,) = covering([slice(start, start + 5 if start + 5 < old else old)], [old], [new])
        (back,) = covering([there], [new], [old])
        assert back.start <= start
        assert back.stop >= min(start + 5, old)
    assert covering([slice(0, old)], [old], [new]) == (slice(0, new),)
