"""The record of a segmentation: the same for the same work, another for another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from napari_unet.axes import PixelSize
from napari_unet.errors import FileFormatError
from napari_unet.inference.record import segmentation_record
from napari_unet.inference.task import Subimage, make_task
from napari_unet.io.readers import read_image


@pytest.fixture
def stack(tmp_path):
    """A file of two channels and three slices."""
    path = tmp_path / "stack.tif"
    pixels = np.random.default_rng(0).integers(0, 200, (3, 2, 40, 40), np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "ZCYX"})
    return path


def test_what_is_recorded(stack, tiny_model):
    model = tiny_model()
    image = read_image(stack).with_pixel_size(PixelSize(y=0.1 + 0.2, x=0.25))
    record = segmentation_record(stack, make_task(image, model, channel=1, flips=True), axes="ZCYX", series=0)
    assert json.loads(json.dumps(record)) == record, "plain values"
    assert (record["command"], record["settings"]) == ("segment", {"mode": "exact"})
    assert record["inputs"] == [
        {
            "image": {"name": "stack.tif", "sha256": hashlib.sha256(stack.read_bytes()).hexdigest()},
            "segmentations": [
                {
                    "model": {"name": "tiny", "sha256": model.sha256()},
                    "extent": "all",
                    "axes": "ZCYX",
                    "pixel_size_um": [0.3, 0.25],
                    "channel": 1,
                    "series": 0,
                    "flips": True,
                }
            ],
        }
    ]


def test_the_same_work_gives_the_same_record(stack, tiny_model):
    def record(seed=0, **changes):
        image = read_image(stack)
        if "diameter" in changes:
            image = replace(image, diameter=changes.pop("diameter"))
        model = tiny_model(seed, {"diameter": 20.0, "image_diameter": 20.0})
        return segmentation_record(stack, make_task(image, model, **changes))

    first = record()
    assert record() == record(channel=0) == record(tile=32) == first
    others = [record(seed=1), record(channel=1), record(flips=True), record(diameter=30.0)]
    others.append(record(subimages=[Subimage(0, 0)]))
    assert len({json.dumps(other) for other in [first, *others]}) == 6


def test_a_file_that_is_gone(stack, tiny_model):
    task = make_task(read_image(stack), tiny_model())
    stack.unlink()
    with pytest.raises(FileFormatError, match=r"stack\.tif is no longer there"):
        segmentation_record(stack, task)
