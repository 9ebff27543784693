"""Drawing a few objects in a huge shape that is none says nothing of what else is in it, or beside it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.axes import Image
from napari_unet.corrections.corrections import RING, Corrections
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
