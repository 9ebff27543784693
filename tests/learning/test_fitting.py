"""Thresholds fitted to what was corrected: found where there is evidence, left alone where there is little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hand_made import bright
from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.errors import Cancelled
from napari_unet.learning import fit_to_corrections as module
from napari_unet.learning import fitting
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.fit_to_corrections import between, fit_to_corrections
from napari_unet.learning.fitting import FitRegion, fit_decoding, fitting_seconds, other_seeds
from napari_unet.learning.policy import DEFAULT_POLICY, FittingPolicy, Policy
from napari_unet.objects.decode import Decoding
from napari_unet.objects.maps import Maps
from napari_unet.objects.redecoding import Sliders
from napari_unet.objects.targets import target_maps
from napari_unet.progress import CancelToken

OUTPUTS = ("foreground", "distance")
SIDE = 9


def grid(n: int = 6) -> np.ndarray:
    labels = np.zeros((20 * n, 20 * n), np.int32)
    for index, (row, column) in enumerate(np.ndindex(n, n), start=1):
        labels[20 * row + 5 : 20 * row + 5 + SIDE, 20 * column + 5 : 20 * column + 5 + SIDE] = index
    return labels


def region(labels: np.ndarray, strength: Any, *, vouched: Any = True, seen: Any = True) -> FitRegion:
    """Every object as strong in the maps as is said for its id; background 0."""
    values = np.zeros((2, *labels.shape), np.float32)
    for label in range(1, int(labels.max()) + 1):
        values[:, labels == label] = strength(label) if callable(strength) else strength
    where = np.broadcast_to(vouched, labels.shape)
    return FitRegion(Maps(values, OUTPUTS), labels, where, where | np.broadcast_to(seen, labels.shape))


def test_faint_objects_that_somebody_vouches_for_ask_for_more_sensitivity() -> None:
    fitted = fit_decoding([region(grid(), lambda label: 0.9 if label % 2 else 0.4)], Decoding())
    assert fitted.objects == 36
    assert Sliders.of(fitted.decoding).sensitivity == pytest.approx(0.7)
    assert fitted.before < 0.6 < fitted.after


def touching(n: int = 5) -> np.ndarray:
    """Discs in pairs that run into each other."""
    labels = np.zeros((30 * n, 50 * n), np.int32)
    grid = np.indices(labels.shape)
    for index, (row, column) in enumerate(np.ndindex(n, 2 * n)):
        middle = np.array([30 * row + 15, 50 * (column // 2) + 17 + 15 * (column % 2)])
        near = np.hypot(*(grid - middle[:, None, None])) < 10
        labels[near & ((labels == 0) | (grid[1] > middle[1] - 7.5))] = index + 1
    return labels


def model_info(now: Decoding, own: Decoding | None = None) -> Any:
    return bright(decoding=now).info.model_copy(update={"original_decoding": own, "outputs": OUTPUTS})


def test_while_the_distance_map_is_flat_the_shape_of_the_foreground_tells_objects_apart() -> None:
    """And where it is learned, the model's own way stays, or comes back."""
    own = Decoding(min_size=2)
    flat, good = region(touching(), 0.9), region(touching(), 0.9)
    good.maps.values[1] = target_maps(good.labels, ("distance",))[0]
    fitted = fit_decoding([flat], own, new_domain=True, others=other_seeds(model_info(own)))
    assert fitted.decoding.seeds == "shape"
    assert fitted.before < 0.2
    assert fitted.after > 0.9
    assert fit_decoding([good], own, new_domain=True, others=other_seeds(model_info(own))).decoding.seeds == "distance"

    back = other_seeds(model_info(fitted.decoding, own))
    assert [(one.seeds, one.prominence) for one in back] == [("distance", own.prominence)]
    worse = fitted.decoding.model_copy(update={"prominence": 0.9})
    assert fit_decoding([flat], worse, new_domain=True, others=back).decoding.seeds == "shape"
    assert fit_decoding([good], worse, new_domain=True, others=back).decoding.seeds == "distance"


def test_the_threshold_between_objects_and_background_is_found_wherever_it_lies() -> None:
    one = region(grid(), 0.84)
    one.maps.values[0][one.labels == 0] = 0.62
    assert between([one]) == pytest.approx(0.73)
    nobody = region(grid(), 0.84, vouched=False)
    assert between([nobody]) is None
    assert between([nobody, one]) == pytest.approx(0.73)
    assert between([region(np.zeros((9, 9), np.int32), 0.9)]) is None
    assert between([]) is None


def test_a_model_that_knows_no_other_way_tries_none() -> None:
    assert other_seeds(model_info(Decoding(seeds="shape"))) == ()


def test_small_objects_that_were_deleted_ask_for_a_larger_smallest_one() -> None:
    there = region(grid(), 0.9)
    noise = np.zeros_like(there.labels)
    noise[::20, ::20] = noise[1::20, ::20] = noise[::20, 1::20] = noise[1::20, 1::20] = 1
    there.maps.values[:, noise > 0] = 0.9
    fitted = fit_decoding([there], Decoding(min_size=2))
    assert 4 < fitted.decoding.min_size < SIDE**2 / 2
    assert fitted.after == 1
    assert fitted.decoding.foreground == 0.5, "what is as good stays"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2), st.sampled_from(["distance", "flows"]))
