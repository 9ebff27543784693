"""The row with a question, and a button for each answer: what the planes of a stack are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller


class AxesQuestionRow(QWidget):
    """Shown only while there is something to ask (`layers.inference.axes_question`)."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._question = controller.axes_question
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        for text, axes in (("Depth (Z)", "ZYX"), ("Time (T)", "TYX"), ("Channels (C)", "CYX")):
            button = self.buttons[axes] = QPushButton(text)
            button.setToolTip("The same is assumed for the other stacks of this folder. Axes changes it.")
            button.clicked.connect(partial(self._answer, axes))
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label)
        layout.addLayout(row)
        self._question.changed.connect(self._show)
        self._show()

    def _answer(self, axes: str, _: bool = False) -> None:
        self._question.answer(axes)

    def _show(self) -> None:
        text, choices = self._question.text, self._question.choices
        self.label.setText(text)
        for axes, button in self.buttons.items():
            button.setVisible(axes in choices.values())
        self.setVisible(bool(text))
