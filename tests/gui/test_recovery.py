"""What was not saved before napari ended is offered in the panel, and taken up again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from napari_unet._qt.panels.recovery import RecoveryBox
from napari_unet.layers.projects import autosave
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import recovery_folder


def test_painted_not_saved_and_recovered(
    widget, viewer, image_file, open_image, click, wait_idle, look, canvas, errors, qtbot, monkeypatch, another_window
):
    assert widget.image_panel.project.recovery.isHidden()
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    labels = viewer.layers["cells objects"]
    labels.brush_size = 4
    labels.selected_label = 50
    labels.mode = "paint"
    look()
    canvas.press(30, 40)
    canvas.move(32, 44)
    assert (labels.data == 50).any()

    def written() -> bool:
        paths = list(recovery_folder().glob("*/*.unetproj"))
        return bool(paths) and np.array_equal(Project.open(paths[0]).labels == 50, labels.data == 50)

    qtbot.waitUntil(written)  # in the midst of a stroke
    canvas.move(32, 50)
    canvas.release(32, 50)
    qtbot.waitUntil(written)
    monkeypatch.setattr(autosave, "MIN_INTERVAL", 0.0)
    widget._keep_unsaved.setInterval(50)
    qtbot.waitUntil(lambda: bool(widget.controller.autosave.copy_of(widget.controller.session).copy.digest))
    wait_idle(widget)
    widget._keep_unsaved.stop()
    (path,) = recovery_folder().glob("*/*.unetproj")
    assert np.array_equal(Project.open(path).labels, labels.data)

    other = another_window()
    assert other.image_panel.project.recovery.isHidden(), "it is in the hands of the first window"
    painted = labels.data.copy()
    widget.close_down()
    other = another_window()
    box = other.image_panel.project.recovery
    assert not box.isHidden()
    assert box.text.text().startswith("Not saved: <b>cells (today at ")
    click(box.recover)
    wait_idle(other)
    assert other.status.text() == "Recovered cells: 10 objects, not saved yet."
    assert np.array_equal(other.viewer.layers["cells objects"].data, painted)
    assert "corrected in <b>1 object</b>" in other.correct_panel.counts.text()
    assert other.image_panel.project.save.text() == "Save…"
    assert box.isHidden()
    assert not errors(other)


def test_discarded(widget, viewer, image_file, open_image, click, wait_idle, another_window):
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    widget.controller.toggle_reviewed("slice")
    widget.close_down()
    other = another_window()
    box = other.image_panel.project.recovery
    click(box.discard)
    wait_idle(other)
    assert box.isHidden()
    assert list(recovery_folder().iterdir()) == []


def test_where_nothing_is_left_behind_there_is_nothing_to_do(qtbot: Any) -> None:
    """Another window may have taken up the last copy meanwhile."""
    asked: list[Any] = []
    untold = SimpleNamespace(connect=lambda _: None)
    recovery = SimpleNamespace(left=["a copy"], changed=untold, recover=asked.append, discard=asked.append)
    box = RecoveryBox(SimpleNamespace(recovery=recovery, projects=SimpleNamespace(changed=untold, busy=False)))
    qtbot.addWidget(box)
    box.discard.click()
    recovery.left = []
    box.discard.click()
    box.recover.click()
    assert asked == ["a copy"]
