"""Merging and deleting objects, and what an edit is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from made_labels import discs, hangs_together, seeds, shapes
from napari_unet.errors import EditError
from napari_unet.objects.edits import Edit, box_of, deleted, id_at, merged, next_id, pixels


def squares(gap: int = 0, dtype: type = np.int32) -> np.ndarray:
    """A large square with id 3 and a small one with id 7, so many pixels apart."""
    labels = np.zeros((20, 30), dtype)
    labels[4:14, 2:12] = 3
    labels[6:10, 12 + gap : 16 + gap] = 7
    return labels


def test_the_largest_keeps_its_id_and_only_the_other_changes():
    edit = merged(squares(), (7, 3))
    assert edit.box == (slice(6, 10), slice(12, 16))
    assert (edit.ids, edit.made) == ((3, 7), ())
    assert (edit.labels == 3).all()
    assert edit.changed(squares()).all()


def test_of_two_of_the_same_size_the_first_touched_keeps_its_id():
    labels = np.zeros((4, 8), np.int32)
    labels[:, :4], labels[:, 4:] = 1, 2
    assert set(np.unique(merged(labels, (2, 1)).applied(labels))) == {2}


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_a_gap_is_filled_where_it_is_allowed(gap):
    labels = squares(gap)
    with pytest.raises(EditError, match="Object 7 does not touch the others"):
        merged(labels, (3, 7))
    with pytest.raises(EditError, match=f"up to {gap - 1}" if gap > 1 else "does not touch"):
        merged(labels, (3, 7), allow_gap=gap - 1)
    after = merged(labels, (3, 7), allow_gap=gap).applied(labels)
    assert hangs_together(after == 3)
    assert (after[6:10, 12 : 12 + gap] == 3).all()  # the seam is as wide as the smaller side
    assert (after[:, 12 : 12 + gap] == 3).sum() <= 6 * gap


def test_a_gap_is_not_filled_over_what_is_protected_or_another_object():
    labels = squares(2)
    with pytest.raises(EditError, match="does not touch"):
        merged(labels, (3, 7), allow_gap=2, protected=labels == 0)
    labels[:, 12:14] = 9
    with pytest.raises(EditError, match="does not touch"):
        merged(labels, (3, 7), allow_gap=2)


def test_a_row_of_objects_becomes_one_and_one_apart_is_named():
    labels = np.repeat(np.array([[1, 1, 2, 2, 3, 3, 0, 4, 4]], np.int32), 4, 0)
    assert set(np.unique(merged(labels, (3, 1, 2)).applied(labels))) == {0, 3, 4}
    with pytest.raises(EditError, match="Object 4 does not"):
        merged(labels, (1, 2, 3, 4))
    with pytest.raises(EditError, match="Object 3 does not"):  # 2 is between them
        merged(labels, (1, 3))


@pytest.mark.parametrize("ids", [(), (0,), (3,), (3, 3), (0, 3)])
def test_fewer_than_two_are_not_merged(ids):
    with pytest.raises(EditError, match="two are needed"):
        merged(squares(), ids)


def test_objects_that_are_not_there():
    with pytest.raises(EditError, match="There is no object 5 here"):
        merged(squares(), (3, 5))
    with pytest.raises(EditError, match="There is no object 5 here"):
        deleted(squares(), (5,))
    with pytest.raises(EditError, match="no object here to delete"):
        deleted(squares(), (0,))


@given(seeds, shapes)
def test_deleting_and_merging_change_these_objects_only(seed, shape):
    rng = np.random.default_rng(seed)
    labels = discs(shape, rng)
    present = [int(i) for i in np.unique(labels) if i]
    chosen = [int(i) for i in rng.choice(present, min(2, len(present)), replace=False)]
    before = labels.copy()
    protected = rng.random(shape) < 0.3
    for edit in (lambda: deleted(labels, chosen), lambda: merged(labels, chosen, allow_gap=3, protected=protected)):
        try:
            done = edit()
        except EditError:
            continue
        after = done.applied(labels)
        assert np.array_equal(labels, before)
        others = (labels > 0) & ~np.isin(labels, chosen)
        assert np.array_equal(after[others], labels[others])
        assert not ((after != labels) & protected & (labels == 0)).any()
        assert set(done.ids) <= set(chosen)
        assert done.changed(labels).any(axis=tuple(range(1, len(shape))))[[0, -1]].all()  # the box is tight


def merged_one_by_one(labels, ids, gap, protected):
    """Return the labels after merging, or the ids that do not hang together with the first."""
    filled = np.isin(labels, ids)
    if gap:
        far = np.sort([ndimage.distance_transform_edt(labels != label) for label in ids], axis=0)
        filled |= (labels == 0) & ~protected & (far[0] + far[1] <= gap + 1)
    pieces = ndimage.label(filled, np.ones((3,) * labels.ndim))[0]
    joined, rest, grows = {ids[0]}, set(ids[1:]), True
    while grows:
        there = set(pieces[np.isin(labels, list(joined))].tolist())
        grows = {label for label in rest if there & set(pieces[labels == label].tolist())}
        joined, rest = joined | grows, rest - grows
    keep = max(ids, key=lambda label: np.count_nonzero(labels == label))
    return rest or np.where(filled, keep, labels)


@given(seeds, shapes, st.integers(2, 20), st.integers(0, 3), st.booleans())
def test_many_objects_are_merged_as_one_by_one(seed, shape, n_ids, gap, wide):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-n_ids, n_ids + 1, [-(-n // 3) for n in shape]).clip(0)
    for axis, n in enumerate(shape):
        labels = labels.repeat(3, axis).take(range(n), axis)
    labels[labels > 5] += 2**30 * wide
    ids = rng.permutation(np.unique(labels[labels > 0])).tolist()[: rng.integers(2, n_ids + 1)]
    if len(ids) < 2:
        return
    protected = rng.random(shape) < 0.2
    wanted = merged_one_by_one(labels, ids, gap, protected)
    if isinstance(wanted, set):
        with pytest.raises(EditError, match=f"Object {min(wanted)} does not touch"):
            merged(labels, ids, allow_gap=gap, protected=protected)
    else:
        assert np.array_equal(merged(labels, ids, allow_gap=gap, protected=protected).applied(labels), wanted)


def test_of_many_objects_the_first_that_is_not_there_is_named():
    labels = np.arange(1, 31, dtype=np.int32).reshape(5, 6)
    assert box_of(labels, range(3, 16)) == (slice(0, 3), slice(0, 6))
    with pytest.raises(EditError, match="There is no object 31 here"):
        box_of(labels, range(20, 40))


@given(seeds, shapes)
def test_the_box_of_objects_is_the_smallest(seed, shape):
    rng = np.random.default_rng(seed)
    labels = discs(shape, rng)
    ids = [int(i) for i in np.unique(labels) if i][:3]
    mask = np.isin(labels, ids)
    box = box_of(labels, ids)
    assert mask[box].sum() == mask.sum()
    for axis in range(mask.ndim):
        faces = np.moveaxis(mask[box], axis, 0)
        assert faces[0].any()
        assert faces[-1].any()


def test_an_edit_of_a_slice_and_of_a_part_in_the_whole():
    volume = np.zeros((5, 20, 30), np.int32)
    volume[2] = squares()
    after = deleted(volume[2], (7,)).in_slice(2).applied(volume)
    assert not (after == 7).any()
    assert (after == 3).sum() == 100
    after = deleted(volume[1:, 3:, 5:], (3, 7)).shifted((1, 3, 5)).applied(volume)
    assert (after == 3).sum() == 30


def test_points_and_ids_beyond_what_there_is():
    labels = squares(dtype=np.uint8)
    assert id_at(labels, (4.4, 2.4)) == 3
    for point in ((-1, 3), (3, 30), (np.nan, 2)):
        with pytest.raises(EditError, match="outside the image, which has 20×30 pixels"):
            id_at(labels, point)
    assert pixels([(0.6, 1), (1, 1.2)], (4, 4)).tolist() == [[1, 1]]
    assert next_id(labels, None) == 8
    labels[0, 0] = 255
    with pytest.raises(EditError, match="1 to 255 in these labels"):
        next_id(labels, None)
    with pytest.raises(EditError, match="2147483648 is not one"):
        next_id(np.zeros(3, np.int32), 2**31)


def test_an_edit_that_changes_nothing_is_none():
    labels = squares()
    box = (slice(0, 5), slice(0, 5))
    with pytest.raises(EditError, match="so it is"):
        Edit.of(labels, box, labels[box].copy(), "so it is")
