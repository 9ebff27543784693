"""Files and folders to layers, by the verb of the controller, without a window."""

from __future__ import annotations

import os
import shutil
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel

from hand_made import LaterRunner
from napari_unet.axes import PixelSize
from napari_unet.io import lazy
from napari_unet.io.writers import write_labels
from napari_unet.layers import opener
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.reader import MAX_SERIES


def write(path: Any, shape: tuple[int, ...] = (3, 20, 30), axes: str = "ZYX") -> Any:
    pixels = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint16)
    metadata = {"axes": axes, "unit": "um", "spacing": 2.0}
    tifffile.imwrite(path, pixels, imagej=True, resolution=(2, 2), metadata=metadata)
    return path


def said(controller: Any, level: str = "error") -> list[str]:
    return [message.text for message in controller.messages if message.level == level]


def test_a_file_with_its_axes_pixel_size_and_channels(controller, viewer, tmp_path):
    assert controller.open(write(tmp_path / "a.tif", (3, 2, 20, 30), "ZCYX"))
    assert [layer.name for layer in viewer.layers] == ["a channel 1", "a channel 2"]
    np.testing.assert_allclose(viewer.layers[0].scale, (2, 0.5, 0.5))
    assert controller.layer == viewer.layers[1]
    assert controller.axes == "ZYX"
    assert controller.image().pixel_size == PixelSize(y=0.5, x=0.5, z=2.0)
    assert controller.messages[-1].text == "a channel 2: press Segment."
    assert not controller.opener.busy


def test_time_is_not_taken_for_depth(controller, tmp_path):
    controller.open(str(write(tmp_path / "a.tif", axes="TYX")))
    assert controller.axes == "TYX"


def test_files_and_folders_of_all_kinds_at_once(controller, viewer, tmp_path):
    write(tmp_path / "a.tif")
    write_labels(tmp_path / "a_labels.tif", np.ones((3, 20, 30), int), "ZYX", None)
    write_labels(tmp_path / "b.zarr", np.ones((20, 30), int), "YX", PixelSize(0.5, 0.5))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("10.tif", "9.tif", "notes.txt"):
        write(folder / name)
    assert controller.open([tmp_path / name for name in ("a.tif", "a_labels.tif", "b.zarr", "folder")])
    kinds = [(layer.name, type(layer).__name__) for layer in viewer.layers]
    assert kinds == [("a", "Image"), ("a_labels", "Labels"), ("b", "Labels"), ("9", "Image")]
    assert [image.name for image in controller.work_list.images] == ["9", "10"], "a folder of several becomes a list"
    texts = [message.text for message in controller.messages]
    assert "Opened 3 files. Choose the image to segment, and press Segment." in texts
    assert "Added 2 images to the list. Press Segment all, or go on with Page Down." in texts


@pytest.mark.parametrize("others", [[], ["a.tif"]])
def test_a_file_of_many_scenes_becomes_a_list(controller, viewer, tmp_path, others):
    path = tmp_path / "lame 3.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number in range(MAX_SERIES + 1):
            writer.write(np.full((20, 30), number, np.uint8), metadata={"axes": "YX", "Name": f"試料 {number}"})
    assert controller.open([path, *(write(tmp_path / name) for name in others)])
    names = [image.name for image in controller.work_list.images]
    assert names == [f"lame 3 試料 {number}" for number in range(MAX_SERIES + 1)]
    assert ("a" in [layer.name for layer in viewer.layers]) == bool(others)
    assert said(controller) == []
    texts = [message.text for message in controller.messages]
    assert f"Added {MAX_SERIES + 1} images to the list. Press Segment all, or go on with Page Down." in texts


def test_a_plate_becomes_a_list_and_missing_wells_are_named(controller, tmp_path):
    plate = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "B/2"}]}
    plate.create_group("A/1").attrs["well"] = {"images": [{"path": "0"}]}
    image = plate.create_group("A/1/0")
    image.create_array("0", data=np.ones((20, 30), np.uint8))
    image.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]
    assert controller.open(tmp_path / "p.zarr")
    assert [one.name for one in controller.work_list.images] == ["p A/1/0"]
    (told,) = [message for message in controller.messages if message.level == "error"]
    assert told.text == "Added 1 image to the list. p B/2 could not be read: see Details."
    assert told.details == "p.zarr lists B/2, which is not there or is damaged."


