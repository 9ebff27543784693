"""Pieces of one id in several places."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_unet.objects.pieces import with_ids_for_pieces


def squares(*places):
    """Labels with the id and the corner of each square of 5 x 5."""
    found = np.zeros((20, 30), np.int32)
    for label, y, x in places:
        found[y : y + 5, x : x + 5] = label
    return found


def test_what_has_one_piece_each_is_not_touched():
    truth = squares((3, 0, 0), (1, 0, 5), (2, 15, 25))[None, None]  # touching, and at the border
    assert with_ids_for_pieces(truth) is truth


def test_a_piece_is_found_across_slices_and_not_across_time():
    truth = np.zeros((2, 3, 20, 30), np.int32)
    truth[:, :, 5:10, 5:10] = 4  # one column in each frame
    assert with_ids_for_pieces(truth) is truth
    truth[0, 1] = 0  # now the first frame has two pieces
    assert [len(np.unique(frame)) - 1 for frame in with_ids_for_pieces(truth)] == [2, 1]


@settings(max_examples=40, deadline=None)
@given(arrays(np.int32, (1, 1, 7, 8), elements=st.integers(0, 3)))
def test_pieces_are_parts_of_what_was_there(truth):
    found = with_ids_for_pieces(truth)
    assert np.array_equal(found > 0, truth > 0)
    pairs = {(a, b) for a, b in zip(found.ravel().tolist(), truth.ravel().tolist(), strict=True)}
    assert len(pairs) == len(np.unique(found)), "an id is a part of one id"
    assert set(np.unique(truth)) <= set(np.unique(found)), "no id is gone"
