"""A model with its sliders elsewhere: in scripts, in files, and on record."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import napari_unet as nu
from hand_made import bright, squares
from napari_unet.errors import ModelMismatchError, UNetError
from napari_unet.inference.adjusting import adjusted
from napari_unet.inference.files import segment_file
from napari_unet.inference.options import SegmentOptions
from napari_unet.io.jobs import FileJob
from napari_unet.io.stored_record import stored_record
from napari_unet.objects.decode import Decoding
from napari_unet.objects.redecoding import Sliders

DIM = 0.46  # a foreground of 0.17: found from a sensitivity of 0.83 on


def test_each_number_sets_what_its_slider_sets():
    model = bright()
    found = adjusted(model, sensitivity=0.9, separation=0.25, min_size=40)
    sliders = Sliders.of(found.info.decoding)
    assert (sliders.sensitivity, sliders.separation, sliders.smallest) == (pytest.approx(0.9), 0.25, 40)
    assert found.net is model.net
    assert found.info.original_decoding == model.info.decoding
    assert adjusted(model) is model
    assert adjusted(adjusted(model, min_size=40), min_size=model.info.decoding.min_size).info == model.info


@pytest.mark.parametrize("seeds", ["distance", "flows", "shape"])
def test_where_sliders_stand_is_enough_to_set_them_again(seeds):
    rng = np.random.default_rng(0)
    for _ in range(50):
        own = Decoding(seeds=seeds)
        sliders = Sliders(*rng.uniform(0.02, 0.98, 2), int(rng.integers(0, 500)))
        wanted = sliders.applied(own)
        again = Sliders.of(wanted).applied(own)
        for name in ("foreground", "prominence", "smoothing", "min_size"):
            assert getattr(again, name) == pytest.approx(getattr(wanted, name), abs=1e-12), name


def test_a_script_finds_what_the_sliders_find():
    image = squares(dim=DIM)
    assert nu.segment(image, bright(), device="cpu").n_objects == 3
    assert nu.segment(image, bright(), device="cpu", sensitivity=0.9).n_objects == 4
    assert nu.segment(image, bright(), device="cpu", sensitivity=0.9, min_size=101).n_objects == 0


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"sensitivity": 1.2}, "sensitivity is 1.2; it must be a number from 0 to 1."),
        ({"separation": float("nan")}, "separation is nan; it must be a number from 0 to 1."),
        ({"separation": "much"}, "separation is 'much'; it must be a number from 0 to 1."),
        ({"min_size": -1}, "min_size is -1; it must be a number from 0 to 1e+09."),
        ({"sensitivity": True}, "sensitivity is True; it must be a number from 0 to 1."),
    ],
)
def test_numbers_out_of_range_are_refused(asked, told):
    with pytest.raises(UNetError) as caught:
        nu.segment(squares(), bright(), device="cpu", **asked)
    assert str(caught.value) == told


def test_classes_have_no_sliders():
    classes = bright(task="semantic", outputs=("class_0", "class_1"))
    with pytest.raises(ModelMismatchError, match="finds classes"):
        nu.segment(squares(), classes, device="cpu", min_size=4)


def test_a_file_is_segmented_so_and_its_record_says_it(tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", squares(dim=DIM).astype(np.float32))
    job = FileJob(tmp_path / "cells.tif", tmp_path / "cells_labels.tif")
    report = segment_file(job, bright(), SegmentOptions(device="cpu", sensitivity=0.9))
    assert report["n_objects"] == 4
    (made,) = stored_record(job.target)["inputs"][0]["segmentations"]
    assert made["decoding"]["foreground"] == pytest.approx(0.1)
