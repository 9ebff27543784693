"""New model: the dialog, and the whole way from nothing to a segmented image, in a real viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox

from napari_unet._qt.new_model import CLASSES, OBJECTS, VOLUMES, NewModelDialog
from napari_unet._qt.panels.image import NEW_MODEL
from napari_unet.learning import from_scratch

OK, CANCEL = QDialogButtonBox.StandardButton.Ok, QDialogButtonBox.StandardButton.Cancel


@pytest.fixture
def answer(widget: Any, qtbot: Any) -> Any:
    """Chooses New model in the list, does something in the dialog, and presses a button there."""

    def choose(do: Any = lambda dialog: None, button: Any = OK) -> None:
        def in_dialog() -> None:
            dialog = QApplication.activeModalWidget()
            assert isinstance(dialog, NewModelDialog)
            do(dialog)
            qtbot.mouseClick(dialog.buttons.button(button), Qt.MouseButton.LeftButton)

        box = widget.image_panel.model
        box.setCurrentText(NEW_MODEL)
        QTimer.singleShot(200, in_dialog)
        box.textActivated.emit(NEW_MODEL)

    return choose


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    config = from_scratch.from_scratch_config
    limits = {"steps": 150, "max_seconds": None, "batch_size": 2, "patch": (48, 48)}
    monkeypatch.setattr(
        "napari_unet.learning.interactive.from_scratch_config", lambda model, *_, **__: config(model, **limits)
    )


def test_from_nothing_to_a_segmented_image(
    widget, viewer, squares, answer, click, canvas, look, wait_idle, errors, short
):
    viewer.add_image(squares(), name="image")
    answer(lambda dialog: dialog.name.setText("spots"))
    assert widget.image_panel.model.currentText() == "spots"
    assert widget.status.text().startswith("Paint a few whole objects")
    labels = viewer.layers["image objects"]
    look()
    labels.brush_size = 10
    canvas.drag((16, 13), (16, 19))
    labels.selected_label = 2
    canvas.drag((48, 45), (48, 51))
    assert set(np.unique(labels.data)) == {0, 1, 2}
    click(widget.learn_panel.button)
    wait_idle(widget)
    assert "In use. It has learned for the first time" in widget.status.text()
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert len(np.unique(labels.data)) - 1 == 9
    assert not errors(widget)
    widget.image_panel.model.textActivated.emit("spots")
    assert not errors(widget), "to choose what is in use, and saved nowhere, changes nothing"


def test_segment_before_anything_is_painted(widget, viewer, squares, answer, click, wait_idle):
    viewer.add_image(squares(), name="image")
    answer()
    click(widget.segment_panel.button)
    wait_idle(widget)
    assert widget.status.text().startswith("Nothing is learned yet. Paint")
    assert not viewer.layers["image objects"].data.any()


def test_cancel_changes_nothing(widget, viewer, squares, answer):
    viewer.add_image(squares(), name="image")
    answer(button=CANCEL)
    assert widget.controller.model.name == "tiny"
    assert widget.image_panel.model.currentText() == "tiny"
    assert len(viewer.layers) == 1


def test_classes_and_volumes(widget, viewer, squares, answer):
    viewer.add_image(squares((4, 96, 96)), name="stack", scale=(2, 0.5, 0.5), units=("um", "um", "um"))

    def fill(dialog: Any) -> None:
        assert dialog.pixel_size.text() == "2 × 0.5 × 0.5 µm (Z, Y, X)"
        assert not dialog.classes.isVisible()
        assert dialog.dimensions.isVisible()
        dialog.find.setCurrentText(CLASSES)
        assert dialog.classes.isVisible()
        dialog.classes.setText("background, cell , wall,")
        assert "(1 background, 2 cell, 3 wall)" in dialog.hint.text()
        dialog.dimensions.setCurrentText(VOLUMES)

    answer(fill)
    info = widget.controller.model.info
    assert info.classes == ("not painted", "background", "cell", "wall")
    assert (info.spec.ndim, info.pixel_size) == (3, (2.0, 0.5, 0.5))
    assert "3 for wall" in widget.status.text()


def test_what_cannot_be_made_cannot_be_accepted(widget, viewer, squares, qtbot):
    viewer.add_image(squares(), name="image")
    dialog = NewModelDialog(widget.controller)
    qtbot.addWidget(dialog)
    dialog.show()
    accept = dialog.buttons.button(OK)
    assert dialog.pixel_size.text() == "not known"
    assert not dialog.dimensions.isVisible()
    assert accept.isEnabled()
    for name, said in (("  ", "Give the model a name."), ("tiny", "There is a model with this name already.")):
        dialog.name.setText(name)
        assert not accept.isEnabled()
        assert dialog.hint.text() == said
    dialog.name.setText("mine")
    dialog.find.setCurrentText(CLASSES)
    dialog.classes.setText("membrane")
    assert not accept.isEnabled()
    assert "two classes or more" in dialog.hint.text()
    dialog.find.setCurrentText(OBJECTS)
    assert accept.isEnabled()
    assert dialog.choice == ("mine", "instances", 2, ())


def test_without_an_image_it_is_said(widget, answer, errors):
    answer()
    assert "There is no image" in errors(widget)[-1]
    assert widget.image_panel.model.currentText() == "tiny"
