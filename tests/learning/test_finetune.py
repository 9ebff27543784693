"""Learning from corrections: what is wrong is mended, by the supervised pixels and nothing else."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.errors import ImageError, LabelsError, ModelMismatchError, NothingToLearnError, UNetError
from napari_unet.inference.in_memory import segment
from napari_unet.inference.task import as_image
from napari_unet.learning.crops import image_samples
from napari_unet.learning.finetune import CORRECTIONS, finetune_config
from napari_unet.learning.from_labels import finetune
from napari_unet.learning.new_model import model_for_image
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.info import FROM_SCRATCH
from napari_unet.models.model import Model
from napari_unet.models.store import load_model
from napari_unet.progress import CancelToken

PLACES = tuple((y, x) for y in (6, 30, 54, 78) for x in (6, 30, 54, 78))
LEFT = (slice(None), slice(0, 48))


@pytest.fixture
def dim_image():
    """Image, labels: squares of which the right half is bright and the left half dim, with a few very bright pixels."""
    rng = np.random.default_rng(0)
    image, labels = rng.normal(0.0, 0.01, (100, 100)), np.zeros((100, 100), np.int32)
    for index, (y, x) in enumerate(PLACES, start=1):
        image[y : y + 12, x : x + 12] += 0.3 if x < 48 else 1.0
        labels[y : y + 12, x : x + 12] = index
    return image.astype(np.float32), labels


@pytest.fixture
def settings():
    def make(model, **changes):
        fixed = {"steps": 60, "max_seconds": None, "patch": (32, 32), "learning_rate": 0.05, "augmentation": None,
                 "distillation": 0.0}  # fmt: skip
        return finetune_config(model, **(fixed | changes))

    return make


def wrong_share(model, image, labels, where=(slice(None), slice(None))):
    """Share of the pixels of a place that are taken for the wrong one of object and ground."""
    predicted = segment(image, model, device="cpu").labels
    return float(((predicted > 0) != (labels > 0))[where].mean())


def weights(model):
    return {name: tensor.clone() for name, tensor in model.net.state_dict().items()}


def same(a, b):
    return all((a[name] == b[name]).all() for name in a)


def test_what_was_missed_is_found_after_learning(bright_model, dim_image, settings):
    """The model takes the dim squares for ground. A part of the left half is corrected; all of it is mended."""
    image, labels = dim_image
    model = bright_model(steepness=8.0)
    supervised = np.zeros(labels.shape, bool)
    supervised[:48, :48] = True
    assert wrong_share(model, image, labels, LEFT) > 0.2
    losses = []
    better = finetune(
        model, [image], [labels], supervised=[supervised], device="cpu", config=settings(model),
        progress=lambda p: losses.append(float(p.message.removeprefix("loss "))),
    )  # fmt: skip
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
    unseen = (slice(48, None), slice(0, 48))
    assert wrong_share(better, image, labels, LEFT) < 0.02
    assert wrong_share(better, image, labels, unseen) < 0.02
    assert wrong_share(better, image, labels) < 0.05


@pytest.mark.parametrize("zoom", [1, 6])
def test_a_new_model_learns_from_nothing(dim_image, zoom):
    """At a coarser scale where the objects are wide, as in the window."""
    image, labels = (np.kron(array, np.ones((zoom, zoom), array.dtype)) for array in dim_image)
    model = model_for_image(as_image(image, None))
    better = finetune(model, [image], [labels], steps=40, device="cpu")
    assert better.info.recipe["method"] == FROM_SCRATCH
    assert better.info.diameter == pytest.approx(12 if zoom == 1 else 30, rel=0.2)
    assert wrong_share(better, image, labels) < 0.1
    again = finetune(better, [image], [labels], steps=1, device="cpu")
    assert again.info.is_from_scratch
    assert not again.info.is_untrained


def test_an_untrained_network_learns_objects(tiny_model, dim_image, settings):
    image, labels = dim_image
    model = tiny_model(features=4, levels=1)
    before = wrong_share(model, image, labels)
    config = settings(model, steps=120, learning_rate=0.02, patch=(48, 48), freeze_norm=False)
    better = finetune(model, [image], [labels], device="cpu", config=config)
    assert before > 0.1
    assert wrong_share(better, image, labels) < 0.03


def test_it_learns_faster_where_it_would_be_seen_what_is_forgotten():
    """A model that carries base data along is kept from going too far by that."""
    carrying = load_model("nuclei")
    known = Model(carrying.net, carrying.info.model_copy(update={"replay_set": None}))
    assert finetune_config(known).learning_rate < finetune_config(carrying).learning_rate
    gone = Model(carrying.net, carrying.info.model_copy(update={"replay_set": "elsewhere"}))
    assert finetune_config(gone).learning_rate == finetune_config(known).learning_rate


def test_the_original_is_not_touched(bright_model, dim_image, settings):
    image, labels = dim_image
    model = bright_model()
    before, info = weights(model), model.info
    kept = image.copy(), labels.copy()
    better = finetune(model, [image], [labels], device="cpu", config=settings(model, steps=3))
    assert same(before, model.net.state_dict())
    assert model.info == info
    assert not model.net.training
    assert not any(p.requires_grad for p in model.net.parameters())
    assert better.net is not model.net
    assert not same(before, better.net.state_dict())
    assert not better.net.training
    assert np.array_equal(kept[0], image)
    assert np.array_equal(kept[1], labels)


@pytest.mark.parametrize("outputs", [("foreground", "distance"), ("foreground", "boundary")])
@pytest.mark.parametrize("augmented", [False, True])
def test_labels_that_are_not_supervised_have_no_influence(tiny_model, dim_image, settings, outputs, augmented):
    image, labels = dim_image
    info = {"outputs": outputs, "decoding": {"seeds": outputs[1]}}
    model = tiny_model(features=2, levels=1, info=info)
    supervised = np.zeros(labels.shape, bool)
    supervised[10:60, 10:60] = True
    supervised[70, 3:90] = True
    rng = np.random.default_rng(1)
    learned = []
    changes = {"steps": 6, "distillation": 0.2} | (
        {"augmentation": finetune_config(model).augmentation} if augmented else {}
    )
    garbage = [labels, np.where(supervised, labels, 0), np.where(supervised, labels, rng.integers(0, 30, labels.shape))]
    for truth in garbage:
        better = finetune(
            model,
            [image],
            [truth.astype(np.int32)],
            supervised=[supervised],
            device="cpu",
            config=settings(model, **changes),
        )
        learned.append(weights(better))
    assert same(learned[0], learned[1])
    assert same(learned[0], learned[2])
    other = np.where(supervised & (image > 0.5), 0, labels)
    config = settings(model, **changes)
    better = finetune(model, [image], [other], supervised=[supervised], device="cpu", config=config)
    assert not same(learned[0], weights(better))


def test_the_seed_decides(tiny_model, dim_image):
    image, labels = dim_image
    model = tiny_model(features=2, levels=1)
    config = {"batch_size": 1, "patch": (32, 32), "max_seconds": None, "steps": 3}
    a, b, c = (
        weights(finetune(model, [image], [labels], device="cpu", config=finetune_config(model, seed=s, **config)))
        for s in (1, 1, 2)
    )
    assert same(a, b)
    assert not same(a, c)


def test_no_mask_means_all_pixels(tiny_model, dim_image, settings):
    image, labels = dim_image
    model = tiny_model(features=2, levels=1)
    everything = np.ones(labels.shape, bool)
    results = [
        weights(finetune(model, [image], [labels], supervised=mask, device="cpu", config=settings(model, steps=3)))
        for mask in (None, [None], [everything])
    ]
    assert same(results[0], results[1])
    assert same(results[0], results[2])


def test_where_a_model_comes_from_is_noted(bright_model, dim_image, settings, tmp_path):
    image, labels = dim_image
    model = bright_model(info={"scores": {"val": 0.9}, "training_data": ({"name": "its own", "licence": "CC0-1.0"},)})
    mask = np.zeros(labels.shape, bool)
    mask[:50, :50] = True
    better = finetune(
        model, [image], [labels], supervised=[mask], device="cpu", config=settings(model, steps=4, seed=7)
    )
    info = better.info
    assert info.parent == f"bright (sha256 {model.sha256()[:12]})"
    assert info.name == "bright, corrected"
    assert info.recipe["steps"] == 4
    assert info.recipe["seed"] == 7
    assert info.recipe["supervised_pixels"] == 2500
    assert info.scores == {}  # those of the parent are no longer true
    assert [d.name for d in info.training_data] == ["its own", CORRECTIONS.name]
    again = finetune(better, [image], [labels], device="cpu", config=settings(model, steps=1))
    assert again.info.name == "bright, corrected"
    assert again.info.parent.endswith(f"(sha256 {better.sha256()[:12]})")
    assert [d.name for d in again.info.training_data] == ["its own", CORRECTIONS.name]
    save_model_file(again, tmp_path / "a.safetensors")
    assert load_model_file(tmp_path / "a.safetensors").info == again.info


def test_validation_is_scored_before_and_after(bright_model, dim_image, settings):
    image, labels = dim_image
    model = bright_model(steepness=8.0)
    better = finetune(
        model, [image], [labels], device="cpu", config=settings(model), validation=([image[:, ::-1]], [labels[:, ::-1]])
    )
    assert better.info.scores["validation before"] == pytest.approx(0.5, abs=0.01)
    assert better.info.scores["validation after"] > 0.9
    with pytest.raises(UNetError, match="validation images"):
        finetune(model, [image], [labels], device="cpu", config=settings(model, steps=1), validation=([image], []))


def test_classes_are_learned(bright_model, dim_image, settings):
    image, labels = dim_image
    classes = (labels > 0).astype(np.uint8) + (image > 0.6)
    fields = {"task": "semantic", "outputs": ("class_0", "class_1", "class_2")}
    model = bright_model(out_channels=3, steepness=1.0, info=fields)
    config = settings(model, steps=150)
    assert config.exclusive
    better = finetune(model, [image], [classes], device="cpu", config=config, validation=([image], [classes]))
    assert better.info.scores["validation after"] > 0.9 > better.info.scores["validation before"]


def test_a_stop_gives_what_was_learned_so_far(tiny_model, dim_image, settings):
    image, labels = dim_image
    model, cancel, seen = tiny_model(features=2, levels=1), CancelToken(), []

    def progress(event):
        seen.append(event)
        if event.done == 3:
            cancel.cancel()

    config = settings(model, steps=1000)
    stopped = finetune(model, [image], [labels], device="cpu", config=config, progress=progress, cancel=cancel)
    assert [p.done for p in seen] == [1, 2, 3]
    assert seen[0].total == 1000
    assert stopped.info.recipe["steps"] == 3
    three = finetune(model, [image], [labels], device="cpu", config=settings(model, steps=3))
    assert same(weights(stopped), weights(three))


def test_a_stop_before_the_first_step_gives_the_same_weights(tiny_model, dim_image, settings):
    image, labels = dim_image
    model, cancel = tiny_model(features=2, levels=1), CancelToken()
    cancel.cancel()
    stopped = finetune(model, [image], [labels], device="cpu", config=settings(model), cancel=cancel)
    assert same(weights(model), weights(stopped))
    assert stopped.info.recipe["steps"] == 0


def test_time_and_steps_are_limits(tiny_model, dim_image):
    image, labels = dim_image
    model = tiny_model(features=2, levels=1)
    assert finetune(model, [image], [labels], steps=2, device="cpu").info.recipe["steps"] == 2
    by_time = finetune(model, [image], [labels], max_seconds=0.5, device="cpu")
    assert by_time.info.recipe["steps"] >= 1
    assert by_time.info.recipe["seconds"] < 5


def test_masks_may_be_one_array(tiny_model, dim_image):
    image, labels = dim_image
    masks = np.zeros((2, *labels.shape), bool)
    masks[:, :20] = True
    model = tiny_model(features=2, levels=1)
    better = finetune(model, [image, image], [labels, labels], supervised=masks, device="cpu", steps=1)
    assert better.info.recipe["supervised_pixels"] == masks.sum()


def test_nothing_supervised_is_told(tiny_model, dim_image):
    image, labels = dim_image
    model = tiny_model(features=2, levels=1)
    for images, truths, masks in (
        ([image], [labels], [np.zeros(labels.shape, bool)]),
        ([image, image], [labels, labels], [np.zeros(labels.shape, bool)] * 2),
        ([], [], None),
    ):
        with pytest.raises(NothingToLearnError, match="nothing to learn"):
            finetune(model, images, truths, supervised=masks, device="cpu", steps=1)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda i, t: ([i, i], [t], None), LabelsError, "2 images and 1 label"),
        (lambda i, t: ([i], [t], [None, None]), LabelsError, "each image needs its own"),
        (lambda i, t: ([i], [t[:-1]], None), LabelsError, r"shape \(99, 100\); needed is \(100, 100\)"),
        (lambda i, t: ([i], [t], [np.ones((100, 99), bool)]), LabelsError, "mask of supervised pixels"),
        (lambda i, t: ([i], [t + 0.5], None), LabelsError, "image 1 holds numbers that are not whole"),
        (lambda i, t: ([i], [np.where(t > 0, t, np.nan)], None), LabelsError, "not whole"),
        (lambda i, t: ([i], [-t], None), LabelsError, "image 1 has the negative label"),
        (lambda i, t: ([i], [0 * t], None), LabelsError, "No label image holds an object"),
        (lambda i, t: ([np.full(i.shape, np.nan)], [t], None), ImageError, "No pixel of image 1 is a number"),
        (lambda i, t: ([np.stack([i, i], -1)], [t], None), UNetError, "shape|channel"),
        (lambda i, t: ([i.astype(complex)], [t], None), UNetError, "complex"),
    ],
)
def test_input_that_does_not_fit_is_told(tiny_model, dim_image, change, error, said):
    images, truths, masks = change(*dim_image)
    with pytest.raises(error, match=said):
        finetune(tiny_model(features=2, levels=1), images, truths, supervised=masks, device="cpu", steps=1)


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (np.ones((100, 100), int), "All labels are of one class"),
        (np.arange(10_000).reshape(100, 100) % 41, "the class 40; this model has the classes 0 to 2"),
        (np.full((100, 100), np.nan), "not whole"),
    ],
)
def test_classes_that_cannot_be_learned_are_told(bright_model, dim_image, truth, said):
    fields = {"task": "semantic", "outputs": ("class_0", "class_1", "class_2")}
    model = bright_model(out_channels=3, info=fields)
    with pytest.raises(LabelsError, match=said):
        finetune(model, [dim_image[0]], [truth], device="cpu", steps=1)


def test_corrections_may_be_of_one_class_or_all_background(bright_model, tiny_model, dim_image, settings):
    image, labels = dim_image
    part = np.zeros(labels.shape, bool)
    part[:20] = True
    fields = {"task": "semantic", "outputs": ("class_0", "class_1", "class_2")}
    classes, objects = bright_model(out_channels=3, info=fields), tiny_model(features=2, levels=1)
    said = r"All that is marked is of one class \(1\): mark some of another one, too\."
    for model, truth, told in (
        (classes, np.ones_like(labels), pytest.warns(UserWarning, match=said)),
        (objects, np.zeros_like(labels), nullcontext()),
    ):
        with told:
            better = finetune(model, [image], [truth], supervised=[part], device="cpu", config=settings(model, steps=1))
        assert better.info.recipe["steps"] == 1


def test_labels_that_do_not_count_may_be_anything(tiny_model, dim_image, settings):
    image, labels = dim_image
    model, part = tiny_model(features=2, levels=1), np.zeros(labels.shape, bool)
    part[:60] = True
    learned = [
        weights(finetune(model, [image], [truth], supervised=[part], device="cpu", config=settings(model, steps=2)))
        for truth in (labels, np.where(part, labels, -1), np.where(part, labels, np.nan))
    ]
    assert same(learned[0], learned[1])
    assert same(learned[0], learned[2])


def test_a_network_for_volumes_learns_from_no_plane(tiny_model, dim_image):
    with pytest.raises(ModelMismatchError, match=r"is for volumes; image 1 has no Z axis"):
        finetune(tiny_model(ndim=3, features=2, levels=1), [dim_image[0]], [dim_image[1]], device="cpu", steps=1)


def test_an_image_that_is_all_alike_is_said(tiny_model, dim_image):
    image, labels = dim_image
    with pytest.warns(UserWarning, match="image 2: all pixels have the same value"):
        finetune(tiny_model(features=2, levels=1), [image, 0 * image], [labels, labels], device="cpu", steps=1)


@pytest.mark.parametrize("masked", [False, True])
def test_labels_that_contradict_each_other_are_said(tiny_model, dim_image, settings, masked):
    """Unless what differs does not count: an image may be given in two parts."""
    image, labels = dim_image
    model, other, part = tiny_model(features=2, levels=1), labels.copy(), np.zeros(labels.shape, bool)
    other[:60] = 0
    part[60:] = True
    said = pytest.warns(UserWarning, match="image 1 and image 3 are the same image, but their labels differ")
    with nullcontext() if masked else said:
        finetune(
            model, [image, image + 1, image], [labels, labels, other], device="cpu",
            supervised=[None, None, part if masked else None], config=settings(model, steps=1),
        )  # fmt: skip


def spots(width, shape):
    """Balls or discs of one width in rows and columns, as a mask."""
    axes = np.meshgrid(*[(np.arange(n) + 0.5) % (2 * width) - width for n in shape], indexing="ij")
    return sum(axis**2 for axis in axes) < (width / 2) ** 2


@pytest.mark.parametrize("shape", [(120, 120), (24, 72, 72)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["a mask", "ids in two places"])
def test_pieces_of_an_id_are_objects(tiny_model, settings, shape, masked, kind):
    """They teach the same as labels with an id for each, and give the model the same scale."""
    model = tiny_model(ndim=len(shape), features=2, levels=1, info={"diameter": 12.0})
    mask = spots(12, shape)
    own = ndimage.label(mask)[0].astype(np.int32)
    truth = mask.astype(np.int32) if kind == "a mask" else (own + 1) // 2
    part = np.ones(shape, bool)
    if masked:
        part[..., shape[-1] // 2 :] = False
    image, changes = mask.astype(np.float32), {} if len(shape) == 2 else {"patch": (4, 16, 16)}
    config = settings(model, **({"steps": 1} | changes))
    plain = finetune(model, [image], [own], supervised=[part], device="cpu", config=config)
    with pytest.warns(UserWarning, match="image 1: some ids stand in several places; each piece counts as an object"):
        better = finetune(model, [image], [truth], supervised=[part], device="cpu", config=config)
    assert same(weights(plain), weights(better))
    assert better.info.image_diameter == plain.info.image_diameter is None


def test_pieces_that_do_not_count_change_nothing(tiny_model, dim_image, settings):
    image, labels = dim_image
    model, part = tiny_model(features=2, levels=1, info={"diameter": 12.0}), np.zeros(labels.shape, bool)
    part[:50] = True
    other = np.where(part, labels, spots(6, labels.shape))
    better = finetune(model, [image], [other], supervised=[part], device="cpu", config=settings(model, steps=1))
    assert better.info.image_diameter is None


def test_the_channels_have_to_fit(tiny_model, dim_image):
    image, labels = dim_image
    with pytest.raises(ModelMismatchError, match="takes 2 channels; the image has 1"):
        finetune(tiny_model(in_channels=2), [image], [labels], device="cpu", steps=1)


def test_axes_of_images_and_labels_go_together(tiny_model, dim_image):
    image, labels = dim_image
    model = tiny_model(features=2, levels=1)
    images, truths = np.stack([image, image]), np.stack([labels, labels])
    mask = np.zeros(truths.shape, bool)
    mask[1, 5:30, 5:30] = True
    samples = image_samples(as_image(images, "ZYX"), model, truths[None], mask[None])
    assert len(samples) == 1
    a, b = (
        finetune(model, [data], [truth], supervised=[m], axes=axes, device="cpu", steps=2)
        for data, truth, m, axes in (
            (images, truths, mask, "ZYX"),
            (images.transpose(2, 1, 0), truths.transpose(2, 1, 0), mask.transpose(2, 1, 0), "XYZ"),
        )
    )
    assert same(weights(a), weights(b))


def test_a_3d_model_learns_from_a_volume(tiny_model):
    model = tiny_model(ndim=3, features=2, levels=1)
    volume = np.zeros((6, 24, 24), np.float32)
    volume[1:5, 5:15, 5:15] = 1
    config = finetune_config(model, steps=2, patch=(4, 16, 16), max_seconds=None)
    better = finetune(model, [volume], [ndimage.label(volume)[0]], device="cpu", config=config)
    assert not same(weights(model), weights(better))


def test_a_valid_network_learns(tiny_model, dim_image):
    image, labels = dim_image
    model = tiny_model(features=2, levels=1, padding="valid", norm="none")
    config = finetune_config(model, steps=2, patch=(40, 40), max_seconds=None)
    assert not same(weights(model), weights(finetune(model, [image], [labels], device="cpu", config=config)))
