"""What a new model changes, and whether it is kept: buttons that are there when there is something to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_unet._qt.panels.parts import row
from napari_unet.layers.learning.model_diff import AFTER, BEFORE

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller


class DecisionBar(QWidget):
    """Whether a learned model that waits is used; and of one in use, whether its changes in view are right.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._learner, self._history, self._diff = controller.learner, controller.history, controller.diff
        self.use = QPushButton("Use it anyway")
        self.use.setToolTip("Use the new model, although it is not known to be better.")
        self.drop = QPushButton("Do not use it")
        self.drop.setToolTip("Go on with the model in use. The new one stays in the list under Learn.")
        self.waiting = row((self.use, 1), (self.drop, 1))
        self.legend = QLabel()
        self.legend.setWordWrap(True)
        self.legend.setToolTip("What the new model changes in view.")
        self.show_changes = QCheckBox("Changes")
        self.show_changes.setToolTip(
            "Outline what the new model changes in view. Filled: new, or gone. Outlines that hardly move are left out."
        )
        self.compare = QPushButton("Compare (hold)")
        self.compare.setToolTip("While you hold this down, the image shows the result of the other model.")
        self.looking = row((self.show_changes, 1), (self.compare, 1))
        self.keep = QPushButton("Keep")
        self.keep.setToolTip("The changes in view are right: mark them as reviewed.")
        self.refuse = QPushButton("Take back")
        self.refuse.setToolTip("The changes in view are wrong: restore what was there, as corrections.")
        self.changes = row((self.keep, 1), (self.refuse, 1))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 0)
        for widget in (self.legend, self.looking, self.waiting, self.changes):
            layout.addWidget(widget)
        switch = controller.switch
        self.use.clicked.connect(lambda: switch.use())
        self.drop.clicked.connect(lambda: switch.drop())
        self.keep.clicked.connect(lambda: switch.keep_changes())
        self.refuse.clicked.connect(lambda: switch.refuse_changes())
        self.show_changes.toggled.connect(self._on_show_changes)
        self.compare.pressed.connect(lambda: self._diff.show_other(True))
        self.compare.released.connect(lambda: self._diff.show_other(False))
        controller.workspace.learning.connect(self._show)
        self._history.changed.connect(self._show)
        self._diff.changed.connect(self._show)
        self._show()

    def _show(self, _: object = None) -> None:
        waits = self._history.waiting is not None
        changed = self._diff.any and not self._learner.busy and not waits
        self.waiting.setVisible(waits)
        self.changes.setVisible(changed)
        self.looking.setVisible(self._diff.any and not self._learner.busy)
        self.legend.setVisible(self._diff.any)
        said = self._diff.sentence or "hardly anything changes"
        self.legend.setText(
            f"<span style='color:{BEFORE}'>■</span> before &nbsp; <span style='color:{AFTER}'>■</span> after "
            f"&nbsp; {said}"
        )
        self.setVisible(waits or self._diff.any)
        self.show_changes.setChecked(self._diff.visible)

    def _on_show_changes(self, wanted: bool) -> None:
        if wanted != self._diff.visible:
            self._diff.visible = wanted
