"""How credible a new model is around what was corrected, without labels, and what follows."""

from __future__ import annotations

import copy
from importlib.resources import files

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hand_made import bright
from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.credibility import _field, estimated_score
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.policy import Policy, PromotionPolicy
from napari_unet.progress import drive
from napari_unet.training.trainer import Trainer
from napari_unet_benchmarks.annotator_session import AnnotatorSession
from napari_unet_benchmarks.fields import Field

CPU = torch.device("cpu")


def crops_at(image, model, *where):
    """Somebody has painted small squares at pixels (Z, Y, X) where nothing was found."""
    labels = np.zeros((1, *image.space), np.int32)
    for number, (z, y, x) in enumerate(where, start=1):
        labels[0, z, y : y + 4, x : x + 4] = number
    corrections = Corrections(labels.shape)
    corrections.seen[:] = True
    corrections.update(labels)
    return annotated_crops(image, labels, corrections, model)


@pytest.fixture(scope="module")
def stack():
    folder = files("napari_unet") / "samples"
    pixels = tifffile.imread(str(folder / "nuclei_stack.tif")).astype(np.float32)
    truth = tifffile.imread(str(folder / "nuclei_stack_reference.tif")).astype(np.int32)
    return pixels, truth


def test_a_model_that_knows_the_image_is_expected_to_be_right(nuclei, stack):
    image = Image(stack[0][0], "YX")
    assert estimated_score(nuclei, crops_at(image, nuclei, (0, 60, 60)), CPU) > 0.6
    noise = Image(np.random.default_rng(0).normal(size=image.space[1:]).astype(np.float32), "YX")
    assert estimated_score(nuclei, crops_at(noise, nuclei, (0, 60, 60)), CPU) < 0.3


def test_of_several_images_it_is_the_mean(nuclei, stack):
    crops = [crops_at(Image(plane, "YX"), nuclei, (0, 60, 60)) for plane in stack[0][:3]]
    each = [estimated_score(nuclei, one, CPU) for one in crops]
    every = [crop for one in crops for crop in one]
    assert estimated_score(nuclei, every, CPU) == pytest.approx(np.mean(each))
    two = Policy(promotion=PromotionPolicy(max_estimated=2))
    assert estimated_score(nuclei, every, CPU, two) == pytest.approx(np.mean(each[:2]))


def test_where_nothing_is_found_nothing_is_right(nuclei):
    blank = Image(np.zeros((200, 200), np.float32), "YX")
    assert estimated_score(nuclei, crops_at(blank, nuclei, (0, 60, 60)), CPU) == 0.0
    assert estimated_score(nuclei, [], CPU) is None


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(20, 300), st.integers(20, 300)),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    wanted=st.tuples(st.integers(1, 8), st.integers(16, 400), st.integers(16, 400)),
    pixels=st.sampled_from([1.0, 0.5, 2.5]),
)
def test_the_field_lies_in_the_image_around_the_correction(shape, place, wanted, pixels):
    image = Image(np.zeros(shape, np.float32), "ZYX")
    room = [size - (4 if axis else 1) for axis, size in enumerate(shape)]
    at = tuple(int(share * most) for share, most in zip(place, room, strict=True))
    (crop,) = crops_at(image, bright(), at)
    box = _field(crop, wanted, pixels)
    widths = wanted[0], round(wanted[1] * pixels), round(wanted[2] * pixels)
    for part, size, first, width in zip(box, shape, at, widths, strict=True):
        assert 0 <= part.start <= first < part.stop <= size
        assert part.stop - part.start == min(width, size)


@pytest.fixture
def corrected(nuclei, stack):
    """Annotated crops of a field of dark, noisy nuclei, which the model does not know, with the worst objects fixed."""
    pixels, truth = stack
    dark = -np.sqrt(pixels[0])
    dark += np.random.default_rng(0).normal(0, 0.5, dark.shape).astype(np.float32) * dark.std()
    session = AnnotatorSession(Field(Image(dark, "YX"), truth[0]))
    session.show(nuclei)
    session.correct(6)
    return session.crops(nuclei)


def test_a_model_that_was_ruined_is_not_used(nuclei, corrected, monkeypatch):
    """It finds nothing any more, whatever it learned."""

    def ruined(self):
        net = copy.deepcopy(self.net).eval().requires_grad_(False)
        net.head.bias.fill_(-20.0)
        return net

    monkeypatch.setattr(Trainer, "trained", ruined)
    verdict = drive(learning_steps(nuclei, corrected, None, "cpu", settings={"steps": 2}), lambda _: None).verdict
    assert verdict.reviewed is None
    assert verdict.estimates[1] == 0.0 < verdict.estimates[0]
    assert not verdict.should_promote()
    assert str(verdict).endswith("so not in use yet.")
