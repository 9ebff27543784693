"""What the comparison of two models counts, and what is held out for it: each rule by an example worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.learning.comparison import compare
from napari_unet.learning.held_out import (
    HeldOutRegion,
    held_out_squares,
    outside_buffer,
    predict_regions,
    square_width,
)
from napari_unet.learning.policy import DEFAULT_POLICY

SQUARE_WIDTH, PIECE_WIDTH = DEFAULT_POLICY.split.square_width, DEFAULT_POLICY.split.piece_width


def region(labels, mask=None, **changes):
    mask = np.ones(labels.shape, bool) if mask is None else mask
    return HeldOutRegion(np.zeros((1, *labels.shape), np.float32), labels, mask, **changes)


def drawn(shape, *boxes):
    """Return labels with one object for each box (top, bottom, left, right)."""
    labels = np.zeros(shape, np.int32)
    for index, (top, bottom, left, right) in enumerate(boxes, 1):
        labels[top:bottom, left:right] = index
    return labels


def rows_of_squares(n):
    return drawn((20, 20 * n), *((4, 14, 20 * i + 4, 20 * i + 14) for i in range(n)))


# -- objects -------------------------------------------------------------------------------------------------


def test_an_object_counts_at_the_thresholds_that_it_reaches():
    """Three quarters of it are found: at 0.5, 0.6 and 0.7 that is enough, at 0.8 and 0.9 not."""
    labels, found = drawn((20, 20), (2, 10, 2, 12)), drawn((20, 20), (2, 8, 2, 12))
    result = compare([region(labels)], [found], [labels], instances=True)
    assert (result.before, result.after) == (pytest.approx(0.6), 1.0)


def test_what_both_models_miss_is_no_difference_whatever_is_drawn():
    """Both are drawn together, so the spread of the scores is not one of the gain."""
    labels = rows_of_squares(10)
    half = np.where(labels > 5, 0, labels)
    result = compare([region(labels)], [half], [half], instances=True)
    assert (result.before, result.after) == (0.5, 0.5)
    assert (result.low, result.high) == (0.0, 0.0)


def test_objects_that_overlap_in_any_model_are_drawn_together():
    labels = rows_of_squares(4)
    merged = np.where((labels == 1) | (labels == 2), 1, labels)
    merged[8, 4:34] = 1
    assert compare([region(labels)], [labels], [merged], instances=True).n == 3
    assert compare([region(labels)], [merged], [labels], instances=True).n == 3


def test_a_false_object_of_both_models_is_drawn_once():
    labels = rows_of_squares(4)
    true = np.where(labels == 4, 0, labels)
    assert compare([region(true)], [labels], [labels], instances=True).n == 4


@pytest.mark.parametrize(("inside", "share"), [(10, 1.0), (5, 0.5), (1, 0.1)])
def test_an_object_that_is_cut_off_counts_by_what_is_seen_of_it(inside, share):
    """Of ten rows of it so many lie in the region; another object is whole, and found by both."""
    labels = drawn((20, 40), (4, 14, 4, 14), (0, 10, 20, 30))
    mask = np.ones(labels.shape, bool)
    mask[4 + inside :, :18] = False
    result = compare([region(labels, mask)], [labels], [np.where(labels == 1, 0, labels)], instances=True)
    assert (result.before, result.after) == (1.0, pytest.approx(1 / (1 + share)))


# -- classes -------------------------------------------------------------------------------------------------


def test_classes_are_scored_by_the_mean_dice_of_those_that_occur():
    labels = np.zeros((PIECE_WIDTH, 2 * PIECE_WIDTH), np.int32)
    labels[:, PIECE_WIDTH:] = 3
    found = np.zeros_like(labels)
    found[:, : PIECE_WIDTH // 2] = 3
    found[:, PIECE_WIDTH:] = 3
    result = compare([region(labels)], [found], [labels], instances=False)
    dice = {0: 2 * 0.5 / (0.5 + 1), 3: 2 * 1 / (1.5 + 1)}
    assert result.before == pytest.approx(sum(dice.values()) / 2)
    assert (result.after, result.n) == (1.0, 2)


def test_a_square_of_a_volume_goes_through_all_its_slices():
    labels = np.zeros((3 * PIECE_WIDTH, PIECE_WIDTH, 2 * PIECE_WIDTH), np.int32)
    assert compare([region(labels)], [labels], [labels], instances=False).n == 2


# -- what is held out ----------------------------------------------------------------------------------------


def test_a_part_of_the_image_has_the_squares_of_the_whole():
    whole = held_out_squares(np.ones((1, 500, 700), bool), SQUARE_WIDTH)
    part = held_out_squares(np.ones((1, 300, 400), bool), SQUARE_WIDTH, corner=(150, 250))
    assert np.array_equal(part, whole[:, 150:450, 250:650])


def test_the_width_of_squares_is_that_of_usual_reviewed_objects():
    large = [(200, 480, left, left + 280) for left in (300, 600, 900)]
    labels = drawn((500, 1200), (0, 100, 0, 100), (0, 100, 150, 250), (200, 203, 0, 3), *large)[None]
    reviewed = np.zeros(labels.shape, bool)
    reviewed[:, :, :260] = True
    assert square_width([labels], [reviewed]) == 4 * SQUARE_WIDTH  # 2.5 times 100 pixels


@pytest.mark.parametrize("axis", [1, 2])
def test_learning_stays_away_in_both_directions(axis):
    held = np.zeros((1, 300, 300), bool)
    held.swapaxes(1, axis)[:, :50] = True
    left, buffer = outside_buffer(np.ones_like(held), held, 40, DEFAULT_POLICY.split.min_left_share)
    assert buffer == 40
    assert np.array_equal(left.swapaxes(1, axis)[0].any(1), np.arange(300) >= 90)


def test_the_share_that_is_left_is_one_of_what_is_not_held_out():
    """Half of the rest is left at the full distance; it would be a third of all."""
    held = np.zeros((1, 10, 300), bool)
    held[..., :100] = True
    left, buffer = outside_buffer(np.ones_like(held), held, 100, DEFAULT_POLICY.split.min_left_share)
    assert buffer == 100
    assert left.sum() == 1000


def test_the_model_that_learning_began_with_gets_the_scale_that_it_worked_at(bright_model):
    labels = np.zeros((32, 32), np.int32)
    dark, bright = np.zeros((1, 32, 32), np.float32), np.zeros((1, 16, 16), np.float32)
    bright[:, 4:8, 6:12] = 1.0
    held = HeldOutRegion(dark, labels, labels == 0, image_before=bright)
    model, cpu = bright_model(), torch.device("cpu")
    assert not predict_regions([held], model, cpu)[0].any()
    (found,) = predict_regions([held], model, cpu, before=True)
    assert np.array_equal(np.unique(np.nonzero(found)[0]), np.arange(8, 16))
    assert np.array_equal(np.unique(np.nonzero(found)[1]), np.arange(12, 24))
