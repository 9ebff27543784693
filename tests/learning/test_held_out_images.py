"""Where several images are reviewed, whole ones are held out, and never one that was learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.held_out_images import (
    HELD_OUT,
    LEARNED,
    digest_of,
    images_to_hold_out,
    noted,
    with_images_noted,
)
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.split import split_annotations
from napari_unet.progress import drive

names = st.frozensets(st.text("abcdefgh", min_size=1, max_size=2), max_size=20)


@pytest.fixture
def reviewed(blobs, model):
    """Returns the crops of some reviewed images, each with its name."""
    image, labels = blobs((96, 96), n=12)
    truth = labels.astype(np.int32)[None, None]

    def make(*names):
        crops = []
        for name in names:
            corrections = Corrections(truth.shape)
            corrections.prediction[:], corrections.seen[:], corrections.reviewed[:] = truth, True, True
            corrections.update(truth)
            crops += annotated_crops(Image(image, "YX", name=name), truth, corrections, model)
        return crops

    return make


@given(names, names, names)
def test_what_was_learned_from_is_never_held_out(reviewed, learned, held_out):
    chosen = images_to_hold_out(reviewed, learned, held_out)
    assert chosen <= reviewed - learned
    assert len(chosen) == min(len(reviewed) // 4, len(reviewed - learned))
    if chosen - held_out:
        assert (reviewed - learned) & held_out <= chosen, "those that were held out before come first"


def test_few_images_are_divided_into_squares(reviewed, model):
    split = split_annotations(model, reviewed("a", "b", "c"))
    assert not split.held_out_images
    assert split.learned_images == {digest_of(Image(np.zeros((1, 1)), "YX", name=name)) for name in "abc"}


def test_of_four_images_one_is_held_out_as_a_whole(reviewed, model):
    crops = reviewed("a", "b", "c", "d")
    split = split_annotations(model, crops)
    ((digest, name),) = split.held_out_images.items()
    assert name in "abcd"
    assert len(split.samples) == 3
    assert len(split.held_out) == 1
    assert split.held_out[0].mask.sum() == 96 * 96
    assert split.learned_images == {digest_of(one.image) for one in crops} - {digest}
    assert sum(sample.supervised[0].sum() for sample in split.samples) == 3 * 96 * 96


def test_an_image_that_joins_may_be_held_out_and_others_are_not(reviewed, model):
    earlier = split_annotations(model, reviewed("a", "b", "c"))
    split = split_annotations(model, reviewed("a", "b", "c", "d"), earlier=earlier)
    assert set(split.held_out_images.values()) == {"d"}
    again = split_annotations(model, reviewed("a", "b", "c", "d", "e"), earlier=split)
    assert set(again.held_out_images.values()) == {"d"}, "it stays, and the new one is learned from"


def test_a_model_remembers_what_it_was_learned_from(reviewed, model):
    first = split_annotations(model, reviewed("a", "b", "c", "d"))
    (held,) = first.held_out_images
    better = with_images_noted(model, model.info, first.learned_images, first.held_out_images)
    assert noted(better.info, LEARNED) == first.learned_images
    assert noted(better.info, HELD_OUT) == {held}
    second = split_annotations(better, reviewed("a", "b", "c", "d"))
    assert set(second.held_out_images) == {held}
    learned = with_images_noted(better, better.info, {held}, ())
    third = split_annotations(learned, reviewed("a", "b", "c", "d"))
    assert not third.held_out_images, "nothing is left that it has not learned from"


def test_too_few_objects_in_it_decide_nothing(reviewed, model):
    crops = reviewed("a", "b", "c", "d")
    few = [
        replace(one, part=replace(one.part, labels=np.where(one.part.labels <= 1, one.part.labels, 0))) for one in crops
    ]
    for one in few:
        one.part.corrections.prediction[:] = one.part.labels[None]
    assert not split_annotations(model, few).held_out_images


def test_learning_tells_which_images_it_was_compared_on(reviewed, model):
    settings = {"steps": 2, "patch": (32, 32), "batch_size": 1}
    steps = learning_steps(model, reviewed("a", "b", "c", "d"), None, "cpu", settings=settings)
    learned = drive(steps, lambda _: None)
    (name,) = learned.verdict.held_out_images
    assert f"(images that were not learned from: {name})" in learned.verdict.details
    assert noted(learned.model.info, HELD_OUT) == {digest_of(Image(np.zeros((1, 1)), "YX", name=name))}
    assert len(noted(learned.model.info, LEARNED)) == 3
