"""Objects are divided along the maps: by seeds, by a line, and free from all that they were merged with."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings

from made_labels import discs, hangs_together, iou, maps_of, pair, seeds, shapes
from napari_unet.errors import EditError
from napari_unet.objects import geodesic
from napari_unet.objects.maps import Maps, crossing_cost
from napari_unet.objects.splitting import cut_free, split_by_line, split_by_seeds

LEFT, RIGHT = [(20, 22)], [(20, 48)]


def check(labels, edit, min_size=12):
    """What every split keeps to."""
    after = edit.applied(labels)
    touched = np.isin(labels, edit.ids)
    assert np.array_equal(after[~touched], labels[~touched])
    assert (after[touched] > 0).all()  # the parts cover the objects
    assert not np.isin(edit.made, labels).any()
    for label in (*edit.ids, *edit.made):  # of several objects one may go to the parts of the others whole
        assert (after == label).sum() >= (min_size if label in after or label in edit.made else 0)
    for label in edit.made:
        assert hangs_together(after == label)
    return after


@pytest.mark.parametrize("maps", [True, False])
def test_a_click_in_each_part(maps):
    true, labels = pair()
    labels[labels > 0] = 5
    edit = split_by_seeds(labels, maps_of(true) if maps else None, (LEFT, RIGHT), 9)
    after = check(labels, edit)
    assert (edit.ids, edit.made) == ((5,), (9,))  # the larger keeps its id
    assert iou(after == 5, true == 1) > (0.95 if maps else 0.75)
    assert iou(after == 9, true == 2) > (0.95 if maps else 0.6)


def test_clicks_far_from_the_middles_do_as_well():
    true, labels = pair()
    for left, right in (((20, 10), (20, 41)), ((8, 22), (28, 50)), ((20, 33), (20, 57))):
        after = check(labels, split_by_seeds(labels, maps_of(true), ([left], [right])))
        assert min(iou(after == 1, true == 1), iou(after == 2, true == 2)) > 0.9


def test_several_seeds_of_one_part_make_one_object():
    labels = np.zeros((30, 60), np.int32)
    labels[5:25, 5:55] = 1
    after = check(labels, split_by_seeds(labels, None, ([(7, 8), (7, 30), (7, 52)], [(22, 10), (22, 50)])))
    assert len(np.unique(after)) == 3
    assert all(hangs_together(after == i) for i in (1, 2))
    assert (after[6, 6:54] == after[7, 8]).all()


def test_seeds_of_a_part_that_cannot_meet_make_objects_apart():
    labels = np.ones((20, 60), np.int32)
    wall = [(y, 30) for y in range(20)]
    after = check(labels, split_by_seeds(labels, None, ([(10, 5), (10, 55)], wall)))
    assert len(np.unique(after)) == 3


def test_seeds_in_several_objects_draw_the_border_between_them_anew():
    true, _ = pair()
    labels = true.copy()
    labels[:, 34:][labels[:, 34:] > 0] = 2  # the border is too far left
    edit = split_by_seeds(labels, maps_of(true), (LEFT, RIGHT))
    assert edit.made == ()
    assert np.array_equal(np.unique(edit.applied(labels)), [0, 1, 2])
    assert iou(edit.applied(labels) == 2, true == 2) > 0.95


def test_what_cannot_be_split_by_seeds():
    true, labels = pair()
    maps = maps_of(true)
    for points, words in (
        ((LEFT,), "two are needed"),
        ((LEFT, LEFT), "same place"),
        (([(0, 0)], [(1, 1)]), "no object under"),
        ((LEFT, [(1, 1)]), "Point 2 lies in no object"),
        ((LEFT, [(20, 90)]), "outside the image"),
    ):
        with pytest.raises(EditError, match=words):
            split_by_seeds(labels, maps, points)
    with pytest.raises(EditError, match="the least is 2000"):
        split_by_seeds(labels, maps, (LEFT, RIGHT), min_size=2000)
    with pytest.raises(EditError, match="1 to 255"):
        split_by_seeds(labels.astype(np.uint8), maps, (LEFT, RIGHT), 256)
    once = split_by_seeds(labels, maps, (LEFT, RIGHT)).applied(labels)
    with pytest.raises(EditError, match="apart already"):
        split_by_seeds(once, maps, (LEFT, RIGHT))


@settings(max_examples=60)
@given(seeds, shapes)
def test_any_seeds_in_any_objects(seed, shape):
    rng = np.random.default_rng(seed)
    true = discs(shape, rng)
    labels = np.where(true > 2, 3, true)
    labels[labels == 3] = np.where(rng.random() < 0.5, 3, 1)
    inside = np.argwhere(labels > 0)
    points = [inside[rng.integers(len(inside), size=rng.integers(1, 4))] for _ in range(rng.integers(2, 4))]
    before = labels.copy()
    try:
        edit = split_by_seeds(labels, maps_of(true, rng) if seed % 3 else None, points, min_size=3)
    except EditError:
        assert np.array_equal(labels, before)
        return
    after = check(labels, edit, 3)
    assert np.array_equal(labels, before)
    for i, one in enumerate(points):  # seeds of different parts are in different objects
        for other in points[i + 1 :]:
            assert not set(after[tuple(one.T)]) & set(after[tuple(other.T)])


@pytest.mark.parametrize("maps", [True, False])
@pytest.mark.parametrize("line", [[(0, 40), (39, 33)], [(10, 36), (30, 36)], [(3, 33), (20, 38), (38, 34)]])
def test_a_line_across_is_cut_along_the_maps(maps, line):
    true, labels = pair()
    after = check(labels, split_by_line(labels, maps_of(true) if maps else None, line))
    assert min(iou(after == 1, true == 1), iou(after == 2, true == 2)) > (0.95 if maps else 0.85)


def test_a_line_cuts_what_it_crosses_and_not_what_it_ends_in():
    labels = np.zeros((60, 40), np.int32)
    labels[2:20, 5:35], labels[20:40, 5:35], labels[40:58, 5:35] = 1, 2, 3
    after = check(labels, split_by_line(labels, None, [(17, 20), (43, 20)]))
    assert set(np.unique(after[20:40, 5:35])) == {2, 4}
    assert np.array_equal(after[:20], labels[:20])
    assert np.array_equal(after[40:], labels[40:])
    edit = split_by_line(labels, None, [(0, 19), (59, 21)], 10)
    assert edit.made == (10, 11, 12)
    check(labels, edit)


def test_a_line_leaves_pieces_that_it_does_not_divide():
    labels = np.zeros((30, 60), np.int32)
    labels[5:25, 2:20] = labels[5:25, 40:58] = 1
    edit = split_by_line(labels, None, [(0, 11), (29, 11)])
    assert edit.made == (2,)
    assert (edit.applied(labels)[:, 40:58] == labels[:, 40:58]).all()
    with pytest.raises(EditError, match="does not divide"):
        split_by_line(labels, None, [(4, 2), (6, 2)])


def test_what_a_line_cannot_cut():
    _, labels = pair()
    with pytest.raises(EditError, match="crosses no object"):
        split_by_line(labels, None, [(0, 0), (0, 60)])
    with pytest.raises(EditError, match="does not divide object 1"):
        split_by_line(labels, None, [(19, 7), (21, 7)])
    with pytest.raises(EditError, match="two points"):
        split_by_line(labels, None, [(20, 6)])
    with pytest.raises(EditError, match="only a point|does not divide"):
        split_by_line(labels, None, [(20, 20), (20, 20)])
    for line in ([(-20, 20), (-20, 20)], [(0, 0), (np.nan, 3)], [(0, 0), (1e12, 3)]):
        with pytest.raises(EditError, match="outside the image"):
            split_by_line(labels, None, line)


def test_a_line_may_begin_beyond_the_image():
    true, labels = pair()
    after = check(labels, split_by_line(labels, maps_of(true), [(-7, 37), (50, 35)]))
    assert iou(after == 1, true == 1) > 0.95


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.uint32])
def test_labels_of_any_data_type_keep_it(dtype):
    true, labels = pair()
    labels = (labels * 200).astype(dtype)
    edit = split_by_seeds(labels, maps_of(true), (LEFT, RIGHT))
    assert edit.labels.dtype == dtype
    assert edit.made == (201,)
    labels[labels > 0] = np.iinfo(dtype).max if dtype != np.uint32 else 2**31
    with pytest.raises(EditError, match="Object ids go from 1 to") if dtype != np.uint32 else nullcontext():
        split_by_seeds(labels, maps_of(true), (LEFT, RIGHT))


@settings(max_examples=60)
@given(seeds, shapes)
def test_any_line_across_any_objects(seed, shape):
    rng = np.random.default_rng(seed)
    labels = discs(shape, rng)
    line = rng.uniform(-5, np.array(shape[-2:]) + 5, (rng.integers(2, 5), 2))
    try:
        edit = split_by_line(labels, maps_of(labels, rng), line, min_size=4)
    except EditError:
        return
    check(labels, edit, 4)


def test_a_line_in_a_slice_cuts_a_volume_through():
    true, flat = pair()
    volume = np.repeat(flat[None], 4, 0)
    volume[0] = volume[3] = 0
    line = np.array([(2, 0, 36), (2, 39, 36)])
    edit = split_by_line(volume, None, line)
    after = check(volume, edit)
    for z in (1, 2):  # paths of equal cost may be taken in another order, by the version of scikit-image
        assert iou(after[z] == 1, true == 1) > 0.85
    only = split_by_line(volume[2], None, line[:, 1:], 8).in_slice(2).applied(volume)
    assert np.array_equal(only[1], volume[1])
    assert set(np.unique(only[2])) == {0, 1, 8}


@pytest.mark.parametrize("maps", [True, False])
def test_an_object_is_cut_free(maps):
    true, labels = pair()
    after = check(labels, cut_free(labels, maps_of(true) if maps else None, 1))
    assert min(iou(after == 1, true == 1), iou(after == 2, true == 2)) > (0.9 if maps else 0.75)


def test_cut_free_makes_as_many_as_typical_objects_would():
    true = np.zeros((24, 100), np.int32)
    y, x = np.mgrid[:24, :100]
    for k in range(5):
        true[(y - 12) ** 2 + (x - 12 - 18 * k) ** 2 < 100] = k + 1
    labels = (true > 0).astype(np.int32)
    assert len(cut_free(labels, maps_of(true), 1, typical_size=300).made) == 4


def test_what_cannot_be_cut_free():
    labels = np.zeros((40, 40), np.int32)
    y, x = np.mgrid[:40, :40]
    labels[(y - 20) ** 2 + (x - 20) ** 2 < 150] = 1
    for maps in (None, maps_of(labels)):
        with pytest.raises(EditError, match="no second middle"):
            cut_free(labels, maps, 1)
    with pytest.raises(EditError, match="no object 2"):
        cut_free(labels, None, 2)


def test_large_objects_are_divided_in_blocks_with_about_the_same_result(monkeypatch):
    true, labels = pair(120)
    maps, points = maps_of(true), ([(60, 66)], [(60, 144)])
    whole = split_by_seeds(labels, maps, points).applied(labels)
    monkeypatch.setattr(geodesic, "MAX_PIXELS", 1000)
    blocks = check(labels, split_by_seeds(labels, maps, points))
    assert iou(whole == 1, blocks == 1) > 0.97
    assert iou(blocks == 2, true == 2) > 0.95


def test_maps_that_know_nothing_of_borders():
    """Models of a foreground, with or without a boundary map, of classes, and of none."""
    true, labels = pair()
    values = np.stack([true > 0, np.gradient(true.astype(float))[1] != 0]).astype(np.float32)
    with_boundary = crossing_cost(Maps(values, ("foreground", "boundary")), labels > 0)
    assert with_boundary[20, 36:40].max() > 2 * with_boundary[20, 22]
    for outputs in (("foreground", "nothing"), ("class_0", "class_1")):
        check(labels, split_by_seeds(labels, Maps(values, outputs), (LEFT, RIGHT)))
