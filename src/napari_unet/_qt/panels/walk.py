"""The walk from suspect to suspect: which of how many, why it is one, and the buttons that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller


class WalkPanel(QWidget):
    """Leads through the objects that are likely to be wrong.

    Parameters
    ----------
    controller : Controller
    """

    HINT = "<b>Next</b> goes to the object that is most likely to be wrong. Accept it, or correct it."

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._walk, self._list_walk = controller.walk, controller.list_walk
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.where.setMinimumHeight(2 * self.where.fontMetrics().lineSpacing())  # what is below does not jump
        self.previous = QPushButton("Previous  (⇧P)")
        self.previous.setToolTip("Go back to the object before. Key: Shift+P.")
        self.accept = QPushButton("Accept  (A)")
        self.accept.setToolTip(
            "This object is right: it is marked as reviewed and learned from. Then go on. "
            "Pressed on a reviewed object, it takes that back."
        )
        self.next = QPushButton("Next  (N)")
        self.next.setToolTip(
            "Go to the next object that is likely to be wrong, or where one may be missing. "
            "Shift+N goes through all other objects, too."
        )
        buttons = QHBoxLayout()
        buttons.setSpacing(2)
        for button in (self.previous, self.accept, self.next):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.where)
        layout.addLayout(buttons)
        self.previous.clicked.connect(lambda: self._walk.previous())
        self.accept.clicked.connect(lambda: self._walk.accept())
        self.next.clicked.connect(lambda: self._list_walk.next())
        self._walk.changed.connect(self._show)
        self._list_walk.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        """Show where the walk is."""
        self.next.setText("Next image  (N)" if self._list_walk.onward is not None else "Next  (N)")
        progress = self._walk.progress
        shown = progress is not None
        self.accept.setEnabled(shown)
        self.previous.setEnabled(shown)
        if progress is None:
            self.where.setText(self.HINT)
            return
        more = " so far" if progress.open else ""
        done = " <i>Done.</i>" if self._walk.settled else ""
        self.where.setText(f"<b>{progress.number} of {progress.total}{more}</b>: {self._walk.reason}.{done}")
