"""Corrections carried on through slices and frames; what is suggested is no label until somebody takes it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hand_made import LaterRunner
from napari_unet.objects.between_slices import outlines_between
from napari_unet.objects.carrying import carried, renamed_on
from napari_unet.objects.outline import Outline

SHAPE = (9, 40, 40)


@pytest.fixture
def opened(viewer, controller):
    """Return a function that begins with labels (N, Y, X) of a stack or a series."""

    def begin(labels: np.ndarray, axes: str = "ZYX") -> object:
        viewer.add_image(np.zeros(labels.shape, np.float32), name="image")
        controller.set_axes(axes)
        assert controller.correct_labels(viewer.add_labels(labels))
        return controller.session

    return begin


def at(viewer: object, index: int) -> None:
    viewer.dims.set_point(0, index)


def stack(**objects: tuple[range, int, int, int]) -> np.ndarray:
    """Return labels in which an object, by its id, is a square in some slices at (y, x) of a width."""
    labels = np.zeros(SHAPE, np.int32)
    for name, (slices, y, x, width) in objects.items():
        for z in slices:
            labels[z, y : y + width, x : x + width] = int(name[1:])
    return labels


def draw(session: object, z: int, label: int, y: int, x: int, width: int) -> None:
    """Draw an object in a slice, as a brush would."""
    where = np.mgrid[y : y + width, x : x + width].reshape(2, -1)
    session.labels_layer.data_setitem((np.full(where.shape[1], z), *where), label)


# -- between two slices --------------------------------------------------------------------------------------------


def test_what_lies_between_two_corrected_slices_is_suggested_and_is_no_label(viewer, controller, opened):
    session = opened(np.zeros(SHAPE, np.int32))
    draw(session, 1, 5, 10, 10, 6)
    draw(session, 7, 5, 10, 10, 18)
    before = session.labels_layer.data.copy()
    at(viewer, 7)
    assert controller.propagation.suggest((12, 12))
    assert sorted(controller.ghosts.suggested) == [(0, z) for z in range(2, 7)]
    widths = [one.mask.shape[0] for _, (one,) in sorted(controller.ghosts.suggested.items())]
    assert widths == [8, 10, 12, 14, 16]
    assert np.array_equal(session.labels_layer.data, before)
    assert {plane for _, plane in session.corrections.supervised_planes()} == {1, 7}
    assert "Suggested in 5 slices" in controller.messages[-1].text


def test_one_is_taken_or_all_and_one_undo_brings_it_back(viewer, controller, opened):
    session = opened(np.zeros(SHAPE, np.int32))
    layer = session.labels_layer
    draw(session, 1, 5, 10, 10, 10)
    draw(session, 7, 5, 10, 10, 10)
    at(viewer, 1)
    controller.propagation.suggest((12, 12))
    before = layer.data.copy()
    at(viewer, 4)
    assert controller.propagation.take((12, 12))
    assert (layer.data[4] == layer.data[1]).all()
    assert not layer.data[3].any()
    assert controller.ghosts.count == 4
    assert controller.propagation.take_all()
    assert (layer.data[1:8] == layer.data[1]).all()
    assert controller.ghosts.count == 0
    assert len(session.corrections.supervised_planes()) == 7
    layer.undo()
    layer.undo()
    assert np.array_equal(layer.data, before)
    assert len(session.rescan() and session.corrections.supervised_planes()) == 2


def test_the_whole_object_is_taken_with_one_key(viewer, controller, opened):
    session = opened(np.zeros(SHAPE, np.int32))
    for z in (0, 4):
        draw(session, z, 5, 10, 10, 10)
        draw(session, z, 6, 25, 25, 5)
    at(viewer, 0)
    controller.propagation.suggest((12, 12))
    controller.propagation.suggest((27, 27))
    assert controller.ghosts.count == 6
    at(viewer, 2)
    assert controller.propagation.take((12, 12), everywhere=True)
    assert (session.labels_layer.data[1:4] == 5).any((1, 2)).all()
    assert not (session.labels_layer.data[1:4] == 6).any()
    assert controller.ghosts.count == 3


@pytest.mark.parametrize("take", ["all", "everywhere"])
def test_of_a_large_image_a_worker_looks_where_the_objects_are(viewer, later, monkeypatch, take):
    labels = stack(_5=(range(1, 8), 10, 10, 4))
    viewer.add_image(np.zeros(SHAPE, np.float32), name="image")
    later.set_axes("ZYX")
    later.correct_labels(viewer.add_labels(labels))
    later.runner.finish()
    session = later.session
    for z in (1, 7):
        draw(session, z, 5, 8, 8, 10)
    at(viewer, 7)
    later.propagation.suggest((9, 9))
    later.runner.finish()
    at(viewer, 4)
    before = session.labels_layer.data.copy()
    monkeypatch.setattr("napari_unet.layers.session.corrected_labels.MAX_PIXELS_AT_ONCE", 0)
    later.propagation.take_all() if take == "all" else later.propagation.take((9, 9), everywhere=True)
    assert np.array_equal(session.labels_layer.data, before), "not in the main thread"
    later.runner.finish()
    assert ((session.labels_layer.data[1:8] == 5).sum((1, 2)) == (before[1] == 5).sum()).all()
    assert later.ghosts.count == 0
    session.labels_layer.undo()
    assert np.array_equal(session.labels_layer.data, before), "one step"


def test_what_is_discarded_meanwhile_is_not_taken(viewer, later, monkeypatch):
    viewer.add_image(np.zeros(SHAPE, np.float32), name="image")
    later.set_axes("ZYX")
    later.correct_labels(viewer.add_labels(np.zeros(SHAPE, np.int32)))
    later.runner.finish()
    for z in (1, 7):
        draw(later.session, z, 5, 8, 8, 10)
    at(viewer, 7)
    later.propagation.suggest((9, 9))
    later.runner.finish()
    before = later.session.labels_layer.data.copy()
    monkeypatch.setattr("napari_unet.layers.session.corrected_labels.MAX_PIXELS_AT_ONCE", 0)
    later.propagation.take_all()
    later.propagation.discard()
    later.runner.finish()
    assert np.array_equal(later.session.labels_layer.data, before)


def test_a_wrong_object_between_is_replaced_and_others_stay(viewer, controller, opened):
    session = opened(stack(_5=(range(1, 8), 10, 10, 4), _9=(range(9), 10, 18, 8)))
    for z in (1, 7):
        draw(session, z, 5, 8, 8, 10)
    at(viewer, 7)
    assert controller.propagation.suggest((9, 9))
    assert controller.propagation.take_all()
    data = session.labels_layer.data
    assert ((data[2:7] == 5).sum((1, 2)) == (data[1] == 5).sum()).all()
    assert ((data == 9) == (stack(_9=(range(9), 10, 18, 8)) == 9))[2:7].all()


def test_a_gap_is_filled_without_a_correction(viewer, controller, opened):
    session = opened(stack(_5=([0, 1, 5, 6], 10, 10, 10)))
    at(viewer, 1)
    assert controller.propagation.suggest((12, 12))
    assert sorted(z for _, z in controller.ghosts.suggested) == [2, 3, 4]
    assert not session.rescan().anything


def test_two_drawings_of_one_missing_object_become_one(viewer, controller, opened):
    session = opened(np.zeros(SHAPE, np.int32))
    draw(session, 1, 5, 10, 10, 10)
    draw(session, 6, 8, 11, 11, 10)
    at(viewer, 6)
    assert controller.propagation.suggest((15, 15))
    assert (session.labels_layer.data[6][session.labels_layer.data[6] > 0] == 5).all()
    assert sorted(z for _, z in controller.ghosts.suggested) == [2, 3, 4, 5]
    session.labels_layer.undo()
    assert session.labels_layer.data[6, 15, 15] == 8


@pytest.mark.parametrize(("pixel", "words"), [((0, 0), "no object under the cursor"), ((12, 12), "another slice too")])
def test_nothing_to_go_between_is_said(viewer, controller, opened, pixel, words):
    opened(stack(_5=(range(9), 10, 10, 10)))
    assert not controller.propagation.suggest(pixel)
    assert words in controller.messages[-1].text


def test_frames_of_a_series_go_the_same_way(viewer, controller, opened):
    session = opened(stack(_5=([0, 4], 10, 10, 10)), "TYX")
    at(viewer, 0)
    assert controller.propagation.suggest((12, 12))
    assert "3 time points" in controller.messages[-1].text
    assert controller.propagation.take_all()
    assert (session.labels_layer.data[:5] == session.labels_layer.data[0]).all()
    session.labels_layer.undo()
    assert not session.labels_layer.data[1:4].any()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), n=st.integers(2, 6))
def test_what_is_drawn_takes_nothing_of_others_and_is_what_was_suggested(seed, n):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (n + 1, 20, 20)) * 9
    for z in (0, n):
        y, x = rng.integers(0, 12, 2)
        labels[z, y : y + 8, x : x + 8] = 4
    found = outlines_between(labels, 0, n, 4)
    assert all(0 < z < n for z in found)
    for z, one in found.items():
        after = one.drawn(labels[z]).applied(labels[z]) if (labels[z] == 0).any() else labels[z]
        assert (after[labels[z] == 9] == 9).all()
        inside = np.zeros((20, 20), bool)
        inside[one.box] = one.mask
        assert np.array_equal(after == 4, inside & (labels[z] == 0))


def test_reviewed_pixels_of_an_object_are_not_taken_from_it():
    plane = np.zeros((20, 20), int)
    plane[2:10, 2:10] = 4
    keep = np.zeros((20, 20), bool)
    keep[2:4] = True
    edit = Outline(4, (slice(6, 14), slice(6, 14)), np.ones((8, 8), bool)).drawn(plane, keep)
    after = edit.applied(plane)
    assert (after[2:4, 2:10] == 4).all()
    assert not after[4:6].any()
    assert (after[6:14, 6:14] == 4).all()


# -- to the next one -----------------------------------------------------------------------------------------------


def test_an_object_is_copied_to_the_next_slice_which_is_shown(viewer, controller, opened):
    session = opened(stack(_5=([3], 10, 10, 10)))
    before = session.labels_layer.data.copy()
    at(viewer, 3)
    for z in (4, 5):
        assert controller.propagation.carry((12, 12))
        assert viewer.dims.current_step[0] == z
        assert (session.labels_layer.data[z] == before[3]).all()
    session.labels_layer.undo()
    session.labels_layer.undo()
    assert np.array_equal(session.labels_layer.data, before)
    at(viewer, 3)
    assert controller.propagation.carry((12, 12), -1)
    assert viewer.dims.current_step[0] == 2


def test_an_object_that_lies_there_gets_its_id(viewer, controller, opened):
    session = opened(stack(_5=([0], 10, 10, 10), _6=(range(1, 9), 11, 11, 10)), "TYX")
    at(viewer, 0)
    assert controller.propagation.carry((12, 12))
    data = session.labels_layer.data
    assert ((data == 5).sum((1, 2)) == 100).all()
    assert "Object 5: found, and has its id now at 8 time points." in controller.messages[-1].text


@pytest.mark.parametrize("large", [False, True])
def test_an_id_that_is_carried_goes_on_until_somebody_has_corrected(viewer, controller, opened, monkeypatch, large):
    if large:
        monkeypatch.setattr("napari_unet.layers.session.corrected_labels.MAX_PIXELS_AT_ONCE", 0)
    session = opened(stack(_5=([0], 10, 10, 10), _6=(range(1, 9), 11, 11, 10), _9=(range(9), 25, 25, 8)))
    draw(session, 5, 6, 21, 11, 3)  # a stroke at its border
    before = session.labels_layer.data.copy()
    at(viewer, 0)
    assert controller.propagation.carry((12, 12))
    data = session.labels_layer.data
    assert [sorted(set(plane.ravel().tolist())) for plane in data] == [[0, 5, 9]] * 5 + [[0, 6, 9]] * 4
    assert ((data > 0) == (before > 0)).all()
    assert viewer.dims.current_step[0] == 1
    session.labels_layer.undo()
    assert np.array_equal(session.labels_layer.data, before), "one step"


@pytest.mark.parametrize(
    ("later", "last"),
    [
        ("reviewed", 3),
        ("the id is there", 3),
        ("no overlap", 3),
        ("gone", 3),
        ("nothing", 8),
    ],
)
def test_where_a_carried_id_ends(viewer, controller, opened, later, last):
    labels = stack(_5=([0], 10, 10, 10), _6=(range(1, 9), 11, 11, 10))
    if later == "the id is there":
        labels[4, 30:34, 30:34] = 5
    elif later == "no overlap":
        labels[4:] = np.roll(labels[4:], 12, axis=2)
    elif later == "gone":
        labels[4] = 0
    session = opened(labels)
    if later == "reviewed":
        session.corrections.reviewed[0, 4] = True
    at(viewer, 0)
    assert controller.propagation.carry((12, 12))
    assert [z for z in range(1, 9) if (session.labels_layer.data[z] == 5).sum() == 100] == list(range(1, last + 1))


def test_a_carried_id_goes_back_too(viewer, controller, opened):
    session = opened(stack(_5=([8], 10, 10, 10), _6=(range(8), 11, 11, 10)))
    at(viewer, 8)
    assert controller.propagation.carry((12, 12), -1)
    assert ((session.labels_layer.data == 5).sum((1, 2)) == 100).all()


def test_what_is_painted_while_a_worker_looks_stays(viewer, later, monkeypatch):
    monkeypatch.setattr("napari_unet.layers.session.corrected_labels.MAX_PIXELS_AT_ONCE", 0)
    labels = stack(_5=([0], 10, 10, 10), _6=(range(1, 9), 11, 11, 10))
    viewer.add_image(np.zeros(SHAPE, np.float32), name="image")
    later.set_axes("ZYX")
    later.correct_labels(viewer.add_labels(labels))
    later.runner.finish()
    at(viewer, 0)

    def looked(*arguments):
        found = renamed_on(*arguments)
        draw(later.session, 3, 7, 12, 12, 4)  # before what was found is written
        return found

    monkeypatch.setattr("napari_unet.layers.proofreading.propagation.renamed_on", looked)
    assert later.propagation.carry((12, 12))
    later.runner.finish()
    data = later.session.labels_layer.data
    assert (data[3] == 7).sum() == 16
    assert (data[3] == 5).sum() == 84


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_carrying_on_changes_ids_and_no_outline(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.repeat(rng.integers(0, 4, (6, 5, 5)), 3, axis=1), 3, axis=2).astype(np.int32)
    labels[0, :3, :3] = 1
    found = renamed_on(labels, labels.copy(), np.zeros(labels.shape, bool), 0, 1, 1, 9)
    after = labels.copy()
    for index, edit in found.items():
        after[index] = edit.applied(labels[index])
    assert list(found) == list(range(1, len(found) + 1)), "without a gap"
    assert np.array_equal(after == 9, (after != labels))
    assert np.array_equal(np.where(after == 9, 1, after), labels)


def test_carrying_is_refused_in_words(viewer, controller, opened):
    opened(stack(_5=(range(9), 10, 10, 10), _6=([2], 25, 25, 8), _7=([3], 20, 20, 19)))
    at(viewer, 8)
    assert not controller.propagation.carry((12, 12))
    assert "This is the last slice." in controller.messages[-1].text
    at(viewer, 0)
    assert not controller.propagation.carry((12, 12), -1)
    assert "This is the first slice." in controller.messages[-1].text
    assert not controller.propagation.carry((0, 0))
    assert "no object under the cursor" in controller.messages[-1].text
    assert controller.propagation.carry((12, 12))
    assert "Object 5 is in this slice already" in controller.messages[-1].text
    at(viewer, 2)
    assert not controller.propagation.carry((26, 26))
    assert "Other objects are in its place" in controller.messages[-1].text


def test_a_plane_has_no_next_one(viewer, controller):
    viewer.add_image(np.zeros((20, 20), np.float32))
    controller.correct_labels(viewer.add_labels(np.pad(np.ones((4, 4), int), 8)))
    assert not controller.propagation.carry((9, 9))
    assert "one plane only" in controller.messages[-1].text


def test_an_object_that_is_here_too_is_not_taken_for_the_same():
    here, there = np.zeros((2, 20, 20), int)
    here[2:10, 2:10], here[10:18, 2:10] = 1, 2
    there[7:15, 2:10] = 2
    edit = carried(here, there, 1, 0.1)
    assert edit.made == (1,)
    assert not (edit.applied(there)[there == 2] == 1).any()


# -- from the frame before -----------------------------------------------------------------------------------------


def test_the_lost_object_of_the_frame_before_is_shown_and_taken(viewer, controller, opened):
    session = opened(stack(_5=([0, 1, 2], 10, 10, 10), _6=(range(9), 25, 25, 8)), "TYX")
    at(viewer, 3)
    controller.ghosts.show_lost = True
    (lost,) = controller.ghosts.in_plane((3, 0))
    assert lost.label == 5
    assert viewer.layers[-1].name == "image suggested"
    assert viewer.layers[-1].data.max() == 2
    assert controller.propagation.take((12, 12))
    assert (session.labels_layer.data[3] == session.labels_layer.data[2]).all()
    assert controller.ghosts.in_plane((3, 0)) == []
    assert viewer.layers[-1].data.max() == 0
    at(viewer, 4)
    assert [one.label for one in controller.ghosts.in_plane((4, 0))] == [5]
    controller.ghosts.show_lost = False
    assert controller.ghosts.in_plane((4, 0)) == []


def test_no_suggestion_under_the_cursor(controller, opened):
    opened(stack(_5=([0], 10, 10, 10)))
    assert not controller.propagation.take((12, 12))
    assert "no suggestion under the cursor" in controller.messages[-1].text
    assert not controller.propagation.take_all()


def test_suggestions_go_with_their_image(viewer, controller, opened):
    opened(stack(_5=([0, 4], 10, 10, 10)))
    at(viewer, 0)
    controller.propagation.suggest((12, 12))
    viewer.add_image(np.zeros((30, 30), np.float32), name="other")
    assert controller.ghosts.count == 0
    controller.ghosts.tidy()
    assert "image suggested" not in [layer.name for layer in viewer.layers]


def test_while_the_image_is_segmented_nothing_is_carried_on(viewer, later):
    viewer.add_image(stack(_5=(range(9), 10, 10, 10)).astype(np.float32), name="image")
    assert later.segment()
    assert not later.propagation.carry((12, 12))
    assert "being segmented" in later.messages[-1].text


# -- one id in all frames ------------------------------------------------------------------------------------------


def test_linking_frames_gives_one_id_and_no_correction(viewer, controller, opened):
    session = opened(stack(_1=([0], 5, 5, 8), _2=([1], 6, 5, 8), _3=([2], 7, 6, 8), _7=(range(3, 9), 7, 6, 8)), "TYX")
    draw(session, 2, 3, 20, 20, 3)
    before = session.rescan()
    assert controller.frame_links.link()
    assert np.unique(session.labels_layer.data).tolist() == [0, 1]
    assert session.rescan() == before
    assert "got another id" in controller.messages[-1].text
    assert controller.frame_links.link()
    assert "already" in controller.messages[-1].text


def test_a_stack_is_joined_by_the_same_button(viewer, controller, opened):
    session = opened(stack(_1=([0], 5, 5, 8), _2=([1], 5, 5, 8), _3=([2], 5, 5, 8)))
    assert controller.frame_links.link()
    assert np.unique(session.labels_layer.data).tolist() == [0, 1]


def test_tracks_are_drawn_by_the_ids(viewer, controller, opened):
    opened(stack(_1=(range(9), 5, 5, 8), _2=(range(4), 20, 20, 8)), "TYX")
    active = viewer.layers.selection.active
    assert controller.frame_links.draw_tracks()
    assert controller.frame_links.draw_tracks(), "the layer is replaced"
    (tracks,) = [layer for layer in viewer.layers if layer.name == "image tracks"]
    assert tracks.data.shape == (13, 4)
    assert tracks.data[0].tolist() == [1, 0, 8.5, 8.5]
    assert viewer.layers.selection.active == active


def test_what_cannot_be_linked_is_said(viewer, controller, opened):
    assert not controller.frame_links.link()
    assert "Press Segment first" in controller.messages[-1].text
    opened(stack(_1=(range(9), 5, 5, 8)))
    assert not controller.frame_links.draw_tracks()
    assert "Tracks need a time series" in controller.messages[-1].text


# -- looked for in a worker ----------------------------------------------------------------------------------------


@pytest.fixture
def looking(viewer, controller, opened):
    """Two drawings of an object, between which it is suggested when the test says so; return what runs that."""
    session = opened(np.zeros(SHAPE, np.int32))
    draw(session, 1, 5, 10, 10, 6)
    draw(session, 7, 5, 10, 10, 18)
    at(viewer, 7)
    runner = controller.propagation._runner = LaterRunner()
    return runner


def test_slices_are_looked_through_while_one_goes_on(controller, looking):
    said = len(controller.messages)
    assert controller.propagation.suggest((12, 12))
    assert controller.propagation.suggest((12, 12)), "it is begun anew"
    looking.finish(0)
    assert (controller.ghosts.count, len(controller.messages)) == (0, said), "that one was stopped"
    draw(controller.session, 4, 9, 30, 30, 4)
    looking.finish(1)
    assert controller.ghosts.count == 5
    assert controller.messages[-1].text.startswith("Suggested in 5 slices")


@pytest.mark.parametrize("what", ["chosen", "discarded", "erased"])
def test_what_happens_while_slices_are_looked_through(viewer, controller, looking, what):
    session = controller.session
    draw(session, 7, 8, 11, 11, 10)  # of the drawing in view a part has another id, which is drawn in this slice alone
    pixel = (15, 15) if what == "erased" else (27, 27)
    assert controller.propagation.suggest(pixel)
    if what == "chosen":
        controller.workspace.choose_layer(viewer.add_image(np.zeros(SHAPE, np.float32), name="other"))
    elif what == "discarded":
        controller.propagation.discard()
    else:
        session.labels_layer.data_setitem(tuple(np.nonzero(session.labels_layer.data == 8)), 0)
    before = session.labels_layer.data.copy()
    looking.finish()
    assert controller.ghosts.count == 0
    assert np.array_equal(session.labels_layer.data, before)


def test_frames_are_linked_where_somebody_painted_with_the_largest_id(viewer, controller, opened):
    session = opened(stack(_1=([0], 5, 5, 8), _2=([1], 6, 5, 8), _3=([2], 25, 26, 8), _7=(range(3, 9), 7, 6, 8)), "TYX")
    session.labels_layer.data_setitem((np.zeros(3, int), np.arange(3), np.arange(3)), 2**31 - 1)
    session.labels_layer.data_setitem((np.full(3, 4), np.arange(3), np.arange(3)), 3)
    session.rescan(everything=True)
    assert controller.frame_links.link()
    assert controller.messages[-1].level == "done"
    ids = set(np.unique(session.labels_layer.data).tolist()) - {0, 2**31 - 1}
    assert len(ids) > 1
    assert max(ids) < 2**20
    assert session.labels_layer.data[0, 0, 0] == 2**31 - 1
