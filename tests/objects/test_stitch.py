"""One object of its parts: matching is one to one, and nothing but ids is changed by it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.objects.stitch import count_ids, match_ids, overlaps, renumber, stitch_slices

IMAGES = arrays(np.int32, (6, 7), elements=st.integers(0, 4))
VOLUMES = arrays(np.int32, (3, 6, 7), elements=st.integers(0, 4))


def test_overlaps_are_counted():
    a, b, n = overlaps(np.array([0, 1, 1, 2, 2]), np.array([5, 5, 5, 5, 0]))
    assert list(zip(a, b, n, strict=True)) == [(1, 5, 2), (2, 5, 1)]
    assert not len(overlaps(np.zeros(3, int), np.ones(3, int))[0])


def test_pairs_of_enormous_ids_are_counted():
    """As those of connectomes; two of them do not fit into one number of 64 bits."""
    large = 720575940621039145 + np.arange(3)
    first, second = large[[0, 0, 1, 1, 2]], large[[2, 2, 2, 0, 1]]
    a, b, n = overlaps(first, second)
    assert {(int(i), int(j)): int(k) for i, j, k in zip(a, b, n, strict=True)} == {
        (large[0], large[2]): 2, (large[1], large[0]): 1, (large[1], large[2]): 1, (large[2], large[1]): 1,
    }  # fmt: skip
    assert match_ids(first, first) == {int(i): int(i) for i in large}


def test_matching_is_one_to_one_and_best_first():
    reference = np.array([1] * 10 + [2] * 10)
    labels = np.array([7] * 9 + [8] * 11)
    assert match_ids(reference, labels) == {7: 1, 8: 2}
    assert match_ids(reference, np.full(20, 3), 0.4) == {3: 1}
    assert match_ids(reference, np.full(20, 3), 0.5) == {}


def test_renumbering_gives_new_ids_to_what_is_not_mapped():
    assert renumber(np.array([0, 4, 9, 6]), {9: 2}, 20).tolist() == [0, 20, 2, 21]


def test_an_object_keeps_its_id_from_slice_to_slice():
    volume = np.zeros((4, 20, 20), int)
    for z, (first, second) in enumerate([(1, 2), (2, 1), (9, 3)]):
        volume[z, 2 + z : 10 + z, 2:10] = first
        volume[z, 2:8, 12:18] = second
    volume[3, 15:19, 2:6] = 1  # something else, elsewhere
    stitched = stitch_slices(volume)
    assert len(np.unique(stitched[:3, :, :10])) == 2
    assert len(np.unique(stitched[:3, :, 11:])) == 2
    assert stitched.max() == 3
    assert np.array_equal(stitched > 0, volume > 0)


def test_ids_are_counted_whatever_their_size_and_order():
    rng = np.random.default_rng(0)
    for dtype, top in ((np.uint8, 200), (np.int32, 5000), (np.int32, 2**31 - 1), (np.int64, 2**40)):
        labels = rng.integers(0, top, (40, 30)).astype(dtype)
        labels[:5] = 0
        for view in (labels, labels.T, labels[::2, ::-3], labels[None, None]):
            assert count_ids(view) == np.count_nonzero(np.unique(view))
    assert count_ids(np.zeros((3, 4), np.int32)) == 0
    assert count_ids(np.zeros((0, 4), np.int32)) == 0
    assert count_ids(np.array([[-3, 0, 2]])) == 2


@settings(max_examples=100, deadline=None)
@given(IMAGES, IMAGES)
def test_overlaps_are_those_counted_one_by_one(a, b):
    wanted = {}
    for pair in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True):
        if pair[0] and pair[1]:
            wanted[pair] = wanted.get(pair, 0) + 1
    first, second, counts = overlaps(a, b)
    assert dict(zip(zip(first.tolist(), second.tolist(), strict=True), counts.tolist(), strict=True)) == wanted


@settings(max_examples=100, deadline=None)
@given(IMAGES, IMAGES, st.sampled_from([0.1, 0.25, 0.5]))
def test_matches_are_one_to_one_and_above_the_share(a, b, share):
    mapping = match_ids(a, b, share)
    assert len(set(mapping.values())) == len(mapping)
    for new, old in mapping.items():
        assert ((a == old) & (b == new)).sum() > share * ((a == old) | (b == new)).sum()


@settings(max_examples=100, deadline=None)
@given(VOLUMES)
def test_stitching_changes_nothing_but_ids(volume):
    stitched = stitch_slices(volume)
    assert np.array_equal(stitched > 0, volume > 0)
    for before, after in zip(volume, stitched, strict=True):
        pairs = np.unique(np.stack([before.ravel(), after.ravel()]), axis=1)
        assert len(set(pairs[0])) == len(set(pairs[1])) == pairs.shape[1]
    assert np.array_equal(np.unique(stitched[stitched > 0]), np.arange(1, stitched.max() + 1))


def test_equal_slices_are_one_set_of_objects():
    plane = np.zeros((10, 10), int)
    plane[1:4, 1:4], plane[5:9, 5:9] = 3, 8
    stitched = stitch_slices(np.stack([plane, plane, plane]))
    assert stitched.max() == 2
    assert (stitched == stitched[0]).all()


def test_an_object_that_was_gone_for_a_slice_is_another():
    plane = np.zeros((10, 10), int)
    plane[1:6, 1:6] = 1
    stitched = stitch_slices(np.stack([plane, 0 * plane, plane]))
    assert stitched[0, 2, 2] == 1
    assert stitched[2, 2, 2] == 2


def test_no_objects_and_no_slices():
    assert not stitch_slices(np.zeros((3, 5, 5), int)).any()
    assert stitch_slices(np.zeros((0, 5, 5), int)).shape == (0, 5, 5)
    assert match_ids(np.zeros((3, 3), int), np.ones((3, 3), int)) == {}
    assert renumber(np.zeros((3, 3), int), {1: 2}, 5).tolist() == [[0] * 3] * 3


def test_an_enormous_id_needs_no_enormous_memory():
    """Any whole number can be painted with; a table of all ids up to it would be of gigabytes."""
    a = np.zeros((10, 10), np.int64)
    a[2:5, 2:5] = 2**40
    assert match_ids(a, (a > 0) * 3) == {3: 2**40}


def test_of_the_halves_of_an_object_only_the_larger_goes_on():
    whole, halves = np.ones((4, 10), int), np.repeat([[3] * 4 + [4] * 6], 4, axis=0)
    assert match_ids(whole, halves, 0.25) == {4: 1}
    assert match_ids(halves, whole, 0.25) == {1: 4}
    assert stitch_slices(np.stack([whole, halves]))[1].tolist() == [[2] * 4 + [1] * 6] * 4
