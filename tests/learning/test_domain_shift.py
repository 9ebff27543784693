"""Whether a model is out of domain on labelled images; on corrections, see `test_interactive`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.axes import Image
from napari_unet.learning import domain_shift
from napari_unet.learning.finetune import finetune_config
from napari_unet.learning.from_labels import finetune
from napari_unet.learning.policy import DomainShiftPolicy, Policy
from napari_unet.models.model import Model
from napari_unet.models.replay_set import load_replay_set
from napari_unet.models.store import load_model

CPU = torch.device("cpu")


@pytest.fixture
def squares():
    """Image and labels, axes (T, Z, Y, X): 16 squares, of which the lower eight are too dim for `bright_model`."""
    rng = np.random.default_rng(0)
    image, labels = rng.normal(0.0, 0.01, (100, 100)), np.zeros((1, 1, 100, 100), np.int32)
    for index, (y, x) in enumerate(((y, x) for y in (6, 30, 54, 78) for x in (6, 30, 54, 78)), start=1):
        image[y : y + 12, x : x + 12] += 1.0 if y < 48 else 0.2
        labels[0, 0, y : y + 12, x : x + 12] = index
    return Image(image.astype(np.float32), "YX"), labels


@pytest.fixture
def model(bright_model):
    return bright_model(steepness=8.0)


def test_a_model_that_misses_half_is(squares, model):
    image, labels = squares
    assert domain_shift.errors_on_labels(model, [image], [labels], [None], CPU).are_out_of_domain()


def test_one_that_finds_what_is_labelled_is_not(squares, model):
    """What lies where nothing is known does not count, on either side."""
    image, labels = squares
    known = np.zeros(labels.shape, bool)
    known[..., :48, :] = True
    assert not domain_shift.errors_on_labels(model, [image], [np.where(known, labels, 0)], [known], CPU).are_many()
    assert domain_shift.errors_on_labels(model, [image], [np.zeros_like(labels)], [known], CPU).are_out_of_domain(), (
        "eight that are none"
    )


def test_outlines_that_are_wrong_alone(squares, model):
    """Labels a good deal larger than what is found: there is much to learn, and the kind of images is known."""
    image, labels = squares
    known = np.zeros(labels.shape, bool)
    known[..., :50, :] = True
    wide = ndimage.grey_dilation(labels, (1, 1, 5, 5)) * known
    errors = domain_shift.errors_on_labels(model, [image], [wide], [known], CPU)
    assert errors.are_many()
    assert not errors.are_out_of_domain()
    config = finetune_config(model, many_errors=errors.are_many(), out_of_domain=errors.are_out_of_domain())
    assert (config.learning_rate, config.distillation) == (1e-3, 1.0)


def test_classes_never_are(squares, model):
    image, labels = squares
    semantic = Model(model.net, model.info.model_copy(update={"task": "semantic"}))
    assert not domain_shift.errors_on_labels(semantic, [image], [labels], [None], CPU).are_many()


def test_of_a_large_image_a_part_is_segmented(squares, model):
    """It lies where something is known: here the lower right corner, with squares that are missed."""
    image, labels = squares
    policy = Policy(domain_shift=DomainShiftPolicy(max_region_width=50, min_objects=4))
    known = np.zeros(labels.shape, bool)
    known[..., 50:, 50:] = True
    errors = domain_shift.errors_on_labels(model, [image], [labels], [known], CPU, policy)
    assert errors.are_out_of_domain(policy.domain_shift)


def test_finetuning_learns_faster_where_it_is(squares, model):
    image, labels = squares
    learned = [
        finetune(model, [image], [truth], steps=1, device="cpu").info
        for truth in (labels[0, 0], np.where(np.arange(100)[:, None] < 48, labels[0, 0], 0))
    ]
    assert [info.recipe["learning_rate"] for info in learned] == [2e-3, 1e-4]
    assert learned[0].description == (
        f"Learned another kind of image from corrections. For what {model.name} was made for, use {model.name}."
    )
    assert learned[1].description == model.info.description


def test_a_volume_that_looks_otherwise_is_and_one_that_was_learned_is_not():
    model, patch = load_model("nuclei3d"), load_replay_set("nuclei3d")[0]
    known = patch.image[:, 8:24, 16:80, 16:80]
    assert not domain_shift.looks_out_of_domain(model, known)
    assert domain_shift.looks_out_of_domain(model, 1 - known), "dark on bright ground"
    assert not domain_shift.looks_out_of_domain(model, known[:, :2]), "too few slices to tell"


def test_of_planes_corrections_alone_tell(squares, model):
    image, _ = squares
    assert not domain_shift.looks_out_of_domain(model, 1 - image.data[None])
