"""Learning from scratch: a few painted objects are enough for the others, and nobody paints background."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from napari_unet import progress
from napari_unet.axes import Image, PixelSize
from napari_unet.corrections.corrections import Corrections
from napari_unet.errors import NothingToLearnError
from napari_unet.evaluation.metrics import evaluate
from napari_unet.inference.in_memory import segment
from napari_unet.learning import from_scratch as module
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.background import predicted_objects, surroundings, with_background
from napari_unet.learning.crops import image_samples
from napari_unet.learning.finetune import CORRECTIONS
from napari_unet.learning.from_scratch import from_scratch_config, from_scratch_steps, painted_diameter
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.new_model import model_for_image
from napari_unet.learning.policy import FromScratchPolicy, Policy, PromotionPolicy
from napari_unet.learning.preview import Preview
from napari_unet.learning.split import split_annotations
from napari_unet.models.model import resolve_device
from napari_unet.progress import CancelToken, drive
from napari_unet.training.trainer import Trainer


def discs(shape=(160, 160), step=32, radius=9, seed=0):
    """Image and labels: bright discs in rows, on noise."""
    rng = np.random.default_rng(seed)
    labels, rows, columns = np.zeros(shape, np.int32), *np.indices(shape)
    for y in range(step // 2, shape[0], step):
        for x in range(step // 2, shape[1], step):
            cy, cx = y + rng.integers(-4, 5), x + rng.integers(-4, 5)
            labels[(rows - cy) ** 2 + (columns - cx) ** 2 <= radius**2] = labels.max() + 1
    pixels = ndimage.gaussian_filter((labels > 0).astype(float), 1) + rng.normal(0, 0.15, shape)
    return pixels.astype(np.float32), labels


def painted_samples(model, image, labels):
    """What is learned from when these labels (T, Z, Y, X) were painted and nothing was there before."""
    corrections = Corrections(labels.shape, instances=model.info.finds_objects)
    corrections.update(labels)
    return split_annotations(model, annotated_crops(image, labels, corrections, model)).samples


def quick(model, **changes):
    return from_scratch_config(
        model, **({"steps": 4, "max_seconds": None, "batch_size": 1, "patch": (32, 32)} | changes)
    )


def learned(model, samples, config, cancel=None):
    reports = []
    return drive(from_scratch_steps(model, samples, config, "cpu", cancel), reports.append), reports


# -- what it comes to --------------------------------------------------------------------------------------------------


def test_three_painted_discs_are_enough_to_find_the_others():
    pixels, truth = discs()
    image, model = Image(pixels, "YX"), model_for_image(Image(pixels, "YX"))
    painted = np.where(np.isin(truth, (7, 8, 18)), truth, 0)
    samples = painted_samples(model, image, painted[None, None])
    better, _ = learned(
        model, samples, from_scratch_config(model, steps=80, max_seconds=None, batch_size=2, patch=(96, 96))
    )
    scores = evaluate([truth], [segment(image, better, device="cpu").labels])
    assert scores.ap["0.50"] > 0.8, "one of the unpainted discs was as near to a painted one as background is"
    again, other = discs(seed=1)
    assert evaluate([other], [segment(again, better, axes="YX", device="cpu").labels]).ap["0.50"] > 0.8


def test_strokes_of_two_classes_are_enough_for_the_rest():
    pixels, truth = discs()
    image = Image(pixels, "YX")
    model = model_for_image(image, "semantic", classes=("background", "disc"))
    painted = np.zeros_like(truth)
    painted[40:56], painted[100:104] = 1 + (truth > 0)[40:56], 1 + (truth > 0)[100:104]
    samples = painted_samples(model, image, painted[None, None])
    better, _ = learned(
        model, samples, from_scratch_config(model, steps=60, max_seconds=None, batch_size=2, patch=(64, 64))
    )
    labels = segment(image, better, device="cpu").labels
    assert (labels == 1 + (truth > 0)).mean() > 0.95
    assert 0 not in labels, "what nobody painted is no class"


def test_a_painted_object_of_a_volume():
    pixels, truth = discs((64, 64))
    stack = np.stack([np.zeros_like(pixels)] * 3 + [pixels] * 4 + [np.zeros_like(pixels)] * 3)
    image = Image(stack, "ZYX", PixelSize(z=1.0, y=0.5, x=0.5))
    model = model_for_image(image, ndim=3)
    labels = np.zeros((1, *stack.shape), np.int32)
    labels[0, 4:6] = truth == 1
    (sample,) = painted_samples(model, image, labels)
    assert not sample.supervised[1][sample.targets[0] > 0].any(), "two slices may be the beginning of an object"
    labels[0, 3:7] = truth == 1
    (sample,) = painted_samples(model, image, labels)
    assert sample.supervised[1][sample.targets[0] > 0].all(), "it ends above and below what was painted"
    sample = with_background(model, sample, surroundings(model, sample, 10))
    assert sample.supervised[1][sample.targets[0] > 0].all()
    assert sample.supervised[0].any((1, 2)).tolist() == [False, False, *[True] * 6, False, False]
    better, _ = learned(model, [sample], quick(model, steps=2, patch=(8, 32, 32)))
    assert segment(image, better, device="cpu").labels.shape == stack.shape


# -- background --------------------------------------------------------------------------------------------------------


@pytest.fixture
def one_painted():
    """A model, and a sample with one painted disc beside one that was only predicted."""
    pixels, truth = discs((64, 64))
    image = Image(pixels, "YX")
    model = model_for_image(image)
    supervised = ndimage.binary_dilation(truth == 1, iterations=2)
    labels = np.where(truth <= 2, truth, 0)
    (sample,) = image_samples(image, model, labels[None, None], supervised[None, None])
    return model, sample, truth


def test_background_lies_near_painted_objects_and_in_none(one_painted):
    model, sample, truth = one_painted
    background = surroundings(model, sample, 20)
    distance = ndimage.distance_transform_edt(truth != 1)
    assert not background[(truth == 1) | (truth == 2) | (distance > 20)].any()
    assert background[(truth != 1) & (truth != 2) & (distance <= 20)].all()
    more = with_background(model, sample, background)
    assert (more.supervised[0] == sample.supervised[0] | background).all()
    assert not more.targets[:, background].any()
    assert more.supervised[0][tuple(more.focus.T)].all()


def test_what_a_model_sees_is_no_background(bright_model, one_painted):
    _, sample, truth = one_painted
    seen = predicted_objects(
        bright_model(threshold=0.6), replace(sample, image=(truth > 0)[None] * 1.0), resolve_device("cpu")
    )
    assert (seen == ndimage.binary_dilation(truth > 0)).all()


def test_diameter_is_that_of_one_object_also_where_two_touch():
    labels = np.zeros((1, 1, 64, 64), np.int32)
    labels[0, 0, 20:40, 10:30], labels[0, 0, 20:40, 30:50] = 1, 2
    image = Image(np.zeros((64, 64), np.float32), "YX")
    model = model_for_image(image)
    assert painted_diameter(model, painted_samples(model, image, labels)) == pytest.approx(2 * np.sqrt(400 / np.pi))


# -- models and settings -----------------------------------------------------------------------------------------------


def test_what_it_became_is_noted_and_it_goes_on_from_there():
    pixels, truth = discs((96, 96))
    image = Image(pixels, "YX")
    model = model_for_image(image, name="mine")
    samples = painted_samples(model, image, np.where(truth == 5, truth, 0)[None, None])
    first, reports = learned(model, samples, quick(model))
    assert [report.step for report in reports] == [1, 2, 3, 4]
    assert (first.info.name, first.info.recipe["steps"], first.info.training_data) == ("mine", 4, (CORRECTIONS,))
    assert first.info.is_from_scratch
    assert not first.info.is_untrained
    assert first.info.decoding.min_size > model.info.decoding.min_size
    assert from_scratch_config(first).learning_rate < from_scratch_config(model).learning_rate
    second, reports = learned(first, samples, quick(first))
    assert len(reports) == 4
    assert second.sha256() != first.sha256()


def test_it_learns_as_the_policy_says():
    pixels, truth = discs((96, 96))
    image = Image(pixels, "YX")
    model = model_for_image(image, name="mine")
    samples = painted_samples(model, image, np.where(truth == 5, truth, 0)[None, None])
    numbers = FromScratchPolicy(learning_rate=1e-4, min_area_share=0.0, min_pixels=3, diameter_to_smoothing=2.0)
    policy = Policy(from_scratch=numbers)
    config = quick(model, policy=policy)
    assert config.learning_rate == 1e-4
    better = drive(from_scratch_steps(model, samples, config, "cpu", policy=policy), lambda _: None)
    assert better.info.decoding.min_size == 3
    assert better.info.decoding.smoothing == pytest.approx(painted_diameter(model, samples) / 2)


def test_learn_takes_this_way_for_such_a_model_only(tiny_model):
    pixels, truth = discs((96, 96))
    image = Image(pixels, "YX")
    corrections = Corrections((1, 1, 96, 96))
    corrections.update(truth[None, None])
    for model, method in ((model_for_image(image), "from scratch"), (tiny_model(), "fine-tuned on corrections")):
        crops = annotated_crops(image, truth[None, None], corrections, model)
        learned = drive(learning_steps(model, crops, 0.5, "cpu"), lambda _: None)
        assert learned.model.info.recipe["method"] == method


def test_what_is_done_between_the_rounds_is_a_part_of_the_time(monkeypatch):
    """Of 20 s, 2 s before each round and as many steps of 1 s as are left."""
    pixels, truth = discs()
    image, now = Image(pixels, "YX"), [0.0]
    model = model_for_image(image)
    samples = painted_samples(model, image, np.where(truth <= 3, truth, 0)[None, None])
    surrounded = module._with_surroundings

    def slow(*given, **options):
        now[0] += 2
        return surrounded(*given, **options)

    def step(*_):
        now[0] += 1
        return 0.5

    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "_with_surroundings", slow)
    monkeypatch.setattr(Trainer, "_train_step", step)
    _, reports = learned(model, samples, quick(model, steps=100, max_seconds=20.0))
    assert (len(reports), now[0]) == (16, 20)


def test_what_is_painted_meanwhile_joins_and_a_preview_is_shown():
    pixels, truth = discs((96, 96))
    image = Image(pixels, "YX")
    model = model_for_image(image)

    def crops(ids):
        corrections = Corrections((1, 1, 96, 96))
        painted = np.where(np.isin(truth, ids), truth, 0)[None, None]
        corrections.update(painted)
        return annotated_crops(image, painted, corrections, model)

    joining = [[], crops((1, 2, 9))]
    events = []
    learned = drive(
        learning_steps(
            model, crops((1,)), None, "cpu", preview_wanted=lambda: True, more=lambda: joining.pop() if joining else [],
            settings={"steps": 4, "batch_size": 1, "patch": (32, 32)},
            policy=Policy(promotion=PromotionPolicy(check_interval=0.0, max_check_share=1e9)),
        ),
        events.append,
    )  # fmt: skip
    previews = [event for event in events if isinstance(event, Preview)]
    assert len(previews) == 4
    assert not previews[0].model.info.is_untrained, "or nothing could be segmented with it"
    alone = drive(learning_steps(model, crops((1,)), None, "cpu", settings={"steps": 1}), lambda _: None)
    now, before = (each.model.info.recipe["supervised_pixels"] for each in (learned, alone))
    assert 2 * before < now < 4 * before


def test_objects_are_not_learned_by_a_model_of_classes():
    pixels, truth = discs((96, 96))
    image = Image(pixels, "YX")
    corrections = Corrections((1, 1, 96, 96))
    corrections.update(truth[None, None])
    model = model_for_image(image, "semantic", classes=("background", "disc"))
    assert annotated_crops(image, truth[None, None], corrections, model) == []


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_it_ends_after_the_steps_that_were_asked_for(steps):
    pixels, truth = discs((96, 96))
    image = Image(pixels, "YX")
    model = model_for_image(image)
    config = quick(model).model_copy(update={"steps": steps})
    learned = []

    def run():
        samples = painted_samples(model, image, truth[None, None])
        learned.append((yield from from_scratch_steps(model, samples, config, "cpu")))

    reports = list(run())
    assert [(report.step, report.steps) for report in reports] == [(n + 1, steps) for n in range(steps)]
    assert learned[0].info.recipe["steps"] == steps


def test_a_stop_gives_what_was_learned_until_then():
    pixels, truth = discs((96, 96))
    image, cancel = Image(pixels, "YX"), CancelToken()
    model = model_for_image(image)
    run = from_scratch_steps(model, painted_samples(model, image, truth[None, None]), quick(model), "cpu", cancel)
    next(run)
    cancel.cancel()
    with pytest.raises(StopIteration) as end:
        next(run)
    assert end.value.value.info.recipe["steps"] == 1


def test_too_little_is_painted():
    image = Image(np.zeros((64, 64), np.float32), "YX")
    erased = np.zeros((1, 1, 64, 64), np.int32)
    model = model_for_image(image)
    (sample,) = image_samples(image, model, erased, np.ones(erased.shape, bool))
    with pytest.raises(NothingToLearnError, match="No object is painted yet"):
        learned(model, [sample], quick(model))
    model = model_for_image(image, "semantic", classes=("background", "disc"))
    (sample,) = image_samples(image, model, erased + 2, np.ones(erased.shape, bool))
    with pytest.raises(NothingToLearnError, match=r"at least two .* \(1 background, 2 disc\)"):
        learned(model, [sample], quick(model))
