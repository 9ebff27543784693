"""A zarr folder with damaged or missing chunks: they are named and count as empty, and the rest is used."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from napari_unet.errors import FileFormatError, is_short_of_memory
from napari_unet.io import lazy
from napari_unet.io.readers import read_image, read_labels
from napari_unet.io.zarr_writer import create_zarr

PIXELS = np.random.default_rng(0).integers(1, 250, (70, 90)).astype(np.uint8)


@pytest.fixture(params=["in memory", "on demand"])
def kept(request, monkeypatch):
    if request.param == "on demand":
        monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 0)
    return request.param


def written(folder, pixels=PIXELS, chunks=(32, 32), axes="YX"):
    create_zarr(folder, pixels.shape, axes, None, pixels.dtype, name="a", chunks=chunks)[...] = pixels
    return folder


def spoil(chunk):
    chunk.write_bytes(chunk.read_bytes()[:7] + b"\x00\xff")


def with_hole(*holes):
    expected = PIXELS.copy()
    for y, x in holes:
        expected[32 * y : 32 * y + 32, 32 * x : 32 * x + 32] = 0
    return expected


def test_damaged_chunks_are_named_and_count_as_empty(tmp_path, kept):
    path = written(tmp_path / "a.zarr")
    spoil(path / "0" / "1" / "0")
    spoil(path / "0" / "2" / "2")
    image = read_image(path, tolerant=True)
    assert np.array_equal(np.asarray(image.data), with_hole((1, 0), (2, 2)))
    assert set(image.damage.chunks) == {"0/1/0", "0/2/2"}
    assert str(image.damage) == "2 damaged chunks of a.zarr taken as empty: 0/1/0, 0/2/2."


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")], ids=repr)
@pytest.mark.parametrize("tolerant", [True, False])
def test_memory_that_runs_out_is_no_damage(tolerant, error, tmp_path, kept, monkeypatch):
    path = written(tmp_path / "a.zarr")

    def get(*_):
        raise error

    monkeypatch.setattr(zarr.Array, "__getitem__", get)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which one it is depends on where it is read
        np.asarray(read_image(path, tolerant=tolerant).data)
    assert is_short_of_memory(raised.value)
    assert "damaged" not in str(raised.value)


def test_nothing_is_said_of_what_was_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(lazy, "_CHUNK_BYTES", 0)
    path = written(tmp_path / "a.zarr")
    spoil(path / "0" / "1" / "0")
    image = read_image(path, tolerant=True)
    assert np.array_equal(np.asarray(image.data[:20]), PIXELS[:20])
    assert str(image.damage) == ""
    assert np.array_equal(np.asarray(image.data[40:50:3, 60:2:-7]), with_hole((1, 0))[40:50:3, 60:2:-7])
    assert list(image.damage.chunks) == ["0/1/0"]


@pytest.mark.parametrize("index", [(3,), (slice(2, 60, 5), 40), (..., slice(10, 20)), (slice(None), slice(30, 70))])
def test_any_index(tmp_path, index):
    from napari_unet.io.damage import Damage, read_intact

    path = written(tmp_path / "a.zarr")
    spoil(path / "0" / "0" / "1")
    damage = Damage("a")
    found = read_intact(zarr.open(str(path))["0"], index, damage)
    assert np.array_equal(found, with_hole((0, 1))[index])


def test_missing_chunks_are_counted(tmp_path, kept):
    path = written(tmp_path / "a.zarr")
    (path / "0" / "0" / "1").unlink()
    image = read_image(path, tolerant=True)
    assert np.array_equal(np.asarray(image.data), with_hole((0, 1)))
    assert str(image.damage) == "1 chunk of a.zarr not stored, and taken as empty."


def test_an_image_in_order_has_nothing_to_say(tmp_path, kept):
    image = read_image(written(tmp_path / "a.zarr"), tolerant=True)
    assert np.array_equal(np.asarray(image.data), PIXELS)
    assert str(image.damage) == ""


def test_where_everything_is_damaged_it_is_an_error(tmp_path, kept):
    path = written(tmp_path / "a.zarr")
    for chunk in (path / "0").glob("*/*"):
        spoil(chunk)
    with pytest.raises(FileFormatError, match=r"a\.zarr is damaged"):
        np.asarray(read_image(path, tolerant=True).data)


def test_labels_and_training_images_have_to_be_whole(tmp_path, kept):
    path = written(tmp_path / "a.zarr")
    spoil(path / "0" / "1" / "0")
    with pytest.raises(FileFormatError, match=r"a\.zarr is damaged"):
        np.asarray(read_image(path).data)
    with pytest.raises(FileFormatError, match=r"a\.zarr is damaged"):
        read_labels(path)


def test_a_folder_that_goes_away_is_not_an_empty_image(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 0)
    path = written(tmp_path / "a.zarr")
    image = read_image(path, tolerant=True)
    shutil.rmtree(path)
    with pytest.raises(FileFormatError, match=r"a\.zarr is no longer there"):
        np.asarray(image.data)
