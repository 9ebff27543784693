"""Missing objects: suggested by the maps, as an outline, in a box."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_labels import discs, hangs_together, iou, maps_of, pair, seeds, shapes
from napari_unet.errors import EditError
from napari_unet.objects.adding import Suggestion, added, added_outline, suggested
from napari_unet.objects.maps import Maps


def whole(suggestion: Suggestion, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[suggestion.box] = suggestion.mask
    return mask


@pytest.mark.parametrize("dim", [1.0, 0.25])
def test_a_missing_object_is_suggested_beside_a_neighbour(dim):
    """A faint one too, which a threshold of one half does not find."""
    true, _ = pair()
    maps = maps_of(true)
    values = maps.values.copy()
    values[0][:, 37:] *= dim
    labels = np.where(true == 1, 1, 0).astype(np.int32)
    for point in ((20, 48), (13, 50), (25, 42)):
        found = suggested(Maps(values, maps.outputs), labels, point, 450)
        assert found is not None
        assert iou(whole(found, true.shape), true == 2) > 0.8
        assert not (whole(found, true.shape) & (labels > 0)).any()
    edit = added(labels, found.mask, 4, box=found.box)
    assert (edit.ids, edit.made) == ((), (4,))


@pytest.mark.parametrize("outputs", [("foreground", "distance"), ("foreground",)])
def test_of_two_missing_objects_one_is_suggested(outputs):
    true, _ = pair()
    maps = maps_of(true)
    maps = Maps(maps.values[: len(outputs)], outputs)
    found = suggested(maps, np.zeros_like(true), (20, 22), 800)
    assert iou(whole(found, true.shape), true == 1) > (0.85 if len(outputs) > 1 else 0.4)


def test_nothing_is_suggested_where_there_is_an_object_or_nothing():
    true, labels = pair()
    maps = maps_of(true)
    assert suggested(maps, labels, (20, 20), 500) is None
    assert suggested(maps, np.zeros_like(labels), (2, 76), 100) is None
    assert suggested(None, np.zeros_like(labels), (20, 20), 500) is None
    assert suggested(Maps(maps.values, ("a", "b", "c", "d")), np.zeros_like(labels), (20, 20), 500) is None
    assert suggested(maps, np.zeros_like(labels), (20, 20), 500, protected=true == 1) is None
    assert suggested(maps, np.zeros_like(labels), (20, 20), 500, min_size=10**4) is None
    with pytest.raises(EditError, match="outside the image"):
        suggested(maps, labels, (20, 200), 500)


def test_sensitivity_says_how_faint_an_object_may_be():
    true, _ = pair()
    maps = maps_of(true)
    faint = Maps(maps.values * 0.3, maps.outputs)
    nothing = np.zeros_like(true)
    assert suggested(faint, nothing, (20, 22), 800, sensitivity=0.6) is None
    assert suggested(faint, nothing, (20, 22), 800, sensitivity=0.8) is not None


@settings(max_examples=40)
@given(seeds, shapes, st.sampled_from([20, 100, 300, 3000]))
def test_suggestions_are_nested_in_one_piece_and_leave_all_else_alone(seed, shape, typical):
    rng = np.random.default_rng(seed)
    true = discs(shape, rng)
    labels = np.where(rng.random() < 0.5, true * (true % 2), 0).astype(np.int32)
    protected = rng.random(shape) < 0.02
    maps = maps_of(true, rng)
    point = rng.integers(0, shape)
    masks = [
        suggested(maps, labels, point, typical, grow=grow, protected=protected, min_size=1) for grow in range(-6, 9)
    ]
    assert len({mask is None for mask in masks}) == 1
    if masks[0] is None:
        return
    wholes = [whole(mask, shape) for mask in masks]
    for small, large in itertools.pairwise(wholes):
        assert not (small & ~large).any()
    for mask in wholes:
        assert hangs_together(mask)
        assert not (mask & (labels > 0)).any()
        assert not (mask & protected).any()
    # A basin of a few pixels, which noise makes, is one size only.
    assert wholes[-1].sum() > wholes[0].sum() or wholes[-1].sum() < 9


def test_steps_make_a_clear_object_smaller_and_larger():
    true, _ = pair()
    sizes = [suggested(maps_of(true), np.zeros_like(true), (20, 22), 800, grow=g).size for g in range(-4, 5)]
    assert all(b > a for a, b in itertools.pairwise(sizes))


def test_large_objects_are_sought_in_blocks():
    true, _ = pair(300)
    labels = np.zeros_like(true)
    found = suggested(maps_of(true), labels, (150, 160), float((true == 1).sum()))
    assert iou(whole(found, true.shape), true == 1) > 0.85


def test_a_stroke_on_background_is_a_new_object_and_eats_no_neighbour():
    _, labels = pair()
    stroke = np.zeros(labels.shape, bool)
    stroke[18:24, 50:75] = True
    edit = added(labels, stroke)
    after = edit.applied(labels)
    assert edit.made == (2,)
    assert np.array_equal(after[labels > 0], labels[labels > 0])
    assert hangs_together(after == 2)
    protected = np.zeros_like(stroke)
    protected[:, 66:] = True
    assert (added(labels, stroke, protected=protected).applied(labels) == 2).sum() < edit.changed(labels).sum()


def test_what_cannot_be_added():
    _, labels = pair()
    for mask, words in (
        (np.zeros(labels.shape, bool), "nothing to add"),
        (labels > 0, "already"),
        (np.arange(labels.size).reshape(labels.shape) < 5, "5 pixels is too small; the least is 12"),
    ):
        with pytest.raises(EditError, match=words):
            added(labels, mask)
    with pytest.raises(EditError, match="1 to 255"):
        added(labels.astype(np.uint8), ~(labels > 0), 256)


def test_an_outline_where_the_maps_know_nothing():
    _, labels = pair()
    after = added_outline(labels, [(0, 60), (0, 90), (30, 90), (30, 60)]).applied(labels)
    assert (after[2:29, 62:] == 2).all()
    for outline in ([(0, 0), (3, 3)], [(0, 0), (np.nan, 3), (2, 2)]):
        with pytest.raises(EditError, match="three points"):
            added_outline(labels, outline)
    with pytest.raises(EditError, match="outside the image"):
        added_outline(labels, [(-9, -9), (-9, -5), (-5, -9)])
