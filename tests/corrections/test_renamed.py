"""Objects that have got another id and no other outline: the user's, but nothing that was corrected or is learned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.corrections.corrections import Corrections, Provenance
from napari_unet.corrections.part import copied_parts

SHAPE = (1, 6, 20, 20)
WHOLE = tuple(slice(0, n) for n in SHAPE[1:])


@pytest.fixture
def stack():
    """Object 5 in the first slice, 6 in the others, and 9 in all, as predicted."""
    labels = np.zeros(SHAPE, np.int32)
    labels[0, 0, 2:8, 2:8] = 5
    labels[0, 1:, 3:9, 2:8] = 6
    labels[0, :, 12:17, 12:17] = 9
    corrections = Corrections(SHAPE)
    labels[0] = corrections.merge(np.zeros_like(labels), 0, WHOLE, labels[0])
    return labels, corrections


def carried(labels, slices, new=1):
    """Give what lies in the upper left corner another id."""
    corner = labels[0, slices, :10, :10]
    corner[corner > 0] = new


def test_an_id_that_is_carried_counts_where_two_slices_are_joined_and_nowhere_else(stack):
    labels, corrections = stack
    (five,) = set(np.unique(labels[0, 0, :10, :10])) - {0}
    carried(labels, slice(1, 6), five)
    summary = corrections.update(labels)
    assert corrections.supervised_planes() == [(0, 1)], "there is a border less between it and the slice before"
    assert summary.corrected_pixels == 36
    assert summary.changed_pixels == 5 * 36
    assert summary.corrected_objects == 2, "this one, and the one that it was"
    assert corrections.changed_planes() == [(0, z) for z in range(1, 6)]
    assert not corrections.corrected(labels, (0, 3)).any()
    assert not corrections.supervised(labels, (0, 3)).any()
    assert (corrections.provenance(labels, (0, 3))[3:9, 2:8] == Provenance.CORRECTED).all(), "the id is the user's"


def test_an_id_that_nothing_beside_it_has_counts_nowhere(stack):
    labels, corrections = stack
    carried(labels, slice(2, 4), 77)
    summary = corrections.update(labels)
    assert (summary.corrected_pixels, summary.corrected_objects, summary.changed_objects) == (0, 0, 2)
    assert summary.anything, "it is work of the user"
    assert copied_parts(corrections, labels) == []
    assert corrections.last_id == 77


def test_no_prediction_takes_a_carried_id_away(stack):
    labels, corrections = stack
    carried(labels, slice(1, 6), 77)
    corrections.update(labels)
    before = labels.copy()
    again = np.zeros(SHAPE[1:], np.int32)
    again[:, 4:10, 3:9] = 1
    labels[0] = corrections.merge(labels, 0, WHOLE, again)
    assert (labels[before == 77] == 77).all()


def test_an_object_that_was_also_painted_on_counts(stack):
    labels, corrections = stack
    carried(labels, slice(1, 6), 77)
    labels[0, 3, 8, 2] = 0
    summary = corrections.update(labels)
    assert corrections.supervised_planes() == [(0, 3)]
    assert summary.corrected_pixels == 36
    assert corrections.corrected_in((0, 4)) == frozenset()
    corrected = corrections.corrected(labels, (0, 3))
    assert corrected[3:9, 2:8].all()
    assert not corrected[12:17, 12:17].any()


@pytest.mark.parametrize("piece", [(0, 19), (19, 19)], ids=["beside", "far away"])
def test_two_objects_of_a_plane_that_get_one_id_are_a_merge(stack, piece):
    labels, corrections = stack
    labels[0, 2][piece] = 77
    corrections.prediction[0, 2][piece] = 77
    carried(labels, slice(2, 3), 77)
    assert corrections.update(labels).corrected_pixels == 36
    assert corrections.supervised_planes() == [(0, 2)]


def test_a_slice_counts_no_longer_when_the_one_beside_it_is_another_object_again(stack):
    labels, corrections = stack
    (five,) = set(np.unique(labels[0, 0, :10, :10])) - {0}
    carried(labels, slice(1, 6), five)
    corrections.update(labels)
    carried(labels, slice(0, 1), 88)
    assert corrections.update(labels, (0, 0)).corrected_pixels == 0, "the slice beside it is compared, too"
    carried(labels, slice(0, 1), five)
    assert corrections.update(labels, (0, 0)).corrected_pixels == 36


def test_a_part_that_is_learned_from_knows_what_is_renamed(stack):
    labels, corrections = stack
    carried(labels, slice(1, 6), 77)
    corrections.reviewed[0, 3, 12:17, 12:17] = True
    corrections.update(labels)
    for around in (0, 1):
        (part,) = copied_parts(corrections, labels, around, 20)
        assert part.mask("supervised").sum() == 25
        assert not part.mask("corrected").any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_other_ids_alone_are_never_learned_from_in_a_plane(seed):
    rng = np.random.default_rng(seed)
    shape = (2, 1, 18, 18)
    predicted = np.kron(rng.integers(0, 6, (2, 1, 6, 6)), np.ones((3, 3), int)).astype(np.int32)
    corrections = Corrections(shape)
    corrections.prediction[...] = predicted
    new = np.concatenate([[0], rng.permutation(np.arange(1, 12))[:5]])
    labels = new[predicted].astype(np.int32)
    summary = corrections.update(labels)
    assert summary.corrected_pixels == 0
    assert summary.changed_pixels == np.count_nonzero(labels != predicted)
    assert not any(corrections.supervised(labels, plane).any() for plane in corrections.planes())
    renamed = labels != predicted
    y, x = rng.integers(0, 18, 2)
    own = labels[0, 0] == labels[0, 0, y, x]
    labels[0, 0, y, x] = 50  # who then paints a pixel has changed that object, and no other
    corrections.update(labels)
    counted = corrections.differs(labels, (0, 0), (slice(None), slice(None)))
    expected = renamed[0, 0] & own
    expected[y, x] = True
    if own.sum() > 1 or predicted[0, 0, y, x] == 0:
        assert np.array_equal(counted, expected)
