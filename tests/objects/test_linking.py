"""Objects followed from frame to frame."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_unet.objects.linking import assigned, linked_ids, lost_objects, positions


def renamed(labels, ids):
    """Return a copy of labels (T, Z, Y, X) with the ids that `linked_ids` yields replaced."""
    result = np.array(labels)
    for frame, mapping in ids:
        before = labels[frame]
        for old, new in mapping.items():
            result[frame][before == old] = new
    return result


def series(*frames: dict[int, tuple[int, int, int]]) -> np.ndarray:
    """Return labels (T, 1, 40, 40) with a square at (y, x) of a width for each id of each frame."""
    labels = np.zeros((len(frames), 1, 40, 40), np.int32)
    for frame, objects in enumerate(frames):
        for label, (y, x, width) in objects.items():
            labels[frame, 0, y : y + width, x : x + width] = label
    return labels


def linked(labels: np.ndarray, prediction: np.ndarray | None = None, last_id: int = 0) -> np.ndarray:
    prediction = labels if prediction is None else prediction
    return renamed(labels, list(linked_ids(labels, prediction, last_id)))


def test_objects_that_move_keep_their_ids():
    labels = series({1: (5, 5, 8), 2: (20, 20, 8)}, {3: (22, 21, 8), 4: (7, 6, 8)}, {5: (24, 22, 8), 6: (9, 7, 8)})
    expected = series({1: (5, 5, 8), 2: (20, 20, 8)}, {2: (22, 21, 8), 1: (7, 6, 8)}, {2: (24, 22, 8), 1: (9, 7, 8)})
    assert np.array_equal(linked(labels), expected)


def test_frames_that_are_numbered_each_from_one_are_linked_by_place():
    labels = series({1: (5, 5, 8), 2: (20, 20, 8)}, {1: (21, 20, 8), 2: (5, 6, 8)})
    assert np.array_equal(linked(labels), series({1: (5, 5, 8), 2: (20, 20, 8)}, {2: (21, 20, 8), 1: (5, 6, 8)}))


def test_what_goes_on_from_nothing_gets_an_id_that_no_object_has():
    labels = series({1: (5, 5, 8)}, {1: (25, 25, 8)}, {1: (25, 25, 8)})
    found = linked(labels, last_id=9)
    assert [np.unique(frame).tolist() for frame in found] == [[0, 1], [0, 10], [0, 10]]


def test_of_two_daughters_one_goes_on():
    labels = series({1: (5, 5, 12)}, {2: (5, 5, 9), 3: (5, 14, 5)})
    found = linked(labels)
    assert found[1, 0, 6, 6] == 1
    assert found[1, 0, 6, 16] == 3


def test_a_sum_is_made_as_large_as_it_can_be():
    """The best pair is not taken where two others are better together."""
    ious = {(1, 11): 0.6, (1, 12): 0.5, (2, 11): 0.5}
    assert assigned(ious) == {11: 2, 12: 1}


def test_an_id_that_somebody_has_given_is_kept_wherever_the_object_is():
    prediction = series({1: (5, 5, 8)}, {2: (6, 5, 8), 3: (30, 30, 8)})
    labels = series({1: (5, 5, 8)}, {2: (6, 5, 8), 1: (30, 30, 8)})
    found = linked(labels, prediction)
    assert found[1, 0, 33, 33] == 1
    assert found[1, 0, 8, 8] == 2


def test_a_corrected_outline_is_no_id_that_was_given():
    prediction = series({1: (5, 5, 8), 2: (25, 25, 8)}, {1: (25, 25, 8)})
    labels = prediction.copy()
    labels[1, 0, 33, 25:33] = 1
    assert linked(labels, prediction)[1, 0, 30, 30] == 2


def test_volumes_are_compared_as_a_whole():
    labels = np.zeros((2, 3, 20, 20), np.int32)
    labels[0, :, 2:8, 2:8], labels[0, 0, 12:18, 12:18] = 1, 2
    labels[1, 1:, 3:9, 2:8], labels[1, 0, 12:18, 12:18] = 3, 4
    found = linked(labels)
    assert (found[1][labels[1] == 3] == 1).all()
    assert (found[1][labels[1] == 4] == 2).all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), frames=st.integers(2, 4), density=st.integers(0, 12))
@example(seed=2471, frames=3, density=9)  # two ways to link are as good
def test_linking_parts_nothing_joins_nothing_and_changes_nothing_the_second_time(seed, frames, density):
    rng = np.random.default_rng(seed)
    labels = np.zeros((frames, 1, 24, 24), np.int32)
    for frame in labels:
        for _ in range(density):
            y, x = rng.integers(0, 20, 2)
            frame[0, y : y + 4, x : x + 4] = rng.integers(1, 8)
    prediction = np.where(rng.random(labels.shape) < 0.05, 0, labels)
    ids = list(linked_ids(labels, prediction, 7))
    found, predicted = renamed(labels, ids), renamed(prediction, ids)
    for before, after in zip(labels, found, strict=True):
        pairs = set(zip(before.ravel().tolist(), after.ravel().tolist(), strict=True))
        assert len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})
    assert np.array_equal(found != predicted, labels != prediction), "no correction comes or goes"
    assert list(linked_ids(found, predicted, int(max(found.max(), predicted.max())))) == []


def test_positions_are_means_of_pixels():
    labels = np.zeros((2, 2, 20, 20), np.int32)
    labels[0, :, 2:5, 4:9] = 7
    labels[1, 1, 10, 10], labels[1, 0, 3, 3] = 7, 2
    assert positions(labels).tolist() == [[2, 1, 0, 3, 3], [7, 0, 0.5, 3, 6], [7, 1, 1, 10, 10]]
    assert positions(labels, [2]).tolist() == [[2, 1, 0, 3, 3]]
    assert positions(np.zeros((2, 1, 4, 4), int)).shape == (0, 5)


def test_lost_objects():
    before, now = series({3: (2, 2, 4), 9: (20, 20, 6), 2**30: (30, 5, 3)}, {9: (0, 0, 2)})
    found = {one.label: one for one in lost_objects(before, now)}
    assert set(found) == {3, 2**30}
    assert found[3].box == (slice(2, 6), slice(2, 6))
    assert found[3].mask.all()
    assert lost_objects(now, now) == []


def test_an_object_in_another_slice_is_not_lost():
    before, now = np.zeros((2, 2, 10, 10), np.int32)
    before[0, 2:4, 2:4], now[1, 2:4, 2:4] = 1, 1
    before[0, 6:8, 6:8] = 2
    assert [one.label for one in lost_objects(before, now)] == [2]
    assert lost_objects(before, now, 1) == []


def test_thousands_of_objects_are_assigned_group_by_group():
    """A table of all pairs would take 3 GB."""
    ious = {(i, 20_000 + i): 0.5 for i in range(20_000)}
    ious |= {(i, 20_001 + i): 0.2 for i in itertools.islice(range(0, 20_000, 3), 5_000)}
    assert assigned(ious) == {20_000 + i: i for i in range(20_000)}
