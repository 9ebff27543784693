"""The scale that learning begins at: by what was corrected, or as somebody said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hand_made import bright
from napari_unet.axes import Image, PixelSize
from napari_unet.corrections.corrections import Corrections
from napari_unet.inference.in_memory import segment
from napari_unet.inference.scale import magnification
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.from_labels import finetune
from napari_unet.learning.from_scratch import from_scratch_config
from napari_unet.learning.held_out import predict_regions
from napari_unet.learning.interactive import Rescaled, learning_steps
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.scale import at_fitting_scale, at_scale_of_labels, rescales
from napari_unet.learning.split import split_annotations
from napari_unet.models.model import Model

TYPICAL = DEFAULT_POLICY.scale.typical_to_corrected


def painted(model, width=40, n=4, reviewed=False, n_ids=20, **about):
    """Squares that somebody painted, or found to be right, on an image of 320 x 320 pixels."""
    labels = np.zeros((1, 1, 320, 320), np.int32)
    for i in range(n):
        y, x = divmod(i, 4)
        labels[0, 0, 10 + 70 * y : 10 + 70 * y + width, 10 + 70 * x : 10 + 70 * x + width] = i % n_ids + 1
    corrections = Corrections(labels.shape)
    if reviewed:
        corrections.prediction[:] = labels
        corrections.reviewed[:] = True
    corrections.update(labels)
    image = Image((labels[0, 0] > 0).astype(np.float32), "YX", **about)
    return annotated_crops(image, labels, corrections, model)


def disc(width):
    return 2 * width / np.sqrt(np.pi)


def test_objects_that_fit_change_nothing():
    model = bright(diameter=30)
    assert at_fitting_scale(model, painted(model, 40)) is model


def test_wide_objects_are_learned_on_a_coarser_image_and_that_is_remembered():
    model = bright(diameter=10)
    crops = painted(model, 40)
    fitting = at_fitting_scale(model, crops)
    assert fitting.net is model.net
    assert fitting.info.diameter == 10
    assert fitting.info.image_diameter == pytest.approx(TYPICAL * disc(40))
    assert magnification(crops[0].image, fitting.info) == pytest.approx([10 / (TYPICAL * disc(40))] * 2)
    assert rescales(model, fitting, crops)
    assert at_fitting_scale(fitting, painted(fitting, 40)) is fitting  # and stays so


def test_specks_beside_what_was_painted_are_no_measure():
    model = bright(diameter=10)
    labels = np.zeros((1, 1, 320, 320), np.int32)
    corrections = Corrections(labels.shape)
    for i in range(4):
        for k in range(5):
            labels[0, 0, 49, 12 + 70 * i + 7 * k : 15 + 70 * i + 7 * k] = 100 + 5 * i + k  # in the ring around it
    corrections.prediction[:] = labels
    for i in range(4):
        labels[0, 0, 50:90, 10 + 70 * i : 50 + 70 * i] = i + 1
    corrections.update(labels)
    crops = annotated_crops(Image((labels[0, 0] > 0).astype(np.float32), "YX"), labels, corrections, model)
    assert at_fitting_scale(model, crops).info.image_diameter == pytest.approx(TYPICAL * disc(40))


@pytest.mark.parametrize("reviewed", [False, True])
def test_an_id_in_several_places_is_measured_piece_by_piece(reviewed):
    model = bright(diameter=10)
    found = [at_fitting_scale(model, painted(model, 40, 8, reviewed, n_ids)).info.image_diameter for n_ids in (8, 4)]
    assert found[0] == pytest.approx(found[1])


def test_reviewed_objects_are_not_only_those_that_stand_out():
    model = bright(diameter=10)
    fitting = at_fitting_scale(model, painted(model, 40, reviewed=True))
    assert fitting.info.image_diameter == pytest.approx(disc(40))


def test_small_objects_are_never_enlarged():
    model = bright(diameter=100)
    assert at_fitting_scale(model, painted(model, 10)) is model


def test_few_objects_say_nothing():
    model = bright(diameter=10)
    assert at_fitting_scale(model, painted(model, 40, n=2)) is model


def test_the_pixel_size_is_remembered_too():
    model = bright(diameter=10)
    fitting = at_fitting_scale(model, painted(model, 40, pixel_size=PixelSize(0.5, 0.5)))
    coarser = TYPICAL * disc(40) / 10
    assert fitting.info.pixel_size == pytest.approx([0.5 * coarser] * 2)
    finer = Image(np.zeros((64, 64)), "YX", PixelSize(0.25, 0.25))
    assert magnification(finer, fitting.info) == pytest.approx([0.5 / coarser] * 2)


def test_what_somebody_said_goes_before_what_is_measured():
    model = bright(diameter=10)
    crops = painted(model, 40, diameter=20)
    fitting = at_fitting_scale(model, crops)
    assert fitting.info.image_diameter == pytest.approx(20)
    assert not rescales(model, fitting, crops)  # it was looked at in this way before
    assert at_fitting_scale(model, painted(model, 40, diameter=11)) is model


@pytest.mark.parametrize("known", [None, 15])
def test_dense_labels_are_learned_at_their_scale(known):
    model = bright(diameter=10)
    (one,) = painted(model, 40, reviewed=True, diameter=known)
    fitting = at_scale_of_labels(model, [one.image], [one.part.labels[None]])
    assert fitting.info.image_diameter == (None if known else pytest.approx(disc(40)))  # 15 is not far from 10
    used_to = bright(diameter=40)
    if known is None:
        assert at_scale_of_labels(used_to, [one.image], [one.part.labels[None]]) is used_to


def blocks(depth, width=40, n=4):
    """Labels (T, Z, Y, X) of blocks that lie in so many slices."""
    labels = np.zeros((1, depth + 4, 100, 100), np.int32)
    for i in range(n):
        y, x = divmod(i, 2)
        labels[0, 2 : 2 + depth, 5 + 50 * y : 5 + 50 * y + width, 5 + 50 * x : 5 + 50 * x + width] = i + 1
    return labels


@pytest.mark.parametrize(
    ("depth", "deep", "ratio"),
    [(6, 1, disc(40) / 10), (20, 0.5, 0.5 * disc(40) / 10), (60, 10 / disc(40), None), (90, 10 / disc(40), None)],
)
def test_volumes_lose_slices_only_where_objects_are_deep(depth, deep, ratio):
    model = bright(ndim=3, diameter=10)
    labels = blocks(depth)
    image = Image((labels[0] > 0).astype(np.float32), "ZYX")
    info = at_scale_of_labels(model, [image], [labels]).info
    assert magnification(image, info) == pytest.approx([deep, 10 / disc(40), 10 / disc(40)])
    assert info.depth_ratio == (ratio and pytest.approx(ratio))
    assert at_scale_of_labels(Model(model.net, info), [image], [labels]).info is info  # and stays so


def test_slices_that_are_kept_are_noted_in_the_pixel_size_where_it_is_known():
    labels = blocks(6)
    image = Image((labels[0] > 0).astype(np.float32), "ZYX", PixelSize(0.5, 0.5, 2.0))
    info = at_scale_of_labels(bright(ndim=3, diameter=10), [image], [labels]).info
    assert info.pixel_size == pytest.approx([2.0, 0.05 * disc(40), 0.05 * disc(40)])
    assert magnification(image, info) == pytest.approx([1, 10 / disc(40), 10 / disc(40)])


@pytest.mark.parametrize(("slices", "deep"), [(slice(None), 1), (slice(4, 5), 10 / disc(40) / TYPICAL)])
def test_the_depth_of_corrected_objects_counts_where_they_are_in_several_slices(slices, deep):
    model = bright(ndim=3, diameter=10)
    labels = np.zeros_like(blocks(6))
    labels[:, slices] = blocks(6)[:, slices]
    corrections = Corrections(labels.shape)
    corrections.update(labels)
    image = Image((labels[0] > 0).astype(np.float32), "ZYX")
    crops = annotated_crops(image, labels, corrections, model)
    assert magnification(image, at_fitting_scale(model, crops).info)[0] == pytest.approx(deep)


def test_finetune_goes_to_a_coarser_scale_and_says_so_in_the_model():
    model = bright(diameter=10)
    (one,) = painted(model, 40, reviewed=True)
    better = finetune(model, [one.image.data], [one.part.labels[0]], steps=1, device="cpu")
    assert better.info.image_diameter == pytest.approx(disc(40))
    assert segment(one.image.data, better, device="cpu").task.zoom == pytest.approx([10 / disc(40)] * 2)


def test_a_model_of_classes_has_no_diameter():
    model = bright(task="semantic", outputs=("class_0", "class_1"), classes=("a", "b"))
    assert at_fitting_scale(model, []) is model


@pytest.mark.parametrize(("width", "known", "image"), [(30, TYPICAL * disc(30), None), (60, 30.0, TYPICAL * disc(60))])
def test_a_model_from_nothing_works_at_the_size_that_was_painted(width, known, image):
    model = bright(recipe={"method": "from scratch", "steps": 0})
    info = at_fitting_scale(model, painted(model, width)).info
    assert info.diameter == pytest.approx(known)
    assert info.image_diameter == (image and pytest.approx(image))


def test_the_ring_is_as_wide_for_the_network():
    model = bright(diameter=10)
    crops = painted(model, 40)
    sample = split_annotations(at_fitting_scale(model, crops), crops).samples[0]
    beside = sample.supervised[0] & (sample.targets[0] == 0)
    assert beside.sum() > 0.7 * (sample.supervised[0].sum() - beside.sum())  # squares of 12 x 12, and 2 around each


def test_learning_says_so_and_the_new_model_knows():
    model = replace(bright(), info=bright(diameter=10).info)
    steps = learning_steps(model, painted(model, 40), None, "cpu", settings={"steps": 2, "patch": (32, 32)})
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            learned = end.value
            break
    said = [event for event in events if isinstance(event, Rescaled)]
    assert [str(event) for event in said] == ["Objects are about 34 pixels wide; learning on a smaller image."]
    assert learned.model.info.image_diameter == pytest.approx(TYPICAL * disc(40))


def test_a_model_from_nothing_learns_at_its_scale():
    model = bright(recipe={"method": "from scratch", "steps": 0})
    assert from_scratch_config(model).steps
    steps = learning_steps(model, painted(model, 60), None, "cpu", settings={"steps": 2, "patch": (32, 32)})
    assert isinstance(next(steps), Rescaled)


def test_old_and_new_are_compared_each_at_its_own_scale(blobs):
    """The old model finds the objects where it works; it is not asked at a scale at which they are too small for it."""
    import torch

    model = bright(diameter=4, decoding={"min_size": 12})
    truth = np.zeros((1, 1, 320, 320), np.int32)
    for i in range(64):
        y, x = divmod(i, 8)
        truth[0, 0, 5 + 40 * y : 15 + 40 * y, 5 + 40 * x : 15 + 40 * x] = i + 1
    corrections = Corrections(truth.shape)
    corrections.prediction[:] = truth
    corrections.reviewed[:] = True
    corrections.update(truth)
    crops = annotated_crops(Image((truth[0, 0] > 0).astype(np.float32), "YX"), truth, corrections, model)
    fitting = at_fitting_scale(model, crops)
    regions = split_annotations(fitting, crops, before=model).held_out
    assert regions
    for region, shown in zip(regions, predict_regions(regions, model, torch.device("cpu"), before=True), strict=True):
        assert region.image.shape != region.image_before.shape
        assert shown.shape == region.labels.shape
        assert len(np.unique(shown)) == len(np.unique(region.labels))


def test_what_was_found_on_the_image_is_where_learning_begins():
    model = bright(diameter=10)
    near = painted(model, 24, found_diameter=20.0)
    assert magnification(near[0].image, model.info) == (0.5, 0.5)
    assert at_fitting_scale(model, near) is model, "as it is looked at, the objects fit"
    far = painted(model, 60, found_diameter=20.0)
    fitting = at_fitting_scale(model, far)
    assert fitting.info.image_diameter == pytest.approx(TYPICAL * disc(60)), "what is corrected tells better"
    assert magnification(far[0].image, fitting.info) == pytest.approx([10 / (TYPICAL * disc(60))] * 2)
