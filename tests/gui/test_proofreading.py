"""The scripted person of `benchmark proofreading` mends each kind of error in a real window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unet_benchmarks.annotator_model import Kind
from napari_unet_benchmarks.object_errors import object_errors
from napari_unet_benchmarks.proofreading import KINDS, as_they_occur, by_a_perfect_cut, by_kind
from napari_unet_benchmarks.proofreading_person import Mended, Person


@pytest.fixture
def person(widget: Any, viewer: Any, click: Any, wait_idle: Any, look: Any) -> Any:
    """Looks at an image in which the model gets something of each kind wrong; knows what is true."""
    image, truth = np.zeros((2, 120, 120), np.float32)
    truth = truth.astype(np.int32)
    image[10:24, 10:24] = image[10:24, 28:42] = image[14:20, 24:28] = 1  # two, with a bridge
    truth[10:24, 10:26], truth[10:24, 26:42] = 1, 2
    image[50:62, 10:20] = image[50:62, 22:32] = 1  # one, with a gap
    truth[50:62, 10:32] = 3
    image[50:60, 55:65] = 0.46  # too faint
    truth[50:60, 55:65] = 4
    image[90:100, 10:20] = 1  # dirt
    image[80:100, 60:82] = 1  # its half is seen
    truth[80:100, 60:106] = 5
    viewer.add_image(image, name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    look()
    viewer.layers.selection.active = viewer.layers["image objects"]
    return Person(viewer, widget, truth)


def test_each_kind_of_error_is_mended_and_taken_back(person: Any) -> None:
    before = person.labels.copy()
    errors = {error.kind: error for error in object_errors(person._truth, before)}
    assert set(errors) == set(KINDS)
    rows = [person.mend(errors[kind], "image") for kind in KINDS]
    assert np.array_equal(person.labels, before)
    for row in rows:
        assert row.undone, row
        assert row.before < 0.5, row
        assert row.after >= 0.75, row
        assert row.refused == 0, row
    most = {Kind.MERGED: 1, Kind.SPLIT: 1, Kind.MISSED: 3, Kind.SPURIOUS: 1, Kind.OUTLINE: 3}
    assert all(row.gestures <= most[Kind(row.kind)] for row in rows), rows
    figures = by_kind(rows)
    assert figures["all"]["errors"] == 5
    assert figures["all"]["right"]["share"] == 1


def test_kinds_count_as_often_as_they_occur() -> None:
    rows = [Mended("a", "merged", 0.0, 0.8, gestures=1), Mended("a", "spurious", 0.0, 1.0, gestures=3)]
    found = {"merged": 3, "split": 5, "missed": 0, "spurious": 1, "outline": 0}
    assert as_they_occur(by_kind(rows), found) == pytest.approx((3 * 1 + 1 * 3) / 4)


def test_a_perfect_cut_leaves_the_outline_as_it_is() -> None:
    truth = np.zeros((20, 40), np.int32)
    truth[5:15, 5:15], truth[5:15, 15:25] = 1, 2
    labels = np.where(truth > 0, 7, 0)
    labels[:, 25:30] = 7
    merged = object_errors(truth, labels)
    assert [error.kind for error in merged] == [Kind.MERGED]
    assert by_a_perfect_cut(truth, labels, merged[0]) == pytest.approx(100 / 200)
