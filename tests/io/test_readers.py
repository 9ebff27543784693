from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.axes import PixelSize, Placement
from napari_unet.errors import FileFormatError, ImageError, LabelsError, UNetError
from napari_unet.io import lazy
from napari_unet.io.readers import image_files, read_image, read_labels
from napari_unet.io.units import micrometres


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def volume(rng):
    return rng.integers(0, 4000, (6, 40, 50)).astype(np.uint16)


def size(image):
    assert image.pixel_size is not None
    return image.pixel_size.z, image.pixel_size.y, image.pixel_size.x


def test_plain_multipage_is_a_volume_of_unknown_pixel_size(tmp_path, volume):
    tifffile.imwrite(tmp_path / "a.tif", volume, photometric="minisblack", metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "ZYX"
    assert image.pixel_size is None
    assert image.name == "a.tif"
    np.testing.assert_array_equal(image.data, volume)


def test_axes_of_the_user_win(tmp_path, volume):
    tifffile.imwrite(tmp_path / "a.tif", volume, imagej=True, metadata={"axes": "ZYX"})
    assert read_image(tmp_path / "a.tif", axes="tyx").axes == "TYX"
    with pytest.raises(ImageError, match="3 axes"):
        read_image(tmp_path / "a.tif", axes="YX")


def test_two_unknown_axes_become_time_and_depth(tmp_path, rng):
    data = rng.integers(0, 9, (2, 4, 16, 16)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", metadata={"axes": "QIYX"})
    image = read_image(tmp_path / "a.tif")
    assert sorted(image.axes[:2]) == ["T", "Z"]
    assert image.data.shape == data.shape


def test_too_many_axes_are_named(tmp_path):
    data = np.zeros((2, 2, 2, 2, 16, 16), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", metadata={"axes": "TZCPYX"})
    with pytest.raises(ImageError, match="more axes"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("unit", "factor"), [("µm", 1), ("nm", 1e-3), ("mm", 1e3), ("Å", 1e-4)])
def test_ome_pixel_size_and_channel_names(tmp_path, rng, unit, factor):
    data = rng.integers(0, 99, (2, 3, 20, 30)).astype(np.uint16)
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["DAPI", "GFP", "µ"]}}
    for letter, value in {"Z": 0.5, "Y": 0.12, "X": 0.11}.items():
        metadata |= {f"PhysicalSize{letter}": value / factor, f"PhysicalSize{letter}Unit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", data, ome=True, metadata=metadata)
    image = read_image(tmp_path / "a.ome.tif")
    assert image.axes == "ZCYX"
    assert size(image) == pytest.approx((0.5, 0.12, 0.11))
    assert image.channel_names == ("DAPI", "GFP", "µ")


def test_ome_unit_is_micrometres_where_none_is_given(tmp_path, volume):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.3}
    tifffile.imwrite(tmp_path / "a.ome.tif", volume, ome=True, metadata=metadata)
    assert size(read_image(tmp_path / "a.ome.tif")) == (None, 0.3, 0.2)


