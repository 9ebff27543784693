"""What has to be read of a large image to refer to it is read once, and anew when the file has changed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import pytest
import tifffile

from napari_unet.io.readers import read_image
from napari_unet.projects import images

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that pixels are read and hashed."""
    found: list[int] = []
    sampled = images.sampled_sha256

    def counted(image: images.Image) -> str:
        found.append(1)
        return sampled(image)

    monkeypatch.setattr(images, "sampled_sha256", counted)
    monkeypatch.setattr(images, "_known", {})
    return found


def test_it_is_read_once(tmp_path: Path, reads: list[int]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.arange(64, dtype=np.uint8).reshape(8, 8))
    lazy = da.from_array(tifffile.imread(path))
    image = dataclasses.replace(read_image(path), data=lazy, identity=("layer", 0))
    images.read_ahead(image, path)
    before = len(reads)
    first = images.refer(image, path, tmp_path / "p.unetproj", tmp_path / "copy")
    assert len(reads) == before, "all is known"
    assert first.path.endswith("a.tif")

    tifffile.imwrite(path, np.ones((9, 8), np.uint8))  # replaced by another program
    images.refer(image, path, tmp_path / "p.unetproj", tmp_path / "image-1.zarr")
    other = dataclasses.replace(image, identity=("layer", 1))
    before = len(reads)
    images.refer(other, path, tmp_path / "p.unetproj", tmp_path / "image-2.zarr")
    assert len(reads) > before, "the layer has other data now"


def test_pixels_in_memory_are_read_each_time(tmp_path: Path, reads: list[int]) -> None:
    path = tmp_path / "a.tif"
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    tifffile.imwrite(path, pixels)
    image = images.Image(pixels, "YX", identity=("layer", 0))
    first = images.refer(image, path, tmp_path / "p.unetproj", tmp_path / "image-1.zarr")
    pixels[4, 4] = 0
    second = images.refer(image, path, tmp_path / "p.unetproj", tmp_path / "image-2.zarr")
    assert (first.path[-5:], second.path) == ("a.tif", "image-2.zarr"), "a pixel was changed"
