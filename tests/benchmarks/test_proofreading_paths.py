"""Where the scripted person clicks and draws, and what comes of it by the program's own edits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import disk

from napari_unet.objects.reshaping import brushed, reshaped
from napari_unet.objects.splitting import split_by_line
from napari_unet_benchmarks.proofreading_paths import (
    MAX_MOVES,
    around,
    between,
    deepest,
    dense,
    outline_stroke,
    through,
)

BRUSH = 3


def disks(*centres: tuple[int, int], radius: float = 10, shape: tuple[int, int] = (60, 90)) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    for number, centre in enumerate(centres, start=1):
        labels[disk(centre, radius, shape=shape)] = number
    return labels


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


@given(st.floats(0, np.pi), st.floats(7, 11))
def test_a_line_between_two_objects_parts_them(angle: float, radius: float) -> None:
    step = 0.8 * radius * np.array([np.sin(angle), np.cos(angle)])
    truth = np.zeros((60, 90), np.int32)
    for number, centre in enumerate((np.array([30, 45]) - step, np.array([30, 45]) + step), start=1):
        truth[disk(centre, radius, shape=truth.shape)] = number
    whole = truth > 0
    path = between(truth == 1, truth == 2, whole)
    ends = np.rint(path[[0, -1]]).astype(int)
    assert not whole[tuple(ends.T)].any(), "it begins and ends beyond the object"
    after = split_by_line(whole.astype(np.int32), None, path, 2).applied(whole.astype(np.int32))
    for true in (truth == 1, truth == 2):
        assert max(iou(after == label, true) for label in (1, 2)) > 0.9


def test_objects_that_touch_along_nothing_are_parted_too() -> None:
    truth = disks((30, 25), (30, 60))
    whole = truth > 0
    whole[28:33, 25:60] = True
    path = between(truth == 1, truth == 2, whole)
    after = split_by_line(whole.astype(np.int32), None, path, 2).applied(whole.astype(np.int32))
    assert after[30, 25] != after[30, 60]


def test_a_way_goes_through_each_piece_from_one_end() -> None:
    labels = disks((30, 15), (30, 75), (30, 45))
    path = through(labels, labels > 0, (1, 2, 3))
    met = [labels[y, x] for y, x in np.rint(path).astype(int)]
    assert [n for n in dict.fromkeys(met) if n] in ([1, 3, 2], [2, 3, 1])
    assert len(path) >= 8


@pytest.mark.parametrize(
    ("radius", "shift"), [(7, 0), (14, 0), (10, 5), (6, 3)], ids=["small", "large", "aside", "small, aside"]
)
def test_two_strokes_bring_an_outline_near_the_true_one(radius: float, shift: int) -> None:
    true = disks((30, 45), radius=10) == 1
    labels = disks((30, 45 + shift), radius=radius)
    before = iou(labels == 1, true)
    for _ in range(2):
        try:
            path = outline_stroke(true, labels, 1, BRUSH)
        except ValueError:
            break
        assert len(path) <= MAX_MOVES
        y, x = np.rint(path[0]).astype(int)
        labels = reshaped(labels, brushed(path, BRUSH, labels.shape), int(labels[y, x])).applied(labels)
        if iou(labels == 1, true) > 0.9:
            break
    assert iou(labels == 1, true) > max(0.75, before)


def test_nothing_to_draw_is_an_error() -> None:
    labels = disks((30, 45))
    with pytest.raises(ValueError, match="missing"):
        outline_stroke(labels == 1, labels, 1, BRUSH)
    with pytest.raises(ValueError, match="empty"):
        deepest(labels == 9)


def test_ways_stay_within_the_image() -> None:
    labels = disks((2, 3), (57, 88))
    for label in (1, 2):
        path = around(labels == label)
        assert (path >= 0).all()
        assert (path <= np.array(labels.shape) - 1).all()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5), st.integers(1, 20))
def test_more_moves_keep_the_corners(points: list[tuple[int, int]], moves: int) -> None:
    path = np.array(points, float)
    found = dense(path, moves)
    assert np.array_equal(found[[0, -1]], path[[0, -1]])
    assert all((np.abs(found - point).sum(axis=1) < 1e-9).any() for point in path)
