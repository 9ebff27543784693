"""Training on labelled images: what is kept aside, what is reported, and what is wrong with the input."""

from __future__ import annotations

import numpy as np
import pytest

from hand_made import bright, squares
from napari_unet.axes import Image
from napari_unet.errors import (
    FileFormatError,
    ImageError,
    LabelsError,
    LearningError,
    ModelMismatchError,
    ModelOutputError,
    NothingToLearnError,
    UNetError,
)
from napari_unet.learning import train as module
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.from_labels import finetune
from napari_unet.learning.labelled import LabelledImages
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.train import train
from napari_unet.learning.training_report import TrainingReport
from napari_unet.learning.validation import ImageScore
from napari_unet.models.model import Model
from napari_unet.objects.decode import Decoding
from napari_unet.progress import CancelToken
from napari_unet.training.checked import CheckedTraining
from napari_unet.training.config import TrainingConfig

OPTIONS = {"steps": 1, "device": "cpu"}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    """Steps that take no time, and change next to nothing."""

    def config(model, *, scratch, steps, max_seconds, seed):
        patch = (16, 16) if model.info.spec.ndim == 2 else (4, 16, 16)
        known = {"steps": steps or 3, "max_seconds": max_seconds, "seed": seed, "patch": patch, "learning_rate": 1e-9}
        return TrainingConfig(**known, batch_size=1, augmentation=None, exclusive=not model.info.finds_objects)

    monkeypatch.setattr(module, "training_config", config)


def picture(seed=0, name="", pixels=None):
    """Four squares in noise that no other seed has."""
    noise = np.random.default_rng(seed).random((64, 64)).astype(np.float32)
    return Image(squares(dim=1.0) + 0.01 * noise if pixels is None else pixels, "YX", name=name or f"{seed}.tif")


def truth():
    labels = np.zeros((64, 64), np.int32)
    for label, (y, x) in enumerate(((10, 10), (10, 40), (40, 10), (40, 40)), start=1):
        labels[y : y + 10, x : x + 10] = label
    return labels


def model(**info):
    return bright(decoding=Decoding(smoothing=0.0), **info)


def trained(count=1, begin=None, **options):
    return train(begin or model(), [picture(seed) for seed in range(count)], [truth()] * count, **(OPTIONS | options))


# -- which channel -----------------------------------------------------------------------------------------------------


def with_channels(*channels, names=()):
    return Image(np.stack([picture(seed).read()[0, 0] * on for seed, on in enumerate(channels)]), "CYX",
                 channel_names=names, name="two.tif")  # fmt: skip


@pytest.mark.parametrize("channel", [1, "GFP"])
def test_one_of_several_channels_is_learned_from(channel):
    image = with_channels(0.0, 1.0, names=("DAPI", "GFP"))
    validation = [with_channels(0.0, 1.0, names=("DAPI", "GFP"))], [truth()]
    _, report = train(model(), [image], [truth()], channel=channel, validation=validation, **OPTIONS)
    assert report.before.value == 1.0, "the other channel is empty"
    assert not any("channel" in note for note in report.notes)


def test_without_a_word_it_is_the_one_that_is_segmented():
    _, report = train(model(), [with_channels(1.0, 0.0)], [truth()], **OPTIONS)
    assert report.before.value == 1.0
    assert any("first of several channels" in note for note in report.notes)
    learned = finetune(model(), [with_channels(1.0, 0.0)], [truth()], steps=1, device="cpu", max_seconds=None,
                       validation=([with_channels(1.0, 0.0)], [truth()]))  # fmt: skip
    assert learned.info.scores["validation before"] == 1.0


def test_an_untrained_network_takes_all_channels_or_the_one_that_is_named():
    image = with_channels(1.0, 0.0)
    takes = [
        train(None, [image], [truth()], channel=channel, **OPTIONS)[0].info.spec.in_channels for channel in (None, 1)
    ]
    assert takes == [2, 1]


@pytest.mark.parametrize("channel", [2, -1, "RFP"])
def test_a_channel_that_is_not_there_is_named(channel):
    with pytest.raises(ImageError, match=f"no channel {channel}"):
        train(model(), [with_channels(1.0, 0.0)], [truth()], channel=channel, **OPTIONS)


# -- what is kept aside ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "share", "aside"), [(4, None, 0), (5, None, 1), (11, None, 2), (3, 0.3, 1), (2, 0.9, 1), (6, 0, 0)]
)
def test_whole_images_are_kept_aside(count, share, aside):
    given = labelled(count)
    learned, others = parted(given, share, 0)
    names = () if others is None else others.names
    assert len(names) == aside
    assert sorted(learned.names + names) == sorted(given.names)


def labelled(count, empty=0):
    labels = [truth() * (seed >= empty) for seed in range(count)]
    return LabelledImages.of([picture(seed) for seed in range(count)], labels)


