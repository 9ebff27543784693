"""An image of a list that a worker segments: what it writes, and how that comes to its place."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile

from hand_made import bright, squares
from napari_unet.errors import Cancelled, ClusterError, FileFormatError
from napari_unet.projects import on_workers
from napari_unet.projects.on_workers import SentImage, Wanted, put_in_place, segment_sent, sending
from napari_unet.projects.project import Project
from napari_unet.projects.segmented_by import SegmentedBy


@pytest.fixture
def sent(tmp_path):
    """Return an image that is sent, of a list beside the folder of images."""
    (tmp_path / "images").mkdir()
    file = tmp_path / "images" / "a.tif"
    tifffile.imwrite(file, (200 * squares()).astype(np.uint8))
    with sending(tmp_path / "day.unetlist", bright()) as folder:
        yield SentImage(folder, 0, "a", file, None, None, tmp_path / "day.unetlist" / "a.unetproj", "cpu", False)


def test_an_image_that_is_not_wanted_any_more(sent):
    wanted = Wanted(sent.asked)
    wanted.ask()
    assert not Wanted(sent.asked).cancelled
    wanted.cancel()
    with pytest.raises(Cancelled):
        segment_sent(sent)
    wanted.ask()  # was given up before it was asked for
    assert not sent.asked.exists()


def test_what_a_worker_does_not_see(sent):
    sent.file.unlink()
    with pytest.raises(ClusterError, match=r"a\.tif"):
        segment_sent(sent)


def test_a_project_in_its_place_finds_its_image_when_both_are_moved(sent, tmp_path):
    Wanted(sent.asked).ask()
    segment_sent(sent)
    put_in_place(sent)
    assert sorted(path.name for path in sent.folder.iterdir()) == ["model.safetensors"]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    os.replace(tmp_path / "images", moved / "images")
    os.replace(tmp_path / "day.unetlist", moved / "day.unetlist")
    project = Project.open(moved / "day.unetlist" / "a.unetproj")
    assert project.labels.max() == 3
    assert (project.segmented_by, project.suspects) == (SegmentedBy(bright().sha256()), 0)
    assert project.image_path == moved / "images" / "a.tif"


def test_where_it_cannot_be_moved_the_earlier_one_stays(sent, monkeypatch):
    Wanted(sent.asked).ask()
    segment_sent(sent)
    put_in_place(sent)
    Wanted(sent.asked).ask()
    segment_sent(sent)
    replace = os.replace

    def full(source, target):
        if source == sent.made:
            raise OSError(28, "no space")
        replace(source, target)

    monkeypatch.setattr(on_workers.os, "replace", full)
    with pytest.raises(FileFormatError, match="the disk is full"):
        put_in_place(sent)
    assert Project.open(sent.project).labels.max() == 3
