"""What speaks for or against a new model where nothing is reviewed: corrections, and what was left alone near them."""

from __future__ import annotations

import copy
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.corrections.part import copied_parts
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.comparison import Comparison
from napari_unet.learning.gate import Verdict
from napari_unet.learning.held_out import HeldOutRegion
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.learning.regression import NearbyRegion, RegressionCheck, check_regression, held_out_corrections
from napari_unet.learning.split import split_annotations
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.progress import drive
from napari_unet.training.trainer import Trainer
from napari_unet_benchmarks.annotator_session import AnnotatorSession
from napari_unet_benchmarks.fields import Field

SPLIT = DEFAULT_POLICY.split


def grid(n=6, step=24, radius=8):
    """Squares in rows, ids from 1."""
    labels = np.zeros((n * step, n * step), np.int32)
    for index in range(n * n):
        y, x = (step * (index // n) + step // 2, step * (index % n) + step // 2)
        labels[y - radius : y + radius, x - radius : x + radius] = index + 1
    return labels


def without(labels, *ids):
    return np.where(np.isin(labels, ids), 0, labels)


def nearby_region(labels, predicted, *, mask=None, held_out=()):
    """Somebody has made `labels` of what was predicted, and seen all of it."""
    changed = labels != predicted
    touched = set(np.unique(labels[changed]).tolist()) | set(np.unique(predicted[changed]).tolist())
    mask = np.ones(labels.shape, bool) if mask is None else mask
    region = HeldOutRegion(np.zeros((1, *labels.shape), np.float32), labels, mask, frozenset(touched - {0}))
    return NearbyRegion(region, predicted, np.isin(labels, held_out) & (labels > 0))


def counts(found):
    return found.corrections, found.fixed, found.left_alone, found.lost


def compared(one, before, after, *, instances=True):
    return check_regression([one], [before], [after], instances=instances)


# -- what is counted --------------------------------------------------------------------------------------------------


def test_nothing_changes():
    labels = grid()
    predicted = without(labels, 1, 2)
    held_out, learned = compared(nearby_region(labels, predicted, held_out=(2,)), predicted, predicted)
    assert counts(held_out) == (1, 0, 34, 0)
    assert counts(learned) == (1, 0, 34, 0)
    assert (held_out.held_out, learned.held_out) == (True, False)


def test_missed_objects_are_fixed_and_others_lost():
    labels = grid()
    predicted = without(labels, 1, 2, 3)
    held_out, learned = compared(
        nearby_region(labels, predicted, held_out=(2, 3)), predicted, without(labels, 3, 20, 21)
    )
    assert counts(held_out) == (2, 1, 33, 2)
    assert counts(learned) == (1, 1, 33, 2)


def test_ids_do_not_matter():
    labels = grid()
    predicted = without(labels, 1)
    found = compared(nearby_region(labels, predicted), np.where(predicted > 0, 99 - predicted, 0), 7 * labels)[1]
    assert counts(found) == (1, 1, 35, 0)


def test_half_of_an_outline_that_was_wrong_has_to_be_fixed():
    labels = grid()
    predicted = labels.copy()
    predicted[:12][labels[:12] == 1] = 0  # the upper half
    little, much = predicted.copy(), predicted.copy()
    little[10:12][labels[10:12] == 1] = 1
    much[6:12][labels[6:12] == 1] = 1
    found = [compared(nearby_region(labels, predicted), predicted, after)[1] for after in (little, much)]
    assert [counts(one)[:2] for one in found] == [(1, 0), (1, 1)]
    assert [one.nearer for one in found] == [1, 1], "both come nearer"
    assert compared(nearby_region(labels, predicted), predicted, without(labels, 1))[1].nearer == 0


def test_an_outline_that_was_nearly_right_is_no_evidence():
    labels = grid()
    predicted = labels.copy()
    predicted[4:6][labels[4:6] == 1] = 0
    assert counts(compared(nearby_region(labels, predicted), predicted, labels)[1]) == (0, 0, 35, 0)


def test_an_erased_object_is_a_correction():
    predicted = grid()
    labels = without(predicted, 1, 2)
    found = compared(nearby_region(labels, predicted), predicted, without(predicted, 1))[1]
    assert counts(found) == (2, 1, 34, 0)
    assert found.nearer == 1


def test_objects_where_nothing_was_left_are_changes():
    labels = without(grid(), 1, 2, 3)
    predicted = without(labels, 4)
    found = compared(nearby_region(labels, predicted), predicted, grid())[1]
    assert counts(found) == (1, 1, 32, 0)
    assert found.added == 3


def test_what_nobody_has_seen_does_not_count():
    labels = grid()
    mask = np.zeros(labels.shape, bool)
    mask[:24] = True
    predicted = without(labels, 1)
    found = compared(nearby_region(labels, predicted, mask=mask), predicted, without(labels, *range(7, 37)))[1]
    assert counts(found) == (1, 1, 5, 0)


def test_an_object_of_a_volume_is_painted_in_one_slice():
    """And found in all that it goes through: it is compared in the one that was seen."""
    truth = np.stack([grid(3)] * 5)
    predicted = without(truth, 1, 2)
    predicted[:, :12][truth[:, :12] == 3] = 0  # the upper half
    labels = predicted.copy()
    labels[2] = truth[2]
    mask = np.zeros(labels.shape, bool)
    mask[2] = True
    found = compared(nearby_region(labels, predicted, mask=mask), predicted, without(truth, 2))[1]
    assert counts(found) == (3, 2, 6, 0)


def test_classes_are_counted_by_patches():
    labels = np.ones((64, 64), np.int32)
    labels[:, 32:] = 2
    predicted = labels.copy()
    predicted[:20, :20], predicted[40:60, 40:60] = 2, 1
    held_out = np.zeros(labels.shape, bool)
    held_out[40:] = True
    one = replace(nearby_region(labels, predicted), held_out=held_out)
    after = labels.copy()
    after[:20, :20], after[:32, 32:] = 2, 1
    kept, learned = compared(one, predicted, after, instances=False)
    assert counts(kept) == (1, 1, 4, 1)
    assert counts(learned) == (1, 0, 4, 1)
    assert (kept.nearer, learned.nearer) == (1, 0)


# -- what follows -----------------------------------------------------------------------------------------------------


def test_of_corrections_kept_aside_there_were_four_times_as_many():
    found = RegressionCheck(8, 0, 12, 12, 1)
    assert found.regresses()
    assert not replace(found, held_out=True).regresses()
    assert replace(found, left_alone=40, lost=40, held_out=True).regresses()


@pytest.mark.parametrize(
    ("corrections", "fixed", "left", "lost", "added", "regresses"),
    [
        (0, 0, 0, 0, 0, False),
        (3, 0, 40, 0, 0, False),
        (3, 0, 40, 2, 0, False),
        (4, 0, 35, 30, 0, True),
        (4, 3, 35, 30, 0, False),  # a kind of image that the model did not know: what was left alone was wrong as well
        (8, 0, 23, 8, 0, False),  # nor does it know it well yet
        (12, 1, 40, 35, 0, True),
        (5, 2, 12, 12, 0, True),
        (12, 1, 40, 0, 99, True),
        (12, 12, 40, 40, 99, False),
        (0, 0, 40, 40, 0, False),
        (6, 0, 3, 3, 0, True),  # it finds nothing any more
        (6, 0, 3, 3, 1, False),
        (34, 14, 2, 2, 8, False),  # little was right, so that what was left alone may be as wrong
    ],
)
def test_a_model_that_changes_more_than_it_mends_does_harm(corrections, fixed, left, lost, added, regresses):
    found = RegressionCheck(corrections, fixed, left, lost, added)
    assert found.regresses() is regresses
    verdict = Verdict(None, regression=found)
    assert verdict.should_promote() is not regresses
    assert bool(verdict.details) == (corrections + left > 0)
    assert str(verdict).startswith("It changes objects that you left alone" if regresses else "In use.")


def test_where_no_correction_was_a_mistake_none_is_said_to_be_fixed():
    said = str(RegressionCheck(corrections=0, fixed=0, left_alone=17, lost=1, added=2))
    assert said == "Of 17 objects near corrections that you left alone, it loses 1. It finds 2 new."


def test_what_is_left_alone_says_nothing_on_images_of_another_kind():
    """Whoever has corrected ten of a hundred wrong objects has left alone what is as wrong."""
    comes = RegressionCheck(corrections=22, fixed=2, left_alone=33, lost=33, added=35, nearer=12)
    assert Verdict(None, regression=comes).regresses()
    assert Verdict(None, regression=comes, out_of_domain=True).should_promote()
    assert Verdict(None, regression=replace(comes, nearer=11), out_of_domain=True).regresses(), (
        "but it has to come nearer to most"
    )


@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 60), st.integers(0, 60), st.integers(0, 20))
def test_more_that_is_fixed_never_speaks_against_a_model_and_more_that_changes_never_for_it(
    corrections, fixed, left, lost, added
):
    fixed, lost = min(fixed, corrections), min(lost, left)
    found = RegressionCheck(corrections, fixed, left, lost, added)
    better = RegressionCheck(corrections, min(fixed + 1, corrections), left, max(lost - 1, 0), max(added - 1, 0))
    assert found.regresses() or not better.regresses()
    shares = fixed / corrections, (lost + added) / (left + added)
    assert not found.regresses() or shares[1] > shares[0]


