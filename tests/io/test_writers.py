from __future__ import annotations

import errno
import json

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.axes import PixelSize, Placement
from napari_unet.errors import FileFormatError, ImageError, LabelsError
from napari_unet.io import writers, zarr_writer
from napari_unet.io.readers import read_image, read_labels
from napari_unet.io.writers import write_labels, write_maps

SHAPES = {"YX": (20, 30), "ZYX": (5, 20, 30), "TYX": (3, 20, 30), "TZYX": (2, 4, 20, 30)}


def make_labels(shape, highest=900, dtype=np.int32):
    labels = np.random.default_rng(0).integers(0, highest, shape).astype(dtype)
    labels.flat[0] = highest
    return labels


@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize("name", ["a.tif", "a.tiff", "a.ome.tif", "a.zarr"])
@pytest.mark.parametrize(("highest", "dtype"), [(900, np.uint16), (70_000, np.uint32)])
def test_round_trip(tmp_path, axes, name, highest, dtype):
    labels = make_labels(SHAPES[axes], highest)
    pixel_size = PixelSize(y=0.65, x=0.6, z=2.5 if "Z" in axes else None)
    path = write_labels(tmp_path / "made" / name, labels, axes, pixel_size)
    image = read_image(path)
    assert image.axes == axes
    assert image.data.dtype == dtype
    np.testing.assert_array_equal(image.data, labels)
    np.testing.assert_array_equal(read_labels(path), labels)
    assert image.pixel_size is not None
    assert (image.pixel_size.y, image.pixel_size.x) == pytest.approx((0.65, 0.6), rel=1e-6)
    assert image.pixel_size.z == pixel_size.z
    assert [p.name for p in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.zarr"])
def test_unknown_pixel_size_stays_unknown(tmp_path, name):
    image = read_image(write_labels(tmp_path / name, make_labels((4, 8, 9)), "ZYX"))
    assert image.pixel_size is None
    image = read_image(write_labels(tmp_path / name, make_labels((4, 8, 9)), "ZYX", PixelSize(1, 1), overwrite=True))
    assert image.pixel_size == PixelSize(1, 1)


def test_labels_in_zarr_lie_where_their_image_does(tmp_path):
    place = Placement("YXZ", (0.5, 0.25, 2.0), (10.0, 20.0, 0.0), ("nanometer", "nanometer", ""))
    path = write_labels(tmp_path / "a.zarr", make_labels((8, 9, 4)), "YXZ", placement=place)
    assert zarr.open(path).attrs["multiscales"][0]["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [2.0, 0.5, 0.25]},
        {"type": "translation", "translation": [0.0, 10.0, 20.0]},
    ]
    assert read_image(path).placement == Placement(
        "ZYX", (2.0, 0.5, 0.25), (0.0, 10.0, 20.0), ("", "nanometer", "nanometer")
    )


def test_axes_are_put_in_order(tmp_path):
    labels = make_labels((4, 2, 9, 8))
    image = read_image(write_labels(tmp_path / "a.tif", labels, "ZTXY"))
    assert image.axes == "TZYX"
    np.testing.assert_array_equal(image.data, labels.transpose(1, 0, 3, 2))


def test_small_labels_open_in_imagej(tmp_path):
    path = write_labels(tmp_path / "a.tif", make_labels((2, 4, 9, 8)), "TZYX", PixelSize(y=0.5, x=0.5, z=2))
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej
        assert not tif.is_bigtiff
        assert tif.imagej_metadata["slices"] == 4
        assert tif.imagej_metadata["frames"] == 2
        assert tif.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_very_large_labels_are_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "BIG_TIFF_BYTES", 100)
    labels = make_labels((4, 9, 8))
    path = write_labels(tmp_path / "a.tif", labels, "ZYX")
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff
    np.testing.assert_array_equal(read_labels(path), labels)


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_labels_on_disk_and_booleans(tmp_path, name):
    labels = make_labels((40, 50, 60))
    stored = zarr.create_array(tmp_path / "source", data=labels, chunks=(7, 20, 20))
    for source in (stored, da.from_array(labels, chunks=(8, 16, 16))):
        np.testing.assert_array_equal(read_labels(write_labels(tmp_path / name, source, "ZYX", overwrite=True)), labels)
    write_labels(tmp_path / name, labels > 5, "ZYX", overwrite=True)
    np.testing.assert_array_equal(read_labels(tmp_path / name), labels > 5)


@pytest.mark.parametrize(
    ("labels", "axes", "error"),
    [
        (np.zeros((4, 4)), "YX", LabelsError),
        (np.full((4, 4), -1), "YX", LabelsError),
        (np.full((4, 4), 2**32), "YX", LabelsError),
        (np.zeros((3, 4, 4), int), "CYX", LabelsError),
        (np.zeros((3, 4, 4), int), "YX", ImageError),
    ],
)
def test_what_cannot_be_written(tmp_path, labels, axes, error):
    with pytest.raises(error):
        write_labels(tmp_path / "a.tif", labels, axes)
    assert not list(tmp_path.iterdir())


