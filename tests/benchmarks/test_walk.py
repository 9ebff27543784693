"""What counts as an error, and at which stop of a walk it is found."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.objects.maps import Maps
from napari_unet_benchmarks.object_errors import object_errors
from napari_unet_benchmarks.walk import Shown, fitted, share


def boxes(*corners: tuple[int, int, int, int]) -> np.ndarray:
    labels = np.zeros((40, 80), np.int32)
    for label, (y0, y1, x0, x1) in enumerate(corners, start=1):
        labels[y0:y1, x0:x1] = label
    return labels


TRUTH = boxes((0, 10, 0, 10), (0, 10, 10, 19), (20, 30, 0, 10), (20, 30, 40, 60))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (TRUTH, []),
        (np.where(TRUTH == 2, 1, TRUTH), [("merged", (1, 2), (1,))]),
        (np.where(TRUTH == 3, 0, TRUTH), [("missed", (3,), ())]),
        (np.where(TRUTH == 4, 4 + (np.arange(80) - 40) // 7, TRUTH), [("split", (4,), (4, 5, 6))]),
        (np.where((TRUTH == 4) & (np.arange(80) > 47), 0, TRUTH), [("outline", (4,), (4,))]),
        (TRUTH + boxes((32, 38, 70, 78)) * 7, [("spurious", (), (7,))]),
        (np.zeros_like(TRUTH), [("missed", (n,), ()) for n in (1, 2, 3, 4)]),
    ],
)
def test_one_error_for_each_thing_to_mend(labels, expected):
    found = [(error.kind.value, error.true, error.predicted) for error in object_errors(TRUTH, labels)]
    assert found == expected


def test_at_which_stop_an_error_is_found():
    labels = np.where(TRUTH == 2, 1, np.where(TRUTH == 3, 0, TRUTH))
    shown = Shown(TRUTH, labels, Maps(np.zeros((1, *TRUTH.shape), np.float32), ("foreground",)))
    assert [error.kind.value for error in shown.errors] == ["merged", "missed"]
    assert shown.found_at([(4, 25, 50), (0, 25, 5), (1, 5, 5)]).tolist() == [3, 2]
    assert shown.found_at([(4, 25, 50), (0, 5, 70)]).tolist() == [np.inf, np.inf]


def test_shares_are_pooled_over_images():
    found = share(np.array([1, 9]), np.array([10, 10]))
    assert found["share"] == 0.5
    assert found["from"] <= 0.5 <= found["to"]


def test_weights_are_never_negative_and_each_kind_counts_alike():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 9))
    wrong = values[:, 0] - values[:, 1] + rng.normal(size=400) > 1
    weights = fitted([(values, wrong), (values[:40], wrong[:40])], ("uncertainty", "flow_error"))
    assert weights["uncertainty"] > 0.5
    assert weights["flow_error"] == 0
