"""New models from labelled images."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.axes import Image, PixelSize
from napari_unet.errors import LabelsError, ModelMismatchError, NothingToLearnError
from napari_unet.inference.in_memory import segment
from napari_unet.learning.dense import train_steps, training_config
from napari_unet.learning.new_model import model_for_labels
from napari_unet.models.info import DataSource
from napari_unet.objects.size import typical_diameter
from napari_unet.progress import CancelToken
from napari_unet.training.config import TrainingConfig


def image(shape=(32, 32), axes="YX", **fields):
    return Image(np.random.default_rng(0).random(shape).astype(np.float32), axes, **fields)


LABELS = np.zeros((32, 32), np.int32)
LABELS[5:15, 5:15], LABELS[20:30, 20:30] = 1, 2


def trained(model, images, labels, config, **options):
    run = train_steps(model, images, labels, config, device="cpu", **options)
    reports = []
    while True:
        try:
            reports.append(next(run))
        except StopIteration as end:
            return end.value, reports


def small_config(model, **changes):
    patch = (16, 16) if model.info.spec.ndim == 2 else (4, 16, 16)
    return TrainingConfig(**({"steps": 2, "batch_size": 1, "patch": patch, "augmentation": None} | changes))


# -- new models --------------------------------------------------------------------------------------------------------


def test_a_model_for_objects():
    model = model_for_labels("unet2d", "instances", [image()], [LABELS])
    assert model.info.spec.ndim == 2
    assert model.info.spec.in_channels == 1
    assert model.info.outputs == ("foreground", "distance", "flow_y", "flow_x")
    assert model.info.decoding.seeds == "flows"
    assert model.info.finds_objects
    assert not model.net.training
    again = model_for_labels("unet2d", "instances", [image()], [LABELS])
    assert again.sha256() == model.sha256() != model_for_labels("unet2d", "instances", [image()], [LABELS], 1).sha256()


def test_a_model_for_classes():
    model = model_for_labels("unet2d", "semantic", [image()], [LABELS])
    assert model.info.outputs == ("class_0", "class_1", "class_2")
    assert model.info.classes[0] == "background"
    assert model.info.spec.out_channels == 3


def test_the_network_of_2015():
    spec = model_for_labels("unet2015", "semantic", [image()], [LABELS > 0]).info.spec
    assert (spec.features, spec.levels, spec.padding, spec.norm, spec.out_channels) == (64, 4, "valid", "none", 2)


def test_a_model_for_volumes():
    stack = image((6, 32, 32), "ZYX", pixel_size=PixelSize(z=2.0, y=0.5, x=0.5))
    model = model_for_labels("unet3d", "instances", [stack], [np.stack([LABELS] * 6)])
    assert model.info.spec.ndim == 3
    assert model.info.pixel_size == (2.0, 0.5, 0.5)
    with pytest.raises(ModelMismatchError, match=r"a\.tif has no Z axis"):
        model_for_labels("unet3d", "instances", [stack, image(name="a.tif")], [LABELS, LABELS])


def test_channels_and_colour():
    two = image((2, 32, 32), "CYX")
    assert model_for_labels("unet2d", "instances", [two], [LABELS]).info.spec.in_channels == 2
    colour = model_for_labels("unet2d", "instances", [image((32, 32, 3), "YXC")], [LABELS]).info
    assert (colour.inputs, colour.spec.in_channels) == ("colour", 3)
    three = model_for_labels("unet2d", "instances", [image((3, 32, 32), "CYX")], [LABELS]).info
    assert (three.inputs, three.spec.in_channels) == ("channels", 3)
    with pytest.raises(ModelMismatchError, match="1 and 2 channels"):
        model_for_labels("unet2d", "instances", [two, image()], [LABELS, LABELS])


def test_the_pixel_size_is_noted_where_all_have_it():
    def with_diameter(*sizes):
        pictures = [image(pixel_size=None if s is None else PixelSize(y=s, x=s)) for s in sizes]
        return model_for_labels("unet2d", "instances", pictures, [LABELS] * len(sizes)).info.pixel_size

    assert with_diameter(0.5) == (0.5, 0.5)
    assert with_diameter(0.5, 0.51) == pytest.approx((0.505, 0.505))
    assert with_diameter(0.5, 1.0) is None
    assert with_diameter(0.5, None) is None


def test_classes_that_are_none_are_told():
    with pytest.raises(LabelsError, match="nothing to tell apart"):
        model_for_labels("unet2d", "semantic", [image()], [np.zeros((32, 32), int)])
    with pytest.raises(LabelsError, match="object ids"):
        model_for_labels("unet2d", "semantic", [image()], [np.full((32, 32), 64)])
    assert model_for_labels("unet2d", "semantic", [image()], [np.full((32, 32), 63)]).info.spec.out_channels == 64


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_for_beginning_and_for_going_on(tiny_model):
    model = tiny_model()
    scratch = training_config(model, scratch=True, steps=None, max_seconds=None, seed=3)
    further = training_config(model, scratch=False, steps=7, max_seconds=None, seed=3)
    assert np.prod(further.patch) < np.prod(scratch.patch)  # few steps in the time that there is
    assert (scratch.replay, further.replay) == (0.0, 0.5)
    assert not scratch.freeze_norm
    assert further.freeze_norm
    assert further.steps == 7
    assert scratch.seed == 3
    assert training_config(model, scratch=True, steps=None, max_seconds=60, seed=0).max_seconds == 60
    volumes = [training_config(tiny_model(ndim=3), scratch=s, steps=1, max_seconds=9, seed=0) for s in (True, False)]
    assert [len(config.patch) for config in volumes] == [3, 3]
    assert np.prod(volumes[1].patch) < np.prod(volumes[0].patch)  # few steps in the time that there is
    assert volumes[1].learning_rate > volumes[0].learning_rate


# -- training ----------------------------------------------------------------------------------------------------------


def test_a_model_learns_from_labels(tiny_model):
    picture = Image((LABELS > 0) + np.random.default_rng(0).normal(0, 0.05, LABELS.shape), "YX")
    model = tiny_model(features=4, levels=1)
    before = model.sha256()
    config = small_config(model, steps=150, batch_size=4, learning_rate=0.02, freeze_norm=False)
    better, reports = trained(model, [picture], [LABELS], config)
    assert model.sha256() == before
    assert [r.step for r in reports] == list(range(1, 151))
    assert np.mean([r.loss for r in reports[-10:]]) < 0.5 * np.mean([r.loss for r in reports[:10]])
    labels = segment(picture, better, device="cpu").labels
    assert ((labels > 0) == (LABELS > 0)).mean() > 0.97
    assert better.info.recipe["steps"] == 150
    assert better.info.diameter == pytest.approx(typical_diameter([LABELS]))


def test_what_it_learned_from_is_noted(tiny_model):
    model = tiny_model(features=2, levels=1, info={"scores": {"old": 1.0}})
    better, _ = trained(model, [image()], [LABELS], small_config(model))
    assert better.info.training_data[0].images == 1
    assert better.info.scores == {}
    named, _ = trained(model, [image()], [LABELS], small_config(model), data=DataSource(name="BBBC"))
    assert named.info.training_data == (DataSource(name="BBBC"),)


def test_pixels_to_be_ignored_have_no_influence(tiny_model):
    model = tiny_model(features=2, levels=1)
    hidden = LABELS.copy()
    hidden[:, 16:] = 255
    config = small_config(model, steps=4)
    a, _ = trained(model, [image()], [hidden], config, ignore_label=255)
    other = LABELS.copy()
    other[:, 16:] = 77
    b, _ = trained(model, [image()], [other], config, ignore_label=77)
    c, _ = trained(model, [image()], [hidden], config)
    assert a.sha256() == b.sha256() != c.sha256()
    with pytest.raises(NothingToLearnError):
        trained(model, [image()], [np.full((32, 32), 255)], config, ignore_label=255)


def test_classes_learn_without_those_to_be_ignored(tiny_model):
    fields = {"task": "semantic", "outputs": ("class_0", "class_1")}
    model = tiny_model(features=2, levels=1, info=fields)
    truth = (LABELS > 0).astype(np.uint8)
    truth[0] = 255
    better, reports = trained(model, [image()], [truth], small_config(model, exclusive=True), ignore_label=255)
    assert better.sha256() != model.sha256()
    assert all(np.isfinite(r.loss) for r in reports)


def test_a_stop_gives_what_was_learned(tiny_model):
    model, cancel = tiny_model(features=2, levels=1), CancelToken()
    run = train_steps(model, [image()], [LABELS], small_config(model, steps=100), device="cpu", cancel=cancel)
    next(run)
    cancel.cancel()
    with pytest.raises(StopIteration) as end:
        next(run)
    assert end.value.value.info.recipe["steps"] == 1
    assert end.value.value.sha256() != model.sha256()


def test_shapes_and_channels_have_to_fit(tiny_model):
    model = tiny_model(features=2, levels=1)
    with pytest.raises(LabelsError, match=r"a\.tif have the shape \(31, 32\); needed is \(32, 32\)"):
        trained(model, [image(name="a.tif")], [LABELS[1:]], small_config(model))
    with pytest.raises(ModelMismatchError, match="takes 1 channel"):
        trained(model, [image((2, 32, 32), "CYX")], [LABELS], small_config(model))


@pytest.mark.parametrize("ndim", [2, 3])
def test_stacks(tiny_model, ndim):
    model = tiny_model(ndim=ndim, features=2, levels=1)
    better, _ = trained(model, [image((4, 32, 32), "ZYX")], [np.stack([LABELS] * 4)], small_config(model))
    assert better.sha256() != model.sha256()