def test_ome_series_are_chosen_by_number(tmp_path, rng):
    first, second = (
        rng.integers(0, 9, (20, 20)).astype(np.uint8),
        rng.integers(0, 9, (3, 24, 28)).astype(np.uint8),
    )
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(first, metadata={"axes": "YX", "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0})
        writer.write(
            second,
            metadata={"axes": "ZYX", "PhysicalSizeX": 2.0, "PhysicalSizeY": 2.0},
            photometric="minisblack",
        )
    image = read_image(tmp_path / "a.ome.tif", series=1)
    np.testing.assert_array_equal(image.data, second)
    assert size(image) == (None, 2.0, 2.0)
    with pytest.raises(ImageError, match="no scene 2; it has 0 "):
        read_image(tmp_path / "a.ome.tif", series=2)


def test_ome_xml_with_entities_is_refused(tmp_path):
    xml = (
        '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&b;</OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((8, 8), np.uint8), description=xml, metadata=None)
    with pytest.raises(FileFormatError, match="document type"):
        read_image(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("um", 1), ("micron", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("mm", 1e3), ("cm", 1e4), ("inch", 25400)],
)
def test_imagej_pixel_size(tmp_path, volume, unit, factor):
    metadata = {"axes": "ZYX", "unit": unit, "spacing": 4 / factor}
    tifffile.imwrite(
        tmp_path / "a.tif", volume, imagej=True, resolution=(factor / 0.5, factor / 0.8), metadata=metadata
    )
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "ZYX"
    assert size(image) == pytest.approx((4, 0.8, 0.5))


@pytest.mark.parametrize("metadata", [{"unit": "pixel", "spacing": 2.0}, {}])
def test_imagej_without_a_length_has_no_pixel_size(tmp_path, volume, metadata):
    tifffile.imwrite(tmp_path / "a.tif", volume, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", **metadata})
    assert read_image(tmp_path / "a.tif").pixel_size is None


def test_imagej_labels_name_the_channels(tmp_path, rng):
    data = rng.integers(0, 9, (2, 20, 30)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "CYX", "Labels": ["nuclei", "actin"]})
    assert read_image(tmp_path / "a.tif").channel_names == ("nuclei", "actin")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["nuclei", "actin"] * 3, ("nuclei", "actin")),
        (["nuclei", "actin"] * 2 + ["nuclei", "tubulin"], ()),
        ([f"z{z}" for z in range(6)], ()),
    ],
)
def test_imagej_labels_of_the_planes_of_a_stack(tmp_path, labels, expected):
    about = {"axes": "ZCYX", "Labels": labels}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 2, 20, 30), np.uint8), imagej=True, metadata=about)
    assert read_image(tmp_path / "a.tif").channel_names == expected


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("CENTIMETER", 20_000, 0.5),
        ("INCH", 50_800, 0.5),
        ("INCH", 72, None),
        ("INCH", 300, None),
        ("INCH", 600, None),
        ("INCH", 1200, None),
        ("CENTIMETER", 28.35, None),
        ("CENTIMETER", 118.11, None),
        ("CENTIMETER", 1500, 6.6667),
        ("CENTIMETER", 2**32 - 1, None),
        ("INCH", 1, None),
        ("NONE", 20_000, None),
    ],
)
def test_plain_resolution_counts_only_where_it_means_something(tmp_path, unit, per_unit, expected):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((8, 8), np.uint8),
        resolution=(per_unit, per_unit),
        resolutionunit=unit,
        metadata=None,
    )
    image = read_image(tmp_path / "a.tif")
    assert size(image) == (None, *[pytest.approx(expected, rel=1e-4)] * 2) if expected else image.pixel_size is None
    believed = expected is not None or unit == "NONE" or per_unit == 1
    assert image.notes == () if believed else len(image.notes) == 1 and "--pixel-size" in image.notes[0]


@pytest.mark.parametrize(
    ("micrometres", "said"),
    [(25_400 / 72, "72 dpi"), (25_400 / 300, "300 dpi"), (2e3, "2e+03 µm"), (1e-5, "1e-05 µm"), (100.0, "")],
)
def test_ome_pixel_sizes_that_no_microscope_has_are_not_believed(tmp_path, micrometres, said):
    metadata = {"axes": "YX", "PhysicalSizeX": micrometres, "PhysicalSizeY": micrometres}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((8, 8), np.uint8), ome=True, metadata=metadata)
    image = read_image(tmp_path / "a.ome.tif")
    assert (image.pixel_size is None) == bool(said)
    assert [said in note for note in image.notes] == ([True] if said else [])


def test_a_distance_of_slices_that_makes_no_sense_is_left_out_alone(tmp_path, volume):
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 1e6}
    tifffile.imwrite(tmp_path / "a.tif", volume, imagej=True, resolution=(2, 2), metadata=metadata)
    image = read_image(tmp_path / "a.tif")
    assert size(image) == (None, 0.5, 0.5)
    assert "distance of slices" in image.notes[0]


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({"imagej": True, "metadata": {"axes": "TYX"}}, "TYX"),
        ({"imagej": True, "metadata": {"axes": "ZYX"}}, "ZYX"),
        ({"imagej": True, "metadata": {"axes": "CYX"}}, "CYX"),
        ({"ome": True, "metadata": {"axes": "TYX"}}, "TYX"),
        ({"metadata": {"axes": "TYX"}}, "TYX"),
        ({"metadata": {"axes": "EYX"}}, "CYX"),
        ({"metadata": None, "description": "ImageJ=1.54f\nimages=6\nfinterval=5.0\nloop=false\n"}, "TYX"),
        ({"metadata": None, "description": "ImageJ=1.54f\nimages=6\nloop=false\n"}, "ZYX"),
    ],
)
def test_time_and_channels_are_what_the_file_says(tmp_path, volume, options, axes):
    name = "a.ome.tif" if options.get("ome") else "a.tif"
    tifffile.imwrite(tmp_path / name, volume, photometric="minisblack", **options)
    image = read_image(tmp_path / name)
    assert image.axes == axes
    np.testing.assert_array_equal(image.data, volume)


