"""Outlines as a shapes layer: where they lie, which objects they are of, and when there are too many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Shapes
from skimage.draw import polygon2mask

from hand_made import squares
from napari_unet.layers.measuring import outline_shapes


@pytest.fixture
def segmented(controller: Any, viewer: Any) -> Any:
    viewer.add_image(200 * squares(), name="cells", scale=(0.5, 0.5), translate=(3, 4), units="um")
    assert controller.segment()
    return controller


def shapes_of(viewer: Any) -> Any:
    return [layer for layer in viewer.layers if isinstance(layer, Shapes)][-1]


def test_all_objects(segmented: Any, viewer: Any) -> None:
    assert segmented.outline_shapes()
    layer, labels = shapes_of(viewer), segmented.session.labels[0, 0]
    assert layer.name == "cells outlines"
    assert layer.features["label"].tolist() == [1, 2, 3]
    assert set(layer.shape_type) == {"polygon"}
    for corners, label in zip(layer.data, layer.features["label"], strict=True):
        drawn = polygon2mask(labels.shape, corners)
        assert np.array_equal(drawn, labels == label), "squares are drawn exactly"
    image = segmented.session.layer
    assert np.allclose(layer.scale, image.scale)
    assert np.allclose(layer.translate, image.translate)
    assert layer.units == image.units
    assert segmented.messages[-1].text == "Added 3 outlines as a shapes layer."
    assert segmented.layer is image, "the image is still what is worked on"


def test_selected_objects(segmented: Any, viewer: Any) -> None:
    assert not segmented.outline_shapes(selected=True)
    assert "No object is selected" in segmented.messages[-1].text
    segmented.results.measure()
    segmented.results.mark(segmented.results.table["label"] == 2)
    assert segmented.outline_shapes(selected=True)
    assert shapes_of(viewer).features["label"].tolist() == [2]


def test_objects_selected_in_the_table(segmented: Any, viewer: Any) -> None:
    segmented.object_table.watch(True)
    segmented.object_table.select([(0, 3)])
    assert segmented.outline_shapes(selected=True)
    assert shapes_of(viewer).features["label"].tolist() == [3]


def test_holes_and_parts(segmented: Any, viewer: Any) -> None:
    layer = segmented.session.labels_layer
    y, x = np.nonzero(segmented.session.labels[0, 0] == 1)
    middle = (y == int(y.mean())) & (x == int(x.mean()))
    layer.data_setitem((y[middle], x[middle]), 0)
    layer.data_setitem((np.array([60, 60, 61, 61]), np.array([60, 61, 60, 61])), 1)
    segmented.outline_shapes()
    assert sorted(shapes_of(viewer).features["label"].tolist()) == [1, 1, 2, 3]
    assert "Holes are not drawn" in segmented.messages[-1].details


def test_too_many_are_refused_in_words(segmented: Any, viewer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(outline_shapes, "MAX_OUTLINES", 2)
    segmented.outline_shapes()
    assert segmented.messages[-1].level == "error"
    assert segmented.messages[-1].text.startswith("These are 3 outlines; a shapes layer takes 2.")
    assert not [layer for layer in viewer.layers if isinstance(layer, Shapes)]
    segmented.results.measure()
    segmented.results.mark(segmented.results.table["label"] == 2)
    assert segmented.outline_shapes(selected=True), "one of them is not too many"


def test_nothing_to_outline(controller: Any, viewer: Any) -> None:
    assert not controller.outline_shapes()
    assert "Press Segment first" in controller.messages[-1].text
    viewer.add_image(np.zeros((32, 32), np.uint8), name="dark")
    controller.segment()
    controller.outline_shapes()
    assert controller.messages[-1].text == "There are no objects to outline."


def test_in_a_time_series_each_lies_in_its_frame(controller: Any, viewer: Any) -> None:
    movie = np.stack([200 * squares(), np.zeros((64, 64)), 200 * squares()]).astype(np.uint8)
    viewer.add_image(movie, name="movie")
    controller.set_axes("TYX")
    assert controller.segment("stack")
    controller.outline_shapes()
    layer = shapes_of(viewer)
    assert layer.ndim == 3
    frames = [int(corners[0, 0]) for corners in layer.data]
    assert sorted(frames) == [0, 0, 0, 2, 2, 2]
    labels = controller.session.labels[:, 0]
    for corners, label in zip(layer.data, layer.features["label"], strict=True):
        assert (np.unique(corners[:, 0]) % 1 == 0).all()
        assert np.array_equal(polygon2mask((64, 64), corners[:, 1:]), labels[int(corners[0, 0])] == label)


def test_it_can_be_stopped(later: Any, viewer: Any) -> None:
    viewer.add_image(200 * squares(), name="cells")
    later.segment()
    later.runner.finish()
    later.outline_shapes()
    later.runner.step()
    later.shapes.stop()
    later.runner.finish()
    assert later.messages[-1].text == "Stopped. No layer was added."
    assert not [layer for layer in viewer.layers if isinstance(layer, Shapes)]