def test_large_files_are_not_read_into_memory(controller, viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 100)
    controller.open(write(tmp_path / "a.tif"))
    assert isinstance(viewer.layers["a"].data, da.Array)


def test_what_cannot_be_read_is_said_and_the_rest_is_opened(controller, viewer, tmp_path):
    (tmp_path / "bad.tif").write_text("no image")
    (tmp_path / "cells.czi").write_text("of a kind that is not read")
    paths = [tmp_path / name for name in ("bad.tif", "cells.czi", "not there.tif")]
    assert controller.open([*paths, write(tmp_path / "a.tif")])
    assert [layer.name for layer in viewer.layers] == ["a"]
    (text,) = said(controller)
    assert text == "Opened 1 of 4 files. bad.tif and 2 more could not be read: see Details."
    assert controller.messages[-1].text == text
    details = controller.messages[-1].details.splitlines()
    assert all(path.name in line for path, line in zip(paths, details, strict=True))
    for path in paths:
        controller.open(path)
        assert path.name in said(controller)[-1]
    assert len(viewer.layers) == 1
    assert controller.open(tmp_path / "a.tif"), "and the next can be opened"


def test_folders_in_which_there_is_nothing(controller, viewer, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert not controller.open(tmp_path / "empty")
    assert "has no image in it" in said(controller)[-1]
    assert not controller.open([])
    monkeypatch.setattr(opener, "MAX_FILES", 2)
    for name in "abc":
        write(tmp_path / f"{name}.tif")
    assert controller.open([tmp_path / f"{name}.tif" for name in "abc"])
    assert [layer.name for layer in viewer.layers] == ["a"], "so many become a list, too"
    assert len(controller.work_list.images) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_read(controller, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o000)
    assert not controller.open(tmp_path / "closed")
    assert "cannot be read" in said(controller)[-1]


def test_an_error_of_the_system_is_no_fault_of_the_program(controller, tmp_path, monkeypatch):
    def fail(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(opener, "read_layers", fail)
    controller.open(write(tmp_path / "a.tif"))
    assert said(controller) == ["a.tif cannot be read: Permission denied."]


def project(controller: Any, tmp_path: Any, name: str) -> Any:
    controller.open(write(tmp_path / f"{name}.tif"))
    assert controller.segment()
    assert controller.projects.save(tmp_path / f"{name}.unetproj")
    return tmp_path / f"{name}.unetproj"


def fresh() -> Any:
    controller = Controller(ViewerModel(), InlineRunner())
    controller.messages = []
    controller.workspace.said.connect(controller.messages.append)
    return controller


@pytest.mark.parametrize("part", ["", "project.json"])
def test_a_project_by_its_folder_or_the_file_in_it(controller, tmp_path, part):
    path = project(controller, tmp_path, "a")
    other = fresh()
    assert other.open(path / part)
    assert other.projects.path == path
    assert [layer.name for layer in other.viewer.layers] == ["a", "a objects"]
    assert not said(other)


def test_several_projects_and_an_image(controller, tmp_path):
    paths = [project(controller, tmp_path, "a"), write(tmp_path / "c.tif"), project(controller, tmp_path, "b")]
    other = fresh()
    assert other.open(paths)
    names = [layer.name for layer in other.viewer.layers]
    assert sorted(names) == ["a", "a objects", "b", "b objects", "c"]
    assert sorted(str(session.saved_as) for session in other.sessions) == sorted([str(paths[0]), str(paths[2])])
    assert not said(other)


def test_a_damaged_project(controller, viewer, tmp_path):
    path = project(controller, tmp_path, "a")
    (path / "project.json").write_text("{}")
    other = fresh()
    other.open(path)
    assert "is not that of a project" in said(other)[-1]
    shutil.rmtree(path)
    other.open(path)
    assert "does not exist" in said(other)[-1]


def test_one_at_a_time_and_nothing_after_the_end(viewer, tmp_path):
    runner = LaterRunner()
    controller = Controller(viewer, runner)
    controller.messages = []
    controller.workspace.said.connect(controller.messages.append)
    assert controller.open(write(tmp_path / "a.tif"))
    assert controller.opener.busy
    assert not controller.open(tmp_path / "a.tif")
    assert "Wait until that is done" in said(controller)[-1]
    assert not viewer.layers
    controller.close()
    runner.finish()
    assert not viewer.layers
