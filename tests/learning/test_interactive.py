"""What is learned from, what is kept aside, and how learning from corrections goes on and ends."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet import progress
from napari_unet.axes import Image, PixelSize
from napari_unet.corrections.corrections import Corrections
from napari_unet.errors import ImageError, ModelMismatchError, NothingToLearnError
from napari_unet.learning import checks, interactive
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.checks import Checked
from napari_unet.learning.crops import CONTEXT, CropReader
from napari_unet.learning.held_out import held_out_squares
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.one_class import OneClass
from napari_unet.learning.policy import DEFAULT_POLICY, Policy, PromotionPolicy
from napari_unet.learning.preview import Preview
from napari_unet.learning.retention import BasePredictions, base_regions, replayed
from napari_unet.learning.split import split_annotations
from napari_unet.models.model import Model
from napari_unet.objects.stitch import match_ids
from napari_unet.progress import drive
from napari_unet.training.config import StepReport
from napari_unet.training.trainer import Trainer

WIDTH = DEFAULT_POLICY.split.square_width


def checking_always(**promotion):
    """A policy by which every step is followed by a check and a preview."""
    return Policy(promotion=PromotionPolicy(check_interval=0.0, max_check_share=1e9, **promotion))


@pytest.fixture
def field(blobs):
    """An image with many objects, its labels (T, Z, Y, X), and corrections in which all is predicted as it is."""
    image, labels = blobs((2 * WIDTH, 2 * WIDTH), n=40)
    truth = labels.astype(np.int32)[None, None]
    corrections = Corrections(truth.shape)
    corrections.prediction[:] = truth
    corrections.seen[:] = True
    return Image(image, "YX"), truth, corrections


def crops_of(field, model):
    image, labels, corrections = field
    corrections.update(labels)
    return annotated_crops(image, labels, corrections, model)


def test_nothing_corrected_gives_no_crops(field, model):
    assert crops_of(field, model) == []
    with pytest.raises(NothingToLearnError):
        split_annotations(model, [])


def test_a_model_for_volumes_learns_from_no_plane(field, tiny_model):
    field[1][0, 0, 50:60, 50:60] = 99
    with pytest.raises(ModelMismatchError, match="is for volumes; image has no Z axis"):
        crops_of(field, tiny_model(ndim=3, features=2, levels=1))


def test_annotated_crops_are_a_copy_of_the_planes_with_corrections_only(blobs, model):
    labels = np.zeros((2, 5, 40, 40), np.int32)
    corrections = Corrections(labels.shape)
    for frame, z in ((0, 1), (0, 2), (0, 4), (1, 0)):
        labels[frame, z, 5:10, 5:10] = 1
    corrections.update(labels)
    found = annotated_crops(Image(np.zeros(labels.shape, np.float32), "TZYX"), labels, corrections, model)
    parts = [one.part for one in found]
    assert [(part.frame, part.corner[0], len(part.labels)) for part in parts] == [(0, 1, 2), (0, 4, 1), (1, 0, 1)]
    labels[:] = 9
    corrections.prediction[:] = 9
    assert all(part.labels.max() == 1 and part.mask("corrected").any() for part in parts)


def test_a_corner_of_a_large_image_teaches_what_is_there(blobs, model):
    """Only what lies around the corrections is copied; what is read, kept aside and scored is at the same place."""
    image, ids = blobs((5 * WIDTH, 6 * WIDTH), n=200)
    truth = ids.astype(np.int32)[None, None]
    corrections = Corrections(truth.shape)
    corrections.prediction[:] = truth
    place = np.s_[3 * WIDTH + 7 :, 3 * WIDTH + 9 :]
    corrections.reviewed[0, 0][place] = True
    split = split_annotations(model, crops_of((Image(image, "YX"), truth, corrections), model))
    whole = CropReader(Image(image, "YX"), model).read(0, (slice(0, 1), slice(None), slice(None)))
    (sample,) = split.samples
    y, x = 3 * WIDTH + 7 - CONTEXT, 3 * WIDTH + 9 - CONTEXT
    assert np.allclose(sample.image, whole[:, y:, x:][:, : sample.image.shape[1]])
    seen = {tuple(np.unique(region.labels[region.mask])) for region in split.held_out}
    held = held_out_squares(corrections.reviewed[0], WIDTH)[0]
    assert seen == {tuple(np.unique(truth[0, 0][held]))}


def test_objects_elsewhere_in_the_image_speak_against_another_kind_of_image(blobs, model):
    image, ids = blobs((10 * WIDTH, 10 * WIDTH), n=300)
    labels = ids.astype(np.int32)[None, None]
    corrections = Corrections(labels.shape)
    corrections.prediction[:] = labels
    for label in np.unique(labels[..., :WIDTH, :WIDTH])[1:7]:
        labels[labels == label] = 0
    assert not split_annotations(model, crops_of((Image(image, "YX"), labels, corrections), model)).out_of_domain


def test_specks_that_nobody_corrects_do_not_make_an_image_known(model):
    """Six large cells are drawn, and none of hundreds of specks in and beside them is right."""
    predicted = np.zeros((1, 1, 400, 400), np.int32)
    predicted[..., 3::16, 5::16] = np.arange(1, 626).reshape(25, 25)
    predicted = ndimage.grey_dilation(predicted, (1, 1, 3, 3))
    corrections, labels = Corrections(predicted.shape), predicted.copy()
    corrections.prediction[:], corrections.seen[:] = predicted, True
    for index, (y, x) in enumerate(((y, x) for y in (60, 220) for x in (40, 160, 280)), start=1000):
        labels[0, 0, y : y + 80, x : x + 80] = index
    image = Image(np.zeros((400, 400), np.float32), "YX")
    assert split_annotations(model, crops_of((image, labels, corrections), model)).out_of_domain


def test_corrected_objects_alone_are_all_learned_from(field, model):
    _, labels, corrections = field
    labels[0, 0, 50:60, 50:60] = 99
    split = split_annotations(model, crops_of(field, model))
    assert split.held_out == []
    assert sum(s.supervised[0].sum() for s in split.samples) == corrections.supervised(labels, (0, 0)).sum()


def test_an_id_in_two_places_is_learned_as_two_objects(model):
    targets = []
    for second in (2, 1):
        labels = np.zeros((1, 1, 40, 90), np.int32)
        labels[..., 10:30, 10:30], labels[..., 15:25, 60:70] = 1, second
        corrections = Corrections(labels.shape)
        corrections.update(labels)
        crops = annotated_crops(Image(np.ones((40, 90), np.float32), "YX"), labels, corrections, model)
        targets.append(split_annotations(model, crops).samples[0].targets)
    assert np.array_equal(*targets)


def test_objects_of_one_id_are_held_out_as_those_of_several_are(model):
    labels = np.kron(np.arange(1, 65).reshape(8, 8), np.pad(np.ones((12, 12), int), 6)).astype(np.int32)[None, None]
    image, found = Image((labels[0, 0] > 0).astype(np.float32), "YX"), []
    for ids in (labels, np.minimum(labels, 1)):
        corrections = Corrections(labels.shape)
        corrections.prediction[:], corrections.reviewed[:] = ids, True
        found.append(split_annotations(model, crops_of((image, ids, corrections), model)).held_out)
    (several,), (single,) = found
    assert np.array_equal(several.mask, single.mask)
    assert len(match_ids(several.labels, single.labels, 0.99)) == 64


def test_objects_drawn_with_one_id_tell_of_another_domain_as_those_of_several_do(model):
    labels = np.kron(np.arange(1, 17).reshape(4, 4), np.pad(np.ones((12, 12), int), 6)).astype(np.int32)[None, None]
    image = Image((labels[0, 0] > 0).astype(np.float32), "YX")
    for ids in (labels, np.minimum(labels, 1)):
        assert split_annotations(model, crops_of((image, ids, Corrections(labels.shape)), model)).out_of_domain


def test_a_quarter_of_what_is_reviewed_is_kept_aside(field, model):
    field[2].reviewed[:] = True
    split = split_annotations(model, crops_of(field, model))
    (region,), (sample,) = split.held_out, split.samples
    assert region.mask.sum() == WIDTH * WIDTH
    assert np.array_equal(region.labels[:WIDTH, :WIDTH], field[1][0, 0, :WIDTH, :WIDTH])
    assert region.mask[:WIDTH, :WIDTH].all()
    assert not sample.supervised[:, :WIDTH, :WIDTH].any()
    assert sample.supervised[0].any()


def test_little_that_is_reviewed_is_learned_from(field, model):
    field[2].reviewed[..., :30, :30] = True
    split = split_annotations(model, crops_of(field, model))
    assert split.held_out == []
    assert sum(s.supervised[0].sum() for s in split.samples) == 900


def test_what_lies_in_one_square_is_learned_from(blobs, model):
    image, labels = blobs((WIDTH, WIDTH), n=20)
    truth = labels.astype(np.int32)[None, None]
    corrections = Corrections(truth.shape)
    corrections.reviewed[:] = True
    split = split_annotations(model, crops_of((Image(image, "YX"), truth, corrections), model))
    assert split.held_out == []
    assert split.samples[0].supervised[0].all()


def test_three_of_four_patches_are_centred_on_corrections_however_small(field, model):
    _, labels, corrections = field
    corrections.reviewed[:] = True
    labels[0, 0, 150, 150], labels[0, 0, 120:140, 20:40] = 77, 78
    (sample,) = split_annotations(model, crops_of(field, model)).samples
    y, x = sample.focus.T
    near = (abs(y - 150) <= 3) & (abs(x - 150) <= 3)
    assert 0.2 < near.mean() < 0.5, "one of two corrections, or the objects that it touches"


def test_an_image_with_little_to_learn_is_not_forgotten_beside_one_with_much(field, model):
    image, labels, _ = field
    other = (Image(image.data, "YX", name="b"), labels.copy(), Corrections(labels.shape))
    other[2].prediction[:] = labels
    labels[0, 0, 60:120, 60:120] = 99
    other[1][0, 0, 5, 5] = 99
    split = split_annotations(model, crops_of(field, model) + crops_of(other, model))
    assert min(sample.weight for sample in split.samples) >= 0.25


def test_a_model_without_a_bank_replays_nothing(field, model):
    field[1][0, 0, 50:60, 50:60] = 99
    samples = split_annotations(model, crops_of(field, model)).samples
    assert replayed(model, samples, 0.5) == samples
    assert base_regions(model) == []


def test_the_bank_has_its_share_of_the_patches(field, model, tiny_net):
    field[1][0, 0, 50:60, 50:60] = 99
    samples = split_annotations(model, crops_of(field, model)).samples
    net = tiny_net(in_channels=3, out_channels=2)
    info = model.info.model_copy(update={"spec": net.spec, "inputs": "colour", "replay_set": "nuclei"})
    known = Model(net, info)
    mixed = replayed(known, samples, 0.25)
    assert len(mixed) > 20
    total = sum(s.weight for s in mixed)
    assert sum(s.weight for s in mixed[len(samples) :]) == pytest.approx(0.25 * total)
    assert replayed(Model(net, info.model_copy(update={"replay_set": "gone"})), samples, 0.25) == samples


def test_a_model_that_is_wrong_about_most_is_out_of_domain(field, model):
    labels = field[1]
    ids = np.unique(labels)[1:]
    labels[np.isin(labels, ids[:4])] = 0
    assert not split_annotations(model, crops_of(field, model)).out_of_domain
    grown = ndimage.grey_dilation(labels[0, 0], 3)
    labels[0, 0] = np.where(labels[0, 0] > 0, labels[0, 0], grown)
    assert not split_annotations(model, crops_of(field, model)).out_of_domain, "outlines only"
    labels[np.isin(labels, ids[: 2 * len(ids) // 3])] = 0
    assert split_annotations(model, crops_of(field, model)).out_of_domain
    learned, _ = run(model, crops_of(field, model), steps=1)
    assert learned.model.info.recipe["learning_rate"] == 2e-3


def test_a_model_that_has_taken_up_another_kind_goes_on_with_its_outlines(field, model):
    """There a wrong outline is what is left to learn; for a model of this kind it is a small thing."""
    labels = field[1]
    grown = ndimage.grey_dilation(labels[0, 0], 5)
    labels[0, 0] = np.where(labels[0, 0] > 0, labels[0, 0], grown)
    assert not split_annotations(model, crops_of(field, model)).out_of_domain
    learned, _ = run(model, crops_of(field, model), steps=1)
    assert not learned.model.info.recipe["new_domain"]
    later = Model(model.net, model.info.model_copy(update={"recipe": {"new_domain": True}}))
    assert split_annotations(later, crops_of(field, later)).out_of_domain
    learned, _ = run(later, crops_of(field, later), steps=1)
    assert learned.model.info.recipe["learning_rate"] == 2e-3
    assert learned.model.info.recipe["new_domain"]


def test_images_are_read_at_the_pixel_size_of_the_model(model):
    image = Image(np.arange(1600.0).reshape(40, 40), "YX", PixelSize(0.5, 0.5))
    fine = Model(model.net, model.info.model_copy(update={"pixel_size": (0.25, 0.25)}))
    reader = CropReader(image, fine)
    box = slice(0, 1), slice(10, 20), slice(0, 40)
    assert reader.read(0, box).shape == (1, 20, 80)
    labels = np.arange(400).reshape(1, 10, 40)
    assert np.array_equal(reader.fit(labels), np.kron(labels[0], np.ones((2, 2), int)))


def run(model, crops, **changes):
    events = []
    settings = {"steps": changes.pop("steps", 6)}
    learned = drive(learning_steps(model, crops, None, "cpu", settings=settings, **changes), events.append)
    return learned, events


def test_without_review_nothing_is_known_and_it_is_used(field, model):
    field[1][0, 0, 50:60, 50:60] = 99
    learned, events = run(model, crops_of(field, model))
    assert [type(event) for event in events] == [StepReport] * 6
    assert learned.verdict.reviewed is None
    assert learned.verdict.should_promote()
    assert learned.verdict.details == ""
    assert learned.model.info.recipe["steps"] == 6
    assert learned.model.name == "tiny, corrected"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_a_number_teaches_nothing(field, model, value):
    """Nor do the corrections in other images, until those in this one are gone: it would be part of each batch."""
    image, labels, corrections = field
    corrections.reviewed[:] = True
    corrections.update(labels)
    blank = Image(np.full(image.data.shape, value, np.float32), "YX", name="blank.tif")
    crops = [one for picture in (image, blank) for one in annotated_crops(picture, labels, corrections, model)]
    with pytest.raises(ImageError, match=r"No pixel of blank.tif is a number"):
        run(model, crops)


def test_with_review_it_is(field, model):
    field[2].reviewed[:] = True
    learned, events = run(model, crops_of(field, model), policy=checking_always())
    checks = [event for event in events if isinstance(event, Checked)]
    assert len(checks) == 6
    assert learned.verdict.reviewed is not None
    assert learned.verdict.buffer < 94
    assert checks[-1].comparison.before == learned.verdict.reviewed.before


def test_it_ends_when_it_gets_no_better(field, model):
    field[2].reviewed[:] = True
    _, events = run(model, crops_of(field, model), steps=200, policy=checking_always(patience=0.0))
    assert sum(isinstance(event, StepReport) for event in events) < 200


@pytest.mark.parametrize("new_domain", [False, True])
def test_the_seconds_asked_for_are_those_of_all(field, model, monkeypatch, new_domain):
    """A step takes 1 s; what is done before and after them is known by what the same takes with the old model."""
    field[2].reviewed[:] = True
    model = Model(model.net, model.info.model_copy(update={"recipe": {"new_domain": new_domain}}))
    crops, now = crops_of(field, model), [0.0]
    base = BasePredictions((np.zeros(crops[0].labels.shape, np.int32),), 2.0, 0.5)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(interactive, "base_predictions", lambda *_: base)

    def takes(module, name, seconds):
        done = getattr(module, name)

        def timed(*given, **options):
            now[0] += seconds
            return done(*given, **options)

        monkeypatch.setattr(module, name, timed)

    takes(interactive, "split_annotations", 3.0)
    takes(interactive, "replayed", 1.0)
    monkeypatch.setattr(Trainer, "_train_step", lambda *_: 0.5)
    takes(Trainer, "_train_step", 1.0)
    takes(checks, "predict_regions", 1.5)
    takes(interactive, "interpolated", 4.0)  # two candidates
    takes(interactive, "check_retention", 2.0)
    takes(interactive, "fit_to_corrections", 1.5 + 18 * 0.5)
    events = []
    patient = Policy(promotion=PromotionPolicy(patience=100.0))
    learned = drive(learning_steps(model, crops, 60.0, "cpu", policy=patient), events.append)
    assert sum(isinstance(event, StepReport) for event in events) >= 14
    assert learned.verdict.reviewed is not None
    assert 57 <= now[0] <= 60


def test_corrections_made_meanwhile_join(field, model):
    field[1][0, 0, 50:60, 50:60] = 99
    first = crops_of(field, model)
    field[1][0, 0, 100:130, 100:130] = 98
    then = [crops_of(field, model)]
    learned, _ = run(model, first, more=lambda: then.pop() if then else [])
    assert learned.model.info.recipe["supervised_pixels"] >= 900


def test_who_wants_to_see_it_gets_a_preview(field, model):
    field[1][0, 0, 50:60, 50:60] = 99
    _, events = run(model, crops_of(field, model), preview_wanted=lambda: True, policy=checking_always())
    previews = [event for event in events if isinstance(event, Preview)]
    assert len(previews) == 6
    assert previews[0].model.net is not model.net


def odd(field, kind):
    """Make corrections that somebody may well make, but that teach little or nonsense."""
    _, labels, corrections = field
    if kind == "one pixel":
        labels[0, 0, 100, 100] = 99
    elif kind == "painted full":
        labels[:] = 5
    elif kind == "erased and reviewed":
        labels[:] = 0
        corrections.reviewed[:] = True
    elif kind == "the largest id there is":
        labels[0, 0, 50:70, 50:70] = 2**31 - 1
    elif kind == "a chequerboard":
        labels[0, 0, 40:90, 40:90] = 1 + np.indices((50, 50)).sum(0) % 2


@pytest.mark.parametrize(
    "kind", ["one pixel", "painted full", "erased and reviewed", "the largest id there is", "a chequerboard"]
)
def test_odd_corrections_are_learned_from_without_harm(field, model, kind):
    odd(field, kind)
    learned, events = run(model, crops_of(field, model), steps=3)
    assert all(np.isfinite(event.loss) for event in events if isinstance(event, StepReport))
    assert all(torch.isfinite(p).all() for p in learned.model.net.parameters())


def test_corrections_that_contradict_each_other(field, model):
    image, labels, _ = field
    other = image, labels.copy(), Corrections(labels.shape)
    other[2].prediction[:] = labels
    labels[0, 0, 60:90, 60:90], other[1][0, 0, 60:90, 60:90] = 0, 99
    learned, _ = run(model, crops_of(field, model) + crops_of(other, model), steps=3)
    assert all(torch.isfinite(p).all() for p in learned.model.net.parameters())


@pytest.mark.parametrize("other", [False, True])
def test_marks_of_one_class_are_told_of(blobs, bright_model, other):
    image, _ = blobs()
    info = {"task": "semantic", "outputs": ("class_0", "class_1", "class_2"), "classes": ("no", "axon", "myelin")}
    classes, labels = bright_model(out_channels=3, info=info), np.zeros((1, 1, *image.shape), np.int32)
    labels[..., 10:30, 10:30], labels[..., 50:60, 50:60] = 1, 1 + other
    _, events = run(
        classes, crops_of((Image(image, "YX"), labels, Corrections(labels.shape, instances=False)), classes)
    )
    said = [str(event) for event in events if isinstance(event, OneClass)]
    assert (
        said == [] if other else said == ["All that is marked is of one class (axon): mark some of another one, too."]
    )


def test_why_nothing_was_compared_is_noted(field, model):
    field[1][0, 0, 50:60, 50:60] = 99
    assert run(model, crops_of(field, model))[0].verdict.unchecked == "nothing reviewed"
    field[2].reviewed[..., :30, :30] = True
    learned, _ = run(model, crops_of(field, model))
    assert learned.verdict.reviewed is None
    assert learned.verdict.unchecked == "too little reviewed"
