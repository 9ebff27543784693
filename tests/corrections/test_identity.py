"""Ids of objects: found in one pass, they are those that are found object by object."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.corrections.identity import joined_ids, kept_ids, largest_id
from napari_unet.objects.stitch import MIN_SLICE_IOU, match_ids, numbered, overlaps


def kept_one_by_one(old, protected, predicted, beside, known, last_id):
    in_use = set(known.values())
    predicted = np.where(np.isin(predicted, list(known)), 0, predicted)
    mapping = {new: was for new, was in match_ids(np.where(protected, 0, old), predicted).items() if was not in in_use}
    taken = set(mapping.values()) | in_use | set(old[protected].tolist())
    if beside is not None:
        for new, was in match_ids(beside, predicted, MIN_SLICE_IOU).items():
            if new not in mapping and was not in taken:
                mapping[new] = was
                taken.add(was)
    taken, found_again = set(mapping.values()) | in_use, set(mapping)
    pairs = zip(*(column.tolist() for column in overlaps(np.where(protected, old, 0), predicted)), strict=True)
    for kept, new, count in sorted(pairs, key=lambda entry: entry[2]):
        goes_on = np.any((old == kept) & ~protected)
        if goes_on and kept not in taken and new not in found_again:
            mapping[new] = kept
        elif not goes_on and count > 0.5 * np.count_nonzero(predicted == new):
            mapping[new] = 0
    last_id = max(last_id, largest_id(old))
    for label in numbered(predicted):
        if label not in mapping:
            last_id += 1
            mapping[label] = last_id
    return mapping, last_id


def joined_one_by_one(volume, touched):
    renamed, slices = {}, {}
    for z, plane in enumerate(volume):
        for label in np.unique(plane).tolist():
            slices.setdefault(label, set()).add(z)
    for z in range(1, len(volume)):
        for new, old in match_ids(volume[z - 1], volume[z], MIN_SLICE_IOU).items():
            a, b = renamed.get(old, old), renamed.get(new, new)
            if a == b or slices[a] & slices[b] or {a, b} <= touched:
                continue
            keep, gone = (b, a) if a not in touched and b in touched else (a, b)
            slices[keep] |= slices.pop(gone)
            renamed = {k: keep if v == gone else v for k, v in renamed.items()} | {gone: keep}
    return renamed


def blocks(rng, shape, n_ids):
    """Planes of blocks that go on from slice to slice, each with any of the ids."""
    return rng.integers(0, n_ids + 1, shape).repeat(2, axis=-2).repeat(3, axis=-1).astype(np.int32)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.booleans())
def test_ids_kept_are_those_found_one_by_one(seed, n_ids, has_beside):
    rng = np.random.default_rng(seed)
    old, predicted, beside = (blocks(rng, (2, 4, 3), n_ids) for _ in range(3))
    predicted = np.where(rng.random(old.shape) < rng.random(), predicted, old)
    protected = rng.random(old.shape) < rng.random()
    protected[np.isin(old, rng.integers(0, n_ids + 1, 3))] = True  # whole objects
    known = {int(new): int(was) for new, was in rng.integers(1, n_ids + 1, (rng.integers(0, 3), 2))}
    given = old, protected, predicted, beside if has_beside else None, known, int(rng.integers(0, 20))
    assert kept_ids(*given) == kept_one_by_one(*given)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 4)),
    st.integers(1, 60),
    st.frozensets(st.integers(1, 60), max_size=20),
)
def test_ids_joined_are_those_found_one_by_one(seed, shape, n_ids, touched):
    volume = blocks(np.random.default_rng(seed), shape, n_ids)
    volume[volume > 50] += 2**30  # a user may paint with any id
    touched = frozenset(label + 2**30 * (label > 50) for label in touched)
    joined = joined_ids(volume[None], touched)
    assert list(joined.items()) == list(joined_one_by_one(volume, touched).items())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(10, 200))
def test_frames_without_common_ids_are_joined_each_on_its_own(seed, n_ids):
    labels = blocks(np.random.default_rng(seed), (3, 6, 2, 3), n_ids)
    labels = np.where(labels, labels + 1000 * np.arange(3).reshape(-1, 1, 1, 1), 0)
    one_by_one = [joined_one_by_one(volume, frozenset()) for volume in labels]
    assert joined_ids(labels, frozenset()) == one_by_one[0] | one_by_one[1] | one_by_one[2]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.frozensets(st.integers(1, 60), max_size=20))
def test_no_plane_loses_an_object_where_time_points_share_ids(seed, n_ids, touched):
    labels = blocks(np.random.default_rng(seed), (3, 3, 2, 3), n_ids)
    joined = joined_ids(labels, touched)
    assert not touched & joined.keys()
    assert not joined.keys() & set(joined.values())
    for plane in labels.reshape(-1, *labels.shape[2:]):
        ids = np.unique(plane).tolist()
        assert len({joined.get(label, label) for label in ids}) == len(ids)


def test_a_neighbour_is_not_swallowed_where_a_border_moves_into_a_reviewed_field():
    old = np.zeros((1, 20, 30), np.int32)
    old[0, 4:16, 2:14], old[0, 4:16, 14:26] = 5, 7
    protected = np.zeros(old.shape, bool)
    protected[..., :13] = True  # nearly all of 5 is reviewed
    predicted = np.zeros(old.shape, np.int32)
    predicted[0, 4:16, 2:12], predicted[0, 4:16, 12:26] = 1, 2
    assert kept_ids(old, protected, predicted, None, {}, 7) == ({1: 5, 2: 7}, 7)
