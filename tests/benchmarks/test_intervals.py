"""Intervals of figures."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.evaluation.metrics import evaluate
from napari_unet_benchmarks.intervals import ap_interval


def row(n, found):
    """An image of `n` objects, of which the first `found` were found as they are."""
    truth = np.zeros((4, 4 * n), np.int32)
    for index in range(n):
        truth[:3, 4 * index : 4 * index + 3] = index + 1
    return evaluate([truth], [np.where(truth <= found, truth, 0)])


def test_images_that_are_all_alike_leave_no_doubt():
    assert ap_interval([row(4, 3)] * 5, "0.50") == (0.75, 0.75)


def test_images_count_by_their_objects():
    """Of two images, one of nine objects, all found, and one of one, lost: a draw may hold one of them alone."""
    assert ap_interval([row(9, 9), row(1, 0)], "0.50") == (0.0, 1.0)
    low, high = ap_interval([row(9, 9)] * 20 + [row(1, 0)] * 20, "0.75")
    assert 0.75 < low < 0.9 < high < 0.96


@pytest.mark.parametrize("found", [0, 2])
def test_an_image_of_nothing_changes_nothing(found):
    empty = evaluate([np.zeros((3, 3), int)], [np.zeros((3, 3), int)])
    assert ap_interval([empty, empty, empty], "0.50") == (0.0, 0.0)
    low, high = ap_interval([row(2, found), empty], "0.50")
    assert (low, high) == (0.0, found / 2)