def parted(given, share, seed):
    return module.parted(given, share, seed, DEFAULT_POLICY)


def test_which_ones_goes_by_the_seed():
    given = labelled(8)
    asides = [parted(given, None, seed)[1].names for seed in (0, 1, 2, 3, 3)]
    assert len(set(asides)) > 1
    assert asides[3] == asides[4]


@pytest.mark.parametrize("seed", range(6))
def test_a_class_of_an_image_that_is_kept_aside_is_a_class(seed):
    labels = [truth() > 0 for _ in range(5)]
    labels[3] = labels[3] * 2
    images = [picture(number) for number in range(5)]
    made, _ = train(None, images, [one.astype(int) for one in labels], task="semantic", seed=seed, **OPTIONS)
    assert made.info.spec.out_channels == 3


def test_images_without_objects_are_not_checked_on():
    given = labelled(4, empty=2)
    assert all(set(parted(given, 0.5, seed)[1].names) < {"2.tif", "3.tif"} for seed in range(4))
    with pytest.raises(LearningError, match="takes two with labels at least; here is 1"):
        parted(labelled(4, empty=3), 0.5, 0)


def test_what_is_kept_aside_is_reported():
    _, report = trained(2, val_share=0.5)
    assert sorted(report.kept_aside + report.learned_from) == ["0.tif", "1.tif"]
    assert report.validation == report.kept_aside
    assert f"Kept aside, to check on: {report.kept_aside[0]}." in str(report)


@pytest.mark.parametrize("share", [-0.1, 0.95, float("nan"), "half", None.__class__])
def test_shares_that_make_no_sense(share):
    with pytest.raises(LearningError, match="number from 0 to 0.9"):
        trained(3, val_share=share)


@pytest.mark.parametrize("limits", [{"max_seconds": 0}, {"max_seconds": float("nan")}, {"steps": 0}, {"steps": -3}])
def test_limits_that_make_no_sense(limits):
    with pytest.raises(LearningError, match="is a number from"):
        trained(1, **limits)


def test_images_to_validate_on_or_a_share():
    with pytest.raises(LearningError, match="not both"):
        trained(2, val_share=0.5, validation=([picture(9)], [truth()]))


# -- what is said ------------------------------------------------------------------------------------------------------


def test_scores_before_and_after_on_images_that_were_not_learned_from():
    better, report = trained(1, validation=([picture(7, "v.tif"), picture(8, "w.tif")], [truth()] * 2))
    assert report.validation == ("v.tif", "w.tif")
    assert report.kept_aside == ()
    assert (report.before.value, report.after.value, report.after.objects) == (1.0, 1.0, 8)
    assert better.info.scores == {"validation before": 1.0, "validation": 1.0}
    assert better.info.parent.startswith("bright (sha256")
    assert better.info.description == "Began as bright, and trained on 1 labelled image."
    assert "On 2 images with 8 objects that it did not learn from: 100% right before, 100% (68 to 100%" in str(report)


def test_without_any_the_score_is_called_that_of_what_was_learned():
    better, report = trained(2)
    assert "that it learned from" in str(report)
    assert "No image was kept aside" in str(report)
    assert better.info.scores == {}
    assert report.to_dict()["scored_on"] == "learned from"


def test_the_smallest_object_is_fitted_to_the_images_kept_aside():
    begin = model()
    begin = Model(begin.net, begin.info.model_copy(update={"decoding": Decoding(smoothing=0.0, min_size=300)}))
    better, report = trained(2, begin, val_share=0.5)
    assert report.before.value == 0.0
    assert report.after.value == 1.0
    assert better.info.decoding.min_size < 100


def test_a_model_that_cannot_be_scored_is_not_lost(monkeypatch):
    def failing(*_):
        raise ModelOutputError("The network gave values that are not numbers.")

    monkeypatch.setattr(module, "image_score", failing)
    better, report = trained(2)
    assert better.info.recipe["steps"] == 1
    assert report.after is None
    assert report.notes == ("The new model could not be scored. The network gave values that are not numbers.",)
    assert "could not be scored" in str(report)


def test_an_untrained_network_has_no_score_before():
    images = [picture(seed) for seed in range(2)]
    better, report = train(None, images, [truth()] * 2, val_share=0.5, **OPTIONS)
    assert report.before is None
    assert set(better.info.scores) == {"validation"}
    assert report.retained is None


