"""Sliders: maps decoded anew, around what somebody has corrected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_labels import discs, maps_of, seeds, shapes
from napari_unet.errors import EditError
from napari_unet.objects.decode import Decoding, decode_instances
from napari_unet.objects.redecoding import Sliders, redecoded


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(seeds="flows", smoothing=2.0), Decoding(prominence=0.9)])
def test_sliders_that_stand_where_they_were_change_nothing(decoding):
    sliders = Sliders.of(decoding)
    assert sliders.applied(decoding) == decoding
    moved = Sliders(0.7, 0.25, 60).applied(decoding)
    assert moved.foreground == pytest.approx(0.3)
    assert moved.min_size == 60
    assert (moved.smoothing if decoding.seeds == "flows" else moved.prominence) in (3.0, 0.375)
    again = Sliders.of(moved)
    assert (again.sensitivity, again.separation, again.smallest) == pytest.approx((0.7, 0.25, 60))
    assert 0 < Sliders(1, 2, -3).applied(decoding).foreground < 1


@settings(max_examples=40)
@given(seeds, shapes, st.sampled_from([0.3, 0.5, 0.7]), st.integers(0, 60))
def test_protected_objects_stay_and_all_else_is_decoded(seed, shape, foreground, smallest):
    rng = np.random.default_rng(seed)
    true = discs(shape, rng)
    maps = maps_of(true, rng)
    labels = decode_instances(maps.values.astype(np.float32), maps.outputs, Decoding())
    labels[labels > 0] += 10
    protected = rng.random(shape) < 0.002
    whole = np.isin(labels, np.unique(labels[protected])) & (labels > 0) | protected
    decoding = Decoding(foreground=foreground, min_size=smallest)
    try:
        edit = redecoded(labels, maps, decoding, 1000, protected=protected)
    except EditError:
        return
    after = edit.applied(labels)
    assert np.array_equal(after[whole], labels[whole])
    assert all(label >= 1000 for label in edit.made)
    if not protected.any():
        fresh = decode_instances(maps.values.astype(np.float32), maps.outputs, decoding)
        assert np.array_equal(after > 0, fresh > 0)
        pairs = np.unique(np.stack([after.ravel(), fresh.ravel()]), axis=1)
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_an_object_keeps_its_id():
    rng = np.random.default_rng(3)
    true = discs((40, 44), rng)
    maps = maps_of(true)
    labels = decode_instances(maps.values.astype(np.float32), maps.outputs, Decoding()) * 3
    after = redecoded(labels, maps, Decoding(foreground=0.4)).applied(labels)
    assert set(np.unique(labels)) <= set(np.unique(after))


@given(seeds)
def test_objects_that_reach_out_of_the_region_stay(seed):
    rng = np.random.default_rng(seed)
    true = discs((48, 50), rng, 8)
    maps = maps_of(true, rng)
    labels = decode_instances(maps.values.astype(np.float32), maps.outputs, Decoding())
    region = (slice(0, 30), slice(12, 40))
    try:
        after = redecoded(labels, maps.within(region), Decoding(foreground=0.3), region=region).applied(labels)
    except EditError:
        return
    outside = np.ones(labels.shape, bool)
    outside[region] = False
    reaching = np.isin(labels, np.unique(labels[outside])) & (labels > 0)
    assert np.array_equal(after[outside | reaching], labels[outside | reaching])
