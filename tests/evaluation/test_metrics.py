"""Scores against hand-made cases and brute force."""

from __future__ import annotations

import itertools

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_unet.errors import LabelsError
from napari_unet.evaluation.metrics import THRESHOLDS, evaluate

label_images = arrays.arrays(np.int32, (7, 6), elements=st.integers(0, 3))


@pytest.fixture
def pair():
    """Truth of two squares; one is found with IoU 0.8, the other with 0.5, and there is one too many."""
    truth, predicted = np.zeros((60, 60), int), np.zeros((60, 60), int)
    truth[5:15, 5:15], truth[20:40, 20:40] = 3, 9
    predicted[5:15, 5:13], predicted[30:40, 20:40], predicted[50:55, 50:55] = 1, 2, 7
    return truth, predicted


def test_by_hand(pair):
    scores = evaluate(*pair).to_dict()
    assert (scores["n_images"], scores["n_truth"], scores["n_pred"]) == (1, 2, 3)
    assert scores["ap"]["0.50"] == pytest.approx(2 / 3)
    assert scores["ap"]["0.55"] == pytest.approx(1 / 4)
    assert scores["ap"]["0.80"] == pytest.approx(1 / 4)
    assert scores["ap"]["0.85"] == 0
    assert scores["f1"]["0.50"] == pytest.approx(4 / 5)
    assert scores["pq"] == pytest.approx(1.3 / 2.5)
    assert scores["seg"] == pytest.approx(0.8 / 2)  # half of an object is not more than half
    assert scores["dice"] == pytest.approx(2 * 280 / (500 + 305))
    assert scores["iou"] == pytest.approx(280 / (500 + 25))
    assert tuple(scores["ap"]) == THRESHOLDS == tuple(scores["ap_per_image"])


def test_pooled_and_per_image_differ(pair):
    empty = np.zeros((60, 60), int)
    scores = evaluate([pair[0], empty], [pair[0], pair[1]])
    assert scores.ap["0.50"] == pytest.approx(2 / 5)
    assert scores.ap_per_image["0.50"] == pytest.approx((1 + 0) / 2)


def test_nothing_to_find():
    empty = np.zeros((5, 5), int)
    assert evaluate(empty, empty).ap["0.50"] == 1
    assert evaluate(empty, empty + 1).ap["0.50"] == 0
    assert evaluate(empty + 1, empty).seg == 0


@settings(max_examples=60, deadline=None)
@given(label_images, label_images, st.permutations([1, 2, 3]))
def test_names_of_objects_do_not_matter(truth, predicted, order):
    renamed = np.array([0, *order])[predicted]
    assert evaluate(truth, predicted) == evaluate(truth, renamed)


@settings(max_examples=60, deadline=None)
@given(label_images, label_images)
def test_matching_is_the_best_there_is(truth, predicted):
    ids, found = [i for i in np.unique(truth) if i], [i for i in np.unique(predicted) if i]
    iou = {
        (a, b): ((truth == a) & (predicted == b)).sum() / ((truth == a) | (predicted == b)).sum()
        for a, b in itertools.product(ids, found)
    }
    best = 0
    slots = [*found, *[None] * len(ids)]
    for order in itertools.permutations(slots, len(ids)):
        best = max(best, sum(iou.get(pair, 0) >= 0.5 for pair in zip(ids, order, strict=True)))
    total = len(ids) + len(found) - best
    assert evaluate(truth, predicted).ap["0.50"] == pytest.approx(best / total if total else 1)


