"""The tab Results in a real window: measuring, brushing a chart with the mouse, exporting, copying."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unet._qt.export_dialog import ExportDialog
from napari_unet.measuring.kinds import Kind


@pytest.fixture
def panel(widget: Any, open_image: Any, image_file: Any, click: Any, wait_idle: Any) -> Any:
    """The panel, of a stack from a file that is segmented."""
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    widget.tabs.setCurrentIndex(3)
    QApplication.processEvents()
    assert widget.results_panel.isVisible()
    return widget.results_panel


@pytest.fixture
def measured(panel: Any, widget: Any, click: Any, wait_idle: Any) -> Any:
    click(panel.measure)
    wait_idle(widget)
    return panel


def drag(qtbot: Any, chart: Any, start: Any, stop: Any) -> None:
    """Drag over a chart, between places that are shares of its width and height, from below."""
    box = chart._box
    places = [
        QPoint(round(box.left() + x * box.width()), round(box.bottom() - y * box.height())) for x, y in (start, stop)
    ]
    qtbot.mousePress(chart, Qt.MouseButton.LeftButton, pos=places[0])
    qtbot.mouseMove(chart, places[1])
    qtbot.mouseRelease(chart, Qt.MouseButton.LeftButton, pos=places[1])


def dialogs() -> list[Any]:
    return [one for one in QApplication.topLevelWidgets() if isinstance(one, ExportDialog) and one.isVisible()]


def test_there_is_nothing_to_measure_before_segmenting(widget: Any) -> None:
    panel = widget.results_panel
    assert not any(button.isEnabled() for button in (panel.measure, panel.export, panel.more))
    assert panel.summary.text() == panel.HINT


def test_measuring_fills_the_panel(measured: Any, viewer: Any) -> None:
    assert "9 objects, median volume" in measured.summary.text()
    assert measured.across.currentText() == "volume_voxels"
    assert measured.up.currentText() == "count"
    assert measured.up.count() == measured.across.count() + 1
    features = viewer.layers["cells objects"].features
    assert len(features) == 9
    assert measured.measure.text() == "Measure"


def test_brushing_a_histogram_outlines_objects(measured: Any, viewer: Any, qtbot: Any) -> None:
    across = measured.across
    across.setCurrentIndex(across.findText("centroid_x_px"))
    across.activated.emit(across.currentIndex())
    drag(qtbot, measured.chart, (0.9, 0.5), (1.0, 0.6))
    table = measured._controller.results.table
    wanted = table["label"][table["centroid_x_px"] > 60]
    assert len(wanted) == 3
    assert "cells selected" in viewer.layers
    assert measured._controller.results.marks.ids == sorted(wanted.tolist())
    assert viewer.layers.selection.active == viewer.layers["cells objects"]
    qtbot.mouseClick(measured.chart, Qt.MouseButton.LeftButton, pos=QPoint(5, 5))
    assert "cells selected" not in viewer.layers


def test_a_click_on_a_point_goes_to_its_object(measured: Any, viewer: Any, qtbot: Any) -> None:
    for box, name in ((measured.across, "centroid_x_px"), (measured.up, "centroid_y_px")):
        box.setCurrentIndex(box.findText(name))
        box.activated.emit(box.currentIndex())
    chart = measured.chart
    row = int(np.argmax(chart._x + chart._y))
    drag(qtbot, chart, (1, 1), (1, 1))
    session = measured._controller.session
    assert session.middle == pytest.approx((chart._y[row], chart._x[row]), abs=1)
    assert chart.chosen.nonzero()[0].tolist() == [row]
    drag(qtbot, chart, (0.4, 0.4), (1, 1))
    assert chart.chosen.sum() == 4


def test_editing_makes_it_say_so(measured: Any, widget: Any, viewer: Any, wait_idle: Any) -> None:
    layer = viewer.layers["cells objects"]
    z = measured._controller.session.plane[1]
    layer.data_setitem((np.array([z]), np.array([1]), np.array([1])), np.array([99]))
    wait_idle(widget)
    assert "changed since" in measured.summary.text()
    assert measured.measure.text() == "Measure again"


def test_exporting_from_the_dialog(panel: Any, widget: Any, click: Any, wait_idle: Any, image_file: Any) -> None:
    click(panel.export)
    (dialog,) = dialogs()
    for kind, box in dialog.boxes.items():
        box.value = kind in (Kind.measurements, Kind.geojson, Kind.png)
    assert not dialog.boxes[Kind.own_zarr].enabled
    assert not dialog.extent.visible  # there is one image
    click(dialog.go)
    assert not dialogs()
    wait_idle(widget)
    folder = image_file.parent / "results"
    assert sorted(os.listdir(folder)) == [
        "cells_outlines.geojson", "cells_overlay.png", "measurements.csv", "measurements.json",
        "measurements_by_image.csv",
    ]  # fmt: skip
    assert len(json.loads((folder / "cells_outlines.geojson").read_text())["features"]) == 36
    assert widget.messages[-1].text.startswith("Exported 5 files to ")


@pytest.mark.parametrize("replace", [True, False])
def test_it_is_asked_before_files_are_replaced(
    panel: Any, widget: Any, click: Any, wait_idle: Any, image_file: Any, replace: bool
) -> None:
    there = image_file.parent / "results" / "cells_outlines.geojson"
    there.parent.mkdir()
    there.write_text("precious")
    click(panel.export)
    (dialog,) = dialogs()
    for kind, box in dialog.boxes.items():
        box.value = kind is Kind.geojson
    asked: list[str] = []

    def answer() -> None:
        box = next(one for one in QApplication.topLevelWidgets() if isinstance(one, QMessageBox) and one.isVisible())
        asked.append(box.text())
        click(next(button for button in box.buttons() if button.text() == ("Replace" if replace else "Cancel")))

    QTimer.singleShot(300, answer)
    click(dialog.go)
    wait_idle(widget)
    assert asked == ["cells_outlines.geojson is there already. Replace it?"]
    assert (there.read_text() == "precious") != replace
    assert bool(dialogs()) != replace
    dialog.reject()


def test_nothing_chosen_cannot_be_exported(panel: Any, click: Any) -> None:
    click(panel.export)
    (dialog,) = dialogs()
    for box in dialog.boxes.values():
        box.value = False
    assert not dialog.go.isEnabled()
    click(dialog.cancel)
    assert not dialogs()


def test_copying(panel: Any, widget: Any) -> None:
    commands, script, paper = panel.more.menu().actions()[:3]
    commands.trigger()
    assert QApplication.clipboard().text().startswith("napari-unet segment ")
    script.trigger()
    compile(QApplication.clipboard().text(), "script", "exec")
    paper.trigger()
    assert "Ronneberger" in QApplication.clipboard().text()
    assert widget.messages[-1].level == "done"
    assert "Ronneberger" in widget.messages[-1].details


def test_outlines_as_shapes_by_the_menu(measured: Any, widget: Any, viewer: Any, qtbot: Any) -> None:
    assert measured.shapes.isEnabled()
    measured.all_shapes.trigger()
    qtbot.waitUntil(lambda: "cells outlines" in viewer.layers)
    layer = viewer.layers["cells outlines"]
    labels = viewer.layers["cells objects"]
    planes = {(int(one[0, 0]), label) for one, label in zip(layer.data, layer.features["label"], strict=True)}
    wanted = {(z, int(id_)) for z, plane in enumerate(np.asarray(labels.data)) for id_ in np.unique(plane) if id_}
    assert planes == wanted, "an outline of each object in each of its slices"
    assert np.allclose(layer.scale, labels.scale)
    measured.selected_shapes.trigger()
    assert "No object is selected" in widget.status.text()
