"""The dialog behind "New model…": what is to be found in the chosen image."""

# Annotations are evaluated here: magicgui reads those of `choice_of`.
from typing import TYPE_CHECKING, Any, Literal

from magicgui import magicgui
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QWidget

from napari_unet.layers.image import adapter
from napari_unet.learning.new_model import MAX_CLASSES

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller

OBJECTS, CLASSES = "Separate objects", "Classes of pixels"
FLAT, VOLUMES = "2D: slice by slice", "3D: whole volumes"
HINT_WIDTH = 360
"""Pixels: only with a given width does a text that is wrapped know how high it is."""

Choice = tuple[str, Literal["instances", "semantic"], Literal[2, 3], tuple[str, ...]]
"""Name, task, dimensions and names of the classes: what `Controller.new_model` takes."""


def choice_of(
    name: str = "my model",
    find: Literal["Separate objects", "Classes of pixels"] = "Separate objects",
    classes: str = "background, foreground",
    dimensions: Literal["2D: slice by slice", "3D: whole volumes"] = "2D: slice by slice",
    pixel_size: str = "",
) -> Choice:
    """Return what is chosen in the dialog; each parameter is a row of it.

    Parameters
    ----------
    name : str
        Under this name you can save it later.
    find : {"Separate objects", "Classes of pixels"}
        Objects get a number each, such as nuclei. Classes are kinds of pixels, such as tissue.
    classes : str
        Names of the classes with commas between them. Background is one of them.
    dimensions : {"2D: slice by slice", "3D: whole volumes"}
        Slice by slice is faster, and is learned from fewer objects.
    pixel_size : str
        As the image says. Images with other pixels are brought to these.
    """
    ndim: Literal[2, 3] = 3 if dimensions == VOLUMES else 2
    if find == OBJECTS:
        return name.strip(), "instances", ndim, ()
    return name.strip(), "semantic", ndim, tuple(part.strip() for part in classes.split(",") if part.strip())


class NewModelDialog(QDialog):
    """Asks what a new model is to find, and shows what is taken from the image.

    Parameters
    ----------
    controller : Controller
        Whose image it is for.
    """

    def __init__(self, controller: "Controller", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New model")
        self._taken = set(controller.model_names())
        # The rows follow from the parameters of the function, their tooltips from its docstring.
        self.form = magicgui(
            choice_of,
            call_button=False,
            name={"value": self._free_name()},
            dimensions={"label": "network"},
            pixel_size={"widget_type": "Label", "value": _pixel_size(controller)},
        )
        self.name, self.find, self.classes, self.dimensions, self.pixel_size = (row.native for row in self.form)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setFixedWidth(HINT_WIDTH)
        self.hint.setMinimumHeight(3 * self.hint.fontMetrics().lineSpacing())
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        # A layout of Qt's own: it lines the labels up also where rows come and go.
        self._rows = QFormLayout(self)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for row in self.form:
            self._rows.addRow(row.label.capitalize(), row.native)
        self._rows.addRow(self.hint)
        self._rows.addRow(self.buttons)
        self._rows.setRowVisible(self.dimensions, "Z" in (controller.axes or ""))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.form.changed.connect(self._on_change)
        self._on_change()

    @property
    def choice(self) -> Choice:
        """What is chosen now."""
        chosen: Choice = self.form()
        return chosen

    def _free_name(self) -> str:
        names = ["my model", *(f"my model {number}" for number in range(2, len(self._taken) + 3))]
        return next(name for name in names if name not in self._taken)

    def _on_change(self, *_: Any) -> None:
        name, task, _ndim, classes = self.choice
        self._rows.setRowVisible(self.classes, task == "semantic")
        problem = ""
        if not name:
            problem = "Give the model a name."
        elif name in self._taken:
            problem = "There is a model with this name already."
        elif task == "semantic" and not 2 <= len(classes) <= MAX_CLASSES:
            problem = f"Name two classes or more, at most {MAX_CLASSES}."
        self.buttons.button(QDialogButtonBox.StandardButton.Ok).setEnabled(not problem)
        self.hint.setText(problem or _what_comes_next(classes))
        self.adjustSize()


def _what_comes_next(classes: tuple[str, ...]) -> str:
    if not classes:
        return "Next, paint a few objects in an empty layer and press Learn."
    labels = ", ".join(f"{label} {name}" for label, name in enumerate(classes, start=1))
    return f"Next, paint some of each class with its label ({labels}) in an empty layer and press Learn."


def _pixel_size(controller: "Controller") -> str:
    axes = controller.axes
    size = adapter.layer_pixel_size(controller.layer, axes) if axes else None
    if size is None:
        return "not known"
    letters = [letter for letter in "ZYX" if letter in (axes or "") and size.along(letter) is not None]
    return " × ".join(f"{size.along(letter):.3g}" for letter in letters) + f" µm ({', '.join(letters)})"
