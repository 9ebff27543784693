"""Sliders: objects read anew out of maps that are kept, in view and then everywhere; never what is corrected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hand_made import bright, squares
from napari_unet.layers.inference import decoding_sliders as module
from napari_unet.layers.jobs import InlineRunner
from napari_unet.models.store import load_model

DIM = 0.46  # a foreground of 0.17: found from a sensitivity of 0.83 on


@pytest.fixture
def labels(viewer: Any, controller: Any) -> Any:
    viewer.add_image(squares(dim=DIM), name="image")
    assert controller.segment()
    return controller.session.labels_layer


def said(controller: Any) -> str:
    text: str = controller.messages[-1].text
    return text


def ids(layer: Any) -> set[int]:
    return set(np.unique(layer.data).tolist()) - {0}


def move(controller: Any, slider: Any, value: float) -> None:
    controller.sliders.move(slider, value)
    controller.sliders.rest()


def test_a_slider_shows_what_it_does_and_is_remembered_with_the_model(labels: Any, controller: Any) -> None:
    before = labels.data.copy()
    assert len(ids(labels)) == 3
    controller.sliders.move("sensitivity", 0.9)
    assert said(controller) == "Sensitivity 0.90: 4 objects in view."
    assert len(ids(labels)) == 4
    assert controller.model.info.decoding.foreground == 0.5, "it may still move"
    controller.sliders.rest()
    assert said(controller) == "Sensitivity 0.90: 4 objects in view."
    assert controller.model.info.decoding.foreground == pytest.approx(0.1)
    kept = before > 0
    assert np.array_equal(labels.data[kept], before[kept]), "an object that is found again keeps its id"
    assert controller.session.rescan().corrected_pixels == 0, "a slider is no correction"
    assert controller.segment()
    assert len(ids(labels)) == 4, "what is segmented later goes by it"


def test_corrections_are_counted_anew_only_where_they_may_have_changed(
    labels: Any, controller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, session, counted, told = controller.workspace, controller.session, [], []
    rescan = type(session).rescan

    def counting(*args: Any, **options: Any) -> Any:
        counted.append(options)
        return rescan(*args, **options)

    monkeypatch.setattr(type(session), "rescan", counting)
    workspace.corrected.connect(told.append)
    controller.sliders.move("sensitivity", 0.9)
    assert len(ids(labels)) == 4
    workspace.count_corrections()
    assert (len(counted), len(told)) == (0, 1), "a slider changes no correction; what is marked may lie elsewhere"
    labels.data_setitem((np.array([42, 43]), np.array([42, 43])), 0)
    workspace.count_corrections()
    assert told[-1].corrected_pixels == 2
    labels.undo()
    workspace.count_corrections()
    assert told[-1].corrected_pixels == 0
    labels.data_setitem((np.array([42, 43]), np.array([42, 43])), 0)
    controller.sliders.move("sensitivity", 0.85)
    workspace.count_corrections()
    assert told[-1].corrected_pixels == 2, "an edit just before a slider moves is counted"


def test_reset_goes_back_to_what_the_model_came_with(labels: Any, controller: Any) -> None:
    before, own = labels.data.copy(), controller.model.info
    assert not controller.sliders.can_reset
    move(controller, "sensitivity", 0.9)
    move(controller, "smallest", 30)
    assert ids(labels) == set()
    assert controller.sliders.can_reset
    controller.sliders.reset()
    assert controller.model.info == own
    assert np.array_equal(labels.data > 0, before > 0)
    assert not controller.sliders.can_reset


@pytest.mark.parametrize("change", ["erased", "painted", "deleted", "reviewed"])
def test_what_somebody_answers_for_stays(labels: Any, controller: Any, change: str) -> None:
    session, data = controller.session, labels.data
    if change == "erased":
        labels.data_setitem((np.array([42, 43]), np.array([42, 43])), 0)
    elif change == "painted":
        labels.data_setitem(tuple(np.indices((6, 6)).reshape(2, -1) + 24), 77)
    elif change == "deleted":
        where = np.nonzero(data == data[45, 45])
        labels.data_setitem(where, 0)
    else:
        session.corrections.reviewed[0, 0, 30:, 30:] = True
    session.rescan()
    protected = session.corrections.protected(session.labels, (0, 0))
    before = data.copy()
    for slider, value in (("sensitivity", 0.95), ("smallest", 40), ("sensitivity", 0.02), ("separation", 1.0)):
        move(controller, slider, value)
        assert np.array_equal(labels.data[protected], before[protected]), slider
    summary = session.rescan()
    assert summary.corrected_pixels == np.count_nonzero(session.corrections.prediction[0, 0] != labels.data)


def test_other_planes_follow_when_it_rests(viewer: Any, controller: Any) -> None:
    viewer.add_image(np.stack([squares(dim=DIM)] * 3), name="stack")
    controller.workspace.set_axes("TYX")
    assert controller.segment()
    labels = controller.session.labels_layer
    viewer.dims.set_point(0, 1)
    controller.sliders.move("sensitivity", 0.9)
    assert [len(np.unique(plane)) - 1 for plane in labels.data] == [3, 4, 3]
    controller.sliders.rest()
    assert [len(np.unique(plane)) - 1 for plane in labels.data] == [4, 4, 4]
    assert len(ids(labels)) == 12, "ids are unique in all time points"
    assert said(controller) == "Sensitivity 0.90: 12 objects."


def test_slices_of_a_volume_keep_one_id_for_an_object(viewer: Any, controller: Any) -> None:
    viewer.add_image(np.stack([squares(dim=DIM)] * 3), name="volume")
    assert controller.axes == "ZYX"
    assert controller.segment()
    move(controller, "sensitivity", 0.9)
    data = controller.session.labels_layer.data
    assert len(np.unique(data)) == 5
    assert (data[0] == data[2]).all()


def test_a_volume_is_read_anew_as_one(viewer: Any, controller: Any) -> None:
    controller.use_model(bright("volumes", ndim=3))
    volume = np.zeros((8, 40, 40), np.float32)
    volume[2:6, 8:18, 8:18] = 1
    volume[2:6, 22:32, 22:32] = DIM
    viewer.add_image(volume, name="volume")
    assert controller.segment()
    layer = controller.session.labels_layer
    assert len(ids(layer)) == 1
    viewer.dims.set_point(0, 4)
    move(controller, "sensitivity", 0.9)
    assert len(ids(layer)) == 2
    assert len(np.unique(layer.data[2:6, 26, 26])) == 1
    width = controller.sliders.positions.smallest
    assert width == pytest.approx(2 * (3 * 12 / (4 * np.pi)) ** (1 / 3)), "that of a ball"


def test_every_image_that_is_open_follows(viewer: Any, controller: Any) -> None:
    for name in ("one", "two"):
        viewer.add_image(squares(dim=DIM), name=name)
        assert controller.segment()
    move(controller, "sensitivity", 0.9)
    assert [len(ids(session.labels_layer)) for session in controller.sessions] == [4, 4]


def volumes(viewer: Any, later: Any) -> list[Any]:
    """Two open volumes, segmented slice by slice; their sessions."""
    for name in ("one", "two"):
        viewer.add_image(np.stack([squares(dim=DIM)] * 3), name=name)
        assert later.segment()
        while later.segmenter.busy:
            later.runner.finish()
        later.runner.finish()  # joins slices
    for session in later.sessions:
        data = session.labels_layer.data
        assert (data[0] == data[2]).all()
    assert len(later.sessions) == 2
    return list(later.sessions)


def finish(runner: Any, start: int) -> None:
    """Finish all jobs from one on, and those that they begin."""
    while start < len(runner.jobs):
        runner.finish(start)
        start += 1


def test_objects_of_every_open_volume_have_one_id_in_all_slices(viewer: Any, later: Any) -> None:
    sessions = volumes(viewer, later)
    start = len(later.runner.jobs)
    move(later, "sensitivity", 0.9)
    finish(later.runner, start)
    for session in sessions:
        data = session.labels_layer.data
        assert len(np.unique(data)) == 5, session.layer.name
        assert (data[0] == data[2]).all(), session.layer.name


@pytest.mark.parametrize("by", ["a slider that comes back", "an image that is segmented", "the other is removed"])
def test_joining_slices_goes_on_after_it_was_broken_off(viewer: Any, later: Any, by: str) -> None:
    sessions = volumes(viewer, later)
    start = len(later.runner.jobs)
    move(later, "sensitivity", 0.9)
    later.runner.finish(start)  # all is read anew; slices are to be joined
    start = len(later.runner.jobs)
    if by == "a slider that comes back":
        later.sliders.move("sensitivity", 0.88)
        later.sliders.move("sensitivity", 0.9)
        later.sliders.rest()
        finish(later.runner, start)
    elif by == "an image that is segmented":
        later.workspace.segmenting.emit(True)
        later.workspace.segmenting.emit(False)
        finish(later.runner, start)
    else:
        viewer.layers.remove(sessions[0].layer)
        finish(later.runner, start - 1)
        sessions = sessions[1:]
    for session in sessions:
        data = session.labels_layer.data
        assert len(np.unique(data)) == 5, session.layer.name
        assert (data[0] == data[2]).all(), session.layer.name
    assert not later.sliders.busy


def test_the_network_looks_at_the_image_that_asks_last(viewer: Any, later: Any) -> None:
    sessions = volumes(viewer, later)
    for session in sessions:
        session.maps.clear()
    maps, start = later.sliders._maps_in_view, len(later.runner.jobs)
    made: list[Any] = []
    maps.made.connect(made.append)
    for session in (sessions[0], *sessions):
        assert maps.make(session)
    assert len(later.runner.jobs) == start + 2, "one that is under way for an image is enough"
    viewer.layers.remove(sessions[0].layer)
    assert maps.busy, "it is about the other image"
    finish(later.runner, start)
    assert made == sessions[1:]
    assert len(list(sessions[1].maps)) == 1
    assert not maps.busy


def test_widths_are_those_of_the_image_where_it_is_rescaled(viewer: Any, controller: Any) -> None:
    controller.use_model(bright("half", diameter=10.0, image_diameter=20.0))
    viewer.add_image(np.kron(squares(dim=DIM), np.ones((2, 2), np.float32)), name="image")
    controller.object_diameter.say(20.0)
    assert controller.segment()
    controller.sliders.move("smallest", 18)
    controller.sliders.rest()
    assert controller.model.info.decoding.min_size == pytest.approx(np.pi / 4 * 9**2, abs=1)
    assert controller.sliders.positions.smallest == pytest.approx(18, abs=0.2)
    assert len(ids(controller.session.labels_layer)) == 3, "a square of 20 pixels is wider"
    move(controller, "smallest", 26)
    assert not ids(controller.session.labels_layer)


def test_only_what_there_is_time_for_is_shown_at_once(
    viewer: Any, controller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIVE_SECONDS", 1e-9)
    viewer.add_image(squares(dim=DIM), name="image")
    assert controller.segment()
    layer = controller.session.labels_layer
    controller.sliders.move("sensitivity", 0.9)
    assert len(ids(layer)) == 3
    controller.sliders.rest()
    assert len(ids(layer)) == 4
    assert said(controller) == "Sensitivity 0.90: 4 objects."


def test_strokes_between_the_worker_and_the_window_stay(viewer: Any, later: Any) -> None:
    """What is painted while objects are read anew is not written over, and no id is given twice."""
    viewer.add_image(squares(dim=DIM), name="image")
    later.sliders._job._runner = runner = type(later.runner)()
    assert later.segment()
    later.runner.finish()
    layer = later.session.labels_layer
    later.sliders._pace = 1e-9
    move(later, "sensitivity", 0.9)
    waiting = runner.jobs[-1]
    piece = next(waiting.events)
    new = int(layer.data.max()) + 1
    layer.data_setitem((np.array([12, 13]), np.array([12, 13])), new)
    waiting.tell(piece)
    runner.finish()
    assert layer.data[12, 12] == layer.data[13, 13] == new
    assert np.count_nonzero(layer.data == new) == 2
    assert later.session.rescan().corrected_pixels == 2


def test_while_an_image_is_segmented_the_rest_waits(viewer: Any, later: Any) -> None:
    viewer.add_image(np.stack([squares(dim=DIM)] * 2), name="stack")
    later.workspace.set_axes("TYX")
    assert later.segment()
    later.runner.step(n=4)
    assert later.segmenter.busy
    move(later, "sensitivity", 0.9)
    assert not later.sliders.busy
    later.runner.finish(0)
    while later.sliders.busy:
        later.runner.finish()
    layer = later.session.labels_layer
    assert [len(np.unique(plane)) - 1 for plane in layer.data] == [4, 4]


def test_another_model_ends_it(viewer: Any, later: Any) -> None:
    viewer.add_image(squares(dim=DIM), name="image")
    assert later.segment()
    later.runner.finish()
    layer = later.session.labels_layer
    later.sliders._pace = 1e-9
    move(later, "sensitivity", 0.9)
    index = len(later.runner.jobs) - 1
    later.use_model(bright("another"))
    later.runner.finish(index)
    assert len(ids(layer)) == 3
    assert later.sliders.positions.sensitivity == 0.5


def test_classes_have_no_sliders(viewer: Any, controller: Any) -> None:
    assert controller.choose_model("classes")
    assert controller.sliders.positions is None
    before = len(controller.messages)
    move(controller, "sensitivity", 0.9)
    controller.sliders.reset()
    assert len(controller.messages) == before
    assert not controller.fit.start()
    assert controller.messages[-1].level == "error"


def test_without_an_image_a_slider_is_remembered(controller: Any) -> None:
    move(controller, "sensitivity", 0.9)
    assert controller.model.info.decoding.foreground == pytest.approx(0.1)


def test_without_maps_the_network_looks_again(labels: Any, controller: Any) -> None:
    controller.session.maps.clear()
    move(controller, "sensitivity", 0.9)
    assert len(ids(labels)) == 4
    assert said(controller).startswith("Sensitivity 0.90: 4 objects")


def test_a_saved_model_has_the_settings(labels: Any, controller: Any) -> None:
    move(controller, "sensitivity", 0.9)
    assert controller.save("mine")
    info = load_model("mine").info
    assert info.decoding.foreground == pytest.approx(0.1)
    assert info.original_decoding.foreground == 0.5
    assert controller.choose_model("bright")
    assert controller.sliders.positions.sensitivity == 0.5
    assert controller.choose_model("mine")
    assert controller.sliders.positions.sensitivity == pytest.approx(0.9)
    controller.sliders.reset()
    assert controller.model.info.decoding.foreground == 0.5


def test_a_project_has_the_settings_and_its_maps_are_made_anew(
    viewer: Any, controller: Any, labels: Any, tmp_path: Any
) -> None:
    move(controller, "sensitivity", 0.9)
    assert controller.projects.save(tmp_path / "cells.unetproj")
    viewer.layers.clear()
    assert controller.choose_model("bright")
    assert controller.projects.open(tmp_path / "cells.unetproj")
    assert controller.sliders.positions.sensitivity == pytest.approx(0.9)
    assert controller.session.maps.part_at(0, (0, 30, 30)) is not None, "gestures need not wait"
    layer = controller.session.labels_layer
    assert len(ids(layer)) == 4
    move(controller, "sensitivity", 0.5)
    assert len(ids(layer)) == 3


def test_labels_that_no_longer_fit_are_told(labels: Any, controller: Any) -> None:
    labels.data = np.zeros((9, 9), np.int32)
    move(controller, "sensitivity", 0.9)
    assert controller.messages[-1].level == "error"
    assert not labels.data.any()


# -- fitted ----------------------------------------------------------------------------------------------------------


def test_fit_finds_what_was_added_by_hand(viewer: Any, controller: Any) -> None:
    image = np.zeros((100, 100), np.float32)
    for y in range(10, 90, 20):
        for x in range(10, 90, 20):
            image[y : y + 9, x : x + 9] = 0.49 if x > 40 else 1  # a foreground of 0.4
    viewer.add_image(image, name="image")
    assert controller.segment()
    layer = controller.session.labels_layer
    assert len(ids(layer)) == 8
    for number, (y, x) in enumerate([(10, 50), (30, 50), (50, 50), (10, 70), (30, 70), (50, 70)], start=101):
        layer.data_setitem(tuple(np.indices((9, 9)).reshape(2, -1) + np.array([[y], [x]])), number)
    before = layer.data.copy()
    assert controller.fit.start()
    assert 0.3 <= controller.model.info.decoding.foreground < 0.41
    assert len(ids(layer)) == 16
    assert np.array_equal(layer.data[before > 0], before[before > 0])
    assert "by your corrections: 16 objects" in said(controller)
    assert controller.fit.start()
    assert said(controller).startswith("No other settings fit the 6 objects")


def test_fit_says_what_is_missing(labels: Any, controller: Any) -> None:
    assert not controller.fit.start()
    assert said(controller).startswith("Nothing is corrected")
    labels.data_setitem((np.array([42, 43]), np.array([42, 43])), 0)
    assert controller.fit.start()
    assert said(controller).startswith("Too few objects")
    assert controller.model.info.decoding.foreground == 0.5
    assert isinstance(controller.runner, InlineRunner)
