"""Whenever saving is interrupted, the project is as it was before, or as it is after."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from zarr.core.sync import sync

from hand_made import bright
from napari_unet.axes import Image
from napari_unet.errors import FileFormatError, UNetError
from napari_unet.learning.history import Generation
from napari_unet.progress import drive
from napari_unet.projects.project import Project

from .conftest import random_session, same

_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "os.listdir", "shutil.rmtree"}


class Disk:
    """Counts what is done to the files in a folder; from one step on everything fails, as after a kill -9."""

    def __init__(self):
        self.folder, self.steps, self.last, self.error = None, 0, None, OSError(errno.EIO, "gone")

    def __call__(self, event, arguments):
        if self.folder is None or event not in _EVENTS or not arguments:
            return
        if not str(arguments[0]).startswith(self.folder):
            return
        self.steps += 1
        if self.last is not None and self.steps > self.last:
            raise self.error


DISK = Disk()
sys.addaudithook(DISK)  # cannot be taken away again; without a folder it does nothing


@pytest.fixture
def disk():
    yield DISK
    DISK.__init__()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Tests need not outlive a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def small(image_file):
    """A session of few files."""
    image = Image(tifffile.imread(image_file)[0], "YX")
    tifffile.imwrite(image_file, image.data)
    return random_session(image, 3, models=[bright("first")], image_path=image_file)


def dies(disk, folder, step, save):
    """Save; after so many steps nothing can be done to the folder any more. Return whether it came to its end."""
    disk.__init__()
    disk.folder, disk.last = str(folder), step
    try:
        save()
    except UNetError:
        return False
    finally:
        sync(others_done())
        disk.folder = None
    return True


async def others_done():
    """Wait for what zarr still writes after one write has failed: of a process that is killed, nothing goes on."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


@pytest.mark.slow
def test_killed_at_any_step_the_project_is_the_old_or_the_new_one(small, tmp_path, disk):
    path = small.save(tmp_path / "a.unetproj")
    old = Project.open(path)
    backup = shutil.copytree(path, tmp_path / "backup")
    small.labels[10:20, 10:20] = 77
    small.corrections.reviewed[0, 0, :9] = True
    small.image = Image(small.image.data // 2, "YX")  # so that pixels are copied too
    small.generations.insert(0, Generation(bright("new", threshold=0.1)))
    dies(disk, path, None, small.save)
    steps = disk.steps
    assert steps > 40
    found = []
    for step in range(steps + 1):
        shutil.rmtree(path)
        shutil.copytree(backup, path)
        dies(disk, path, step, small.save)
        opened = Project.open(path)
        is_old = opened.generations[0].model.name == "first"
        same(opened, old if is_old else small)
        found.append(is_old)
        if step % 7 == 0:
            small.save()  # what is left of it hinders nothing, and is tidied up
            assert len(os.listdir(path)) == 3
    assert found[0]
    assert not found[-1]
    assert found == sorted(found, reverse=True), "there is one step at which the new one takes the place of the old"


@pytest.mark.slow
def test_killed_at_any_step_a_new_project_is_there_whole_or_not_at_all(small, tmp_path, disk):
    path = tmp_path / "a.unetproj"
    dies(disk, tmp_path / "a", None, lambda: small.save(path))
    for step in range(disk.steps):
        shutil.rmtree(path, ignore_errors=True)
        dies(disk, tmp_path / "a", step, lambda: small.save(path))
        if path.exists():
            same(Project.open(path), small)
        else:
            with pytest.raises(FileFormatError, match="There is no project"):
                Project.open(path)
    small.save(path, overwrite=True)
    assert not list(tmp_path.glob("*.partial")), "what is left of those before is gone"


def test_a_process_that_is_killed(tmp_path):
    code = """
import sys
import numpy as np
from napari_unet.axes import Image
from napari_unet.projects.project import Project
labels = np.zeros((6, 300, 300), np.int32)
project = Project(Image(np.zeros((6, 300, 300), np.uint8), "ZYX"), labels)
for number in range(1, 10**6):
    labels[...] = number
    project.save(sys.argv[1], overwrite=True)
    print(number, flush=True)
"""
    path = tmp_path / "a.unetproj"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(3):
            saved = int(process.stdout.readline())
        time.sleep(0.03)
        os.kill(process.pid, signal.SIGKILL)
        said = process.stdout.read().split()
    saved = int(said[-1]) if said else saved
    found = np.unique(Project.open(path).labels)
    assert found.tolist() in ([saved], [saved + 1])


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"), (errno.EROFS, "Read-only file system")],
)
def test_a_disk_that_is_full_or_read_only(session, tmp_path, disk, number, words):
    path = session.save(tmp_path / "a.unetproj")
    old = Project.open(path)
    session.labels[:] = 9
    for step in (5, 30, 70):
        disk.__init__()
        disk.folder, disk.last, disk.error = str(path), step, OSError(number, os.strerror(number))
        with pytest.raises(FileFormatError, match=f"could not be .*{words}") as raised:
            session.save()
        disk.folder = None
        assert str(raised.value).count("\n") == 0
        same(Project.open(path), old)


def test_a_disk_that_is_full_leaves_nothing_of_a_new_project(session, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("napari_unet.projects.arrays.create_zarr", full)
    with pytest.raises(FileFormatError, match=r"a\.unetproj could not be saved: the disk is full\.$"):
        session.save(tmp_path / "a.unetproj")
    assert [path.name for path in tmp_path.iterdir() if "unetproj" in path.name] == []


def test_a_folder_that_may_not_be_written(session, tmp_path, monkeypatch):
    path = session.save(tmp_path / "a.unetproj")
    made = os.mkdir

    def refuse(name, *arguments, **options):  # chmod does not hinder root
        if str(name).startswith(str(path)):
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        made(name, *arguments, **options)

    old = Project.open(path)
    session.labels[:] = 9
    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(FileFormatError, match="Permission denied. What was saved before is as it was"):
        session.save()
    monkeypatch.undo()
    same(Project.open(path), old)


def test_a_folder_that_disappears_meanwhile(session, tmp_path):
    path = session.save(tmp_path / "a.unetproj")
    seen = []

    def take(block):
        if not seen:
            shutil.rmtree(path)
        seen.append(block)
        block.take(session.image.canonical_labels(session.labels), session.corrections)

    with pytest.raises(FileFormatError, match="the folder disappeared meanwhile"):
        drive(session.save_steps(), take)
    with pytest.raises(FileFormatError):
        Project.open(path)
    shutil.rmtree(path, ignore_errors=True)
    session.save()
    same(Project.open(path), session)


def test_saved_anew_while_it_is_opened(session, tmp_path, monkeypatch):
    path = session.save(tmp_path / "a.unetproj")
    with pytest.raises(FileFormatError, match=r"a\.unetproj was saved anew while it was opened"):
        Project.open(path, progress=lambda progress: progress.done == 1 and session.save())
    same(Project.open(path), session)


def test_other_sessions_are_not_mixed(session, tmp_path):
    """What is painted while it is saved is in it or is not, block by block; what is saved is a state of each block."""
    other = random_session(session.image, 7, image_path=session.image_path)
    steps = other.save_steps(tmp_path / "a.unetproj")
    before = other.labels.copy()
    for number, block in enumerate(steps):
        block.take(other.image.canonical_labels(other.labels), other.corrections)
        other.labels[:] = 100 + number
    opened = Project.open(tmp_path / "a.unetproj")
    assert np.array_equal(opened.labels[0], before[0])
    assert (opened.labels[1] == 100).all()
    assert (opened.labels[2] == 101).all()
