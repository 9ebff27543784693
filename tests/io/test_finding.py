"""Images are found in files, folders and plates; what is none is named; and small pictures of them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.errors import UNetError
from napari_unet.io import thumbnails
from napari_unet.io.finding import FoundImage, LeftOut, find_images
from napari_unet.io.thumbnails import thumbnail


def names(*paths):
    return [one.name for one in find_images(paths) if isinstance(one, FoundImage)]


def left_out(*paths):
    return {one.path.name: one.is_image for one in find_images(paths) if isinstance(one, LeftOut)}


@pytest.fixture
def folder(tmp_path):
    for name in ("b10.tif", "b9.tif", "b9_labels.tif", "A.tif"):
        tifffile.imwrite(tmp_path / name, np.ones((8, 9), np.uint8))
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / ".hidden").write_text("text")
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "within").mkdir()
    tifffile.imwrite(tmp_path / "within" / "c.tif", np.ones((8, 9), np.uint8))
    return tmp_path


def test_a_folder_in_natural_order_without_labels(folder):
    assert names(folder) == ["A", "b9", "b10"]
    assert left_out(folder) == {"empty.tif": True, "b9_labels.tif": False, "notes.txt": False}
    assert names(folder / "b9_labels.tif") == ["b9_labels"], "what is asked for is taken"


@pytest.mark.parametrize("content", [b"", b"no image", b"II*\0\x08\0\0\0", b"\0" * 5000])
def test_broken_files_are_named(tmp_path, content):
    (tmp_path / "broken.tif").write_bytes(content)
    assert left_out(tmp_path / "broken.tif", tmp_path / "not there.tif") == {"broken.tif": True, "not there.tif": True}


def test_a_file_of_several_images_is_several(tmp_path):
    with tifffile.TiffWriter(tmp_path / "several.ome.tif", ome=True) as writer:
        for number in range(3):
            writer.write(np.zeros((8 + number, 9), np.uint8), metadata={"axes": "YX", "Name": f"field {number}"})
    found = [one for one in find_images([tmp_path / "several.ome.tif"]) if isinstance(one, FoundImage)]
    assert [(one.series, one.name) for one in found] == [(n, f"several field {n}") for n in range(3)]
    assert thumbnail(tmp_path / "several.ome.tif", 2).shape == (10, 9, 3)


def test_plates_and_wells(tmp_path):
    plate = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}]}
    well = plate.create_group("A/1")
    well.attrs["well"] = {"images": [{"path": "0"}, {"path": "1"}]}
    assert names(tmp_path / "p.zarr") == ["p A/1/0", "p A/1/1"]
    assert names(tmp_path / "p.zarr" / "A" / "1") == ["1 0", "1 1"]
    plate.attrs["plate"] = {"wells": [{"path": "B/7"}]}
    assert left_out(tmp_path / "p.zarr") == {"p.zarr": True}


def test_a_folder_that_holds_nothing(tmp_path):
    assert left_out(tmp_path) == {tmp_path.name: True}


@pytest.mark.parametrize(("shape", "small"), [((200, 100), (64, 32)), ((5, 7), (5, 7)), ((1, 300), (1, 60))])
def test_a_picture_is_small(tmp_path, shape, small):
    pixels = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    picture = thumbnail(tmp_path / "a.tif", width=64)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert max(picture.shape[:2]) <= 64
    assert abs(picture.shape[0] - small[0]) <= 15
    assert abs(picture.shape[1] - small[1]) <= 15


def test_a_picture_uses_black_to_white_and_colours_as_they_are(tmp_path):
    pixels = np.full((64, 64), 1000, np.uint16)
    pixels[:, 32:] = 1010
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    picture = thumbnail(tmp_path / "a.tif", width=16)
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[0, -1].tolist() == [255, 255, 255]
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[...] = (200, 10, 90)
    tifffile.imwrite(tmp_path / "c.tif", colours, photometric="rgb")
    assert thumbnail(tmp_path / "c.tif", width=16)[3, 3].tolist() == [200, 10, 90]


def test_of_a_stack_the_middle_and_of_a_large_plane_a_part(tmp_path, monkeypatch):
    stack = np.zeros((5, 40, 40), np.float32)
    stack[2, :, 20:] = np.nan
    stack[2, :, :20] = 1
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    assert thumbnail(tmp_path / "s.tif", width=8)[0, 0, 0] > thumbnail(tmp_path / "s.tif", width=8)[0, -1, 0]
    monkeypatch.setattr(thumbnails, "MAX_PIXELS", 100)
    assert thumbnail(tmp_path / "s.tif", width=64).shape == (10, 10, 3)
    with pytest.raises(UNetError):
        thumbnail(tmp_path / "none.tif")
