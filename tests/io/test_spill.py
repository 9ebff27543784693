import os

import numpy as np
import pytest

from napari_unet.errors import UNetError
from napari_unet.io import spill


@pytest.fixture
def on_disk(monkeypatch, tmp_path):
    """Every array lies in a file."""
    monkeypatch.setattr(spill, "MAX_MEMORY_SHARE", 0)
    monkeypatch.setattr(spill.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(spill, "_kind_of_disk", lambda folder: "ext4")
    return tmp_path


def is_on_disk(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def test_a_small_array_lies_in_memory():
    assert not is_on_disk(spill.zeros((3, 4), np.int32))


def test_a_large_array_lies_in_a_file_that_nobody_sees(on_disk):
    array = spill.zeros((2, 30, 40), np.int32)
    assert is_on_disk(array)
    assert array.shape == (2, 30, 40)
    assert array.dtype == np.int32
    assert not array.any()
    array[1, 3:9] = 7
    assert array.sum() == 7 * 6 * 40
    assert os.name == "nt" or not list(on_disk.iterdir()), "it is gone with the program, however that ends"


def test_an_empty_array(on_disk, monkeypatch):
    monkeypatch.setattr(spill, "MAX_MEMORY_SHARE", 1)
    assert spill.zeros((0, 4), bool).shape == (0, 4)


def test_memory_that_looks_like_a_disk_is_passed_over(on_disk, monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    monkeypatch.setattr(spill.platformdirs, "user_cache_dir", lambda *args, **kwargs: str(cache))
    monkeypatch.setattr(spill, "_kind_of_disk", lambda folder: "ext4" if folder == cache else "tmpfs")
    assert spill._folder(10) == cache


@pytest.mark.parametrize("how", ["before", "meanwhile"])
def test_a_full_disk(on_disk, monkeypatch, how):
    if how == "before":
        monkeypatch.setattr(spill.psutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    else:

        def full(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(spill, "_reserve", full)
    with pytest.raises(UNetError, match=r"need 4\.0 GB"):
        spill.zeros((1, 1, 20_000, 50_000), np.int32)
    assert not list(on_disk.iterdir())
