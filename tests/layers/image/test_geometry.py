"""Where labels lie on images of all axes."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from napari.layers import Labels

from napari_unet.errors import UNetError
from napari_unet.layers.image import adapter
from napari_unet.layers.image.geometry import LayerGeometry


@pytest.mark.parametrize("at", [0, 1])
def test_channel_slider_is_covered_by_the_labels(at):
    axes = "CZYX" if at == 0 else "ZCYX"
    shape = [5, 8, 8]
    shape.insert(at, 4)
    scale = [3.0, 1.0, 1.0]
    scale.insert(at, 2.0)
    layer = ImageLayer(np.zeros(shape), scale=scale, translate=(1, 2, 3, 4))
    image = adapter.layer_image(layer, axes)
    labels = Labels(LayerGeometry(layer, image).empty_labels(), **LayerGeometry(layer, image).placement())
    assert labels.data.shape[at] == 1
    assert np.allclose(labels._extent_world_augmented, layer._extent_world_augmented)
    view = LayerGeometry(layer, image).canonical_labels(labels.data)
    assert view.shape == (1, 5, 8, 8)
    view[0, 2, 3, 4] = 7
    assert labels.data.max() == 7, "a view, not a copy"


def test_canonical_view_refuses_what_does_not_fit():
    layer = ImageLayer(np.zeros((3, 8, 8)), name="stack")
    image = adapter.layer_image(layer)
    with pytest.raises(UNetError, match="Press Segment"):
        LayerGeometry(layer, image).canonical_labels(np.zeros((3, 8, 7), int))


@pytest.mark.parametrize("axes", ["YX", "ZYX", "TZYX", "CYX", "ZCYX"])
def test_pixels_are_found_in_the_layer_whatever_its_axes(viewer, axes):
    shape = {"T": 2, "Z": 3, "C": 2, "Y": 20, "X": 30}
    layer = viewer.add_image(np.zeros([shape[letter] for letter in axes], np.uint8), name="image")
    image = adapter.layer_image(layer, axes)
    data = LayerGeometry(layer, image).empty_labels()
    canonical = LayerGeometry(layer, image).canonical_labels(data)
    frame, z = canonical.shape[0] - 1, canonical.shape[1] - 1
    region = slice(z, z + 1), slice(4, 9), slice(5, 11)
    block = np.arange(30).reshape(1, 5, 6)
    where = np.nonzero(block % 3)
    data[LayerGeometry(layer, image).layer_indices(frame, region, where)] = block[where]
    assert np.array_equal(canonical[(frame, *region)], block * (block % 3 > 0))
    assert data.sum() == block[where].sum()