def test_positions_taken_for_depth_are_told_of(tmp_path, volume):
    tifffile.imwrite(tmp_path / "a.tif", volume, photometric="minisblack", metadata={"axes": "RYX"})
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "ZYX"
    assert image.notes[0].startswith("a.tif has 6 positions, taken as depth.")


def test_unit_spellings():
    assert micrometres("µm") == micrometres("\u03bcm") == micrometres(" Microns ") == 1
    assert micrometres("pixel") is None
    assert micrometres("") is None


def test_colour_is_channels_and_transparency_is_left_out(tmp_path, rng):
    data = rng.integers(0, 255, (20, 30, 4)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "rgba.tif", data, photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "rgb.tif", data[..., :3], photometric="rgb")
    for name in ("rgba.tif", "rgb.tif"):
        image = read_image(tmp_path / name)
        assert image.axes == "YXC"
        np.testing.assert_array_equal(image.data, data[..., :3])


def test_four_samples_that_are_not_transparency_are_kept(tmp_path, rng):
    data = rng.integers(0, 255, (20, 30, 4)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", extrasamples=["unspecified"])
    assert read_image(tmp_path / "a.tif").n_channels == 4


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_pictures(tmp_path, suffix):
    from skimage.io import imsave

    imsave(tmp_path / f"a{suffix}", np.full((20, 30, 3), 100, np.uint8), check_contrast=False)
    image = read_image(tmp_path / f"a{suffix}")
    assert (image.axes, image.data.shape) == ("YXC", (20, 30, 3))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_large_files_stay_on_disk(tmp_path, volume, monkeypatch, compression, tile):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 1000)
    tifffile.imwrite(tmp_path / "a.tif", volume, photometric="minisblack", compression=compression, tile=tile)
    image = read_image(tmp_path / "a.tif")
    assert isinstance(image.data, da.Array)
    np.testing.assert_array_equal(image.read(z=slice(2, 4), y=slice(5, 30))[0], volume[2:4, 5:30])
    np.testing.assert_array_equal(image.data.compute(), volume)


