"""What is written as OME-Zarr, as a reader of somebody else's understands it."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest
import zarr

from napari_unet.axes import PixelSize, Placement
from napari_unet.io.writers import write_labels, write_maps
from napari_unet.io.zarr_writer import create_zarr

yaozarrs = pytest.importorskip("yaozarrs", minversion="0.2")  # `make test` installs it

LENGTHS = {"T": 2, "C": 3, "Z": 4, "Y": 20, "X": 30}


def assert_valid(path, *, labels: bool) -> None:
    """Check metadata and arrays; what the specification only recommends counts as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = yaozarrs.validate_zarr_store(path)
    assert group.ome_version() == "0.4"
    metadata = group.ome_metadata()
    assert isinstance(metadata, yaozarrs.v04.LabelImage) == labels
    for multiscale in metadata.multiscales:
        for dataset in multiscale.datasets:
            assert group[dataset.path].ndim == len(multiscale.axes)  # not looked at in label images


@pytest.mark.parametrize("axes", ["YX", "XY", "ZYX", "TYX", "TZYX", "XZYT"])
@pytest.mark.parametrize("pixel_size", [None, PixelSize(y=0.5, x=0.25), PixelSize(y=0.5, x=0.25, z=2.0)])
def test_labels(tmp_path, axes, pixel_size):
    labels = np.random.default_rng(0).integers(0, 900, [LENGTHS[axis] for axis in axes])
    assert_valid(write_labels(tmp_path / "a.zarr", labels, axes, pixel_size), labels=True)


@pytest.mark.parametrize("axes", ["CYX", "CZYX", "CTYX", "CTZYX", "YX"])
def test_maps(tmp_path, axes):
    maps = np.random.default_rng(0).random([LENGTHS[axis] for axis in axes])
    assert_valid(write_maps(tmp_path / "a.zarr", maps, axes, PixelSize(y=0.5, x=0.5, z=2.0)), labels=False)


def test_an_array_that_nothing_was_written_to(tmp_path):
    path = tmp_path / "a.ome.zarr"
    create_zarr(path, (2, 3, 4, 20, 30), "TCZYX", None, np.float16, name="a")
    assert_valid(path, labels=False)


@pytest.mark.parametrize("unit", ["nanometer", "", "µm", "um", "micrometre", "mm", "inches", "Å"])
def test_units_are_spelled_as_the_specification_has_them(tmp_path, unit):
    place = Placement("YX", (0.5, 0.25), (10.0, 20.0), (unit, unit))
    assert_valid(write_labels(tmp_path / "a.zarr", np.eye(9, dtype=int), "YX", placement=place), labels=True)


@pytest.mark.parametrize("harm", ["axes", "scale", "no array", "no whole numbers"])
def test_the_reader_notices_what_is_wrong(tmp_path, harm):
    path = write_labels(tmp_path / "a.zarr", np.eye(9, dtype=int), "YX", PixelSize(y=0.5, x=0.5))
    metadata = json.loads((path / ".zattrs").read_text())
    multiscale = metadata["multiscales"][0]
    if harm == "axes":
        multiscale["axes"].reverse()
        multiscale["axes"][0]["type"] = "channel"
    elif harm == "scale":
        multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] = [0.5]
    else:
        shutil.rmtree(path / "0")
        if harm == "no whole numbers":
            zarr.create_array(path / "0", data=np.eye(9), zarr_format=2)
    (path / ".zattrs").write_text(json.dumps(metadata))
    with pytest.raises(KeyError if harm == "no array" else ValueError):
        assert_valid(path, labels=True)
