"""How numbers are told."""

from __future__ import annotations

import threading

import pytest

from napari_unet import progress
from napari_unet.progress import CancelToken, Countdown, PauseToken, counted, first_names


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(0, "object", "0 objects"), (1, "object", "1 object"), (2, "reviewed place", "2 reviewed places"),
     (1, "class", "1 class"), (3, "class", "3 classes")],
)  # fmt: skip
def test_counted(number, noun, said):
    assert counted(number, noun) == said


def test_of_many_names_the_first_are_said_and_how_many_more_there_are():
    assert first_names(["a", "b", "c"]) == "a, b, c"
    assert first_names(["a", "b", "c", "d"]) == "a, b, c and 1 other"
    assert first_names(dict.fromkeys("abcdef"), 2) == "a, b and 4 others", "those of a mapping too"
    assert first_names([]) == ""


@pytest.mark.parametrize("how", ["goes on", "is stopped"])
def test_a_job_that_is_paused_waits_until_it(how):
    pause, cancel, waited = PauseToken(), CancelToken(), []
    pause.set(True)
    job = threading.Thread(target=lambda: waited.append(pause.wait(cancel)))
    job.start()
    assert not waited
    if how == "goes on":
        pause.set(False)
    else:
        cancel.cancel()
    job.join()
    assert len(waited) == 1


def test_a_countdown_stands_still_while_it_is_held(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    countdown = Countdown(60)
    now[0] += 10
    assert countdown.seconds_left == 50
    countdown.hold(True)
    now[0] += 30
    countdown.hold(True)  # again, as of a button that is pressed twice
    assert countdown.seconds_left == 50
    countdown.hold(False)
    countdown.hold(False)
    now[0] += 5
    assert countdown.seconds_left == 45
    now[0] += 100
    assert countdown.seconds_left == 0
