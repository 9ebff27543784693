"""The list of images as Qt's views want it: name, how far it is, and a small picture, each when it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt
from qtpy.QtGui import QColor, QFont, QPixmap

from napari_unet._qt.thumbnails import WIDTH, Thumbnails, as_icon

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from napari_unet.layers.lists.work_list import WorkList
    from napari_unet.projects.segmented_by import SegmentedBy
    from napari_unet.projects.work_list import ImageState

FILTERED = Qt.ItemDataRole.UserRole
"""Role of what the filter looks in: name and state."""

_MARKS = {"to do": "○", "segmented": "◐", "corrected": "✎", "reviewed": "◕", "done": "✓", "failed": "⚠"}
"""Before each state: told apart by their shape, whatever colours somebody sees."""

_ROW = 52


def in_words(state: ImageState, in_use: SegmentedBy) -> str:
    """Return how far an image is; `in_use` is the model in use, as the sliders stand."""
    if state.kind == "failed":
        return f"{_MARKS['failed']} cannot be read"
    share = f"{max(1, min(99, round(100 * state.reviewed_share)))} % " if state.kind == "reviewed" else ""
    text = f"{_MARKS[state.kind]} {share}{state.kind}"
    if state.is_doubtful and not state.out_of_date(in_use):
        return f"{text}, {state.doubt}"
    if in_use and state.segmented_by and state.out_of_date(in_use):
        other = "with other settings" if state.segmented_by.sha256 == in_use.sha256 else "by another model"
        return f"{text}, {other}"
    return f"{text}, {state.suspects} to look at" if state.suspects and state.is_open else text


class ImageModel(QAbstractListModel):
    """Shows a work list; it asks for nothing that is not in view.

    Parameters
    ----------
    work_list : WorkList
    thumbnails : Thumbnails
    """

    def __init__(self, work_list: WorkList, thumbnails: Thumbnails, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._list, self._thumbnails = work_list, thumbnails
        self._count, self._in_use = len(work_list.images), work_list.in_use
        self._rows: dict[Any, int] = {}
        self._in_view = work_list.in_view
        grey = QPixmap(WIDTH, WIDTH)
        grey.fill(QColor(128, 128, 128, 60))
        self._empty = as_icon(grey)
        work_list.changed.connect(self._on_changed)
        work_list.extended.connect(self._on_extended)
        work_list.state_changed.connect(self._on_row)
        work_list.outdated.connect(self._on_outdated)
        work_list.moved.connect(self._on_moved)
        thumbnails.made.connect(self._on_thumbnail)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return the number of images."""
        return 0 if parent is not None and parent.isValid() else self._count

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what is shown of an image."""
        row = index.row()
        if not index.isValid() or row >= len(self._list.images):
            return None
        image, state = self._list.images[row], self._list.states[row]
        if role in (Qt.ItemDataRole.DisplayRole, FILTERED):
            return f"{image.name}\n{in_words(state, self._in_use)}"
        if role == Qt.ItemDataRole.DecorationRole:
            self._rows[image.key] = row
            return self._thumbnails.of(image.key, self._list.file(row), image.series) or self._empty
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{state.problem or image.absolute}"
        if role == Qt.ItemDataRole.FontRole and row == self._in_view:
            font = QFont()
            font.setBold(True)
            return font
        return QSize(0, _ROW) if role == Qt.ItemDataRole.SizeHintRole else None

    def _on_changed(self) -> None:
        self.beginResetModel()
        self._rows.clear()
        self._count, self._in_use = len(self._list.images), self._list.in_use
        self._in_view = self._list.in_view
        self.endResetModel()

    def _on_extended(self, first: int, number: int) -> None:
        self.beginInsertRows(QModelIndex(), first, first + number - 1)
        self._count = first + number
        self.endInsertRows()

    def _on_row(self, row: int) -> None:
        if row < self._count:
            where = self.index(row)
            self.dataChanged.emit(where, where)

    def _on_outdated(self) -> None:
        self._in_use = self._list.in_use
        if self._count:
            self.dataChanged.emit(self.index(0), self.index(self._count - 1))

    def _on_moved(self) -> None:
        before, self._in_view = self._in_view, self._list.in_view
        for row in (before, self._in_view):
            if row is not None:
                self._on_row(row)

    def _on_thumbnail(self, key: Any) -> None:
        row = self._rows.get(key)
        if row is not None and row < self._count:
            where = self.index(row)
            self.dataChanged.emit(where, where, [Qt.ItemDataRole.DecorationRole])