def test_little_evidence_changes_nothing(seed: int, wrong: int, seeds: Any) -> None:
    """Of 36 objects at most two would come out right with other settings: that is chance."""
    rng = np.random.default_rng(seed)
    faint = set(rng.choice(36, wrong, replace=False) + 1)
    one = region(grid(), lambda label: 0.4 if label in faint else 0.9)
    if seeds == "flows":
        flow = np.full((2, *one.labels.shape), 0.5, np.float32)
        values = np.concatenate([one.maps.values[:1], flow])
        one = FitRegion(Maps(values, ("foreground", "flow_y", "flow_x")), one.labels, one.vouched, one.seen)
    decoding = Decoding(seeds=seeds)
    now = fit_decoding([one], decoding)
    if seeds == "distance":
        assert now.decoding == decoding
    assert now.after >= now.before - 2 / 36


def test_what_nobody_has_seen_does_not_count() -> None:
    labels = grid()
    left = np.zeros(labels.shape, bool)
    left[:, :60] = True
    one = region(labels, lambda label: 0.9 if (label - 1) % 6 < 3 else 0.4, vouched=left, seen=left)
    assert fit_decoding([one], Decoding()).decoding == Decoding()


def test_too_few_objects_are_not_fitted_to() -> None:
    labels = np.where(grid() <= 2, grid(), 0)
    fitted = fit_decoding([region(labels, 0.3)], Decoding())
    assert (fitted.decoding, fitted.objects, fitted.enough) == (Decoding(), 2, False)
    assert fit_decoding([], Decoding()).enough is False


def test_noise_far_smaller_than_the_objects_is_left_out_on_images_of_another_domain() -> None:
    one = region(np.kron(grid(3), np.ones((4, 4), np.int32)), 0.9)
    assert fit_decoding([one], Decoding()).decoding == Decoding()
    fitted = fit_decoding([one], Decoding(), new_domain=True)
    assert fitted.decoding.min_size == round(0.1 * (4 * SIDE) ** 2)
    assert fit_decoding([one], Decoding(min_size=500), new_domain=True).decoding.min_size == 500, (
        "never lowered by that"
    )


def corrected_image() -> tuple[Image, np.ndarray, Corrections]:
    """Half of the objects are faint, and were painted by hand."""
    truth = grid()
    image = np.where(truth % 2 == 1, 1.0, np.where(truth > 0, 0.46, 0)).astype(np.float32)
    corrections = Corrections((1, 1, *truth.shape))
    corrections.prediction[0, 0] = np.where(truth % 2 == 1, truth, 0)
    corrections.seen[:] = True
    labels = truth[None, None].copy()
    corrections.update(labels)
    return Image(image, "YX"), labels, corrections


def test_objects_that_are_labelled_are_not_too_small_on_images_of_another_domain() -> None:
    there, decoding = region(grid(2), 0.9), Decoding(min_size=SIDE**2 - 1)
    for options, least in (
        ({}, SIDE**2 - 1),
        ({"new_domain": True}, SIDE**2 - 1),  # by a few corrections it is only raised
        ({"new_domain": True, "may_lower": True}, round(0.1 * SIDE**2)),
    ):
        assert fit_decoding([there], decoding, **options).decoding.min_size == least


def test_the_network_is_asked_about_the_corrections() -> None:
    image, labels, corrections = corrected_image()
    model = bright()
    crops = annotated_crops(image, labels, corrections, model)
    fitted = fit_to_corrections(model, crops, "cpu")
    assert fitted.decoding == model.info.decoding, "a sensitivity of 0.7, the highest tried, does not find them"
    easier = bright(threshold=0.46)
    fitted = fit_to_corrections(easier, annotated_crops(image, labels, corrections, easier), "cpu")
    assert fitted.decoding.foreground < 0.5
    assert fitted.objects == 18
    held_out = [np.ones(crop.part.labels.shape, bool) for crop in crops]
    assert not fit_to_corrections(easier, crops, "cpu", held_out=held_out).enough


def test_how_long_it_takes_is_known_from_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what is there is right, there is one round, and each start is another search."""
    decoded: list[Any] = []
    whole = fitting.decode_instances
    monkeypatch.setattr(fitting, "decode_instances", lambda *given: decoded.append(1) or whole(*given))
    others = other_seeds(model_info(Decoding()))
    fit_decoding([region(grid(), 0.9)], Decoding(), others=others)
    assert len(decoded) == fitting_seconds(0.0, 1.0, 1 + len(others), DEFAULT_POLICY.fitting)


def test_of_a_wide_field_no_more_is_looked_at_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    image, labels, corrections = corrected_image()
    corrections.reviewed[:] = True
    corrections.update(labels)
    model, looked_at = bright(), []
    monkeypatch.setattr(module, "fit_decoding", lambda regions, *_, **__: looked_at.append(regions))
    for width in (1000, 60):
        policy = Policy(fitting=FittingPolicy(max_pixels=width**2))
        fit_to_corrections(model, annotated_crops(image, labels, corrections, model), "cpu", policy=policy)
    (whole,), (part,) = looked_at
    assert whole.vouched.all()
    assert np.count_nonzero(part.vouched) == 60**2
    assert len(np.unique(part.labels[part.vouched])) == 1 + 9


def test_settings_are_fitted_to_each_piece_of_an_id() -> None:
    image, labels, corrections = corrected_image()
    model, painted = bright(threshold=0.46), corrections.prediction != labels
    several = fit_to_corrections(model, annotated_crops(image, labels, corrections, model), "cpu")
    labels[painted] = 99
    corrections.update(labels)
    assert fit_to_corrections(model, annotated_crops(image, labels, corrections, model), "cpu") == several


def test_it_can_be_stopped() -> None:
    image, labels, corrections = corrected_image()
    model, cancel = bright(), CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        fit_to_corrections(model, annotated_crops(image, labels, corrections, model), "cpu", cancel)
