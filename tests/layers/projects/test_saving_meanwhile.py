"""What is painted is in a journal at any time, whenever the project is saved and however long that takes.

A worker that takes long is stopped by this test at the first block that it asks for, and goes on when the test says so:
nothing depends on how fast anything is. What a kill would leave is looked up in the files.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from hand_made import LaterRunner, bright, squares
from napari_unet.layers.controller import Controller
from napari_unet.layers.jobs import InlineRunner
from napari_unet.layers.projects import autosave, journal, session_copy
from napari_unet.layers.reader import read_layers
from napari_unet.projects import journal as records
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import recovery_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = (3, 64, 64)


class SlowRunner:
    """Runs a job until it asks for the first block; it goes on, or notices that it was stopped, when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[SimpleNamespace] = []

    def start(self, job: Any, steps: Any, on_event: Any, on_return: Any, on_error: Any) -> None:
        one = SimpleNamespace(job=job, steps=steps(), tell=on_event, end=on_return, fail=on_error)
        event = self._next(one)
        if event is not None:
            one.event = event
            self.waiting.append(one)

    @staticmethod
    def _next(one: SimpleNamespace) -> Any:
        try:
            return next(one.steps)
        except StopIteration as end:
            one.end(end.value)
        except Exception as error:  # noqa: BLE001
            one.fail(error)
        return None

    def finish(self) -> None:
        """Let all go on to their end."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            event = one.event
            while event is not None:
                one.tell(event)
                event = self._next(one)

    def end_stopped(self) -> None:
        """Let those go on that were stopped."""
        stopped = [one for one in self.waiting if one.job.cancel.cancelled]
        self.waiting = [one for one in self.waiting if not one.job.cancel.cancelled]
        for one in stopped:
            event = one.event
            while event is not None:
                one.tell(event)
                event = self._next(one)


class Desk:
    """A window with an image that is painted on and saved, all in one plane, and what of it a kill would leave."""

    def __init__(self, folder: Path) -> None:
        tifffile.imwrite(folder / "cells.tif", squares(SHAPE), imagej=True, metadata={"axes": "ZYX"})
        self.controller: Any = Controller(ViewerModel(), InlineRunner())
        self.controller.messages = []
        self.controller.workspace.said.connect(self.controller.messages.append)
        for data, options, _ in read_layers(folder / "cells.tif"):
            self.controller.viewer.add_image(data, **options)
        self.controller.use_model(bright())
        assert self.controller.segment()
        self.autosave = self.controller.autosave
        self.copies, self.saves = SlowRunner(), SlowRunner()
        self.autosave._runner, self.controller.projects._runner = self.copies, self.saves
        self.autosave.on = True
        self.path = folder / "saved.unetproj"
        self.strokes: dict[tuple[int, int, int], int] = {}
        self._n = itertools.count()

    def paint(self) -> None:
        """Paint one pixel, never the same twice, and with a label of its own."""
        n = next(self._n)
        pixel, label = (n % 3, 2 + n // 3 % 60, 1 + n // 180), 1000 + n
        self.controller.session.labels_layer.data_setitem(tuple(np.array([i]) for i in pixel), label)
        self.strokes[pixel] = label

    def note(self) -> None:
        """Let a second or two pass."""
        for _ in range(3):
            self.copies.end_stopped()
            self.autosave.note()
            self.autosave._writer.settle()

    def save(self) -> None:
        """Begin to save, as somebody does who presses Save."""
        if not self.controller.projects.busy:
            self.controller.projects.save(self.path)

    def _left(self) -> Iterator[Path]:
        for folder in sorted(recovery_folder().glob("*")):
            if not folder.name.endswith(".gone"):
                yield from folder.glob("*.unetproj")
        if self.path.exists():
            yield self.path

    def missing(self) -> list[int]:
        """Return the labels of the strokes that would be lost by a kill now."""
        left = next(self._left(), None)
        if left is None:
            return list(self.strokes.values())
        labels = Project.open(left).labels
        return [label for pixel, label in self.strokes.items() if labels[pixel] != label]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is time for a record at once; and no test needs to outlive a loss of power."""
    monkeypatch.setattr(journal, "WRITE_DELAY", 0.0)
    monkeypatch.setattr(autosave, "WRITE_DELAY", 0.0)
    monkeypatch.setattr(journal.Recorder.tick, "__defaults__", (60.0, 0.0))
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(records, "SIDE", 32)
    monkeypatch.setattr("napari_unet.projects.arrays.SIDE", 32)


