"""The window behind "Which model?": what each model finds in the field in view, the best guess first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
)

from napari_unet._qt.thumbnails import as_icon

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

    from napari_unet.layers.controller import Controller

PICTURE = 232
"""Width of a picture on the screen, pixels."""
FRAME = 4
"""Width of the frame around the one that is selected, pixels."""
_ROOM = QSize(PICTURE + 20, PICTURE + 64)
"""Of a picture with three lines of words below."""
_COLUMNS = 3
_SELECTED = "#4b7bec"
"""Colour of the frame around the picture that is selected: seen on light and on dark."""
_NAME = Qt.ItemDataRole.UserRole


class ModelGallery(QDialog):
    """Shows what each model finds in the field in view; one of them is chosen by a click.

    Parameters
    ----------
    controller : Controller
    new_model : callable
        Opens the dialog for a new model.
    """

    def __init__(self, controller: Controller, new_model: Callable[[], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._gallery, self._controller = controller.gallery, controller
        self.setWindowTitle("Which model?")
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setIconSize(QSize(PICTURE, PICTURE))
        self.list.setGridSize(_ROOM)
        self.list.setWordWrap(True)
        self.use_and_segment = QPushButton("Use and segment")
        self.use_and_segment.setToolTip("Segment the image with the model that is selected.")
        self.use_and_segment.setDefault(True)
        self.use = QPushButton("Use")
        self.use.setToolTip("Take the model that is selected, and segment later.")
        self.new = QPushButton("New model…")
        self.new.setToolTip("If none fits: a model that learns from what you paint.")
        self.shut = QPushButton("Close")
        buttons = QHBoxLayout()
        for button in (self.use_and_segment, self.use, self.new):
            buttons.addWidget(button)
        buttons.addStretch(1)
        buttons.addWidget(self.shut)
        layout = QVBoxLayout(self)
        layout.addWidget(self.label)
        layout.addWidget(self.list, 1)
        layout.addLayout(buttons)
        self._picked = ""  # by the user; empty: the best guess is selected
        self.list.itemClicked.connect(self._on_clicked)
        self.list.itemActivated.connect(lambda _: self._take(segment=True))
        self.list.currentItemChanged.connect(lambda *_: self._enable())
        self.use_and_segment.clicked.connect(lambda: self._take(segment=True))
        self.use.clicked.connect(lambda: self._take(segment=False))
        self.new.clicked.connect(self.close)
        self.new.clicked.connect(lambda: new_model())
        self.shut.clicked.connect(self.close)
        self._gallery.changed.connect(self._show)
        controller.workspace.layer_chosen.connect(self._on_layer)

    def ask(self) -> None:
        """Try all models on what is in view now, and show what they find."""
        self._picked = ""
        self._gallery.start()
        rows = 1 if len(self._gallery.waiting) + len(self._gallery.cards) <= _COLUMNS else 2
        self.resize(_COLUMNS * _ROOM.width() + 60, rows * _ROOM.height() + 110)
        self.show()
        self._show()
        self.raise_()
        self.list.setFocus()

    def selected(self) -> str:
        """Return the name of the model that is selected; empty: none."""
        item = self.list.currentItem()
        return str(item.data(_NAME)) if item is not None else ""

    def release(self) -> None:
        """Let go of the controller."""
        self._gallery.changed.disconnect(self._show)
        self._controller.workspace.layer_chosen.disconnect(self._on_layer)
        self.close()

    def done(self, result: int) -> None:
        """Stop trying when the window is closed, in whichever way."""
        self._gallery.stop()
        super().done(result)

    def closeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Stop trying when the window is closed, in whichever way."""
        self._gallery.stop()
        super().closeEvent(event)

    def _on_layer(self) -> None:
        if self.isVisible():
            self._picked = ""
            self._gallery.start()

    def _on_clicked(self, item: QListWidgetItem) -> None:
        self._picked = str(item.data(_NAME))

    def _show(self) -> None:
        """Show the cards there are, the best first; what the user has clicked stays selected."""
        if not self.isVisible():
            return
        gallery, model = self._gallery, self._controller.model
        self.label.setText(gallery.in_words)
        self.list.clear()
        for card in gallery.cards:
            used = " (in use)" if model is not None and model.name == card.name else ""
            item = QListWidgetItem(_icon(card.picture), f"{card.name}{used}\n{card.words}")
            item.setData(_NAME, card.name)
            item.setToolTip(card.tip)
            if card.trial.problem:
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(item)
            if card.name == (self._picked or gallery.cards[0].name):
                self.list.setCurrentItem(item)
        self._enable()

    def _enable(self) -> None:
        item = self.list.currentItem()
        usable = item is not None and bool(item.flags() & Qt.ItemFlag.ItemIsEnabled)
        for button in (self.use, self.use_and_segment):
            button.setEnabled(usable)

    def _take(self, *, segment: bool) -> None:
        name = self.selected()
        if name:
            self.close()
            self._gallery.use(name, segment=segment)


def _icon(picture: NDArray[np.uint8]) -> QIcon:
    height, width = picture.shape[:2]
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    scaled = QPixmap.fromImage(image).scaled(
        PICTURE, PICTURE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
    framed = scaled.copy()
    painter = QPainter(framed)
    painter.setPen(QPen(QColor(_SELECTED), 2 * FRAME))
    painter.drawRect(framed.rect())
    painter.end()
    return as_icon(scaled, framed)
