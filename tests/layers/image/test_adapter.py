"""Axes, pixel size and pixels of image layers, as the core sees them."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from napari.layers import Labels

from napari_unet.axes import PixelSize
from napari_unet.errors import ImageError
from napari_unet.layers.image import adapter


@pytest.mark.parametrize(
    ("shape", "options", "axes"),
    [
        ((8, 8), {}, "YX"),
        ((3, 8, 8), {}, "ZYX"),
        ((2, 3, 8, 8), {}, "TZYX"),
        ((2, 2, 3, 8, 8), {}, "TCZYX"),
        ((8, 8, 3), {"rgb": True}, "YXC"),
        ((5, 8, 8, 3), {"rgb": True}, "ZYXC"),
        ((3, 8, 8), {"axis_labels": ("t", "y", "x")}, "TYX"),
        ((3, 8, 8), {"axis_labels": ("c", "y", "x")}, "CYX"),
        ((8, 8, 3), {"axis_labels": ("y", "x", "z")}, "YXZ"),
        ((5, 8, 8, 3), {"rgb": True, "axis_labels": ("t", "y", "x")}, "TYXC"),
        ((3, 8, 8), {"axis_labels": ("plane", "row", "column")}, "ZYX"),
        ((3, 8, 8), {"metadata": {"napari_unet": {"axes": "TYX"}}}, "TYX"),
        ((3, 8, 8), {"metadata": {"napari_unet": {"axes": "TYX"}}, "axis_labels": ("z", "y", "x")}, "TYX"),
        ((3, 8, 8), {"metadata": {"napari_unet": {"axes": "CTZYX"}}}, "ZYX"),
        ((3, 8, 8), {"metadata": {"napari_unet": {}}}, "ZYX"),
    ],
)
def test_axes(shape, options, axes):
    layer = ImageLayer(np.zeros(shape, np.uint8), **options)
    assert adapter.layer_axes(layer) == axes
    assert adapter.axes_choices(layer)[0] == axes
    assert all(len(choice) == len(shape) for choice in adapter.axes_choices(layer))


def test_axes_of_too_many_dimensions():
    layer = ImageLayer(np.zeros((1, 1, 1, 1, 4, 4), np.uint8), name="deep")
    with pytest.raises(ImageError, match=r"got 6 axes .* Split Stack"):
        adapter.layer_axes(layer)


@pytest.mark.parametrize(
    ("scale", "units", "size"),
    [
        ((0.5, 0.25), "um", PixelSize(0.5, 0.25)),
        ((0.5, 0.25), "µm", PixelSize(0.5, 0.25)),
        ((500, 250), "nm", PixelSize(0.5, 0.25)),
        ((2e-3, 1e-3), "mm", PixelSize(2, 1)),
        ((0.5, 0.25), "pixel", None),
        ((0.5, 0.25), None, None),
        ((0.5, 250), ("um", "nm"), PixelSize(0.5, 0.25)),
        ((3, 0.5, 0.25), "um", PixelSize(0.5, 0.25, 3)),
        ((3, 0.5, 0.25), ("pixel", "um", "um"), PixelSize(0.5, 0.25)),
        ((3, 0.5, 0.25), ("s", "um", "um"), PixelSize(0.5, 0.25)),
    ],
)
def test_pixel_size(scale, units, size):
    layer = ImageLayer(np.zeros((4,) * len(scale)), scale=scale, units=units)
    found = adapter.layer_pixel_size(layer, "ZYX"[-len(scale) :])
    assert found is None if size is None else found is not None
    if found is not None:
        assert (found.y, found.x) == pytest.approx((size.y, size.x))
        assert found.z == (None if size.z is None else pytest.approx(size.z))


def test_alpha_is_no_colour():
    layer = ImageLayer(np.zeros((8, 8, 4), np.uint8), rgb=True)
    image = adapter.layer_image(layer)
    assert image.data.shape == (8, 8, 3)
    assert image.is_colour


def test_lazy_image_stays_lazy():
    layer = ImageLayer(da.zeros((4, 64, 64), chunks=(1, 64, 64)), contrast_limits=(0, 1))
    assert isinstance(adapter.layer_image(layer).data, da.Array)


def test_what_is_an_image():
    assert adapter.is_image_layer(ImageLayer(np.zeros((4, 4))))
    labels = Labels(np.zeros((4, 4), int), name="masks")
    assert not adapter.is_image_layer(labels)
    with pytest.raises(ImageError, match="Convert to Image"):
        adapter.layer_image(labels)