@pytest.fixture(params=["small", "large"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An image of which a copy of all is quick, or takes long."""
    if request.param == "large":
        monkeypatch.setattr(session_copy, "MAX_QUICK_PIXELS", 0)
    return Desk(tmp_path)


def test_saved_again_and_again_before_a_copy_of_all_is_done(desk: Desk) -> None:
    for _ in range(3):
        desk.paint()
        desk.note()
        assert desk.missing() == [], "before it is saved"
        desk.save()
        desk.paint()
        desk.note()
        assert desk.missing() == [], "while it is saved"
        desk.saves.finish()
        assert desk.missing() == [], "at the moment at which it is saved"
        desk.note()
        assert desk.missing() == [], "afterwards"


def test_the_first_stroke_is_made_while_it_is_saved(desk: Desk) -> None:
    desk.controller.projects._runner = InlineRunner()
    desk.save()
    desk.controller.projects._runner = desk.saves
    desk.save()
    desk.paint()
    desk.note()
    assert desk.missing() == []


def test_the_first_stroke_is_made_while_the_image_is_compared(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autosave, "MIN_INTERVAL", 0.0)
    monkeypatch.setattr(autosave, "MAX_TIME_SHARE", 1e9)
    desk.paint()
    desk.controller.session.unwritten.forget()  # nobody was told of that one
    assert desk.autosave.tick(), "a copy of all"
    desk.paint()
    desk.note()
    assert desk.missing() == []
    desk.copies.finish()
    desk.note()
    assert desk.missing() == []


def test_what_was_saved_before_is_in_the_copy_from_its_beginning(desk: Desk) -> None:
    """Else whoever recovers it, and presses Save, loses that."""
    desk.paint()
    desk.save()
    desk.saves.finish()
    other = Desk(Path(tempfile.mkdtemp(dir=desk.path.parent)))
    other.controller.projects._runner = InlineRunner()
    other.controller.projects.open(desk.path)
    other.strokes, other.path, other._n = dict(desk.strokes), desk.path, itertools.count(5)
    other.paint()
    other.autosave.note()  # no time for more
    assert next(other._left()) != desk.path, "there is a copy"
    assert other.missing() == []


def test_a_save_that_fails(desk: Desk) -> None:
    desk.paint()
    desk.note()
    desk.save()
    desk.paint()
    desk.note()
    desk.controller.session.labels_layer.data = np.zeros((3, 5, 5), np.int32)
    desk.saves.finish()
    desk.note()
    assert desk.missing() == []


def test_saved_as_it_is_no_copy_is_left(desk: Desk) -> None:
    desk.paint()
    desk.note()
    desk.save()
    desk.paint()
    desk.note()
    desk.saves.finish()
    desk.note()
    desk.save()
    desk.saves.finish()
    desk.note()
    desk.copies.finish()
    assert list(desk._left()) == [desk.path], "all is in there"
    assert [one.text for one in desk.controller.messages if one.level == "error"] == []


def test_a_copy_that_goes_on_knows_where_it_is_saved(desk: Desk) -> None:
    desk.paint()
    desk.note()
    desk.save()
    desk.paint()
    desk.note()
    desk.saves.finish()
    desk.autosave._writer.settle()
    desk.autosave.copy_of(desk.controller.session).copy.release()
    other: Any = Controller(ViewerModel(), InlineRunner())
    other.recovery.search()
    other.recovery.recover(other.recovery.left[0])
    assert other.projects.path == desk.path, "Save replaces that"


def test_closed_before_the_first_copy_is_begun(desk: Desk) -> None:
    desk.autosave._runner = LaterRunner()
    desk.paint()
    desk.autosave.note()
    assert len(desk.autosave._runner.jobs) == 1, "its worker has not begun yet"
    desk.controller.close()
    assert desk.missing() == []


ACTIONS = ("paint", "note", "save", "saved", "tick", "copied")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=14), large=st.booleans())
def test_in_any_order(actions: list[str], large: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is under way: given two seconds, a stroke is where a kill leaves it."""
    folder = tmp_path_factory.mktemp("any")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_UNET_HOME", str(folder / "home"))
        patch.setattr(autosave, "MIN_INTERVAL", 0.0)
        patch.setattr(autosave, "MAX_TIME_SHARE", 1e9)
        if large:
            patch.setattr(session_copy, "MAX_QUICK_PIXELS", 0)
        desk = Desk(folder)
        todo = {
            "paint": desk.paint,
            "note": desk.note,
            "save": desk.save,
            "saved": desk.saves.finish,
            "tick": desk.autosave.tick,
            "copied": desk.copies.finish,
        }
        noted: set[int] = set()
        for action in actions:
            todo[action]()
            if action == "note":
                noted = set(desk.strokes.values())
            assert not noted & set(desk.missing()), f"lost after {action}"
        desk.controller.close()
    shutil.rmtree(folder)
