"""Whether a new model is better: what is kept aside, how two models are compared on it, and what follows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from napari_unet.learning.comparison import Comparison, compare
from napari_unet.learning.gate import Verdict
from napari_unet.learning.held_out import HeldOutRegion, held_out_squares, outside_buffer, square_width
from napari_unet.learning.policy import DEFAULT_POLICY

WIDTH, MIN_LEFT = DEFAULT_POLICY.split.square_width, DEFAULT_POLICY.split.min_left_share


def grid(n: int = 6, step: int = 24, radius: int = 8) -> np.ndarray:
    """Squares in rows, ids from 1."""
    labels = np.zeros((n * step, n * step), np.int32)
    for index in range(n * n):
        y, x = (step * (index // n) + step // 2, step * (index % n) + step // 2)
        labels[y - radius : y + radius, x - radius : x + radius] = index + 1
    return labels


def region(labels: np.ndarray, **changes: object) -> HeldOutRegion:
    return HeldOutRegion(np.zeros((1, *labels.shape), np.float32), labels, np.ones(labels.shape, bool), **changes)


def without(labels: np.ndarray, *ids: int) -> np.ndarray:
    return np.where(np.isin(labels, ids), 0, labels)


def test_same_labels_are_no_gain():
    labels = grid()
    found = compare([region(labels)], [labels], [labels], instances=True)
    assert (found.before, found.after, found.low, found.high) == (1.0, 1.0, 0.0, 0.0)
    assert found.n == 36
    assert not found.surely_worse()


def test_ids_do_not_matter():
    labels = grid()
    other = np.where(labels > 0, 99 - labels, 0)
    assert compare([region(labels)], [labels], [other], instances=True).after == 1.0


def test_many_objects_found_anew_are_a_gain_beyond_chance():
    labels = grid()
    found = compare([region(labels)], [without(labels, *range(1, 13))], [labels], instances=True)
    assert found.before == pytest.approx(24 / 36)
    assert found.after == 1.0
    assert 0 < found.low < found.after - found.before < found.high
    assert not found.surely_worse()


def test_one_object_less_may_be_chance():
    labels = grid(3)
    found = compare([region(labels)], [labels], [without(labels, 1)], instances=True)
    assert found.after < found.before
    assert not found.surely_worse(), "one of nine objects may as well not have been drawn"


def test_false_objects_count_against_a_model():
    labels = grid()
    missing = without(labels, *range(1, 13))
    found = compare([region(missing)], [missing], [labels], instances=True)
    assert found.after == pytest.approx(24 / 36)
    assert found.high < 0
    assert found.surely_worse()


def test_a_speck_is_not_a_cell():
    """Of nine specks and nine cells, a model that finds no speck is nearly right, and one that finds no cell is not."""
    cells, specks = grid(3), np.zeros((72, 72), np.int32)
    specks[2::24, 2::24] = 101 + np.arange(9).reshape(3, 3)
    labels = np.where(specks > 0, specks, cells)
    without_specks = compare([region(labels)], [labels], [cells], instances=True)
    share = 1 / 128.5  # of the median size
    assert without_specks.after == pytest.approx(9 / (9 + 9 * share))
    without_cells = compare([region(labels)], [labels], [specks], instances=True)
    assert without_cells.after == pytest.approx(9 * share / (9 + 9 * share))
    false_specks = compare([region(cells)], [cells], [labels], instances=True)
    assert false_specks.after == pytest.approx(9 / (9 + 9 / 256))


@given(st.lists(st.integers(1, 9), unique=True), st.lists(st.integers(1, 9), unique=True))
def test_scores_lie_between_none_and_all(lost, erased):
    labels = grid(3)
    moved = np.roll(labels, 12, (0, 1))
    truth, predicted = without(labels, *erased), without(labels, *lost)
    after = np.where(predicted > 0, predicted, np.where(moved > 0, moved + 50, 0))
    found = compare([region(truth)], [predicted], [after], instances=True)
    assert 0 <= found.after <= found.before <= 1
    assert (found.before == 1) == (set(lost) == set(erased))


def test_only_the_place_itself_is_compared():
    labels = grid()
    mask = np.zeros(labels.shape, bool)
    mask[:24] = True
    place = HeldOutRegion(np.zeros((1, *labels.shape), np.float32), labels, mask)
    found = compare([place], [labels], [without(labels, *range(7, 37))], instances=True)
    assert (found.before, found.after) == (1.0, 1.0)


def test_nothing_there_and_nothing_found():
    empty = np.zeros((40, 40), np.int32)
    found = compare([region(empty)], [empty], [empty], instances=True)
    assert (found.before, found.after) == (1.0, 1.0)


def test_classes_are_compared_by_squares():
    truth = (grid() > 0).astype(np.int32)
    found = compare([region(truth)], [np.zeros_like(truth)], [truth], instances=False)
    assert found.after == 1.0
    assert found.before < 0.6
    assert found.low > 0
    assert found.n == 25


def test_every_two_by_two_squares_have_one_kept_aside():
    chosen = held_out_squares(np.ones((1, 6 * WIDTH, 6 * WIDTH), bool), WIDTH)[0, ::WIDTH, ::WIDTH]
    for y in range(5):
        for x in range(5):
            assert chosen[y : y + 2, x : x + 2].sum() == 1


def test_what_is_kept_aside_stays_so_when_more_is_reviewed():
    some = np.zeros((1, 500, 700), bool)
    some[:, 100:300, 200:500] = True
    first, then = held_out_squares(some, WIDTH), held_out_squares(np.ones_like(some), WIDTH)
    assert np.array_equal(first, then & some)
    assert np.array_equal(held_out_squares(np.ones((3, 500, 700), bool), WIDTH)[2], then[0]), "the same in all slices"


def test_squares_grow_with_the_objects():
    small, large = grid(radius=8)[None], np.kron(grid(2), np.ones((8, 8), np.int32))[None]
    assert square_width([small], [np.ones(small.shape, bool)]) == WIDTH
    assert square_width([large], [np.ones(large.shape, bool)]) == 4 * WIDTH
    assert square_width([large], [np.zeros(large.shape, bool)]) == WIDTH, "of what nobody has reviewed nothing is known"


def test_learning_stays_a_receptive_field_away_where_there_is_room():
    held = np.zeros((1, 600, 600), bool)
    held[:, :50, :50] = True
    left, buffer = outside_buffer(np.ones_like(held), held, 90, MIN_LEFT)
    assert buffer == 90
    assert not left[:, :140, :140].any()
    assert left[:, 140:].all()


def test_learning_keeps_half_of_a_small_field():
    everything = np.ones((1, 192, 192), bool)
    held = held_out_squares(everything, WIDTH)
    left, buffer = outside_buffer(everything, held, 94, MIN_LEFT)
    assert buffer < 94
    assert left.sum() >= 0.5 * (everything & ~held).sum()
    assert not (left & held).any()


def comparison(before: float, after: float, low: float, high: float, n: int = 20) -> Comparison:
    return Comparison(before, after, low, high, n)


BETTER, CHANCE = comparison(0.5, 0.7, 0.1, 0.3), comparison(0.5, 0.45, -0.2, 0.1)
WORSE, FEW = comparison(0.5, 0.3, -0.3, -0.1), comparison(0.5, 0.3, -0.3, -0.1, n=3)
FORGETS, KEEPS = comparison(0.8, 0.7, -0.2, -0.05), comparison(0.8, 0.79, -0.05, 0.01)


@pytest.mark.parametrize(
    ("verdict", "promoted", "says"),
    [
        (Verdict(None), True, "In use. Review a field to know whether it is better."),
        (Verdict(BETTER), True, "Better: 70% right in what you reviewed, 50% before."),
        (Verdict(CHANCE), True, "In use, but maybe worse: 45% right in what you reviewed, 50% before."),
        (Verdict(WORSE), False, "Worse in what you reviewed, so not in use yet."),
        (Verdict(FEW), True, "In use, but maybe worse: 30% right in what you reviewed, 50% before."),
        (Verdict(None, KEEPS), True, "In use. Review a field to know whether it is better."),
        (Verdict(None, FORGETS), False, "Worse on the images that the first model was made for, so not in use yet."),
        (Verdict(BETTER, FORGETS), False, "Worse on the images that the first model was made for, so not in use yet."),
        (
            Verdict(BETTER, FORGETS, out_of_domain=True),
            True,
            "Better: 70% right in what you reviewed, 50% before. It forgot some: see Details.",
        ),
        (
            Verdict(None, FORGETS, out_of_domain=True),
            True,
            "In use. It forgot some of what it knew: see Details.",
        ),
        (
            Verdict(CHANCE, FORGETS, out_of_domain=True),
            True,
            "In use, but maybe worse: 45% right in what you reviewed, 50% before.",
        ),
        (Verdict(WORSE, FORGETS, out_of_domain=True), False, "Worse in what you reviewed, so not in use yet."),
    ],
)
def test_what_is_used_without_asking(verdict, promoted, says):
    assert verdict.should_promote() is promoted
    assert str(verdict) == says


@pytest.mark.parametrize(
    ("verdict", "doubtful"),
    [
        (Verdict(None), False),
        (Verdict(BETTER), False),
        (Verdict(comparison(0.5, 0.496, -0.1, 0.1)), False),  # the same, as it is said
        (Verdict(CHANCE), True),
        (Verdict(FEW), True),
        (Verdict(BETTER, FORGETS, out_of_domain=True), True),
    ],
)
def test_what_may_be_worse_is_doubtful(verdict, doubtful):
    assert verdict.is_doubtful is doubtful
    assert ("maybe worse" in str(verdict) or "forgot" in str(verdict)) is doubtful


def test_details_say_what_was_compared():
    assert Verdict(None).details == ""
    assert Verdict(BETTER).details == (
        "In what you reviewed: 50% right before, 70% now; "
        "the difference is +10 to +30 points (90% interval, 20 places)."
    )
    named = Verdict(BETTER, KEEPS, held_out_images=("one", "two")).details.splitlines()
    assert named[0].startswith("In what you reviewed (images that were not learned from: one, two): 50%")
    assert named[1] == "On images like those of the first model: 80% right before, 79% now."


def test_it_is_kept_in_a_project_and_an_older_one_is_read():
    adapter = TypeAdapter(Verdict)
    verdict = Verdict(BETTER, KEEPS, 7, True, ("one",))
    kept = adapter.dump_python(verdict, mode="json")
    assert adapter.validate_python(kept) == verdict
    kept["regression"] = {"corrections": 4, "fixed": 2, "left_alone": 35, "lost": 1}
    kept["reviewed"]["broken"] = 1
    assert adapter.validate_python(kept) == verdict


@pytest.mark.parametrize(
    ("unchecked", "advice"),
    [
        ("nothing reviewed", "Review a field"),
        ("too little reviewed", "Too little is reviewed"),
        ("nothing before", "learned for the first time"),
    ],
)
def test_why_nothing_was_compared_is_said_as_it_is(unchecked, advice):
    assert advice in str(Verdict(None, unchecked=unchecked))
    assert advice not in str(Verdict(BETTER, unchecked=unchecked))


def test_what_finds_nothing_of_what_it_was_taught_waits():
    verdict = Verdict(None, out_of_domain=True, finds_nothing=True)
    assert not verdict.should_promote()
    assert str(verdict) == "It finds none of the objects that you drew, so not in use yet."
    assert verdict.advice == "Learn for longer, or draw more."
    assert "use it or not" in Verdict(WORSE).advice
    told = TypeAdapter(Verdict).dump_python(verdict)
    assert TypeAdapter(Verdict).validate_python(told) == verdict
    del told["finds_nothing"]  # of a project that was saved before
    assert TypeAdapter(Verdict).validate_python(told).should_promote()
