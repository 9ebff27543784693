"""The runner of the window."""

import threading

from napari.utils import progress

from napari_unet._qt import workers
from napari_unet._qt.workers import QtRunner
from napari_unet.layers.jobs import Job


def test_no_bar_is_left_of_a_job_that_ends_while_its_bar_is_made(qtbot, monkeypatch):
    runner, go, made = QtRunner(), threading.Event(), []

    def make(*args, **keywords):
        """Make a bar as napari does, which lets other events in: here until the job has ended."""
        go.set()
        qtbot.waitUntil(lambda: not runner.busy)
        made.append(progress(*args, **keywords))
        return made[0]

    def steps():
        go.wait(60)
        yield from ()

    monkeypatch.setattr(workers, "progress", make)
    monkeypatch.setattr(workers, "BAR_AFTER", 0)
    runner.start(Job("Count", 3), steps, print, print, print)
    qtbot.waitUntil(lambda: bool(made))
    assert not progress._all_instances
    runner.close()
