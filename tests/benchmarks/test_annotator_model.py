"""The simulated annotator finds each kind of error, mends it, and pays for it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.evaluation.metrics import evaluate
from napari_unet.guidance.effort import Effort, brush_length, outline
from napari_unet_benchmarks.annotator_model import GOOD, Annotator, Kind, unsteady, visible

LEFT, RIGHT = np.s_[20:50, 10:40], np.s_[20:50, 40:70]


@pytest.fixture
def truth():
    """Two squares that touch, and one on its own."""
    labels = np.zeros((100, 100), np.int32)
    labels[LEFT], labels[RIGHT], labels[70:90, 70:90] = 1, 2, 3
    return labels


@pytest.fixture
def annotator(truth):
    return Annotator(truth)


def first(annotator, labels, vouched=None):
    """The first edit, applied to a copy of the labels."""
    edit = annotator.next_edit(labels, vouched)
    after = labels.copy()
    edit.apply(after)
    return edit, after


def test_all_is_well(annotator):
    assert annotator.next_edit(annotator.truth) is None
    assert annotator.next_edit(annotator.truth + 5 * (annotator.truth > 0)) is None  # ids do not matter


def test_a_missed_object_is_drawn(annotator):
    labels = np.where(annotator.truth == 3, 0, annotator.truth)
    edit, after = first(annotator, labels)
    assert edit.kind is Kind.MISSED
    assert ((after == after.max()) == (annotator.truth == 3)).all()
    assert annotator.next_edit(after) is None


def test_what_sticks_out_of_pieces_under_a_drawn_object_is_erased(annotator):
    labels = np.where(annotator.truth == 3, 0, annotator.truth)
    labels[88:93, 72:75], labels[88:93, 80:82], labels[88:91, 95:] = 8, 9, 10
    labels[85:88, 72:75], labels[85:88, 80:82] = 8, 9
    edit, after = first(annotator, labels)
    assert edit.kind is Kind.MISSED
    assert set(np.unique(after)) == {0, 1, 2, 10, 11}
    whole = annotator.effort.strokes(np.count_nonzero(outline(annotator.truth == 3)))
    assert edit.seconds == pytest.approx(whole + 2 * (annotator.effort.point + annotator.effort.press))


def test_a_spurious_object_is_erased(annotator):
    labels = annotator.truth.copy()
    labels[2:12, 80:95] = 9
    edit, after = first(annotator, labels)
    assert edit.kind is Kind.SPURIOUS
    assert (after == annotator.truth).all()


def test_merged_objects_are_parted(annotator):
    labels = np.where(annotator.truth == 2, 1, annotator.truth)
    edit, after = first(annotator, labels)
    assert edit.kind is Kind.MERGED
    assert annotator.next_edit(after) is None
    assert evaluate(annotator.truth, after).ap["0.90"] == 1


def test_pieces_of_an_object_are_joined(annotator):
    labels = annotator.truth.copy()
    labels[20:32][labels[20:32] == 1] = 7
    labels[44:][labels[44:] == 1] = 8
    edit, after = first(annotator, labels)
    assert edit.kind is Kind.SPLIT
    assert evaluate(annotator.truth, after).ap["0.90"] == 1
    assert edit.seconds == annotator.effort.clicks(3)


def test_a_bad_outline_is_mended_where_it_is_bad(annotator):
    labels = annotator.truth.copy()
    labels[80:][labels[80:] == 3] = 0
    edit, after = first(annotator, labels)
    assert edit.kind is Kind.OUTLINE
    assert not visible(after != annotator.truth).any()
    assert not edit.pixels[:79].any()
    assert edit.seconds < annotator.effort.strokes(np.count_nonzero(outline(annotator.truth == 3)))


def test_the_worst_comes_first_but_for_what_was_begun(annotator):
    labels = np.where(annotator.truth > 1, 0, annotator.truth)
    edit, _ = first(annotator, labels)
    assert (edit.pixels == (annotator.truth == 2)).all()
    assert not edit.follows_up
    edit, _ = first(annotator, labels, vouched=annotator.truth == 3)
    assert (edit.pixels == (annotator.truth == 3)).all()
    assert edit.follows_up


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_shown_all_is_well_in_the_end(blobs, seed):
    annotator = Annotator(blobs((96, 96), n=14, seed=seed)[1], seed=seed)
    labels = blobs((96, 96), n=20, seed=seed + 50)[1]
    edits = 0
    while (edit := annotator.next_edit(labels)) is not None:
        assert (labels[edit.pixels] != edit.values).any()
        assert edit.seconds > annotator.effort.decide
        edit.apply(labels)
        edits += 1
        assert edits < 100
    assert evaluate(annotator.truth, labels).ap[f"{GOOD:.2f}"] == 1


def test_longer_strokes_cost_more():
    effort = Effort()
    assert effort.strokes(200) - effort.strokes(100) == pytest.approx(100 / effort.speed)
    assert effort.clicks(2) > effort.clicks(1)
    assert effort.review((512, 512)) > effort.review((256, 256))
    small, large = (Annotator(np.pad(np.ones((n, n), int), 10)) for n in (20, 40))
    assert large.draw_all() > small.draw_all()
    # The measured time that the speed was chosen by.
    y, x = np.indices((60, 60)) - 30
    assert effort.strokes(np.count_nonzero(outline(np.hypot(y, x) < 17.5))) == pytest.approx(8.4, abs=1)


def test_a_brush_goes_along_a_thin_region_and_to_and_fro_in_a_wide_one():
    thin, wide = np.zeros((80, 80), bool), np.zeros((80, 80), bool)
    thin[40:43, 10:70], wide[10:50, 10:50] = True, True
    assert 50 < brush_length(thin, 5) <= 60
    assert brush_length(wide, 5) == 40 * 40 / 5


def test_a_hand_is_unsteady_by_about_a_pixel(truth):
    drawn = unsteady(truth, np.random.default_rng(0))
    assert (drawn == unsteady(truth, np.random.default_rng(0))).all()
    assert (drawn != unsteady(truth, np.random.default_rng(1))).any()
    assert evaluate(truth, drawn).ap["0.80"] == 1
    assert not visible(truth != drawn).sum() > 40
    assert (truth != drawn).sum() > 40


class TestClasses:
    @pytest.fixture
    def annotator(self):
        truth = np.zeros((120, 120), np.int32)
        truth[10:50, 10:50], truth[80:110, 20:100] = 1, 2
        return Annotator(truth, instances=False)

    def test_the_worst_region_is_painted(self, annotator):
        labels = np.where(annotator.truth == 1, 0, annotator.truth)
        labels[80:90, 80:90] = 0
        edit, after = first(annotator, labels)
        assert edit.kind is Kind.REGION
        assert (edit.values == 1).all()
        assert not visible(after != annotator.truth)[:60].any()
        assert annotator.next_edit(after).seconds < edit.seconds

    def test_a_large_region_takes_several_visits(self, annotator):
        labels, visits = np.full_like(annotator.truth, 2), 0
        while (edit := annotator.next_edit(labels)) is not None:
            edit.apply(labels)
            visits += 1
        assert 4 < visits < 40
        assert (labels != annotator.truth).mean() < 0.01

    def test_drawing_all_leaves_out_the_largest_class(self, annotator):
        effort = annotator.effort
        length = np.count_nonzero(annotator.truth) / effort.brush
        assert annotator.draw_all() == pytest.approx(length / effort.speed + 2 * effort.clicks(1), rel=0.05)
