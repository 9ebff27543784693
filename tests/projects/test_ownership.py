"""A saved project belongs to one program at a time, and is not overwritten by another one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_unet.axes import Image
from napari_unet.errors import FileFormatError
from napari_unet.projects.ownership import LOCK, Ownership
from napari_unet.projects.project import Project


@pytest.fixture
def path(tmp_path):
    return Project(Image(np.zeros((8, 8), np.uint8), "YX"), np.zeros((8, 8), np.int32)).save(tmp_path / "a.unetproj")


def test_the_first_owns_it_and_the_second_when_the_first_is_gone(path):
    first, second = Ownership(path), Ownership(path)
    assert first.claim()
    assert not second.claim()
    assert not second.owned
    with pytest.raises(FileFormatError, match="open in another window"):
        second.check()
    first.release()
    second.check()
    assert second.owned


def test_another_program_that_is_killed_owns_nothing_any_more(path):
    code = (
        "import sys, pathlib\n"
        "from napari_unet.projects.ownership import Ownership\n"
        "own = Ownership(pathlib.Path(sys.argv[1])); print(own.claim(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True\n"
        own = Ownership(path)
        assert not own.claim()
        process.kill()
        process.wait()
    assert own.claim()
    own.release()


def test_what_somebody_else_has_saved_since_is_not_overwritten(path):
    own = Ownership(path)
    project = Project.open(path, np.zeros((8, 8), np.uint8))
    project.labels[:] = 3
    project.save()
    with pytest.raises(FileFormatError, match="was saved in another window since"):
        own.check()
    own.saved()
    own.check()
    own.release()


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_where_there_is_no_project_nothing_is_made(tmp_path, make):
    path = tmp_path / "none.unetproj"
    make(path)
    own = Ownership(path)
    own.check()
    assert not (path / LOCK).exists()


def test_a_folder_that_may_not_be_written_is_nobodys(path, monkeypatch):
    def refused(_):
        raise PermissionError("no")

    monkeypatch.setattr("napari_unet.io.lock.Lock.acquire", refused)
    own = Ownership(path)
    assert own.claim()
    own.check()
