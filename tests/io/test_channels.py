"""Channels are asked for by number or by name, in every format that names them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.axes import Image
from napari_unet.errors import ImageError
from napari_unet.io.channels import channel_number
from napari_unet.io.readers import read_image

NAMES = ("DAPI", "488", "Förster µ", "dapi", "x", "x")


def named(names=NAMES, n=6):
    return Image(np.zeros((n, 4, 5), np.uint8), "CYX", channel_names=names, name="a.tif")


@pytest.mark.parametrize(
    ("asked", "number"),
    [(None, None), (0, 0), ("0", 0), (5, 5), ("DAPI", 0), ("dapi", 3), (488, 1), ("488", 1), ("förster µ", 2)],
)
def test_by_name_or_number(asked, number):
    assert channel_number(named(), asked) == number


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("GFP", "a.tif has no channel GFP; it has 0 'DAPI', 1 '488'"),
        (6, "a.tif has no channel 6; it has 0 'DAPI'"),
        ("x", "several channels called x: choose by number, 4 and 5"),
        ("Dapi", "several channels called Dapi: choose by number, 0 and 3"),
    ],
)
def test_no_such_channel(asked, said):
    with pytest.raises(ImageError, match=said):
        channel_number(named(), asked)


def test_without_names():
    with pytest.raises(ImageError, match=r"no channel DAPI; it has the channels 0 to 1, without names\."):
        channel_number(named((), 2), "DAPI")
    with pytest.raises(ImageError, match="a.tif has no channel 2; it has the channels 0 to 1"):
        channel_number(named((), 2), 2)
    with pytest.raises(ImageError, match="no channel 1; it has one, number 0"):
        channel_number(Image(np.zeros((4, 5)), "YX", name="a.tif"), 1)
    assert channel_number(Image(np.zeros((4, 5)), "YX"), 0) == 0


@pytest.mark.parametrize("kind", ["ome-tiff", "imagej", "ome-zarr"])
def test_every_format_names_them(tmp_path, kind):
    data = np.arange(2 * 6 * 7, dtype=np.uint8).reshape(2, 6, 7)
    path = tmp_path / ("a.zarr" if kind == "ome-zarr" else "a.tif")
    if kind == "ome-tiff":
        tifffile.imwrite(path, data, ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "核 GFP"]}})
    elif kind == "imagej":
        tifffile.imwrite(path, data, imagej=True, metadata={"axes": "CYX", "Labels": ["DAPI", "核 GFP"]})
    else:
        group = zarr.open_group(path, mode="w", zarr_format=2)
        group.create_array("0", data=data)
        group.attrs["multiscales"] = [{"axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}]
        group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "核 GFP"}]}
    image = read_image(path)
    if kind == "imagej":  # tifffile writes their labels in an encoding that has no such letters
        assert channel_number(image, "DAPI") == 0
    else:
        assert image.channel_names == ("DAPI", "核 GFP")
        assert channel_number(image, "核 gfp") == 1
