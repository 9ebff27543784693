"""Objects that are drawn in a volume are known as a whole, above their first slice and below their last one, too."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.split import split_annotations
from napari_unet.learning.whole_objects import ends_along_z
from napari_unet.objects.targets import normalized_distance


def ball(shape=(17, 24, 24), radius=5):
    middle = [n // 2 for n in shape]
    grid = np.indices(shape)
    return sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True)) < radius**2


def columns(*runs, n=9):
    """Labels (n, 1, 1) of objects 1, 2, ... that are in some slices each."""
    labels = np.zeros((n, 1, 1), np.int32)
    for label, run in enumerate(runs, start=1):
        labels[list(run)] = label
    return labels


@pytest.mark.parametrize(
    ("labels", "supervised", "thickness", "ends"),
    [
        (columns(range(2, 5)), range(2, 5), 1, {1, 5}),
        (columns(range(2, 5)), range(2, 5), 2, {0, 1, 5, 6}),
        (columns(range(3)), range(3), 1, {3}),
        (columns(range(2, 5), range(5, 9)), range(2, 5), 1, {1, 5}),  # another object begins there
        (columns(range(2, 5)), range(2, 4), 1, set()),  # not corrected in all of its slices
        (columns(range(2, 4)), range(2, 4), 1, set()),  # the beginning of an object
        (columns((2, 4, 6)), (2, 4, 6), 1, set()),  # nothing is said of the slices between
        (columns(), range(9), 1, set()),
    ],
)
def test_where_an_object_ends(labels, supervised, thickness, ends):
    mask = np.zeros(labels.shape, bool)
    mask[list(supervised)] = True
    assert set(np.flatnonzero(ends_along_z(labels, mask, thickness)).tolist()) == ends


def learned(labels, predicted, model):
    corrections = Corrections((1, *labels.shape))
    corrections.prediction[0], corrections.seen[:] = predicted, True
    corrections.update(labels[None])
    image = Image(labels.astype(np.float32), "ZYX")
    (sample,) = split_annotations(model, annotated_crops(image, labels[None], corrections, model)).samples
    return sample


def test_the_distance_of_a_drawn_object_is_that_in_the_volume(tiny_model):
    labels = ball().astype(np.int32)
    model = tiny_model(ndim=3)
    sample = learned(labels, np.zeros_like(labels), model)
    inside = labels > 0
    assert sample.supervised[1][inside].all()
    np.testing.assert_allclose(sample.targets[1][inside], normalized_distance(labels)[inside], atol=1e-3)
    above = inside.any(axis=(1, 2)).argmax() - 1, 12, 12
    assert sample.supervised[0][above], "there is background"
    assert sample.targets[0][above] == 0


def test_of_an_object_that_is_drawn_in_one_slice_nothing_is_known_above(tiny_model):
    labels = ball().astype(np.int32)
    drawn = np.where(np.arange(17)[:, None, None] == 8, labels, 0)
    sample = learned(drawn, np.zeros_like(drawn), tiny_model(ndim=3))
    assert not sample.supervised[0][[7, 9]].any()
