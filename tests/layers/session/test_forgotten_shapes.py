"""What else is in a shape in which one object was drawn is told by the next model that predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import bright, hazy

FIRST, HAZE = (slice(20, 26), slice(20, 26)), (slice(10, 55), slice(10, 55))


@pytest.fixture
def worked_on(viewer: Any, controller: Any) -> Any:
    """Return a session in which one square was drawn in the haze that was found."""
    viewer.add_image(hazy(), name="image")
    controller.choose_model("sensitive")
    assert controller.segment()
    labels = controller.session.labels_layer.data
    assert len(np.unique(labels[HAZE])) == 1
    assert labels[30, 30]
    controller.session.edit(0, (slice(0, 1), *FIRST), np.nonzero(np.ones((1, 6, 6))), np.full(36, 77))
    return controller.session


def test_another_model_finds_what_nobody_has_drawn(controller: Any, worked_on: Any) -> None:
    controller.use_model(bright(threshold=0.8))
    assert controller.segment()
    labels = worked_on.labels_layer.data
    assert (labels[FIRST] == 77).all()
    assert labels[43, 43] not in (0, 77)
    assert not labels[30, 30]
    assert worked_on.summary.corrected_objects == 1


def test_the_same_model_changes_nothing(controller: Any, worked_on: Any) -> None:
    before = worked_on.labels_layer.data.copy()
    assert controller.segment()
    assert np.array_equal(worked_on.labels_layer.data, before)


def test_what_was_forgotten_is_written_to_the_journal(controller: Any, worked_on: Any) -> None:
    worked_on.unwritten.forget()
    worked_on.forget_shapes(bright(threshold=0.8))
    assert worked_on.unwritten.suspects
