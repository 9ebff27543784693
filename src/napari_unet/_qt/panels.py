"""The four panels of the dock. Each shows what the controller tells and hands intents back; none computes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_unet._qt.plot import LossPlot
from napari_unet.layers import adapter
from napari_unet.progress import Progress, format_seconds

if TYPE_CHECKING:
    from napari_unet.corrections.corrections import Summary
    from napari_unet.layers.controller import Controller, Scope
    from napari_unet.learning.session import StepReport

FROM_FILE = "From a file…"


class ImagePanel(QGroupBox):
    """Which image, which model, where to compute."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Image and model", parent)
        self._controller = controller
        self.image = QComboBox()
        self.image.setToolTip("The image to be segmented. It follows the layer that you select in the layer list.")
        self.axes = QComboBox()
        self.axes.setToolTip("What the image's axes mean: T time, C channel, Z depth, Y height, X width.")
        self.channel = QComboBox()
        self.channel.setToolTip("The channel to be segmented.")
        self.model = QComboBox()
        self.model.setToolTip("The network to segment with: one that came with the program, or one of your own.")
        self.device = QComboBox()
        self.device.setToolTip("Where to compute. 'auto' takes a graphics card if there is one.")
        self._form = QFormLayout(self)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for label, widget in (
            ("Image", self.image),
            ("Axes", self.axes),
            ("Channel", self.channel),
            ("Model", self.model),
            ("Device", self.device),
        ):
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            widget.setMinimumContentsLength(8)
            self._form.addRow(label, widget)
        self._fill_devices()
        self.image.activated.connect(self._on_image)
        self.axes.textActivated.connect(controller.set_axes)
        self.channel.activated.connect(self._on_channel)
        self.model.textActivated.connect(self._on_model)
        self.device.textActivated.connect(self._on_device)
        controller.image_changed.connect(self.show_image)
        controller.model_changed.connect(self.show_models)
        for event in self._layer_events():
            event.connect(self.show_image)
        self.show_image()
        self.show_models()

    def release(self) -> None:
        """Let go of the viewer."""
        for event in self._layer_events():
            event.disconnect(self.show_image)

    def show_image(self, event: Any = None) -> None:
        """Show the chosen image and what can be chosen of it."""
        controller, layer = self._controller, self._controller.layer
        images = [found for found in controller.viewer.layers if adapter.is_image_layer(found)]
        names = [str(image.name) for image in images]
        current = images.index(layer) if layer in images else -1
        _fill(self.image, names or ["no image open"], max(current, 0))
        self.image.setEnabled(bool(names))
        axes = controller.axes
        choices = adapter.axes_choices(layer) if axes else []
        _fill(self.axes, choices, choices.index(axes) if axes in choices else 0)
        self._form.setRowVisible(self.axes, len(choices) > 1)
        n_channels = self._channels(layer, axes)
        _fill(self.channel, [f"Channel {i}" for i in range(n_channels)], controller.channel or 0)
        self._form.setRowVisible(self.channel, n_channels > 1)

    def show_models(self) -> None:
        """Show the models that can be chosen, and the one in use."""
        names = self._controller.model_names()
        model = self._controller.model
        if model is not None and model.name not in names:
            names.append(model.name)
        current = names.index(model.name) if model is not None else 0
        _fill(self.model, [*names, FROM_FILE], current)
        if model is not None:
            self.model.setToolTip(model.info.description or model.name)

    def _layer_events(self) -> tuple[Any, ...]:
        events = self._controller.viewer.layers.events
        return events.inserted, events.removed, events.reordered, events.renamed

    @staticmethod
    def _channels(layer: Any, axes: str | None) -> int:
        if layer is None or not axes or layer.rgb or "C" not in axes:
            return 1
        return int(adapter.level_zero(layer).shape[axes.index("C")])

    def _fill_devices(self) -> None:
        from napari_unet.models.model import available_devices

        _fill(self.device, ["auto", *available_devices()], 0)

    def _on_image(self, index: int) -> None:
        images = [layer for layer in self._controller.viewer.layers if adapter.is_image_layer(layer)]
        if index < len(images):
            self._controller.viewer.layers.selection.active = images[index]

    def _on_channel(self, index: int) -> None:
        self._controller.channel = index

    def _on_device(self, name: str) -> None:
        self._controller.device = name

    def _on_model(self, name: str) -> None:
        if name == FROM_FILE:
            name, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Models (*.safetensors)")
        if name:
            self._controller.choose_model(name)
        self.show_models()


