"""Which image, which model, and where both are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QPushButton, QWidget

from napari_unet._qt.model_gallery import ModelGallery
from napari_unet._qt.new_model import NewModelDialog
from napari_unet._qt.panels.axes_question import AxesQuestionRow
from napari_unet._qt.panels.parts import fill, row
from napari_unet._qt.panels.project import ProjectRow
from napari_unet.layers.image import adapter

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller

NEW_MODEL = "New model…"
FROM_FILE = "From a file…"


class ImagePanel(QWidget):
    """Which image, which model, and where both are saved."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.image = QComboBox()
        self.image.setToolTip("The image to segment: the layer that you select in the layer list.")
        self.axes = QComboBox()
        self.axes.setToolTip("What the image's axes mean: T time, C channel, Z depth, Y height, X width.")
        self.channel = QComboBox()
        self.channel.setToolTip("The channel to segment.")
        self.model = QComboBox()
        self.model.setToolTip("The network to segment with: a shipped one, or one of your own.")
        self.which = QPushButton("Which model?")
        self.which.setToolTip("Try all models on what is in view, and choose by what they find.")
        self.gallery = ModelGallery(controller, self._make_model, self)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(4, 4, 4, 4)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for label, widget in (
            ("Image", self.image),
            ("Axes", self.axes),
            ("Channel", self.channel),
            ("Model", self.model),
        ):
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            widget.setMinimumContentsLength(8)
            self._form.addRow(label, row((widget, 1), (self.which, 0)) if widget is self.model else widget)
        self.question = AxesQuestionRow(controller)
        self._form.insertRow(self._form.getWidgetPosition(self.axes)[0] + 1, self.question)
        self.project = ProjectRow(controller)
        self._form.insertRow(0, "Files", self.project)
        self.image.activated.connect(self._on_image)
        self.axes.textActivated.connect(controller.set_axes)
        self.channel.activated.connect(self._on_channel)
        self.model.textActivated.connect(self._on_model)
        self.which.clicked.connect(self.gallery.ask)
        controller.workspace.image_changed.connect(self.show_image)
        controller.workspace.model_changed.connect(self.show_models)
        controller.saved_models.changed.connect(self.show_models)
        for event in self._layer_events():
            event.connect(self.show_image)
        self.show_image()
        self.show_models()

    def release(self) -> None:
        """Let go of the viewer."""
        self.gallery.release()
        for event in self._layer_events():
            event.disconnect(self.show_image)

    def show_image(self, event: Any = None) -> None:
        """Show the chosen image and what can be chosen of it."""
        controller, layer = self._controller, self._controller.layer
        images = [found for found in controller.viewer.layers if adapter.is_image_layer(found)]
        names = [str(image.name) for image in images]
        current = images.index(layer) if layer in images else -1
        fill(self.image, names or ["no image open"], max(current, 0))
        self.image.setEnabled(bool(names))
        axes = controller.axes
        choices = adapter.axes_choices(layer) if axes else []
        fill(self.axes, choices, choices.index(axes) if axes in choices else 0)
        self._form.setRowVisible(self.axes, len(choices) > 1)
        n_channels = self._channels(layer, axes)
        fill(self.channel, [f"Channel {i}" for i in range(n_channels)], controller.workspace.channel or 0)
        self._form.setRowVisible(self.channel, n_channels > 1)

    def show_models(self) -> None:
        """Show the models that can be chosen, and the one in use."""
        names = self._controller.model_names()
        model = self._controller.model
        if model is not None and model.name not in names:
            names.append(model.name)
        current = names.index(model.name) if model is not None else 0
        fill(self.model, [*names, NEW_MODEL, FROM_FILE], current)
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

    def _on_image(self, index: int) -> None:
        images = [layer for layer in self._controller.viewer.layers if adapter.is_image_layer(layer)]
        if index < len(images):
            self._controller.viewer.layers.selection.active = images[index]

    def _on_channel(self, index: int) -> None:
        self._controller.workspace.choose_channel(index)

    def _on_model(self, name: str) -> None:
        if name == NEW_MODEL:
            self._make_model()
            name = ""
        elif name == FROM_FILE:
            name, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Models (*.safetensors)")
        model = self._controller.model
        in_use_only = model is not None and name == model.name and name not in self._controller.model_names()
        if name and not in_use_only:
            self._controller.choose_model(name)
        self.show_models()

    def _make_model(self) -> None:
        """Ask what a new model is to find, and make it."""
        dialog = NewModelDialog(self._controller, self)
        if dialog.exec():
            self._controller.new_model(*dialog.choice)
