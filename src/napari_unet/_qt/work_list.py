"""The dock "Images": the images of an afternoon, how far each is, and *Segment all*."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.history import get_open_history, update_open_history
from qtpy.QtCore import QModelIndex, QSize, QSortFilterProxyModel, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QLabel,
    QLineEdit,
    QListView,
    QMenu,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt.focus import in_visual_order
from napari_unet._qt.image_model import FILTERED, ImageModel
from napari_unet._qt.panels.list_saving import choose_where_to_save
from napari_unet._qt.panels.opening import IMAGES, accept_files, dropped_files
from napari_unet._qt.panels.parts import row
from napari_unet._qt.thumbnails import WIDTH, Thumbnails
from napari_unet.projects.work_list import is_work_list

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller

_EMPTY = "Drop a folder of images here, or press Add…"


class WorkListDock(QWidget):
    """Shows the work list: click an image to work on it.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._list, self._switch, self._all = controller.work_list, controller.image_switch, controller.segment_all
        self._thumbnails = Thumbnails(controller.runner, self)
        self.model = ImageModel(self._list, self._thumbnails, self)
        self.shown = QSortFilterProxyModel(self)
        self.shown.setSourceModel(self.model)
        self.shown.setFilterRole(FILTERED)
        self.shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._make_buttons()
        self.view = _View(self)
        self.view.setModel(self.shown)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter by name or state")
        self.filter.setClearButtonEnabled(True)
        self.filter.setAcceptDrops(False)
        self.where = QLabel()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(6)
        self.progress = QLabel()
        self.progress.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(row((self.add, 1), (self.segment_all, 1), (self.more, 0)))
        layout.addWidget(self.filter)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.bar)
        layout.addWidget(self.progress)
        layout.addWidget(row((self.previous, 1), (self.where, 0), (self.next, 1)))
        self.setMinimumWidth(200)
        self.setAcceptDrops(True)
        self._connect()
        self.refresh()
        in_visual_order(self)

    def _make_buttons(self) -> None:
        self.add = QPushButton("Add…")
        self.add.setToolTip("Add images, or those of a folder or a plate, to the list. You can also drop them here.")
        menu = QMenu(self)
        self.add_files = menu.addAction("Images…")
        self.add_folder = menu.addAction("Folder or OME-Zarr plate…")
        self.add.setMenu(menu)
        self.segment_all = QPushButton("Segment all")
        self.more = QPushButton("⋮")
        self.more.setFixedWidth(28)
        self.more.setStyleSheet("QPushButton::menu-indicator { image: none; }")
        self.more.setToolTip("Mark an image as done; save the list.")
        menu = QMenu(self)
        self.done = menu.addAction("Mark as done")
        self.save_as = menu.addAction("Save list as…")
        self.more.setMenu(menu)
        menu.aboutToShow.connect(self._show_menu)
        self.previous, self.next = QPushButton("◀ Previous"), QPushButton("Next ▶")

    def _show_keys(self) -> None:
        """Say which keys do the same as the buttons."""
        for button, action, tip in (
            (self.previous, "previous_image", "Go to the image before."),
            (self.next, "next_image", "Go to the next image; what you did is kept."),
        ):
            key = self._controller.workspace.keys.of(action)
            button.setToolTip(f"{tip} Key on the canvas: {key}." if key else tip)

    def _connect(self) -> None:
        self.add_files.triggered.connect(self._on_files)
        self.add_folder.triggered.connect(self._on_folder)
        self.segment_all.clicked.connect(self._on_segment_all)
        self.done.triggered.connect(self._on_done)
        self.save_as.triggered.connect(lambda: choose_where_to_save(self, self._controller))
        self._controller.workspace.keys.changed.connect(self._show_keys)
        self._show_keys()
        self.previous.clicked.connect(self._switch.previous)
        self.next.clicked.connect(self._switch.next)
        self.view.clicked.connect(self._on_chosen)
        self.view.activated.connect(self._on_chosen)
        self.filter.textChanged.connect(self._on_filter)
        for signal in (
            self._list.changed,
            self._list.extended,
            self._list.busy_changed,
            self._list.moved,
            self._switch.changed,
            self._all.changed,
        ):
            signal.connect(self.refresh)
        self._list.moved.connect(self._show_in_view)

    def release(self) -> None:
        """Make no more pictures."""
        self._thumbnails.close()

    def refresh(self, *_: object) -> None:
        """Show what can be done now, and how far it is."""
        number, index, running = len(self._list.images), self._list.in_view, self._all.busy
        self.view.empty.setVisible(not number)
        self.where.setText(f"{index + 1} of {number}" if index is not None else f"{number}")
        self.segment_all.setText("Stop" if running else "Segment all")
        self.segment_all.setToolTip(
            "Stop. What is segmented stays; Segment all does the rest."
            if running
            else "Segment all images of the list with the model in use, in the background. Corrections stay."
        )
        self.segment_all.setEnabled(bool(number) and not self._list.busy)
        self.add.setEnabled(not self._list.busy)
        self.next.setEnabled(bool(number) and (index is None or index + 1 < number))
        self.previous.setEnabled(bool(number) and (index is None or index > 0))
        for widget in (self.bar, self.progress):
            widget.setVisible(running)
        if running:
            self.bar.setValue(round(1000 * self._all.fraction))
            self.progress.setText(self._all.in_words)

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Say that files and folders can be dropped here."""
        accept_files(event)

    def dropEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Add files and folders that are dropped here, or open a list."""
        self._add(dropped_files(event, self._controller))

    def _add(self, paths: list[Path]) -> None:
        lists = [path for path in paths if is_work_list(path)]
        if lists:
            self._controller.list_keeper.open(lists[0])
        elif paths:
            update_open_history(str(paths[0]))
            self._controller.list_keeper.add(paths)

    def _on_filter(self, text: str) -> None:
        self.shown.setFilterFixedString(text)
        self._show_in_view()  # else Qt selects another one

    def _on_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Add images", get_open_history()[0], f"{IMAGES};;All files (*)")
        self._add([Path(path) for path in chosen])

    def _on_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Add the images of a folder or a plate", get_open_history()[0])
        self._add([Path(chosen)] if chosen else [])

    def _on_segment_all(self) -> None:
        if self._all.busy:
            self._all.stop()
        else:
            self._all.start()

    def _on_chosen(self, where: QModelIndex) -> None:
        self._switch.go_to(self.shown.mapToSource(where).row())

    def _show_menu(self) -> None:
        index = self._list.in_view
        done = index is not None and self._list.images[index].done
        self.done.setText("Not done yet" if done else "Mark as done")
        self.done.setEnabled(index is not None)
        self.save_as.setEnabled(bool(self._list.images))

    def _on_done(self) -> None:
        index = self._list.in_view
        if index is not None:
            self._switch.shown.set_done(not self._list.images[index].done)

    def _show_in_view(self) -> None:
        """Scroll to the image in view, and select it."""
        index = self._list.in_view
        if index is not None:
            where = self.shown.mapFromSource(self.model.index(index))
            self.view.setCurrentIndex(where)
            self.view.scrollTo(where)


class _View(QListView):
    """The list; Page Up and Page Down go from image to image, as on the canvas."""

    def __init__(self, dock: WorkListDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(WIDTH, WIDTH))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.empty = QLabel(_EMPTY, self)
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Keep the sentence of the empty list in the middle."""
        super().resizeEvent(event)
        self.empty.setGeometry(self.viewport().rect().adjusted(8, 0, -8, 0))

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Go on by Page Up and Page Down."""
        if event.key() == Qt.Key.Key_PageDown:
            self._dock.next.click()
        elif event.key() == Qt.Key.Key_PageUp:
            self._dock.previous.click()
        else:
            super().keyPressEvent(event)
