"""Where something may be wrong, and in which order the places are shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.guidance.expected_cost import Suspicion, seconds_to_correct
from napari_unet.guidance.ranking import CELL, MAX_SUGGESTIONS, MIN_SPACING, RankedCells
from napari_unet.guidance.where_next import Attention, uncertainty_by_cell

OUTPUTS = ("foreground", "distance")
MODEL, OTHER = object(), object()


def maps_with(shape, *patches, outputs=2):
    """Return sure maps (K, Z, Y, X) with patches (z, y, x) of 12 x 12 pixels, in which the foreground is one half."""
    maps = np.zeros((outputs, *shape), np.float32)
    for z, y, x in patches:
        maps[0, z, y : y + 12, x : x + 12] = 0.5
    return maps


def whole(shape):
    depth, height, width = shape
    return slice(0, depth), slice(0, height), slice(0, width)


def uncertainty_of(maps, region=None, outputs=OUTPUTS):
    """What may be wrong where the network has found no objects."""
    return uncertainty_by_cell(maps, np.zeros(maps.shape[1:], np.int32), outputs, 0, region or whole(maps.shape[1:]))


def attention_of(shape, *patches, model=MODEL):
    attention = Attention((1, *shape))
    attention.take(uncertainty_of(maps_with(shape, *patches)), model)
    return attention


def cells(field):
    return tuple(-(-(part.stop - part.start) // CELL) for part in field)


def never(plane, field):
    return np.zeros(cells(field), bool)


def always(plane, field):
    return np.ones(cells(field), bool)


# -- cells -----------------------------------------------------------------------------------------------------------


def test_a_faint_patch_is_in_its_cell():
    found = uncertainty_of(maps_with((1, 96, 96), (0, 36, 70)))
    assert found.seconds.shape == (len(Suspicion), 1, 3, 3)
    assert found.seconds[Suspicion.MISSED, 0, 1, 2] > 0
    assert np.count_nonzero(found.seconds) == 1


def test_cells_of_a_field_lie_where_those_of_the_plane_do():
    maps = maps_with((1, 200, 150), (0, 100, 70))
    all_of_it = uncertainty_of(maps)
    field = (slice(0, 1), slice(40, 170), slice(24, 131))
    part = uncertainty_of(maps[(slice(None), *field)], field)
    assert part.cells == (slice(0, 1), slice(1, 6), slice(0, 5))
    inside = part.seconds[..., 1:-1, 1:-1]
    assert inside.max() > 0
    assert np.allclose(inside, all_of_it.seconds[..., 2:5, 1:4])


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 33, 1), (1, 31, 65), (3, 5, 7)])
def test_any_size(shape):
    found = uncertainty_of(np.full((2, *shape), 0.5, np.float32))
    assert (found.seconds[Suspicion.MISSED] > 0).all()
    assert np.allclose(found.level, 0.5)
    assert found.seconds.shape == (len(Suspicion), shape[0], -(-shape[1] // CELL), -(-shape[2] // CELL))


def test_classes():
    maps = np.zeros((3, 1, 32, 64), np.float32)
    maps[2, 0, :, :32] = 1  # certainly the last class
    maps[:, 0, :, 32:] = 1 / 3
    found = uncertainty_of(maps, outputs=("class_0", "class_1", "class_2"))
    assert np.allclose(found.seconds[Suspicion.UNSURE], [[[0, CELL**2 / 100]]], atol=1e-6), (
        "a brush 5 wide, 20 a second"
    )
    assert np.allclose(found.level, [[[1, 0.5]]], atol=1e-6)


# -- what may be wrong ----------------------------------------------------------------------------------------------


def squares(gap=40, number=4, width=16, depth=1):
    """Maps and labels of squares in a row that the network is sure of, in each slice."""
    shape = (depth, 2 * gap, gap * number + width)
    maps, labels = np.zeros((2, *shape), np.float32), np.zeros(shape, np.int32)
    ramp = np.minimum(np.arange(1, width + 1), np.arange(width, 0, -1)) / (width / 2)
    for index in range(number):
        where = (slice(None), slice(gap // 2, gap // 2 + width), slice(gap * index + 8, gap * index + 8 + width))
        maps[0][where], labels[where] = 1, index + 1
        maps[1][where] = np.minimum.outer(ramp, ramp)
    return maps, labels


def seconds_of(maps, labels):
    """Expected seconds (suspicions, objects), those outside all of them first."""
    found = seconds_to_correct(maps, labels, OUTPUTS)
    ids = labels[:, ::2, ::2].ravel()
    return np.stack([np.bincount(ids, kind.ravel(), int(labels.max()) + 1) for kind in found])


def test_a_sure_network_is_suspected_of_nothing():
    assert seconds_of(*squares()).max() < 0.05


def test_an_object_that_the_network_is_unsure_of():
    maps, labels = squares()
    maps[0][labels == 2] = 0.6
    found = seconds_of(maps, labels)
    assert found[Suspicion.UNSURE].argmax() == 2
    assert found[Suspicion.UNSURE, 2] > 1
    assert np.delete(found[Suspicion.UNSURE], 2).max() < 0.05


def test_an_object_far_larger_than_the_others_may_be_several():
    maps, labels = squares(number=7)
    labels[:, 20:36, 8:64] = 1
    labels[labels == 2] = 1
    maps[0][labels == 1] = 1
    found = seconds_of(maps, labels)
    assert found[Suspicion.MERGED].argmax() == 1
    assert found[Suspicion.MERGED, 1] > 1
    assert np.delete(found[Suspicion.MERGED], 1).max() < 0.05


def test_two_objects_without_a_valley_between_them_may_be_one():
    maps, labels = squares(gap=16)
    assert seconds_of(maps, labels)[Suspicion.SPLIT].max() < 0.1, "they touch, but each has a middle"
    half = labels == 2
    half[:, :, :32] = False
    labels[half] = 5
    found = seconds_of(maps, labels)[Suspicion.SPLIT]
    assert min(found[2], found[5]) > 4 * max(found[1], found[3], found[4])
    assert found[2] + found[5] > 0.5


def test_what_was_nearly_found_may_be_missed():
    maps, labels = squares()
    maps[0][labels == 3] = 0.4
    labels[labels == 3] = 0
    found = seconds_of(maps, labels)
    assert found[Suspicion.MISSED, 0] > 2
    assert found[Suspicion.MISSED, 1:].max() == 0


def test_an_object_of_a_volume_is_corrected_slice_by_slice():
    flat, deep = squares(), squares(depth=5)
    for maps, labels in (flat, deep):
        maps[0][labels == 2] = 0.6
    found = seconds_to_correct(*deep, OUTPUTS)
    assert np.allclose(found, seconds_to_correct(*flat, OUTPUTS), atol=1e-6)


@given(seed=st.integers(0, 1000), threshold=st.floats(0.1, 0.9))
def test_seconds_are_finite_and_never_negative(seed, threshold):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 20, 3))
    maps = rng.uniform(0, 1, (2, *shape)).astype(np.float32)
    labels = np.where(maps[0] > threshold, rng.integers(0, 9, shape), 0).astype(np.int32)
    found = seconds_to_correct(maps, labels, OUTPUTS)
    assert np.isfinite(found).all()
    assert found.min() >= 0


# -- what is worth most ----------------------------------------------------------------------------------------------


def test_nothing_known_and_nothing_unsure():
    attention = Attention((1, 1, 64, 64))
    assert not attention.anything
    assert attention.next_suggestion((0, 0), never) is None
    sure = attention_of((1, 64, 64))
    assert sure.anything
    assert sure.next_suggestion((0, 0), never) is None


def test_doubt_counts_more_where_two_models_disagree():
    shape = (1, 64, 320)
    attention = attention_of(shape, (0, 0, 0), (0, 0, 256))
    assert (attention.scores() > 0).sum() == 2
    before = maps_with(shape, (0, 0, 0), (0, 0, 256))
    before[0, 0, 8:, 270:] = 1
    attention.take(uncertainty_of(before), OTHER)
    attention.take(uncertainty_of(maps_with(shape, (0, 0, 0), (0, 0, 256))), MODEL)
    scores = attention.scores()[0, 0]
    assert scores[0, 8] > 1.2 * scores[0, 0]
    place = attention.next_suggestion((0, 0), never)
    assert (place.y, place.x) == (15.5, 271.5)


def test_the_same_model_again_is_no_disagreement():
    attention = attention_of((1, 64, 64), (0, 0, 0))
    first = attention.scores()
    attention.take(uncertainty_of(maps_with((1, 64, 64), (0, 0, 0))), MODEL)
    assert np.array_equal(attention.scores(), first)


# -- the order of places ---------------------------------------------------------------------------------------------


def test_places_are_shown_once_and_then_again():
    attention = attention_of((1, 64, 640), (0, 0, 0), (0, 0, 256), (0, 0, 600))
    places = [attention.next_suggestion((0, 0), never) for _ in range(4)]
    assert [place.left for place in places] == [2, 1, 0, 2]
    assert [place.again for place in places] == [False, False, False, True]
    assert len({place.x for place in places[:3]}) == 3
    assert places[3] == replace(places[0], left=2, again=True)


def test_neighbours_are_one_place():
    attention = attention_of((1, 64, 320), (0, 0, 0), (0, 0, 40), (0, 40, 20))
    assert attention.next_suggestion((0, 0), never).left == 0


def test_slices_close_to_each_other_are_one_place():
    shape = (MIN_SPACING[1] + 2, 64, 64)
    attention = attention_of(shape, *((z, 0, 0) for z in range(shape[0])))
    assert attention.next_suggestion((0, 0), never).left == 1


def test_of_two_as_good_the_nearer_slice_comes_first():
    shape = (9, 64, 64)
    attention = attention_of(shape, (0, 0, 0), (8, 0, 0))
    assert attention.next_suggestion((0, 7), never).z == 8


def test_a_much_better_place_comes_first_though_it_is_far():
    shape = (9, 64, 64)
    attention = attention_of(shape, (0, 0, 0), (0, 8, 0), (8, 0, 0))
    assert attention.next_suggestion((0, 8), never).z == 0


def test_what_was_looked_at_is_left_out():
    attention = attention_of((1, 64, 640), (0, 0, 0), (0, 0, 256))
    asked = []

    def left_half(plane, field):
        asked.append((plane, field))
        return np.broadcast_to(field[1].start + CELL * np.arange(cells(field)[1]) < 128, cells(field))

    place = attention.next_suggestion((0, 0), left_half)
    assert (place.x, place.left) == (271.5, 0)
    assert ((0, 0), (slice(0, 64), slice(0, 128))) in asked
    assert attention.next_suggestion((0, 0), always) is None


def test_of_a_place_that_was_corrected_in_part_the_rest_counts():
    """Two faint objects side by side are the best place, until one of them is drawn."""
    shape = (1, 96, 640)
    attention = attention_of(shape, (0, 40, 40), (0, 40, 70), (0, 40, 400), (0, 48, 400))
    worth = attention.scores()
    first = attention.next_suggestion((0, 0), never)
    assert first.x == pytest.approx(63.5)

    def one_drawn(plane, field):
        column = CELL * np.arange(cells(field)[1]) + field[1].start
        return np.broadcast_to(column == 64, cells(field))

    again = Attention((1, *shape))
    again.take(uncertainty_of(maps_with(shape, (0, 40, 40), (0, 40, 70), (0, 40, 400), (0, 48, 400))), MODEL)
    assert again.next_suggestion((0, 0), one_drawn).x == pytest.approx(399.5, abs=16)
    left = again.next_suggestion((0, 0), one_drawn)
    assert left.x == pytest.approx(47.5), "what is left of it comes later"
    assert np.array_equal(worth, again.scores()), "what is settled is asked anew each time"


@given(seed=st.integers(0, 1000))
def test_places_are_what_somebody_finds_who_checks_all_cells(seed):
    """Asked lazily, block by block, what is settled gives the same order as when all of it is known at once."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 14, 2))
    worth = np.where(rng.random((1, 2, *shape)) < 0.4, rng.integers(1, 9, (1, 2, *shape)), 0).astype(np.float32)
    settled = rng.random(worth.shape) < 0.5

    def looked_at(plane, field):
        rows, columns = (slice(part.start // CELL, -(-part.stop // CELL)) for part in field)
        return settled[(*plane, rows, columns)]

    size = tuple(n * CELL - 5 for n in shape)
    lazily = [score for _, score in RankedCells(worth.copy(), size, looked_at).ranked([])]
    at_once = [score for _, score in RankedCells(np.where(settled, 0, worth), size, never).ranked([])]
    assert lazily == pytest.approx(at_once)


def test_places_are_counted_up_to_a_number():
    n = MAX_SUGGESTIONS + 5
    attention = attention_of((1, 32, n * 128), *((0, 0, 128 * i) for i in range(n)))
    assert attention.next_suggestion((0, 0), never).left == MAX_SUGGESTIONS - 1


def test_the_middle_of_a_place_lies_in_the_image():
    attention = attention_of((1, 44, 44), (0, 32, 32))
    place = attention.next_suggestion((0, 0), never)
    assert (place.y, place.x) == (37.5, 37.5)


# -- kept with a project ---------------------------------------------------------------------------------------------


def test_restored_it_goes_on():
    shape = (2, 200, 150)
    attention = attention_of(shape, (0, 36, 70), (1, 100, 10), model=OTHER)
    attention.take(uncertainty_of(maps_with(shape, (0, 36, 70), (1, 140, 60))), MODEL)
    found = Attention.restored((1, *shape), attention.known(), MODEL)
    assert found.anything
    assert found.known().shape == Attention.layout((1, *shape))
    assert np.array_equal(found.scores(), attention.scores())
    assert found.next_suggestion((0, 0), never) == attention.next_suggestion((0, 0), never)
    for one in (found, attention):  # of the same model: it does not disagree with itself
        one.take(uncertainty_of(maps_with(shape, (1, 20, 20))), MODEL)
    assert np.array_equal(found.scores(), attention.scores())


def test_a_copy_stays_as_it_is():
    attention = attention_of((1, 96, 96), (0, 36, 70))
    copied = attention.copy()
    before = copied.known()
    attention.take(uncertainty_of(maps_with((1, 96, 96), (0, 0, 0))), OTHER)
    attention.next_suggestion((0, 0), never)
    assert np.array_equal(copied.known(), before, equal_nan=True)
    assert copied.next_suggestion((0, 0), never) is not None
    assert not np.array_equal(attention.scores(), copied.scores())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -3])
def test_what_a_file_says_may_be_nonsense(value):
    known = np.full(Attention.layout((1, 2, 96, 96)), value, np.float16)
    attention = Attention.restored((1, 2, 96, 96), known, MODEL)
    assert attention.next_suggestion((0, 0), never) is None
    known[:] = 65504
    assert np.isfinite(Attention.restored((1, 2, 96, 96), known, MODEL).scores()).all()
