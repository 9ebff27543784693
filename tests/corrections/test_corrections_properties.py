"""Random edits and predictions: what a person did is kept, and what is told about it follows from the arrays alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.corrections.corrections import RING, Corrections, Provenance, Summary
from napari_unet.corrections.unknown import forget_shapes

SHAPE = (2, 3, 24, 24)


def random_labels(rng, shape=SHAPE[1:], n=5):
    labels = np.zeros(shape, np.int32)
    for label in range(1, n + 1):
        z = rng.integers(0, shape[0])
        y, x = rng.integers(0, shape[1] - 3), rng.integers(0, shape[2] - 3)
        h, w = rng.integers(2, 10, 2)
        labels[z : z + 2, y : y + h, x : x + w] = label
    return labels


def random_edit(rng, labels):
    """Paint, erase, fill or draw something new, straight into the array, as any tool may."""
    frame, z = rng.integers(0, SHAPE[0]), rng.integers(0, SHAPE[1])
    plane = labels[frame, z]
    y, x = rng.integers(0, SHAPE[2] - 2, 2)
    h, w = rng.integers(1, 9, 2)
    kind = rng.integers(0, 4)
    if kind == 0:
        plane[y : y + h, x : x + w] = rng.integers(0, int(labels.max()) + 1)
    elif kind == 1:
        plane[plane == plane[y, x]] = 0
    elif kind == 2:
        plane[y : y + h, x : x + w] = labels.max() + 1
    else:
        plane[plane == plane[y, x]] = labels.max() + 1


def merge(corrections, labels, frame, region, predicted):
    labels[(frame, *region)] = corrections.merge(labels, frame, region, predicted)


def whole():
    return tuple(slice(0, n) for n in SHAPE[1:])


def regions(rng):
    """The whole frame, one slice, or a tile of one slice."""
    kind = rng.integers(0, 3)
    if kind == 0:
        return whole()
    z = int(rng.integers(0, SHAPE[1]))
    if kind == 1:
        return slice(z, z + 1), *whole()[1:]
    y, x = (int(v) for v in rng.integers(0, 12, 2))
    return slice(z, z + 1), slice(y, y + 12), slice(x, x + 12)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_whatever_is_done_no_prediction_changes_what_a_person_did(seed, instances):
    rng = np.random.default_rng(seed)
    corrections, labels = Corrections(SHAPE, instances=instances), np.zeros(SHAPE, np.int32)
    for _ in range(6):
        for _ in range(rng.integers(0, 4)):
            random_edit(rng, labels)
        if rng.random() < 0.5:
            frame, (z, y, x) = int(rng.integers(0, SHAPE[0])), regions(rng)
            corrections.review(frame, z, y, x, value=bool(rng.random() < 0.8))
        corrected = labels != corrections.prediction
        reviewed = corrections.reviewed.copy()
        protected = np.stack(
            [np.stack([corrections.protected(labels, (t, z)) for z in range(SHAPE[1])]) for t in range(SHAPE[0])]
        )
        assert protected[corrected | reviewed].all()
        before = labels.copy()
        corrections.update(labels)
        frame, region = int(rng.integers(0, SHAPE[0])), regions(rng)
        predicted = random_labels(rng)[tuple(slice(0, part.stop - part.start) for part in region)]
        merge(corrections, labels, frame, region, predicted)
        assert np.array_equal(labels[protected], before[protected])
        assert np.array_equal((labels != corrections.prediction)[corrected], np.ones(corrected.sum(), bool))
        assert np.array_equal(corrections.reviewed, reviewed)
        outside = np.ones(SHAPE, bool)
        outside[(frame, *region)] = False
        assert np.array_equal(labels[outside], before[outside])
        # What is told is what a new look at all planes tells.
        told = corrections.update(labels)
        assert told.changed_pixels == np.count_nonzero(labels != corrections.prediction)
        counted = [corrections.differs(labels, plane, whole()[1:]) for plane in corrections.planes()]
        assert told.corrected_pixels == np.count_nonzero(counted)
        assert instances or told.corrected_pixels == told.changed_pixels
        assert told.reviewed_pixels == np.count_nonzero(reviewed)
        assert told.total_pixels == labels.size


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3]))
def test_another_model_changes_nothing_that_a_person_drew_erased_or_reviewed(seed, ndim):
    rng = np.random.default_rng(seed)
    corrections, labels = Corrections(SHAPE), np.zeros(SHAPE, np.int32)
    for number in range(6):
        for _ in range(rng.integers(0, 4)):
            random_edit(rng, labels)
        if rng.random() < 0.3:
            frame, (z, y, x) = int(rng.integers(0, SHAPE[0])), regions(rng)
            corrections.review(frame, z, y, x)
        changed, reviewed = labels != corrections.prediction, corrections.reviewed.copy()
        before = labels.copy()
        corrections.update(labels)
        forget_shapes(corrections, labels, str(number), ndim)
        assert corrections.summary() == corrections.update(labels), "what is told is what a new look tells"
        for frame in range(SHAPE[0]):
            merge(corrections, labels, frame, whole(), random_labels(rng))
        assert np.array_equal(labels[changed | reviewed], before[changed | reviewed])
        assert (labels != corrections.prediction)[changed].all(), "and it stays a correction"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_to_look_at_the_suspects_is_to_look_at_everything(seed):
    rng = np.random.default_rng(seed)
    corrections, labels = Corrections(SHAPE), np.zeros(SHAPE, np.int32)
    merge(corrections, labels, 0, whole(), random_labels(rng))
    for _ in range(4):
        before = labels.copy()
        random_edit(rng, labels)
        if rng.random() < 0.5:
            corrections.review(0, *regions(rng), value=bool(rng.random() < 0.5))
        for plane in corrections.suspects(labels):
            corrections.update(labels, plane)
        planes, summary = corrections.supervised_planes(), corrections.summary()
        assert summary == corrections.update(labels)
        assert planes == corrections.supervised_planes()
        if rng.random() < 0.5:
            labels[...] = before


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_same_prediction_again_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    corrections, labels = Corrections(SHAPE), np.zeros(SHAPE, np.int32)
    predicted = ndimage.label(random_labels(rng, n=4))[0]
    merge(corrections, labels, 0, whole(), predicted)
    first = labels.copy()
    for order in (predicted, np.where(predicted, predicted.max() + 1 - predicted, 0)):  # ids come as they like
        merge(corrections, labels, 0, whole(), order)
        assert np.array_equal(labels, first)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_undoing_every_edit_leaves_no_correction(seed):
    rng = np.random.default_rng(seed)
    corrections, labels = Corrections(SHAPE), np.zeros(SHAPE, np.int32)
    for frame in range(SHAPE[0]):
        merge(corrections, labels, frame, whole(), random_labels(rng))
    assert corrections.update(labels) == Summary(total_pixels=labels.size)
    history = []
    for _ in range(4):
        history.append(labels.copy())
        random_edit(rng, labels)
        corrections.update(labels)
    for before in reversed(history):
        labels[...] = before  # an undo writes the array and tells nobody
    assert corrections.update(labels) == Summary(total_pixels=labels.size)
    assert corrections.supervised_planes() == []
    assert not corrections.supervised(labels, (0, 0)).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_looking_at_one_plane_is_enough_where_only_it_changed(seed):
    rng = np.random.default_rng(seed)
    corrections, labels = Corrections(SHAPE), np.zeros(SHAPE, np.int32)
    for frame in range(SHAPE[0]):
        merge(corrections, labels, frame, whole(), random_labels(rng))
    for _ in range(4):
        before = labels.copy()
        random_edit(rng, labels)
        changed = np.argwhere((labels != before).any(axis=(2, 3)))
        told = corrections.summary()
        for plane in changed:
            told = corrections.update(labels, tuple(plane))
        assert told == corrections.update(labels)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_supervised_is_protected_and_a_ring(seed):
    rng = np.random.default_rng(seed)
    corrections, labels = Corrections(SHAPE), np.zeros(SHAPE, np.int32)
    merge(corrections, labels, 0, whole(), random_labels(rng))
    random_edit(rng, labels)
    corrections.review(0, slice(0, 1), slice(3, 9), slice(4, 8))
    for z in range(SHAPE[1]):
        protected, supervised = (f(labels, (0, z)) for f in (corrections.protected, corrections.supervised))
        assert supervised[protected].all()
        assert (
            not (supervised & ~ndimage.binary_dilation(protected, iterations=RING)).any() if protected.any() else True
        )
        told = corrections.provenance(labels, (0, z))
        changed = labels[0, z] != corrections.prediction[0, z]
        assert np.array_equal(told == Provenance.CORRECTED, changed)
        assert np.array_equal(told == Provenance.REVIEWED, corrections.reviewed[0, z] & ~changed)


def plane_of(*boxes, size=40):
    labels = np.zeros((1, size, size), np.int32)
    for label, (y, x, n) in enumerate(boxes, start=1):
        labels[0, y : y + n, x : x + n] = label
    return labels


PLANE = (slice(0, 1), slice(0, 40), slice(0, 40))


@pytest.fixture
def two():
    corrections, labels = Corrections((1, 1, 40, 40)), np.zeros((1, 1, 40, 40), np.int32)
    merge(corrections, labels, 0, PLANE, plane_of((5, 5, 10), (20, 20, 10)))
    return corrections, labels


def test_nothing_is_seen_before_the_first_prediction():
    corrections, labels = Corrections((1, 1, 40, 40)), np.zeros((1, 1, 40, 40), np.int32)
    assert not corrections.provenance(labels, (0, 0)).any()
    merge(corrections, labels, 0, (slice(0, 1), slice(0, 20), slice(0, 40)), plane_of()[:, :20])
    told = corrections.provenance(labels, (0, 0))
    assert (told[:20] == Provenance.PREDICTED).all()
    assert (told[20:] == Provenance.UNSEEN).all()


def test_what_is_drawn_before_any_prediction_is_kept(two):
    corrections, labels = Corrections((1, 1, 40, 40)), np.zeros((1, 1, 40, 40), np.int32)
    labels[0, 0, 5:15, 5:15] = 7
    assert corrections.update(labels).corrected_objects == 1
    merge(corrections, labels, 0, PLANE, plane_of((4, 4, 12), (20, 20, 10)))
    assert set(np.unique(labels[0, 0, 3:17, 3:17])) == {0, 7}  # no second outline around the first
    assert (labels[0, 0] == 7).sum() == 100
    new = labels[0, 0, 25, 25]
    assert new not in (0, 7)


def test_a_split_and_a_merger_count_the_objects_of_before_and_after(two):
    corrections, labels = two
    labels[0, 0, 5:15, 10:15] = 9  # split in two
    assert corrections.update(labels).corrected_objects == 2
    labels[0, 0][labels[0, 0] == 2] = 1  # and then merged with the other
    assert corrections.update(labels).corrected_objects == 3


def test_a_removed_object_does_not_come_back(two):
    corrections, labels = two
    labels[0, 0][labels[0, 0] == 1] = 0
    summary = corrections.update(labels)
    assert (summary.corrected_objects, summary.corrected_pixels) == (1, 100)
    merge(corrections, labels, 0, PLANE, plane_of((5, 5, 10), (20, 20, 10)))
    assert not labels[0, 0, 5:15, 5:15].any()
    assert (labels[0, 0] == 2).sum() == 100


def test_a_mended_object_is_kept_whole(two):
    """One stroke at its edge: the rest of the object is right too, for the person looked at it."""
    corrections, labels = two
    labels[0, 0, 15:17, 5:15] = 1
    before = labels.copy()
    merge(corrections, labels, 0, PLANE, plane_of((8, 8, 3), (20, 20, 10)))
    assert np.array_equal(labels, before)


def test_ids_of_new_objects_are_new(two):
    corrections, labels = two
    labels[0, 0, 0:3, 30:33] = 50
    merge(corrections, labels, 0, PLANE, plane_of((5, 5, 10), (20, 20, 10), (32, 2, 6)))
    assert labels[0, 0, 10, 10] == 1
    assert labels[0, 0, 25, 25] == 2
    assert labels[0, 0, 1, 31] == 50
    assert labels[0, 0, 34, 4] > 50


def test_the_last_id_there_is_leaves_ids_for_new_objects(two):
    corrections, labels = two
    labels[0, 0, 0:3, 30:33] = np.iinfo(np.int32).max
    merge(corrections, labels, 0, PLANE, plane_of((5, 5, 10), (20, 20, 10), (32, 2, 6)))
    assert labels[0, 0, 1, 31] == np.iinfo(np.int32).max
    assert labels[0, 0, 34, 4] == 3


def test_frames_do_not_share_ids():
    corrections, labels = Corrections((2, 1, 40, 40)), np.zeros((2, 1, 40, 40), np.int32)
    for frame in (0, 1):
        merge(corrections, labels, frame, PLANE, plane_of((5, 5, 10), (20, 20, 10)))
    assert not set(np.unique(labels[0])) & set(np.unique(labels[1])) - {0}


def test_review_can_be_taken_back(two):
    corrections, labels = two
    corrections.review(0, *PLANE)
    assert corrections.update(labels).reviewed_share == 1
    merge(corrections, labels, 0, PLANE, plane_of())
    assert labels.any()
    corrections.review(0, *PLANE, value=False)
    assert not corrections.update(labels).anything
    merge(corrections, labels, 0, PLANE, plane_of())
    assert not labels.any()


def test_merging_does_not_change_what_it_is_given(two):
    corrections, labels = two
    predicted = plane_of((8, 8, 10))
    kept = labels.copy(), predicted.copy()
    corrections.merge(labels, 0, PLANE, predicted)
    assert np.array_equal(labels, kept[0])
    assert np.array_equal(predicted, kept[1])


def test_classes_are_not_renumbered_and_count_by_pixel():
    corrections = Corrections((1, 1, 40, 40), instances=False)
    labels = np.zeros((1, 1, 40, 40), np.int32)
    classes = np.zeros((1, 40, 40), np.int32)
    classes[:, :20], classes[:, 30:] = 2, 5
    merge(corrections, labels, 0, PLANE, classes)
    assert np.array_equal(labels[0], classes)
    labels[0, 0, 0:3, 0:3] = 1
    assert corrections.protected(labels, (0, 0)).sum() == corrections.supervised(labels, (0, 0)).sum() == 9
    merge(corrections, labels, 0, PLANE, np.full((1, 40, 40), 3))
    assert (labels[0, 0, 0:3, 0:3] == 1).all()
    assert (labels == 3).sum() == 1600 - 9


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64"])
def test_labels_of_any_kind_of_whole_number(dtype):
    corrections, labels = Corrections((1, 1, 40, 40)), np.zeros((1, 1, 40, 40), dtype)
    merge(corrections, labels, 0, PLANE, plane_of((5, 5, 10), (20, 20, 10)))
    labels[0, 0, 0:3, 0:3] = 200
    assert corrections.update(labels).corrected_objects == 1
    merge(corrections, labels, 0, PLANE, plane_of((5, 5, 10)))
    assert labels[0, 0, 1, 1] == 200
