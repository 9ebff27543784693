"""Image + model -> labels: axes, time, depth, channels, scale, odd pixels, and how it is told and stopped.

`bright_model` finds the bright pieces of an image, so that every result here is known beforehand.
"""

from __future__ import annotations

import itertools
from contextlib import suppress

import dask.array as da
import numpy as np
import pytest
import torch
import zarr
from scipy import ndimage

from napari_unet.axes import Image, PixelSize
from napari_unet.errors import Cancelled, DeviceError, ImageError, ModelFileError, ModelMismatchError, UNetError
from napari_unet.inference.in_memory import segment
from napari_unet.inference.steps import PREVIEW_WIDTH, Finished, SubimageDone, TileDone, segment_steps
from napari_unet.inference.task import Subimage, as_image, make_task
from napari_unet.inference.tile_runner import sample_pixels
from napari_unet.models.normalize import measure, normalize
from napari_unet.progress import CancelToken
from napari_unet.tiling.engine import Engine, Predictor, run_plan
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource


def squares(shape=(48, 60), places=((5, 5), (5, 30), (25, 12)), size=9, bright=200.0, ground=20.0):
    """An image (Y, X) of bright squares."""
    image = np.full(shape, ground, np.float32)
    for y, x in places:
        image[y : y + size, x : x + size] = bright
    return image


