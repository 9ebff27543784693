"""What was not saved before napari ended: taken up again, or let go of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet._qt.panels.parts import row
from napari_unet.projects.recovery import DAYS_KEPT, MIN_KEPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.layers.controller import Controller
    from napari_unet.projects.recovery import LeftBehind


class RecoveryBox(QWidget):
    """Offers the newest of what was left behind; it is hidden where there is nothing."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recovery, self._projects = controller.recovery, controller.projects
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.recover = QPushButton("Recover")
        self.recover.setToolTip("Open it as it was a few seconds before the end, with its models. Then save it.")
        self.discard = QPushButton("Discard")
        self.discard.setToolTip(
            f"Delete it. Saved projects are not changed. After {DAYS_KEPT} days only the newest {MIN_KEPT} are kept."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(row((self.recover, 1), (self.discard, 1)))
        self.recover.clicked.connect(lambda: self._with_newest(self._recovery.recover))
        self.discard.clicked.connect(lambda: self._with_newest(self._recovery.discard))
        self._recovery.changed.connect(self.refresh)
        self._projects.changed.connect(self.refresh)
        self.refresh()

    def _with_newest(self, do: Callable[[LeftBehind], None]) -> None:
        """Do something with the newest copy; another window may have taken up the last one."""
        if self._recovery.left:
            do(self._recovery.left[0])

    def refresh(self) -> None:
        """Show what can be taken up."""
        left = self._recovery.left
        self.setVisible(bool(left))
        if left:
            more = f" And {len(left) - 1} more." if len(left) > 1 else ""
            self.text.setText(f"Not saved: <b>{_plain(str(left[0]))}</b>.{more}")
        for button in (self.recover, self.discard):
            button.setEnabled(not self._projects.busy)


def _plain(text: str) -> str:
    """Return a name so that no letter of it is taken for formatting."""
    return text.replace("&", "&amp;").replace("<", "&lt;")
