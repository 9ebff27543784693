"""Progress events of long jobs, and the token that stops them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from napari_unet.errors import Cancelled

Step = TypeVar("Step")
Result = TypeVar("Result")

MIN_ELAPSED = 3.0
"""Seconds from the start of a job before the remaining time is estimated: first steps take several times as long."""

MAX_NAMES = 3
"""Names in a sentence, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long job has come.

    Attributes
    ----------
    done, total : int
        Finished and planned steps (tiles, training steps, files).
    elapsed : float
        Seconds since the job began.
    what : str
        What is counted, in the plural ("tiles", "steps").
    message : str
        A short text for a status line, instead of the count; may be empty.
    note : str
        A sentence to be shown once, about something unexpected; mostly empty.
    left : float, optional
        Seconds left; None: estimated from the mean time of a step.
    part : float
        Share of the current step that is done, 0..1.
    """

    done: int
    total: int
    elapsed: float = 0.0
    what: str = "tiles"
    message: str = ""
    note: str = ""
    left: float | None = None
    part: float = 0.0

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0..1."""
        return (self.done + self.part) / self.total if self.total else 1.0

    @property
    def remaining(self) -> float | None:
        """Seconds left; None in the first seconds."""
        if self.left is not None:
            return self.left
        if not self.fraction or self.elapsed < MIN_ELAPSED:
            return None
        return self.elapsed / self.fraction * (1 - self.fraction)

    @property
    def count(self) -> str:
        """What is done, and the time left: ``3 of 24 tiles, 9 s left``; of a single step, its share."""
        done = f"{self.part:.0%}" if self.total == 1 and self.part else f"{self.done} of {self.total} {self.what}"
        return f"{done}, {format_seconds(self.remaining)} left" if self.remaining and self.fraction < 1 else done


ProgressCallback = Callable[[Progress], None]


def drive(steps: Generator[Step, None, Result], each: Callable[[Step], object]) -> Result:
    """Run a generator to its end: call `each` with every value that it yields, and return what it returns."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        each(step)


@dataclass(slots=True)
class CancelToken:
    """Thread-safe flag by which any thread asks a job to stop at its next safe point."""

    _event: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the job was asked to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if the job was asked to stop."""
        if self.cancelled:
            raise Cancelled("Stopped. What was finished is kept.")


class PauseToken:
    """Thread-safe switch by which any thread pauses a job at its next safe point."""

    def __init__(self) -> None:
        self._may_go_on = threading.Event()
        self._may_go_on.set()

    @property
    def paused(self) -> bool:
        """Whether the job is to pause."""
        return not self._may_go_on.is_set()

    def set(self, paused: bool) -> None:
        """Pause the job, or let it continue."""
        if paused:
            self._may_go_on.clear()
        else:
            self._may_go_on.set()

    def wait(self, cancel: CancelToken | None = None) -> float:
        """Wait until the job may continue or is to stop; return for how many seconds it was paused."""
        watch = Stopwatch()
        while not self._may_go_on.wait(0.05) and not (cancel is not None and cancel.cancelled):
            pass
        return watch.seconds


class Stopwatch:
    """Seconds since it was made, less those left out, on a monotonic clock."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Elapsed seconds."""
        return time.monotonic() - self._start

    def leave_out(self, seconds: float) -> None:
        """Leave out some of the elapsed seconds."""
        self._start += seconds


class Countdown:
    """Seconds that are left of a limit, pauses left out.

    Parameters
    ----------
    limit : float
        Seconds.
    """

    def __init__(self, limit: float) -> None:
        self._limit, self._watch = limit, Stopwatch()
        self._pause: Stopwatch | None = None

    @property
    def seconds_left(self) -> float:
        """Seconds that are left; 0 when they are used up."""
        paused = self._pause.seconds if self._pause is not None else 0.0
        return max(0.0, self._limit - self._watch.seconds + paused)

    def hold(self, paused: bool) -> None:
        """Stand still, or go on."""
        if paused:
            self._pause = self._pause or Stopwatch()
        elif self._pause is not None:
            self._watch.leave_out(self._pause.seconds)
            self._pause = None


def counted(number: int, noun: str) -> str:
    """Return a number with a noun: "1 object", "3 objects", "2 classes"."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{ending}"


def first_names(names: Collection[str], at_most: int = MAX_NAMES) -> str:
    """Return the first of some names and how many more there are: "a, b, c and 2 others"."""
    more = len(names) - at_most
    return ", ".join(islice(names, at_most)) + (f" and {counted(more, 'other')}" if more > 0 else "")


def shortened(name: str, max_characters: int) -> str:
    """Return a name that is not too long for a sentence; where it is cut off, it ends with an ellipsis."""
    return name if len(name) <= max_characters else f"{name[: max_characters - 1]}…"


def format_seconds(seconds: float) -> str:
    """Return a duration as text: ``8 s``, ``3 min 20 s``, ``1 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
