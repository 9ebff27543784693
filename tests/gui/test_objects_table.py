"""The dock "Objects", outlines and fill, and what a new model changes, with a real mouse and real keys."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_unet._qt.commands import show_objects_table
from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.learning.model_diff import FieldSegmented, view_of

if TYPE_CHECKING:
    from pathlib import Path

NO_KEY, CONTROL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def segment(widget: Any, viewer: Any, click: Any, wait_idle: Any, look: Any, squares: Any) -> Any:
    def it(data: Any = None) -> Any:
        viewer.add_image(squares() if data is None else data, name="image")
        click(widget.segment_panel.button)
        wait_idle(widget)
        look()
        return viewer.layers["image objects"]

    return it


@pytest.fixture
def table(segment: Any, widget: Any, click: Any, wait_idle: Any) -> Any:
    """Nine squares in the table."""
    segment()
    click(widget.correct_panel.seeing.table)
    wait_idle(widget)
    return widget._objects


@pytest.fixture
def row(qtbot: Any) -> Any:
    def press(table: Any, number: int, modifiers: Any = NO_KEY) -> None:
        cell = table.view.visualRect(table.view.model().index(number, 0)).center()
        qtbot.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, modifiers, cell)

    return press


def texts(table: Any, column: int) -> list[str]:
    model = table.view.model()
    return [model.data(model.index(number, column)) for number in range(model.rowCount())]


def test_every_object_has_a_row(table: Any, viewer: Any) -> None:
    assert table.summary.text() == "9 objects"
    assert texts(table, 0) == [str(n) for n in range(1, 10)]
    assert set(texts(table, 1)) == {"100"}
    assert texts(table, 6) == ["predicted"] * 9
    assert not table.delete.isEnabled()


def test_a_dock_that_was_closed_comes_back(table: Any, widget: Any, click: Any, wait_idle: Any) -> None:
    widget._objects_dock.destroyOnClose()
    assert not table.isVisible()
    click(widget.correct_panel.seeing.table)
    wait_idle(widget)
    assert table.isVisible()
    assert table.summary.text() == "9 objects"


def test_a_row_shows_its_object(table: Any, widget: Any, viewer: Any, row: Any) -> None:
    row(table, 4)
    QApplication.processEvents()
    assert widget.controller.object_table.selection == ((0, 5),)
    y, x = (part.mean() for part in np.nonzero(viewer.layers["image objects"].data == 5))
    assert np.allclose(widget.controller.session.middle, (y, x))
    assert (viewer.layers["image reviewed"].data == 5).sum() == 36, "outlined"
    row(table, 6, CONTROL)
    assert widget.controller.object_table.selection == ((0, 5), (0, 7))


def test_keys_in_the_table(table: Any, widget: Any, viewer: Any, row: Any, qtbot: Any, wait_idle: Any) -> None:
    labels = viewer.layers["image objects"]
    row(table, 0)
    qtbot.keyClick(table.view, Qt.Key.Key_Down)
    assert widget.controller.object_table.selection == ((0, 2),)
    qtbot.keyClick(table.view, Qt.Key.Key_Delete)
    wait_idle(widget)
    wait_idle(widget)
    assert widget.status.text() == "Deleted 1 object. Ctrl+Z takes it back."
    assert not (labels.data == 2).any()
    assert table.summary.text() == "8 objects"
    labels.undo()
    wait_idle(widget)
    qtbot.waitUntil(lambda: table.summary.text() == "9 objects")


def test_a_click_on_the_canvas_selects_the_row(table: Any, widget: Any, viewer: Any, canvas: Any, look: Any) -> None:
    look()
    labels = viewer.layers["image objects"]
    labels.mode = "pan_zoom"
    y, x = (part.mean() for part in np.nonzero(labels.data == 6))
    canvas.click(y, x)
    assert [index.row() for index in table.view.selectionModel().selectedRows()] == [5]
    assert table.accept.isEnabled()
    canvas.click(1, 1)
    assert not table.view.selectionModel().selectedRows()
    labels.mode = "pick"
    canvas.click(y, x)
    assert [index.row() for index in table.view.selectionModel().selectedRows()] == [5]


def test_accept(table: Any, widget: Any, row: Any, click: Any, wait_idle: Any) -> None:
    row(table, 2)
    click(table.accept)
    wait_idle(widget)
    assert texts(table, 6)[2] == "reviewed"
    assert [index.row() for index in table.view.selectionModel().selectedRows()] == [2], "it stays selected"
    click(table.accept)
    wait_idle(widget)
    assert texts(table, 6)[2] == "predicted"


def test_merge(table: Any, widget: Any, viewer: Any, row: Any, click: Any, wait_idle: Any, qtbot: Any) -> None:
    labels = viewer.layers["image objects"]
    part = tuple(index[:50] for index in np.nonzero(labels.data == 1))
    labels.data_setitem(part, 50)
    wait_idle(widget)
    qtbot.waitUntil(lambda: table.summary.text() == "10 objects")
    row(table, 0)
    assert not table.merge.isEnabled()
    row(table, 9, CONTROL)
    click(table.merge)
    wait_idle(widget)
    wait_idle(widget)
    assert table.summary.text() == "9 objects"


def test_filter_and_order_with_mouse_and_keys(table: Any, widget: Any, qtbot: Any) -> None:
    qtbot.keyClicks(table.filter, "x > 40 and id < 6")
    assert texts(table, 0) == ["2", "3", "5"]
    assert table.summary.text() == "3 of 9"
    header = table.view.horizontalHeader()
    for _ in range(2):
        place = QPoint(header.sectionViewportPosition(0) + 10, 8)
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, NO_KEY, place)
    assert sorted(texts(table, 0)) == ["2", "3", "5"]
    qtbot.keyClicks(table.filter, " and")
    assert table.summary.text() == "3 of 9"
    qtbot.keyClicks(table.filter, " size <")
    assert table.summary.text() == "not a filter"
    assert "Write for example" in table.summary.toolTip()
    table.filter.clear()
    assert table.summary.text() == "9 objects"


@pytest.mark.parametrize("how", ["button", "heading"])
def test_the_most_suspect_come_first_with_one_click(
    how: str, segment: Any, widget: Any, click: Any, wait_idle: Any, qtbot: Any, squares: Any
) -> None:
    image = squares((160, 160), n=4)
    image[10:40, 10:40] = 100
    layer = segment(image)
    click(widget.correct_panel.seeing.table)
    wait_idle(widget)
    table = widget._objects
    column = [c.key for c in widget.controller.object_table.columns].index("suspicion")
    assert set(texts(table, column)) == {""}
    if how == "button":
        click(table.suspects)
    else:
        header = table.view.horizontalHeader()
        place = QPoint(header.sectionViewportPosition(column) + 10, 8)
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, NO_KEY, place)
    wait_idle(widget)
    shown = [float(text) for text in texts(table, column)]
    assert shown == sorted(shown, reverse=True)
    assert texts(table, 0)[0] == str(layer.data[20, 20])


def test_export(table: Any, widget: Any, click: Any, wait_idle: Any, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "some.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    table.filter.setText("id < 4")
    click(table.export)
    wait_idle(widget)
    with path.open(newline="") as file:
        assert [line["label"] for line in csv.DictReader(file)] == ["1", "2", "3"]


def test_the_table_is_closed_and_opened_again(table: Any, widget: Any, viewer: Any, click: Any, wait_idle: Any) -> None:
    widget._objects_dock.hide()
    assert len(widget.controller.object_table.rows) == 0, "nothing is counted while nobody looks"
    show_objects_table(viewer)
    wait_idle(widget)
    assert table.summary.text() == "9 objects"
    viewer.layers.remove("image objects")
    assert "Press Segment first" in table.summary.text()


# -- outlines and fill -----------------------------------------------------------------------------------------------


def test_outlines_by_key_and_box(segment: Any, widget: Any, viewer: Any, canvas: Any, click: Any) -> None:
    labels, box = segment(), widget.correct_panel.seeing.outlines
    assert labels.contour >= 1
    assert box.isChecked()
    canvas.key(Qt.Key.Key_Q)
    assert (labels.contour, box.isChecked(), labels.opacity) == (0, False, 0.7)
    canvas.key(Qt.Key.Key_Q)
    assert labels.contour >= 1
    camera_of(viewer).zoom = 0.5
    assert labels.contour == 3
    camera_of(viewer).zoom = 10
    assert labels.contour == 1
    viewer.dims.ndisplay = 3  # napari fills them there, and would warn
    canvas.key(Qt.Key.Key_Q)
    assert "2D view" in widget.status.text()
    viewer.dims.ndisplay = 2
    assert labels.contour >= 1
    click(box)
    assert labels.contour == 0


def test_neighbours_have_different_colours(segment: Any, viewer: Any) -> None:
    data = np.zeros((96, 96), np.uint8)
    data[10:90, 10:30] = data[10:90, 33:50] = data[10:90, 53:70] = 100
    labels = segment(data)
    ids = [int(labels.data[40, x]) for x in (20, 40, 60)]
    colours = {tuple(np.round(labels.get_color(i), 3)) for i in ids}
    assert len(colours) == 3


# -- what a new model changes ----------------------------------------------------------------------------------------


def test_what_changes_and_compare(segment: Any, widget: Any, viewer: Any, qtbot: Any) -> None:
    labels = segment()
    view, full = view_of(widget.controller.workspace), labels.opacity
    new = np.where(labels.data == 1, 0, labels.data)[None].astype(np.int32)
    new[0, 40:56, 20:30] = 77
    widget.controller.diff.show(FieldSegmented(view, new[(slice(None), *view.field)]))
    bar = widget.decision
    assert not bar.isHidden()
    assert "1 new, 1 gone" in bar.legend.text()
    before = labels.opacity
    assert before == pytest.approx(0.3 * full), "it does not compete with what changes"
    qtbot.mousePress(bar.compare, Qt.MouseButton.LeftButton)
    other = viewer.layers["other model"]
    assert (labels.opacity, other.opacity) == (0, full)
    assert (np.asarray(other.data) == 0)[np.nonzero(labels.data[view.field] == 1)].all()
    assert not viewer.layers["what changes"].visible
    qtbot.mouseRelease(bar.compare, Qt.MouseButton.LeftButton)
    assert labels.opacity == before
    assert "other model" not in viewer.layers
    assert viewer.layers["what changes"].visible
    widget.controller.diff.hide()
    assert bar.isHidden()
    assert labels.opacity == full
