"""Gestures on objects, from Python: what changes, that one undo takes it back bit for bit, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from hand_made import bright, squares
from napari_unet.io import spill
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.proofreading.gesture_help import help_rows
from napari_unet.layers.proofreading.object_edits import _is_rim
from napari_unet.layers.session.kept_maps import KeptMaps, KeptPart
from napari_unet.models.info import FROM_SCRATCH
from napari_unet.models.model import Model
from napari_unet.objects.maps import Maps

FAINT = 0.46  # a foreground of 0.17: below the threshold, but something
CENTRES = [(15, 15), (15, 45), (45, 15), (45, 45)]


def dumbbell() -> np.ndarray:
    """Two squares with a bridge between them, which the model takes for one object; a small one and a faint one."""
    image = np.zeros((80, 80), np.float32)
    image[10:24, 10:24] = image[10:24, 28:42] = 1
    image[14:20, 24:28] = 1
    image[50:60, 10:20] = image[50:60, 22:32] = 1
    image[50:60, 55:65] = FAINT
    return image


@pytest.fixture
def open_image(viewer: Any, controller: Any) -> Any:
    def open_it(data: np.ndarray, **options: Any) -> Any:
        viewer.add_image(data, name="image", **options)
        assert controller.segment()
        return controller.session.labels_layer

    return open_it


@pytest.fixture
def labels(open_image: Any) -> Any:
    return open_image(dumbbell())


def said(controller: Any) -> str:
    text: str = controller.messages[-1].text
    assert len(text) <= 100, text
    return text


def ids(layer: Any) -> set[int]:
    return set(np.unique(layer.data).tolist()) - {0}


def check_undo(layer: Any, before: np.ndarray) -> None:
    """One undo brings back what was there, and one redo what was made."""
    after = layer.data.copy()
    assert not np.array_equal(before, after)
    assert layer.data.dtype == before.dtype
    layer.undo()
    assert np.array_equal(layer.data, before)
    layer.redo()
    assert np.array_equal(layer.data, after)


GESTURES = {
    "merge": ("merge", [(55, 14), (55, 28)]),
    "split": ("split", [(5, 26), (30, 26)]),
    "cut_free": ("cut_free", [(17, 17)]),
    "add": ("add", [(55, 60)]),
    "delete one": ("delete", [(55, 14)]),
    "delete several": ("delete", [(55, 14), (55, 30)]),
}


@pytest.mark.parametrize("name", GESTURES)
def test_a_gesture_is_one_step_of_undo_and_a_correction(labels: Any, controller: Any, name: str) -> None:
    gesture, points = GESTURES[name]
    before, there = labels.data.copy(), ids(labels)
    assert len(there) == 3
    assert controller.gestures.make(gesture, points), said(controller)
    assert controller.messages[-1].level == "done"
    now = ids(labels)
    changed = {"merge": -1, "split": 1, "cut_free": 1, "add": 1, "delete one": -1, "delete several": -2}[name]
    assert len(now) == len(there) + changed
    assert all(label > max(there) for label in now - there), "a new object has an id that nothing had"
    summary = controller.session.rescan()
    assert summary.corrected_pixels == np.count_nonzero(labels.data != before)
    check_undo(labels, before)


def test_a_merge_closes_the_gap(labels: Any, controller: Any) -> None:
    assert controller.gestures.make("merge", [(55, 14), (55, 28)])
    assert said(controller) == "Merged 2 objects. Ctrl+Z takes it back."
    assert len(set(labels.data[55, 12:30].tolist())) == 1
    assert labels.data[55, 21] in ids(labels)


def test_a_split_follows_a_line_from_side_to_side(labels: Any, controller: Any) -> None:
    assert controller.gestures.make("split", [(5, 26), (30, 26)])
    assert said(controller) == "Split 1 object into 2. Ctrl+Z takes it back."
    assert labels.data[17, 17] != labels.data[17, 35]


def test_what_is_added_is_what_the_maps_show(labels: Any, controller: Any) -> None:
    assert controller.gestures.make("add", [(55, 60)])
    new = labels.data[55, 60]
    found, true = labels.data == new, np.zeros((80, 80), bool)
    true[50:60, 55:65] = True
    assert (found & true).sum() / (found | true).sum() > 0.75


def test_what_was_deleted_can_be_added_again(labels: Any, controller: Any) -> None:
    before = labels.data.copy()
    assert controller.gestures.make("delete", [(55, 14)])
    assert controller.gestures.make("delete", [(55, 28)])
    assert controller.gestures.make("add", [(55, 14)]), said(controller)
    for gesture in ("smaller", "add"):
        assert controller.gestures.make(gesture, [(55, 14)]), said(controller)
    new = labels.data == labels.data[55, 14]
    assert np.array_equal(new, before == before[55, 14]), "and not what was deleted beside it"


def test_what_was_added_is_made_larger_and_smaller(open_image: Any, controller: Any) -> None:
    image, (y, x) = dumbbell(), np.mgrid[:80, :80]
    image = np.maximum(image, 0.47 * np.exp(-((y - 68) ** 2 + (x - 60) ** 2) / 800).astype(np.float32))
    labels = open_image(image)
    others = labels.data.copy()
    assert not controller.gestures.make("smaller", [(68, 60)])
    assert "added last" in said(controller)
    assert controller.gestures.make("add", [(68, 60)])
    label, sizes, states = int(labels.data[68, 60]), [], [labels.data.copy()]
    for gesture in ("add", "add", "smaller", "smaller", "smaller"):
        assert controller.gestures.make(gesture, [(68, 60)]), said(controller)
        sizes.append(np.count_nonzero(labels.data == label))
        states.append(labels.data.copy())
        assert np.array_equal(
            labels.data[labels.data != label], np.where(labels.data == label, 0, others)[labels.data != label]
        )
    first = np.count_nonzero(states[0] == label)
    assert sizes[4] < first == sizes[3] < sizes[0] == sizes[2] < sizes[1]
    for before in reversed(states[:-1]):
        labels.undo()
        assert np.array_equal(labels.data, before), "each is one step"
    labels.undo()
    assert np.array_equal(labels.data, others)
    assert controller.gestures.make("add", [(68, 60)]), "it is gone, so another one is added"
    assert labels.data[68, 60] > label
    for _ in range(60):
        controller.gestures.make("smaller", [(68, 60)])
    assert np.count_nonzero(labels.data[60:76, 52:68]) >= 12
    assert said(controller) == "It cannot be made larger or smaller here."
    assert controller.gestures.make("delete", [(68, 60)])
    assert not controller.gestures.make("smaller", [(68, 60)])


def test_a_gesture_is_there_when_a_project_is_opened_again(labels: Any, controller: Any, tmp_path: Any) -> None:
    assert controller.gestures.make("split", [(5, 26), (30, 26)])
    assert controller.gestures.make("add", [(55, 60)])
    assert controller.projects.save(tmp_path / "cells")
    other = Controller(ViewerModel(), InlineRunner())
    other.messages = []
    other.workspace.said.connect(other.messages.append)
    assert other.projects.open(tmp_path / "cells.unetproj")
    again = other.session.labels_layer
    assert np.array_equal(again.data, labels.data)
    assert other.session.rescan() == controller.session.rescan()
    before = again.data.copy()
    assert not other.gestures.make("add", [(72, 40)])
    assert said(other).startswith("The network sees no object here."), "it has looked again, for maps are not saved"
    assert other.gestures.make("merge", [(17, 17), (17, 35)])
    assert other.gestures.make("cut_free", [(17, 17)])
    again.undo()
    again.undo()
    assert np.array_equal(again.data, before)


def test_ids_are_never_given_twice(labels: Any, controller: Any) -> None:
    assert controller.gestures.make("add", [(55, 60)])
    first = int(labels.data[55, 60])
    assert controller.gestures.make("delete", [(55, 60)])
    assert controller.gestures.make("add", [(55, 60)])
    assert labels.data[55, 60] > first
    assert labels.selected_label > labels.data[55, 60], "the brush begins another object"
    assert controller.gestures.make("split", [(5, 26), (30, 26)])
    assert len(ids(labels)) == 5


def test_a_gesture_stays_when_segmented_again(labels: Any, controller: Any) -> None:
    for gesture, points in (GESTURES["cut_free"], GESTURES["merge"], GESTURES["add"]):
        assert controller.gestures.make(gesture, points)
    after = labels.data.copy()
    assert controller.segment()
    assert np.array_equal(labels.data > 0, after > 0)
    assert labels.data[17, 17] != labels.data[17, 35]
    assert labels.data[55, 14] == labels.data[55, 28]


def test_a_narrow_type_is_widened_for_a_new_id(labels: Any, controller: Any) -> None:
    data = labels.data.astype(np.uint8)
    data[data == 1] = 255
    labels.data = data
    before = labels.data.copy()
    assert controller.gestures.make("add", [(55, 60)])
    assert labels.data[55, 60] == 256
    labels.undo()
    assert np.array_equal(labels.data, before)


OFTEN = {"merge": 0.15, "split": 0.2, "cut_free": 0.1, "add": 0.2, "smaller": 0.1, "delete": 0.05}
OFTEN |= {"seed": 0.08, "draw": 0.03, "reshape": 0.05, "smooth": 0.02, "fill_holes": 0.02}


@pytest.mark.parametrize("seed", range(4))
def test_any_gestures_go_back_step_by_step(open_image: Any, controller: Any, viewer: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    layer = open_image(np.stack([dumbbell()] * 3) if seed % 2 else dumbbell())
    if seed % 2:
        viewer.dims.set_current_step(0, 1)
    states, largest = [layer.data.copy()], int(layer.data.max())
    for _ in range(60):
        gesture = random.choice(list(OFTEN), p=list(OFTEN.values()))
        middle = np.array([(17, 17), (17, 35), (55, 14), (55, 27), (55, 60)])[random.integers(5)]
        path = middle + random.normal(0, 8, (random.integers(1, 4), 2))
        made = controller.gestures.make(gesture, path)
        assert made == (not np.array_equal(layer.data, states[-1]))
        assert len(controller.messages[-1].text) <= 100
        if made:
            new = ids(layer) - set(np.unique(states[-1]).tolist())
            assert all(label > largest for label in new)
            largest = max({largest, *new})
            states.append(layer.data.copy())
            layer.undo()
            assert np.array_equal(layer.data, states[-2])
            layer.redo()
            assert np.array_equal(layer.data, states[-1])
    assert len(states) > 5
    summary = controller.session.rescan()
    assert summary.corrected_pixels == np.count_nonzero(layer.data != states[0])
    for before in reversed(states[:-1]):
        layer.undo()
        assert np.array_equal(layer.data, before)
    assert controller.session.rescan().corrected_pixels == 0


# -- outlines, points, drawing ---------------------------------------------------------------------------------------


def test_an_outline_is_moved_by_a_line(labels: Any, controller: Any) -> None:
    before, label = labels.data.copy(), int(labels.data[55, 30])
    assert controller.gestures.make("reshape", [(52, 30), (52, 36), (57, 36), (57, 30)])
    assert said(controller) == "Added 30 pixels. Ctrl+Z takes it back."
    assert (labels.data[52:58, 32:37] == label).all()
    check_undo(labels, before)
    labels.undo()
    assert controller.gestures.make("reshape", [(48, 29), (62, 29)])
    assert said(controller).startswith("Took away 30 pixels.")
    assert not labels.data[50:60, 29:32].any()
    check_undo(labels, before)
    labels.undo()
    labels.brush_size = 5
    assert controller.gestures.make("reshape", [(55, 30), (55, 36)])
    assert (labels.data[53:58, 32:37] == label).all(), "as wide as the brush"
    assert labels.data[55, 14] == before[55, 14]


def test_holes_are_filled_and_an_outline_is_smoothed(labels: Any, controller: Any) -> None:
    labels.data[12:16, 12:16] = 0
    labels.data[49, 15] = labels.data[55, 14]  # a bump
    before = labels.data.copy()
    assert not controller.gestures.make("fill_holes", [(55, 14)])
    assert "has no holes" in said(controller)
    assert controller.gestures.make("fill_holes", [(20, 12)])
    assert (labels.data[10:24, 10:24] == before[17, 17]).all()
    check_undo(labels, before)
    smooth = labels.data.copy()
    assert controller.gestures.make("smooth", [(55, 14)])
    assert labels.data[49, 15] == 0
    assert np.array_equal(labels.data[:, 22:], smooth[:, 22:])
    check_undo(labels, smooth)


def test_an_object_is_split_by_a_click_in_each_part(labels: Any, controller: Any) -> None:
    gestures, before = controller.gestures, labels.data.copy()
    assert not gestures.make("seed", [(17, 17)])
    assert said(controller) == "Click once in each other part of it. Esc forgets the dots."
    assert np.array_equal(labels.data, before)
    assert gestures.seeds.tolist() == [[17, 17]]
    assert gestures.make("seed", [(17, 35)])
    assert said(controller) == "Split into 2 parts. Ctrl+Z takes it back."
    assert labels.data[17, 17] != labels.data[17, 35]
    two = labels.data.copy()
    assert not gestures.make("seed", [(17, 35)]), "the same place"
    assert np.array_equal(labels.data, two)
    assert gestures.make("seed", [(12, 39)])
    assert len({int(labels.data[p]) for p in ((17, 17), (17, 31), (12, 39))} | {0}) == 4
    for state in (two, before):
        labels.undo()
        assert np.array_equal(labels.data, state), "each click is one step"
    assert gestures.make("seed", [(22, 11)]), "the dots are still meant after undoing"
    assert len(ids(labels)) == 3 + 3
    assert not gestures.make("seed", [(55, 14)]), "another object"
    assert gestures.seeds.tolist() == [[55, 14]]
    assert not gestures.make("seed", [(70, 70)])
    assert "no object here" in said(controller)
    gestures.forget()
    assert not len(gestures.seeds)


def test_dots_are_of_one_slice(open_image: Any, controller: Any, viewer: Any) -> None:
    layer = open_image(np.stack([dumbbell()] * 3))
    viewer.dims.set_current_step(0, 1)
    before = layer.data.copy()
    assert not controller.gestures.make("seed", [(17, 17)])
    viewer.dims.set_current_step(0, 2)
    assert not len(controller.gestures.seeds)
    assert not controller.gestures.make("seed", [(17, 17)])
    assert controller.gestures.make("seed", [(17, 35)])
    assert (layer.data[:, 17, 17] != layer.data[:, 17, 35]).all(), "through all slices"
    check_undo(layer, before)


def test_an_object_is_drawn(labels: Any, controller: Any) -> None:
    before = labels.data.copy()
    assert controller.gestures.make("draw", [(62, 40), (62, 50), (74, 50), (74, 40)])
    new = labels.data[68, 45]
    assert new > before.max()
    assert (labels.data == new).sum() == 13 * 11
    check_undo(labels, before)
    labels.undo()
    assert not controller.gestures.make("draw", [(62, 40), (62, 41)])
    assert not controller.gestures.make("draw", [(12, 12), (12, 20), (20, 20), (20, 12)])
    assert said(controller) == "There is an object here already. Add a new one beside it."
    assert np.array_equal(labels.data, before)


def test_what_is_suggested_is_what_is_added(open_image: Any, controller: Any) -> None:
    image, (y, x) = dumbbell(), np.mgrid[:80, :80]
    labels = open_image(np.maximum(image, 0.47 * np.exp(-((y - 68) ** 2 + (x - 60) ** 2) / 800)).astype(np.float32))
    gestures = controller.gestures
    assert not gestures.suggest((17, 17)), "there is an object"
    assert not gestures.suggest((200, 17))
    assert not gestures.suggest((np.nan, 17))
    assert controller.messages[-1].level != "error", "nobody has clicked"
    sizes = []
    for step in (0, 1, 1):
        assert gestures.suggest((68, 60), step) if not step else gestures.resize((68, 60), step)
        sizes.append(int(gestures.suggested[0].sum()))
    assert sizes[0] < sizes[1] < sizes[2]
    mask, (top, left) = gestures.suggested
    assert controller.gestures.make("add", [(68, 60)])
    found = np.argwhere(labels.data == labels.data[68, 60])
    assert np.array_equal(found, np.argwhere(mask) + np.array([top, left]))
    assert gestures.suggested is None
    assert gestures.resize((68, 60), -1)
    assert (labels.data == labels.data[68, 60]).sum() == sizes[1]
    assert not gestures.resize((17, 17), 1), "that was not added"


def test_the_size_of_what_was_added_is_known_after_undo(open_image: Any, controller: Any) -> None:
    image, (y, x) = dumbbell(), np.mgrid[:80, :80]
    labels = open_image(np.maximum(image, 0.47 * np.exp(-((y - 68) ** 2 + (x - 60) ** 2) / 800)).astype(np.float32))
    states = []
    for _ in range(4):
        assert controller.gestures.make("add", [(68, 60)])
        states.append(labels.data.copy())
    labels.undo()
    labels.undo()
    assert np.array_equal(labels.data, states[1])
    assert controller.gestures.make("add", [(68, 60)])
    assert np.array_equal(labels.data, states[2]), "and not four steps larger"


def test_a_band_around_an_object_is_no_object() -> None:
    y, x = np.mgrid[:120, :120]
    away = np.hypot(y - 60, x - 60)
    rim = (away >= 30) & (away < 34)
    assert _is_rim(rim, away < 30)
    assert _is_rim(rim & (y < 70), away < 30), "most of the way around"
    assert not _is_rim(rim, np.zeros_like(rim)), "a ring by itself"
    assert not _is_rim(rim & (y < 30), away < 30), "a crescent"
    assert not _is_rim((abs(y - 92) < 3) & (abs(x - 60) < 40), away < 30), "a long cell beside it"


# -- later time points -----------------------------------------------------------------------------------------------


@pytest.fixture
def tracked(open_image: Any, controller: Any) -> Any:
    """Five time points, in which the objects move and keep their ids; in the last one the second is gone."""
    layer = open_image(np.stack([dumbbell()] * 5))
    controller.set_axes("TYX")
    assert controller.segment()
    layer = controller.session.labels_layer
    data = np.zeros_like(layer.data)
    for t in range(5):
        data[t, 20 + 3 * t : 30 + 3 * t, 20:30] = 7
        data[t, 20 + 3 * t : 30 + 3 * t, 31:41] = 8 if t < 4 else 0
        data[t, 60:70, 60:70] = 9
    layer.data = data
    return layer


def test_an_object_is_deleted_from_here_on(tracked: Any, controller: Any, viewer: Any) -> None:
    viewer.dims.set_current_step(0, 1)
    before = tracked.data.copy()
    assert controller.gestures.make("delete", [(28, 25)])
    assert (tracked.data == 7).any((1, 2)).tolist() == [True, False, True, True, True], "this time point alone"
    tracked.undo()
    controller.gestures.later_frames = True
    assert controller.gestures.make("delete", [(28, 25), (28, 35)])
    assert said(controller) == "Deleted 2 objects at 4 time points. Ctrl+Z takes it back."
    assert (tracked.data == 7).any((1, 2)).tolist() == [True, False, False, False, False]
    assert (tracked.data == 8).any((1, 2)).tolist() == [True, False, False, False, False]
    assert np.array_equal(tracked.data == 9, before == 9)
    check_undo(tracked, before)
    assert controller.session.rescan().corrected_pixels == np.count_nonzero(
        tracked.data != controller.session.corrections.prediction[:, 0]
    )


def test_objects_are_merged_from_here_on(tracked: Any, controller: Any, viewer: Any) -> None:
    controller.gestures.later_frames = True
    viewer.dims.set_current_step(0, 2)
    before = tracked.data.copy()
    assert controller.gestures.make("merge", [(30, 38), (30, 25)])
    kept = int(tracked.data[2, 30, 25])
    assert (tracked.data == 15 - kept).any((1, 2)).tolist() == [True, True, False, False, False]
    assert (tracked.data[3, 29:39, 20:41] == kept).all()
    assert (tracked.data[4, 32:42, 20:30] == kept).all(), "where it is alone it has the same id"
    check_undo(tracked, before)


def test_what_goes_on_ends_where_objects_part(tracked: Any, controller: Any, viewer: Any) -> None:
    controller.gestures.later_frames = True
    viewer.dims.set_current_step(0, 0)
    tracked.data[3][tracked.data[3] == 8] = 0
    tracked.data[3, 29:39, 45:55] = 8
    before = tracked.data.copy()
    assert controller.gestures.make("merge", [(25, 25), (25, 38)])
    assert said(controller).startswith("Merged 2 objects at 3 time points.")
    assert np.array_equal(tracked.data[3:], before[3:])
    check_undo(tracked, before)


# -- volumes and time ------------------------------------------------------------------------------------------------


def test_objects_of_a_volume_are_changed_through_all_slices(open_image: Any, controller: Any, viewer: Any) -> None:
    layer = open_image(np.stack([np.zeros((80, 80), np.float32), *[dumbbell()] * 3, np.zeros((80, 80), np.float32)]))
    viewer.dims.set_current_step(0, 2)
    before = layer.data.copy()
    assert controller.gestures.make("split", [(5, 26), (30, 26)])
    assert (layer.data[1:4, 17, 17] != layer.data[1:4, 17, 35]).all()
    check_undo(layer, before)
    assert controller.gestures.make("delete", [(55, 14)])
    assert not layer.data[:, 55, 14].any()
    assert controller.gestures.make("merge", [(17, 17), (17, 35)])
    assert (layer.data[1:4, 17, 17] == layer.data[1:4, 17, 35]).all()
    assert controller.gestures.make("add", [(55, 60)])
    assert (layer.data[:, 55, 60] > 0).tolist() == [False, False, True, False, False], "of a model of planes: here"
    controller.gestures.slice_only = True
    assert controller.gestures.make("delete", [(55, 28)])
    assert (layer.data[:, 55, 28] > 0).tolist() == [False, True, False, True, False]


def test_another_time_point_stays(open_image: Any, controller: Any, viewer: Any) -> None:
    layer = open_image(np.stack([dumbbell()] * 3))
    controller.set_axes("TYX")
    assert controller.segment()
    layer = controller.session.labels_layer
    viewer.dims.set_current_step(0, 1)
    before = layer.data.copy()
    assert controller.gestures.make("split", [(5, 26), (30, 26)])
    assert np.array_equal(layer.data[[0, 2]], before[[0, 2]])
    check_undo(layer, before)


def test_a_model_of_volumes_adds_in_all_slices(viewer: Any, controller: Any) -> None:
    volume = np.zeros((12, 48, 48), np.float32)
    volume[2:10, 8:16, 8:16] = 1
    volume[2:10, 28:36, 28:36] = FAINT
    viewer.add_image(volume, name="volume")
    controller.use_model(bright("volumes", ndim=3))
    assert controller.segment()
    layer = controller.session.labels_layer
    viewer.dims.set_current_step(0, 5)
    before = layer.data.copy()
    assert controller.gestures.make("add", [(32, 32)]), said(controller)
    assert (layer.data[3:9, 32, 32] > 0).all()
    check_undo(layer, before)


# -- maps ------------------------------------------------------------------------------------------------------------


def test_maps_go_with_the_model(labels: Any, controller: Any) -> None:
    assert controller.session.maps.part_at(0, (0, 55, 60)) is not None
    assert controller.choose_model("sensitive")
    assert controller.session.maps.part_at(0, (0, 55, 60)) is None
    before = labels.data.copy()
    assert controller.gestures.make("cut_free", [(17, 17)]), "without maps, the shape says where"
    check_undo(labels, before)
    assert controller.gestures.make("add", [(55, 60)]), "the new one looks first"


def kept(region: Any, value: float, outputs: Any = ("foreground",)) -> KeptPart:
    shape = [s.stop - s.start for s in region]
    return KeptPart(0, region, Maps(np.full((len(outputs), *shape), value, np.float16), outputs), volume=False)


def test_maps_of_several_views_are_put_together_and_the_newest_count() -> None:
    maps = KeptMaps()
    maps.keep(kept((slice(0, 1), slice(0, 10), slice(0, 10)), 0.25))
    maps.keep(kept((slice(0, 1), slice(0, 10), slice(8, 20)), 0.5))
    maps.keep(kept((slice(1, 2), slice(0, 10), slice(0, 20)), 0.75))
    found = maps.within(0, (slice(0, 2), slice(2, 5), slice(6, 12)))
    assert found is not None
    assert found.values[0, 0, 0].tolist() == [0.25, 0.25, 0.5, 0.5, 0.5, 0.5]
    assert (found.values[0, 1] == 0.75).all()
    assert maps.within(0, (slice(0, 1), slice(2, 12), slice(6, 12))) is None
    assert maps.within(1, (slice(0, 1), slice(2, 5), slice(6, 12))) is None


def on_disk(region: Any) -> KeptPart:
    values = spill.zeros([1, *(s.stop - s.start for s in region)], np.float16, in_memory=0)
    return KeptPart(0, region, Maps(values, ("foreground",)), volume=False)


def test_maps_for_which_there_is_no_memory_lie_on_the_disk_and_the_oldest_go_first() -> None:
    maps = KeptMaps(max_bytes=450, max_disk_bytes=450)
    for z in range(2):
        assert maps.memory_left == 450 - 200 * z
        maps.keep(kept((slice(z, z + 1), slice(0, 10), slice(0, 10)), 0.5))
    assert maps.memory_left == 50
    for z in range(2, 5):
        maps.keep(on_disk((slice(z, z + 1), slice(0, 10), slice(0, 10))))
    assert maps.memory_left == 50
    assert [maps.part_at(0, (z, 1, 1)) is not None for z in range(5)] == [True, True, False, True, True]
    maps.keep(on_disk((slice(0, 1), slice(0, 100), slice(0, 100))))
    assert maps.part_at(0, (0, 99, 99)) is not None, "the newest is kept, however large"
    assert maps.part_at(0, (4, 1, 1)) is None


def test_a_segmentation_writes_maps_to_the_disk_where_memory_ends(viewer: Any, controller: Any) -> None:
    viewer.add_image(np.stack([dumbbell()] * 3), name="stack")
    controller.workspace.set_axes("TYX")
    assert controller.segment()
    session = controller.session
    session.maps = KeptMaps(max_bytes=80 * 80 * 2 * 2)
    assert controller.segment()
    assert sorted(part.on_disk for part in session.maps) == [False, True, True]
    for frame in range(3):
        viewer.dims.set_point(0, frame)
        assert controller.gestures.make("cut_free", [(17, 17)]), said(controller)


# -- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gesture", "points", "words"),
    [
        ("merge", [(55, 14)], "drag from one object"),
        ("merge", [(70, 2), (70, 70)], "drag from one object"),
        ("merge", [(55, 14), (17, 17)], "does not touch"),
        ("split", [(70, 2), (70, 70)], "crosses no object"),
        ("split", [(17, 12)], "two points"),
        ("split", [(10, 5), (10, 50)], "does not divide"),
        ("cut_free", [(70, 70)], "no object here"),
        ("cut_free", [(55, 14)], "no second middle"),
        ("add", [(17, 17)], "already"),
        ("add", [(72, 40)], "sees no object"),
        ("delete", [(70, 70)], "no object here"),
        ("delete", [(17, 17), (-3, 17)], "beyond the image"),
        ("split", [(5, 26), (90, 26)], "beyond the image"),
        ("add", [(np.nan, 3)], "beyond the image"),
        ("merge", [(17, 17), (17, 1e300)], "beyond the image"),
    ],
)
def test_what_makes_no_sense_is_refused(labels: Any, controller: Any, gesture: str, points: Any, words: str) -> None:
    before = labels.data.copy()
    assert not controller.gestures.make(gesture, points)
    assert words in said(controller)
    assert controller.messages[-1].level == "error"
    assert np.array_equal(labels.data, before)
    labels.undo()
    assert np.array_equal(labels.data, before)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda viewer, layer: setattr(layer, "visible", False), "hidden"),
        (lambda viewer, layer: setattr(layer, "editable", False), "read-only"),
        (lambda viewer, layer: setattr(viewer.dims, "ndisplay", 3), "2D/3D"),
        (lambda viewer, layer: viewer.layers.remove(layer), "Press Segment"),
        (lambda viewer, layer: layer.data.setflags(write=False), "read-only"),
        (lambda viewer, layer: setattr(layer, "data", layer.data[:40]), "Press Segment"),
    ],
)
def test_what_cannot_be_changed_is_not(labels: Any, controller: Any, viewer: Any, spoil: Any, words: str) -> None:
    before = labels.data.copy()
    spoil(viewer, labels)
    assert not controller.gestures.make("delete", [(17, 17)])
    assert words in said(controller)
    assert np.array_equal(labels.data, before[: len(labels.data)])


def test_nothing_is_segmented_yet(viewer: Any, controller: Any) -> None:
    assert not controller.gestures.make("delete", [(17, 17)])
    viewer.add_image(dumbbell())
    assert not controller.gestures.at_cursor("delete")
    assert said(controller) == "There are no objects to change yet. Press Segment first."
    assert not controller.gestures.choose_tool("merge")
    assert controller.gestures.tool is None


def test_classes_are_no_objects(viewer: Any, controller: Any) -> None:
    viewer.add_image(dumbbell())
    assert controller.choose_model("classes")
    assert controller.segment()
    assert not controller.gestures.make("delete", [(17, 17)])
    assert "classes" in said(controller)


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.uint64])
def test_an_id_beyond_those_of_32_bits(labels: Any, controller: Any, dtype: Any) -> None:
    data = labels.data.astype(dtype)
    data[data == data[17, 17]] = 2**31
    labels.data = data
    for gesture, points, words in (
        ("split", [(5, 26), (30, 26)], "Split 1 object"),
        ("cut_free", [(17, 17)], "Split 1 object"),
        ("reshape", [(12, 22), (12, 26), (13, 26), (13, 22)], "Added"),
        ("delete", [(17, 17)], "Deleted 1 object."),
    ):
        before = labels.data.copy()
        assert controller.gestures.make(gesture, points), said(controller)
        assert said(controller).startswith(words)
        assert labels.data.dtype == dtype
        check_undo(labels, before)
        labels.undo()
    assert set(np.unique(labels.data).tolist()) > {0, 2**31}


def test_a_type_whose_ids_are_all_given_away(labels: Any, controller: Any) -> None:
    data = labels.data.astype(np.int8)
    data[75, 75] = 127
    labels.data = data
    assert controller.gestures.make("split", [(5, 26), (30, 26)])
    assert labels.data.max() == 128
    assert controller.session.rescan().anything


def test_the_largest_id_is_not_passed(labels: Any, controller: Any) -> None:
    labels.data[labels.data == labels.data[17, 17]] = 2**31 - 1
    before = labels.data.copy()
    assert controller.gestures.make("split", [(5, 26), (30, 26)])
    assert {2**31 - 1} < ids(labels), "it stays, and the new part has a small id"
    check_undo(labels, before)


def test_while_it_is_segmented_only_what_is_finished_can_be_changed(viewer: Any, later: Any) -> None:
    viewer.add_image(np.stack([squares()] * 2), name="image")
    assert later.segment()
    assert not later.gestures.make("delete", [CENTRES[3]])
    assert "being segmented" in said(later)
    while later.session.maps.part_at(0, (0, *CENTRES[3])) is None:
        later.runner.step()
    frame, z = later.session.plane
    assert (frame, z) == (0, 0)
    assert later.gestures.make("delete", [CENTRES[3]])
    later.runner.finish()
    assert later.session.labels_layer.data[0][CENTRES[3]] == 0, "what was deleted stays so"


# -- the mouse, without a window -------------------------------------------------------------------------------------


def test_help_names_every_gesture(controller: Any) -> None:
    assert {name for name, _, _ in help_rows(controller.workspace.keys)} == {
        "Merge",
        "Split",
        "Add",
        "Outline",
        "Delete",
    }


def test_a_tool_ends_with_the_layer_the_mode_and_by_esc(labels: Any, controller: Any, viewer: Any) -> None:
    gestures = controller.gestures
    for end in (
        lambda: setattr(labels, "mode", "paint"),
        lambda: setattr(viewer.layers.selection, "active", viewer.layers["image"]),
        lambda: labels.keymap[next(key for key in labels.keymap if str(key) in ("Esc", "Escape"))](labels),
        lambda: gestures.choose_tool(None),
    ):
        assert gestures.choose_tool("merge")
        assert gestures.tool == "merge"
        assert (labels.mode, labels.mouse_pan, labels.cursor) == ("pan_zoom", False, "cross")
        end()
        assert gestures.tool is None
        assert not labels.keymap
    labels.mode = "pan_zoom"
    assert labels.mouse_pan
    assert labels.cursor == "standard"


def test_a_session_that_is_closed_makes_no_gestures(labels: Any, controller: Any) -> None:
    callbacks = labels.mouse_drag_callbacks, labels.mouse_move_callbacks, labels.mouse_wheel_callbacks
    mouse = controller.gesture_mouse
    assert all(
        own in each for own, each in zip((mouse._on_drag, mouse._on_move, mouse._on_wheel), callbacks, strict=True)
    )
    controller.close()
    assert not any(callbacks)


# -- where the network has not looked --------------------------------------------------------------------------------


def test_add_has_the_network_look_where_no_maps_are_kept(labels: Any, controller: Any) -> None:
    assert controller.gestures.make("add", [(55, 60)])
    expected = labels.data.copy()
    labels.undo()
    before = labels.data.copy()
    controller.session.maps.clear()
    assert controller.gestures.make("add", [(55, 60)]), said(controller)
    assert np.array_equal(labels.data > 0, expected > 0)
    check_undo(labels, before)


def test_add_on_labels_from_elsewhere(viewer: Any, controller: Any) -> None:
    viewer.add_image(dumbbell(), name="image")
    given = np.zeros((80, 80), np.uint16)
    given[10:24, 10:24] = 1
    layer = viewer.add_labels(given)
    assert controller.correct_labels(layer)
    controller.session.maps.clear()
    assert controller.gestures.make("add", [(55, 60)]), said(controller)
    assert controller.session.labels_layer.data[55, 60] == 2


def test_several_clicks_wait_for_the_network_and_none_is_lost(viewer: Any, later: Any) -> None:
    viewer.add_image(dumbbell(), name="image")
    later.segment()
    later.runner.finish()
    labels = later.session.labels_layer
    assert later.gestures.make("delete", [(55, 14), (55, 28)])
    later.session.maps.clear()
    before = labels.data.copy()
    for place in [(55, 14), (55, 60)]:
        assert not later.gestures.make("add", [place])
        assert said(later) == "The network looks at this place first. The object comes in a moment."
    assert np.array_equal(labels.data, before)
    later.runner.finish()
    assert labels.data[55, 14] != labels.data[55, 60] != 0
    assert labels.data[55, 14] != 0


def test_what_waits_is_forgotten_with_another_slice(viewer: Any, later: Any) -> None:
    viewer.add_image(np.stack([dumbbell()] * 3), name="image")
    later.segment()
    later.runner.finish()
    later.session.maps.clear()
    before = later.session.labels_layer.data.copy()
    later.gestures.make("add", [(55, 60)])
    viewer.dims.set_current_step(0, (viewer.dims.current_step[0] + 1) % 3)
    later.runner.finish()
    assert np.array_equal(later.session.labels_layer.data, before)


@pytest.mark.parametrize("why", ["classes", "untrained", "none"])
def test_without_a_network_the_object_is_drawn(labels: Any, controller: Any, why: str) -> None:
    controller.session.maps.clear()
    if why == "none":
        controller.workspace.history._model = None
    elif why == "classes":
        controller.choose_model("classes")
    else:
        model = bright()
        controller.use_model(
            Model(model.net, model.info.model_copy(update={"recipe": {"method": FROM_SCRATCH, "steps": 0}}))
        )
    assert not controller.gestures.make("add", [(55, 60)])
    assert said(controller) == "No network can look at this place. Draw around the object; Esc ends that."
    assert controller.gestures.tool == "add"
    assert controller.gestures.make("draw", [(50, 55), (50, 64), (59, 64), (59, 55)])


def test_a_network_that_fails_lets_the_object_be_drawn(labels: Any, controller: Any, monkeypatch: Any) -> None:
    controller.session.maps.clear()

    def fails(*_: Any, **__: Any) -> Any:
        raise MemoryError
        yield

    monkeypatch.setattr("napari_unet.layers.inference.maps_in_view.segment_steps", fails)
    assert not controller.gestures.make("add", [(55, 60)])
    assert controller.gestures.tool == "add"
    looked = []
    monkeypatch.setattr(controller.maps_in_view, "make", lambda *_: looked.append(1))
    assert not controller.gestures.suggest((55, 60))
    assert not looked, "pointing does not have it fail again and again"


def test_the_place_that_is_asked_for_is_looked_at(viewer: Any, controller: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("napari_unet.layers.inference.maps_in_view.MAX_PIXELS", 32 * 32)
    viewer.add_image(dumbbell(), name="image")
    assert controller.segment()
    controller.session.maps.clear()
    assert controller.gestures.make("add", [(55, 60)]), said(controller)
    assert controller.session.maps.part_at(0, (0, 10, 10)) is None
