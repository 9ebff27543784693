"""How numbers are told."""

from __future__ import annotations

import pytest

from napari_unet import progress
from napari_unet.progress import Countdown, counted


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(0, "object", "0 objects"), (1, "object", "1 object"), (2, "reviewed place", "2 reviewed places"),
     (1, "class", "1 class"), (3, "class", "3 classes")],
)  # fmt: skip
def test_counted(number, noun, said):
    assert counted(number, noun) == said


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
