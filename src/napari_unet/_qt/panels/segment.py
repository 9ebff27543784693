"""Segment and stop: how much, where to compute, and how wide the objects are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_unet._qt.panels.decoding import DecodingSlidersPanel
from napari_unet._qt.panels.parts import fill

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.layers.workspace import Scope


class _Diameter(QSpinBox):
    """A diameter in pixels, or 0 for "auto"; its arrows go on from what "auto" comes to."""

    taken = 0

    def stepBy(self, steps: int) -> None:  # noqa: N802 - Qt's name
        """Step up or down."""
        if self.value() == 0 and self.taken:
            self.setValue(max(1, self.taken + steps))
        else:
            super().stepBy(steps)


class SegmentPanel(QWidget):
    """Segment and stop: how much, where to compute, and how wide the objects are."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.button = QPushButton("Segment")
        self.button.setToolTip("Find the objects in the image. What you corrected or reviewed is never changed.")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop now. What is finished stays.")
        self.stop.setEnabled(False)
        self.scope = QComboBox()
        self.scope.setToolTip("How much is segmented. What is in view comes first.")
        self.flips = QCheckBox("Average four views (slower, a little better)")
        self.flips.setToolTip(
            "Average the results of the image and its mirror images: a little better, up to four times slower."
        )
        self.adjust = DecodingSlidersPanel(controller)
        self.diameter = _Diameter()
        self.diameter.setRange(0, 9999)
        self.diameter.setSuffix(" px")
        self.diameter.setKeyboardTracking(False)  # a number is meant when it is typed to its end
        self.device = QComboBox()
        self.device.setToolTip("Where to compute. 'auto' takes a graphics card if there is one.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.button, 3)
        buttons.addWidget(self.stop, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("How much", self.scope)
        self._form.addRow("Object diameter", self.diameter)
        self._form.addRow("Device", self.device)
        layout.addLayout(buttons)
        layout.addLayout(self._form)
        layout.addWidget(self.flips)
        layout.addWidget(self.adjust)
        self.button.clicked.connect(lambda: controller.segment())
        self.stop.clicked.connect(lambda: controller.stop_segmenting())
        self.scope.activated.connect(self._on_scope)
        self.flips.toggled.connect(self._on_flips)
        self.diameter.valueChanged.connect(self._on_diameter)
        self.device.textActivated.connect(self._on_device)
        controller.workspace.segmenting.connect(self._on_segmenting)
        controller.workspace.image_changed.connect(self._show_scope)
        controller.workspace.image_changed.connect(self._show_diameter)
        controller.workspace.model_changed.connect(self._show_diameter)
        controller.saved_models.changed.connect(self._show_diameter)
        controller.workspace.device_changed.connect(self._show_device)
        self._show_scope()
        self._show_diameter()
        self._show_device()

    def _show_scope(self) -> None:
        stack = bool(set(self._controller.axes or "") & {"T", "Z"})
        self._scopes: list[Scope] = ["stack", "slice", "view"] if stack else ["stack", "view"]
        names = {"stack": "Whole stack" if stack else "Whole image", "slice": "This slice", "view": "What is in view"}
        if self._controller.workspace.scope not in self._scopes:
            self._controller.workspace.scope = "stack"
        fill(self.scope, [names[scope] for scope in self._scopes], self._scopes.index(self._controller.workspace.scope))

    def _on_scope(self, index: int) -> None:
        self._controller.workspace.scope = self._scopes[index]

    def _on_flips(self, on: bool) -> None:
        self._controller.workspace.flips = on

    def _on_diameter(self, value: int) -> None:
        self._controller.object_diameter.say(float(value) or None)

    def _on_device(self, name: str) -> None:
        self._controller.choose_device(name)

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

    def _show_device(self) -> None:
        from napari_unet.models.model import available_devices

        names = ["auto", *available_devices()]
        fill(self.device, names, names.index(self._controller.workspace.device))

    def _on_segmenting(self, running: bool) -> None:
        self.button.setEnabled(not running)
        self.stop.setEnabled(running)
