"""Measurements, a chart of them, and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt.chart import MeasurementChart
from napari_unet._qt.export_dialog import ExportDialog
from napari_unet._qt.panels.parts import fill, objects_table_button, row
from napari_unet.errors import UNetError
from napari_unet.measuring.chart import chart_columns, first_column

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.layers.controller import Controller
    from napari_unet.layers.lists.list_results import ListResults
    from napari_unet.layers.measuring.exporter import Exporter
    from napari_unet.layers.measuring.results import Results
    from napari_unet.objects.table import Table

COUNT = "count"
"""What the upright axis of a histogram shows."""


class ResultsPanel(QWidget):
    """Measure, look at the numbers, and take them out of the window."""

    HINT = "Measure the objects to see their numbers here; export what you need."

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._shown: Table | None = None
        self.extent = QComboBox()
        self.extent.addItems(["This image", "All images of the list"])
        self.extent.setToolTip("What is measured, exported and shown in the chart.")
        self.measure = QPushButton("Measure")
        self.measure.setToolTip("Size, shape, position, neighbours and intensity of every object, in the background.")
        self.export = QPushButton("Export…")
        self.export.setToolTip("Tables, outlines for QuPath and ImageJ, labels, pictures.")
        self.more = QPushButton("Repeat")
        self.more.setToolTip("How these results were made: as commands, as Python, and in words for a paper.")
        self.more.setMenu(self._menu())
        self.shapes = QPushButton("As shapes")
        self.shapes.setToolTip("The outlines as a shapes layer of napari, of all objects or of those selected.")
        self.shapes.setMenu(self._shapes_menu())
        self.summary = QLabel(self.HINT)
        self.summary.setWordWrap(True)
        self.across, self.up = QComboBox(), QComboBox()
        for box, axis in ((self.across, "across"), (self.up, "upwards")):
            box.setToolTip(f"What the chart shows {axis}.")
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
        self.chart = MeasurementChart()
        self.brushing = QLabel("Drag: show these objects on the image, in yellow. Click a point: go there.")
        self.brushing.setWordWrap(True)
        self.list = objects_table_button(controller)
        buttons = QHBoxLayout()
        for button in (self.measure, self.export, self.more):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.extent)
        layout.addLayout(buttons)
        layout.addWidget(row((self.list, 1), (self.shapes, 1)))
        layout.addWidget(self.summary)
        self.axes = row((self.across, 1), (QLabel("against"), 0), (self.up, 1))
        layout.addWidget(self.axes)
        layout.addWidget(self.chart, 1)
        layout.addWidget(self.brushing)
        self.measure.clicked.connect(self._on_measure)
        self.export.clicked.connect(self._on_export)
        self.across.activated.connect(self._draw)
        self.up.activated.connect(self._draw)
        self.extent.activated.connect(self.refresh)
        self.chart.brushed.connect(lambda rows: self._results.mark(rows))
        self.chart.picked.connect(lambda row: self._results.go_to(row))
        for signal in (
            controller.results.changed,
            controller.list_results.changed,
            controller.exporter.jobs.changed,
            controller.shapes.jobs.changed,
            controller.workspace.segmenting,
        ):
            signal.connect(self.refresh)
        self.refresh()

    @property
    def whole_list(self) -> bool:
        """Whether it is about all images of the list, and not the one in view."""
        return bool(self.extent.isVisibleTo(self) and self.extent.currentIndex() == 1)

    @property
    def _results(self) -> Results | ListResults:
        return self._controller.list_results if self.whole_list else self._controller.results

    @property
    def _exporter(self) -> Exporter | ListResults:
        return self._controller.list_results if self.whole_list else self._controller.exporter

    def refresh(self) -> None:
        """Show what is measured now, and what can be done."""
        listed = len(self._controller.list_results.indices)
        self.extent.setVisible(listed > 0)
        self.extent.setItemText(1, f"All {listed} segmented images of the list")
        results = self._results
        here = self._controller.session is not None
        there = here or self.whole_list
        self.measure.setText("Stop" if results.busy else "Measure again" if results.is_stale else "Measure")
        self.measure.setEnabled(there)
        self.export.setText("Stop export" if self._exporter.jobs.busy else "Export…")
        self.export.setEnabled(there)
        self.more.setEnabled(there)
        self.shapes.setEnabled(here)
        old = " The labels have changed since." if results.is_stale else ""
        self.summary.setText(f"<b>{results.sentence}</b>{old}" if results.sentence else self.HINT)
        if results.table is not self._shown:
            self._show_table(results.table)

    def _show_table(self, table: Table | None) -> None:
        """Offer the columns of a table; what was chosen stays chosen where there is such a column."""
        self._shown = table
        names = [] if table is None else chart_columns(table)
        across, up = self.across.currentText(), self.up.currentText()
        first = across if across in names else "" if table is None else first_column(table)
        fill(self.across, names, names.index(first) if first else 0)
        choices = [COUNT, *names]
        fill(self.up, choices if names else [], choices.index(up) if up in choices else 0)
        self.axes.setVisible(bool(names))
        self.brushing.setVisible(bool(names))
        self._draw()

    def _draw(self) -> None:
        table, across, up = self._shown, self.across.currentText(), self.up.currentText()
        if table is None or not across:
            self.chart.clear()
        elif up == COUNT:
            self.chart.show_columns(table[across], across, None, COUNT)
        else:
            self.chart.show_columns(table[across], across, table[up], up)

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        for text, make in (
            ("Copy as commands", lambda: self._exporter.command()),
            ("Copy as Python", lambda: self._exporter.python()),
            ("Copy methods for a paper", lambda: self._exporter.methods()),
        ):
            menu.addAction(text).triggered.connect(self._copier(make))
        return menu

    def _shapes_menu(self) -> QMenu:
        menu = QMenu(self)
        self.all_shapes = menu.addAction("All objects")
        self.selected_shapes = menu.addAction("Selected objects")
        self.stop_shapes = menu.addAction("Stop")
        self.all_shapes.triggered.connect(lambda: self._controller.outline_shapes())
        self.selected_shapes.triggered.connect(lambda: self._controller.outline_shapes(selected=True))
        self.stop_shapes.triggered.connect(lambda: self._controller.shapes.stop())
        menu.aboutToShow.connect(self._show_shapes_menu)
        return menu

    def _show_shapes_menu(self) -> None:
        busy = self._controller.shapes.jobs.busy
        for action in (self.all_shapes, self.selected_shapes):
            action.setVisible(not busy)
        self.stop_shapes.setVisible(busy)

    def _copier(self, make: Callable[[], str]) -> Callable[[], None]:
        def copy() -> None:
            try:
                text = make()
            except UNetError as error:
                self._controller.workspace.say_error(error)
                return
            QApplication.clipboard().setText(text)
            self._controller.say("Copied. Paste it where you need it; Details shows it.", "done", text)

        return copy

    def _on_measure(self) -> None:
        if self._results.busy:
            self._results.stop()
        else:
            self._results.measure()

    def _on_export(self) -> None:
        if self._exporter.jobs.busy:
            self._exporter.jobs.stop()
            return
        try:
            dialog = ExportDialog(self._controller, "list" if self.whole_list else "this", self)
        except UNetError as error:
            self._controller.workspace.say_error(error)
            return
        dialog.setModal(True)
        dialog.show()
