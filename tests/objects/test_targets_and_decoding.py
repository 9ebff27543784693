"""Labels -> maps -> the same labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.errors import LabelsError
from napari_unet.evaluation.metrics import evaluate
from napari_unet.objects.decode import Decoding, decode_classes, decode_instances
from napari_unet.objects.targets import (
    border_weights,
    boundaries,
    known_maps,
    learned_maps,
    normalized_distance,
    pieces_of_classes,
    target_maps,
)

OUTPUTS = ("foreground", "boundary", "distance")


@pytest.mark.parametrize("seeds", ["distance", "boundary"])
@pytest.mark.parametrize("shape", [(120, 130), (30, 60, 60)])
def test_perfect_maps_give_the_objects_back(blobs, shape, seeds):
    _, labels = blobs(shape, n=25 if len(shape) == 2 else 5, radius=8)
    counts = np.bincount(labels.ravel())
    labels = np.where(counts[labels] < 40, 0, labels)  # slivers left over by a later disc
    maps = target_maps(labels, OUTPUTS).astype(np.float32)
    found = decode_instances(maps, OUTPUTS, Decoding(seeds=seeds, seed_threshold=0.5, min_size=0))
    assert evaluate(labels, found).ap["0.50"] > 0.9
    assert np.array_equal(found > 0, labels > 0)


def test_touching_objects_are_told_apart():
    labels = np.zeros((20, 40), int)
    labels[5:15, 5:20], labels[5:15, 20:35] = 1, 2
    maps = target_maps(labels, OUTPUTS).astype(np.float32)
    assert np.array_equal(decode_instances(maps, OUTPUTS, Decoding()), labels)


def two_balls(ndim: int, radius: int, apart: float, zoom: float = 1) -> np.ndarray:
    """Labels of two balls that run into each other, Z `zoom` times as coarse."""
    stretch = np.array([zoom if axis == 0 and ndim == 3 else 1 for axis in range(ndim)])
    middle = np.full(ndim, 2.0 * radius)
    ends = middle, middle + np.eye(ndim)[-1] * apart * radius
    shape = (np.ceil(ends[1] + 2 * radius) * stretch).astype(int)
    grid = np.moveaxis(np.indices(shape), 0, -1) / stretch
    depths = [np.linalg.norm(grid - end, axis=-1) for end in ends]
    return np.where(np.minimum(*depths) < radius, 1 + np.argmin(depths, axis=0), 0)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("radius", [9, 14])
def test_balls_that_run_into_each_other_are_parted_by_their_shape_whatever_their_size(ndim, radius):
    """A neck of two thirds of their width parts them, one of nine tenths does not; the other maps are not needed."""
    decoding = Decoding(seeds="shape", prominence=0.2, min_size=0)
    labels = two_balls(ndim, radius, apart=1.6)
    found = decode_instances((labels > 0)[None].astype(np.float32), ("foreground",), decoding)
    assert found.max() == 2
    assert evaluate(labels, found).ap["0.75"] == 1
    near = two_balls(ndim, radius, apart=0.8) > 0
    assert decode_instances(near[None].astype(np.float32), ("foreground",), decoding).max() == 1


def test_shape_goes_by_lengths_of_the_network_along_each_axis():
    labels = two_balls(3, 12, apart=1.6, zoom=0.34)
    decoding = Decoding(seeds="shape", prominence=0.2, min_size=0)
    found = decode_instances((labels > 0)[None].astype(np.float32), ("foreground",), decoding, zoom=(1, 0.34, 0.34))
    assert found.max() == 2
    assert evaluate(labels, found).ap["0.75"] == 1


def test_shape_of_a_foreground_without_a_background():
    found = decode_instances(np.ones((1, 9, 12), np.float32), ("foreground",), Decoding(seeds="shape"))
    assert np.array_equal(found, np.ones((9, 12)))


def test_distance_is_one_in_the_middle_of_every_object(blobs):
    _, labels = blobs((100, 100), n=12)
    distance = normalized_distance(labels)
    assert distance[labels == 0].max() == 0
    assert all(distance[labels == i].max() == 1 for i in np.unique(labels[labels > 0]))
    assert distance[labels > 0].min() > 0


def test_maps_are_known_only_where_they_follow_from_what_is_supervised():
    labels = np.zeros((20, 20), int)
    labels[2:8, 2:8], labels[12:18, 4:18] = 1, 2
    supervised = np.zeros(labels.shape, bool)
    supervised[0:20, 0:12] = True  # all of object 1 and what surrounds it, a part of object 2
    foreground, boundary, distance = known_maps(labels, supervised, OUTPUTS)
    assert np.array_equal(foreground, supervised)
    assert np.array_equal(boundary[:, :11], supervised[:, :11])
    assert not boundary[:, 11].any()
    assert distance[labels == 1].all()
    assert not distance[labels == 2].any()
    assert distance[0, 0]
    garbage = np.where(supervised, labels, 99)
    for maps in (target_maps(labels, OUTPUTS), known_maps(labels, supervised, OUTPUTS)):
        assert maps.shape == (3, 20, 20)
    known = known_maps(garbage, supervised, OUTPUTS)
    assert np.array_equal(known, np.stack([foreground, boundary, distance]))
    clean, other = target_maps(labels, OUTPUTS), target_maps(garbage, OUTPUTS)
    assert np.array_equal(clean[known], other[known])


def test_of_an_object_painted_in_one_slice_the_distance_is_that_within_it():
    labels = np.zeros((9, 20, 20), int)
    labels[2:7, 2:9, 2:9] = 1  # reviewed in slice 4, predicted in the others
    labels[4, 12:17, 12:17] = 2  # painted in that slice
    labels[4, 5:8, 17:] = 3  # goes on where nobody has looked
    supervised = np.zeros(labels.shape, bool)
    supervised[4, :, :18] = True
    targets, known = learned_maps(labels, supervised, OUTPUTS, in_slices=True)
    distance, there = targets[2], known[2]
    assert np.array_equal(known[:2], known_maps(labels, supervised, OUTPUTS)[:2])
    assert there[4][(labels[4] == 1) | (labels[4] == 2)].all()
    assert not there[4][labels[4] == 3].any()
    assert not there[[0, 1, 2, 3, 5, 6, 7, 8]].any()
    assert distance[4, 5, 5] == distance[4, 14, 14] == 1
    assert np.array_equal(distance[4, 2:9, 2:9], normalized_distance(labels[4]).astype(np.float16)[2:9, 2:9])
    garbage = learned_maps(np.where(supervised, labels, 99), supervised, OUTPUTS, in_slices=True)
    assert np.array_equal(garbage[1], known)
    assert np.array_equal(garbage[0][known], targets[known])


def test_all_of_a_volume_is_learned_as_it_is(blobs):
    _, labels = blobs((12, 40, 40), n=4)
    everything = np.ones(labels.shape, bool)
    targets, known = learned_maps(labels, everything, OUTPUTS, in_slices=True)
    assert np.array_equal(targets, target_maps(labels, OUTPUTS))
    assert known.all()


def test_the_border_of_the_image_is_no_outline():
    labels = np.zeros((20, 20), int)
    labels[:10] = 1
    distance = normalized_distance(labels)
    assert np.allclose(distance[0], 1)
    assert (np.diff(distance[:10], axis=0) <= 0).all()
    assert np.allclose(normalized_distance(np.ones((5, 5), int)), 1)


def test_boundaries_lie_on_both_sides():
    labels = np.zeros((1, 8), int)
    labels[0, 2:4], labels[0, 4:6] = 1, 2
    assert boundaries(labels).tolist() == [[False, True, True, True, True, True, True, False]]


def test_objects_without_a_middle_are_kept_and_small_ones_dropped():
    maps = np.zeros((2, 30, 30), np.float32)
    maps[0, 5:15, 5:15] = 0.9  # foreground with no peak in the distance map
    maps[0, 20:22, 20:22] = 0.9
    found = decode_instances(maps, ("foreground", "distance"), Decoding(min_size=10))
    assert found.max() == 1
    assert found[10, 10] == 1
    assert found[20, 20] == 0
    assert decode_instances(maps * 0, ("foreground", "distance"), Decoding()).max() == 0


def test_classes():
    labels = np.array([[0, 1], [2, 1]])
    maps = target_maps(labels, ("class_0", "class_1", "class_2"))
    assert np.array_equal(decode_classes(maps), labels)


def test_what_has_no_map_is_said():
    with pytest.raises(LabelsError, match="whole numbers"):
        target_maps(np.zeros((3, 3)), ("foreground",))
    with pytest.raises(LabelsError, match="nonsense.*foreground"):
        target_maps(np.zeros((3, 3), int), ("nonsense",))


def test_border_weights_are_those_of_the_paper(blobs):
    _, labels = blobs((70, 90), n=9)
    distances = np.sort([ndimage.distance_transform_edt(labels != i) for i in np.unique(labels[labels > 0])], axis=0)
    wanted = 10 * np.exp(-((distances[0] + distances[1]) ** 2) / 50)
    assert np.allclose(border_weights(labels), wanted, atol=0.01)


def test_one_object_has_no_seam():
    labels = np.zeros((30, 30), int)
    labels[10:20, 10:20] = 70_000
    assert not border_weights(labels).any()
    labels[10:20, 20:25] = 3
    weights = border_weights(labels, weight=4.0)
    assert weights[15, 20] == pytest.approx(4 * np.exp(-1 / 50))
    assert weights[15, 12] < weights[15, 18] < weights[15, 19]


def test_pieces_of_classes_hang_together_by_edges():
    classes = np.array([[1, 1, 0, 2], [0, 0, 1, 2], [1, 0, 1, 1]])
    assert pieces_of_classes(classes).tolist() == [[1, 1, 0, 2], [0, 0, 3, 2], [4, 0, 3, 3]]
