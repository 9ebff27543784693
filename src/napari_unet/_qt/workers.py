"""Runs jobs in a thread of the window.

Not with a bar in napari's activity dock: its moving sign has all of the window drawn again some thirty times a second,
which took most of both cores where no graphics card draws (docs/decisions/0039-no-moving-sign.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_unet.layers.jobs import Job, Steps


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    value: Any = None
    error: Exception | None = None


class _Task:
    """What a worker calls; cleared at its end, for Qt and napari may hold on to workers that have ended."""

    def __init__(
        self,
        steps: Steps,
        on_event: Callable[[Any], None],
        on_return: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._calls: tuple[Any, ...] = (steps, on_event, on_return, on_error)

    def begin(self) -> Generator[Any, None, Any]:
        """Make the generator (worker)."""
        steps: Generator[Any, None, Any] = self._calls[0]()
        return steps

    def tell(self, event: Any) -> None:
        """Hand on what it yields."""
        if self._calls:
            self._calls[1](event)

    def end(self, outcome: _Outcome) -> None:
        """Hand on what it came to."""
        if self._calls:
            _, _, on_return, on_error = self._calls
            if outcome.error is not None:
                on_error(outcome.error)
            else:
                on_return(outcome.value)

    def clear(self) -> None:
        """Let go of all of it."""
        self._calls = ()


class QtRunner:
    """Runs a job's generator in napari's thread pool; callbacks are called in the main thread.

    Attributes
    ----------
    threads : int
        How many threads torch takes; 0: all cores but one.
    """

    def __init__(self) -> None:
        self.threads = 0
        self._workers: list[Any] = []
        self._closed = threading.Event()
        few_heaps()
        self._tidy = QTimer()
        self._tidy.setSingleShot(True)
        self._tidy.setInterval(1000)
        self._tidy.timeout.connect(self._give_back)

    def start(
        self,
        job: Job,
        steps: Steps,
        on_event: Callable[[Any], None],
        on_return: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Begin; see `layers.jobs.Runner`."""
        task = _Task(steps, on_event, on_return, on_error)
        # Qt handles all events that are waiting before it looks at the mouse: no more than two ever wait.
        room = threading.Semaphore(2)

        # The outcome travels as the last event: two different signals of a worker may overtake each other.
        def work() -> Generator[Any, None, None]:
            _set_threads(self.threads)
            try:
                value = yield from self._paced(task.begin(), room)
            except Exception as error:  # noqa: BLE001 - the controller says it in the window, whatever it is
                yield _Outcome(error=error)
            else:
                yield _Outcome(value)

        work.__qualname__ = job.title  # napari shows it when it asks whether to close a busy window

        def yielded(event: Any) -> None:
            QTimer.singleShot(0, room.release)
            if self._closed.is_set():
                return
            if isinstance(event, _Outcome):
                task.end(event)
            else:
                task.tell(event)

        def finished() -> None:
            task.clear()
            self._workers.remove(worker)
            # Else the worker and what it calls hold each other, where Python cannot see it.
            with contextlib.suppress(RuntimeError):  # Qt has let go of it already
                worker.yielded.disconnect(yielded)
                worker.finished.disconnect(finished)
            self.tidy_soon()

        worker = create_worker(work)
        self._workers.append(worker)
        worker.yielded.connect(yielded)
        worker.finished.connect(finished)
        worker.start()

    def tidy_soon(self) -> None:
        """Give memory back to the system when nothing has run, and no layer was removed, for a moment."""
        self._tidy.start()

    def _give_back(self) -> None:
        if not (self._workers or self._closed.is_set()):
            threading.Thread(target=give_back, name="give back", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self._workers)

    def close(self) -> None:
        """Let go of all workers; each ends at its next step, and its callbacks are not called any more."""
        self._closed.set()
        # Where the interpreter ends, Qt may have let go of all of these already.
        with contextlib.suppress(RuntimeError):
            self._tidy.stop()

    def _paced(self, steps: Generator[Any, None, Any], room: threading.Semaphore) -> Generator[Any, None, Any]:
        """Hand on what a job yields, no faster than the window takes it (worker)."""
        with contextlib.closing(steps):
            while not self._closed.is_set():
                try:
                    event = next(steps)
                except StopIteration as end:
                    return end.value
                while not room.acquire(timeout=0.1):
                    if self._closed.is_set():
                        return None
                yield event
        return None


def few_heaps() -> None:
    """Have glibc keep two heaps, not eight for each core: each holds on to what its threads needed most."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(-8, 2)  # M_ARENA_MAX


def give_back() -> None:
    """Give the system back what was freed."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def warm_up() -> None:
    """Begin to load what the first click needs, once in the life of the program, so that it need not wait."""
    if not _warm.is_set():
        _warm.set()
        threading.Thread(target=_load_libraries, name="warm up", daemon=True).start()


FIRST = (
    "torch",
    "pandas",  # with which napari makes a labels layer, as with the next
    "skimage.color",
    "skimage.segmentation",
    "scipy.ndimage",
    "napari_unet.inference.steps",
)
"""What the first click needs, in the order in which it does."""

LATER = 15.0
"""Seconds after which what the first learning needs is loaded too: not while somebody waits for the first click."""

_warm = threading.Event()


def _load_libraries() -> None:
    with contextlib.suppress(Exception):  # whatever is wrong is told when it is needed
        for module in FIRST:
            importlib.import_module(module)
        _try_model()
        time.sleep(LATER)
        import torch

        # The first optimizer that is made loads torch's compiler, which takes two seconds; nothing here uses it.
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])


def _try_model() -> None:
    _set_threads(0)
    from napari_unet.inference.warm_up import warm_up

    warm_up()


def _set_threads(threads: int) -> None:
    """Keep torch off one core: oversubscription, not the interpreter lock, is what makes windows stutter."""
    import torch

    torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) - 1))
