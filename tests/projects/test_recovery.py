"""Copies of what nobody has saved: made only where something has changed, in one pair of hands, and bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hand_made import bright
from napari_unet.axes import Image
from napari_unet.errors import Cancelled, FileFormatError
from napari_unet.io.atomic import remove
from napari_unet.io.lock import Lock
from napari_unet.io.names import is_device
from napari_unet.progress import CancelToken, drive
from napari_unet.projects import keeping, recovery
from napari_unet.projects.keeping import keep_steps
from napari_unet.projects.names import file_name
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import Copy, is_copy, left_behind, recovery_folder

from .conftest import random_session, same

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def keep(project: Project, copy: Copy | None = None, saved: str = "") -> Copy | None:
    return drive(
        keep_steps(project, copy, saved, CancelToken()),
        lambda block: block.take(project._canonical, project.corrections),
    )


def files() -> list[str]:
    return sorted(path.name for path in recovery_folder().rglob("*")) if recovery_folder().exists() else []


# -- by what a state is known again ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 5), st.integers(0, 39), st.integers(0, 49), st.integers(1, 3))
def test_the_digest_is_another_exactly_where_something_has_changed(seed: int, y: int, x: int, what: int) -> None:
    image = Image(np.zeros((2, 40, 50), np.uint8), "ZYX")
    one, other = random_session(image, seed), random_session(image, seed)
    assert one.state_digest() == other.state_digest()
    if what == 1:
        other.labels[1, y, x] += 1
    elif what == 2:
        other.corrections.reviewed[0, 1, y, x] ^= True
    else:
        other.corrections.prediction[0, 1, y, x] = other.labels[1, y, x] + 1
        other.labels[1, y, x], one.labels[1, y, x] = 7, 7
        one.corrections.prediction[0, 1, y, x] = 7
        other.corrections.prediction[0, 1, y, x] = 8
    assert one.state_digest().digest != other.state_digest().digest
    assert other.state_digest().by_user


def test_models_and_settings_belong_to_the_state(session: Project) -> None:
    digests = [session.state_digest().digest]
    for attribute, value in (("current", 1), ("channel", 1), ("waiting", None), ("generations", [])):
        setattr(session, attribute, value)
        digests.append(session.state_digest().digest)
    session.labels = session.labels.astype(np.int64)
    assert session.state_digest().digest == digests[-1], "napari's user may make them another type"
    assert len(set(digests)) == len(digests)


def test_what_is_saved_and_opened_has_the_same_digest(session: Project, tmp_path: Path) -> None:
    path = session.save(tmp_path / "a.unetproj")
    assert session.saved_digest == session.state_digest() == Project.open(path).state_digest()


def test_the_digest_of_what_was_saved_while_it_was_painted(session: Project, tmp_path: Path) -> None:
    for block in session.save_steps(tmp_path / "a.unetproj"):
        block.take(session._canonical, session.corrections)
        session.labels[:] += 1
    assert session.saved_digest == Project.open(tmp_path / "a.unetproj").state_digest() != session.state_digest()


# -- when a copy is made ---------------------------------------------------------------------------------------------


def test_only_what_has_changed_and_is_a_persons(session: Project, image_file: Any) -> None:
    nobody = Project(session.image, session.labels, models=[bright("first")], image_path=image_file)
    assert keep(nobody) is None
    assert files() == []
    copy = keep(session)
    assert copy is not None
    same(Project.open(copy.path), session)
    state = (copy.path / "project.json").read_bytes()
    assert keep(session, copy) is copy
    assert (copy.path / "project.json").read_bytes() == state, "nothing is written where nothing has changed"
    session.labels[:, 3, 3] += 1
    assert keep(session, copy) is copy
    same(Project.open(copy.path), session)
    assert keep(session, copy, saved=session.state_digest().digest) is None, "it was saved as it is"
    session.corrections.reviewed[:], session.labels[:] = False, session.corrections.prediction[0]
    assert keep(session, copy, saved="another") is copy, "that all is taken back is a change too"
    same(Project.open(copy.path), session)


def test_what_was_saved_is_not_touched(session: Project, tmp_path: Path) -> None:
    path = session.save(tmp_path / "a.unetproj")
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    session.labels[:] = 5
    copy = keep(session)
    assert copy is not None
    assert copy.path != path
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_stopped_or_failed_nothing_is_left_of_a_new_one(session: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = CancelToken()
    steps = keep_steps(session, None, "", cancel)
    next(steps)
    cancel.cancel()
    with pytest.raises(Cancelled):
        next(steps)
    assert files() == []
    usage = namedtuple("usage", "total used free")(10**12, 10**12, recovery.MIN_FREE_BYTES - 1)
    monkeypatch.setattr(recovery.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FileFormatError, match="less than 1 GB free"):
        keep(session)
    assert files() == []


def test_pixels_that_no_file_has_are_copied_once(tmp_path: Path) -> None:
    image = Image(np.random.default_rng(0).integers(0, 99, (3, 40, 50)).astype(np.uint8), "ZYX", name="made")
    project = random_session(image, 3)
    copy = keep(project)
    assert copy is not None
    written = {path: path.stat().st_mtime_ns for path in (copy.path / "image-1.zarr").rglob("*")}
    project.image_path = None
    project.labels[:] += 1
    keep(project, copy)
    assert {path: path.stat().st_mtime_ns for path in (copy.path / "image-1.zarr").rglob("*")} == written
    opened = copy.open(None, CancelToken())
    remove(copy.discard())
    assert np.array_equal(np.asarray(opened.image.data), image.data), "the copy is not needed any more"
    assert (opened.image_path, opened.path) == (None, None)


def test_no_copies_of_what_is_too_large(session: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keeping.why_not(session) == ""
    monkeypatch.setattr(keeping, "MAX_COPIED_BYTES", session.labels.nbytes - 1)
    assert "too large" in keeping.why_not(session)
    monkeypatch.setattr(keeping, "MAX_COPIED_BYTES", 10**6)
    large = Image(np.zeros((2000, 1000), np.uint8), "YX")
    assert "too large" in keeping.why_not(Project(large, np.zeros((2000, 1000), bool)))


# -- in whose hands --------------------------------------------------------------------------------------------------


def test_one_pair_of_hands(session: Project) -> None:
    copy = keep(session)
    assert copy is not None
    assert is_copy(copy.path)
    assert not is_copy(copy.path.parent)
    assert left_behind() == ([], [])
    assert Copy.claim(copy.path) is None
    copy.release()
    assert [left.path for left in left_behind()[0]] == [copy.path], "looking takes nothing"
    claimed = Copy.claim(copy.path)
    assert claimed is not None
    assert left_behind() == ([], [])
    assert Copy.claim(copy.path) is None
    gone = claimed.discard()
    assert left_behind() == ([], [gone])
    assert Copy.claim(copy.path) is None


def test_another_program_holds_a_lock_until_it_is_killed(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from napari_unet.io.lock import Lock
lock = Lock.acquire(Path(sys.argv[1]))
print(lock is not None, flush=True)
time.sleep(600)
"""
    path = tmp_path / "a.lock"
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        assert Lock.acquire(path) is None
        process.kill()
        process.wait()
        lock = Lock.acquire(path)
    assert lock is not None
    assert Lock.acquire(path) is None
    lock.release()


