"""The list of objects: it follows edits of every kind, and what is done from it is undone in one step."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from hand_made import squares
from napari_unet.layers.image.adapter import METADATA_KEY
from napari_unet.objects.rows import CORRECTED, PREDICTED, REVIEWED

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def opened(viewer: Any, controller: Any) -> Any:
    """Four squares, segmented, and listed."""

    def open_it(data: np.ndarray | None = None, **options: Any) -> Any:
        viewer.add_image(squares(dim=0.8) if data is None else data, name="image", **options)
        assert controller.segment()
        controller.object_table.watch(True)
        return controller.session.labels_layer

    return open_it


@pytest.fixture
def table(controller: Any) -> Any:
    return controller.object_table


def settle(controller: Any) -> None:
    """The hand rests."""
    controller.refresh_corrections()


def listed(table: Any) -> dict[tuple[int, int], int]:
    """Sizes of the objects by time point and id."""
    rows = table.rows
    return {(int(t), int(i)): int(n) for t, i, n in zip(rows.time, rows.label, rows.size, strict=True)}


def counted_by_hand(layer: Any) -> dict[tuple[int, int], int]:
    data = layer.data if layer.data.ndim > 2 else layer.data[None]
    found = {}
    for frame, plane in enumerate(data):
        ids, sizes = np.unique(plane[plane > 0], return_counts=True)
        found |= {(frame, int(i)): int(n) for i, n in zip(ids, sizes, strict=True)}
    return found


def state(table: Any, label: int) -> int:
    return int(table.rows.state[table.rows.label == label][0])


# -- what is listed --------------------------------------------------------------------------------------------------


def test_nothing_is_counted_while_nobody_looks(viewer: Any, controller: Any, table: Any) -> None:
    viewer.add_image(squares(dim=0.8), name="image")
    controller.segment()
    assert len(table.rows) == 0
    table.watch(True)
    assert len(table.rows) == 4
    assert table.problem == ""
    table.watch(False)
    assert len(table.rows) == 0


def test_why_there_are_no_rows(viewer: Any, controller: Any, table: Any) -> None:
    table.watch(True)
    assert "Press Segment first" in table.problem
    viewer.add_image(squares(dim=0.8), name="image")
    assert controller.segment()
    assert (table.problem, len(table.rows)) == ("", 4)
    viewer.layers.remove("image objects")
    assert "Press Segment first" in table.problem
    assert len(table.rows) == 0
    controller.choose_model("classes")
    assert controller.segment()
    assert "classes" in table.problem


EDITS: dict[str, Any] = {
    "paint": lambda layer: layer.data_setitem((np.array([30, 31]), np.array([30, 30])), 9),
    "erase": lambda layer: layer.data_setitem(np.nonzero(layer.data == 2), 0),
    "take from a neighbour": lambda layer: layer.data_setitem(np.nonzero(layer.data == 2), 3),
    "fill": lambda layer: layer.fill((12, 12), 8),
    "script": lambda layer: (layer.data.__setitem__(np.s_[:5, :5], 20), layer.refresh()),
    "replaced": lambda layer: setattr(layer, "data", np.roll(layer.data, 3, axis=0)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_rows_follow_edits_and_undo(opened: Any, controller: Any, table: Any, edit: str) -> None:
    layer = opened()
    before = listed(table)
    assert before == counted_by_hand(layer)
    EDITS[edit](layer)
    settle(controller)
    after = listed(table)
    assert after == counted_by_hand(layer)
    if edit not in ("script", "replaced"):
        assert after != before
        layer.undo()
        settle(controller)
        assert listed(table) == before
        layer.redo()
        settle(controller)
        assert listed(table) == after


def test_an_edit_counts_only_what_it_touched(opened: Any, controller: Any, table: Any, monkeypatch: Any) -> None:
    from napari_unet.layers.proofreading import object_table

    layer = opened()

    def whole(*_: Any) -> Any:
        raise AssertionError("all objects were counted")

    monkeypatch.setattr(object_table, "count_frame", whole)
    EDITS["paint"](layer)
    settle(controller)
    assert (0, 9) in listed(table)
    layer.undo()
    settle(controller)
    assert (0, 9) not in listed(table)


def test_states_follow(opened: Any, controller: Any, table: Any) -> None:
    layer = opened()
    assert {state(table, i) for i in (1, 2, 3, 4)} == {PREDICTED}
    layer.data_setitem((np.array([10]), np.array([10])), 0)
    settle(controller)
    assert state(table, int(layer.data[12, 12])) == CORRECTED
    controller.toggle_reviewed("slice")
    assert {state(table, i) for i in (1, 2, 3, 4)} == {REVIEWED}
    controller.toggle_reviewed("slice")
    assert {state(table, i) for i in (2, 3)} == {PREDICTED}


def test_time_series_and_volumes(opened: Any, controller: Any, table: Any) -> None:
    layer = opened(squares((3, 64, 64), dim=0.8), axis_labels=("t", "y", "x"))
    assert listed(table) == counted_by_hand(layer)
    assert len(table.rows) == 12
    layer.data_setitem((np.array([2]), np.array([30]), np.array([30])), 99)
    settle(controller)
    assert listed(table) == counted_by_hand(layer)


def test_another_image_is_listed_when_it_is_chosen(opened: Any, viewer: Any, controller: Any, table: Any) -> None:
    opened()
    viewer.add_image(squares((40, 40)), name="second")
    assert len(table.rows) == 0
    assert controller.segment()
    assert len(table.rows) == len(np.unique(viewer.layers["second objects"].data)) - 1
    controller.choose_layer(viewer.layers["image"])
    assert len(table.rows) == 4


def test_edits_made_while_counting(viewer: Any, later: Any) -> None:
    """What is edited meanwhile is counted afterwards; what a removed result counted is dropped."""
    viewer.add_image(squares(dim=0.8), name="image")
    later.segment()
    later.runner.finish()
    table, layer = later.object_table, later.session.labels_layer
    table.watch(True)
    job = len(later.runner.jobs) - 1
    later.runner.step(job)
    EDITS["paint"](layer)
    settle(later)
    assert len(later.runner.jobs) == job + 1
    later.runner.finish(job)
    later.runner.finish()
    assert listed(table) == counted_by_hand(layer)
    table.watch(False)
    table.watch(True)
    late = len(later.runner.jobs) - 1
    viewer.layers.remove(layer)
    later.runner.finish(late)
    assert len(table.rows) == 0


def test_filter_and_order(opened: Any, table: Any) -> None:
    opened()
    table.sort("y", descending=True)
    assert table.shown.tolist() == np.argsort(-table.rows.centroid[:, 1], kind="stable").tolist()
    table.filter("x > 30")
    assert len(table.shown) == 2
    with pytest.raises(Exception, match="not a number"):
        table.filter("x > many")
    assert len(table.shown) == 2
    table.filter("")
    assert len(table.shown) == 4


def suspicion(table: Any) -> dict[int, float]:
    (column,) = [column for column in table.columns if column.key == "suspicion"]
    return dict(zip(table.rows.label.tolist(), column.values.tolist(), strict=True))


def test_suspicion_is_what_the_walk_knows(opened: Any, controller: Any, table: Any) -> None:
    layer = opened()
    (column,) = [column for column in table.columns if column.key == "suspicion"]
    assert [column.text(row) for row in range(4)] == [""] * 4, "not looked at yet"
    controller.walk.next(everything=True)
    known = suspicion(table)
    walk = controller.walk._walk
    assert known == {stop.id: pytest.approx(stop.probability) for stop in walk._number if stop.id}
    label = int(layer.data[45, 45])
    assert controller.gestures.make("smooth", [(45, 45)]) or controller.gestures.make("delete", [(45, 45)])
    controller.walk.accept()
    settle(controller)
    assert np.isnan([value for key, value in suspicion(table).items() if state(table, key) != PREDICTED]).all()
    assert label not in suspicion(table) or np.isnan(suspicion(table)[label])


def test_all_slices_are_looked_at_for_the_list(opened: Any, controller: Any, table: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("napari_unet.layers.guidance.walk.AHEAD", 0)
    opened(np.stack([squares(dim=0.8)] * 5))
    controller.walk.look_at_all()
    assert not np.isnan(list(suspicion(table).values())).any()
    assert controller.walk.stop is None, "nothing is shown by that"
    controller.segment()
    assert np.isnan(list(suspicion(table).values())).all(), "the objects are others now"


def test_suspicion_can_come_from_elsewhere(opened: Any, controller: Any, table: Any) -> None:
    opened()
    table.suspicion = lambda session, rows: rows.centroid[:, 1] / 64
    controller.segment()
    table.sort("suspicion", descending=True)
    assert table.rows.centroid[table.shown[0], 1] > 30


# -- what is done ----------------------------------------------------------------------------------------------------


def test_delete_and_back(opened: Any, controller: Any, table: Any) -> None:
    layer = opened()
    before = layer.data.copy()
    table.select([(0, 1), (0, 4)])
    assert controller.listed_objects.delete()
    assert set(np.unique(layer.data)) == {0, 2, 3}
    assert set(listed(table)) == {(0, 2), (0, 3)}
    assert table.selection == ()
    assert controller.messages[-1].text == "Deleted 2 objects. Ctrl+Z takes it back."
    assert controller.session.summary.corrected_objects == 2
    layer.undo()
    assert np.array_equal(layer.data, before)
    layer.redo()
    assert set(np.unique(layer.data)) == {0, 2, 3}


@pytest.mark.parametrize("limit", [200, 1])
def test_many_at_once(opened: Any, controller: Any, table: Any, monkeypatch: Any, limit: int) -> None:
    monkeypatch.setattr("napari_unet.layers.proofreading.listed_objects.MAX_ONE_BY_ONE", limit)
    layer = opened(squares((3, 64, 64), dim=0.8), axis_labels=("t", "y", "x"))
    before = layer.data.copy()
    keys = [(0, int(before[0, 12, 12])), (2, int(before[2, 42, 42])), (2, int(before[2, 12, 42]))]
    table.select(keys)
    assert controller.listed_objects.accept()
    corrections = controller.session.corrections
    assert corrections.reviewed[2, 0, 40:50, 40:50].all()
    assert corrections.reviewed[0, 0, 8:12, 12].all(), "and a ring around"
    assert not corrections.reviewed[1].any()
    assert {int(table.rows.state[table.numbers([key])[0]]) for key in keys} == {REVIEWED}
    assert controller.listed_objects.accept()
    assert not corrections.reviewed.any()
    assert controller.listed_objects.delete()
    wanted = before.copy()
    for frame, label in keys:
        wanted[frame][wanted[frame] == label] = 0
    assert np.array_equal(layer.data, wanted)
    layer.undo()
    layer.undo()
    assert np.array_equal(layer.data, before)


def test_merge(opened: Any, controller: Any, table: Any) -> None:
    data = squares(dim=0.8)
    layer = opened(data)
    layer.data_setitem(tuple(n + 10 for n in np.nonzero(np.ones((10, 5)))), 50)  # the first square in two halves
    settle(controller)
    whole = int(layer.data[12, 18])
    before = layer.data.copy()
    table.select([(0, 50), (0, whole)])
    assert controller.listed_objects.merge()
    assert len(np.unique(layer.data[10:20, 10:20])) == 1
    assert len(table.rows) == 4
    layer.undo()
    assert np.array_equal(layer.data, before)


def test_what_cannot_be_done_is_said(opened: Any, viewer: Any, controller: Any, table: Any) -> None:
    layer = opened()
    before, verbs = layer.data.copy(), controller.listed_objects
    for verb in (verbs.delete, verbs.merge, verbs.accept):
        assert not verb()
        assert "Choose objects in the table" in controller.messages[-1].text
    table.select([(0, 1)])
    assert not verbs.merge()
    assert "two or more" in controller.messages[-1].text
    table.select([(0, 1), (0, 4)])
    assert not verbs.merge()
    assert "does not touch" in controller.messages[-1].text
    layer.visible = False
    assert not verbs.delete()
    layer.visible = True
    layer.editable = False
    assert not verbs.delete()
    layer.editable = True
    controller.session.hold(True)
    assert not verbs.delete()
    controller.session.hold(False)
    viewer.dims.ndisplay = 3
    assert not verbs.delete()
    viewer.dims.ndisplay = 2
    assert all(message.level == "error" for message in controller.messages[-8:])
    assert np.array_equal(layer.data, before)
    assert verbs.delete()


def test_not_while_the_image_is_segmented(viewer: Any, later: Any) -> None:
    viewer.add_image(squares(dim=0.8), name="image")
    later.segment()
    later.runner.finish()
    later.object_table.watch(True)
    later.runner.finish()
    later.object_table.select([(0, 1)])
    later.segment()
    assert not later.listed_objects.delete()
    assert "being segmented" in later.messages[-1].text


def test_go_to(opened: Any, viewer: Any, controller: Any, table: Any) -> None:
    data = np.zeros((4, 400, 400), np.float32)
    data[2, 300:310, 50:60] = 1
    layer = opened(data, axis_labels=("z", "y", "x"))
    (key,) = listed(table)
    controller.listed_objects.go_to(key)
    assert viewer.dims.current_step[0] == 2
    assert np.allclose(controller.session.middle, (304.5, 54.5))
    assert layer.selected_label == key[1]
    controller.listed_objects.go_to((0, 12345))  # gone meanwhile
    assert viewer.dims.current_step[0] == 2


# -- the file --------------------------------------------------------------------------------------------------------


def test_export_what_is_shown(opened: Any, controller: Any, table: Any, tmp_path: Path) -> None:
    opened(scale=(0.5, 0.5), units=("um", "um"))
    table.filter("x > 30")
    table.sort("y", descending=True)
    assert controller.listed_objects.export(tmp_path / "some")
    with (tmp_path / "some.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["centroid_y_px"]) for row in rows] == [44.5, 14.5]
    assert [float(row["area_um2"]) for row in rows] == [25.0, 25.0]
    assert [row["state"] for row in rows] == ["predicted", "predicted"]
    assert "Wrote 2 rows to some.csv" in controller.messages[-1].text


def test_no_input_is_written_over(opened: Any, viewer: Any, controller: Any, table: Any, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("a,b\n1,2\n")
    tifffile.imwrite(tmp_path / "image.tif", squares(dim=0.8))
    layer = opened()
    layer.metadata = {METADATA_KEY: {"source": str(path)}}
    (tmp_path / "other.csv").symlink_to(path)
    for name in ("points.csv", "other.csv"):
        assert not controller.listed_objects.export(tmp_path / name)
        assert controller.messages[-1].level == "error"
        assert path.read_text() == "a,b\n1,2\n"
    for name in ("image.tif", "a.txt"):
        assert not controller.listed_objects.export(tmp_path / name)
        assert ".csv" in controller.messages[-1].text
    table.filter("size < 1")
    assert not controller.listed_objects.export(tmp_path / "none.csv")
    assert "Nothing is listed" in controller.messages[-1].text
    assert not (tmp_path / "none.csv").exists()
    table.filter("")
    controller.listed_objects.export(path / "a.csv")
    assert controller.messages[-1].level == "error"
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["other.csv", "points.csv"]
