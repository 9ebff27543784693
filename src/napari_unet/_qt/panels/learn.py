"""Learn, how it goes, what came of it, and the way back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QInputDialog,
    QLabel,
    QMenu,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt.panels.parts import fill, row
from napari_unet._qt.plot import LearningPlot
from napari_unet._qt.question import confirmed
from napari_unet._qt.status import colour_as
from napari_unet.models.offload import MAX_BYTES, learned_folder
from napari_unet.progress import format_seconds

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.learning.checks import Checked
    from napari_unet.learning.history import Generation
    from napari_unet.training.config import StepReport

STALE = 15.0
"""Seconds without any gain after which the user is told that there is none."""

CLOCK = 500
"""Milliseconds after which the time that is left is shown again."""


class LearnPanel(QWidget):
    """Learn, pause and stop; the loss and the score; all models so far."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._learner, self._history = controller.learner, controller.history
        self._switch, self._diff = controller.switch, controller.diff
        self.button = QPushButton("Learn")
        self.button.setToolTip("Train the network on your corrections, in the background. You can go on painting.")
        self.pause = QPushButton("Pause")
        self.pause.setCheckable(True)
        self.pause.setToolTip("Pause learning, and continue later.")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop now, and use what was learned so far.")
        self.seconds = QSpinBox()
        self.seconds.setRange(5, 3600)
        self.seconds.setSingleStep(15)
        self.seconds.setValue(round(controller.workspace.learning_seconds))
        self.seconds.setSuffix(" s")
        self.seconds.setToolTip("The longest time for learning. It stops earlier if it gets no better.")
        self.expected = QLabel()
        self.expected.setWordWrap(True)
        self.expected.setToolTip("From how long this computer took so far. Other programs that run make it slower.")
        self.preview = QCheckBox("Preview")
        self.preview.setToolTip("Show every few seconds what the network now finds in view.")
        self.plot = LearningPlot()
        self.news = QLabel()
        self.news.setWordWrap(True)
        self.models = QComboBox()
        self.models.setToolTip(
            "All models so far, with the share that was right before and after. Choose one to use it. "
            f"They are kept in {learned_folder()} (at most {MAX_BYTES / 2**30:.0f} GB)."
        )
        self.models.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.back = QPushButton("Go back")
        self.back.setToolTip("Use the model from before the last learning. The present one stays in the list.")
        self.save = QPushButton("Save model…")
        self.save.setToolTip("Save the model in use under a name; it is then in the list of models.")
        self.delete = QPushButton("Delete")
        self.delete.setToolTip("Delete a learned model that is not in use.")
        self.delete.setMenu(QMenu(self))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(row((self.button, 3), (self.pause, 1), (self.stop, 1)))
        layout.addWidget(row((QLabel("for at most"), 0), (self.seconds, 1), (self.preview, 0)))
        for widget in (self.expected, self.plot, self.news, self.models):
            layout.addWidget(widget)
        layout.addWidget(row((self.back, 1), (self.save, 1), (self.delete, 1)))
        self._clock = QTimer(self)
        self._clock.setInterval(CLOCK)
        self._clock.timeout.connect(self._on_clock)
        self._connect()
        self._on_learning(False)
        self._show_models()

    def _connect(self) -> None:
        controller, switch = self._controller, self._switch
        self.button.clicked.connect(lambda: controller.learn())
        self.pause.toggled.connect(self._on_pause)
        self.stop.clicked.connect(lambda: controller.stop_learning())
        self.back.clicked.connect(lambda: controller.revert())
        self.save.clicked.connect(self._on_save)
        self.delete.menu().aboutToShow.connect(self._show_deletable)
        self.models.activated.connect(switch.go_to)
        self.seconds.valueChanged.connect(self._on_seconds)
        self.preview.toggled.connect(self._on_preview)
        controller.workspace.learning.connect(self._on_learning)
        controller.workspace.stepped.connect(self._on_step)
        controller.workspace.checked.connect(self._on_checked)
        for known in (controller.workspace.model_changed, controller.workspace.device_changed):
            known.connect(self.show_expected)
        controller.workspace.segmented.connect(lambda *_: self.show_expected())
        self._history.changed.connect(self._show_models)

    def _on_seconds(self, value: int) -> None:
        self._controller.workspace.learning_seconds = float(value)
        self.show_expected()

    def show_expected(self) -> None:
        """Show how many steps there is time for, where that is known and it does not learn."""
        estimate = None if self._learner.busy else self._learner.estimate
        self.expected.setVisible(estimate is not None)
        if estimate is not None:
            self.expected.setText(str(estimate))
            colour_as(self.expected, "info" if estimate.enough is None else "warning")

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Take the colours of another theme."""
        if event.type() == QEvent.Type.StyleChange:
            self.show_expected()
        super().changeEvent(event)

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Show what is known by now."""
        self.show_expected()
        super().showEvent(event)

    def _on_preview(self, wanted: bool) -> None:
        self._learner.preview = wanted
        if not wanted and self._learner.busy:
            self._diff.hide()

    def _on_pause(self, paused: bool) -> None:
        self.pause.setText("Go on" if paused else "Pause")
        self._learner.hold(paused)

    def _on_learning(self, running: bool) -> None:
        self.button.setEnabled(not running)
        self.pause.setEnabled(running)
        self.pause.setChecked(False)
        self.stop.setEnabled(running)
        self.seconds.setEnabled(not running)
        self.news.setVisible(running)
        self.news.setText("Reading your corrections…")
        if running:
            self.news.setToolTip(f"On the device {self._learner.device}.")
            self.plot.clear()
            self._clock.start()
        else:
            self._clock.stop()
            self.button.setText("Learn")
        self.show_expected()

    def _on_clock(self) -> None:
        left = self._learner.seconds_left
        self.button.setText(f"Learning: {format_seconds(left)} left" if left else "Checking…")

    def _on_step(self, report: StepReport) -> None:
        self.plot.add(report.loss)
        if not self.plot.scores:
            self.news.setText(
                "Learning. What you reviewed is checked every few seconds, or at the end."
                if self._learner.reviewed
                else "Review a field to see here whether it gets better."
            )

    def _on_checked(self, checked: Checked) -> None:
        compared, stale = checked.comparison, checked.stale_seconds
        self.plot.add_score(
            compared.before, compared.after, compared.before + compared.low, compared.before + compared.high
        )
        news = f"{compared.after:.0%} right in what you reviewed, {compared.before:.0%} before."
        if stale > STALE:
            news = f"No better for {format_seconds(stale)}: correct something new. N shows where."
        self.news.setText(news)
        self.news.setToolTip(str(compared))

    def _show_models(self) -> None:
        history = self._history
        names = _names(history.generations)
        fill(self.models, names, history.current)
        self.models.setVisible(len(names) > 1)
        self.back.setEnabled(history.earlier is not None)
        self.save.setEnabled(self._controller.model is not None)
        self.delete.setVisible(any(generation.learned for generation in history.generations))
        self.delete.setEnabled(any(map(history.can_delete, history.generations)))

    def _show_deletable(self) -> None:
        """Offer the models that can be deleted."""
        history, menu = self._history, self.delete.menu()
        menu.clear()
        for generation, name in zip(history.generations, _names(history.generations), strict=True):
            if history.can_delete(generation):
                menu.addAction(name).triggered.connect(partial(self._on_delete, generation, name))

    def _on_delete(self, generation: Generation, name: str, *_: object) -> None:
        """Ask, and delete a model."""
        delete = confirmed(self, "Delete?", f"Delete the model {name}?", "It cannot be brought back.", "Delete")
        if delete and generation in self._history.generations:
            self._switch.delete(self._history.generations.index(generation))

    def _on_save(self) -> None:
        name, accepted = QInputDialog.getText(self, "Save model", "Name of the model:")
        if accepted and name.strip():
            self._controller.save(name)


def _names(history: list[Generation]) -> list[str]:
    """Return how the models are listed: numbered, each with where it comes from unless that is the one above it."""
    names = [f"{number}: {generation}" for number, generation in enumerate(history, start=1)]
    for index, generation in enumerate(history):
        before = generation.before
        if (
            generation.learned
            and before is not None
            and before in history
            and (index == 0 or before is not history[index - 1])
        ):
            names[index] += f", from {history.index(before) + 1}"
        if not generation.used:
            names[index] += ", not used"
    return names
