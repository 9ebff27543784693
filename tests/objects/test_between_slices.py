"""Slices between two corrected ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from made_labels import discs, hangs_together, iou, seeds
from napari_unet.errors import EditError
from napari_unet.objects.between_slices import interpolated, interpolated_between


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


def test_only_chosen_objects_change_and_protected_pixels_stay():
    volume = np.zeros((6, 50, 60), np.int32)
    volume[0], volume[5] = disc(25, 15, 8), disc(25, 19, 10)
    volume[:, 5:45, 26:30] = 2
    volume[2, 40:48, 40:48] = 1  # what was wrong
    volume[3, 22:28, 10:14] = 1
    protected = np.zeros(volume.shape, bool)
    protected[3, :, :14] = True
    edit = interpolated_between(volume, 5, 0, [1], protected=protected)
    after = edit.applied(volume)
    assert np.array_equal(after[[0, 5]], volume[[0, 5]])
    assert np.array_equal(after[protected], volume[protected])
    assert np.array_equal(after == 2, volume == 2)
    assert not after[2, 40:48, 40:48].any()
    assert hangs_together(after[2] == 1)
    assert edit.ids == (1,)


def test_what_cannot_be_interpolated():
    volume = np.zeros((6, 50, 60), np.int32)
    volume[0], volume[3] = disc(25, 15, 8), disc(25, 15, 8)
    for first, last, ids, words in (
        (0, 1, None, "no slice between slices 0 and 1"),
        (2, 2, None, "no slice between"),
        (0, 6, None, "Slices go from 0 to 5"),
        (0, 3, [7], "no object in slices 0 and 3"),
        (1, 5, None, "no object in slices"),
    ):
        with pytest.raises(EditError, match=words):
            interpolated_between(volume, first, last, ids)
    after = interpolated_between(volume, 0, 3).applied(volume)
    with pytest.raises(EditError, match="already"):
        interpolated_between(after, 0, 3)
