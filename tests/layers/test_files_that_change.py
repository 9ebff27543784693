"""Images that are read from their file as needed, and the file changes or is gone meanwhile."""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np
import pytest

from hand_made import squares
from napari_unet.errors import FileFormatError
from napari_unet.inference.in_memory import segment
from napari_unet.io import lazy
from napari_unet.io.readers import read_image
from napari_unet.io.writers import write_maps
from napari_unet.layers.reader import read_layers


@pytest.fixture
def path(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a zarr of three slices, which is not read before it is needed."""
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 0)
    path = tmp_path / "stack.zarr"
    write_maps(path, squares((3, 64, 64)), "ZYX")
    return path


def rewrite(path: Any) -> None:
    """Replace the pixels of the file by none, and leave no doubt about the time."""
    write_maps(path, np.zeros((3, 64, 64), np.float32), "ZYX", overwrite=True)
    for folder, _, names in os.walk(path):
        for name in names:
            os.utime(os.path.join(folder, name), ns=(0, 2**62))


def finish(controller: Any) -> None:
    """Run what is under way to its end, and what that begins."""
    while controller.busy:
        controller.runner.finish()


@pytest.fixture
def stopped(viewer: Any, later: Any, path: Any) -> Any:
    """Return a controller that was stopped after the first slice of that image."""
    ((data, options, _),) = read_layers(path)
    viewer.add_image(data, **options)
    assert later.segment()
    later.runner.step(n=2)  # the piece that is painted, and what was doubtful in it
    later.stop_segmenting()
    finish(later)
    assert later.messages[-1].text.startswith("Stopped")
    later.found = later.session.labels.copy()
    assert np.count_nonzero(later.found.any(axis=(0, 2, 3))) == 1
    return later


def test_it_goes_on_where_nothing_changed(stopped):
    assert stopped.segment()
    assert stopped.messages[-1].text == "Segmenting the rest: 67%."
    finish(stopped)
    assert stopped.messages[-1].text.startswith("Found 3 objects")


def test_what_was_finished_is_not_used_where_the_file_changed_before_going_on(stopped, path):
    rewrite(path)
    assert stopped.segment()
    finish(stopped)
    assert not stopped.session.labels.any(), "all of it is of the image as it is now"
    assert stopped.messages[-1].text.startswith("Found 0 objects")
    assert "The image has changed since Stop, so all of it is segmented again." in stopped.messages[-1].details


def test_a_file_that_changes_meanwhile_is_told_and_what_was_found_stays(stopped, path):
    assert stopped.segment()
    stopped.runner.step(n=2)
    rewrite(path)
    finish(stopped)
    assert stopped.messages[-1].level == "error"
    assert stopped.messages[-1].text.startswith("stack.zarr changed while it was segmented")
    first = stopped.found.any(axis=(0, 2, 3))
    assert np.array_equal(stopped.session.labels[:, first], stopped.found[:, first])
    assert not stopped.busy


def test_a_file_that_is_gone_is_told_and_it_goes_on_when_it_is_back(stopped, path):
    shutil.move(path, path.with_name("elsewhere"))
    assert stopped.segment()
    finish(stopped)
    assert stopped.messages[-1].level == "error"
    assert "stack.zarr is no longer there" in stopped.messages[-1].text
    assert np.array_equal(stopped.session.labels, stopped.found)
    shutil.move(path.with_name("elsewhere"), path)
    assert stopped.segment()
    finish(stopped)
    assert stopped.messages[-1].text.startswith("Found 3 objects")


@pytest.mark.parametrize("fate", ["changed", "disappeared"])
def test_scripts_are_told_too(stopped, path, fate):
    def meanwhile(progress: Any) -> None:
        if progress.fraction == 1:
            rewrite(path) if fate == "changed" else shutil.rmtree(path, ignore_errors=True)

    with pytest.raises(FileFormatError, match=f"stack.zarr {fate} while it was segmented"):
        segment(read_image(path), stopped.model, device="cpu", progress=meanwhile)


def test_an_image_in_memory_has_no_file(tmp_path):
    write_maps(tmp_path / "small.zarr", squares(), "YX")
    assert read_image(tmp_path / "small.zarr").source is None
