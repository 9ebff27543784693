"""Opening files: napari's menu asks nothing and is as without the plugin; the panel reads axes and pixel size."""

from __future__ import annotations

import threading
from typing import Any

import imageio.v3
import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_unet.axes import PixelSize
from napari_unet.io.writers import write_labels
from napari_unet.layers import opener


@pytest.fixture
def menu(widget: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens files as File > Open does; it may not ask which reader to take."""

    def ask(*_: Any, **__: Any) -> None:
        pytest.fail("napari asks for a reader")

    monkeypatch.setattr("napari._qt.qt_viewer.handle_gui_reading", ask)

    def open_it(*paths: Any, stack: bool = False) -> list[Any]:
        widget.window()._qt_viewer._qt_open([str(path) for path in paths], stack=stack)
        return list(widget.viewer.layers)

    return open_it


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the user chooses in dialogs, and the folders that they began in."""
    said: dict[str, Any] = {"files": [], "folder": "", "began": []}

    def files(parent: Any, title: str, start: str, filters: str) -> tuple[list[str], str]:
        said["began"].append(start)
        return [str(path) for path in said["files"]], ""

    def folder(parent: Any, title: str, start: str) -> str:
        said["began"].append(start)
        return str(said["folder"])

    monkeypatch.setattr(QFileDialog, "getOpenFileNames", files)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", folder)
    return said


def scaled(path: Any, shape: tuple[int, ...] = (4, 96, 96), axes: str = "TYX") -> Any:
    pixels = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint16)
    tifffile.imwrite(path, pixels, imagej=True, resolution=(2, 2), metadata={"axes": axes, "unit": "um"})
    return path


# -- napari's menu ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.ome.tif", "a.btf", "a.lsm", "a.png", "a.jpg"])
def test_a_file_from_the_menu(menu, tmp_path, name):
    pixels = np.full((30, 40), 7, np.uint8)
    if name.endswith(("png", "jpg")):
        imageio.v3.imwrite(tmp_path / name, pixels)
    else:
        tifffile.imwrite(tmp_path / name, pixels, bigtiff=name.endswith("btf"))
    (layer,) = menu(tmp_path / name)
    assert layer.source.reader_plugin == "napari"
    assert np.array_equal(layer.data, pixels)


