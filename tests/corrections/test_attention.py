"""Where the network is unsure, and in which order the places are shown."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.corrections.attention import APART, CELL, MOST_PLACES, UNSURE, Attention, doubt

OUTPUTS = ("foreground", "distance")
MODEL, OTHER = object(), object()


def maps_with(shape, *patches, outputs=2):
    """Return sure maps (K, Z, Y, X) with patches (z, y, x) of 8 x 8 pixels, in which the foreground is one half."""
    maps = np.zeros((outputs, *shape), np.float32)
    for z, y, x in patches:
        maps[0, z, y : y + 8, x : x + 8] = 0.5
    return maps


def whole(shape):
    depth, height, width = shape
    return slice(0, depth), slice(0, height), slice(0, width)


def attention_of(shape, *patches, model=MODEL):
    attention = Attention((1, *shape))
    attention.take(doubt(maps_with(shape, *patches), OUTPUTS, 0, whole(shape)), model)
    return attention


def never(plane, field):
    return False


# -- cells -----------------------------------------------------------------------------------------------------------


def test_a_patch_of_doubt_is_in_its_cell():
    found = doubt(maps_with((1, 96, 96), (0, 36, 70)), OUTPUTS, 0, whole((1, 96, 96)))
    assert found.unsure.shape == (1, 3, 3)
    assert found.unsure[0, 1, 2] == pytest.approx(64 / CELL**2)
    assert np.count_nonzero(found.unsure) == 1


def test_an_outline_is_no_doubt_where_it_is_one_pixel_wide():
    maps = np.zeros((2, 1, 64, 64), np.float32)
    maps[0, 0, 9:40, 9:40] = 0.5
    maps[0, 0, 10:39, 10:39] = 1
    assert doubt(maps, OUTPUTS, 0, whole((1, 64, 64))).unsure.max() < UNSURE


def test_cells_of_a_field_lie_where_those_of_the_plane_do():
    maps = maps_with((1, 200, 150), (0, 100, 70))
    all_of_it = doubt(maps, OUTPUTS, 0, whole((1, 200, 150)))
    field = (slice(0, 1), slice(40, 170), slice(24, 131))
    part = doubt(maps[(slice(None), *field)], OUTPUTS, 0, field)
    assert part.cells == (slice(0, 1), slice(1, 6), slice(0, 5))
    inside = part.unsure[:, 1:-1, 1:-1]
    assert inside.max() > 0
    assert np.allclose(inside, all_of_it.unsure[:, 2:5, 1:4])


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 33, 1), (1, 31, 65), (3, 5, 7)])
def test_any_size(shape):
    found = doubt(np.full((2, *shape), 0.5, np.float32), OUTPUTS, 0, whole(shape))
    assert np.allclose(found.unsure, 1)
    assert np.allclose(found.level, 0.5)
    assert found.unsure.shape == (shape[0], -(-shape[1] // CELL), -(-shape[2] // CELL))


def test_classes():
    maps = np.zeros((3, 1, 32, 64), np.float32)
    maps[2, 0, :, :32] = 1  # certainly the last class
    maps[:, 0, :, 32:] = 1 / 3
    found = doubt(maps, ("class_0", "class_1", "class_2"), 0, whole((1, 32, 64)))
    assert np.allclose(found.unsure, [[[0, 1]]], atol=1e-6)
    assert np.allclose(found.level, [[[1, 0.5]]], atol=1e-6)


# -- what is worth most ----------------------------------------------------------------------------------------------


def test_nothing_known_and_nothing_unsure():
    attention = Attention((1, 1, 64, 64))
    assert not attention.anything
    assert attention.next_place((0, 0), never) is None
    sure = attention_of((1, 64, 64))
    assert sure.anything
    assert sure.next_place((0, 0), never) is None


def test_doubt_counts_more_where_two_models_disagree():
    shape = (1, 64, 320)
    attention = attention_of(shape, (0, 0, 0), (0, 0, 256))
    assert (attention.scores() > 0).sum() == 2
    before = maps_with(shape, (0, 0, 0), (0, 0, 256))
    before[0, 0, 8:, 270:] = 1
    attention.take(doubt(before, OUTPUTS, 0, whole(shape)), OTHER)
    attention.take(doubt(maps_with(shape, (0, 0, 0), (0, 0, 256)), OUTPUTS, 0, whole(shape)), MODEL)
    scores = attention.scores()[0, 0]
    assert scores[0, 8] > 1.2 * scores[0, 0]
    place = attention.next_place((0, 0), never)
    assert (place.y, place.x) == (15.5, 271.5)


def test_the_same_model_again_is_no_disagreement():
    attention = attention_of((1, 64, 64), (0, 0, 0))
    first = attention.scores()
    attention.take(doubt(maps_with((1, 64, 64), (0, 0, 0)), OUTPUTS, 0, whole((1, 64, 64))), MODEL)
    assert np.array_equal(attention.scores(), first)


# -- the order of places ---------------------------------------------------------------------------------------------


def test_places_are_shown_once_and_then_again():
    attention = attention_of((1, 64, 640), (0, 0, 0), (0, 0, 256), (0, 0, 600))
    places = [attention.next_place((0, 0), never) for _ in range(4)]
    assert [place.left for place in places] == [2, 1, 0, 2]
    assert [place.again for place in places] == [False, False, False, True]
    assert len({place.x for place in places[:3]}) == 3
    assert places[3] == places[0].__class__(0, 0, places[0].y, places[0].x, 2, True)


def test_neighbours_are_one_place():
    attention = attention_of((1, 64, 320), (0, 0, 0), (0, 0, 40), (0, 40, 20))
    assert attention.next_place((0, 0), never).left == 0


def test_slices_close_to_each_other_are_one_place():
    shape = (APART[1] + 2, 64, 64)
    attention = attention_of(shape, *((z, 0, 0) for z in range(shape[0])))
    assert attention.next_place((0, 0), never).left == 1


def test_of_two_as_good_the_nearer_slice_comes_first():
    shape = (9, 64, 64)
    attention = attention_of(shape, (0, 0, 0), (8, 0, 0))
    assert attention.next_place((0, 7), never).z == 8


def test_a_much_better_place_comes_first_though_it_is_far():
    shape = (9, 64, 64)
    attention = attention_of(shape, (0, 0, 0), (0, 8, 0), (8, 0, 0))
    assert attention.next_place((0, 8), never).z == 0


def test_what_was_looked_at_is_left_out():
    attention = attention_of((1, 64, 640), (0, 0, 0), (0, 0, 256))
    asked = []

    def left_half(plane, field):
        asked.append((plane, field))
        return field[1].start < 128

    place = attention.next_place((0, 0), left_half)
    assert (place.x, place.left) == (271.5, 0)
    assert ((0, 0), (slice(0, 32), slice(0, 32))) in asked
    assert attention.next_place((0, 0), lambda *_: True) is None


def test_places_are_counted_up_to_a_number():
    n = MOST_PLACES + 5
    attention = attention_of((1, 32, n * 128), *((0, 0, 128 * i) for i in range(n)))
    assert attention.next_place((0, 0), never).left == MOST_PLACES - 1


def test_the_middle_of_a_place_lies_in_the_image():
    attention = attention_of((1, 40, 40), (0, 32, 32))
    place = attention.next_place((0, 0), never)
    assert (place.y, place.x) == (35.5, 35.5)