def test_a_handful_is_kept(session: Project) -> None:
    copies = []
    for number in range(recovery.MIN_KEPT + 2):
        copy = keep(session)
        older = copy.path.parent.with_name(f"20200101-00000{number}-1-a")
        copy.path.parent.rename(older)
        copy.release()
        copies.append(older / copy.path.name)
    empty = recovery_folder() / "20300101-000000-1-a"
    empty.mkdir()
    (recovery_folder() / "mine").mkdir()
    left, rubbish = left_behind()
    assert [one.path for one in left] == copies[:1:-1]
    assert {path.name for path in rubbish} == {f"{p.name}.gone" for p in (empty, copies[0].parent, copies[1].parent)}
    assert all(path.exists() for path in rubbish)
    assert str(left[0]).startswith(f"{session.image.name} (today at ")
    (copies[-1] / "project.json").write_text("{}")
    assert [one.path for one in left_behind()[0]] == copies[-2:1:-1], "what cannot be read is left alone"
    assert copies[-1].exists()
    assert (recovery_folder() / "mine").exists()


def test_where_it_was_saved_before(session: Project, tmp_path: Path) -> None:
    path = session.save(tmp_path / "a.unetproj")
    session.labels[:] = 5
    copy = keep(session)
    session.path = path
    copy_of_saved = keep(session)
    assert copy is not None
    assert copy_of_saved is not None
    assert copy_of_saved.open(None, CancelToken()).path == path
    session.save(path, overwrite=True)
    assert copy_of_saved.open(None, CancelToken()).path is None, (
        "saved anew since: it is not to be replaced by the copy"
    )


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=50
)
@given(st.text(max_size=120))
@example("細" * 120)
@example("a/../b")
@example(" . ")
def test_any_name_can_be_that_of_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{file_name(name)}.unetproj.partial"
    path.touch()
    assert path in tmp_path.iterdir()
    path.unlink()


@pytest.mark.parametrize("name", ["con", "NUL", "aux.tif", "COM1", " prn "])
def test_a_name_that_windows_takes_for_a_device_becomes_another(name: str) -> None:
    assert not is_device(file_name(name))
    assert name.strip() in file_name(name)
