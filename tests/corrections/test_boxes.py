import numpy as np
import pytest

from napari_unet.corrections.boxes import box_of, with_objects
from napari_unet.corrections.corrections import Corrections
from napari_unet.corrections.part import copied_parts
from napari_unet.objects.boxes import absolute, grown, intersection, relative, union


def test_a_box_holds_all_true_pixels_and_no_more():
    mask = np.zeros((50, 60), bool)
    mask[7, 30] = mask[20, 12] = True
    assert box_of(mask) == (slice(7, 21), slice(12, 31))


def test_boxes_are_joined_and_grown_within_the_plane():
    assert union((slice(0, 3), slice(5, 6)), (slice(2, 9), slice(1, 2))) == (slice(0, 9), slice(1, 6))
    assert grown((slice(1, 3), slice(5, 6)), 4, (20, 8)) == (slice(0, 7), slice(1, 8))


def test_what_boxes_have_in_common():
    assert intersection((slice(0, 3), slice(5, 9)), (slice(2, 9), slice(1, 6))) == (slice(2, 3), slice(5, 6))


def test_a_box_in_a_box_and_back():
    box, origin = (slice(10, 12), slice(20, 30)), (slice(4, 50), slice(18, 60))
    assert absolute(relative(box, origin), origin) == box


@pytest.mark.parametrize("corner", [(0, 0), (60, 40)])
def test_a_box_grows_to_the_end_of_its_objects_in_either_plane(corner):
    now, before = np.zeros((2, 300, 300), np.int32)
    y, x = corner
    now[y : y + 10, x : x + 200] = 3
    before[y : y + 150, x : x + 5] = 8
    box = with_objects((slice(y, y + 2), slice(x, x + 2)), {3, 8}, now, before)
    assert box == (slice(y, y + 150), slice(x, x + 200))
    assert with_objects((slice(y, y + 2), slice(x, x + 2)), {5}, now, before) == (slice(y, y + 2), slice(x, x + 2))


def test_a_part_has_all_of_a_corrected_object_and_what_lies_around_it():
    labels = np.zeros((1, 3, 400, 500), np.int32)
    labels[0, 1, 100:180, 200:290] = 5
    labels[0, 1, 300:310, 20:30], labels[0, 1, 190:199, 300:309] = 6, 7
    corrections = Corrections(labels.shape)
    corrections.prediction[:] = labels
    labels[0, 1, 100:104, 200:204] = 0
    corrections.update(labels)
    assert corrections.box((0, 1)) == (slice(100, 180), slice(200, 290))
    (part,) = copied_parts(corrections, labels, margin=30)
    assert part.corner == (1, 70, 170)
    assert part.labels.shape == (1, 140, 150)
    assert 50 <= part.elsewhere <= 200, "6 is not in it, with 100 pixels"
    whole = corrections.corrected(labels, (0, 1))
    assert np.array_equal(part.mask("corrected")[0], whole[70:210, 170:320])
    assert whole.sum() == part.mask("corrected").sum()


def test_a_part_of_what_is_reviewed_and_corrected_in_several_slices_has_both():
    labels = np.zeros((1, 4, 90, 90), np.int32)
    corrections = Corrections(labels.shape)
    labels[0, 1, 10:20, 10:20] = 1
    corrections.review(0, slice(2, 3), slice(50, 60), slice(70, 80))
    corrections.update(labels)
    (part,) = copied_parts(corrections, labels)
    assert (part.corner, part.labels.shape) == ((1, 10, 10), (2, 50, 70))
    assert part.reviewed.sum() == 100
    assert part.corrections.box((0, 1)) == (slice(40, 50), slice(60, 70))
    assert [part.mask("supervised")[z].any() for z in (0, 1)] == [True, True]
