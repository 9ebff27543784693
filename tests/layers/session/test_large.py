"""What would keep the window waiting on a large image is done in the background, with the same result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import squares
from napari_unet.corrections.identity import pixels_of, rename, rename_at
from napari_unet.layers.session import corrected_labels


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every image for a large one."""
    monkeypatch.setattr(corrected_labels, "MAX_PIXELS_AT_ONCE", 0)


def titles(controller: Any) -> list[str]:
    return [one.job.title for one in controller.runner.jobs]


def finish(controller: Any) -> None:
    for _ in range(9):
        if not controller.busy:
            return
        controller.runner.finish()
    pytest.fail("it does not come to an end")


def test_objects_are_counted_in_the_background(viewer: Any, later: Any, large: None) -> None:
    viewer.add_image(squares(), name="image")
    later.segment()
    later.runner.finish()
    assert titles(later) == ["Segment image", "Count objects"]
    assert later.busy
    later.runner.finish()
    assert not later.busy
    assert later.messages[-1].text.startswith("Found 3 objects.")


def test_a_small_image_is_counted_at_once(viewer: Any, later: Any) -> None:
    viewer.add_image(squares(), name="image")
    later.segment()
    later.runner.finish()
    assert titles(later) == ["Segment image"]
    assert later.messages[-1].text.startswith("Found 3 objects.")


def in_pieces(controller: Any) -> None:
    """Give the objects of each slice ids of their own, as if no slice had been beside another when it was done."""
    session = controller.session
    for z in range(session.labels.shape[1]):
        for array in (session.labels, session.corrections.prediction):
            array[0, z][array[0, z] > 0] += 100 * z
    session.corrections.last_id = 1000


@pytest.mark.parametrize("paints", [False, True])
def test_slices_are_joined_plane_by_plane(viewer: Any, later: Any, large: None, paints: bool) -> None:
    """Each object gets one id from slice to slice; what is painted meanwhile stays as it is."""
    viewer.add_image(squares((4, 64, 64)), name="image")
    later.segment()
    later.runner.finish()
    session = later.session
    in_pieces(later)
    shape = session.labels > 0
    assert len(np.unique(session.labels)) == 1 + 4 * 3
    later.runner.jobs.pop()
    later.segmenter._join_slices(later.segmenter._run)
    assert titles(later)[-1] == "Join slices"
    later.runner.step()
    if paints:
        session.labels_layer.data[3, 45:47, 45:47] = 77
        shape[0, 3, 45:47, 45:47] = True
    finish(later)
    assert np.array_equal(session.labels > 0, shape)
    assert len(np.unique(session.labels)) == 1 + 3 + paints
    if paints:
        assert (session.labels[0, 3, 45:47, 45:47] == 77).all()
        assert session.rescan_slices(0, slice(3, 4))
        assert session.summary.corrected_pixels == 4
    else:
        assert np.array_equal(session.labels, session.corrections.prediction)
        assert not session.rescan().anything
    assert later.messages[-1].text.startswith(f"Found {3 + paints} objects.")


def test_a_plane_waits_for_the_end_of_a_stroke(viewer: Any, later: Any, large: None) -> None:
    viewer.add_image(squares((3, 64, 64)), name="image")
    later.segment()
    finish(later)
    session = later.session
    in_pieces(later)
    before = session.labels.copy()
    session._deferred.stroke = True
    (steps,) = [session.steps_to_join()()]
    for part in steps:
        session.rename_in(part)
    assert np.array_equal(session.labels, before)
    session._deferred.end_stroke()
    assert len(np.unique(session.labels)) == 1 + 3


def test_renaming_at_places_is_renaming() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, (1, 2, 20, 30)).astype(np.int32)
    ids = {1: 50, 3: 4, 8: 2}
    expected = labels.copy()
    rename(expected, ids)
    turned = np.asfortranarray(labels)
    for plane in np.ndindex(1, 2):
        rename_at(turned[plane], pixels_of(ids, turned[plane]), ids)
    assert np.array_equal(turned, expected)


def test_what_is_known_is_not_looked_at_again_without_a_cause(viewer: Any, controller: Any, monkeypatch: Any) -> None:
    """Of a stack that was reviewed all over, a click looks at the plane in view; an undo may be about any other."""
    viewer.add_image(squares((6, 64, 64)), name="image")
    controller.segment()
    session = controller.session
    labels = session.labels_layer
    viewer.dims.set_current_step(0, 0)
    labels.paint((0, 30, 30), 77)
    for z in range(6):
        viewer.dims.set_current_step(0, z)
        controller.toggle_reviewed("slice")
    controller.refresh_corrections(everything=True)
    looked: list[Any] = []
    update = type(session.corrections).update

    def noted(self: Any, labels: Any, *planes: Any) -> Any:
        looked.extend(planes)
        return update(self, labels, *planes)

    monkeypatch.setattr(type(session.corrections), "update", noted)
    controller.refresh_corrections(everything=True)
    assert looked == [(0, 5)]
    assert session.summary.corrected_objects == 1
    labels.undo()
    controller.refresh_corrections(everything=True)
    assert session.summary.corrected_objects == 0
    assert session.summary.reviewed_share == 1
