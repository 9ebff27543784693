"""Which image, which model, where to compute, and where it is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QGroupBox, QSpinBox, QWidget
from superqt.utils import signals_blocked

from napari_unet._qt.new_model import NewModelDialog
from napari_unet._qt.panels.parts import fill
from napari_unet._qt.panels.project import ProjectRow
from napari_unet.layers import adapter

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller

NEW_MODEL = "New model…"
FROM_FILE = "From a file…"


class _Diameter(QSpinBox):
    """A diameter in pixels, or 0 for "auto"; its arrows go on from what "auto" comes to."""

    taken = 0

    def stepBy(self, steps: int) -> None:  # noqa: N802 - Qt's name
        """Step up or down."""
        if self.value() == 0 and self.taken:
            self.setValue(max(1, self.taken + steps))
        else:
            super().stepBy(steps)


class ImagePanel(QGroupBox):
    """Which image, which model, where to compute, and where it is saved."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Image and model", parent)
        self._controller = controller
        self.image = QComboBox()
        self.image.setToolTip("The image to segment: the layer that you select in the layer list.")
        self.axes = QComboBox()
        self.axes.setToolTip("What the image's axes mean: T time, C channel, Z depth, Y height, X width.")
        self.channel = QComboBox()
        self.channel.setToolTip("The channel to segment.")
        self.diameter = _Diameter()
        self.diameter.setRange(0, 9999)
        self.diameter.setSuffix(" px")
        self.diameter.setKeyboardTracking(False)  # a number is meant when it is typed to its end
        self.model = QComboBox()
        self.model.setToolTip("The network to segment with: a shipped one, or one of your own.")
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
        self._form.insertRow(self._form.rowCount() - 1, "Object diameter", self.diameter)
        self.project = ProjectRow(controller)
        self._form.insertRow(0, "Files", self.project)
        self._fill_devices()
        self.image.activated.connect(self._on_image)
        self.axes.textActivated.connect(controller.set_axes)
        self.channel.activated.connect(self._on_channel)
        self.diameter.valueChanged.connect(self._on_diameter)
        self.model.textActivated.connect(self._on_model)
        self.device.textActivated.connect(self._on_device)
        controller.workspace.image_changed.connect(self.show_image)
        controller.workspace.model_changed.connect(self.show_models)
        controller.saved_models.changed.connect(self.show_models)
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
        fill(self.image, names or ["no image open"], max(current, 0))
        self.image.setEnabled(bool(names))
        axes = controller.axes
        choices = adapter.axes_choices(layer) if axes else []
        fill(self.axes, choices, choices.index(axes) if axes in choices else 0)
        self._form.setRowVisible(self.axes, len(choices) > 1)
        n_channels = self._channels(layer, axes)
        fill(self.channel, [f"Channel {i}" for i in range(n_channels)], controller.workspace.channel or 0)
        self._form.setRowVisible(self.channel, n_channels > 1)
        self._show_diameter()

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
        self._show_diameter()

    def _show_diameter(self) -> None:
        """Show how wide the objects are said to be, or what is taken for it where nothing is said."""
        diameter = self._controller.object_diameter
        known, found, best = diameter.learned, diameter.found, diameter.best
        auto = "auto" if known is None else f"auto: {known:.0f} px"
        with signals_blocked(self.diameter):
            self.diameter.setSpecialValueText(auto if found is None else f"auto: ~{found:.0f} px")
            self.diameter.taken = round(found or known or 0)
            self.diameter.setValue(round(diameter.said or 0))
        self._form.setRowVisible(self.diameter, diameter.matters)
        finds = "" if best is None else f" This model finds those of about {best:.0f} pixels best."
        self.diameter.setToolTip(f"How wide the objects are in this image. 'auto': the plugin finds out.{finds}")

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

        fill(self.device, ["auto", *available_devices()], 0)

    def _on_image(self, index: int) -> None:
        images = [layer for layer in self._controller.viewer.layers if adapter.is_image_layer(layer)]
        if index < len(images):
            self._controller.viewer.layers.selection.active = images[index]

    def _on_channel(self, index: int) -> None:
        self._controller.workspace.channel = index

    def _on_diameter(self, value: int) -> None:
        self._controller.object_diameter.say(float(value) or None)

    def _on_device(self, name: str) -> None:
        self._controller.workspace.device = name

    def _on_model(self, name: str) -> None:
        if name == NEW_MODEL:
            dialog = NewModelDialog(self._controller, self)
            if dialog.exec():
                self._controller.new_model(*dialog.choice)
            name = ""
        elif name == FROM_FILE:
            name, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Models (*.safetensors)")
        model = self._controller.model
        in_use_only = model is not None and name == model.name and name not in self._controller.model_names()
        if name and not in_use_only:
            self._controller.choose_model(name)
        self.show_models()
