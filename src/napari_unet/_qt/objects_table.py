"""The dock "Objects": a list of all objects of the chosen image, to sort, filter, go through and mend."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDockWidget,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMainWindow,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_unet.errors import UNetError
from napari_unet.objects.listing import EXAMPLE

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.layers.proofreading.object_table import ObjectTable

SUSPICION = "suspicion"
"""Key of the column that says how likely an object is to be wrong."""

HEADING_MARGIN = 16
"""Pixels beside a heading, at least: of which the arrow that shows the order takes most."""

ROWS_MEASURED = 100
"""Rows that the widths of columns are fitted to: not all, of which there may be a million."""


class _Model(QAbstractTableModel):
    """What the view asks of the list: only the cells that are seen are made into text."""

    def __init__(self, table: ObjectTable, parent: Any = None) -> None:
        super().__init__(parent)
        self._table = table

    def rowCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008, N802 - Qt's
        """Return how many objects are listed."""
        return 0 if parent.isValid() else len(self._table.shown)

    def columnCount(self, parent: Any = QModelIndex()) -> int:  # noqa: B008, N802 - Qt's
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(self._table.columns)

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, or where it stands."""
        if role == Qt.ItemDataRole.DisplayRole:
            return self._table.columns[index.column()].text(int(self._table.shown[index.row()]))
        if role == Qt.ItemDataRole.TextAlignmentRole and self._table.columns[index.column()].key != "state":
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        """Return the heading of a column; rows have none."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self._table.columns):
            return None
        column = self._table.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.heading
        if role == Qt.ItemDataRole.ToolTipRole:
            lead = "How likely it is to be wrong; empty: not looked at, or done. " if column.key == SUSPICION else ""
            return f"{lead}In a filter: {column.key}. In a file: {column.name}."
        return None

    def reset(self) -> None:
        """Have everything asked for again."""
        self.beginResetModel()
        self.endResetModel()


class ObjectsTable(QWidget):
    """The list of objects, a line to filter it, and buttons for what is selected in it.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._table, self._verbs = controller, controller.object_table, controller.listed_objects
        self._model = _Model(self._table, self)
        self._fitted = -1  # columns whose widths are fitted
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(f"Filter: {EXAMPLE}")
        self.filter.setToolTip("Conditions, joined by 'and'. A state or an id alone will do: corrected, 17.")
        self.filter.setClearButtonEnabled(True)
        self.summary = QLabel()
        self.view = self._make_view()
        self.accept = _button("Accept", "Mark the selected objects as reviewed. Again: take that back.")
        self.merge = _button("Merge", "Make one object of the selected ones, which touch.")
        self.delete = _button("Delete", "Delete the selected objects (key: Delete). Ctrl+Z on the image takes it back.")
        self.suspects = _button(
            "Most suspect first", "Look at all objects, and list those that are most likely to be wrong first."
        )
        self.export = _button("Export…", "Write the listed rows and columns to a CSV file.")
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.filter, 1)
        top.addWidget(self.summary)
        for button in (self.accept, self.merge, self.delete):
            bottom.addWidget(button)
        bottom.addStretch(1)
        bottom.addWidget(self.suspects)
        bottom.addWidget(self.export)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(top)
        layout.addWidget(self.view, 1)
        layout.addLayout(bottom)
        self.filter.textChanged.connect(self._on_filter)
        self.view.horizontalHeader().sortIndicatorChanged.connect(self._on_sort)
        self.view.selectionModel().selectionChanged.connect(self._on_selection)
        self.view.selectionModel().currentRowChanged.connect(self._on_current)
        self.accept.clicked.connect(self._verbs.accept)
        self.merge.clicked.connect(self._verbs.merge)
        self.delete.clicked.connect(self._verbs.delete)
        self.suspects.clicked.connect(self._on_suspects)
        self.export.clicked.connect(self._on_export)
        self._table.changed.connect(self._on_changed)
        self._table.selected.connect(self._show_selection)
        self._on_changed()

    def _make_view(self) -> QTableView:
        view = QTableView()
        view.setModel(self._model)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setTabKeyNavigation(False)  # Tab leads out of it, and the arrow keys from row to row
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.verticalHeader().hide()
        view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # else every row is measured
        view.verticalHeader().setDefaultSectionSize(20)
        header = view.horizontalHeader()
        header.setResizeContentsPrecision(ROWS_MEASURED)
        header.setStretchLastSection(True)
        header.setSortIndicator(0, Qt.SortOrder.AscendingOrder)
        header.setSortIndicatorShown(True)
        header.setSectionsClickable(True)
        return view

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Delete the selected objects by the key."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._verbs.delete()
        else:
            super().keyPressEvent(event)

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Count objects from now on."""
        self._table.watch(True)
        super().showEvent(event)

    def hideEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Count objects no longer: nobody looks."""
        self._table.watch(False)
        super().hideEvent(event)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Make room for all columns in the new width."""
        super().resizeEvent(event)
        if self._fitted > 0:
            self._fit_columns()

    def _fit_columns(self) -> None:
        """Make columns as wide as what stands in them; where that is too much, with less room beside the headings."""
        view, header = self.view, self.view.horizontalHeader()
        view.resizeColumnsToContents()
        sizes = [header.sectionSize(column) for column in range(header.count())]
        missing = sum(sizes) - view.viewport().width()
        width = header.fontMetrics().horizontalAdvance
        headings = [width(str(self._model.headerData(n, Qt.Orientation.Horizontal))) for n in range(len(sizes))]
        least = [max(view.sizeHintForColumn(n), headings[n] + HEADING_MARGIN) for n in range(len(sizes))]
        spare = [max(0, size - small) for size, small in zip(sizes, least, strict=True)]
        if missing > 0 and sum(spare):
            share = min(1.0, missing / sum(spare))
            for column, (size, most) in enumerate(zip(sizes, spare, strict=True)):
                header.resizeSection(column, size - math.ceil(share * most))

    # -- state shown -----------------------------------------------------------------------------------------------

    def _on_changed(self) -> None:
        with signals_blocked(self.view.selectionModel()):
            self._model.reset()
        listed, all_rows = len(self._table.shown), len(self._table.rows)
        self.summary.setText(f"{listed:,} of {all_rows:,}" if listed != all_rows else f"{all_rows:,} objects")
        if self._table.problem:
            self.summary.setText(self._table.problem)
        elif self._table.busy and not all_rows:
            self.summary.setText("Counting…")
        if len(self._table.columns) != self._fitted and listed:
            self._fitted = len(self._table.columns)
            self._fit_columns()
        if self._by_suspicion and self.isVisible():
            self._controller.walk.look_at_all()
        self._show_selection()

    def _show_selection(self) -> None:
        places = self._table.places(self._table.selection)
        model, selection = self.view.selectionModel(), QItemSelection()
        for first, last in _stretches(places):
            selection.select(self._model.index(first, 0), self._model.index(last, 0))
        flags = QItemSelectionModel.SelectionFlag
        with signals_blocked(model):
            model.select(selection, flags.ClearAndSelect | flags.Rows)
        if places:
            self.view.scrollTo(self._model.index(places[0], 0))
        self.view.viewport().update()
        self._enable()

    def _enable(self) -> None:
        chosen = len(self._table.selection)
        self.suspects.setEnabled(len(self._table.columns) > 0)
        for button, least in ((self.accept, 1), (self.delete, 1), (self.merge, 2)):
            button.setEnabled(chosen >= least)
        self.export.setEnabled(len(self._table.shown) > 0)

    # -- intents ---------------------------------------------------------------------------------------------------

    def _on_filter(self, text: str) -> None:
        try:
            self._table.filter(text)
        except UNetError as error:
            self.summary.setText("not a filter")
            self.summary.setToolTip(str(error))
            self.filter.setToolTip(str(error))
        else:
            self.summary.setToolTip("")

    def _on_sort(self, section: int, order: Any) -> None:
        columns = self._table.columns
        if not 0 <= section < len(columns):
            return
        key = columns[section].key
        if key == SUSPICION and not self._by_suspicion:  # the first click lists the most suspect first
            order = Qt.SortOrder.DescendingOrder
            self._show_order(section, order)
        self._table.sort(key, descending=order == Qt.SortOrder.DescendingOrder)

    def _on_suspects(self) -> None:
        keys = [column.key for column in self._table.columns]
        if SUSPICION in keys:
            self._show_order(keys.index(SUSPICION), Qt.SortOrder.DescendingOrder)
            self._table.sort(SUSPICION, descending=True)
            self.view.scrollToTop()

    def _show_order(self, section: int, order: Any) -> None:
        header = self.view.horizontalHeader()
        with signals_blocked(header):
            header.setSortIndicator(section, order)
        header.viewport().update()

    @property
    def _by_suspicion(self) -> bool:
        return self._table.listing.sort == SUSPICION

    def _on_selection(self, *_: Any) -> None:
        places = [index.row() for index in self.view.selectionModel().selectedRows()]
        self._table.select(self._table.key(int(self._table.shown[place])) for place in places)

    def _on_current(self, index: Any, _: Any = None) -> None:
        if index.isValid():
            self._verbs.go_to(self._table.key(int(self._table.shown[index.row()])))

    def _on_export(self) -> None:
        session = self._table.session
        name = "objects" if session is None else f"{session.layer.name} objects"
        chosen, _ = QFileDialog.getSaveFileName(self, "Export what is listed", f"{name}.csv", "CSV (*.csv)")
        if chosen:
            self._verbs.export(Path(chosen))


def make_tall(widget: QWidget, share: float) -> None:
    """Give the dock that a widget is in a share of the height of its window; the user may drag it to another size."""
    dock: QWidget | None = widget
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    window = None if dock is None else dock.parentWidget()
    if isinstance(window, QMainWindow):
        window.resizeDocks([dock], [round(share * window.height())], Qt.Orientation.Vertical)


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _stretches(places: list[int]) -> list[tuple[int, int]]:
    """Return the first and the last of each stretch of rows that follow each other."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place - 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found
