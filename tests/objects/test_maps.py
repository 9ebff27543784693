"""Maps by name, and what they say about borders between objects."""

from __future__ import annotations

import numpy as np

from made_labels import maps_of, pair
from napari_unet.objects.maps import Maps, crossing_cost


def test_borders_cost_more_than_middles():
    true, labels = pair()
    maps = maps_of(true)
    cost = crossing_cost(maps, labels > 0)
    border = cost[20, 34:42].max()
    assert border > 20 * cost[20, 22]
    assert border > 20 * cost[20, 48]
    of_shape = crossing_cost(None, labels > 0)
    assert of_shape[20, 7] > of_shape[20, 22]


def test_maps_that_were_made_smaller_and_brought_back_say_the_same():
    """The flow field of a large object, made at half the scale, parts on as many pixels of the network."""
    true, labels = pair()
    small = maps_of(true)
    values = small.values.repeat(2, 1).repeat(2, 2)
    large = Maps(values, small.outputs, (0.5, 0.5))
    wide = crossing_cost(large, labels.repeat(2, 0).repeat(2, 1) > 0)[::2, ::2]
    narrow = crossing_cost(small, labels > 0)
    inside = labels > 0
    assert np.corrcoef(np.log(wide[inside]), np.log(narrow[inside]))[0, 1] > 0.9
    assert 0.5 < wide[20, 34:42].max() / narrow[20, 34:42].max() < 2
    assert large.in_pixels(3) == (6, 6)
    assert small.in_pixels(3) == (3, 3)


def test_parts_of_maps_on_any_medium():
    """What is kept on disk in 16 bits is read where it is needed."""
    true, _ = pair()
    maps = maps_of(true)
    box = (slice(3, 20), slice(10, 30))
    part = maps.within(box)
    assert part.values.dtype == np.float32
    assert np.array_equal(part.named("distance"), maps.values[1][box].astype(np.float32))
    assert part.named("boundary") is None
    volume = Maps(np.stack([maps.values] * 3, axis=1), maps.outputs, (1.0, 0.5, 0.5))
    assert np.array_equal(volume.plane(1).values, maps.values)
    assert volume.plane(1).zoom == (0.5, 0.5)
    assert volume.divergence().shape == (3, *true.shape)
    assert Maps(maps.values[:2], ("class_0", "class_1")).middles() is None