def same_objects(a, b):
    """Whether two label images show the same objects, whatever their ids."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1] and {0} == set(pairs[:, 0])


def found(image, model, **options):
    return segment(image, model, device="cpu", **options)


# -- axes --------------------------------------------------------------------------------------------------------------


def test_a_plane(bright_model):
    image = squares()
    result = found(image, bright_model(), keep_maps=True)
    wanted, n = ndimage.label(image > 100)
    assert np.array_equal(result.labels, wanted)
    assert result.labels.dtype == np.int32
    assert result.n_objects == n == 3
    assert result.axes == "YX"
    assert result.device == "cpu"
    assert result.seconds > 0
    assert result.maps.shape == (2, 1, 1, 48, 60)
    assert np.array_equal(result.maps[0, 0, 0] > 0.5, image > 100)
    assert found(image, bright_model()).maps is None


def test_the_order_of_the_axes_does_not_matter(bright_model):
    """The same pixels in every order give the same labels in that order."""
    model = bright_model()
    full = np.stack([np.stack([squares(places=((4, 4 + 9 * t), (25, 12 + z))) for z in range(3)]) for t in range(2)])
    wanted = found(full, model, axes="TZYX").labels
    assert len(np.unique(wanted)) == 5
    for axes in ("ZTYX", "TZXY", "XYZT", "YXTZ", "YTXZ"):
        data = full.transpose(["TZYX".index(letter) for letter in axes])
        result = found(data, model, axes=axes)
        assert result.axes == axes
        assert result.labels.shape == data.shape
        back = result.labels.transpose([axes.index(letter) for letter in "TZYX"])
        assert np.array_equal(back, wanted)


def test_channels_are_dropped_from_the_labels(bright_model):
    image = np.stack([squares(), squares(places=((20, 40),))])
    model = bright_model()
    for axes, data in (("CYX", image), ("YXC", image.transpose(1, 2, 0)), ("YCX", image.transpose(1, 0, 2))):
        first, second = found(data, model, axes=axes), found(data, model, axes=axes, channel=1)
        assert first.axes == second.axes == "YX"
        assert first.labels.shape == (48, 60)
        assert np.array_equal(first.labels > 0, image[0] > 100)
        assert np.array_equal(second.labels > 0, image[1] > 100)
    stack = np.stack([image, image], axis=1)  # C Z Y X
    assert found(stack, model, axes="CZYX", channel=1).labels.shape == (2, 48, 60)


def test_small_letters_and_samples_are_understood(bright_model):
    rgb = np.repeat(squares()[..., None], 3, axis=-1)
    assert found(rgb, bright_model(), axes="yxs").n_objects == 3


# -- time and depth ----------------------------------------------------------------------------------------------------


def test_ids_are_unique_over_time(bright_model):
    frames = np.stack([squares(), squares(), squares(places=((20, 20),))])
    result = found(frames, bright_model(), axes="TYX")
    ids = [set(np.unique(frame)) - {0} for frame in result.labels]
    assert [len(i) for i in ids] == [3, 3, 1]
    assert len(set.union(*ids)) == result.n_objects == 7
    assert set.union(*ids) == set(range(1, 8))


def test_slices_are_stitched_in_depth(bright_model):
    """An object that moves a little keeps its id; one that begins or comes back elsewhere has its own."""
    stack = np.stack([squares(places=places) for places in (
        ((5, 5), (25, 30)), ((6, 6), (25, 30), (5, 40)), ((7, 7), (5, 40)), ((8, 8), (25, 30)),
    )])  # fmt: skip
    result = found(stack, bright_model(), axes="ZYX")
    at = result.labels
    assert len({int(at[z, 9 + z, 9 + z]) for z in range(4)}) == 1
    assert at[0, 29, 34] == at[1, 29, 34] != at[3, 29, 34] > 0
    assert at[1, 9, 44] == at[2, 9, 44]
    assert result.n_objects == len(np.unique(at)) - 1 == 4


def test_ids_are_unique_over_time_and_kept_in_depth(bright_model):
    stack = np.stack([np.stack([squares()] * 3)] * 2)
    result = found(stack, bright_model())
    assert result.axes == "TZYX"
    for frame in result.labels:
        assert all(np.array_equal(plane, frame[0]) for plane in frame)
    assert not set(np.unique(result.labels[0])) & set(np.unique(result.labels[1])) - {0}
    assert result.n_objects == 6


def test_a_3d_model_takes_volumes(bright_model):
    model = bright_model(ndim=3, pool_z=(False,))
    volume = np.full((6, 40, 44), 10, np.uint8)
    volume[1:3, 5:15, 5:15] = volume[4:6, 5:15, 5:15] = volume[1:5, 25:35, 25:35] = 200
    result = found(volume, model, keep_maps=True)
    assert result.n_objects == 3
    assert np.array_equal(result.labels > 0, volume > 100)
    assert result.maps.shape == (2, 1, 6, 40, 44)
    twice = found(np.stack([volume, volume]), model)
    assert twice.n_objects == 6
    assert np.array_equal(twice.labels[1] > 0, volume > 100)
    with pytest.raises(ModelMismatchError, match="is for volumes; image has no Z axis"):
        found(volume[0], model)


# -- channels and models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [-1, 2, 99])
def test_a_channel_that_is_not_there_is_told(bright_model, channel):
    with pytest.raises(ImageError, match=rf"no channel {channel}; it has the channels 0 to 1"):
        found(np.zeros((2, 20, 20), np.uint8), bright_model(), axes="CYX", channel=channel)


@pytest.mark.parametrize("mode", ["quick", "Exact", None, 3])
def test_a_mode_that_is_none_is_told(bright_model, mode):
    with pytest.raises(UNetError, match="The mode is .*; it must be 'auto', 'exact' or 'fast'"):
        segment(squares(), bright_model(), mode=mode, device="cpu")


def test_a_device_of_torch_is_a_device(bright_model):
    assert segment(squares(), bright_model(), device=torch.device("cpu")).n_objects == 3


def test_a_model_of_two_channels_takes_two(bright_model):
    model = bright_model(in_channels=2)
    image = np.stack([squares(), squares()])
    assert found(image, model, axes="CYX").n_objects == 3
    for axes, data in (("YX", image[0]), ("CYX", np.concatenate([image, image]))):
        with pytest.raises(ModelMismatchError, match="takes 2 channels"):
            found(data, model, axes=axes)
    with pytest.raises(ModelMismatchError, match="takes 2 channels"):
        found(image, model, axes="CYX", channel=0)


def test_a_colour_model_takes_grey_and_colour(bright_model):
    model = bright_model(in_channels=3, info={"inputs": "colour"})
    grey = squares()
    wanted = found(grey, model).labels
    assert wanted.max() == 3
    assert np.array_equal(found(np.repeat(grey[..., None], 3, -1), model, axes="YXC").labels, wanted)
    two = np.stack([grey, squares(places=((20, 20),))])
    assert np.array_equal(found(two, model, axes="CYX").labels, wanted)
    assert found(two, model, axes="CYX", channel=1).n_objects == 1


def test_a_semantic_model_gives_classes(bright_model):
    """Three outputs that grow with brightness by different slopes: dark, middle and bright."""
    outputs = {"task": "semantic", "outputs": ("class_0", "class_1", "class_2")}
    model = bright_model(out_channels=3, info=outputs)
    for index, (slope, bias) in enumerate(((0.0, 0.0), (20.0, -5.0), (40.0, -20.0))):
        model.net.head.weight[index, 0] = slope
        model.net.head.bias[index] = bias
    image = np.zeros((30, 30), np.float32)
    image[:, 10:20], image[:, 20:] = 0.5, 1.0
    result = found(np.stack([image, image.T]), model, keep_maps=True, axes="ZYX")
    assert np.array_equal(result.labels[0], (2 * image).astype(int))
    assert np.array_equal(result.labels[1], (2 * image.T).astype(int))
    assert result.n_objects == 2
    assert np.allclose(result.maps.sum(axis=0), 1, atol=1e-5)


# -- scale -------------------------------------------------------------------------------------------------------------


def test_an_image_of_another_pixel_size_is_rescaled(bright_model):
    model = bright_model(info={"pixel_size": (0.5, 0.5)})
    image = squares((40, 64), places=((4, 4), (20, 40)), size=12)
    plain = found(image, model)
    assert plain.task.plan.shape == (40, 64)
    finer = found(image, model, pixel_size=(0.25, 0.25), keep_maps=True)
    assert finer.task.plan.shape == (20, 32)
    assert finer.labels.shape == (40, 64)
    assert finer.maps.shape == (2, 1, 1, 40, 64)
    assert finer.n_objects == 2
    overlap = (finer.labels > 0) & (image > 100)
    assert overlap.sum() / ((finer.labels > 0) | (image > 100)).sum() > 0.8
    coarser = found(image, model, pixel_size=PixelSize(y=1.0, x=0.5))
    assert coarser.task.plan.shape == (80, 64)
    assert coarser.labels.shape == (40, 64)
    assert coarser.n_objects == 2


def test_about_the_same_pixel_size_is_left_alone(bright_model):
    model = bright_model(info={"pixel_size": (0.5, 0.5)})
    assert found(squares(), model, pixel_size=(0.45, 0.55)).task.zoom == (1.0, 1.0)
    assert found(squares(), model, pixel_size=(0.3, 0.5)).task.zoom != (1.0, 1.0)


def test_what_is_too_small_to_be_an_object_is_so_for_the_network(bright_model):
    """An object of 9 x 9 pixels that is seen at half its size has about 20 of them left."""
    for least, expected in ((12, 3), (30, 0)):
        model = bright_model(info={"pixel_size": (1.0, 1.0), "decoding": {"min_size": least}})
        assert found(squares(), model, pixel_size=[0.5]).n_objects == expected


def test_an_object_diameter_sets_the_scale(bright_model):
    model = bright_model(info={"diameter": 20})
    image = squares((40, 64), places=((4, 4), (20, 40)), size=12)
    assert found(image, model).task.zoom == (1.0, 1.0)
    result = found(image, model, diameter=40)
    assert result.task.zoom == (0.5, 0.5)
    assert result.task.plan.shape == (20, 32)
    assert result.labels.shape == (40, 64)
    assert result.n_objects == 2
    assert found(as_image(image), model, diameter=5).task.plan.shape == (160, 256)
    assert found(image, model, diameter=29).task.zoom == (1.0, 1.0)  # about the same


def test_tiles_of_a_rescaled_image_come_one_by_one(bright_model):
    image = np.tile(squares((60, 60)), (4, 4))
    task = make_task(as_image(image, diameter=40), bright_model(info={"diameter": 20}), tile=32)
    *tiles, whole = segment_steps(task, device="cpu")
    assert len(task.plan.tiles) > 4
    assert all(isinstance(event, TileDone) for event in tiles)
    shown = np.zeros((1, *image.shape), bool)
    for event in tiles:
        assert event.labels.shape == shown[event.region].shape
        shown[event.region] |= event.labels > 0
    found_at_last = whole.labels > 0
    assert (shown & ~found_at_last).mean() < 0.01
    assert (shown & found_at_last).sum() > 0.7 * found_at_last.sum()


@pytest.mark.parametrize("diameter", [40, 12])
def test_a_part_of_a_rescaled_image_is_that_of_the_whole(bright_model, diameter):
    image = as_image(np.tile(squares((60, 60)), (4, 4)), diameter=diameter)
    model, field = bright_model(info={"diameter": 20}), (slice(61, 130), slice(33, 111))
    (whole,) = (e for e in segment_steps(make_task(image, model), device="cpu") if isinstance(e, SubimageDone))
    task = make_task(image, model, field=field)
    assert np.prod(task.plan.extent) < 0.3 * np.prod(task.plan.shape)
    (part,) = (e for e in segment_steps(task, device="cpu") if isinstance(e, SubimageDone))
    assert part.labels.shape == part.maps.shape[1:] == whole.labels[part.region].shape
    assert all(p.start <= f.start and p.stop >= f.stop for p, f in zip(part.region[1:], field, strict=True))
    inner = np.s_[:, 4:-4, 4:-4]
    assert part.maps[0][inner] == pytest.approx(whole.maps[0][part.region][inner], abs=1e-5)


def test_a_large_rescaled_plane_is_shown_where_somebody_looks_first(bright_model):
    image = as_image(np.zeros((2200, 2200), np.uint8), diameter=10)
    task = make_task(image, bright_model(info={"diameter": 20}))
    first = next(iter(segment_steps(task, device="cpu", focus=lambda: (0, 0, 1000.0, 1000.0))))
    _, y, x = first.region
    assert y.start < 1000 < y.stop <= 1000 + PREVIEW_WIDTH
    assert x.start < 1000 < x.stop <= 1000 + PREVIEW_WIDTH


def test_an_object_diameter_goes_before_pixel_sizes(bright_model):
    image = squares()
    model = bright_model(info={"pixel_size": (0.5, 0.5), "diameter": 20})
    assert found(image, model, pixel_size=[1.0]).task.zoom == (2.0, 2.0)
    assert found(image, model, pixel_size=[1.0], diameter=40).task.zoom == (0.5, 0.5)


def test_a_model_knows_how_wide_objects_are_in_its_images(bright_model):
    model = bright_model(info={"pixel_size": (0.5, 0.5), "diameter": 20, "image_diameter": 60})
    assert found(squares(), model).task.zoom == pytest.approx((1 / 3, 1 / 3))
    assert found(squares(), model, diameter=40).task.zoom == (0.5, 0.5)
    assert found(squares(), model, pixel_size=[0.5]).task.zoom == (1.0, 1.0)


def test_a_diameter_keeps_the_proportions_of_voxels(bright_model):
    model = bright_model(ndim=3, info={"pixel_size": (1.0, 1.0, 1.0), "diameter": 10})
    volume = np.full((8, 40, 40), 10.0, np.float32)
    assert found(volume, model, diameter=20, pixel_size=(2.0, 1.0, 1.0)).task.zoom == pytest.approx((1.0, 0.5, 0.5))
    assert found(volume, model, diameter=20).task.zoom == (0.5, 0.5, 0.5)


def test_a_diameter_says_nothing_to_a_model_that_knows_none(bright_model):
    with pytest.raises(ModelMismatchError, match="does not know how wide"):
        found(squares(), bright_model(), diameter=20)


CLASSES = {"task": "semantic", "outputs": ("class_0", "class_1")}


@pytest.mark.parametrize(
    ("info", "settings", "how"),
    [
        ({}, {}, {}),
        (CLASSES, {}, {}),
        ({}, {"padding": "valid", "norm": "none"}, {}),
        ({"diameter": 20}, {}, {"diameter": 31}),
        ({}, {"ndim": 3}, {}),
    ],
    ids=["instances", "classes", "valid", "rescaled", "volume"],
)
def test_averaged_over_flips_tiled_equals_whole(tiny_model, info, settings, how):
    model = tiny_model(info=info, **settings)
    image = np.random.default_rng(0).random((5, 34, 30) if "ndim" in settings else (133, 90), np.float32)
    whole = found(image, model, flips=True, keep_maps=True, **how)
    tiled = found(image, model, flips=True, keep_maps=True, tile=16, mode="exact", **how)
    assert whole.task.n_tiles == 1
    assert tiled.task.n_tiles > 3
    assert np.abs(tiled.maps - whole.maps).max() < 1e-4
    assert (tiled.labels == whole.labels).mean() > 0.999
    assert np.abs(found(image, model, keep_maps=True, **how).maps - whole.maps).max() > 1e-3
    assert "averaged over 4 flips" in str(whole.task)


@pytest.mark.parametrize("diameter", [0, -3.0, 0.01, 1e9, True, float("nan"), float("inf")])
def test_diameters_that_make_no_sense(bright_model, diameter):
    with pytest.raises(ImageError, match="positive number of pixels, from 1 to 10000"):
        found(squares(), bright_model(info={"diameter": 20}), diameter=diameter)


@pytest.mark.parametrize(
    "size", [(0, 1), (-1.0, 1.0), (float("nan"), 1.0), (1, 2, 3, 4), (), 1e-5, 2000.0, ("a", 1), "0.5", True]
)
def test_pixel_sizes_that_make_no_sense(bright_model, size):
    with pytest.raises(ImageError, match="pixel size"):
        found(squares(), bright_model(), pixel_size=size)


def test_depth_is_rescaled_for_a_3d_model(bright_model):
    model = bright_model(ndim=3, info={"pixel_size": (1.0, 1.0, 1.0)})
    volume = np.full((8, 40, 40), 10.0, np.float32)
    volume[2:6, 10:25, 10:25] = 200
    result = found(volume, model, pixel_size=(2.0, 1.0, 1.0))
    assert result.task.plan.shape == (16, 40, 40)
    assert result.labels.shape == volume.shape
    assert result.n_objects == 1


# -- normalisation -----------------------------------------------------------------------------------------------------


def test_statistics_are_of_the_whole_image(bright_model):
    """A dark tile stays dark: its own statistics would make objects of its noise."""
    rng = np.random.default_rng(0)
    image = rng.normal(20, 1, (64, 160)).astype(np.float32)
    image[10:30, 10:30] = 1000
    whole = found(image, bright_model(), keep_maps=True)
    tiled = found(image, bright_model(), tile=16, keep_maps=True)
    assert whole.n_objects == tiled.n_objects == 1
    assert tiled.task.n_tiles == 40
    assert np.array_equal(whole.labels, tiled.labels)
    assert np.allclose(whole.maps, tiled.maps, atol=1e-5)


def test_statistics_are_of_all_frames_and_slices(bright_model):
    stack = np.stack([np.random.default_rng(z).normal(20, 1, (40, 40)).astype(np.float32) for z in range(4)])
    stack[2, 5:20, 5:20] = 1000
    for axes in ("ZYX", "TYX"):
        labels = found(stack, bright_model(), axes=axes).labels
        assert [int(plane.max() > 0) for plane in labels] == [0, 0, 1, 0]


def test_a_crop_with_the_statistics_of_the_whole_gives_the_same(bright_model):
    image, info = squares(), bright_model().info.normalization
    statistics = measure(sample_pixels(as_image(image), (0,)), info)
    whole = normalize(image[None], statistics, info)
    assert np.array_equal(whole[:, 10:30, 5:50], normalize(image[None, 10:30, 5:50], statistics, info))


def test_brightness_and_contrast_do_not_matter(bright_model):
    wanted = found(squares(), bright_model()).labels
    for factor, offset in ((1e-6, 0), (1e6, 0), (1, -5000), (0.01, 1e6), (200, 3e4)):
        image = squares().astype(np.float64) * factor + offset
        assert np.array_equal(found(image, bright_model()).labels, wanted)


@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "uint32",
        "int64",
        "uint64",
        "float16",
        "float32",
        "float64",
        ">u2",
        ">f4",
    ],
)
def test_every_kind_of_number(bright_model, dtype):
    image = squares(bright=100, ground=0).astype(dtype)
    assert np.array_equal(found(image, bright_model()).labels, ndimage.label(squares() > 100)[0])


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("int64", -(2**62), 2**62),
        ("uint64", 0, 2**64 - 1),
        ("float16", -60000, 60000),
        ("float32", -3e38, 3e38),
        ("float64", 0, 1e300),
    ],
)
def test_the_ends_of_a_range(bright_model, dtype, low, high):
    image = np.where(squares() > 100, np.array(high, dtype), np.array(low, dtype))
    assert image.dtype == dtype
    assert found(image, bright_model()).n_objects == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers(bright_model, value):
    image = squares()
    image[44:47, 44:55] = value
    image[7, 7] = value  # one within an object
    result = found(image, bright_model(), keep_maps=True)
    assert np.isfinite(result.maps).all()
    for y, x in ((9, 9), (9, 34), (29, 16)):
        assert result.labels[y, x] > 0
    ground = (squares() < 100) & np.isfinite(image)
    assert not result.labels[ground].any()


@pytest.mark.parametrize("value", [0, 7, -3.5, np.nan, np.inf])
def test_nothing_but_one_value(bright_model, value):
    result = found(np.full((30, 30), value, np.float32), bright_model(), keep_maps=True)
    assert np.isfinite(result.maps).all()
    assert result.n_objects <= 1
    assert found(np.zeros((30, 30), bool), bright_model()).n_objects == 0


# -- what cannot be segmented ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "options", "said"),
    [
        (np.zeros((20, 20), complex), {}, "complex numbers"),
        (np.zeros((0, 20)), {}, "empty"),
        (np.zeros((3, 20, 0)), {}, "empty"),
        (np.zeros(20), {}, "two to five axes"),
        (np.zeros(()), {}, "two to five axes"),
        (np.zeros((1, 1, 1, 1, 9, 9)), {}, "two to five axes"),
        (np.zeros((1, 1, 1, 1, 9, 9)), {"axes": "ABCZYX"}, "unknown letter"),
        (np.zeros((20, 20)), {"axes": "QX"}, "unknown letter 'Q'"),
        (np.zeros((20, 20)), {"axes": "YY"}, "twice"),
        (np.zeros((20, 20)), {"axes": "ZX"}, "lack Y or X"),
        (np.zeros((20, 20)), {"axes": "ZYX"}, "3 letters"),
        (np.zeros((20, 20)), {"axes": "Y X"}, "unknown letter"),
        (np.array([["a", "b"], ["c", "d"]]), {}, "data type"),
        (np.array([[None, 1], [2, 3]], object), {}, "data type"),
        (np.zeros((4, 4), [("a", "u1")]), {}, "data type"),
        (np.zeros((4, 4), "datetime64[s]"), {}, "data type"),
        ([[1, 2], [3, 4]], {}, "is an array"),
        ("nuclei.tif", {}, "is an array"),
        (None, {}, "is an array"),
        (np.zeros((20, 20)), {"tile": 0}, "from 1 to 65536"),
        (np.zeros((20, 20)), {"tile": -5}, "from 1 to 65536"),
        (np.zeros((20, 20)), {"tile": 64.5}, "from 1 to 65536"),
        (np.zeros((20, 20)), {"tile": "wide"}, "from 1 to 65536"),
    ],
)
def test_what_cannot_be_segmented_is_said_in_a_sentence(bright_model, image, options, said):
    with pytest.raises(UNetError) as caught:
        found(image, bright_model(), **options)
    assert said in str(caught.value)
    assert str(caught.value).endswith((".", "'"))


def test_unknown_models_and_devices(bright_model):
    with pytest.raises(ModelFileError, match="nuclei"):
        segment(squares(), "no such model")
    with pytest.raises(DeviceError, match="cpu"):
        segment(squares(), bright_model(), device="cuda:77")


@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (2, 2), (7, 1)])
def test_tiny_images(bright_model, tiny_model, shape):
    for model in (bright_model(), tiny_model(levels=2), tiny_model(padding="valid", norm="none", levels=1)):
        result = found(np.random.default_rng(0).random(shape), model, keep_maps=True)
        assert result.labels.shape == shape
        assert np.isfinite(result.maps).all()


# -- lazy arrays -------------------------------------------------------------------------------------------------------


def test_dask_and_zarr_give_what_numpy_gives(bright_model, tmp_path):
    stack = np.stack([squares(), squares(places=((8, 8), (20, 40)))]).astype(np.uint16)
    wanted = found(stack, bright_model(), tile=16, keep_maps=True)
    on_disk = zarr.create_array(str(tmp_path / "a.zarr"), shape=stack.shape, chunks=(1, 17, 23), dtype=stack.dtype)
    on_disk[:] = stack
    for lazy in (da.from_array(stack, chunks=(1, 20, 33)), on_disk):
        result = found(lazy, bright_model(), tile=16, keep_maps=True)
        assert np.array_equal(result.labels, wanted.labels)
        assert np.array_equal(result.maps, wanted.maps)


def test_the_image_is_not_changed(bright_model):
    image = squares()
    image[0, 0] = np.nan
    before = image.copy()
    image.flags.writeable = False
    found(image, bright_model())
    assert np.array_equal(image, before, equal_nan=True)


# -- progress, stop, view first ----------------------------------------------------------------------------------------


def test_progress_counts_every_tile(bright_model):
    seen = []
    result = found(np.stack([squares()] * 3), bright_model(), tile=32, progress=seen.append)
    n = result.task.n_tiles
    assert n == 3 * 4
    assert all(p.total == n for p in seen)
    done = [p.done for p in seen]
    assert done == sorted(done)
    assert set(done) == set(range(1, n + 1))
    assert seen[-1].fraction == 1
    assert all(a.elapsed <= b.elapsed for a, b in itertools.pairwise(seen))


@pytest.mark.parametrize("tile", [None, 32])
def test_it_is_told_how_far_a_tile_is(bright_model, slow_tiles, timed_at_once, tile):
    seen = []
    result = found(squares(), bright_model(), tile=tile, progress=seen.append)
    assert np.array_equal(result.labels, found(squares(), bright_model(), tile=tile).labels)
    within = [p for p in seen if p.part]
    assert len({p.done for p in within}) == result.task.n_tiles, "in each of them"
    assert len(within) > result.task.n_tiles
    assert all(0 < p.part < 1 and p.remaining > 0 for p in within)
    assert [p.fraction for p in within] == sorted(p.fraction for p in within)
    assert seen[-1].fraction == 1
    assert ("%, " in within[0].count) == (tile is None)


def test_a_stop_comes_within_a_tile_that_is_told_of(bright_model, slow_tiles, network_threads):
    cancel, seen = CancelToken(), []

    def progress(event):
        seen.append(event)
        cancel.cancel()

    with pytest.raises(Cancelled):
        found(squares(), bright_model(), progress=progress, cancel=cancel)
    assert seen[-1].done == 0
    assert not network_threads()


def test_nobody_listens_any_more_and_the_tile_under_way_ends(bright_model, slow_tiles, network_threads):
    steps = segment_steps(make_task(as_image(squares()), bright_model()), device="cpu", tells=True)
    assert next(steps).progress.part < 0.5
    steps.close()
    assert not network_threads()


def test_a_stop_comes_within_one_tile(bright_model):
    cancel, seen = CancelToken(), []

    def progress(event):
        seen.append(event)
        if event.done == 3:
            cancel.cancel()

    with pytest.raises(Cancelled):
        found(np.stack([squares()] * 3), bright_model(), tile=32, progress=progress, cancel=cancel)
    assert 3 <= seen[-1].done <= 6, "tiles that were ready by then, or under way, are finished; no other is begun"
    with pytest.raises(Cancelled):
        found(squares(), bright_model(), cancel=cancel)


def test_the_tile_in_view_comes_first_and_is_in_place(bright_model):
    image = squares((64, 64), places=((40, 40), (3, 3)))
    task = make_task(as_image(image), bright_model(), tile=32)
    events = list(segment_steps(task, device="cpu", focus=lambda: (0, 0, 45.0, 45.0)))
    tiles = [e for e in events if isinstance(e, TileDone)]
    assert [type(e) for e in events] == [TileDone] * 3 + [SubimageDone]
    assert tiles[0].region == (slice(0, 1), slice(32, 64), slice(32, 64))
    for tile in tiles:
        _, y, x = tile.region
        assert np.array_equal(tile.labels[0] > 0, image[y, x] > 100)
    assert same_objects(events[-1].labels[0], ndimage.label(image > 100)[0])


def test_what_is_looked_at_comes_next_in_any_slice(bright_model):
    task = make_task(as_image(np.stack([squares((64, 64), places=((40, 40), (3, 3)))] * 5)), bright_model(), tile=32)
    looked_at = [*[(0, 3, 60.0, 60.0)] * 2, *[(0, 1, 5.0, 5.0)] * 99]
    events = list(segment_steps(task, device="cpu", focus=lambda: looked_at.pop(0)))
    order = [(e.subimage.z, type(e)) for e in events]
    assert order[:7] == [(3, TileDone)] * 2 + [(1, TileDone)] * 3 + [(1, SubimageDone), (0, TileDone)]
    tiles = [e.region[1:] for e in events if isinstance(e, TileDone)]
    assert tiles[0] == (slice(32, 64), slice(32, 64))
    assert tiles[2] == (slice(0, 32), slice(0, 32))
    assert [e.subimage.z for e in events if isinstance(e, SubimageDone)] == [1, 0, 2, 3, 4]
    for event in events:
        if isinstance(event, SubimageDone):
            assert event.labels.max() == 2


def test_a_glance_of_what_is_looked_at_comes_before_a_large_tile(bright_model):
    image = np.zeros((1500, 1500), np.float32)
    image[700:709, 800:809] = image[100:109, 100:109] = 1
    task = make_task(as_image(image), bright_model())
    events = list(segment_steps(task, device="cpu", focus=lambda: (0, 0, 704.0, 804.0)))
    assert type(events[0]) is TileDone
    _, y, x = events[0].region
    assert (y.stop - y.start, x.stop - x.start) == (PREVIEW_WIDTH, PREVIEW_WIDTH)
    assert events[0].labels.max() == 1
    assert events[0].progress.done == 0, "it is extra"
    assert np.array_equal(events[0].labels[0] > 0, image[y, x] > 0)
    assert events[-1].labels.max() == 2
    assert events[-1].progress.done == task.n_tiles
    # Nobody looks, the tile is small, or it is known already: no glance.
    assert all(e.progress.done for e in segment_steps(task, device="cpu"))
    small = make_task(as_image(image), bright_model(), tile=256)
    assert next(segment_steps(small, device="cpu", focus=lambda: (0, 0, 704.0, 804.0))).progress.done == 1


def test_the_time_left_is_known_from_the_first_small_tile_on(bright_model, timed_at_once):
    """By pixels, not by tiles: those at a border read less."""
    task = make_task(as_image(np.zeros((2200, 2200), np.uint8)), bright_model())
    events = list(segment_steps(task, device="cpu", focus=lambda: (0, 0, 704.0, 804.0)))
    assert events[0].progress.done == 0
    left = [event.progress.remaining for event in events]
    assert left[0] > 0
    assert left[-1] == 0


@pytest.mark.parametrize("place", [(-50.0, -50.0), (0.0, 1e6), (600.0, 600.0), (1203.0, 3.0)])
def test_a_tile_around_a_place_lies_in_the_image_and_gives_what_the_whole_gives(tiny_net, place):
    net = tiny_net(levels=2)
    image = np.random.default_rng(0).random((1, 1207, 903), np.float32)
    plan = make_plan(net.spec, image.shape[1:], budget=10**9)
    (whole,) = run_plan(plan, ArraySource(image), Predictor(net))
    tile = plan.around(place, 200)
    part = Engine(plan, Predictor(net)).run(tile, ArraySource(image))
    assert part.maps.shape[1:] == (200, 200)
    assert np.abs(part.maps - whole.maps[(slice(None), *tile.region)]).max() < 1e-5


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_field_is_done_and_nothing_else(bright_model, ndim):
    """Its labels are those that the whole image has there, but for objects that it cuts."""
    cell = np.pad(np.full((12, 12), 200, np.uint8), 14)
    image = as_image(np.tile(cell, (4, 6, 6)))
    model, field = bright_model(ndim=ndim), (slice(51, 150), slice(90, 240))
    task = make_task(image, model, subimages=[Subimage(0, 2 if ndim == 2 else None)], field=field, tile=48)
    assert task.plan.work > 1, "compared with the field, not with the image"
    *tiles, done = segment_steps(task, device="cpu")
    assert all(isinstance(event, TileDone) for event in tiles)
    assert len(tiles) == task.n_tiles - 1
    assert done.region[1:] == (slice(50, 150), slice(90, 240)), "it begins on the grid"
    assert done.region[0] == (slice(2, 3) if ndim == 2 else slice(0, 4))
    assert np.array_equal(done.labels > 0, image.data[done.region] > 0)
    assert done.maps.shape[1:] == done.labels.shape


def test_a_field_of_an_image_that_is_rescaled(bright_model):
    model = bright_model(info={"pixel_size": (0.5, 0.5)})
    image = as_image(np.full((60, 60), 200, np.uint8), pixel_size=(1.0, 1.0))
    *_, done = segment_steps(make_task(image, model, field=(slice(0, 20), slice(0, 20))), device="cpu")
    assert done.region == (slice(0, 1), slice(0, 20), slice(0, 20))
    assert done.labels.shape == (1, 20, 20)


@pytest.mark.parametrize("stop_after", range(9))
def test_a_stopped_run_goes_on_where_it_stopped(bright_model, stop_after):
    image = as_image(np.stack([squares((64, 64), places=((40, 40), (3, 3)), bright=200 - 20 * z) for z in range(2)]))
    task = make_task(image, bright_model(), tile=32)
    whole = [e for e in segment_steps(task, device="cpu") if isinstance(e, SubimageDone)]
    finished, cancel, events = Finished(), CancelToken(), []
    with suppress(Cancelled):  # the last stop comes when all is done
        for event in segment_steps(task, device="cpu", finished=finished, cancel=cancel):
            events.append(event)
            if len(events) > stop_after:
                cancel.cancel()
    left = finished.tiles_left(task)
    assert left == sum(map(len, finished.waiting(task).values()))
    rest = list(segment_steps(task, device="cpu", finished=finished))
    assert left <= 8 - stop_after
    units = [e for e in [*events, *rest] if isinstance(e, SubimageDone)]
    assert [e.subimage for e in units] == [e.subimage for e in whole], "each is done once"
    for one, other in zip(units, whole, strict=True):
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.maps, other.maps)
    assert not finished.waiting(task)


def test_an_image_of_one_tile_has_no_provisional_result(bright_model):
    task = make_task(as_image(squares()), bright_model())
    assert [type(e) for e in segment_steps(task, device="cpu")] == [SubimageDone]
    assert "1 tile" in str(task)


def test_only_the_planes_asked_for_are_done(bright_model):
    task = make_task(as_image(np.stack([squares()] * 4)), bright_model())
    one = make_task(as_image(np.stack([squares()] * 4)), bright_model(), subimages=[task.subimages[2]])
    events = list(segment_steps(one, device="cpu"))
    assert [e.subimage.z for e in events] == [2]
    assert events[0].subimage.region == (0, slice(2, 3))


def test_an_image_keeps_its_own_meaning(bright_model):
    image = Image(squares(), "XY", name="mine")
    assert found(image, bright_model()).axes == "XY"
