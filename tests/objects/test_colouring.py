"""Neighbouring objects have different colours, and an object keeps its own unless it clashes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.objects.colouring import neighbour_pairs, recoloured


def cells(seed: int, n: int = 60, shape: tuple[int, int] = (90, 110), most: int = 10_000) -> np.ndarray:
    """A plane that is full of cells with ids in no order."""
    rng = np.random.default_rng(seed)
    seeds = np.ones(shape, bool)
    seeds[rng.integers(0, shape[0], n), rng.integers(0, shape[1], n)] = False
    where = ndimage.distance_transform_edt(seeds, return_distances=False, return_indices=True)
    ids = rng.permutation(np.arange(1, most))[: seeds.size].astype(np.int32)
    numbers = np.unique(where[0] * shape[1] + where[1], return_inverse=True)[1].reshape(shape)
    return ids[numbers]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_no_two_neighbours_have_one_colour(seed: int) -> None:
    labels = cells(seed)
    colours = (np.arange(10_000) % 7).astype(np.uint8)
    pairs = neighbour_pairs(labels[None], len(colours))
    new = recoloured(colours, pairs, 7)
    assert np.count_nonzero(new[pairs[:, 0]] == new[pairs[:, 1]]) <= 0.03 * len(pairs), (
        "slivers have more than seven neighbours"
    )
    clash = colours[pairs[:, 0]] == colours[pairs[:, 1]]
    kept = np.setdiff1d(np.arange(len(colours)), pairs)
    assert np.array_equal(new[kept], colours[kept])
    assert np.count_nonzero(new != colours) <= 3 * np.count_nonzero(clash)


def test_pairs() -> None:
    labels = np.zeros((2, 12, 12), np.int32)
    labels[0, 2:5, 2:5], labels[0, 2:5, 7:9] = 1, 2  # two pixels apart
    labels[0, 9:, 9:], labels[1, 3, 3], labels[1, 0, 11] = 3, 4, 9
    assert neighbour_pairs(labels, 100).tolist() == [[0, 1], [0, 3]]
    assert neighbour_pairs(labels, 3).tolist() == [[0, 1]], "4 has the number of 1"


@pytest.mark.parametrize("labels", [np.zeros((1, 5, 5), int), np.ones((1, 1, 1), int), np.zeros((0, 4, 4), int)])
def test_nothing_to_colour(labels: np.ndarray) -> None:
    pairs = neighbour_pairs(labels, 10)
    assert pairs.shape == (0, 2)
    assert np.array_equal(recoloured(np.arange(10, dtype=np.uint8), pairs, 7), np.arange(10))


def test_more_neighbours_than_colours() -> None:
    pairs = np.array([(i, j) for i in range(9) for j in range(i + 1, 9)])
    new = recoloured(np.zeros(9, np.uint8), pairs, 7)
    assert np.count_nonzero(new[pairs[:, 0]] == new[pairs[:, 1]]) == 2, "as few as possible"
