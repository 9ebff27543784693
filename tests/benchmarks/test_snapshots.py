"""Stops are sorted by how far snapshots disagree in them."""

from __future__ import annotations

import numpy as np

from napari_unet.axes import Image
from napari_unet.guidance.suspects import Suspects
from napari_unet.objects.maps import Maps
from napari_unet_benchmarks.fields import Field
from napari_unet_benchmarks.snapshots import disagreement, orders, shown_by
from napari_unet_benchmarks.walk import Shown


def four_objects():
    labels = np.zeros((40, 160), np.int32)
    for one in range(4):
        labels[10:20, 40 * one + 5 : 40 * one + 15] = one + 1
    return labels


def test_the_object_that_snapshots_disagree_on_comes_first():
    labels = four_objects()
    foreground = np.where(labels > 0, 0.9, 0.1).astype(np.float32)
    image = Shown(labels, labels, Maps(np.stack([foreground, foreground]), ("foreground", "distance"), ()))
    spread = np.where(labels == 3, 0.4, 0.1).astype(np.float32)
    found = orders(image, spread, seed=0)
    assert found["snapshots"][0][0][0] == 3
    assert {one for one, _, _ in found["snapshots"][0]} == {one for one, _, _ in found["walk"][0]}
    assert len(found["random"]) > 1


def test_where_one_may_be_missing_the_box_tells():
    labels = four_objects()
    spread = np.zeros(labels.shape, np.float32)
    spread[30:35, 30:40] = 0.3
    spread[labels == 2] = 0.2
    boxes = np.array([[30, 30, 35, 40], [10, 45, 20, 55]])
    found = Suspects(np.array([0, 2]), boxes[:, :2], boxes, np.array([0.6, 0.5]), np.zeros(2, int))
    np.testing.assert_allclose(disagreement(found, labels, spread), [0.3, 0.2], rtol=1e-6)


def test_models_that_are_the_same_do_not_disagree(blobs, model, bright_model):
    image, labels = blobs((64, 64), n=4)
    field = Field(Image(image, "YX"), labels.astype(np.int32))
    _, same = shown_by([model, model], field)
    _, other = shown_by([bright_model(), model], field)
    assert same.max() == 0 < other.max()
