"""The smaller halo that a model can do with is measured, stored with it, and used where that is worth it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.axes import Image
from napari_unet.inference.fast_mode import _blocks, with_fast_mode
from napari_unet.inference.in_memory import segment
from napari_unet.inference.task import make_task
from napari_unet.learning.from_labels import finetune
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.info import FastMode
from napari_unet.models.model import Model
from napari_unet.nets import geometry

DEEP = {"features": 2, "levels": 3}


@pytest.fixture
def picture(blobs_image):
    return Image(blobs_image, "YX")


@pytest.fixture
def blobs_image():
    y, x = np.indices((300, 300))
    return (np.hypot(y % 40 - 20, x % 40 - 20) < 12).astype(np.float32)


def far_looking(model):
    """Make every weight count, so that the whole receptive field does."""
    torch.manual_seed(0)
    for name, parameter in model.net.named_parameters():
        if not name.startswith("head"):
            parameter.normal_(0, 0.6 / parameter[0].numel() ** 0.5)
    return model


def test_a_model_that_looks_at_one_pixel_does_with_the_smallest_halo(bright_model, picture):
    model = with_fast_mode(bright_model(**DEEP), [picture])
    assert model.info.fast_mode == FastMode(halo=(8, 8), maps_error=0, labels_differing=0)


def test_the_error_is_what_segmenting_makes(bright_model, picture, blobs_image):
    model = far_looking(bright_model(**DEEP, threshold=0.3))
    model = with_fast_mode(model, [picture])
    fast = model.info.fast_mode
    assert fast is not None
    exact, other = (
        segment(blobs_image, model, mode=mode, tile=150, keep_maps=True, axes="YX") for mode in ("exact", "fast")
    )
    assert exact.task.plan.exact
    assert not other.task.plan.exact
    assert np.abs(exact.maps - other.maps).max() == pytest.approx(fast.maps_error, abs=1e-4)
    assert np.mean((exact.labels > 0) != (other.labels > 0)) <= 1e-4


def test_where_every_smaller_halo_changes_labels_there_is_none(bright_model, picture, monkeypatch):
    monkeypatch.setattr("napari_unet.inference.fast_mode._differing", lambda *args: 100)
    assert with_fast_mode(bright_model(**DEEP), [picture]).info.fast_mode is None


def test_differing_labels_are_counted_whatever_their_ids(bright_model):
    from napari_unet.inference.fast_mode import _differing

    model = bright_model()
    maps = np.zeros((2, 64, 64), np.float32)
    for corner in ((4, 4), (30, 10), (40, 44)):
        maps[:, corner[0] : corner[0] + 10, corner[1] : corner[1] + 10] = 0.9
    fewer = maps.copy()
    fewer[:, 4:14, 4:14] = 0  # the first object is gone, so the ids of the others are one less
    assert _differing(model, fewer, maps) == 100
    assert _differing(model, maps, maps) == 0


def test_it_is_measured_at_the_scale_that_the_network_sees(tiny_model, picture):
    image = Image(np.asarray(picture.data), picture.axes, diameter=20)
    at_scale = list(_blocks(tiny_model(info={"diameter": 10}), [image]))
    as_it_is = list(_blocks(tiny_model(), [picture]))
    assert [round(n / 2) for n in as_it_is[0].shape[1:]] == list(at_scale[0].shape[1:])
    small = Image(picture.data, picture.axes, diameter=60)
    assert not list(_blocks(tiny_model(info={"diameter": 1}), [small])), "too small to measure anything on"


@pytest.mark.parametrize(
    ("shape", "axes"), [((20, 300), "YX"), ((4, 300, 300), "CYX"), ((300, 300), "YX")], ids=["small", "channels", "3D"]
)
def test_images_that_do_not_fit_are_passed_over(bright_model, shape, axes):
    settings = {"ndim": 3} if axes == "YX" and shape[0] == 300 else {"in_channels": 2 if "C" in axes else 1}
    model = bright_model(**DEEP, **settings)
    assert with_fast_mode(model, [Image(np.zeros(shape, np.float32), axes)]).info.fast_mode is None


def test_a_volume(bright_model):
    model = with_fast_mode(bright_model(ndim=3, features=2, levels=2), [Image(np.zeros((20, 80, 80), np.uint8), "ZYX")])
    assert model.info.fast_mode is not None
    assert model.info.fast_mode.halo == (4, 4, 4)


def plan_of(model, mode, shape=(2000, 2000), tile=400):
    return make_task(Image(np.zeros(shape, np.uint8), "YX"), model, mode=mode, tile=tile).plan


def with_error(model, error, halo=(8, 8)):
    fast = FastMode(halo=halo, maps_error=error, labels_differing=0)
    return Model(model.net, model.info.model_copy(update={"fast_mode": fast}))


def test_auto_takes_it_where_it_is_cheaper_and_as_good(bright_model):
    model = bright_model(**DEEP)
    good, rough = with_error(model, 0.005), with_error(model, 0.05)
    exact = geometry.halo(model.info.spec)
    assert plan_of(good, "auto").halo == (8, 8)
    assert plan_of(good, "exact").halo == exact
    assert plan_of(rough, "auto").halo == exact
    assert plan_of(rough, "fast").halo == (8, 8)
    assert plan_of(model, "fast").halo == exact, "nothing was measured, so nothing is promised"
    assert plan_of(with_error(model, 0.005, (40, 40)), "auto").halo == exact, "hardly less work"
    assert plan_of(good, "auto", shape=(300, 300), tile=None).exact, "one tile has no halo"
    assert "fast, halo 8" in str(plan_of(good, "auto"))


def test_it_is_in_the_file_and_gone_once_the_weights_change(bright_model, tmp_path, blobs_image):
    path = tmp_path / "m.safetensors"
    save_model_file(with_error(bright_model(**DEEP), 0.003), path)
    model = load_model_file(path)
    assert model.info.fast_mode.maps_error == 0.003
    small = blobs_image[:24, :24]  # too small to measure anything on
    better = finetune(model, [small], [ndimage.label(small > 0)[0]], steps=1)
    assert better.info.fast_mode is None
    better = finetune(model, [blobs_image], [ndimage.label(blobs_image > 0)[0]], steps=1)
    assert better.info.fast_mode is None or better.info.fast_mode != model.info.fast_mode


@pytest.mark.parametrize("halo", [(8,), (0, 8), (8, 8, 8)])
def test_a_halo_that_does_not_fit_is_refused(bright_model, halo):
    info = json.loads(bright_model().info.model_dump_json())
    info["fast_mode"] = {"halo": halo, "maps_error": 0.0, "labels_differing": 0.0}
    with pytest.raises(ValueError, match="halo"):
        type(bright_model().info).model_validate(info)
