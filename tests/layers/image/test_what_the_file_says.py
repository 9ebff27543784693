"""Layers that other readers have opened: their file tells what the axes mean; a scale that is absurd is not used."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image
from napari.layers._source import layer_source

from napari_unet.axes import PixelSize
from napari_unet.layers.image import adapter


def opened(path, data, **options):
    with layer_source(path=str(path), reader_plugin="another"):
        return Image(data, **options)


@pytest.mark.parametrize(("axes", "imagej"), [("TYX", True), ("ZYX", True), ("TYX", False), ("CYX", True)])
def test_the_axes_of_a_tiff_that_another_reader_opened(tmp_path, axes, imagej):
    data = np.zeros((3, 20, 30), np.uint8)
    path = tmp_path / ("a.tif" if imagej else "a.ome.tif")
    tifffile.imwrite(path, data, imagej=imagej, ome=not imagej, photometric="minisblack", metadata={"axes": axes})
    layer = opened(path, data)
    assert adapter.layer_axes(layer) == axes
    assert adapter.axes_choices(layer)[0] == axes
    assert adapter.layer_axes(opened(path, data[:2])) == "ZYX", "of another shape"


def test_the_axes_of_zarr_whose_channels_another_reader_made_layers(tmp_path):
    names = ("t", "c", "y", "x")
    zarr.create_array(tmp_path / "a.zarr", shape=(3, 2, 8, 9), dtype="u1", dimension_names=names, zarr_format=3)
    assert adapter.layer_axes(opened(tmp_path / "a.zarr", np.zeros((3, 8, 9)))) == "TYX"


def test_plain_stacks_and_files_that_are_not_read_here_stay_guessed(tmp_path):
    data = np.zeros((3, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", metadata=None)
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE")
    for name in ("a.tif", "a.czi", "gone.tif"):
        assert adapter.layer_axes(opened(tmp_path / name, data)) == "ZYX"


def test_a_scale_that_is_absurd_is_not_used_and_it_is_said(viewer, controller):
    viewer.add_image(np.zeros((64, 64), np.uint8), name="image", scale=(5, 5), units=("mm", "mm"))
    image = controller.image()
    assert image.pixel_size is None
    assert "5e+03 µm along Y is not used" in image.notes[0]
    assert "is not used" in controller.messages[-1].text
    viewer.add_image(np.zeros((64, 64), np.uint8), name="good", scale=(0.5, 0.5), units=("um", "um"))
    assert controller.image().pixel_size == PixelSize(0.5, 0.5)
    assert controller.messages[-1].text == "good: press Segment."


def test_an_absurd_size_is_refused_at_once_in_a_sentence(viewer, controller):
    viewer.add_image(np.zeros((64, 64), np.uint8), name="image", scale=(0.9, 0.9), units=("mm", "mm"))
    controller.history.amend(controller.model, controller.model)
    model = controller.model
    controller.use_model(type(model)(model.net, model.info.model_copy(update={"pixel_size": (0.1, 0.1)})))
    assert not controller.segment()
    assert controller.messages[-1].level == "error"
    assert "9,000 times larger" in controller.messages[-1].text
