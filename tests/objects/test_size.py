"""How wide objects are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.objects.size import depths, diameters, typical_diameter


def disc(shape, radius, label):
    grid = np.indices(shape) - np.reshape([n // 2 for n in shape], (-1, *[1] * len(shape)))
    return np.where(np.sqrt((grid**2).sum(0)) <= radius, label, 0)


def test_that_of_a_disc():
    assert diameters(disc((60, 60), 20, 7)) == pytest.approx([40], rel=0.02)


def test_of_a_ball_its_widest_section():
    assert diameters(disc((31, 31, 31), 10, 3)) == pytest.approx([20], rel=0.05)


def test_the_median_of_all():
    labels = [disc((60, 60), 5, 1), disc((60, 60), 10, 1), disc((60, 60), 25, 9)]
    assert typical_diameter(labels) == pytest.approx(20, rel=0.05)


def test_too_few_to_tell():
    assert typical_diameter([np.zeros((5, 5), int)]) is None
    assert typical_diameter([]) is None
    assert typical_diameter([disc((60, 60), 5, 1)], least=2) is None


def test_depths_of_objects_in_a_volume() -> None:
    labels = np.zeros((9, 5, 5), np.int64)
    labels[2:5, 1, 1], labels[0, 3, 3], labels[1:3, 3, 1], labels[7, 3, 1] = 4, 2**40, 9, 9
    assert depths(labels).tolist() == [3, 7, 1]  # by id; an object in two pieces from the first to the last
    assert depths(np.zeros((2, 3, 3), int)).tolist() == []
