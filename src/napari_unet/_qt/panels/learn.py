"""Learn, how it goes, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGroupBox, QHBoxLayout, QInputDialog, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_unet._qt.plot import LossPlot

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.learning.session import StepReport


class LearnPanel(QGroupBox):
    """Learn, the loss, back to the earlier model, and save."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Learn", parent)
        self._controller = controller
        self.button = QPushButton("Learn")
        self.button.setToolTip("Train the network on your corrections, in the background; go on painting meanwhile.")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop after this step, and use what was learned so far.")
        self.stop.setEnabled(False)
        self.seconds = QSpinBox()
        self.seconds.setRange(5, 3600)
        self.seconds.setSingleStep(15)
        self.seconds.setValue(round(controller.learning_seconds))
        self.seconds.setSuffix(" s")
        self.seconds.setToolTip("How long one learning may take.")
        self.plot = LossPlot()
        self.back = QPushButton("Go back")
        self.back.setToolTip("Return to the model before the last learning.")
        self.back.setEnabled(False)
        self.save = QPushButton("Save model…")
        self.save.setToolTip("Keep the model in use under a name; it then stands in the list of models.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.button, 3)
        buttons.addWidget(self.stop, 1)
        limit = QHBoxLayout()
        limit.addWidget(QLabel("for at most"))
        limit.addWidget(self.seconds, 1)
        more = QHBoxLayout()
        more.addWidget(self.back)
        more.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addLayout(limit)
        layout.addWidget(self.plot)
        layout.addLayout(more)
        self.button.clicked.connect(lambda: controller.learn())
        self.stop.clicked.connect(lambda: controller.stop_learning())
        self.back.clicked.connect(lambda: controller.revert())
        self.save.clicked.connect(self._on_save)
        self.seconds.valueChanged.connect(self._on_seconds)
        controller.learning.connect(self._on_learning)
        controller.stepped.connect(self._on_step)
        controller.model_changed.connect(self._on_model)
        self._on_model()

    def _on_seconds(self, value: int) -> None:
        self._controller.learning_seconds = float(value)

    def _on_learning(self, running: bool) -> None:
        self.button.setEnabled(not running)
        self.stop.setEnabled(running)
        self.seconds.setEnabled(not running)
        if running:
            self.plot.clear()

    def _on_step(self, report: StepReport) -> None:
        self.plot.add(report.loss)

    def _on_model(self) -> None:
        self.back.setEnabled(self._controller.can_revert)
        self.save.setEnabled(self._controller.model is not None)

    def _on_save(self) -> None:
        name, accepted = QInputDialog.getText(self, "Save model", "Name of the model:")
        if accepted and name.strip():
            self._controller.save(name)
