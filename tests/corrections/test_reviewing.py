"""Reviewed: fields and objects; and what a split, a merge and a deletion teach."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.corrections.corrections import RING, Corrections
from napari_unet.corrections.reviewing import checked_squares, toggle_field, toggle_object
from napari_unet.errors import UNetError
from napari_unet.objects.targets import boundaries, known_maps, target_maps

PLANE = (0, 0)
OUTPUTS = ("foreground", "boundary", "distance")


def predicted(*, instances=True):
    """Return labels (1, 1, 60, 60) as they were predicted: 1 and 2 touch each other, 3 is alone; and corrections."""
    labels, corrections = np.zeros((1, 1, 60, 60), np.int32), Corrections((1, 1, 60, 60), instances=instances)
    found = labels[0].copy()
    found[0, 10:20, 10:20] = 1
    found[0, 10:20, 20:30] = 2
    found[0, 40:50, 40:50] = 3
    labels[0] = corrections.merge(labels, 0, (slice(0, 1), slice(0, 60), slice(0, 60)), found)
    return labels, corrections


# -- what an edit teaches --------------------------------------------------------------------------------------------


def supervision(labels, corrections):
    """Return targets and where they are known, both (foreground, boundary, distance; Y, X)."""
    corrections.update(labels)
    supervised = corrections.supervised(labels, PLANE)
    return target_maps(labels[PLANE], OUTPUTS), known_maps(labels[PLANE], supervised, OUTPUTS)


def test_a_split_teaches_the_border_between():
    labels, corrections = predicted()
    labels[0, 0, 40:50, 45:50] = 7  # half of 3
    targets, known = supervision(labels, corrections)
    border = np.zeros((60, 60), bool)
    border[40:50, 44:46] = True
    assert targets[1][border].all()
    assert known[:, border].all()
    assert known[:, 40:50, 40:50].all(), "all of both parts, in every map"
    assert known[1, 39, 40:50].all(), "and where they end"


def test_a_split_by_an_erased_line_teaches_the_gap():
    labels, corrections = predicted()
    labels[0, 0, 40:50, 44:46] = 0
    targets, known = supervision(labels, corrections)
    assert not targets[0][40:50, 44:46].any()
    assert known[:, 40:50, 40:50].all()


def test_a_merge_teaches_that_there_is_no_border():
    labels, corrections = predicted()
    labels[labels == 2] = 1
    targets, known = supervision(labels, corrections)
    was_border = (slice(11, 19), slice(19, 21))
    assert not targets[1][was_border].any()
    assert known[(slice(None), *was_border)].all()
    assert known[:, 10:20, 10:30].all()


def test_a_deletion_teaches_background():
    labels, corrections = predicted()
    labels[labels == 3] = 0
    targets, known = supervision(labels, corrections)
    assert not targets[:, 40 - RING : 50 + RING, 40 - RING : 50 + RING].any()
    assert known[:, 40:50, 40:50].all()
    assert known[0, 40 - RING : 50 + RING, 40:50].all(), "and the ring around its place"
    assert not known[:, 10:20, 10:30].any()


def test_one_of_two_that_touch_teaches_the_border_to_the_other():
    labels, corrections = predicted()
    labels[0, 0, 10:20, 8:10] = 1  # on the far side of the border
    targets, known = supervision(labels, corrections)
    assert targets[1][10:20, 19:21].all()
    assert known[:2, 10:20, 19:21].all()
    assert not known[2, 10:20, 20:30].any(), "nobody has looked at all of the other one"


# -- class 0 ---------------------------------------------------------------------------------------------------------


def test_class_0_is_background_or_not_labelled():
    labels, corrections = predicted(instances=False)
    labels[0, 0, 40:45, 40:50] = 0  # erased
    corrections.review(0, slice(0, 1), slice(0, 20), slice(0, 60))
    assert corrections.supervised(labels, PLANE).sum() == 50 + 20 * 60
    corrections.zero_is_background = False
    supervised = corrections.supervised(labels, PLANE)
    assert supervised.sum() == 200
    assert (labels[PLANE][supervised] > 0).all()
    assert corrections.protected(labels, PLANE)[40:45, 40:50].all(), "no prediction may undo the eraser, all the same"


def test_of_objects_0_is_always_the_background():
    labels, corrections = predicted()
    corrections.zero_is_background = False
    labels[labels == 3] = 0
    assert corrections.supervised(labels, PLANE).sum() > 100


# -- reviewed --------------------------------------------------------------------------------------------------------


def test_a_field_and_back():
    _, corrections = predicted()
    field = (slice(5, 15), slice(0, 60))
    assert toggle_field(corrections, PLANE, field)
    assert corrections.reviewed.sum() == 600
    assert toggle_field(corrections, PLANE, (slice(None), slice(None)))
    assert corrections.reviewed.all()
    assert not toggle_field(corrections, PLANE, field)
    assert corrections.reviewed.sum() == 3000


def test_an_object_with_its_ring_and_back():
    labels, corrections = predicted()
    assert toggle_object(corrections, labels, PLANE, (45, 45))
    reviewed = corrections.reviewed[PLANE].copy()
    assert reviewed[labels[PLANE] == 3].all()
    assert reviewed[40 - RING, 45]
    assert not reviewed[40 - RING - 1, 45]
    _, known = supervision(labels, corrections)
    assert known[:, 40:50, 40:50].all()
    assert (known[1] & boundaries(labels[PLANE])).any()
    assert not toggle_object(corrections, labels, PLANE, (40, 40))
    assert not corrections.reviewed.any()


def test_taking_one_back_leaves_the_one_beside_it():
    labels, corrections = predicted()
    assert toggle_object(corrections, labels, PLANE, (15, 15))
    assert toggle_object(corrections, labels, PLANE, (15, 25))
    assert not toggle_object(corrections, labels, PLANE, (15, 15))
    assert corrections.reviewed[labels == 2].all()
    assert not corrections.reviewed[labels == 1].any()
    assert toggle_object(corrections, labels, PLANE, (15, 15))
    assert not toggle_object(corrections, labels, PLANE, (15, 15))
    assert not toggle_object(corrections, labels, PLANE, (15, 25))
    assert not corrections.reviewed.any()


def test_at_the_border_of_the_image():
    labels, corrections = predicted()
    labels[0, 0, :3, :3] = 9
    assert toggle_object(corrections, labels, PLANE, (0, 0))
    assert corrections.reviewed[0, 0, :3, :3].all()


def test_background_is_no_object():
    labels, corrections = predicted()
    with pytest.raises(UNetError, match="no object under the cursor"):
        toggle_object(corrections, labels, PLANE, (0, 0))
    assert not corrections.reviewed.any()


def test_of_a_class_it_is_the_patch():
    labels, corrections = predicted(instances=False)
    labels[labels > 0] = 1
    assert toggle_object(corrections, labels, PLANE, (15, 15))
    assert corrections.reviewed[0, 0, 10:20, 10:30].all()
    assert not corrections.reviewed[0, 0, 40:50, 40:50].any()


def test_checked_squares():
    labels, corrections = predicted()
    field = (slice(32, 60), slice(32, 60))

    def looked():
        return checked_squares(corrections, labels, PLANE, field, 16).tolist()

    assert looked() == [[False, False], [False, False]]
    labels[0, 0, 33, 50] = 5
    assert looked() == [[False, True], [False, False]]
    labels[0, 0, 33, 50] = 0
    toggle_field(corrections, PLANE, (slice(48, 54), slice(32, 60)))
    assert looked() == [[False, False], [False, False]], "not more than half of them"
    toggle_field(corrections, PLANE, (slice(54, 56), slice(32, 48)))
    assert looked() == [[False, False], [True, False]]
    toggle_field(corrections, PLANE, field)
    assert looked() == [[True, True], [True, True]]