def test_lazy_colour_drops_transparency_lazily(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 1000)
    data = rng.integers(0, 255, (3, 20, 30, 4)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", extrasamples=["assocalpha"])
    image = read_image(tmp_path / "a.tif")
    assert isinstance(image.data, da.Array)
    assert image.axes == "ZYXC"
    np.testing.assert_array_equal(image.data.compute(), data[..., :3])


def test_big_endian_files_give_native_numbers(tmp_path, volume, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", volume, byteorder=">", photometric="minisblack")
    assert read_image(tmp_path / "a.tif").data.dtype.isnative
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 1000)
    image = read_image(tmp_path / "a.tif")
    assert image.data.dtype.isnative
    np.testing.assert_array_equal(image.data.compute(), volume)


@pytest.mark.parametrize("threshold", [0, lazy.IN_MEMORY_BYTES])
@pytest.mark.parametrize("kind", ["plain", "pages", "zlib", "ome", "imagej"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.97])
def test_truncated_files(tmp_path, volume, monkeypatch, kind, share, threshold):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", threshold)
    options = {
        "plain": {"metadata": None},
        "pages": {"metadata": None},
        "zlib": {"compression": "zlib"},
        "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
        "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    }[kind]
    if kind == "pages":
        with tifffile.TiffWriter(tmp_path / "whole.tif") as writer:
            for plane in volume:
                writer.write(plane, **options)
    else:
        tifffile.imwrite(tmp_path / "whole.tif", volume, photometric="minisblack", **options)
    content = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FileFormatError, match=r"a\.tif"):
        read_image(tmp_path / "a.tif")


def test_damage_inside_a_lazy_file_is_told_when_it_is_read(tmp_path, volume, monkeypatch):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 1000)
    tifffile.imwrite(tmp_path / "a.tif", volume, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        offset = tif.pages[3].dataoffsets[0]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[offset : offset + 64] = bytes(64)
    (tmp_path / "a.tif").write_bytes(content)
    image = read_image(tmp_path / "a.tif")
    image.read(z=slice(0, 2))
    with pytest.raises(FileFormatError, match="damaged"):
        image.read(z=slice(3, 4))


def test_files_of_a_set_that_are_missing_are_noticed(tmp_path):
    part = np.zeros((2, 16, 16), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", part, ome=True, metadata={"axes": "ZYX"}, photometric="minisblack")
    xml = tifffile.tiffcomment(tmp_path / "a.ome.tif")
    xml = xml.replace('SizeZ="2"', 'SizeZ="3"').replace(
        "</Pixels>",
        '<TiffData IFD="0" FirstZ="2" PlaneCount="1"><UUID FileName="b.ome.tif">urn:uuid:1</UUID></TiffData></Pixels>',
    )
    tifffile.tiffcomment(tmp_path / "a.ome.tif", xml.encode())
    with pytest.raises(FileFormatError, match="several files"):
        read_image(tmp_path / "a.ome.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.lsm", "a.stk", "a.svs", "a.png", "a.jpg"])
@pytest.mark.parametrize("content", [b"", b"II*\0", b"hello, this is no image at all\n" * 40, b"\x89PNG\r\n\x1a\n\0\0"])
def test_empty_and_foreign_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value)


def test_an_unreadable_compression_says_what_to_do(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), np.uint8), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        tif.pages[0].tags["Compression"].overwrite(34712)  # JPEG 2000
    with pytest.raises(FileFormatError, match=r"imagecodecs|damaged"):
        read_image(tmp_path / "a.tif")


def test_missing_files_folders_and_kinds(tmp_path):
    with pytest.raises(FileFormatError, match="does not exist"):
        read_image(tmp_path / "none.tif")
    with pytest.raises(FileFormatError, match="no image in it"):
        read_image(tmp_path)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    with pytest.raises(FileFormatError, match=r"give a\.tif"):
        read_image(tmp_path)
    (tmp_path / "a.czi").write_bytes(b"ZISRAWFILE")
    with pytest.raises(FileFormatError, match="OME-TIFF"):
        read_image(tmp_path / "a.czi")


def test_complex_pixels_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.complex64))
    with pytest.raises(ImageError, match="complex"):
        read_image(tmp_path / "a.tif")


# Zarr


