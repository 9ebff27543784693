"""Three sliders for how objects are read out of what the network returns, and a button that sets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible, QLabeledDoubleSlider
from superqt.utils import QSignalDebouncer, QSignalThrottler, signals_blocked

from napari_unet._qt.panels.parts import row

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.layers.inference.decoding_sliders import Slider

LIVE_EVERY = 30
"""Milliseconds between two looks at a slider that moves."""
REST = 400
"""Milliseconds without a move after which a slider rests: what is beyond the view then follows."""
WIDEST = 60.0
"""Pixels of the widest smallest object that the slider offers at first; a larger one can be typed in."""

SLIDERS: dict[Slider, tuple[str, float, str]] = {
    "sensitivity": ("Sensitivity", 1.0, "Higher: fainter objects are found, and objects become larger."),
    "separation": ("Separation", 1.0, "Higher: touching objects are told apart more often."),
    "smallest": (
        "Smallest object, px",
        WIDEST,
        "Pixels of the image that an object is wide at least; smaller ones go.",
    ),
}


class DecodingSlidersPanel(QWidget):
    """A fold with three sliders, *Reset* and *Fit to my corrections*; it is hidden for models of classes.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller, self._sliders, self._fit = controller, controller.sliders, controller.fit
        self._moved: tuple[Slider, float] | None = None
        self.sliders: dict[Slider, QLabeledDoubleSlider] = {}
        inner = QWidget()
        grid = QGridLayout(inner)
        grid.setContentsMargins(0, 0, 0, 0)
        for index, (name, (text, most, tip)) in enumerate(SLIDERS.items()):
            slider = self._slider(name, most, tip)
            label = QLabel(text)
            label.setToolTip(slider.toolTip())
            label.setBuddy(slider)
            grid.addWidget(label, index, 0)
            grid.addWidget(slider, index, 1)
        self.reset = QPushButton("Reset")
        self.reset.setToolTip("Put the sliders back to what the model came with.")
        self.reset.clicked.connect(lambda: self._sliders.reset())
        self.fit = QPushButton("Fit to my corrections")
        self.fit.setToolTip(
            "Set the sliders so that most of what you corrected or reviewed comes out right, in all open images. "
            "Learn does it on images unlike those that the model knew."
        )
        self.fit.clicked.connect(lambda: self._fit.start())
        grid.addWidget(row((self.fit, 2), (self.reset, 1)), len(SLIDERS), 0, 1, 2)
        self.fold = QCollapsible("Adjust")
        self.fold.setContent(inner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold)
        # A mouse moves a slider more often than objects can be read anew; the last place counts.
        self._live = QSignalThrottler(parent=self)
        self._live.setTimeout(LIVE_EVERY)
        self._live.triggered.connect(self._move)
        self._rest = QSignalDebouncer(parent=self)
        self._rest.setTimeout(REST)
        self._rest.triggered.connect(self._on_rest)
        self._sliders.changed.connect(self._show)
        self._fit.changed.connect(self._show)
        self._show()

    def _slider(self, name: Slider, most: float, tip: str) -> QLabeledDoubleSlider:
        slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        slider.setRange(0, most)
        slider.setSingleStep(0.05 if most == 1 else 1)
        slider.setPageStep(0.1 if most == 1 else 5)
        slider.setDecimals(2 if most == 1 else 0)
        slider.setToolTip(f"{tip} What you corrected or reviewed never changes.")
        slider.valueChanged.connect(lambda value: self._on_value(name, value))
        self.sliders[name] = slider
        return slider

    def _on_value(self, name: Slider, value: float) -> None:
        if self._moved is not None and self._moved[0] != name:
            self._move()
        self._moved = name, value
        self._live.throttle()
        self._rest.throttle()

    def _move(self) -> None:
        moved, self._moved = self._moved, None
        if moved is not None:
            self._sliders.move(*moved)

    def _on_rest(self) -> None:
        self._move()
        self._sliders.rest()

    def _show(self) -> None:
        """Show where they stand; not while they are moved."""
        positions = self._sliders.positions
        self.setVisible(positions is not None)
        self.reset.setEnabled(self._sliders.can_reset)
        self.fit.setEnabled(self._controller.session is not None and not self._fit.busy)
        if positions is None or self._moved is not None:
            return
        for name, slider in self.sliders.items():
            value: Any = getattr(positions, name)
            if slider.isSliderDown():
                continue
            with signals_blocked(slider):
                slider.setMaximum(max(slider.maximum(), value))
                slider.setValue(value)
