"""Untrained models that fit an image."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.axes import Image, PixelSize
from napari_unet.errors import LabelsError, ModelMismatchError, UNetError
from napari_unet.learning.new_model import FIELD_DIAMETERS, fitted_to_objects, model_for_image
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.nets.geometry import receptive_field


def image(shape=(32, 32), axes="YX", **fields):
    return Image(np.zeros(shape, np.uint8), axes, **fields)


def test_a_model_for_objects():
    model = model_for_image(image(), name="spots")
    info = model.info
    assert (info.name, info.task, info.outputs) == ("spots", "instances", ("foreground", "distance"))
    assert (info.spec.ndim, info.spec.in_channels, info.pixel_size) == (2, 1, None)
    assert info.is_from_scratch
    assert info.is_untrained
    assert not model.net.training
    assert model_for_image(image()).sha256() == model.sha256() != model_for_image(image(), seed=1).sha256()


def test_classes_are_painted_from_1_on():
    info = model_for_image(image(), "semantic", classes=("background", "membrane")).info
    assert info.classes == ("not painted", "background", "membrane")
    assert info.outputs == ("class_0", "class_1", "class_2")


@pytest.mark.parametrize("n", [0, 1, 64])
def test_numbers_of_classes_that_cannot_be(n):
    with pytest.raises(LabelsError, match=f"Name 2 to 63 classes, background among them; got {n}"):
        model_for_image(image(), "semantic", classes=[f"class {i}" for i in range(n)])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"task": "pixels"}, "The task of a model is 'pixels'; it must be 'instances' or 'semantic'."),
        ({"task": None}, "The task of a model is None; it must be 'instances' or 'semantic'."),
        ({"ndim": 4}, "The number of dimensions of a model is 4; it must be 2 or 3."),
        ({"name": " "}, "Names of a model and its classes have 1 to 120 letters."),
        ({"name": "x" * 121}, "Names of a model and its classes have 1 to 120 letters."),
        ({"task": "semantic", "classes": ("a", "")}, "Names of a model and its classes have 1 to 120 letters."),
    ],
)
def test_what_no_model_can_be_is_refused_in_words(wrong, told):
    with pytest.raises(UNetError) as refused:
        model_for_image(image(), **wrong)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("shape", "axes", "inputs", "channels"),
    [((8, 8, 3), "YXC", "colour", 3), ((4, 8, 8), "CYX", "channels", 1), ((2, 5, 8, 8), "TZYX", "channels", 1)],
)
def test_colour_is_taken_whole_and_of_channels_one(shape, axes, inputs, channels):
    info = model_for_image(image(shape, axes)).info
    assert (info.inputs, info.spec.in_channels) == (inputs, channels)


def test_pixel_size_is_the_images():
    size = PixelSize(z=2.0, y=0.5, x=0.5)
    stack = image((5, 8, 8), "ZYX", pixel_size=size)
    assert model_for_image(stack).info.pixel_size == (0.5, 0.5)
    assert model_for_image(stack, ndim=3).info.pixel_size == (2.0, 0.5, 0.5)
    flat = image((5, 8, 8), "ZYX", pixel_size=PixelSize(y=0.5, x=0.5))
    assert model_for_image(flat, ndim=3).info.pixel_size is None, "of which the depth is not known"


@pytest.mark.parametrize(
    ("deep", "pool_z"),
    [(0.5, (True, True, True)), (1.0, (False, True, True)), (2.0, (False, False, True)), (8.0, (False, False, False))],
)
def test_z_is_halved_once_slices_are_as_near_as_pixels(deep, pool_z):
    stack = image((5, 8, 8), "ZYX", pixel_size=PixelSize(z=deep, y=0.5, x=0.5))
    assert model_for_image(stack, ndim=3).info.spec.pool_z == pool_z
    assert fitted_to_objects(model_for_image(stack, ndim=3), 500).info.spec.pool_z[:3] == pool_z


def test_volumes_need_depth():
    with pytest.raises(ModelMismatchError, match=r"a\.tif has no Z axis"):
        model_for_image(image(name="a.tif"), ndim=3)


@pytest.mark.parametrize(("diameter", "levels"), [(5, 3), (50, 3), (80, 4), (200, 5), (2000, 5)])
def test_the_network_sees_a_whole_object(diameter, levels):
    model = fitted_to_objects(model_for_image(image()), diameter)
    assert model.info.spec.levels == levels
    assert model.net.spec == model.info.spec
    assert model.info.is_untrained
    assert levels == 5 or receptive_field(model.info.spec)[-1] >= FIELD_DIAMETERS * diameter


def test_a_file_remembers_that_it_is_untrained(tmp_path):
    save_model_file(model_for_image(image()), tmp_path / "untrained.safetensors")
    assert load_model_file(tmp_path / "untrained.safetensors").info.is_untrained
