"""One object of its parts."""

from __future__ import annotations

import numpy as np

from napari_unet.objects.stitch import match_ids, overlaps, renumber, stitch_slices


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
