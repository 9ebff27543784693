"""The dialog behind "New model…": what is to be found in the chosen image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QLineEdit, QWidget

from napari_unet.layers import adapter
from napari_unet.learning.blank import MOST_CLASSES

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller

OBJECTS, CLASSES = "Separate objects", "Classes of pixels"
FLAT, VOLUMES = "2D: slice by slice", "3D: whole volumes"
HINT_WIDTH = 360
"""Pixels: only with a given width does a text that is wrapped know how high it is."""

Choice = tuple[str, Literal["instances", "semantic"], Literal[2, 3], tuple[str, ...]]
"""Name, task, dimensions and names of the classes: what `Controller.new_model` takes."""


class NewModelDialog(QDialog):
    """Asks what a new model is to find, and shows what is taken from the image.

    Parameters
    ----------
    controller : Controller
        Whose image it is for.
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New model")
        self._taken = set(controller.model_names())
        self.name = QLineEdit(self._free_name())
        self.name.setToolTip("Under this name you can save it later.")
        self.find = QComboBox()
        self.find.addItems([OBJECTS, CLASSES])
        self.find.setToolTip("Objects get a number each, such as nuclei. Classes are kinds of pixels, such as tissue.")
        self.classes = QLineEdit("background, foreground")
        self.classes.setToolTip("Names of the classes with commas between them. Background is one of them.")
        self.dimensions = QComboBox()
        self.dimensions.addItems([FLAT, VOLUMES])
        self.dimensions.setToolTip("Slice by slice is faster, and is learned from fewer objects.")
        self.pixel_size = QLabel(_pixel_size(controller))
        self.pixel_size.setToolTip("As the image says. Images with other pixels are brought to these.")
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setFixedWidth(HINT_WIDTH)
        self.hint.setMinimumHeight(3 * self.hint.fontMetrics().lineSpacing())
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self._form = QFormLayout(self)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for label, widget in (
            ("Name", self.name),
            ("Find", self.find),
            ("Classes", self.classes),
            ("Network", self.dimensions),
            ("Pixel size", self.pixel_size),
        ):
            self._form.addRow(label, widget)
        self._form.addRow(self.hint)
        self._form.addRow(self.buttons)
        self._form.setRowVisible(self.dimensions, "Z" in (controller.axes or ""))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        for changed in (self.name.textChanged, self.classes.textChanged, self.find.currentIndexChanged):
            changed.connect(self._on_change)
        self._on_change()

    @property
    def choice(self) -> Choice:
        """What is chosen now."""
        objects = self.find.currentText() == OBJECTS
        ndim: Literal[2, 3] = 3 if self.dimensions.currentText() == VOLUMES else 2
        return self.name.text().strip(), "instances" if objects else "semantic", ndim, () if objects else self._names()

    def _names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.classes.text().split(",") if name.strip())

    def _free_name(self) -> str:
        names = ["my model", *(f"my model {number}" for number in range(2, len(self._taken) + 3))]
        return next(name for name in names if name not in self._taken)

    def _on_change(self, *_: Any) -> None:
        name, task, _ndim, classes = self.choice
        self._form.setRowVisible(self.classes, task == "semantic")
        problem = ""
        if not name:
            problem = "Give the model a name."
        elif name in self._taken:
            problem = "There is a model of this name already."
        elif task == "semantic" and not 2 <= len(classes) <= MOST_CLASSES:
            problem = f"Name two classes or more, at most {MOST_CLASSES}."
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(not problem)
        self.hint.setText(problem or _what_comes_next(classes))
        self.adjustSize()


def _what_comes_next(classes: tuple[str, ...]) -> str:
    if not classes:
        return "You then paint a few objects in an empty layer, and press Learn."
    labels = ", ".join(f"{label} {name}" for label, name in enumerate(classes, start=1))
    return f"You then paint some of each class with its label ({labels}) in an empty layer, and press Learn."


def _pixel_size(controller: Controller) -> str:
    axes = controller.axes
    size = adapter.layer_pixel_size(controller.layer, axes) if axes else None
    if size is None:
        return "not known"
    letters = [letter for letter in "ZYX" if letter in (axes or "") and size.along(letter) is not None]
    return " × ".join(f"{size.along(letter):.3g}" for letter in letters) + f" µm ({', '.join(letters)})"
