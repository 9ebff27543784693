"""Learning in volumes of a kind that the shipped model does not know: what it was taught it finds again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.in_memory import segment
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.dense import train_steps, training_config
from napari_unet.learning.interactive import learning_steps
from napari_unet.models.store import load_model
from napari_unet.objects.decode import Decoding
from napari_unet.progress import drive

SIZES = {"small": ((3, 3, 3), (6, 8, 8)), "flat": ((2, 5, 5), (6, 14, 14))}
"""Radii of the objects, and from middle to middle (Z, Y, X), voxels."""


def dark_objects(kind: str, seed: int) -> tuple[Image, np.ndarray]:
    """Dark objects on a bright, noisy ground; labels (Z, Y, X)."""
    rng = np.random.default_rng(seed)
    radii, step = SIZES[kind]
    shape = tuple(4 * s + s // 2 for s in step)
    labels = np.zeros(shape, np.int32)
    grid = np.indices(shape)
    for index in np.ndindex(4, 4, 4):
        middle = np.array(step) * (np.array(index) + 0.6) + rng.uniform(-1, 1, 3)
        distance = sum(((g - m) / r) ** 2 for g, m, r in zip(grid, middle, radii, strict=True))
        labels[(distance < 1) & (labels == 0)] = 1 + np.ravel_multi_index(index, (4, 4, 4))
    image = 1 - ndimage.gaussian_filter((labels > 0).astype(np.float32), (0.5, 0.7, 0.7)) + rng.normal(0, 0.1, shape)
    return Image(image.astype(np.float32), "ZYX", name=f"{kind} {seed}"), labels


@pytest.mark.parametrize("kind", SIZES)
def test_what_was_taught_in_volumes_is_found_again(kind):
    images, labels = zip(*(dark_objects(kind, seed) for seed in range(2)), strict=True)
    other, its_labels = dark_objects(kind, 2)
    model = load_model("nuclei3d")
    config = training_config(model, scratch=False, steps=60, max_seconds=None, seed=0)
    better = drive(train_steps(model, images, labels, config, device="cpu"), lambda report: None)

    def ap(one, image, truth):
        return evaluate([truth], [segment(image, one, device="cpu").labels]).ap["0.50"]

    assert ap(model, other, its_labels) < 0.3
    assert min(ap(better, image, truth) for image, truth in zip(images, labels, strict=True)) >= 0.8
    assert ap(better, other, its_labels) >= 0.7


@pytest.mark.parametrize("threshold", [0.5, 0.99])
def test_a_model_that_finds_nothing_of_what_was_drawn_in_a_volume_waits(bright_model, threshold):
    """`bright_model` does not change in a step at this rate: with the lower threshold it finds what is bright."""
    image, labels = dark_objects("small", 0)
    image = Image(1 - image.data, "ZYX")
    drawn = np.where(labels <= 5, labels, 0)
    corrections = Corrections((1, *labels.shape))
    corrections.seen[:] = True
    corrections.update(drawn[None])
    recipe = {"new_domain": True, "steps": 1}
    model = bright_model(threshold, ndim=3, info={"recipe": recipe, "decoding": Decoding(min_size=5)})
    crops = annotated_crops(image, drawn[None], corrections, model)
    settings = {"steps": 1, "learning_rate": 1e-9, "patch": (8, 16, 16)}
    verdict = drive(learning_steps(model, crops, None, "cpu", settings=settings), lambda event: None).verdict
    assert verdict.finds_nothing == (threshold == 0.99)
    assert verdict.should_promote() == (threshold == 0.5)


def test_eight_objects_drawn_where_the_model_found_huge_shapes_are_found_again_and_others_with_them():
    """Who deletes a shape and draws some of the objects in it has not said that all else in it is background."""
    (image, labels), (other, its_labels) = (dark_objects("small", seed) for seed in (0, 2))
    model = load_model("nuclei3d")
    found = segment(image, model, device="cpu").labels
    drawn = np.where(labels % 8 == 1, labels, 0)
    huge = np.unique(found[drawn > 0])
    now = np.where(np.isin(found, huge), 0, found)
    now[drawn > 0] = drawn[drawn > 0] + found.max()
    corrections = Corrections((1, *labels.shape))
    corrections.prediction[0], corrections.seen[:] = found, True
    corrections.update(now[None])
    crops = annotated_crops(image, now[None], corrections, model)
    learned = drive(learning_steps(model, crops, None, "cpu", settings={"steps": 160}), lambda event: None)

    def ap(one, image, truth):
        return evaluate([truth], [segment(image, one, device="cpu").labels]).ap["0.50"]

    assert ap(model, other, its_labels) < 0.1
    assert learned.verdict.should_promote()
    assert ap(learned.model, image, labels) >= 0.7
    assert ap(learned.model, other, its_labels) >= 0.6
