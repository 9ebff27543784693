"""Fields that lead to the middles of objects, and the objects that they lead to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.evaluation.metrics import evaluate
from napari_unet.objects.decode import Decoding, decode_instances
from napari_unet.objects.flows import FLOWS, displacements, flow_field, group_by_flow
from napari_unet.objects.targets import known_maps, target_maps

DECODING = Decoding(seeds="flows", smoothing=0, sink_radius=1, min_size=0)


def outputs(ndim):
    return ("foreground", *FLOWS[ndim])


def maps_of(labels):
    return target_maps(labels, outputs(labels.ndim)).astype(np.float32)


@pytest.mark.parametrize("shape", [(120, 130), (30, 60, 60)])
def test_perfect_maps_give_the_objects_back(blobs, shape):
    _, labels = blobs(shape, n=25 if len(shape) == 2 else 5, radius=8)
    counts = np.bincount(labels.ravel())
    labels = np.where(counts[labels] < 40, 0, labels)  # slivers left over by a later disc
    found = decode_instances(maps_of(labels), outputs(labels.ndim), DECODING)
    assert evaluate(labels, found).ap["0.90"] > 0.95


def test_vectors_are_of_length_one_and_lead_to_the_middle():
    labels = np.zeros((40, 50), int)
    labels[10:31, 10:41] = 7
    field = flow_field(labels)
    assert np.count_nonzero(abs(np.hypot(*field)[labels == 7] - 1) > 1e-3) <= 1  # the middle, where there is no way on
    assert not field[:, labels == 0].any()
    y, x = np.indices(labels.shape)
    inside = (labels == 7) & (np.hypot(y - 20, x - 25) > 2)
    towards = np.stack([20 - y, 25 - x])[:, inside]
    assert ((towards * field[:, inside]).sum(0) > 0).all()


def test_a_long_object_is_led_along_as_a_short_one_is():
    long = np.zeros((20, 400), int)
    long[5:15, 10:390] = 1
    field = flow_field(long)
    assert (field[1, 5:15, 20:150] > 0.3).all()
    assert (field[1, 5:15, 250:380] < -0.3).all()
    ends = np.argwhere(long).T + displacements(field, long > 0, doublings=9)
    assert np.ptp(ends[1]) < 12, "they come together, although the field is that of a smaller object"


def test_around_a_corner():
    labels = np.zeros((60, 60), int)
    labels[10:50, 10:18] = labels[42:50, 10:50] = 1
    found = group_by_flow(flow_field(labels), labels > 0)
    assert np.array_equal(found > 0, labels > 0)
    assert found.max() == 1


@pytest.mark.parametrize("shape", [(90, 100), (20, 50, 50)])
def test_a_part_gives_what_the_whole_gives(blobs, shape):
    _, labels = blobs(shape, n=14, radius=8)
    noise = np.random.default_rng(0).normal(0, 0.3, (len(shape), *shape))
    flows = (flow_field(labels) + noise).astype(np.float32)
    box = tuple(slice(n // 4, None) for n in shape)
    mask = labels > 0
    mask[tuple(slice(n // 4, n // 4 + 2) for n in shape)] = False
    alone = np.zeros(shape, bool)
    alone[box] = mask[box]  # nothing of it lies before the part
    whole, part = displacements(flows, alone), displacements(flows[(slice(None), *box)], alone[box])
    inside = np.zeros(shape, bool)
    middle = tuple(slice(n // 4 + 10, None) for n in shape)
    inside[middle] = True
    assert np.array_equal(whole[:, inside[alone]], part[:, inside[alone]])


def test_doubling_is_walking():
    """A few rounds come to the same as many steps, one after the other."""
    labels = np.zeros((60, 60), int)
    y, x = np.indices(labels.shape)
    labels[np.hypot(y - 30, (x - 30) * 1.5) < 24] = 1
    field, mask = flow_field(labels), labels > 0
    places = np.argwhere(mask).T.astype(float)
    for _ in range(64):
        places += [ndimage.map_coordinates(part, places, order=1) for part in field]
    assert np.abs(np.argwhere(mask).T + displacements(field, mask, 6) - places).max() < 2


def test_smoothing_carries_on_what_is_held_up():
    labels = np.zeros((60, 100), int)
    labels[10:50, 10:50], labels[10:50, 50:90] = 1, 2
    noise = np.random.default_rng(0).normal(0, 1.2, (2, *labels.shape))
    maps = maps_of(labels)
    maps[1:] += noise / 2
    rough, smooth = (
        decode_instances(maps, outputs(2), DECODING.model_copy(update={"smoothing": s, "sink_radius": 2}))
        for s in (0, 2)
    )
    assert rough.max() > 4
    assert smooth.max() == 2
    assert evaluate(labels, smooth).ap["0.90"] == 1


def test_flows_are_known_for_whole_objects_only():
    labels = np.zeros((20, 20), int)
    labels[2:8, 2:8], labels[12:18, 4:18] = 1, 2
    supervised = np.zeros(labels.shape, bool)
    supervised[:, :12] = True
    foreground, y, x = known_maps(labels, supervised, outputs(2))
    assert np.array_equal(y, x)
    assert np.array_equal(foreground, supervised)
    assert y[labels == 1].all()
    assert not y[labels == 2].any()
    clean, other = maps_of(labels), maps_of(np.where(supervised, labels, 99))
    assert np.array_equal(clean[1][y], other[1][y])


def test_at_another_scale_steps_are_as_long_for_the_network():
    """Maps brought back to twice the size, four times in Z, give the same objects, sixteen times as large."""
    labels = np.zeros((8, 24, 40), int)
    labels[1:7, 4:20, 4:20], labels[1:7, 4:20, 20:36] = 1, 2
    large = maps_of(labels).repeat(4, 1).repeat(2, 2).repeat(2, 3)
    found = decode_instances(large, outputs(3), DECODING, (0.25, 0.5, 0.5))
    expected = labels.repeat(4, 0).repeat(2, 1).repeat(2, 2)
    assert evaluate(expected, found).ap["0.90"] == 1


def test_nothing_and_one_pixel():
    empty = np.zeros((3, 10, 10), np.float32)
    assert not decode_instances(empty, outputs(2), DECODING).any()
    empty[:, 3, 4] = 1
    assert decode_instances(empty, outputs(2), DECODING).sum() == 1
    assert not flow_field(np.zeros((5, 5), int)).any()
    assert not flow_field(np.eye(3, dtype=int)[:1]).any()


def test_a_label_of_everything_takes_no_time():
    field = flow_field(np.full((700, 900), 2**31 - 1))
    assert (field[0, :200, 300:600] > 0).all()
    assert (field[1, 200:500, :200] > 0).all()
