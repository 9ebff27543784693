"""What counts as corrected, and what a new prediction may touch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.corrections.corrections import Corrections, Provenance
from napari_unet.corrections.identity import rename

WHOLE = (slice(0, 1), slice(0, 40), slice(0, 40))


def squares(*boxes):
    labels = np.zeros((1, 40, 40), np.int32)
    for label, (y, x, size) in enumerate(boxes, start=1):
        labels[0, y : y + size, x : x + size] = label
    return labels


@pytest.fixture
def predicted():
    """Labels and corrections after a first prediction of two squares."""
    corrections, labels = Corrections((1, 1, 40, 40)), np.zeros((1, 1, 40, 40), np.int32)
    labels[0] = corrections.merge(labels, 0, WHOLE, squares((5, 5, 10), (20, 20, 10)))
    return labels, corrections


def test_a_prediction_is_no_correction(predicted):
    labels, corrections = predicted
    assert not corrections.update(labels).anything
    assert corrections.supervised_planes() == []
    assert set(np.unique(corrections.provenance(labels, (0, 0)))) == {Provenance.PREDICTED}


def test_painting_and_painting_back(predicted):
    labels, corrections = predicted
    labels[0, 0, 15, 5:10] = 1
    summary = corrections.update(labels, (0, 0))
    assert (summary.corrected_pixels, summary.corrected_objects) == (5, 1)
    assert (corrections.provenance(labels, (0, 0)) == Provenance.CORRECTED).sum() == 5
    labels[0, 0, 15, 5:10] = 0
    assert not corrections.update(labels, (0, 0)).anything


def test_objects_are_counted_where_they_were_and_where_they_are(predicted):
    labels, corrections = predicted
    labels[labels == 2] = 0  # one deleted
    labels[0, 0, 30:35, 5:10] = 9  # one new
    summary = corrections.update(labels)
    assert summary.corrected_objects == 2
    assert summary.corrected_pixels == 125


def test_a_corrected_object_counts_whole_with_a_ring(predicted):
    labels, corrections = predicted
    labels[0, 0, 15, 5:10] = 1
    protected, supervised = corrections.protected(labels, (0, 0)), corrections.supervised(labels, (0, 0))
    assert protected[labels[0, 0] == 1].all()
    assert not protected[labels[0, 0] == 2].any()
    assert protected.sum() == 105
    assert supervised[4, 10]
    assert supervised[3, 10]
    assert not supervised[2, 10]
    assert not supervised[25, 25]


def test_classes_count_pixel_by_pixel():
    corrections, labels = Corrections((1, 1, 40, 40), instances=False), np.zeros((1, 1, 40, 40), np.int32)
    labels[0] = corrections.merge(labels, 0, WHOLE, squares((5, 5, 10)))
    labels[0, 0, 30, 30] = 1
    assert corrections.protected(labels, (0, 0)).sum() == 1
    assert corrections.supervised(labels, (0, 0)).sum() == 1


def test_reviewed_pixels_are_supervised_and_kept(predicted):
    labels, corrections = predicted
    corrections.review(0, slice(0, 1), slice(0, 20), slice(0, 40))
    assert corrections.update(labels).reviewed_share == pytest.approx(0.5)
    assert corrections.supervised(labels, (0, 0)).sum() == 800
    merged = corrections.merge(labels, 0, WHOLE, np.zeros((1, 40, 40), np.int32))
    assert (merged[0, 5:15, 5:15] == 1).all()
    assert not merged[0, 20:].any()


def test_the_same_objects_keep_their_ids(predicted):
    labels, corrections = predicted
    again = corrections.merge(labels, 0, WHOLE, squares((20, 20, 10), (5, 6, 10), (30, 2, 5)))
    assert (again[0, 20:30, 20:30] == 2).all()
    assert (again[0, 5:15, 6:16] == 1).all()
    assert (again[0, 30:35, 2:7] == 3).all()


def test_an_object_that_the_user_drew_is_not_doubled_around_its_outline(predicted):
    labels, corrections = predicted
    labels[0, 0, 5:15, 5:7] = 0  # the user trims the object
    larger = corrections.merge(labels, 0, WHOLE, squares((4, 4, 12), (20, 20, 10)))
    assert np.array_equal(larger[0] == 1, labels[0, 0] == 1)
    assert set(np.unique(larger)) == {0, 1, 2}


def test_an_object_reviewed_in_part_goes_on_with_its_id(predicted):
    labels, corrections = predicted
    corrections.review(0, slice(0, 1), slice(0, 10), slice(0, 40))  # the field ends in the middle of object 1
    merged = corrections.merge(labels, 0, WHOLE, squares((5, 5, 13), (20, 20, 10)))
    assert (merged[0, 10:18, 5:18] == 1).all()
    assert not merged[0, 5:10, 15:18].any()


def test_a_correction_stays_one_when_the_prediction_comes_to_agree(predicted):
    labels, corrections = predicted
    labels[0, 0, 30:36, 5:11] = 7
    labels[0] = corrections.merge(labels, 0, WHOLE, squares((5, 5, 10), (20, 20, 10), (30, 5, 6)))
    assert (labels[0, 0, 30:36, 5:11] == 7).all()
    labels[0] = corrections.merge(labels, 0, WHOLE, np.zeros((1, 40, 40), np.int32))
    assert (labels[0, 0, 30:36, 5:11] == 7).all()
    assert corrections.update(labels).corrected_pixels == 36


def test_slices_beside_each_other_share_ids():
    corrections, labels = Corrections((1, 3, 40, 40)), np.zeros((1, 3, 40, 40), np.int32)
    for z, boxes in ((1, [(5, 5, 10), (20, 20, 10)]), (2, [(21, 20, 10), (5, 6, 10)]), (0, [(20, 19, 10), (30, 2, 6)])):
        region = (slice(z, z + 1), *WHOLE[1:])
        labels[(0, *region)] = corrections.merge(labels, 0, region, squares(*boxes))
    assert labels[0, :, 25, 25].tolist() == [2, 2, 2]
    assert labels[0, 1:, 10, 10].tolist() == [1, 1]
    assert labels[0, 0, 32, 4] == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_no_prediction_changes_a_corrected_or_reviewed_pixel(seed):
    rng = np.random.default_rng(seed)
    shape, whole = (1, 2, 16, 16), (slice(0, 2), slice(0, 16), slice(0, 16))
    corrections, labels = Corrections(shape), np.zeros(shape, np.int32)
    for _ in range(3):
        coarse = rng.integers(0, 4, (2, 4, 4)).astype(np.int32)
        coarse = coarse.repeat(4, 1).repeat(4, 2)
        before = labels.copy()
        changed = labels != corrections.prediction
        kept = changed | corrections.reviewed
        labels[0] = corrections.merge(labels, 0, whole, coarse)
        assert np.array_equal(labels[kept], before[kept])
        assert (labels[changed] != corrections.prediction[changed]).all()
        y, x = rng.integers(0, 12, 2)
        labels[0, rng.integers(2), y : y + 3, x : x + 3] = rng.integers(0, 9)
        if rng.random() < 0.5:
            corrections.review(0, slice(0, 1), slice(y, y + 4), slice(x, x + 4))


def test_slices_done_in_any_order_are_joined_in_the_end():
    corrections, labels = Corrections((1, 5, 40, 40)), np.zeros((1, 5, 40, 40), np.int32)
    outline = np.zeros((1, 40, 40), np.int32)
    outline[0, 5:15, 5:15], outline[0, 20:30, 20:30] = 1, 2
    everywhere = slice(0, 40)
    for z in (0, 4, 1, 3, 2):
        region = slice(z, z + 1), everywhere, everywhere
        labels[0, z] = corrections.merge(labels, 0, region, outline)[0]
    assert len(np.unique(labels)) == 5, "two groups that met in the middle"
    labels[0, 4, 5:8, 5:15] = 0  # the user mends an object of the later group
    corrections.update(labels)
    mended = labels[0, 4, 10, 10]
    ids = corrections.joins(labels)
    rename(labels, ids)
    corrections.rename(ids)
    assert len(np.unique(labels)) == 3
    assert set(np.unique(labels[0, :, 10, 10])) == {mended}, "the untouched id gives way"
    assert corrections.update(labels).corrected_pixels == 30
    assert corrections.joins(labels) == {}


def test_two_objects_of_one_slice_are_never_joined():
    corrections, labels = Corrections((1, 3, 40, 40)), np.zeros((1, 3, 40, 40), np.int32)
    labels[0, 0, 5:15, 5:15] = labels[0, 2, 30:35, 30:35] = 1
    labels[0, 1:3, 5:15, 5:15] = 2
    assert corrections.joins(labels) == {}