def test_classes():
    truth, predicted = np.array([[0, 0, 1, 1, 2, 2]]), np.array([[0, 1, 1, 1, 2, 0]])
    scores = evaluate(truth, predicted, task="semantic").to_dict()
    assert scores["dice_per_class"] == pytest.approx({"0": 0.5, "1": 0.8, "2": 2 / 3})
    assert scores["iou_per_class"]["2"] == pytest.approx(0.5)
    assert scores["dice"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert "ap" not in scores


def test_membranes():
    truth = np.ones((40, 40), int)
    truth[20] = 0
    leaky = truth.copy()
    leaky[20, 5] = 1  # one pixel joins the two cells
    good, bad = evaluate(truth, truth, task="membranes"), evaluate(truth, leaky, task="membranes")
    assert good.v_rand == good.v_info == good.pixel_f1 == 1
    n, m = 20 * 40, 19 * 40
    joint = n**2 + m**2
    assert bad.v_rand == pytest.approx(2 * joint / (joint + (n + m) ** 2))
    assert bad.v_info == pytest.approx(0, abs=1e-9)
    assert bad.pixel_f1 == pytest.approx(2 * 39 / 79)
    assert bad.n_truth == 2


def test_predicted_membrane_within_a_cell_is_no_cell():
    truth, predicted = np.ones((20, 20), int), np.ones((20, 20), int)
    predicted[:, 5:15] = 0  # all of it a wide membrane: 100 pixels on either side are left
    scores = evaluate(truth, predicted, task="membranes")
    shares = np.array([100 / 400, 100 / 400] + [1 / 400] * 200)
    squares = (shares**2).sum()
    assert scores.v_rand == pytest.approx(2 * squares / (1 + squares))
    assert scores.v_info == pytest.approx(0, abs=1e-9)
    thin = np.ones((20, 20), int)
    thin[:, 9:11] = 0
    assert evaluate(truth, thin, task="membranes").v_rand > scores.v_rand


def test_cells_of_a_stack_are_those_of_its_planes():
    truth = np.ones((2, 20, 20), int)
    truth[0, 10], truth[1, :, 10] = 0, 0
    predicted = truth.copy()
    predicted[0, 10, 3] = 1
    whole = evaluate(truth, predicted, task="membranes")
    planes = evaluate(list(truth), list(predicted), task="membranes")
    assert whole.n_truth == planes.n_truth == 4
    assert whole.v_rand < 1
    assert evaluate(truth, truth, task="membranes").v_rand == 1


def test_many_objects_need_no_table_of_all_pairs():
    side = 3000
    truth = np.zeros((side, side), np.int32)
    truth[::10, ::10] = np.arange(1, (side // 10) ** 2 + 1).reshape(side // 10, -1)
    scores = evaluate(truth, np.where(truth, 90_001 - truth, 0))
    assert scores.n_truth == 90_000  # 65 GB, were there one
    assert scores.ap["0.95"] == 1


def test_arrays_of_any_library_are_images(tmp_path, pair):
    truth, predicted = pair
    wanted = evaluate(truth, predicted).to_dict()
    paths = tmp_path / "truth.zarr", tmp_path / "predicted.zarr"
    for path, array in zip(paths, pair, strict=True):
        zarr.save_array(path, array)
    stored = [zarr.open_array(path, mode="r") for path in paths]
    for arrays_of in (
        stored,
        [da.from_array(array) for array in pair],
        [[one] for one in stored],
    ):
        assert evaluate(*arrays_of).to_dict() == wanted


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros((3, 3), int), np.zeros((3, 4), int), r"\(3, 3\).*\(3, 4\)"),
        (np.zeros((3, 3)), np.zeros((3, 3), int), "whole numbers"),
        ([np.zeros((3, 3), int)], [], "1 true and 0 predicted"),
        ([], [], "no label image"),
        (np.full((3, 3), -1), np.zeros((3, 3), int), "Image 1: the truth has the negative label -1"),
        ([np.zeros((3, 3), int)], [np.full((3, 3), 0.5)], "the prediction is of float64"),
        (np.zeros((3, 3), int).tolist(), np.zeros((3, 3), int), "Image 1: the truth is no array of two axes"),
        (list(np.zeros((3, 3), int)), np.zeros((3, 3), int), "Image 1: the truth is no array of two axes"),
    ],
)
def test_what_cannot_be_scored_is_said(truth, predicted, message):
    with pytest.raises(LabelsError, match=message):
        evaluate(truth, predicted)
    with pytest.raises(LabelsError, match="not known"):
        evaluate(np.zeros((3, 3), int), np.zeros((3, 3), int), task="other")
