"""Saving and taking up a session in a real viewer, with the mouse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_unet.projects.ownership import LOCK
from napari_unet.projects.project import Project


@pytest.fixture
def second_widget(another_window: Any, widget: Any) -> Any:
    """The widget in another viewer, as on the next day."""
    return another_window()


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the user chooses in dialogs."""
    said: dict[str, str] = {}
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (said["save"], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: said["open"])
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (said["image"], ""))
    return said


@pytest.mark.parametrize("answer", ["Replace", "Cancel"])
def test_another_project_of_that_name_is_not_replaced_unasked(
    widget, image_file, open_image, tmp_path, chosen, click, wait_idle, monkeypatch, answer
):
    """The dialog asks for whole names only, and who types one leaves out the ending."""
    asked = []

    def said(box):
        asked.append(box.text())
        next(button for button in box.buttons() if button.text() == answer).click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", said)
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    yesterday = tmp_path / "work.unetproj"
    yesterday.mkdir()
    (yesterday / "project.json").write_text("{}")
    chosen["save"] = str(tmp_path / "work")
    click(widget.image_panel.project.save)
    wait_idle(widget)
    assert asked == ["work.unetproj is there already."]
    assert ((yesterday / "project.json").read_text() == "{}") == (answer == "Cancel")
    if answer == "Replace":
        widget.image_panel.project.save_as.trigger()  # its own project, and it does not ask again
        wait_idle(widget)
        assert len(asked) == 1


def test_save_and_take_up_again(
    widget, viewer, image_file, open_image, tmp_path, chosen, click, wait_idle, look, canvas, errors, second_widget
):
    row = widget.image_panel.project
    assert not row.save.isEnabled(), "there is nothing to save yet"
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["cells objects"]
    labels.brush_size = 4
    labels.selected_label = 50
    labels.mode = "paint"
    look()
    canvas.drag((30, 40), (32, 44), (32, 50))
    canvas.key(Qt.Key.Key_R)
    wait_idle(widget)
    said = widget.correct_panel.counts.text()
    assert "corrected in <b>1 object</b>" in said
    assert "of the image reviewed" in said
    assert row.save.text() == "Save…"
    chosen["save"] = str(tmp_path / "monday.unetproj")
    click(row.save)
    wait_idle(widget)
    assert widget.status.text() == "Saved as monday.unetproj. Use Open… to continue another day."
    assert row.save.text() == "Save"
    chosen["save"] = ""
    row.save_as.trigger()  # and the user has second thoughts
    labels.n_edit_dimensions = 3
    labels.fill((0, 80, 80), 0)  # an object of all slices goes
    click(row.save)
    wait_idle(widget)
    assert not errors(widget)
    widget.controller.refresh_corrections(everything=True)  # else it has counted the slice in view only
    said = widget.correct_panel.counts.text()
    before = [p.part for p in widget.controller.session.annotated_crops(widget.controller.model, None)]
    painted = labels.data.copy()
    widget.close_down()  # what is open in a window is read-only in another one

    other = second_widget
    chosen["open"] = str(tmp_path / "monday.unetproj")
    other.image_panel.project.open.folder.trigger()
    wait_idle(other)
    assert other.correct_panel.counts.text() == said
    taken_up = other.viewer.layers["cells objects"]
    assert np.array_equal(taken_up.data, painted)
    assert other.viewer.layers["cells reviewed"].visible
    assert other.image_panel.model.currentText() == "tiny"
    assert other.image_panel.project.save.text() == "Save"
    after = [p.part for p in other.controller.session.annotated_crops(other.controller.model, None)]
    assert [len(part.labels) for part in before] == [len(part.labels) for part in after]
    for one, two in zip(before, after, strict=True):
        assert np.array_equal(one.mask("supervised"), two.mask("supervised"))
        assert np.array_equal(one.mask("corrected"), two.mask("corrected"))
    other.learn_panel.seconds.setValue(5)
    click(other.learn_panel.button)
    wait_idle(other)
    assert other.controller.model.name == "tiny, corrected"
    assert not errors(other)
    click(other.image_panel.project.save)
    wait_idle(other)
    assert [g.model.name for g in Project.open(tmp_path / "monday.unetproj").generations] == ["tiny", "tiny, corrected"]


def test_dropped_on_the_canvas(widget, image_file, open_image, tmp_path, click, wait_idle, drop, second_widget):
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    widget.controller.toggle_reviewed("slice")
    widget.controller.projects.save(tmp_path / "monday.unetproj")
    wait_idle(widget)
    widget.close_down()
    other = second_widget
    other.viewer.add_image(np.zeros((9, 9)), name="before")
    assert drop(other.window()._qt_viewer, tmp_path / "monday.unetproj")
    wait_idle(other)
    assert other.correct_panel.counts.text() == "Nothing corrected; <b>25%</b> of the image reviewed."
    assert [layer.name for layer in other.viewer.layers] == ["before", "cells", "cells objects", "cells reviewed"]
    assert other.status.text() == "Opened monday.unetproj: 9 objects."


def test_the_image_is_asked_for_where_it_is_gone(
    widget, viewer, image_file, open_image, tmp_path, chosen, click, wait_idle, second_widget
):
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    widget.controller.projects.save(tmp_path / "monday.unetproj")
    wait_idle(widget)
    widget.close_down()
    chosen["open"] = str(tmp_path / "monday.unetproj")
    chosen["image"] = str(image_file.rename(tmp_path / "moved.tif"))
    second_widget.image_panel.project.open.folder.trigger()
    wait_idle(second_widget)
    assert "cells objects" in second_widget.viewer.layers
    assert second_widget.status.text() == "Opened monday.unetproj: 9 objects."


def test_closing_the_window_while_it_is_saved(
    widget, viewer, image_file, open_image, tmp_path, click, wait_idle, qtbot
):
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    widget.controller.projects.save(tmp_path / "monday.unetproj")
    wait_idle(widget)
    before = viewer.layers["cells objects"].data.copy()
    viewer.layers["cells objects"].data[:] = 5
    widget.controller.projects.save()
    widget.close_down()
    qtbot.waitUntil(lambda: not widget.runner.busy)
    opened = Project.open(tmp_path / "monday.unetproj")
    assert np.array_equal(opened.labels, before)
    opened.save()
    names = {path.name for path in (tmp_path / "monday.unetproj").iterdir()} - {LOCK}
    assert len(names) == 2, "what was begun is tidied up at the latest now"
