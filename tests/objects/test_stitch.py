"""One object of its parts."""

from __future__ import annotations

import numpy as np

from napari_unet.objects.stitch import count_ids, match_ids, overlaps, renumber, stitch_slices


def test_overlaps_are_counted():
    a, b, n = overlaps(np.array([0, 1, 1, 2, 2]), np.array([5, 5, 5, 5, 0]))
    assert list(zip(a, b, n, strict=True)) == [(1, 5, 2), (2, 5, 1)]
    assert not len(overlaps(np.zeros(3, int), np.ones(3, int))[0])


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