class SegmentPanel(QGroupBox):
    """Segment, stop, and how far it has come."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Segment", parent)
        self._controller = controller
        self.button = QPushButton("Segment")
        self.button.setToolTip("Find the objects in the image. What you have corrected or reviewed is never changed.")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop at once. What is finished stays.")
        self.stop.setEnabled(False)
        self.scope = QComboBox()
        self.scope.setToolTip("How much is segmented. What you look at always comes first.")
        self.bar = QProgressBar()
        self.bar.setFormat("not begun")
        self.bar.setRange(0, 1)
        self.bar.setValue(0)  # without a value it shows no text
        buttons = QHBoxLayout()
        buttons.addWidget(self.button, 3)
        buttons.addWidget(self.stop, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addWidget(self.scope)
        layout.addWidget(self.bar)
        self.button.clicked.connect(lambda: controller.segment())
        self.stop.clicked.connect(lambda: controller.stop_segmenting())
        self.scope.activated.connect(self._on_scope)
        controller.segmenting.connect(self._on_segmenting)
        controller.progressed.connect(self._on_progress)
        controller.image_changed.connect(self._show_scope)
        self._show_scope()

    def _show_scope(self) -> None:
        stack = bool(set(self._controller.axes or "") & {"T", "Z"})
        self._scopes: list[Scope] = ["stack", "slice", "view"] if stack else ["stack", "view"]
        names = {"stack": "Whole stack" if stack else "Whole image", "slice": "This slice", "view": "What is in view"}
        if self._controller.scope not in self._scopes:
            self._controller.scope = "stack"
        _fill(self.scope, [names[scope] for scope in self._scopes], self._scopes.index(self._controller.scope))

    def _on_scope(self, index: int) -> None:
        self._controller.scope = self._scopes[index]

    def _on_segmenting(self, running: bool) -> None:
        self.button.setEnabled(not running)
        self.stop.setEnabled(running)
        if running:
            self.bar.setRange(0, 0)
            self.bar.setFormat("")
        else:
            done, total = max(0, self.bar.value()), self.bar.maximum()
            self.bar.setRange(0, max(1, total))
            self.bar.setValue(done)
            if not done:
                self.bar.setFormat("stopped")
            elif done < total:
                self.bar.setFormat(f"stopped after {done} of {total} tiles")

    def _on_progress(self, progress: Progress) -> None:
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        left = progress.remaining
        rest = f", {format_seconds(left)} left" if left and progress.done < progress.total else ""
        self.bar.setFormat(f"{progress.done} of {progress.total} tiles{rest}")


class CorrectPanel(QGroupBox):
    """What was corrected, and the field in view marked as reviewed."""

    HINT = "Paint, erase, fill or undo on the result as in any napari labels layer. Every edit is a correction."

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Correct", parent)
        hint = QLabel(self.HINT)
        hint.setWordWrap(True)
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.reviewed = QPushButton("Reviewed  (R)")
        self.reviewed.setToolTip(
            "Everything in view is right as it is now: what agrees counts for learning too, and no later segmentation "
            "changes it. Press again to take it back."
        )
        layout = QVBoxLayout(self)
        for widget in (hint, self.counts, self.reviewed):
            layout.addWidget(widget)
        self.reviewed.clicked.connect(lambda: controller.toggle_reviewed())
        controller.corrected.connect(self.show_summary)
        controller.image_changed.connect(lambda: self.show_summary(None))
        self.show_summary(None)

    def show_summary(self, summary: Summary | None) -> None:
        """Show how much was corrected and reviewed."""
        if summary is None or not summary.anything:
            self.counts.setText("<i>Nothing corrected or reviewed yet.</i>")
            return
        corrected = "Nothing corrected"
        if summary.corrected_pixels:
            pixels, objects = _count(summary.corrected_pixels, "pixel"), _count(summary.corrected_objects, "object")
            corrected = f"<b>{pixels}</b> corrected in <b>{objects}</b>"
        share = summary.reviewed_share
        percent = f"{share:.0%}" if share >= 0.01 or not share else "less than 1%"
        self.counts.setText(f"{corrected}; <b>{percent}</b> of the image reviewed.")


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


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _fill(box: QComboBox, texts: list[str], current: int) -> None:
    """Set the entries of a combo box without telling anybody."""
    blocker = QSignalBlocker(box)
    box.clear()
    box.addItems(texts)
    for index, text in enumerate(texts):
        box.setItemData(index, text, Qt.ItemDataRole.ToolTipRole)
    if texts:
        box.setCurrentIndex(current)
    blocker.unblock()
