"""Drawing a few objects in, or over the rim of, a shape that is none says nothing of the rest of it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.axes import Image
from napari_unet.corrections.corrections import RING, Corrections
from napari_unet.corrections.unknown import forget_shapes
from napari_unet.learning.annotations import annotated_crops

SHAPE = (12, 40, 40)
HUGE, BESIDE = 1, 2
OBJECT = (slice(4, 7), slice(10, 14), slice(10, 14))


def predicted():
    labels = np.zeros(SHAPE, np.int32)
    labels[1:11, 2:30, 2:30] = HUGE
    labels[1:11, 2:30, 32:38] = BESIDE
    return labels


def part_of(labels, before, model, review=None):
    corrections = Corrections((1, *labels.shape))
    corrections.prediction[0], corrections.seen[:] = before, True
    if review is not None:
        corrections.review(0, *review)
    corrections.update(labels[None])
    (crop,) = annotated_crops(Image(labels.astype(np.float32), "ZYX"), labels[None], corrections, model)
    return crop.part


def whole(mask, part):
    """Bring a mask of a part into the frame of the volume."""
    found = np.zeros(SHAPE, bool)
    found[tuple(slice(first, first + n) for first, n in zip(part.corner, mask.shape, strict=True))] = mask
    return found


def drawn(before, *boxes, delete=()):
    labels = np.where(np.isin(before, delete), 0, before).astype(np.int32)
    for label, box in enumerate(boxes, start=10):
        labels[box] = label
    return labels


@pytest.fixture
def model(tiny_model):
    return tiny_model(ndim=3)


def test_the_largest_id_is_one_as_any_other(model):
    found = []
    for label in (10, 2**31 - 1):
        labels = drawn(predicted(), OBJECT)
        labels[labels == 10] = label
        before = np.where(predicted() == BESIDE, label - 1, predicted()).astype(np.int32)
        labels[labels == BESIDE] = label - 1
        found.append(part_of(labels, before, model).unknown)
    assert np.array_equal(*found)


def test_what_else_was_in_a_deleted_shape_is_unknown(model):
    labels = drawn(predicted(), OBJECT, delete=[HUGE])
    part = part_of(labels, predicted(), model)
    supervised = whole(part.mask("supervised"), part)
    assert supervised[OBJECT].all()
    ring = supervised & (labels == 0)
    assert ring.any()
    rows, columns = np.nonzero(ring.any(axis=0))
    assert 10 - RING == rows.min() == columns.min()
    assert 13 + RING == rows.max() == columns.max()
    assert not supervised[predicted() == BESIDE].any(), "nobody said anything of that"


def test_without_an_object_drawn_in_it_a_deleted_shape_is_background(model):
    labels = drawn(predicted(), delete=[HUGE])
    part = part_of(labels, predicted(), model)
    assert whole(part.mask("supervised"), part)[predicted() == HUGE].all()


def test_a_shape_hardly_larger_than_what_was_drawn_in_it_was_that_object(model):
    before = np.zeros(SHAPE, np.int32)
    before[4:7, 9:15, 9:15] = HUGE  # 2.25 times as large
    labels = drawn(before, OBJECT, delete=[HUGE])
    part = part_of(labels, before, model)
    assert whole(part.mask("supervised"), part)[before == HUGE].all()


def test_a_shape_that_loses_pixels_to_a_neighbour_is_not_right_for_that(model):
    box = (slice(4, 7), slice(10, 14), slice(28, 36))  # a quarter in the one, half in the other
    labels = drawn(predicted(), (box[0], box[1], slice(29, 33)))
    part = part_of(labels, predicted(), model)
    supervised = whole(part.mask("supervised"), part)
    assert supervised[4:7, 10:14, 29:33].all()
    assert not supervised[1:11, 20:30].any()


def test_two_halves_of_a_split_object_are_right(model):
    labels = predicted()
    labels[:, :, 20:30][labels[:, :, 20:30] == HUGE] = 10
    part = part_of(labels, predicted(), model)
    assert whole(part.mask("supervised"), part)[predicted() == HUGE].all()


def test_a_trimmed_object_is_right(model):
    """Also where a neighbour takes pixels of it."""
    labels = drawn(predicted(), (slice(4, 7), slice(10, 14), slice(29, 32)))
    labels[1:11, 2:4, 2:30] = 0
    part = part_of(labels, predicted(), model)
    assert whole(part.mask("supervised"), part)[labels == HUGE].all()


def test_what_is_reviewed_is_known(model):
    labels = drawn(predicted(), OBJECT, delete=[HUGE])
    everything = tuple(slice(0, n) for n in SHAPE)
    part = part_of(labels, predicted(), model, review=everything)
    assert part.mask("supervised").all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_rest_of_a_huge_shape_in_which_an_object_was_drawn_is_unknown(tiny_model, ndim):
    labels = drawn(predicted(), OBJECT)
    part = part_of(labels, predicted(), tiny_model(ndim=ndim))
    supervised = whole(part.mask("supervised"), part)
    assert supervised[OBJECT].all()
    assert supervised[5, 9, 9:15].all(), "the border to it is known"
    objects = whole(part.labels > 0, part)
    assert not objects[5, 9, 9:15].any(), "and counts as background"
    assert not supervised[5, 20:30, 20:30].any()


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_speck_under_the_rim_of_an_object_counts_as_background(tiny_model, ndim):
    """Nothing is left of it beyond the ring around that object."""
    before = np.zeros(SHAPE, np.int32)
    before[4:7, 10:12, 13:15] = HUGE
    labels = drawn(before, (slice(4, 7), slice(10, 20), slice(4, 14)))
    part = part_of(labels, before, tiny_model(ndim=ndim))
    left = whole(part.mask("supervised"), part) & (labels == HUGE)
    assert np.array_equal(left, labels == HUGE), "it is taught"
    assert not whole(part.labels == HUGE, part).any(), "as background"


@pytest.mark.parametrize("ndim", [2, 3])
def test_an_object_of_which_a_third_is_another_one_is_right(tiny_model, ndim):
    labels = predicted()
    labels[:, :, 2:12][labels[:, :, 2:12] == HUGE] = 10
    part = part_of(labels, predicted(), tiny_model(ndim=ndim))
    assert whole(part.mask("supervised"), part)[predicted() == HUGE].all()


def test_what_is_deleted_in_a_plane_is_background(tiny_model):
    labels = predicted()
    labels[5][labels[5] == HUGE] = 0  # and still there in the other slices
    labels[5, 10:14, 10:14] = 10
    part = part_of(labels, predicted(), tiny_model(ndim=2))
    supervised = whole(part.mask("supervised"), part)
    assert supervised[5][predicted()[5] == HUGE].all()
    assert np.array_equal(np.unique(np.nonzero(supervised)[0]), [5])


# -- another model tells what is there -----------------------------------------------------------------------------


def corrected(labels, before, by="one"):
    corrections = Corrections((1, *labels.shape))
    corrections.prediction[0], corrections.seen[:] = before, True
    corrections.predicted_by = by
    corrections.update(labels[None])
    return corrections


def merged(corrections, labels, found):
    corrections.update(labels[None])
    return corrections.merge(labels[None], 0, tuple(slice(0, n) for n in SHAPE), found)


def found_by_another():
    found = np.zeros(SHAPE, np.int32)
    found[OBJECT] = 1
    found[4:7, 20:24, 20:24] = 2  # where nobody has drawn one yet
    found[4:7, 32:36, 33:36] = 3
    return found


@pytest.mark.parametrize("by", ["one", ""], ids=["of a model", "of another program"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_another_model_tells_what_else_is_there(ndim, by):
    labels = drawn(predicted(), OBJECT)
    corrections = corrected(labels, predicted(), by)
    regions = forget_shapes(corrections, labels[None], "another", ndim)
    assert [region[0] for region in regions] == [slice(0, 1)]
    after = merged(corrections, labels, found_by_another())
    assert (after[OBJECT] == 10).all(), "what was drawn stays"
    assert len(np.unique(after[4:7, 20:24, 20:24])) == 1
    assert after[5, 22, 22] > 0
    assert not after[5, 28, 28]
    corrections.update(after[None])
    assert corrections.summary().corrected_objects == 1, "the object drawn, which is none that was only renamed"
    assert corrections.corrected(after[None], (0, 5))[10:14, 10:14].all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_what_was_erased_stays_so(ndim):
    labels = drawn(predicted(), OBJECT, delete=[HUGE])
    corrections = corrected(labels, predicted())
    assert forget_shapes(corrections, labels[None], "another", ndim) == []
    after = merged(corrections, labels, found_by_another())
    assert np.array_equal(after[:, :31, :31], labels[:, :31, :31])


@pytest.mark.parametrize("delete", [[], [HUGE]])
def test_the_model_that_found_a_shape_is_not_asked_again(delete):
    labels = drawn(predicted(), OBJECT, delete=delete)
    corrections = corrected(labels, predicted())
    assert forget_shapes(corrections, labels[None], "one", 3) == []
    assert np.array_equal(merged(corrections, labels, predicted()), labels)


def test_a_shape_beside_an_object_drawn_is_found_anew():
    box = (slice(4, 7), slice(10, 14), slice(29, 33))  # a quarter in the one, a quarter in the other
    labels = drawn(predicted(), box)
    corrections = corrected(labels, predicted())
    assert forget_shapes(corrections, labels[None], "another", 3)
    after = merged(corrections, labels, found_by_another())
    assert (after[box] == 10).all()
    assert not after[1:3].any()
    assert not after[8:, 2:30].any()


def test_what_is_reviewed_of_such_a_shape_stays():
    labels = drawn(predicted(), OBJECT)
    corrections = corrected(labels, predicted())
    corrections.review(0, *(slice(0, n) for n in SHAPE))
    corrections.update(labels[None])
    assert forget_shapes(corrections, labels[None], "another", 3) == []
    assert np.array_equal(merged(corrections, labels, found_by_another()), labels)


def test_of_classes_nothing_is_forgotten():
    labels = drawn(predicted(), OBJECT)
    corrections = Corrections((1, *SHAPE), instances=False)
    corrections.prediction[0], corrections.predicted_by = predicted(), "one"
    corrections.update(labels[None])
    assert forget_shapes(corrections, labels[None], "another", 3) == []