def ngff(path, data, version, axes, scale, extra=None):
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    group.create_array("s0", data=data, chunks=tuple(min(n, 16) for n in data.shape))
    multiscale = {
        "axes": axes,
        "datasets": [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
    }
    content = {"multiscales": [multiscale], **(extra or {})}
    group.attrs.update({"ome": {"version": "0.5", **content}} if version == "0.5" else content)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("threshold", [0, lazy.IN_MEMORY_BYTES])
def test_ome_zarr(tmp_path, rng, monkeypatch, version, threshold):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", threshold)
    data = rng.integers(0, 99, (2, 4, 20, 30)).astype(np.uint16)
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": letter, "type": "space", "unit": "nanometer"} for letter in "zyx"
    ]
    omero = {"omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}}
    ngff(tmp_path / "a.zarr", data, version, axes, [1, 500, 110, 120], omero)
    image = read_image(tmp_path / "a.zarr")
    assert image.axes == "CZYX"
    assert size(image) == pytest.approx((0.5, 0.11, 0.12))
    assert image.channel_names == ("DAPI", "GFP")
    assert isinstance(image.data, np.ndarray) == (threshold > 0)
    np.testing.assert_array_equal(np.asarray(image.data), data)


def test_ome_zarr_without_units_has_no_pixel_size(tmp_path):
    ngff(tmp_path / "a.zarr", np.zeros((8, 8), np.uint8), "0.4", ["y", "x"], [0.5, 0.5])
    assert read_image(tmp_path / "a.zarr").pixel_size is None


@pytest.mark.parametrize(
    ("names", "axes", "told"),
    [
        (("c", "y", "x"), "CYX", False),
        (("t", "y", "x"), "TYX", False),
        (("z", "y", "x"), "ZYX", False),
        (("time", "row", "col"), "TYX", False),
        (("Channel", "Height", "Width"), "CYX", False),
        (("y", "x", "c"), "YXC", False),
        (("time", None, None), "TYX", False),
        (None, "ZYX", False),
        (("dim_0", "dim_1", "dim_2"), "ZYX", False),
        (("wells", "y", "x"), "ZYX", True),
        (("a", "b", "c"), "ZYX", True),
        (("y", "y", "x"), "ZYX", False),
    ],
)
@pytest.mark.parametrize("kind", ["v3", "xarray"])
def test_names_of_the_axes_of_plain_arrays(tmp_path, names, axes, told, kind):
    if kind == "v3":
        zarr.create_array(tmp_path / "a.zarr", shape=(3, 8, 9), dtype="u1", dimension_names=names, zarr_format=3)
    else:
        array = zarr.create_array(tmp_path / "a.zarr", shape=(3, 8, 9), dtype="u1", zarr_format=2)
        array.attrs["_ARRAY_DIMENSIONS"] = list(names) if names else None
    image = read_image(tmp_path / "a.zarr")
    if names != ("a", "b", "c"):
        assert image.axes == axes
    assert len(image.notes) == told
    assert read_image(tmp_path / "a.zarr", axes="TYX").axes == "TYX"


@pytest.mark.parametrize("named", ["t", "time", "Time", "frames", "anything"])
def test_ome_zarr_says_time_by_name_or_type(tmp_path, named):
    axes = [{"name": named, "type": "time"}, *({"name": letter, "type": "space"} for letter in "yx")]
    ngff(tmp_path / "a.zarr", np.zeros((3, 8, 9), np.uint8), "0.4", axes, [1, 1, 1])
    assert read_image(tmp_path / "a.zarr").axes == "TYX"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_translations_and_scales_of_both_levels_are_put_together(tmp_path, version):
    axes = [{"name": letter, "type": "space", "unit": "micrometer"} for letter in "zyx"]
    ngff(tmp_path / "a.zarr", np.zeros((3, 8, 9), np.uint8), version, axes, [2.0, 0.5, 0.25])
    node = zarr.open_group(tmp_path / "a.zarr")
    said = dict(node.attrs)
    multiscale = (said["ome"] if version == "0.5" else said)["multiscales"][0]
    steps = multiscale["datasets"][0]["coordinateTransformations"]
    steps.append({"type": "translation", "translation": [10.0, 20.0, 30.0]})
    multiscale["coordinateTransformations"] = [
        {"type": "scale", "scale": [1.0, 2.0, 2.0]},
        {"type": "translation", "translation": [1.0, 1.0, 1.0]},
    ]
    node.attrs.update(said)
    image = read_image(tmp_path / "a.zarr")
    assert size(image) == (2.0, 1.0, 0.5)
    assert image.placement == Placement("ZYX", (2.0, 1.0, 0.5), (11.0, 41.0, 61.0), ("micrometer",) * 3)


def test_ome_zarr_scale_without_a_unit_is_kept_and_told_of(tmp_path):
    ngff(tmp_path / "a.zarr", np.zeros((8, 8), np.uint8), "0.4", ["y", "x"], [0.5, 0.25])
    image = read_image(tmp_path / "a.zarr")
    assert image.pixel_size is None
    assert image.placement == Placement("YX", (0.5, 0.25), (0.0, 0.0), ("", ""))
    assert len(image.notes) == 1
    assert "the scale 0.5 and 0.25 (Y, X) without a unit of length" in image.notes[0]
    said = image.with_pixel_size(PixelSize(1.0, 1.0))
    assert said.placement == Placement("YX", (1.0, 1.0), (0.0, 0.0), ("micrometer",) * 2)


@pytest.mark.parametrize("scale", [[0.0, 1.0], [float("nan"), 1.0], [-1.0, 1.0]])
def test_ome_zarr_scales_that_are_none_are_ignored(tmp_path, scale):
    ngff(tmp_path / "a.zarr", np.zeros((8, 8), np.uint8), "0.4", ["y", "x"], [1.0, 1.0])
    attributes = tmp_path / "a.zarr" / ".zattrs"
    said = json.loads(attributes.read_text())
    said["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] = scale
    attributes.write_text(json.dumps(said))  # as others write it: Zarr itself writes no numbers that are none
    image = read_image(tmp_path / "a.zarr")
    assert image.placement is None
    assert image.pixel_size is None


def test_plain_zarr_array_and_group_of_one(tmp_path, volume):
    zarr.save_array(tmp_path / "a.zarr", volume)
    zarr.open_group(tmp_path / "b.zarr", mode="w").create_array("x", data=volume)
    for name in ("a.zarr", "b.zarr"):
        image = read_image(tmp_path / name)
        assert image.axes == "ZYX"
        np.testing.assert_array_equal(image.data, volume)


def test_bioformats_series(tmp_path, volume):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for number in (0, 1):
        ngff(tmp_path / "a.zarr" / str(number), volume + number, "0.4", ["z", "y", "x"], [1, 1, 1])
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr", series=1).data, volume + 1)
    with pytest.raises(ImageError, match="no scene 2; it has 0 "):
        read_image(tmp_path / "a.zarr", series=2)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"zarr.json": ""},
        {"zarr.json": "{}"},
        {".zgroup": '{"zarr_format": 2}'},
        {
            ".zgroup": '{"zarr_format": 2}',
            ".zattrs": json.dumps({"multiscales": [{"datasets": [{"path": "0"}]}]}),
        },
        {".zgroup": '{"zarr_format": 2}', ".zattrs": json.dumps({"multiscales": 3})},
        {".zarray": '{"zarr_format": 2, "shape": [4, 4]'},
    ],
)
def test_damaged_zarr(tmp_path, files):
    (tmp_path / "a.zarr").mkdir()
    for name, content in files.items():
        (tmp_path / "a.zarr" / name).write_text(content)
    with pytest.raises(UNetError, match=r"a\.zarr"):
        read_image(tmp_path / "a.zarr")


