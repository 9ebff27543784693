"""A model that has learned images of another kind tells them from those that it knew before."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.axes import Image
from napari_unet.inference import diameter
from napari_unet.inference.in_memory import segment
from napari_unet.inference.policy import DEFAULT_RESCALING, RescalingPolicy
from napari_unet.inference.style import position_of_contrast, resembles_learned, with_style
from napari_unet.inference.task import choose_channels
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.model import Model


def stripes(seed=0, shape=(300, 340)):
    """Return an image that looks like no nuclei at all."""
    y, x = np.indices(shape)
    waves = np.sin(x / 2.5 + 3 * np.sin(y / 40)) + 0.3 * np.random.default_rng(seed).normal(size=shape)
    return Image(np.float32(100 + 20 * waves), "YX")


@pytest.fixture
def taught(nuclei):
    """Return `nuclei` as if it had learned wide objects in such images."""
    used_to = Model(nuclei.net, nuclei.info.model_copy(update={"image_diameter": 128.0}))
    return with_style(used_to, [(stripes(), (0,)), (stripes(1), (0,))])


def learned(model, image, policy=DEFAULT_RESCALING):
    return resembles_learned(model, *position_of_contrast(image, model, choose_channels(image, model)), policy)


def test_what_was_learned_and_what_was_known_are_told_apart(taught, nuclei_crop, nuclei):
    assert len(taught.info.styles) == 2
    assert learned(taught, stripes(2)), "another image of the kind"
    assert learned(taught, stripes(3, (2500, 300)))
    for known in (nuclei_crop, nuclei_crop[:40, :50], np.stack([nuclei_crop] * 4)):
        assert not learned(taught, Image(known, "YX" if known.ndim == 2 else "ZYX"))
    assert not learned(nuclei, stripes()), "it has learned nothing since"


def test_images_of_the_kind_that_was_learned_keep_its_scale(taught, nuclei_crop, monkeypatch):
    """However well the network agrees with itself on parts of the objects."""

    def run(self, block, scale):
        return diameter._ScaleTrial(0.1 if scale == 0.25 else 0.05, 20.0)

    monkeypatch.setattr(diameter._ScaleTrials, "_run", run)
    assert segment(stripes(4), taught, device="cpu").task.zoom == (0.25, 0.25)
    seen = segment(nuclei_crop, taught, device="cpu").task
    assert (seen.image.found_diameter, seen.zoom) == (20.0, (1.0, 1.0))


def test_only_a_model_used_to_one_size_that_knew_others_remembers(nuclei, bright_model):
    assert with_style(nuclei, [(stripes(), (0,))]) is nuclei
    alone = bright_model(info={"diameter": 10.0, "image_diameter": 40.0})
    assert with_style(alone, [(stripes(), (0,))]) is alone


def test_an_image_that_is_seen_at_another_size_is_not_remembered_with_it(taught, nuclei_crop):
    """Nuclei that are corrected later, at their own scale, do not become images of wide objects by it."""
    found = Image(nuclei_crop, "YX", found_diameter=20.0, found_against=128.0)
    later = with_style(taught, [(found, (0,))])
    assert later.info.styles == taught.info.styles
    both = with_style(taught, [(found, (0,)), (stripes(5), (0,))])
    assert len(both.info.styles) == 1
    assert learned(both, stripes(2))
    assert not learned(both, Image(nuclei_crop, "YX"))
    said = Image(stripes().data, "YX", diameter=128.0)
    assert len(with_style(taught, [(said, (0,))]).info.styles) == 1


def test_an_image_too_small_for_the_network_has_no_style(taught):
    tiny = Image(np.random.default_rng(0).random((3, 5), np.float32), "YX")
    assert not learned(taught, tiny)
    untaught = Model(taught.net, taught.info.model_copy(update={"styles": ()}))
    assert with_style(untaught, [(tiny, (0,))]).info.styles == ()
    assert with_style(taught, [(tiny, (0,))]).info.styles == taught.info.styles


def test_it_is_kept_with_the_model(taught, tmp_path):
    save_model_file(taught, tmp_path / "taught.safetensors")
    again = load_model_file(tmp_path / "taught.safetensors")
    assert again.info == taught.info
    assert learned(again, stripes(2))
    with pytest.raises(ValueError, match="a style is not as long as"):
        type(taught.info).model_validate(taught.info.model_dump() | {"styles": [[0.5, 0.5]]})


def test_where_what_was_known_is_not_here_nothing_is_told(taught):
    elsewhere = Model(taught.net, taught.info.model_copy(update={"replay_set": "elsewhere"}))
    assert not learned(elsewhere, stripes())
    assert not learned(elsewhere, stripes(), RescalingPolicy(known_distance_ratio=0.0))
