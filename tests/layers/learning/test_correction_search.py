"""What is corrected is found where it may have changed at once, and everywhere else in the background."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import squares
from napari_unet.corrections.corrections import Corrections

PLANES = 6


@pytest.fixture
def stack(viewer: Any, later: Any) -> Any:
    """Return the controller of a segmented stack with slice 3 in view."""
    viewer.add_image(squares((PLANES, 64, 64)), name="image")
    later.segment()
    while later.busy:
        later.runner.finish()
    later.labels = viewer.layers["image objects"]
    viewer.dims.set_current_step(0, 3)
    later.refresh_corrections()
    return later


@pytest.fixture
def looked_at(stack: Any, monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Return the planes that the main thread looks at."""
    update, planes = Corrections.update, set[tuple[int, int]]()

    def noted(self: Corrections, labels: Any, *wanted: tuple[int, int]) -> Any:
        planes.update(wanted or self.planes())
        return update(self, labels, *wanted)

    monkeypatch.setattr(Corrections, "update", noted)
    return planes


def paint(stack: Any, z: int) -> None:
    """Paint as napari's brush does."""
    stack.labels.data_setitem((np.array([z] * 3), np.array([0, 1, 2]), np.array([0, 1, 2])), 9)


def planes_of(material: Any) -> set[int]:
    return {one.part.corner[0] for one in material}


def test_learn_looks_only_where_something_may_have_changed(viewer, stack, looked_at, taught):
    paint(stack, 3)
    assert stack.learn()
    assert looked_at == {(0, 3)}
    assert stack.session.plane == (0, 3)
    stack.runner.finish()
    assert planes_of(taught.material) == {3}


def test_a_stack_that_is_scrolled_through_is_not_looked_at_again(viewer, stack, looked_at):
    paint(stack, 3)
    for z in range(PLANES):
        viewer.dims.set_current_step(0, z)
    looked_at.clear()
    stack.session.rescan()
    assert looked_at == {(0, 3), (0, PLANES - 1)}


def test_an_undo_in_a_slice_that_is_no_longer_in_view_is_found_at_once(viewer, stack):
    paint(stack, 3)
    assert stack.session.rescan().corrected_pixels == 3
    viewer.dims.set_current_step(0, 0)
    stack.labels.undo()
    assert stack.session.rescan().corrected_pixels == 0


def test_an_array_that_is_replaced_is_looked_at_everywhere(stack):
    data = stack.labels.data.copy()
    data[1, 0, :5] = 9
    stack.labels.data = data
    assert stack.session.rescan().corrected_pixels == 5


def test_what_nobody_told_of_is_found_beside_the_learning_and_joins(stack, taught):
    paint(stack, 3)
    stack.labels.data[1, 0, :5] = 9
    stack.learn()
    search, learning = stack.runner.jobs[-2:]
    assert (search.job.title, learning.job.title) == ("Look for corrections", "Learn from 1 plane")
    stack.runner.step()
    stack.runner.finish(-2)
    assert stack.session.summary.corrected_pixels == 8
    stack.runner.finish()
    assert planes_of(taught.material) == {3}
    assert planes_of(taught.joined) == {1, 3}


def test_where_nothing_else_is_corrected_learning_begins_when_it_is_found(stack, taught):
    stack.labels.data[1, 0, :5] = 9
    assert stack.learn()
    assert stack.learner.busy
    assert stack.runner.jobs[-1].job.title == "Look for corrections"
    stack.runner.finish()
    stack.runner.finish()
    assert planes_of(taught.material) == {1}
    assert stack.model.name == "bright, corrected"


def test_nothing_anywhere_is_told_when_all_was_looked_at(stack, looked_at):
    running = []
    stack.workspace.learning.connect(running.append)
    stack.learn()
    stack.runner.finish()
    assert stack.messages[-1].text.startswith("Nothing is corrected or reviewed yet.")
    assert running == [True, False]
    assert not stack.busy
    assert looked_at <= {(0, 3)}, "planes without any difference are the worker's business alone"


def test_what_is_no_longer_corrected_is_forgotten(stack, taught):
    paint(stack, 3)
    stack.session.rescan()
    stack.labels.data[...] = stack.session.corrections.prediction[0]
    stack.learn()
    stack.runner.finish()
    assert stack.messages[-1].text.startswith("Nothing is corrected")


def test_a_search_ends_when_the_window_closes(stack):
    stack.labels.data[...] = 9
    stack.learn()
    search = stack.runner.jobs[-1]
    next(search.events)
    stack.close()
    assert next(search.events, None) is None
