"""Slices between two corrected ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from made_labels import discs, iou, seeds
from napari_unet.objects.between_slices import interpolated


def disc(y: float, x: float, radius: float, label: int = 1) -> np.ndarray:
    grid = np.mgrid[:50, :60]
    return np.where((grid[0] - y) ** 2 + (grid[1] - x) ** 2 <= radius**2, label, 0).astype(np.int32)


def test_a_disc_grows_evenly_and_moves_evenly():
    between = interpolated(disc(20, 15, 6), disc(26, 40, 12), 3)
    for k, plane in enumerate(between, start=1):
        s = k / 4
        assert iou(plane > 0, disc(20 + 6 * s, 15 + 25 * s, 6 + 6 * s) > 0) > 0.85


def test_an_object_that_ends_becomes_smaller_and_stays_inside():
    first = disc(25, 25, 12, 3)
    between = interpolated(first, np.zeros_like(first), 4)
    sizes = [(plane == 3).sum() for plane in between]
    assert all(a > b > 0 for a, b in zip([(first == 3).sum(), *sizes[:-1]], sizes, strict=True))
    assert np.array_equal(interpolated(np.zeros_like(first), first, 4), between[::-1])


@given(seeds)
def test_same_slices_give_the_same_and_ids_are_theirs(seed):
    rng = np.random.default_rng(seed)
    first, last = discs((30, 32), rng), discs((30, 32), rng)
    assert np.array_equal(interpolated(first, first, 2), [first, first])
    between = interpolated(first, last, 3)
    assert set(np.unique(between)) <= set(np.unique(first)) | set(np.unique(last))