# Labels and folders


@pytest.mark.parametrize(
    ("dtype", "expected"), [("uint8", "uint8"), ("int32", "int32"), ("bool", "uint8"), ("float32", "int32")]
)
def test_labels_are_whole_numbers(tmp_path, dtype, expected):
    labels = np.eye(16).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", labels)
    found = read_labels(tmp_path / "a.tif")
    assert found.dtype == expected
    np.testing.assert_array_equal(found, np.eye(16))


def test_labels_with_one_channel_lose_it(tmp_path):
    zarr.open_group(tmp_path / "a.zarr", mode="w")
    ngff(tmp_path / "a.zarr", np.ones((1, 8, 9), np.uint8), "0.4", ["c", "y", "x"], [1, 1, 1])
    assert read_labels(tmp_path / "a.zarr").shape == (8, 9)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.full((8, 8), 0.5, np.float32), "not whole"),
        (np.full((8, 8), np.nan, np.float32), "not whole"),
        (np.full((8, 8), -1, np.int16), "negative label -1"),
        (np.zeros((8, 8, 3), np.uint8), "3 channels"),
    ],
)
def test_what_is_not_labels(tmp_path, data, message):
    tifffile.imwrite(tmp_path / "a.tif", data)
    with pytest.raises(LabelsError, match=message):
        read_labels(tmp_path / "a.tif")


def test_folder_in_natural_order(tmp_path):
    for name in ("b10.tif", "b2.TIF", "a.png", ".hidden.tif", "notes.txt", "b2.tif.partial"):
        (tmp_path / name).touch()
    zarr.save_array(tmp_path / "c.zarr", np.zeros((4, 4)))
    (tmp_path / "d.tif").mkdir()
    assert [path.name for path in image_files(tmp_path)] == ["a.png", "b2.TIF", "b10.tif", "c.zarr"]


def test_folder_without_images(tmp_path):
    with pytest.raises(FileFormatError, match="no image"):
        image_files(tmp_path)
    with pytest.raises(FileFormatError, match="does not exist"):
        image_files(tmp_path / "none")
    (tmp_path / "a.tif").touch()
    with pytest.raises(FileFormatError, match="not a folder"):
        image_files(tmp_path / "a.tif")
