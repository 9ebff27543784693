"""Thousands of corrected objects: what is done grows with their number, and not with its square."""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.fit_to_corrections import fit_to_corrections
from napari_unet.learning.from_labels import finetune
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.policy import FittingPolicy, Policy, SplitPolicy
from napari_unet.progress import drive

PACKAGE = "napari_unet"


def squares(side, gap=3):
    """Return an image of `side` x `side` bright squares, 5 pixels wide, and their labels."""
    one = np.pad(np.ones((5, 5), np.int32), ((0, gap), (0, gap)))
    labels = np.kron(np.arange(1, side**2 + 1, dtype=np.int32).reshape(side, side), one)
    return (labels > 0).astype(np.float32), labels


def by_arrays(model, side):
    """Fine-tune on labels."""
    image, labels = squares(side)
    return finetune(model, [image], [labels], steps=1, device="cpu").info.recipe["steps"]


def by_corrections(model, side):
    """Learn from objects of which some were drawn, some deleted, some reviewed, with the check and the fit."""
    image, ids = squares(side)
    labels = np.where(ids % 3 == 1, 0, ids)[None, None]
    corrections = Corrections(labels.shape)
    corrections.prediction[:], corrections.seen[:] = np.where(ids % 3 == 2, 0, ids), True
    corrections.reviewed[..., : ids.shape[0] // 2, :] = True
    corrections.update(labels)
    crops = annotated_crops(Image(image, "YX"), labels, corrections, model)
    steps = learning_steps(model, crops, None, "cpu", settings={"steps": 1})
    return drive(steps, lambda _: None).model.info.recipe["steps"]


def calls(function, *given):
    """Return what a function returns, and how many calls the package makes meanwhile: its own, and into libraries."""
    made: Counter[str] = Counter()

    def note(frame, event, _):
        if PACKAGE in frame.f_code.co_filename:
            made[event] += 1

    sys.setprofile(note)
    try:
        result = function(*given)
    finally:
        sys.setprofile(None)
    return result, made["call"] + made["c_call"]


@pytest.mark.parametrize("learn", [by_arrays, by_corrections])
def test_four_times_as_many_objects_take_about_four_times_as_many_calls(model, learn):
    learn(model, 8)  # what is made once
    (_, few), (steps, many) = calls(learn, model, 20), calls(learn, model, 40)
    assert steps == 1
    assert many < 5 * few


def test_parts_far_from_each_other_take_no_image_each(bright_model):
    """Of 1024 of them: in a mask of the whole image for each they would take 1.4 GB."""
    image, labels = squares(32, gap=31)
    corrections = Corrections((1, 1, *labels.shape))
    corrections.update(labels[None, None])
    model, policy = bright_model(), Policy(fitting=FittingPolicy(max_pixels=2**16), split=SplitPolicy(seen_distance=0))
    crops = annotated_crops(Image(image, "YX"), labels[None, None], corrections, model)
    tracemalloc.start()
    try:
        fit_to_corrections(model, crops, "cpu", policy=policy)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * labels.size
