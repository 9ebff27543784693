"""Images are found in files, folders and plates; what is none is named; and small pictures of them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.errors import UNetError
from napari_unet.io import thumbnails
from napari_unet.io.finding import FoundImage, LeftOut, find_images
from napari_unet.io.jobs import plan_files
from napari_unet.io.pairs import match_by_stem
from napari_unet.io.readers import read_image
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


def field(path, version="0.4", value=1):
    """An image as small as one can be."""
    if version == "0.5":
        group = zarr.open_group(path, mode="w", zarr_format=3)
        entry = {"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}
        group.attrs["ome"] = {"version": "0.5", "multiscales": [entry]}
    else:
        group = zarr.open_group(path, mode="w", zarr_format=2)
        group.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}], "version": version}]
    group.create_array("0", data=np.full((8, 9), value, np.uint8))


def plate(path, listed, version="0.4", there=None):
    """A plate of some wells and their fields: rows are no groups of their own, as some programs write it."""
    v3 = version == "0.5"
    said = {"plate": {"wells": [{"path": well} for well in listed], "version": version}}
    zarr.open_group(path, mode="w", zarr_format=3 if v3 else 2).attrs.update({"ome": said} if v3 else said)
    for well, fields in (listed if there is None else there).items():
        group = zarr.open_group(path / well, mode="w", zarr_format=3 if v3 else 2)
        said = {"well": {"images": [{"path": name} for name in listed[well]]}}
        group.attrs.update({"ome": said} if v3 else said)
        for name in fields:
            field(path / well / name, version)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_plates_and_wells(tmp_path, version):
    path = plate(tmp_path / "p.ome.zarr", {"A/1": ["0", "1"], "B/12": ["0"]}, version)
    assert names(path) == ["p A/1/0", "p A/1/1", "p B/12/0"]
    assert names(path / "A" / "1") == ["1 0", "1 1"]
    assert left_out(path) == {}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_missing_wells_are_named_and_the_rest_is_found(tmp_path, version):
    listed = {"A/1": ["0", "1"], "B/7": ["0"], "../q": ["0"], "C/1": ["0"]}
    path = plate(tmp_path / "p.zarr", listed, version, there={"A/1": ["1"], "C/1": ["0"]})
    metadata = path / "C" / "1" / ("zarr.json" if version == "0.5" else ".zattrs")
    metadata.write_text("{ damaged")
    assert names(path) == ["p A/1/1"]
    said = [(one.name, one.why) for one in find_images([path]) if isinstance(one, LeftOut)]
    assert [name for name, _ in said] == ["p A/1/0", "p B/7", "p ../q", "p C/1"]
    assert said[1][1] == "p.zarr lists B/7, which is not there or is damaged."


@pytest.mark.parametrize("wells", [[], [{"path": "B/7"}], [{}], None, "A/1", [{"path": ""}]])
def test_a_plate_without_images_is_told(tmp_path, wells):
    group = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2)
    group.attrs["plate"] = {"wells": wells}
    assert left_out(tmp_path / "p.zarr") == {"p.zarr": True}
    with pytest.raises(UNetError, match=r"p\.zarr"):
        read_image(tmp_path / "p.zarr")


def test_results_of_a_plate_are_named_after_well_and_field(tmp_path):
    path = plate(
        tmp_path / "ä plate.ome.zarr",
        {"A/1": ["0", "1"], "B/12": ["x y"]},
        "0.5",
        there={"A/1": ["0"], "B/12": ["x y"]},
    )
    told = []
    jobs = plan_files([path], tmp_path / "out", tell=told.append)
    assert [job.target.name for job in jobs] == ["ä plate_A_1_0_labels.tif", "ä plate_B_12_x y_labels.tif"]
    assert told == ["ä plate.ome.zarr lists wells or fields that are not there, or are damaged: A/1/1."]
    (alone,) = plan_files([path / "A" / "1" / "0"], tmp_path / "out")
    assert alone.target == jobs[0].target
    (tmp_path / "out").mkdir()
    for job in jobs:
        tifffile.imwrite(job.target, np.ones((8, 9), np.uint8))
    assert match_by_stem(path, tmp_path / "out") == [(job.source, job.target) for job in jobs]
    with pytest.raises(UNetError, match="named as a file is"):
        plan_files([path], tmp_path / "o.tif")


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