def test_a_regression_check_is_kept_in_a_project():
    adapter = TypeAdapter(Verdict)
    verdict = Verdict(None, regression=RegressionCheck(4, 2, 35, 1, 3, held_out=True))
    assert adapter.validate_python(adapter.dump_python(verdict, mode="json")) == verdict


def test_what_was_reviewed_says_more_than_corrections():
    harm = RegressionCheck(10, 0, 40, 40)
    assert Verdict(Comparison(0.5, 0.7, 0.1, 0.3, 20), regression=harm).should_promote()
    assert not Verdict(
        None, Comparison(0.8, 0.7, -0.1, 0, 9), regression=RegressionCheck(3, 3, 30, 0)
    ).should_promote(), "it forgets"


def test_where_it_hardly_learns_the_advice_is_to_begin_anew():
    advice = "choose New model… to start over"
    assert advice in str(Verdict(None, out_of_domain=True, regression=RegressionCheck(16, 2, 3, 1)))
    assert advice not in str(Verdict(None, out_of_domain=True, regression=RegressionCheck(16, 8, 3, 1)))
    assert advice not in str(Verdict(None, out_of_domain=True, regression=RegressionCheck(4, 0, 3, 1))), (
        "too little is known"
    )
    assert advice not in str(Verdict(None, out_of_domain=False, regression=RegressionCheck(16, 2, 30, 1))), (
        "its own kind"
    )


