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
    from napari_unet.objects.table import Table

COUNT = "count"
"""What the upright axis of a histogram shows."""


class ResultsPanel(QWidget):
    """Measure, look at the numbers, and take them out of the window."""

    HINT = "Measure the objects to see their numbers here; export what you need."

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._results = controller, controller.results
        self._exporter = controller.exporter
        self._shown: Table | None = None
        self.measure = QPushButton("Measure")
        self.measure.setToolTip("Size, shape, position, neighbours and intensity of every object, in the background.")
        self.export = QPushButton("Export…")
        self.export.setToolTip("Tables, outlines for QuPath and ImageJ, labels, pictures.")
        self.more = QPushButton("Repeat")
        self.more.setToolTip("How these results were made: as commands, as Python, and in words for a paper.")
        self.more.setMenu(self._menu())
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
        layout.addLayout(buttons)
        layout.addWidget(self.list)
        layout.addWidget(self.summary)
        self.axes = row((self.across, 1), (QLabel("against"), 0), (self.up, 1))
        layout.addWidget(self.axes)
        layout.addWidget(self.chart, 1)
        layout.addWidget(self.brushing)
        self.measure.clicked.connect(self._on_measure)
        self.export.clicked.connect(self._on_export)
        self.across.activated.connect(self._draw)
        self.up.activated.connect(self._draw)
        self.chart.brushed.connect(self._results.mark)
        self.chart.picked.connect(self._results.go_to)
        self._results.changed.connect(self.refresh)
        self._exporter.jobs.changed.connect(self.refresh)
        controller.workspace.segmenting.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is measured now, and what can be done."""
        results, there = self._results, self._controller.session is not None
        self.measure.setText("Stop" if results.busy else "Measure again" if results.is_stale else "Measure")
        self.measure.setEnabled(there)
        self.export.setText("Stop export" if self._exporter.jobs.busy else "Export…")
        self.export.setEnabled(there)
        self.more.setEnabled(there)
        old = " The labels have changed since." if results.is_stale else ""
        self.summary.setText(f"<b>{results.sentence}</b>{old}" if results.sentence else self.HINT)
        if results.table is not self._shown:
            self._show_table(results.table)

    def _show_table(self, table: Table | None) -> None:
        """Offer the columns of a table; what was chosen stays chosen where there is such a column."""
        self._shown = table
        names = [] if table is None else chart_columns(table)
        across, up = self.across.currentText(), self.up.currentText()
        first = across if across in names else first_column(names)
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
        menu, exporter = QMenu(self), self._exporter
        for text, make in (
            ("Copy as commands", exporter.command),
            ("Copy as Python", exporter.python),
            ("Copy methods for a paper", exporter.methods),
        ):
            menu.addAction(text).triggered.connect(self._copier(make))
        return menu

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
            dialog = ExportDialog(self._exporter, self)
        except UNetError as error:
            self._controller.workspace.say_error(error)
            return
        dialog.setModal(True)
        dialog.show()