def report(**facts):
    known = {"learned_from": ("a",), "objects": 9, "validation": ("b",), "kept_aside": ("b",), "steps": 10}
    return TrainingReport(**(known | {"seconds": 61.0, "loss": 0.5} | facts))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"retained": Comparison(0.8, 0.4, -0.5, -0.3, 50), "first_model": "nuclei"}, "go on using nuclei"),
        (
            {"retained": Comparison(0.8, 0.8, -0.1, 0.1, 50), "first_model": "nuclei"},
            "80% right to the outline, 80% now",
        ),
        ({"best_step": 0}, "No check was better"),
        ({"best_step": 4}, "An earlier check was better"),
        ({"stopped_early": True}, "stopped early"),
        ({"gone_on": 4}, "4 steps of these were done before"),
        ({"objects": None, "after": ImageScore(0.5, None, 2)}, "On 2 images that it did not learn from: 50% now."),
        ({"kept_aside": tuple("abcde")}, "a, b, c and 2 others"),
    ],
)
def test_sentences(facts, said):
    text = str(report(**facts))
    assert said in text
    assert all(len(line) <= 160 for line in text.splitlines())


def test_no_step_counts_as_the_best_where_nothing_was_checked():
    assert "check was" not in str(report(best_step=None, after=None))


# -- interruptions -----------------------------------------------------------------------------------------------------


def test_stopped_and_gone_on(tmp_path):
    path, token = tmp_path / "m.checkpoint", CancelToken()
    options = {"steps": 4, "checkpoint": path}
    better, report = trained(2, **options, cancel=token, progress=lambda event: event.done == 2 and token.cancel())
    assert (report.was_interrupted, report.steps, report.after) == (True, 2, None)
    assert better.info.recipe["steps"] == 2
    seen = []
    _, report = trained(2, **options, progress=lambda event: seen.append((event.done, event.note)))
    assert seen == [(3, "Going on where it was interrupted."), (4, "Going on where it was interrupted.")]
    assert (report.gone_on, report.steps, report.was_interrupted) == (2, 4, False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seed": 1}, "settings"),
        ({"steps": 5}, "settings"),
        ({"border": 2.0}, "settings"),
        ({"ignore_label": 4}, "labels"),
        ({"begin": "other"}, "model"),
        ({"count": 3}, "images"),
        ({"validation": True}, "validation images"),
    ],
)
def test_with_anything_else_it_does_not_go_on(tmp_path, options, said):
    path = tmp_path / "m.checkpoint"
    trained(2, steps=2, checkpoint=path)
    changes = {"count": 2, "steps": 2} | options
    if "begin" in changes:
        changes["begin"] = bright(threshold=0.3, decoding=Decoding(smoothing=0.0))
    if "validation" in changes:
        changes["validation"] = [picture(9)], [truth()]
    with pytest.raises(LearningError, match=f"other .*{said}.*begin anew with --restart"):
        trained(**changes, checkpoint=path)


def test_a_checkpoint_that_is_something_else(tmp_path):
    path = tmp_path / "m.checkpoint"
    path.write_text("my notes")
    with pytest.raises(FileFormatError, match="no checkpoint"):
        trained(checkpoint=path)
    assert path.read_text() == "my notes"


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_images_that_are_there_twice():
    other = truth()
    other[other == 4] = 0
    _, report = train(
        model(), [picture(1, "a"), picture(1, "b"), picture(2, "c")], [truth(), other, truth()], **OPTIONS
    )
    assert report.notes == ("a and b are the same image, but their labels differ.",)
    _, report = trained(2, validation=([picture(0, "x.tif"), picture(5, "y.tif")], [truth()] * 2))
    assert report.notes == (
        "1 of 2 validation images are also learned from (x.tif): scores on these say nothing of new images.",
    )
    assert (report.not_unseen, report.after.images, report.after.objects) == (("x.tif",), 1, 4)
    assert "On 1 image with 4 objects that it did not learn from" in str(report)
    _, report = trained(2, validation=([picture(0, "x.tif"), picture(1, "y.tif")], [truth()] * 2))
    assert "On 2 images with 8 objects that it learned from" in str(report)
    assert "not learn from" not in str(report)
    assert report.to_dict()["scored_on"] == "learned from"


def test_a_task_that_a_model_has_not():
    with pytest.raises(ModelMismatchError, match="finds objects, so its task is instances; got semantic"):
        trained(task="semantic")
    assert trained(task="instances")[1].objects == 4


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"kind": "unet4d"}, "The kind of network is 'unet4d'; it must be 'unet2d', 'unet3d' or 'unet2015'."),
        ({"task": "objects"}, "What is learned is 'objects'; it must be None, 'instances' or 'semantic'."),
    ],
)
def test_words_that_are_none(asked, told):
    with pytest.raises(UNetError) as caught:
        trained(**asked)
    assert str(caught.value) == told