def test_the_sentence_says_what_was_checked():
    found = RegressionCheck(4, 2, 35, 1, 3, held_out=True)
    assert str(found) == (
        "It fixes 2 of 4 corrections kept for the comparison. "
        "Of 35 objects near corrections that you left alone, it loses 1. It finds 3 new."
    )
    verdict = Verdict(None, regression=found)
    assert str(verdict) == "In use. Review a field to know whether it is better."
    assert verdict.details == str(found)
    assert "2 of 4 corrections that it learned from" in str(replace(found, held_out=False))


# -- what is kept aside -----------------------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_net):
    net = tiny_net(out_channels=2)
    return Model(net.eval(), ModelInfo(name="tiny", spec=net.spec, outputs=("foreground", "distance")))


def crops_of(missed, model, n=12, seen=True):
    """Somebody has drawn some objects of a large grid that were missed."""
    labels = grid(n)[None, None]
    corrections = Corrections(labels.shape)
    corrections.prediction[:] = without(labels, *missed)
    corrections.seen[:] = seen
    corrections.update(labels)
    return annotated_crops(Image(labels[0, 0].astype(np.float32), "YX"), labels, corrections, model)


def drawn(samples):
    return sum(int(np.count_nonzero(sample.supervised[0] & (sample.targets[0] > 0))) for sample in samples)


def test_few_corrections_are_all_learned_from(model):
    missed = range(1, 2 * SPLIT.min_corrections_to_hold_out - 2, 2)
    split = split_annotations(model, crops_of(missed, model), hold_out_corrections=True)
    assert not split.holds_out_corrections
    assert drawn(split.samples) == (SPLIT.min_corrections_to_hold_out - 1) * 256
    assert split.nearby


def test_of_many_about_a_quarter_is_kept_aside_at_first(model):
    missed = range(1, 145, 3)
    split = split_annotations(model, crops_of(missed, model), hold_out_corrections=True)
    kept = set(np.concatenate([np.unique(v.region.labels[v.held_out]) for v in split.nearby]).tolist()) - {0}
    assert split.holds_out_corrections
    assert kept < set(missed)
    assert len(kept) == 12
    assert drawn(split.samples) <= (48 - len(kept)) * 256
    everything = split_annotations(model, crops_of(missed, model))
    assert not everything.holds_out_corrections
    assert drawn(everything.samples) == 48 * 256


