"""Colours that are stored otherwise become red, green and blue; look-up tables and label palettes do not."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from skimage.color import rgb2lab

from napari_unet.errors import ImageError
from napari_unet.io import lazy
from napari_unet.io.readers import read_image, read_labels


@pytest.fixture
def rgb():
    """A smooth picture of many colours, (40, 60, 3) uint8."""
    y, x = np.mgrid[:40, :60]
    return np.stack([6 * y, 4 * x, 255 - 3 * y - 2 * x], -1).astype(np.uint8)


def same(image, rgb, by=1):
    assert image.axes[-1] == "C"
    assert image.axes.replace("C", "") == "YX"
    data = np.moveaxis(np.asarray(image.data), image.axes.index("C"), -1)
    assert data.shape == rgb.shape
    assert np.abs(data.astype(int) - rgb).max() <= by


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_cmyk(tmp_path, rgb, name):
    picture = Picture.fromarray(rgb).convert("CMYK")
    picture.save(tmp_path / name, **({"quality": 100} if name == "a.jpg" else {}))
    same(read_image(tmp_path / name), rgb, 1 if name == "a.tif" else 12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("threshold", [0, lazy.IN_MEMORY_BYTES])
def test_cmyk_with_black_in_memory_and_on_disk(tmp_path, rgb, monkeypatch, dtype, planar, threshold):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", threshold)
    most = np.iinfo(dtype).max
    light = rgb.astype(float).max(-1, keepdims=True) / 255
    inks = np.concatenate([1 - rgb / 255 / np.maximum(light, 1e-9), 1 - light], -1)
    inks = np.rint(np.clip(inks, 0, 1) * most).astype(dtype)
    data = np.moveaxis(inks, -1, 0) if planar == "separate" else inks
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="separated", planarconfig=planar, metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert isinstance(image.data, da.Array) == (threshold == 0)
    assert image.data.dtype == dtype
    data = np.moveaxis(np.asarray(image.data), image.axes.index("C"), -1)
    np.testing.assert_allclose(data / most, rgb / 255, atol=0.01)


@pytest.mark.parametrize("bits", [8, 16])
def test_cielab(tmp_path, rgb, bits):
    lab = rgb2lab(rgb)
    if bits == 8:
        stored = np.concatenate([lab[..., :1] * 2.55, lab[..., 1:]], -1).round().astype(np.int16).astype(np.uint8)
    else:
        stored = np.concatenate([lab[..., :1] * 655.35, lab[..., 1:] * 256], -1).round().astype(np.int32)
        stored = stored.astype(np.uint16)
    white = [("WhitePoint", 5, 2, (3127, 10_000, 3290, 10_000), True)]  # skimage's, D65
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="cielab", metadata=None, extratags=white)
    image = read_image(tmp_path / "a.tif")
    assert image.data.dtype == np.uint8
    same(image, rgb, 20 if bits == 8 else 2)  # few steps of a* and b*
    grey = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[:, None, None], 3, -1)
    levels = np.zeros((*grey.shape[:2], 3), stored.dtype)
    levels[..., 0] = (rgb2lab(grey)[..., 0] * np.iinfo(stored.dtype).max / 100).round()
    tifffile.imwrite(tmp_path / "grey.tif", levels, photometric="cielab", metadata=None)
    same(read_image(tmp_path / "grey.tif"), grey, 2)


def test_cielab_as_pillow_writes_it(tmp_path, rgb):
    from PIL import ImageCms

    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    ImageCms.applyTransform(Picture.fromarray(rgb), to_lab).save(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.CIELAB
    difference = np.abs(np.asarray(read_image(tmp_path / "a.tif").data).astype(int) - rgb)
    assert difference.mean() < 3


def test_ycbcr_without_compression(tmp_path, rgb):
    tifffile.imwrite(
        tmp_path / "a.tif", np.asarray(Picture.fromarray(rgb).convert("YCbCr")), photometric="ycbcr", metadata=None
    )
    same(read_image(tmp_path / "a.tif"), rgb, 3)


@pytest.mark.parametrize(("photometric", "what"), [(32803, "CFA"), (32845, "LogLuv"), (10, "ITU")])
def test_colours_that_are_not_read_are_refused(tmp_path, photometric, what):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), np.uint8), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        tif.pages[0].tags["PhotometricInterpretation"].overwrite(photometric)
    with pytest.raises(ImageError, match=f"{what}.*Save it as RGB"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.bmp"])
def test_a_palette_of_colours_becomes_colours_and_stays_numbers_for_labels(tmp_path, rgb, name):
    picture = Picture.fromarray(rgb).convert("P", palette=Picture.Palette.ADAPTIVE, colors=64)
    picture.save(tmp_path / name)
    image = read_image(tmp_path / name)
    same(image, np.asarray(picture.convert("RGB")), 0)
    assert image.notes == ()
    np.testing.assert_array_equal(read_labels(tmp_path / name), np.asarray(picture))


@pytest.mark.parametrize("threshold", [0, lazy.IN_MEMORY_BYTES])
def test_a_palette_in_a_stack(tmp_path, monkeypatch, threshold):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", threshold)
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 256, (3, 16, 20)).astype(np.uint8)
    table = rng.integers(0, 2**16, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", numbers, photometric="palette", colormap=table, metadata={"axes": "TYX"})
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "TYXC"
    np.testing.assert_array_equal(np.asarray(image.data), (table >> 8).astype(np.uint8).T[numbers])
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), numbers)


@pytest.mark.parametrize("ramp", [np.arange(256), np.arange(256) // 2, np.sqrt(np.arange(256)) * 15.9])
def test_a_ramp_of_greys_leaves_the_numbers(tmp_path, ramp):
    numbers = np.random.default_rng(0).integers(0, 256, (16, 20)).astype(np.uint8)
    table = np.tile((ramp * 257).astype(np.uint16), (3, 1))
    tifffile.imwrite(tmp_path / "a.tif", numbers, photometric="palette", colormap=table, metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.data, numbers)


def test_greys_the_other_way_round_become_their_grey_values(tmp_path):
    numbers = np.arange(256, dtype=np.uint8).reshape(16, 16)
    table = np.tile((np.arange(255, -1, -1) * 257).astype(np.uint16), (3, 1))
    tifffile.imwrite(tmp_path / "a.tif", numbers, photometric="palette", colormap=table, metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, 255 - numbers)


@pytest.mark.parametrize("name", ["green", "magenta", "viridis"])
def test_a_look_up_table_for_intensities_leaves_them_and_it_is_said(tmp_path, name):
    ramp = np.arange(256)
    if name == "viridis":
        colormaps = pytest.importorskip("matplotlib").colormaps
        table = (colormaps["viridis"](ramp)[:, :3] * 65535).astype(np.uint16).T
    else:
        table = np.stack([ramp * 257 * (c in {"green": (1,), "magenta": (0, 2)}[name]) for c in range(3)]).astype(
            np.uint16
        )
    numbers = np.random.default_rng(0).integers(0, 256, (16, 20)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", numbers, photometric="palette", colormap=table, metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.data, numbers)
    assert "look-up table" in image.notes[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_as_zero_is_turned_round_and_said(tmp_path, dtype):
    numbers = np.random.default_rng(0).integers(0, 256, (16, 20)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", numbers, photometric="miniswhite", metadata=None)
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.data, np.iinfo(dtype).max - numbers)
    assert "white as 0" in image.notes[0]
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), numbers)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_what_pictures_hold(tmp_path, mode):
    grey = np.random.default_rng(0).integers(0, 2, (16, 20)).astype(np.uint8) * 255
    if mode == "I;16":
        Picture.fromarray(grey.astype(np.uint16) * 200).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").data, grey.astype(np.uint16) * 200)
        return
    Picture.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    if mode.startswith("RGB"):
        same(image, np.repeat(grey[..., None], 3, -1), 0)
    else:
        assert image.axes == "YX"
        np.testing.assert_array_equal(np.asarray(image.data) > 0, grey > 0)