def test_the_ending_is_checked(tmp_path):
    with pytest.raises(FileFormatError, match=r"\.tif or \.tiff or \.zarr"):
        write_labels(tmp_path / "a.png", np.zeros((4, 4), int), "YX")
    with pytest.raises(FileFormatError, match=r"must end in \.zarr"):
        write_maps(tmp_path / "a.tif", np.zeros((1, 4, 4)), "CYX")


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_existing_output_is_kept_unless_told_otherwise(tmp_path, name):
    first, second = make_labels((8, 9)), make_labels((8, 9), 50)
    write_labels(tmp_path / name, first, "YX")
    with pytest.raises(FileFormatError, match="--overwrite"):
        write_labels(tmp_path / name, second, "YX")
    np.testing.assert_array_equal(read_labels(tmp_path / name), first)
    write_labels(tmp_path / name, second, "YX", overwrite=True)
    np.testing.assert_array_equal(read_labels(tmp_path / name), second)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_folder_of_other_things_is_never_replaced(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileFormatError, match="other things"):
        write_labels(tmp_path / "a.zarr", make_labels((8, 9)), "YX", overwrite=True)
    assert (tmp_path / "a.zarr" / "thesis.txt").exists()


def full_disk_after(n):
    """Return planes of labels whose storage fails after `n` of them."""

    def fail(array):
        for number, index in enumerate(np.ndindex(array.shape[:-2])):
            if number == n:
                raise OSError(errno.ENOSPC, "No space left on device")
            yield np.asarray(array[index])

    return fail


@pytest.mark.parametrize("before", [None, 7])
def test_full_disk_leaves_no_half_tiff(tmp_path, monkeypatch, before):
    path = tmp_path / "a.tif"
    if before is not None:
        write_labels(path, np.full((4, 8, 9), before), "ZYX")
    monkeypatch.setattr(writers, "smallest_dtype", lambda labels: np.dtype(np.int32))
    monkeypatch.setattr(writers, "_planes", full_disk_after(2))
    with pytest.raises(FileFormatError, match="disk is full"):
        write_labels(path, make_labels((4, 8, 9)), "ZYX", overwrite=True)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else ["a.tif"])
    if before is not None:
        assert (read_labels(path) == before).all()


@pytest.mark.parametrize("before", [None, 7])
def test_full_disk_leaves_no_half_zarr(tmp_path, monkeypatch, before):
    path = tmp_path / "a.zarr"
    if before is not None:
        write_labels(path, np.full((4, 8, 9), before), "ZYX")

    def fail(letter, pixel_size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarr_writer, "_axis", fail)  # after the pixels, before the metadata
    with pytest.raises(FileFormatError, match="disk is full"):
        write_labels(path, make_labels((4, 8, 9)), "ZYX", overwrite=True)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else ["a.zarr"])
    if before is not None:
        assert (read_labels(path) == before).all()


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def stop(path, *args, **options):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(tifffile, "imwrite", stop)
    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path / "a.tif", make_labels((8, 9)), "YX")
    assert not list(tmp_path.iterdir())


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileFormatError, match="could not be written"):
        write_labels(tmp_path / "file" / "a.tif", make_labels((8, 9)), "YX")


def test_label_zarr_is_valid_ngff(tmp_path):
    path = write_labels(tmp_path / "a.zarr", make_labels((2, 40, 9, 8)), "TZYX", PixelSize(y=0.5, x=0.25, z=2))
    attributes = json.loads((path / ".zattrs").read_text())
    multiscale = attributes["multiscales"][0]
    assert multiscale["version"] == "0.4"
    assert [axis["type"] for axis in multiscale["axes"]] == ["time", "space", "space", "space"]
    assert multiscale["axes"][1]["unit"] == "micrometer"
    assert multiscale["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [1, 2, 0.5, 0.25]}]
    assert "image-label" in attributes
    array = json.loads((path / "0" / ".zarray").read_text())
    assert array["chunks"] == [1, 32, 9, 8]
    assert array["compressor"] is not None
    assert (path / "0" / "0" / "0" / "0" / "0").is_file()


def test_maps(tmp_path):
    maps = np.random.default_rng(0).random((3, 5, 20, 30))
    path = write_maps(tmp_path / "a_maps.zarr", maps, "CZYX", PixelSize(y=0.5, x=0.5, z=2))
    image = read_image(path)
    assert image.axes == "CZYX"
    assert image.data.dtype == np.float32
    assert image.pixel_size == PixelSize(y=0.5, x=0.5, z=2)
    np.testing.assert_array_equal(image.data, maps.astype(np.float32))
    with pytest.raises(FileFormatError, match="--overwrite"):
        write_maps(path, maps, "CZYX")


def test_maps_of_a_series_come_after_time(tmp_path):
    maps = np.random.default_rng(0).random((2, 3, 20, 30)).astype(np.float32)
    image = read_image(write_maps(tmp_path / "a.zarr", maps, "CTYX"))
    assert image.axes == "TCYX"
    np.testing.assert_array_equal(image.data, maps.swapaxes(0, 1))


@pytest.mark.parametrize("name", ["клетки 2 µm.tif", "井戸 A1 (копия).ome.tif", "cañón 50% #3 {x}.zarr"])
def test_spaces_and_letters_of_any_script(tmp_path, name):
    labels = np.arange(60, dtype=np.int32).reshape(3, 4, 5)
    folder = tmp_path / "папка with spaces – 組織"
    write_labels(folder / name, labels, "ZYX", PixelSize(z=2.0, y=0.5, x=0.25))
    image = read_image(folder / name)
    np.testing.assert_array_equal(image.data, labels)
    assert (image.axes, image.name, image.pixel_size.z) == ("ZYX", name, pytest.approx(2.0))
    assert [path.name for path in folder.iterdir()] == [name]
