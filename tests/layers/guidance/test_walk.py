"""The walk through the objects of an image, in a viewer without a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import squares
from napari_unet.layers.guidance.stop_view import AROUND
from napari_unet.layers.image.canvas import pixels_across

SIZE = 10


def grid(n: int = 4, shape: tuple[int, ...] = (160, 160)) -> np.ndarray:
    """Return an image of n x n bright squares of which one, in the second row, is much larger than the others."""
    image = np.zeros(shape, np.float32)
    for row in range(n):
        for column in range(n):
            y, x = 40 * row + 10, 40 * column + 10
            side = 3 * SIZE if (row, column) == (1, 2) else SIZE
            image[..., y : y + side, x : x + side] = 1
    return image


def said(controller: Any) -> str:
    return str(controller.messages[-1].text)


def outline_of(viewer: Any) -> Any:
    return next((layer for layer in viewer.layers if layer.name == "suspect"), None)


def segmented(viewer: Any, controller: Any, data: np.ndarray, **kwargs: Any) -> Any:
    viewer.add_image(data, name="image", **kwargs)
    assert controller.segment()
    return controller.session.labels_layer


def drawn(viewer: Any) -> np.ndarray:
    """Return the pixels (y, x) of the line in the world, of an image that lies at the origin with pixels of size 1."""
    layer = outline_of(viewer)
    assert layer.visible
    values = np.asarray(layer.data)
    return np.argwhere(values == 1) + np.rint(layer.translate).astype(int)


def test_next_shows_the_suspect_and_says_why(viewer, controller):
    labels = segmented(viewer, controller, grid())
    controller.walk.next()
    stop = controller.walk.stop
    assert labels.data[stop.place] == stop.id
    assert (labels.data == stop.id).sum() == (3 * SIZE) ** 2
    assert (
        said(controller) == f"Object {stop.id}: much larger than the others. A accepts, a gesture corrects, N goes on."
    )
    assert controller.walk.reason == "much larger than the others"
    y, x = controller.session.middle
    assert abs(y - 64.5) < 1
    assert abs(x - 104.5) < 1
    line = drawn(viewer)
    assert (line.min(0) < (50, 90)).all()
    assert (line.max(0) > (79, 119)).all()
    assert not (labels.data[tuple(line[:, -2:].T)] == stop.id).any(), "the object itself stays free"
    assert viewer.layers.selection.active == labels
    across = pixels_across(viewer, controller.session.geometry)
    assert AROUND[0] * 30 <= across <= AROUND[1] * 30


def test_accept_marks_it_and_goes_on(viewer, controller):
    labels = segmented(viewer, controller, grid())
    controller.walk.next()
    first = controller.walk.stop
    controller.walk.accept()
    reviewed = controller.session.corrections.reviewed[0, 0]
    assert reviewed[labels.data == first.id].all()
    assert not reviewed[(labels.data > 0) & (labels.data != first.id)].any()
    assert (labels.data == controller.session.corrections.prediction.reshape(labels.data.shape)).all()
    controller.walk.next()
    assert said(controller) == "No suspect is left. Shift+N walks through all other objects."
    assert not outline_of(viewer).visible


def test_accept_after_the_last_one_takes_nothing_back(viewer, controller):
    segmented(viewer, controller, grid())
    controller.walk.next()
    controller.walk.accept()
    reviewed = controller.session.corrections.reviewed.copy()
    controller.walk.accept()
    assert said(controller) == "No object is shown. Press N to go to one."
    assert reviewed.any()
    assert (controller.session.corrections.reviewed == reviewed).all()


def test_accept_takes_back(viewer, controller):
    segmented(viewer, controller, grid())
    controller.walk.next()
    controller.walk.accept()
    controller.walk.previous()
    assert controller.walk.settled
    controller.walk.accept()
    assert said(controller) == "No longer reviewed."
    assert not controller.session.corrections.reviewed.any()
    assert not controller.walk.settled
    assert outline_of(viewer).visible


def test_everything_and_back(viewer, controller):
    segmented(viewer, controller, grid())
    ids = []
    for _ in range(16):
        controller.walk.next(everything=True)
        ids.append(controller.walk.stop.id)
        assert controller.walk.progress.number == len(ids)
        assert controller.walk.progress.total == 16
    assert sorted(ids) == list(range(1, 17))
    controller.walk.next(everything=True)
    assert said(controller) == "Every object was shown, or is corrected or reviewed."
    for expected in (ids[-1], ids[-2], ids[-3]):
        controller.walk.previous()
        assert controller.walk.stop.id == expected
        assert outline_of(viewer).visible
    for expected in ids[-2:]:
        controller.walk.next(everything=True)
        assert controller.walk.stop.id == expected


def test_a_gesture_on_the_suspect_counts_as_done(viewer, controller):
    labels = segmented(viewer, controller, grid())
    controller.walk.next()
    assert not controller.walk.settled
    y, x = controller.walk.stop.place
    assert controller.gestures.make("delete", [(y, x)])
    assert controller.walk.settled
    labels.undo()
    assert not controller.walk.settled, "and when that is undone it is a suspect again"
    labels.data_setitem((np.array([y]), np.array([x])), np.array([0]))
    controller.walk.next()
    assert said(controller).startswith("No suspect is left.")


def test_what_was_reviewed_is_passed_over(viewer, controller):
    segmented(viewer, controller, grid())
    controller.toggle_reviewed("slice")
    controller.walk.next(everything=True)
    assert said(controller) == "Every object was shown, or is corrected or reviewed."
    assert controller.walk.stop is None


def test_skipped_suspects_come_again_after_the_last(viewer, controller):
    segmented(viewer, controller, grid())
    controller.walk.next()
    stop = controller.walk.stop
    controller.walk.next()
    assert said(controller).startswith("No suspect is left.")
    controller.walk.next()
    assert controller.walk.stop is stop
    assert said(controller).startswith(f"Object {stop.id}:")


def test_where_one_may_be_missing(viewer, controller):
    image = grid()
    image[10:20, 50:60] = 0.45  # too faint for this model
    labels = segmented(viewer, controller, image)
    session, taken = controller.session, []
    controller.walk.next()
    while controller.walk.stop not in taken:
        taken.append(controller.walk.stop)
        controller.walk.next()
    missing = [stop for stop in taken if not stop.id]
    assert len(missing) <= 1
    if missing:
        assert labels.data[missing[0].place] == 0
    assert not session.corrections.reviewed.any()


def test_volume_moves_the_slider(viewer, controller):
    image = np.stack([grid(), squares((160, 160), dim=1.0), grid()])
    segmented(viewer, controller, image, scale=(3, 0.5, 0.5))
    viewer.dims.set_current_step(0, 0)
    controller.walk.next()
    assert controller.walk.stop.plane == (0, 0)
    viewer.dims.set_current_step(0, 2)
    controller.walk.accept()
    assert said(controller) == "That object is out of view. Press Shift+P to go back to it."
    assert not controller.session.corrections.reviewed.any()
    controller.walk.previous()
    assert controller.session.plane == (0, 0)
    controller.walk.accept()
    assert controller.session.corrections.reviewed[0, 0].any()
    assert not controller.session.corrections.reviewed[0, 1:].any()


def test_time_series_goes_on_in_the_next_frame(viewer, controller):
    viewer.add_image(np.stack([squares((160, 160), dim=1.0), grid()]), name="image")
    controller.set_axes("TYX")
    assert controller.segment()
    viewer.dims.set_current_step(0, 0)
    planes = set()
    for _ in range(3):
        controller.walk.next()
        planes.add(controller.walk.stop.plane)
    assert (1, 0) in planes
    assert controller.session.plane == controller.walk.stop.plane


def test_segmenting_again_begins_anew(viewer, controller):
    segmented(viewer, controller, grid())
    controller.walk.next()
    assert controller.walk.stop is not None
    controller.segment()
    assert controller.walk.stop is None
    assert controller.walk.progress is None
    assert not outline_of(viewer).visible
    controller.walk.next()
    assert controller.walk.progress.number == 1


def test_two_images_are_two_walks(viewer, controller):
    segmented(viewer, controller, grid())
    image = viewer.layers["image"]
    controller.walk.next()
    stop = controller.walk.stop
    viewer.add_image(grid()[::-1].copy(), name="other")
    viewer.layers.selection.active = viewer.layers["other"]
    assert controller.walk.stop is None
    assert not outline_of(viewer).visible
    controller.segment()
    controller.walk.next()
    assert controller.walk.stop is not stop
    viewer.layers.selection.active = image
    assert controller.walk.stop is stop


# -- what cannot be done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["next", "previous", "accept"])
def test_nothing_is_segmented(viewer, controller, verb):
    getattr(controller.walk, verb)()
    assert said(controller) == "Nothing is segmented yet. Press Segment first."
    viewer.add_image(grid(), name="image")
    getattr(controller.walk, verb)()
    assert said(controller) == "Nothing is segmented yet. Press Segment first."


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        ("previous", "Nothing was shown yet. Press N for the first suspect."),
        ("accept", "No object is shown. Press N to go to one."),
    ],
)
def test_nothing_was_shown(viewer, controller, verb, sentence):
    segmented(viewer, controller, grid())
    getattr(controller.walk, verb)()
    assert said(controller) == sentence


def test_no_objects(viewer, controller):
    segmented(viewer, controller, np.zeros((64, 64), np.float32))
    controller.walk.next()
    assert said(controller) == "There are no objects here. Paint some, or try another model."
    controller.walk.next(everything=True)
    assert said(controller) == "There are no objects here. Paint some, or try another model."


@pytest.mark.parametrize("verb", ["next", "previous", "accept"])
@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("3D", "Switch to the 2D view (button 2D/3D) to walk through the objects."),
        ("rolled", "Roll the dimensions until Y and X are on the canvas, to walk through the objects."),
        ("hidden", "The objects are hidden. Show their layer to walk through them."),
        ("another shape", "The labels have the shape"),
        ("gone", "Nothing is segmented yet. Press Segment first."),
    ],
)
def test_not_on_the_canvas(viewer, controller, verb, how, sentence):
    labels = segmented(viewer, controller, np.stack([grid()] * 3))
    controller.walk.next()
    number = len(controller.messages)
    if how == "3D":
        viewer.dims.ndisplay = 3
    elif how == "rolled":
        viewer.dims.roll()
    elif how == "hidden":
        labels.visible = False
    elif how == "another shape":
        labels.data = np.zeros((2, 5, 5), np.int32)
    else:
        viewer.layers.remove(labels)
    getattr(controller.walk, verb)()
    assert len(controller.messages) > number
    assert said(controller).startswith(sentence)
    assert controller.messages[-1].level == "error"


def test_the_object_is_gone_when_it_is_accepted(viewer, controller):
    labels = segmented(viewer, controller, grid())
    controller.walk.next()
    labels.data[labels.data == controller.walk.stop.id] = 0  # a script
    controller.walk.accept()
    assert said(controller) == "This object is gone. Press Next to go on."
    assert not controller.session.corrections.reviewed.any()


def test_the_outline_was_removed_by_hand(viewer, controller):
    segmented(viewer, controller, grid())
    controller.walk.next()
    viewer.layers.remove("suspect")
    controller.walk.next(everything=True)
    assert outline_of(viewer).visible


def test_the_outline_goes_with_the_result(viewer, controller):
    segmented(viewer, controller, grid())
    controller.walk.next()
    orphaned = []
    controller.walk.orphaned.connect(lambda: orphaned.append(1))
    viewer.layers.remove("image")
    assert orphaned
    controller.walk.tidy()
    assert outline_of(viewer) is None


def test_classes_lead_to_what_is_uncertain(viewer, controller):
    viewer.add_image(grid(), name="image")
    controller.choose_model("classes")
    controller.segment()
    controller.walk.next()
    assert controller.walk.stop is None
    assert said(controller).startswith("The result may be wrong in the middle of the view.")
    controller.walk.accept()
    assert said(controller) == "These labels are classes, not objects. R marks what is in view as reviewed."


def test_while_it_is_looked_for(viewer, later):
    viewer.add_image(grid(), name="image")
    later.segment()
    later.runner.finish()
    later.walk.next()
    number = len(later.runner.jobs)
    later.walk.next()
    assert len(later.runner.jobs) == number, "it is looked for already"
    assert later.walk.stop is None
    later.runner.step()
    assert later.walk.stop is not None


def test_late_suspects_of_an_image_that_is_gone(viewer, later):
    viewer.add_image(grid(), name="image")
    later.segment()
    later.runner.finish()
    later.walk.next()
    viewer.layers.remove("image")
    later.runner.finish()
    assert later.walk.stop is None
    assert outline_of(viewer) is None
