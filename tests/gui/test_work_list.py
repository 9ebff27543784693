"""The list of images in a real window: docked when a folder is opened, clicked, filtered, gone through by key."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_unet._qt.export_dialog import ExportDialog
from napari_unet._qt.image_model import in_words
from napari_unet.objects.decode import Decoding
from napari_unet.projects.segmented_by import SegmentedBy
from napari_unet.projects.work_list import ImageState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, squares: Any) -> Path:
    where = tmp_path / "pictures"
    where.mkdir()
    for number in range(6):
        tifffile.imwrite(where / f"cells{number}.tif", squares((80 + 8 * number, 96)))
    return where


@pytest.fixture
def settled(widget: Any, qtbot: Any) -> Callable[[], None]:
    """Waits until nothing is on its way."""
    controller = widget.controller

    def wait() -> None:
        qtbot.waitUntil(
            lambda: (
                not (
                    controller.image_switch.busy
                    or controller.work_list.busy
                    or controller.segmenter.busy
                    or controller.segment_all.busy
                    or controller.projects.busy
                )
            ),
        )

    return wait


@pytest.fixture
def listed(widget: Any, folder: Path, drop: Any, settled: Any, qtbot: Any) -> Any:
    """The dock of a list that was made by dropping a folder on the panel."""
    assert drop(widget, folder)
    qtbot.waitUntil(lambda: widget.controller.work_list.in_view == 0)
    settled()
    return widget.images.widget


@pytest.mark.parametrize(
    ("in_use", "kind", "doubt", "words"),
    [
        ("a", "segmented", None, "◐ segmented, 7 to look at"),
        ("a", "segmented", "", "◐ segmented, 7 to look at"),
        ("a", "segmented", "may not fit", "◐ segmented, may not fit"),
        ("a", "segmented", "nothing found", "◐ segmented, nothing found"),
        ("a", "corrected", "may not fit", "✎ corrected, 7 to look at"),
        ("b", "segmented", "may not fit", "◐ segmented, by another model"),
        ("a, moved", "segmented", "may not fit", "◐ segmented, with other settings"),
    ],
)
def test_a_state_in_words(in_use, kind, doubt, words):
    sha256, _, moved = in_use.partition(", ")
    now = SegmentedBy(sha256, Decoding() if moved else None)
    assert in_words(ImageState(kind=kind, segmented_by=SegmentedBy("a"), suspects=7, doubt=doubt), now) == words


def click(qtbot: Any, dock: Any, row: int) -> None:
    where = dock.shown.index(row, 0)
    dock.view.scrollTo(where)
    qtbot.mouseClick(dock.view.viewport(), Qt.MouseButton.LeftButton, pos=dock.view.visualRect(where).center())


def texts(dock: Any) -> list[str]:
    return [str(dock.shown.index(row, 0).data()) for row in range(dock.shown.rowCount())]


def kept(session: Any) -> list[Any]:
    corrections = session.corrections
    return [session.labels.copy(), *(getattr(corrections, n).copy() for n in ("prediction", "seen", "reviewed"))]


def test_click_and_keys_go_through_the_list(widget, viewer, listed, settled, qtbot):
    assert texts(listed) == [f"cells{n}\n○ to do" for n in range(6)]
    click(qtbot, listed, 3)
    settled()
    assert [layer.name for layer in viewer.layers] == ["cells3"]
    canvas = viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_PageDown)
    settled()
    assert [layer.name for layer in viewer.layers] == ["cells4"]
    qtbot.keyClick(canvas, Qt.Key.Key_PageUp)
    settled()
    qtbot.keyClick(listed.view, Qt.Key.Key_PageUp)
    settled()
    assert [layer.name for layer in viewer.layers] == ["cells2"]
    qtbot.mouseClick(listed.next, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(listed.next, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(listed.next, Qt.MouseButton.LeftButton)
    settled()
    assert [layer.name for layer in viewer.layers] == ["cells5"], "clicks on the way count"
    assert not listed.next.isEnabled()
    assert listed.where.text() == "6 of 6"


def test_the_canvas_is_drawn_between_two_images(widget, viewer, listed, settled, qtbot):
    """napari and Mesa crash where the next image is there before the canvas was drawn without the last one."""
    drawn: list[list[str]] = []
    viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(
        lambda _: drawn.append([layer.name for layer in viewer.layers])
    )
    last_drawn: list[list[str]] = []
    widget.controller.image_switch.arriving.connect(lambda _: last_drawn.append(drawn[-1]))
    qtbot.mouseClick(listed.segment_all, Qt.MouseButton.LeftButton)
    for row in (2, 4, 1):
        widget.controller.image_switch.go_to(row)
        settled()
    assert last_drawn == [[], [], []]


def test_strokes_come_back_with_the_image(widget, viewer, listed, settled, qtbot):
    widget.controller.segment()
    settled()
    session = widget.controller.session
    session.labels_layer.data_setitem((np.array([1, 1]), np.array([1, 2])), 7)
    widget.controller.refresh_corrections(everything=True)
    before = kept(session)
    assert texts(listed)[0] == "cells0\n✎ corrected"
    click(qtbot, listed, 1)
    settled()
    click(qtbot, listed, 0)
    settled()
    for one, other in zip(before, kept(widget.controller.session), strict=True):
        assert np.array_equal(one, other)
    assert sorted(layer.name for layer in viewer.layers) == ["cells0", "cells0 objects", "cells0 reviewed"]


def test_segment_all_by_its_button_while_one_goes_on(widget, listed, settled, qtbot):
    qtbot.mouseClick(listed.segment_all, Qt.MouseButton.LeftButton)
    assert listed.segment_all.text() == "Stop"
    click(qtbot, listed, 2)
    qtbot.mouseClick(listed.next, Qt.MouseButton.LeftButton)
    settled()
    assert listed.segment_all.text() == "Segment all"
    assert [text.split("\n")[1] for text in texts(listed)] == ["◐ segmented"] * 6
    assert widget.controller.session.count() == 9
    assert widget.controller.work_list.in_view == 3


def test_the_filter_finds_names_and_states(widget, listed, settled, qtbot):
    widget.controller.segment()
    settled()
    qtbot.keyClicks(listed.filter, "segmented")
    assert [text.split("\n")[0] for text in texts(listed)] == ["cells0"]
    listed.filter.clear()
    qtbot.keyClicks(listed.filter, "CELLS4")
    assert texts(listed) == ["cells4\n○ to do"]
    click(qtbot, listed, 0)
    settled()
    assert widget.controller.work_list.in_view == 4
    listed.filter.setText("cells2")
    assert not listed.view.currentIndex().isValid(), "what is in view is not among these"
    listed.filter.clear()
    assert listed.view.currentIndex().row() == 4


def test_pictures_are_made_of_what_is_seen(listed, qtbot, widget):
    def drawn() -> bool:
        icon = listed.model.index(0).data(Qt.ItemDataRole.DecorationRole)
        return icon.pixmap(44, 44).toImage().pixelColor(22, 8).lightness() != 128 and icon is not listed.model._empty

    qtbot.waitUntil(drawn)


def test_the_list_is_saved_by_save(widget, listed, settled, qtbot, tmp_path, monkeypatch):
    widget.controller.segment()
    settled()
    save = widget.image_panel.project.save
    assert save.text() == "Save list…"
    asked = lambda *_, **__: (str(tmp_path / "afternoon.unetlist"), "")  # noqa: E731
    monkeypatch.setattr(QFileDialog, "getSaveFileName", asked)
    qtbot.mouseClick(save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.controller.work_list.saved_as is not None)
    settled()
    assert save.text() == "Save list"
    assert (tmp_path / "afternoon.unetlist" / "images.json").is_file()
    qtbot.mouseClick(save, Qt.MouseButton.LeftButton)
    settled()
    assert widget.status.text() == "Saved in afternoon.unetlist. Use Open… to continue another day."


def test_what_is_dropped_on_the_dock_is_added(widget, listed, drop, settled, tmp_path, folder, qtbot):
    other = tmp_path / "more"
    other.mkdir()
    shutil.copy(folder / "cells0.tif", other / "new.tif")
    assert drop(listed, other / "new.tif")
    qtbot.waitUntil(lambda: listed.shown.rowCount() == 7)
    settled()
    assert texts(listed)[-1] == "new\n○ to do"
    assert widget.controller.work_list.in_view == 0, "what is worked on stays in view"


def test_a_dock_that_was_closed_comes_back(widget, viewer, listed, qtbot):
    viewer.window.remove_dock_widget(listed)
    widget.images.show()
    assert widget.images.widget is not listed
    assert texts(widget.images.widget)[0] == "cells0\n○ to do"


def test_done_is_marked_in_the_menu(widget, listed, qtbot):
    listed._show_menu()
    listed.done.trigger()
    assert texts(listed)[0] == "cells0\n✓ done"
    listed._show_menu()
    assert listed.done.text() == "Not done yet"
    listed.done.trigger()
    assert texts(listed)[0] == "cells0\n○ to do"


def test_the_view_asks_for_nothing_that_is_not_seen(widget, listed, qtbot, tmp_path, folder):
    """Of thousands of images only those in view are asked for."""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        shutil.copy(folder / "cells0.tif", many / f"m{number:03d}.tif")
    assert widget.controller.list_keeper.add([many])
    qtbot.waitUntil(lambda: listed.shown.rowCount() == 306)
    qtbot.wait(200)
    assert len(listed.model._rows) < 60
    assert listed.view.indexAt(QPoint(5, 5)).isValid()


def pressed(qtbot: Any, button: Any) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def segment_everything(widget: Any, listed: Any, settled: Any, qtbot: Any) -> None:
    pressed(qtbot, listed.segment_all)
    settled()
    assert {state.kind for state in widget.controller.work_list.states} == {"segmented"}


def test_all_images_are_measured_and_exported_by_the_panel(
    widget: Any, listed: Any, settled: Any, qtbot: Any, tmp_path: Path
) -> None:
    panel, results = widget.results_panel, widget.controller.list_results
    assert not panel.extent.isVisibleTo(panel), "nothing is segmented yet"
    segment_everything(widget, listed, settled, qtbot)
    widget.show_tab("Results")
    assert panel.extent.isVisible()
    assert panel.extent.itemText(1) == "All 6 segmented images of the list"
    panel.extent.setFocus()
    qtbot.keyClick(panel.extent, Qt.Key.Key_Down)
    assert panel.whole_list
    pressed(qtbot, panel.measure)
    qtbot.waitUntil(lambda: results.table is not None and not results.busy)
    assert panel.summary.text().startswith("<b>6 images: ")
    assert len(set(results.table["image"].tolist())) == 6
    assert panel.across.count() > 5
    results.go_to(len(results.table) - 1)
    settled()
    assert widget.controller.work_list.in_view == 5
    pressed(qtbot, panel.export)
    (dialog,) = [one for one in QApplication.topLevelWidgets() if isinstance(one, ExportDialog) and one.isVisible()]
    assert dialog.extent.value == "list"
    dialog.folder.value = tmp_path / "out"
    pressed(qtbot, dialog.go)
    qtbot.waitUntil(lambda: not results.jobs.busy and "Exported" in widget.status.text())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "measurements.csv", "measurements_by_image.csv", "measurements.json",
        *(f"cells{n}_labels.tif" for n in range(6)),
    }  # fmt: skip
    panel.extent.setFocus()
    qtbot.keyClick(panel.extent, Qt.Key.Key_Up)
    assert not panel.whole_list
    assert panel.summary.text() == panel.HINT, "this image by itself was not measured"


def test_next_leads_to_another_image_at_the_end_of_a_walk(
    widget: Any, viewer: Any, listed: Any, settled: Any, qtbot: Any
) -> None:
    segment_everything(widget, listed, settled, qtbot)
    controller, button = widget.controller, widget.walk_panel.next
    for index in range(6):
        controller.work_list.note_suspects(index, 7 if index == 4 else 1)
    widget.show_tab("Correct")
    for _ in range(40):
        pressed(qtbot, button)
        qtbot.waitUntil(lambda: controller.list_walk.onward is not None or controller.walk.shows_stop)
        if controller.list_walk.onward is not None:
            break
    target = controller.list_walk.onward
    assert target == 4
    assert "N goes on to cells4 (7 suspects)" in widget.status.text()
    assert button.text() == "Next image  (N)"
    viewer.window._qt_window.activateWindow()
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_N)
    settled()
    assert controller.work_list.in_view == target
    assert button.text() == "Next  (N)"


def test_the_list_of_objects_has_room_for_several_rows(
    widget: Any, viewer: Any, listed: Any, settled: Any, qtbot: Any
) -> None:
    segment_everything(widget, listed, settled, qtbot)
    viewer.window.resize(1280, 800)
    widget.show_objects_table()
    view = widget._objects.view
    qtbot.waitUntil(lambda: 0 < 5 * view.rowHeight(0) <= view.viewport().height())
    assert not view.horizontalScrollBar().isVisible(), "all columns are seen, the state too"
    assert viewer.window._qt_viewer.canvas.native.height() >= 250
