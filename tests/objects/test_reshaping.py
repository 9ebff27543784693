"""Outlines mended by strokes, filled and smoothed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from scipy import ndimage

from made_labels import discs, pair, seeds, shapes
from napari_unet.errors import EditError
from napari_unet.objects.reshaping import brushed, filled_holes, redrawn, reshaped, smoothed


def two() -> np.ndarray:
    labels = np.zeros((30, 40), np.int32)
    labels[5:25, 5:20], labels[5:25, 22:36] = 1, 2
    return labels


def stroke(*where: slice) -> np.ndarray:
    mask = np.zeros((30, 40), bool)
    mask[where] = True
    return mask


def test_a_stroke_from_inside_adds_and_eats_no_neighbour():
    labels = two()
    edit = reshaped(labels, stroke(slice(10, 14), slice(15, 30)), 1)
    after = edit.applied(labels)
    assert (after[10:14, 20:22] == 1).all()
    assert (after == 2).sum() == (labels == 2).sum()
    assert edit.ids == (1,)


def test_a_stroke_from_inside_and_back_fills_what_it_encloses():
    labels = two()
    loop = stroke(slice(1, 5), slice(8, 10)) | stroke(slice(1, 3), slice(8, 18)) | stroke(slice(1, 5), slice(16, 18))
    after = reshaped(labels, loop, 1).applied(labels)
    assert (after[3:5, 10:16] == 1).all()


def test_a_hole_that_was_there_stays_when_a_stroke_adds_elsewhere():
    labels = two()
    labels[10:12, 10:12] = 0
    after = reshaped(labels, stroke(slice(10, 12), slice(18, 22)), 1).applied(labels)
    assert not after[10:12, 10:12].any()


def test_a_stroke_from_outside_pushes_the_outline_in():
    labels = two()
    after = reshaped(labels, stroke(slice(0, 30), slice(8, 10)), 0).applied(labels)
    assert not after[5:25, :10].any()  # what it cuts off goes too
    assert (after[5:25, 10:20] == 1).all()
    assert np.array_equal(after[:, 20:], labels[:, 20:])


def test_only_one_object_is_pushed():
    labels = two()
    after = reshaped(labels, stroke(slice(10, 14), slice(16, 24)), 0).applied(labels)
    assert (after == 2).sum() == (labels == 2).sum()
    assert (after == 1).sum() == (labels == 1).sum() - 16


def test_what_a_stroke_cannot_do():
    labels = two()
    for mask, begins, words in (
        (stroke(slice(0, 0)), 0, "no stroke"),
        (stroke(slice(0, 3)), 0, "meets no object"),
        (stroke(slice(8, 12), slice(8, 12)), 1, "adds nothing to object 1"),
        (stroke(slice(8, 12), slice(24, 28)), 1, "adds nothing"),
        (stroke(slice(0, 3), slice(0, 3)), 1, "adds nothing"),  # it does not hang together with the object
        (labels == 1, 0, "Of object 1 only 0 pixels would be left"),
        (stroke(slice(8, 12), slice(8, 12)), 5, "no object 5"),
    ):
        with pytest.raises(EditError, match=words):
            reshaped(labels, mask, begins)


@given(seeds, shapes)
def test_strokes_change_one_object_and_background(seed, shape):
    rng = np.random.default_rng(seed)
    labels = discs(shape, rng)
    mask = discs(shape, rng, 1) > 0
    for begins in [0, *np.unique(labels[mask]).tolist()]:
        try:
            edit = reshaped(labels, mask, begins, min_size=1)
        except EditError:
            continue
        assert len(edit.ids) == 1
        assert edit.made == ()
        after = edit.applied(labels)
        changed = after != labels
        if begins:
            assert (labels[changed] == 0).all()
            assert (after[changed] == begins).all()
        else:
            assert (after[changed] == 0).all()


def test_holes_are_filled_but_not_what_is_in_them():
    labels = two()
    labels[8:14, 8:14] = 0
    labels[10, 10] = 7
    after = filled_holes(labels, 1).applied(labels)
    assert (after == 1).sum() == 20 * 15 - 1
    assert after[10, 10] == 7
    with pytest.raises(EditError, match="no holes"):
        filled_holes(labels, 2)
    volume = np.repeat(labels[None], 3, 0)  # open above and below, but a hole in each slice
    assert (filled_holes(volume, 1).applied(volume) == 1).sum() == 3 * (20 * 15 - 1)


def test_smoothing_takes_spikes_and_leaves_borders_with_others():
    true, _ = pair()
    rough = true.copy()
    rough[19:21, 2:6] = 1  # a spike
    rough[3:9, 22] = 0  # a slit
    after = smoothed(rough, 1).applied(rough)
    assert not after[19:21, 2:4].any()
    assert (after[6:9, 22] == 1).all()
    assert np.array_equal(after == 2, rough == 2)
    lost = (rough == 1) & (after == 0)
    assert not (ndimage.binary_dilation(rough == 2) & lost)[12:28].any()  # no gap opens along the border
    with pytest.raises(EditError, match="smooth it less"):
        smoothed(rough, 1, smoothing=100)


def test_smoothing_leaves_pieces_elsewhere():
    labels = np.zeros((40, 80), np.int32)
    labels[5:25, 5:25] = labels[10:30, 50:75] = 1
    labels[14:16, 25:29] = 1  # a spike
    after = smoothed(labels, 1).applied(labels)
    assert not after[14:16, 27:29].any()
    assert (after[13:27, 53:72] == 1).all()


@given(seeds, shapes)
def test_smoothing_changes_one_object(seed, shape):
    rng = np.random.default_rng(seed)
    labels = discs(shape, rng)
    label = int(labels.max())
    try:
        edit = smoothed(labels, label, min_size=1)
    except EditError:
        return
    after = edit.applied(labels)
    others = (labels > 0) & (labels != label)
    assert np.array_equal(after[others], labels[others])
    assert set(np.unique(after)) <= set(np.unique(labels)) | {0}


# -- drawn by a line -------------------------------------------------------------------------------------------------


def test_a_line_out_of_an_object_and_back_is_its_new_outline():
    labels = two()
    after = redrawn(labels, [(8, 10), (2, 10), (2, 15), (8, 15)], 9).applied(labels)
    assert (after[2:5, 10:16] == 1).all()
    assert (after == 1).sum() == (labels == 1).sum() + 18, "as thin as a line, whatever the brush"


def test_a_line_across_cuts_the_smaller_part_off():
    labels = two()
    after = redrawn(labels, [(2, 9), (27, 9)], 9).applied(labels)
    assert not after[:, :10].any()
    assert (after[5:25, 10:20] == 1).all()
    assert np.array_equal(after == 2, labels == 2)


def test_a_line_that_ends_on_the_other_side_is_a_brush():
    labels = two()
    out = redrawn(labels, [(10, 10), (1, 10)], 4).applied(labels)
    assert (out[1:5, 8:13] == 1).all()
    into = redrawn(labels, [(1, 10), (10, 10)], 4).applied(labels)
    assert not into[5:11, 8:13].any()
    assert (into[5:25, 5:8] == 1).all()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([(10, 8), (10, 14)], "stays inside"),
        ([(10, 10)], "stays inside"),
        ([(1, 1), (1, 30)], "meets no object"),
        ([(10, 10), (10, 60)], "outside the image"),
        ([(4, 4), (26, 4), (26, 21), (4, 21), (4, 4)], "meets no object"),
    ],
)
def test_lines_that_change_nothing(line: object, words: str):
    with pytest.raises(EditError, match=words):
        redrawn(two(), line, 5)


def test_pieces_of_an_object_that_a_stroke_does_not_touch_stay():
    labels = np.zeros((30, 40), np.int32)
    labels[2:10, 2:30] = labels[20:24, 2:8] = 1
    after = redrawn(labels, [(0, 8), (12, 8)], 3).applied(labels)
    assert (after[20:24, 2:8] == 1).all()
    assert not after[2:10, 2:9].any()
    assert (after[2:10, 9:30] == 1).all()


@pytest.mark.parametrize("width", [0, 1, 2, 5.5, 30])
def test_a_brush_is_as_wide_as_it_says(width: float):
    mask = brushed(np.array([(15.0, 5.0), (15.0, 35.0)]), width, (30, 40))
    assert mask[:, 20].sum() == min(30, 2 * int(width / 2) + 1)
    assert mask[15, 5:36].all()
    point = brushed(np.array([(-50.0, 3.0)]), width, (30, 40))
    assert not point.any(), "beside the image"


@given(seeds)
def test_no_line_changes_another_object(seed: int):
    random = np.random.default_rng(seed)
    labels = discs((40, 44), random)
    line = random.uniform(0, np.array(labels.shape) - 1, (random.integers(1, 6), 2))
    before = labels.copy()
    try:
        edit = redrawn(labels, line, random.uniform(1, 9), min_size=1)
    except EditError:
        return
    after = edit.applied(labels)
    assert np.array_equal(labels, before)
    (label,) = edit.ids
    others = (labels != label) & (labels != 0)
    assert np.array_equal(after[others], labels[others])
    assert edit.made == ()
    change = int((after == label).sum()) - int((labels == label).sum())
    assert (change > 0) == bool(labels[tuple(np.floor(line[0] + 0.5).astype(int))])
