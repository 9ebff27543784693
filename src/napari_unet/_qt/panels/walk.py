"""The walk from suspect to suspect: which of how many, why it is one, and the buttons that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

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
        self._keys = controller.workspace.keys
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.where.setMinimumHeight(2 * self.where.fontMetrics().lineSpacing())  # what is below does not jump
        self.previous = QPushButton()
        self.previous.setToolTip("Go back to the object before.")
        self.accept = QPushButton()
        self.accept.setToolTip(
            "This object is right: it is marked as reviewed and learned from. Then go on. "
            "Pressed on a reviewed object, it takes that back."
        )
        self.next = QPushButton()
        self.goes_on = QCheckBox("Go on after a correction")
        self.goes_on.setToolTip("Show the next object by itself, a moment after a gesture has corrected this one.")
        self.goes_on.setChecked(self._walk.goes_on)
        buttons = QHBoxLayout()
        buttons.setSpacing(2)
        for button in (self.previous, self.accept, self.next):
            buttons.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.where)
        layout.addLayout(buttons)
        layout.addWidget(self.goes_on)
        self.goes_on.toggled.connect(self._on_goes_on)
        self.previous.clicked.connect(lambda: self._walk.previous())
        self.accept.clicked.connect(lambda: self._walk.accept())
        self.next.clicked.connect(lambda: self._list_walk.next())
        self._walk.changed.connect(self._show)
        self._list_walk.changed.connect(self._show)
        self._keys.changed.connect(self._show_keys)
        self._show_keys()
        self._show()

    def _on_goes_on(self, checked: bool) -> None:
        self._walk.goes_on = checked

    def _show_keys(self) -> None:
        """Show which keys do the same as the buttons."""
        beside, every = self._keys.beside, self._keys.of("next_object")
        self.previous.setText(beside("Previous", "previous_object"))
        self.accept.setText(beside("Accept", "accept_object"))
        self._show_next()
        tip = "Go to the next object that is likely to be wrong, or where one may be missing."
        self.next.setToolTip(f"{tip} {every} goes through all other objects, too." if every else tip)

    def _show_next(self) -> None:
        """Show whether the next step leads to another image."""
        text = "Next image" if self._list_walk.onward is not None else "Next"
        self.next.setText(self._keys.beside(text, "next_suspect"))

    def _show(self) -> None:
        """Show where the walk is."""
        self._show_next()
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