@given(seed=st.integers(0, 200))
def test_whole_corrections_are_kept_aside_and_enough_of_them_or_none(seed, part_of):
    rng = np.random.default_rng(seed)
    missed = rng.choice(np.arange(1, 145), int(rng.integers(1, 60)), replace=False)
    (part,) = part_of(missed)
    corrected = part.mask("corrected")
    (held,) = held_out_corrections([corrected], 2)
    assert not (held & ~corrected).any()
    ids = set(np.unique(part.labels[held]).tolist()) - {0}
    assert len(ids) == (len(missed) // 4 if len(missed) >= SPLIT.min_corrections_to_hold_out else 0)
    for label in ids:
        assert held[part.labels == label].all()


@pytest.fixture(scope="module")
def part_of():
    def made(missed):
        labels = grid(12)[None, None]
        corrections = Corrections(labels.shape)
        corrections.prediction[:] = without(labels, *missed)
        corrections.update(labels)
        return copied_parts(corrections, labels)

    return made


def test_a_rescaled_model_is_not_judged_by_what_was_left_alone(model):
    coarse = Model(model.net, model.info.model_copy(update={"diameter": 8.0, "image_diameter": 16.0}))
    crops = crops_of((40, 41), model)
    plain, scaled = split_annotations(model, crops), split_annotations(coarse, crops, before=model)
    seen = [
        set(np.unique(v.region.labels[v.region.mask]).tolist()) - {0, 40, 41} for v in (*plain.nearby, *scaled.nearby)
    ]
    assert seen[0]
    assert not any(seen[1:])


def test_what_was_never_segmented_was_not_left_alone(model):
    assert not split_annotations(model, crops_of((40,), model, seen=False)).nearby


def test_only_what_is_near_a_correction_was_seen(model):
    (one,) = split_annotations(model, crops_of((1,), model)).nearby
    rows, columns = np.nonzero(one.region.mask)
    assert rows.max() == columns.max() == 20 + 2 - 1 + SPLIT.seen_distance


def test_with_held_out_regions_nothing_is_judged_by_nearby_ones(model):
    crops = crops_of(range(1, 145, 3), model, n=20)
    crops[0].part.corrections.reviewed[:] = True
    split = split_annotations(model, crops, hold_out_corrections=True)
    assert split.held_out
    assert not split.nearby
    assert not split.holds_out_corrections


# -- on a real image --------------------------------------------------------------------------------------------------


@pytest.fixture
def corrected(nuclei):
    """Annotated crops of a field of dark nuclei, which the model has not seen, with the worst objects fixed."""
    folder = files("napari_unet") / "samples"
    bright = tifffile.imread(str(folder / "nuclei_stack.tif"))[0].astype(np.float32)
    truth = tifffile.imread(str(folder / "nuclei_stack_reference.tif"))[0].astype(np.int32)

    dark = -np.sqrt(bright)
    dark += np.random.default_rng(0).normal(0, 0.5, dark.shape).astype(np.float32) * dark.std()

    def made(objects):
        session = AnnotatorSession(Field(Image(dark, "YX"), truth))
        session.show(nuclei)
        session.correct(objects)
        return session.crops(nuclei)

    return made


def learned(nuclei, crops, **settings):
    return drive(learning_steps(nuclei, crops, None, "cpu", settings=settings), lambda _: None)


def test_a_model_that_has_learned_is_used(nuclei, corrected):
    verdict = learned(nuclei, corrected(12), steps=20).verdict
    assert verdict.reviewed is None
    assert verdict.regression.corrections >= DEFAULT_POLICY.promotion.min_checked
    assert verdict.regression.left_alone
    assert verdict.should_promote()


def test_a_model_that_was_ruined_is_not(nuclei, corrected, monkeypatch):
    """It finds nothing any more, whatever it learned."""

    def ruined(self):
        net = copy.deepcopy(self.net).eval().requires_grad_(False)
        net.head.bias.fill_(-20.0)
        return net

    monkeypatch.setattr(Trainer, "trained", ruined)
    verdict = learned(nuclei, corrected(6), steps=2).verdict
    assert verdict.regresses()
    assert not Verdict(None, regression=verdict.regression).should_promote()
    assert f"it loses {verdict.regression.lost}." in verdict.details
