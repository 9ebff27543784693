"""Which objects are suspects, and why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from napari_unet.guidance.features import FEATURES, OF_MAPS, object_features
from napari_unet.guidance.policy import POLICY
from napari_unet.guidance.suspects import Reason, find_suspects, joined
from napari_unet.objects.maps import Maps
from napari_unet.objects.targets import target_maps

OUTPUTS = ("foreground", "distance", "flow_y", "flow_x")


def discs(rows: int = 3, columns: int = 5, radius: int = 8, step: int = 24) -> np.ndarray:
    """Return discs, all alike, ids from 1."""
    labels = np.zeros((rows * step, columns * step), np.int32)
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    for index in range(rows * columns):
        row, column = divmod(index, columns)
        near = (y - row * step - step // 2) ** 2 + (x - column * step - step // 2) ** 2 <= radius**2
        labels[near] = index + 1
    return labels


def maps_of(labels: np.ndarray, dtype: type = np.float16) -> Maps:
    """Return the maps of a network that is right and sure."""
    return Maps(target_maps(labels, OUTPUTS).astype(dtype), OUTPUTS)


def first(labels: np.ndarray, maps: Maps | None = None, **options: object) -> tuple[int, Reason, float]:
    found = find_suspects(labels, maps, **options)  # type: ignore[arg-type]
    return int(found.ids[0]), Reason(int(found.reasons[0])), float(found.probabilities[0])


@pytest.mark.parametrize("with_maps", [False, True])
def test_where_all_are_alike_none_is_a_suspect(with_maps):
    labels = discs()
    found = find_suspects(labels, maps_of(labels) if with_maps else None)
    assert sorted(found.ids.tolist()) == list(range(1, 16))
    assert found.likely() == 0
    for label, (y, x), box in zip(found.ids, found.places, found.boxes, strict=True):
        assert labels[y, x] == label
        rows, columns = np.nonzero(labels == label)
        assert box.tolist() == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("with_maps", [False, True])
def test_two_that_were_made_one(with_maps, dtype):
    labels = discs()
    truth = labels.copy()
    labels[truth == 8] = 7
    labels[36, 40:64] = 7  # a bridge
    label, _, probability = first(labels, maps_of(truth, dtype) if with_maps else None)
    assert label == 7
    assert probability > POLICY.min_probability


def test_one_that_was_cut_in_two():
    labels = discs()
    truth = labels.copy()
    labels[(truth == 8) & (np.arange(labels.shape[0])[:, None] < 36)] = 99
    found = find_suspects(labels, maps_of(truth))
    assert set(found.ids[:2].tolist()) == {8, 99}
    assert found.likely() == 2


def test_small_and_large_and_why():
    labels = discs()
    labels[(labels == 4) & (np.arange(labels.shape[1]) < 84)] = 0
    labels[28:44, 52:72] = 8
    found = find_suspects(labels)
    reasons = dict(zip(found.ids.tolist(), found.reasons.tolist(), strict=True))
    assert (reasons[4], reasons[8]) == (Reason.SMALL, Reason.LARGE)
    assert set(found.ids[:2].tolist()) == {4, 8}


def test_one_that_the_network_is_unsure_of():
    labels = discs()
    maps = maps_of(labels, np.float32)
    maps.values[0][labels == 5] = 0.6
    assert first(labels, maps)[:2] == (5, Reason.UNSURE)


def test_what_is_cut_by_the_border_is_not_small():
    labels = discs(step=24)[:, :102]  # the last column of discs is cut
    found = find_suspects(labels)
    assert found.likely() == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_one_that_is_missing(dtype):
    truth = discs()
    maps = maps_of(truth, dtype)
    labels = np.where(truth == 8, 0, truth)
    found = find_suspects(labels, maps)
    assert (found.ids[0], found.reasons[0]) == (0, Reason.MISSED)
    y, x = found.places[0]
    assert truth[y, x] == 8
    assert find_suspects(labels).likely() == 0, "without maps nobody knows"


def test_foreground_everywhere_and_no_object():
    everywhere = np.full((1, 30, 40), 0.5, np.float16)
    found = find_suspects(np.zeros((30, 40), np.int32), Maps(everywhere, ("foreground",)))
    assert found.ids.tolist() == [0]
    assert found.boxes.tolist() == [[0, 0, 30, 40]]


def test_the_end_of_an_object_of_a_volume_is_not_small():
    labels = discs()
    middle = labels.copy()
    small = (labels == 8) & (np.arange(labels.shape[1]) < 58)
    labels[(labels == 8) & ~small] = 0
    assert first(labels)[:2] == (8, Reason.SMALL)
    assert find_suspects(labels, beside=[middle]).likely() == 0


def test_in_time():
    before, now, after = (np.roll(discs(), shift, axis=1) for shift in (-1, 0, 1))
    now = now.copy()
    now[30:42, 50:76] = 99  # 8 becomes another shape, twice as large
    assert find_suspects(now, before=before, after=after).likely() >= 1
    alone = discs()
    for other in (before, after):
        other[other == 3] = 0
    found = find_suspects(alone, before=before, after=after)
    assert (found.ids[0], found.reasons[0]) == (3, Reason.ALONE)
    assert found.likely() == 1
    gap = np.where(alone == 9, 0, alone)
    found = find_suspects(gap, before=discs(), after=discs())
    assert (found.ids[0], found.reasons[0]) == (0, Reason.GAP)
    y, x = found.places[0]
    assert alone[y, x] == 9


def test_a_jump_in_size():
    labels = discs()
    labels[25:47, 49:71] = 8
    found = find_suspects(labels, before=discs(), after=discs())
    reasons = dict(zip(found.ids.tolist(), found.reasons.tolist(), strict=True))
    assert found.ids[0] == 8
    assert reasons[8] in (Reason.JUMP, Reason.LARGE)


def test_where_all_move_far_time_says_nothing():
    here, far = discs(), np.roll(discs(), 12, axis=1)
    assert not set(find_suspects(here, before=far, after=far).reasons.tolist()) & {Reason.ALONE, Reason.JUMP}


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((20, 30), np.int32),
        np.ones((20, 30), np.int32),
        np.pad(np.ones((1, 1), np.int32), 5),
        np.full((4, 4), 2**31 - 1, np.int32),
        np.pad(np.full((3, 3), 2**40, np.int64), 2),
        np.ones((1, 1), np.uint8),
    ],
)
def test_little_to_judge(labels):
    for maps in (None, maps_of(labels), Maps(np.zeros((1, *labels.shape), np.float32), ("foreground",))):
        found = find_suspects(labels, maps, before=labels, after=labels, beside=[labels])
        assert set(found.ids.tolist()) - {0} == set(np.unique(labels).tolist()) - {0}
        assert np.isfinite(found.probabilities).all()


def test_maps_that_say_nothing_of_foreground():
    labels = discs()
    maps = Maps(np.full((1, *labels.shape), 0.5, np.float32), ("distance",))
    assert np.isnan(object_features(labels, maps).values[:, : len(OF_MAPS)]).all()
    assert len(find_suspects(labels, maps)) == 15


def test_a_part_joined_with_the_rest():
    labels = discs()
    truth = labels.copy()
    labels[truth == 1] = 2
    part = find_suspects(labels[:, :60], maps_of(truth[:, :60])).shifted(0, 0)
    whole = joined(part, find_suspects(labels))
    assert sorted(whole.ids[whole.ids > 0].tolist()) == np.unique(labels)[1:].tolist()
    assert (np.diff(whole.probabilities) <= 0).all()
    moved = part.shifted(3, 5)
    assert (moved.places - part.places == [3, 5]).all()
    assert (moved.boxes - part.boxes == [3, 5, 3, 5]).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_every_object_is_listed_once_whatever_it_is(seed, with_maps):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 40, 2))
    labels = rng.integers(0, 6, shape).astype(np.int32).repeat(rng.integers(1, 4), 0)
    maps = Maps(rng.random((4, *labels.shape)).astype(np.float16), OUTPUTS) if with_maps else None
    found = find_suspects(labels, maps)
    assert sorted(found.ids[found.ids > 0].tolist()) == [i for i in np.unique(labels).tolist() if i]
    assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()
    assert (np.diff(found.probabilities) <= 0).all()
    for label, (y, x), (y0, x0, y1, x1) in zip(found.ids, found.places, found.boxes, strict=True):
        assert y0 <= y < y1
        assert x0 <= x < x1
        assert labels[y, x] == label


def test_features_are_those_of_scikit_image():
    labels = discs()
    labels[30:42, 50:76] = 8
    found = object_features(labels, None)
    props = regionprops(labels)
    assert found.areas.tolist() == [p.area for p in props]
    solidity, eccentricity = (np.array([getattr(p, name) for p in props]) for name in ("solidity", "eccentricity"))
    dented, elongated = (found.values[:, FEATURES.index(name)] for name in ("dented", "elongated"))
    assert dented.argmax() == solidity.argmin()
    assert elongated.argmax() == eccentricity.argmax()
