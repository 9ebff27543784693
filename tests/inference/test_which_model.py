"""Which model fits: the field that is tried, the estimate, who may be tried, and the order that follows."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import napari_unet as nu
from hand_made import bright
from napari_unet.axes import Image
from napari_unet.errors import Cancelled, ImageError, ModelFileError
from napari_unet.inference.agreement import disagreements
from napari_unet.inference.credibility import (
    can_be_judged,
    densest_box,
    estimated_ap,
    likeness,
    seems_right,
    subimage_seems_right,
)
from napari_unet.inference.field import blankness, field_of
from napari_unet.inference.in_memory import segment
from napari_unet.inference.policy import DEFAULT_MODEL_CHOICE, ModelChoicePolicy
from napari_unet.inference.steps import SubimageDone, segment_steps
from napari_unet.inference.task import make_task
from napari_unet.inference.which_model import Trial, choose_model, models_for, ranked, try_model, try_models
from napari_unet.io.readers import read_image
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.models.normalize import measure
from napari_unet.models.store import load_model, save_model, user_folder
from napari_unet.nets.likeness import norm_deviation
from napari_unet.objects.targets import target_maps
from napari_unet.progress import CancelToken, Progress

SHIPPED = ["nuclei", "axons", "cells", "cells_phase", "nuclei3d"]
OF_PLANES = SHIPPED[:4]


# -- the field ---------------------------------------------------------------------------------------------------------


@given(
    shape=st.tuples(*[st.integers(1, 60)] * 3),
    at=st.tuples(st.integers(0, 59), st.floats(-80, 80), st.floats(-80, 80)),
    form=st.sampled_from(["YX", "ZYX", "CYX", "YXC", "CZYX", "ZYXC", "TZYX", "TCZYX", "XYZ"]),
)
def test_a_field_is_a_bounded_part_of_the_image_around_a_pixel(shape, at, form):
    policy = ModelChoicePolicy(field_width=24, volume_width=20, volume_depth=7)
    sizes = dict(zip("ZYX", shape, strict=True)) | {"T": 2, "C": 3}
    image = Image(np.random.default_rng(0).random([sizes[letter] for letter in form]), form)
    z = min(at[0], image.size("Z") - 1)
    frame = image.n_frames - 1
    field = field_of(image, (frame, z, at[1], at[2]), policy=policy)
    width = 20 if image.is_volume else 24
    assert field.image.space[0] == min(7, image.size("Z"))
    assert field.image.space[1:] == tuple(min(width, n) for n in image.space[1:])
    assert field.image.is_colour == image.is_colour
    assert field.image.n_channels == image.n_channels
    whole = image.read(frame, slice(z, z + 1))[:, 0]
    height, wide = field.pixels.shape[1:]
    y, x = (min(max(0, round(a) - width // 2), n - size) for a, n, size in
            zip(at[1:], image.space[1:], (height, wide), strict=True))  # fmt: skip
    assert np.array_equal(field.pixels, whole[:, y : y + height, x : x + wide])


def test_where_nobody_says_which_field_it_is_the_one_with_most_to_see():
    pixels = np.zeros((1500, 1500), np.uint8)
    pixels[1300:1400, 1200:1300:2] = 200
    assert field_of(Image(pixels, "YX")).pixels.max() == 200


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (np.full((4, 4), np.nan), "No pixel"),
        (np.full((4, 4), np.inf, np.float32), "No pixel"),
        (np.full((4, 4), 7, np.uint16), "same value"),
        (np.zeros((4, 4), bool), "same value"),
        (np.where(np.eye(4) > 0, np.nan, 1.0), "same value"),
        (np.eye(4), ""),
        (np.eye(4, dtype=np.uint8), ""),
    ],
)
def test_a_blank_image_is_told(pixels, why):
    assert why in blankness(pixels)
    assert bool(blankness(pixels)) == bool(why)


def test_grey_in_three_channels_is_no_colour():
    grey = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    assert not field_of(Image(np.stack([grey] * 3, -1), "YXC")).is_colourful
    stained = np.stack([grey, grey // 3, 255 - grey], -1)
    assert field_of(Image(stained, "YXC")).is_colourful
    assert not field_of(Image(stained, "YXC"), channel=1).is_colourful
    assert not field_of(Image(np.moveaxis(stained, -1, 0), "CYX")).is_colourful


# -- the estimate ------------------------------------------------------------------------------------------------------


@pytest.fixture
def info(bright_model):
    return bright_model(info={"diameter": 16.0}).info


def discs(shape=(96, 96), step=32, radius=8):
    y, x = np.indices(shape) % step - step // 2
    from skimage.measure import label

    return label(y**2 + x**2 < radius**2).astype(np.int32)


def test_maps_as_they_should_be_are_believed_and_others_are_not(info):
    labels = discs()
    right = target_maps(labels, info.outputs).astype(np.float32)
    assert disagreements(right, labels, info) == pytest.approx(0, abs=1e-3)
    assert estimated_ap(right, labels, info) > 0.9
    assert seems_right(right, labels, info)
    flat = right.copy()
    flat[1] = (labels > 0) * 0.3
    assert estimated_ap(flat, labels, info) < estimated_ap(right, labels, info)
    unsure = right.copy()
    unsure[0] = np.maximum(right[0] * 0.55, 0.4)
    assert estimated_ap(unsure, labels, info) < 0.25
    assert not seems_right(unsure, labels, info)


def test_objects_of_a_size_that_was_not_learned_count_less(info):
    found = []
    for radius in (2, 4, 8):
        labels = discs(radius=radius)
        found.append(estimated_ap(target_maps(labels, info.outputs).astype(np.float32), labels, info))
    assert found == sorted(found)
    labels = discs(radius=4)
    maps = target_maps(labels, info.outputs).astype(np.float32)
    assert estimated_ap(maps, labels, info, (2.0, 2.0)) > estimated_ap(maps, labels, info), "seen twice as large"


def test_where_nothing_is_found_nothing_is_credible(info):
    empty = np.zeros((40, 40), np.int32)
    assert estimated_ap(np.zeros((2, 40, 40), np.float32), empty, info) == 0
    assert not seems_right(np.zeros((2, 40, 40), np.float32), empty, info)


def test_ids_with_gaps_change_nothing(info):
    labels = discs()
    maps = target_maps(labels, info.outputs).astype(np.float32) * 0.9
    assert estimated_ap(maps, labels * 7, info) == estimated_ap(maps, labels, info)


@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    box=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 99),
)
def test_the_densest_box_holds_most(shape, box, seed):
    mask = np.random.default_rng(seed).random(shape) < 0.3
    found = mask[densest_box(mask, box)].sum()
    tiles = [
        mask[y : y + box[0], x : x + box[1]] for y in range(0, shape[0], box[0]) for x in range(0, shape[1], box[1])
    ]
    assert found == max(tile.sum() for tile in tiles)


def test_who_is_judged(info):
    assert can_be_judged(info)
    for other in ({"diameter": None}, {"parent": "nuclei (sha256 0123)"}, {"recipe": {"method": "from scratch"}}):
        assert not can_be_judged(info.model_copy(update=other))
    axons = load_model("axons").info
    assert can_be_judged(axons)
    assert not can_be_judged(axons.model_copy(update={"parent": "axons (sha256 0123)"}))


def look_at(net, seen):
    """Have the batch norms of a network keep what they see in some images, and nothing else."""
    net.train()
    for module in net.modules():
        if hasattr(module, "momentum") and hasattr(module, "running_mean"):
            module.momentum = None  # the mean of all that it sees
            module.reset_running_stats()
    with torch.no_grad():
        net(seen)
    net.eval()


def test_batch_norms_tell_what_they_have_seen(tiny_net):
    net = tiny_net()
    seen = torch.randn(4, 1, 32, 32)
    look_at(net, seen)
    known = [norm_deviation(net, image[None]) for image in seen]
    assert max(known) < norm_deviation(net, 5 * seen[:1] + 3)
    assert not any(module._forward_hooks for module in net.modules())
    assert norm_deviation(tiny_net(norm="none"), seen[:1]) is None


def test_a_model_of_classes_stays_below_a_sure_one_of_objects(nuclei_crop):
    axons = load_model("axons")
    noise = np.random.default_rng(0).normal(size=(1, 64, 64)).astype(np.float32)
    for block in (noise, noise * 0):
        for certainty in (1 / 3, 0.9, 1.0):
            maps = np.full((3, *block.shape[1:]), (1 - certainty) / 2, np.float32)
            maps[1] = certainty
            assert 0 <= likeness(axons, block, maps) <= DEFAULT_MODEL_CHOICE.most_for_classes
    assert likeness(axons, noise[:, :5, :5], np.full((3, 5, 5), 1 / 3, np.float32)) is None, "less than it can see"


def taught_on(image, net):
    """Return a model of two classes whose batch norms have seen an image, and nothing else."""
    model = Model(
        net,
        ModelInfo(
            name="tiny",
            spec=net.spec,
            task="semantic",
            outputs=("background", "walls"),
            classes=("background", "walls"),
        ),
    )
    seen = image.read()
    look_at(net, torch.from_numpy(np.array(model.normalized(seen, measure(seen, model.info.normalization))))[None])
    return model


def classes_in(task, certainty=1.0, region=None):
    """Return what is told of a plane when its classes are found: everything is of class 1."""
    region = region or tuple(slice(0, n) for n in task.image.space)
    shape = tuple(part.stop - part.start for part in region)
    maps = np.stack([np.full(shape, 1 - certainty), np.full(shape, certainty)]).astype(np.float32)
    return SubimageDone(task.subimages[0], region, np.ones(shape, np.int32), maps, Progress(1, 1))


def test_classes_are_credible_on_images_like_those_that_were_learned(tiny_net):
    rng = np.random.default_rng(0)
    fine = rng.random((96, 96)).astype(np.float32)
    model = taught_on(Image(fine, "YX"), tiny_net(out_channels=2))

    def judged(pixels, certainty=1.0, region=None, model=model):
        task = make_task(Image(pixels, "YX"), model)
        return subimage_seems_right(task, classes_in(task, certainty, region))

    coarse = gaussian_filter(fine, 4)
    assert judged(fine) is True
    assert judged(fine, certainty=0.6) is False, "it is not certain of the classes"
    assert judged(coarse) is False
    assert judged(fine[:3, :3]) is None, "less than the network can see"
    halves = np.concatenate([coarse, fine], axis=1)
    right = (slice(0, 1), slice(0, 96), slice(96, 192))
    assert judged(halves, region=right) is True, "by what was segmented, wherever that lies"
    taught = Model(model.net, model.info.model_copy(update={"parent": "tiny (sha256 0123)"}))
    assert judged(coarse, model=taught) is None, "its user has taught it"


def test_axons_are_not_found_in_noise():
    axons = load_model("axons")
    noise = Image(np.random.default_rng(0).integers(0, 255, (200, 200)).astype(np.uint8), "YX")
    task = make_task(noise, axons)
    found = [event for event in segment_steps(task, device="cpu") if isinstance(event, SubimageDone)]
    assert found[0].labels.any()
    assert subimage_seems_right(task, found[0]) is False


def test_walls_between_cells_of_other_kinds_are_not_taken_for_axons():
    folder = Path(str(resources.files("napari_unet") / "samples" / "membranes"))
    for path in sorted(folder.glob("membranes_[0-9].tif")):
        field = field_of(read_image(path))
        trials = {trial.name: trial for trial in try_models(field, ["axons", "nuclei"], device="cpu")}
        assert trials["axons"].score < DEFAULT_MODEL_CHOICE.doubtful, path.name
        assert trials["nuclei"].score < DEFAULT_MODEL_CHOICE.doubtful, path.name


# -- trying ------------------------------------------------------------------------------------------------------------


def test_who_may_be_tried(bright_model):
    plane, volume = Image(np.zeros((64, 64)), "YX"), Image(np.zeros((8, 64, 64)), "ZYX")
    assert models_for(plane) == OF_PLANES
    assert models_for(volume) == SHIPPED
    assert "axons" not in models_for(Image(np.zeros((64, 64)), "YX", diameter=20)), "it knows no diameter"
    two = Image(np.zeros((2, 64, 64)), "CYX")
    assert models_for(two) == OF_PLANES, "their first channel"
    save_model(bright("pair", in_channels=2), "pair")
    save_model(bright("untrained", recipe={"method": "from scratch", "steps": 0}), "untrained")
    (user_folder() / "broken.safetensors").write_bytes(b"no model")
    assert models_for(two) == [*OF_PLANES, "pair"]
    assert "pair" not in models_for(two, channel=1)
    assert "pair" not in models_for(plane)


def test_the_right_model_comes_first(nuclei_crop):
    model, trials = choose_model(Image(nuclei_crop, "YX"), device="cpu")
    assert model.name == trials[0].name == "nuclei"
    assert trials[0].score > 0.5
    others = {trial.name: trial.score for trial in trials}
    assert max(others["axons"], others["cells_phase"]) < DEFAULT_MODEL_CHOICE.doubtful
    assert trials[0].labels.shape == nuclei_crop.shape
    plain = segment(nuclei_crop, "nuclei", device="cpu")
    assert trials[0].n_objects == plain.n_objects
    auto = segment(nuclei_crop, "auto", device="cpu")
    assert auto.task.model.name == "nuclei"
    assert np.array_equal(auto.labels, plain.labels)


def test_labels_of_a_rescaled_field_have_its_shape(bright_model):
    model = bright_model(info={"diameter": 10.0})
    field = field_of(Image((discs((90, 77), 30, 10) > 0).astype(np.float32), "YX", diameter=20))
    trial = try_model(field, model, device="cpu")
    assert trial.labels.shape == (90, 77)
    assert trial.n_objects == len(np.unique(discs((90, 77), 30, 10))) - 1


def test_a_volume_is_looked_at_in_the_slice_in_view(bright_model):
    volume = np.zeros((12, 40, 40), np.float32)
    volume[7:9, 10:20, 10:20] = 1
    field = field_of(Image(volume, "ZYX"), (0, 8, 20.0, 20.0))
    for ndim in (2, 3):
        trial = try_model(field, bright_model(ndim=ndim), device="cpu")
        assert np.array_equal(trial.labels > 0, volume[8] > 0)
    assert not try_model(
        field_of(Image(volume, "ZYX"), (0, 2, 20.0, 20.0)), bright_model(ndim=3), device="cpu"
    ).n_objects


def test_a_model_that_cannot_be_used_says_why_and_comes_last(nuclei_crop, bright_model):
    field = field_of(Image(nuclei_crop, "YX"))
    trials = ranked(
        list(try_models(field, ["no such model", bright_model(in_channels=2), bright_model()], device="cpu"))
    )
    assert [bool(trial.problem) for trial in trials] == [False, True, True]
    assert "no model called 'no such model'" in trials[1].problem
    assert trials[2].score == 0


def test_the_first_of_equals_stays_first():
    empty = np.zeros((2, 2), np.int32)
    trials = [
        Trial("a", 0.5, empty),
        Trial("b", 0.7, empty),
        Trial("c", 0.5, empty),
        Trial("d", 0.0, empty, problem="x"),
    ]
    assert [trial.name for trial in ranked(trials)] == ["b", "a", "c", "d"]


def test_trying_can_be_stopped(nuclei_crop):
    cancel = CancelToken()
    trials = try_models(field_of(Image(nuclei_crop, "YX")), SHIPPED, device="cpu", cancel=cancel)
    assert next(trials).name == "nuclei"
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(trials)


@pytest.mark.parametrize("value", [np.nan, 0.0, 7.0, np.inf])
def test_an_image_of_nothing_is_tried_without_complaint(value):
    field = field_of(Image(np.full((64, 64), value, np.float32), "YX"))
    assert field.is_blank
    assert all(trial.score < DEFAULT_MODEL_CHOICE.doubtful for trial in try_models(field, OF_PLANES, device="cpu"))


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (17, 5)])
def test_tiny_images_are_tried_too(shape):
    pixels = np.random.default_rng(0).random(shape, np.float32)
    trials = list(try_models(field_of(Image(pixels, "YX")), SHIPPED[:3], device="cpu"))
    assert [trial.labels.shape for trial in trials] == [shape] * 3


def test_without_a_model_there_is_an_error(nuclei_crop, monkeypatch):
    monkeypatch.setattr("napari_unet.inference.which_model.list_models", list)
    with pytest.raises(ImageError, match="No model can be used on image"):
        choose_model(Image(nuclei_crop, "YX"))


def test_auto_is_no_name_for_a_model(bright_model):
    with pytest.raises(ModelFileError, match="auto"):
        save_model(bright_model(), "auto")


def test_a_script_finds_the_note_on_its_image():
    result = nu.segment(np.full((96, 80), 7.0), "auto", device="cpu")
    (note,) = result.task.image.notes
    assert note.startswith(f"No model seems to fit image; the best guess is {result.task.model.name}.")