def test_a_folder_and_a_stack_from_the_menu(menu, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for index in range(3):
        tifffile.imwrite(folder / f"{index}.tif", np.full((30, 40), index, np.uint8))
    assert [layer.data.shape for layer in menu(folder)] == [(3, 30, 40)]
    other = menu(*sorted(folder.iterdir())[:2], stack=True)[-1]
    assert other.data.shape == (2, 30, 40)
    assert np.asarray(other.data[:, 0, 0]).tolist() == [0, 1]


def test_a_project_from_the_menu_by_the_file_in_it(
    menu, widget, viewer, image_file, open_image, tmp_path, click, wait_idle
):
    open_image(image_file)
    click(widget.segment_panel.button)
    wait_idle(widget)
    widget.controller.projects.save(tmp_path / "monday.unetproj")
    wait_idle(widget)
    labels = viewer.layers["cells objects"].data.copy()
    viewer.layers.clear()
    menu(tmp_path / "monday.unetproj" / "project.json")
    wait_idle(widget)
    assert [layer.name for layer in viewer.layers] == ["cells", "cells objects"]
    assert np.array_equal(viewer.layers["cells objects"].data, labels)
    assert widget.status.text() == "Opened monday.unetproj: 9 objects."


# -- Open… in the panel ----------------------------------------------------------------------------------------------


def test_the_button_reads_axes_and_pixel_size(widget, viewer, tmp_path, chosen, wait_idle, errors):
    button = widget.image_panel.project.open
    assert [action.text() for action in button.menu().actions()] == [
        "Images…",
        "Folder: images, OME-Zarr or project…",
        "List of images",
    ]
    chosen["files"] = []
    button.files.trigger()  # and the user has second thoughts
    assert not viewer.layers
    chosen["files"] = [scaled(tmp_path / "a.tif")]
    button.files.trigger()
    wait_idle(widget)
    assert [layer.name for layer in viewer.layers] == ["a"]
    assert widget.image_panel.axes.currentText() == "TYX"
    assert widget.controller.image().pixel_size == PixelSize(y=0.5, x=0.5)
    assert widget.status.text() == "a: press Segment."
    assert button.isEnabled()
    write_labels(tmp_path / "b.zarr", np.ones((96, 96), int), "YX", PixelSize(0.5, 0.5))
    chosen["folder"] = tmp_path / "b.zarr"
    button.folder.trigger()
    wait_idle(widget)
    np.testing.assert_allclose(viewer.layers["b"].scale, (0.5, 0.5))
    assert chosen["began"][-1] == str(tmp_path), "where something was chosen last"
    assert not errors(widget)


def test_the_window_lives_while_a_file_is_read(widget, viewer, tmp_path, chosen, wait_idle, monkeypatch, qtbot):
    let, read, seen = threading.Event(), opener.read_layers, []

    def slow(path: Any) -> Any:
        seen.append(threading.current_thread())
        assert let.wait(60)
        return read(path)

    monkeypatch.setattr(opener, "read_layers", slow)
    chosen["files"] = [scaled(tmp_path / "a.tif")]
    button = widget.image_panel.project.open
    button.files.trigger()
    assert widget.status.text() == "Opening a.tif."
    assert not button.isEnabled()
    qtbot.waitUntil(lambda: bool(seen))
    assert seen[0] is not threading.main_thread()
    assert not viewer.layers
    let.set()
    wait_idle(widget)
    assert [layer.name for layer in viewer.layers] == ["a"]


def test_what_cannot_be_opened_is_a_sentence(widget, viewer, tmp_path, chosen, wait_idle, errors):
    (tmp_path / "bad.tif").write_text("no image")
    (tmp_path / "empty").mkdir()
    chosen["files"] = [tmp_path / "bad.tif"]
    widget.image_panel.project.open.files.trigger()
    wait_idle(widget)
    assert "bad.tif" in widget.status.text()
    chosen["folder"] = tmp_path / "empty"
    widget.image_panel.project.open.folder.trigger()
    wait_idle(widget)
    assert "has no image in it" in widget.status.text()
    assert len(errors(widget)) == 2
    assert not viewer.layers


# -- dropping --------------------------------------------------------------------------------------------------------


def test_dropped_on_the_panel(widget, viewer, tmp_path, drop, wait_idle, errors):
    folder = tmp_path / "folder"
    folder.mkdir()
    scaled(folder / "b.tif")
    assert drop(widget, scaled(tmp_path / "a.tif"), folder)
    wait_idle(widget)
    assert [layer.name for layer in viewer.layers] == ["a", "b"]
    assert [widget.controller.axes, tuple(viewer.layers["b"].scale)] == ["TYX", (1, 0.5, 0.5)]
    assert not errors(widget)
    assert drop(widget, "https://example.org/a.tif")
    assert errors(widget) == ["Only files and folders on this computer can be dropped here."]
    assert not widget.segment_panel.diameter.lineEdit().acceptDrops(), "else the name is pasted there"


@pytest.fixture
def left_to_napari(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What napari would open of what is dropped on its canvas."""
    names: list[list[str]] = []
    monkeypatch.setattr("napari._qt.qt_viewer.QtViewer._qt_open", lambda _, paths, **options: names.append(paths))
    return names


def test_images_dropped_on_the_canvas_are_napari_s(widget, viewer, tmp_path, drop, left_to_napari):
    (tmp_path / "empty.unetproj").write_text("a file, no project")
    for paths in ([scaled(tmp_path / "a.tif")], [tmp_path], [tmp_path / "empty.unetproj"]):
        assert drop(widget.window()._qt_viewer, *paths)
        assert left_to_napari.pop() == [str(path) for path in paths]
    assert not viewer.layers


def test_the_canvas_is_napari_s_alone_when_the_panel_is_closed(widget, viewer, tmp_path, drop, left_to_napari):
    (tmp_path / "a.unetproj").mkdir()
    drop(viewer.window._qt_viewer, tmp_path / "a.unetproj")
    assert not left_to_napari
    viewer.window.remove_dock_widget(widget)
    drop(viewer.window._qt_viewer, tmp_path / "a.unetproj")
    assert left_to_napari == [[str(tmp_path / "a.unetproj")]]


# -- counting soon ---------------------------------------------------------------------------------------------------


def test_many_edits_are_counted_once_when_the_hand_rests(widget, viewer, squares, click, wait_idle, qtbot):
    viewer.add_image(squares(), name="image")
    click(widget.segment_panel.button)
    wait_idle(widget)
    counted: list[Any] = []
    widget.controller.workspace.corrected.connect(counted.append)
    labels = viewer.layers["image objects"]
    for x in range(30, 60):
        labels.paint((30, x), 40)
    assert not counted
    qtbot.waitUntil(lambda: bool(counted))
    qtbot.wait(400)
    assert len(counted) == 1
    assert "corrected in <b>1 object</b>" in widget.correct_panel.counts.text()