def test_no_time_for_a_step(tmp_path, monkeypatch):
    monkeypatch.setattr(CheckedTraining, "_steps", lambda *_: (one for one in ()))
    with pytest.raises(LearningError, match=r"In 0\.001 s nothing can be learned"):
        trained(steps=None, max_seconds=0.001, checkpoint=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def odd(value):
    pixels = squares(dim=1.0)
    pixels[20:30] = value
    return pixels


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (odd(np.nan), "some pixels are no numbers"),
        (odd(np.inf), "some pixels are no numbers"),
        (squares() * 0, "all pixels have the same value"),
        (np.full((64, 64), 7, np.uint16), "all pixels have the same value"),
    ],
)
def test_pixels_that_are_no_numbers_or_all_alike(pixels, said):
    better, report = train(model(), [picture(pixels=pixels), picture(3)], [truth()] * 2, **OPTIONS)
    assert [note for note in report.notes if said in note and note.startswith("0.tif:")] == list(report.notes)
    assert np.isfinite(report.loss)
    assert all(bool(value.isfinite().all()) for value in better.net.state_dict().values())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_numbers_is_refused(value):
    empty = picture(9, pixels=np.full((64, 64), value, np.float32))
    with pytest.raises(ImageError, match=r"^No pixel of 9\.tif is a number"):
        train(model(), [picture(), empty], [truth()] * 2, **OPTIONS)
    with pytest.raises(ImageError, match=r"^Validation: No pixel of 9\.tif is a number"):
        trained(1, validation=([empty], [truth()]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda labels: np.where(labels > 0, labels, np.nan), "0.tif holds numbers that are not whole"),
        (lambda labels: labels + 0.5, "0.tif holds numbers that are not whole"),
        (lambda labels: -labels, "0.tif has the negative label -4"),
    ],
)
def test_labels_that_are_no_ids(change, said):
    with pytest.raises(LabelsError, match=said):
        train(model(), [picture()], [change(truth())], **OPTIONS)
    with pytest.raises(LabelsError, match=said):
        trained(1, validation=([picture()], [change(truth())]))


def test_whole_numbers_may_be_stored_as_floats():
    _, report = train(model(), [picture()], [truth().astype(np.float64)], **OPTIONS)
    assert report.objects == 4


def test_a_model_for_volumes_is_not_trained_on_planes(tiny_model, tmp_path):
    deep = tiny_model(ndim=3, features=2, levels=1)
    with pytest.raises(ModelMismatchError, match=r"is for volumes; 0\.tif has no Z axis"):
        train(deep, [picture()], [truth()], checkpoint=tmp_path / "c", **OPTIONS)
    volume, known = Image(np.stack([picture().read()[0, 0]] * 4), "ZYX", name="v.tif"), np.stack([truth()] * 4)
    with pytest.raises(ModelMismatchError, match=r"^Validation: .*0\.tif has no Z axis"):
        train(deep, [volume], [known], validation=([picture()], [truth()]), checkpoint=tmp_path / "c", **OPTIONS)
    assert not (tmp_path / "c").exists()


def test_an_image_of_one_pixel():
    one = Image(np.ones((1, 1), np.float32), "YX")
    _, report = train(model(), [one], [np.ones((1, 1), int)], **OPTIONS)
    assert (report.objects, report.steps) == (1, 1)


@pytest.mark.parametrize(
    ("labels", "error", "said"),
    [
        (np.zeros((64, 64), int), LabelsError, "No label image holds an object"),
        (np.zeros((9, 9), int), LabelsError, "needed is"),
    ],
)
def test_labels_that_teach_nothing(labels, error, said):
    with pytest.raises(error, match=said):
        train(model(), [picture()], [labels], **OPTIONS)
    with pytest.raises(error, match=said):
        train(model(), [picture()], [truth()], validation=([picture(1)], [labels]), **OPTIONS)


def test_everything_is_one_object():
    _, report = train(model(), [picture()], [np.ones((64, 64), int)], **OPTIONS)
    assert report.objects == 1


def test_no_pixel_counts():
    with pytest.raises((NothingToLearnError, LabelsError)):
        train(model(), [picture()], [np.full((64, 64), 9)], ignore_label=9, **OPTIONS)


def test_no_images():
    with pytest.raises(LabelsError, match="There is no image"):
        train(model(), [], [], **OPTIONS)
    with pytest.raises(LabelsError, match="There is no validation image"):
        trained(1, validation=([], []))


def test_objects_at_the_border_are_learned_and_found():
    pixels, labels = np.zeros((40, 40), np.float32), np.zeros((40, 40), int)
    for label, (y, x) in enumerate(((0, 0), (30, 30), (0, 30), (14, 0)), start=1):
        pixels[y : y + 10, x : x + 10], labels[y : y + 10, x : x + 10] = 1, label
    _, report = train(model(), [Image(pixels, "YX")], [labels], **OPTIONS)
    assert (report.after.value, report.after.objects) == (1.0, 4)
