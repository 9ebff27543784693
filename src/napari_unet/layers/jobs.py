"""Long jobs as the controller sees them, whatever runs them: a thread of the window, or the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

from napari_unet.errors import UNetError
from napari_unet.progress import CancelToken

_FAULT = "An error in the plugin stopped this; nothing else was changed. Please report it, with the details."

Steps = Callable[[], Generator[Any, None, Any]]
"""Makes the generator of a job; it is called, and run, in the worker."""


def once(work: Callable[[], Any]) -> Steps:
    """Return a job of one step, which tells nothing before its end."""

    def steps() -> Generator[Any, None, Any]:
        yield from ()
        return work()

    return steps


@dataclass(slots=True, eq=False)
class Job:
    """A job under way.

    Attributes
    ----------
    title : str
        What napari says is under way when it asks whether to close the window: "Segment nuclei".
    cancel : CancelToken
        Stops it.
    generation : int
        Of the segmenter when the job began; what a job of an older generation reports is dropped.
    note : str
        What the user was told of it while it ran, and is told again at the end.
    """

    title: str
    generation: int = 0
    cancel: CancelToken = field(default_factory=CancelToken)
    note: str = ""


class PresentJob:
    """The one job of a helper: what a job before it still brings is dropped, as it is the present one no longer.

    Parameters
    ----------
    runner : Runner
        Runs it.
    changed : callable, optional
        Called when a job has begun or ended; not when it was stopped.
    """

    def __init__(self, runner: Runner, changed: Callable[[], object] | None = None) -> None:
        self._runner, self._changed = runner, changed
        self._job: Job | None = None

    @property
    def busy(self) -> bool:
        """Whether there is one."""
        return self._job is not None

    @property
    def present(self) -> Job | None:
        """The present one; None: there is none."""
        return self._job

    def begin(self, title: str) -> Job:
        """Return a new job, which takes the place of the present one; that is cancelled. Run it with `run`."""
        self.cancel()
        job = self._job = Job(title)
        self._tell()
        return job

    def run(
        self,
        job: Job,
        steps: Steps,
        done: Callable[[Any], object],
        failed: Callable[[Exception], object],
        event: Callable[[Any], object] | None = None,
    ) -> None:
        """Run a job that was begun; what it brings is passed on while it is the present one.

        Parameters
        ----------
        job : Job
        steps : callable
            Makes its generator.
        done, failed : callable
            One of them is called in the end, in the main thread, when the job is the present one no longer.
        event : callable, optional
            Called with what the generator yields, in the main thread.
        """

        def on_event(found: Any) -> None:
            if event is not None and self.is_it(job):
                event(found)

        def on_return(found: Any) -> None:
            if self.end(job):
                done(found)

        def on_error(error: Exception) -> None:
            if self.end(job):
                failed(error)

        self._runner.start(job, steps, on_event, on_return, on_error)

    def is_it(self, job: Job) -> bool:
        """Whether a job is the present one."""
        return job is self._job

    def end(self, job: Job) -> bool:
        """Let go of a job; return whether it was the present one."""
        if job is not self._job:
            return False
        self._job = None
        self._tell()
        return True

    def cancel(self) -> None:
        """Cancel the present one, which is told of its end."""
        if self._job is not None:
            self._job.cancel.cancel()

    def stop(self) -> None:
        """Cancel the present one, and let go of it: it tells nothing any more."""
        self.cancel()
        self._job = None

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()


class Runner(Protocol):
    """Runs a generator away from the window, and brings what it yields back to the main thread."""

    def start(
        self,
        job: Job,
        steps: Steps,
        on_event: Callable[[Any], None],
        on_return: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Begin; the callbacks are called in the main thread, `on_return` or `on_error` last and once."""
        ...


class InlineRunner:
    """Runs a job at once, in the calling thread: for scripts and tests."""

    def start(
        self,
        job: Job,
        steps: Steps,
        on_event: Callable[[Any], None],
        on_return: Callable[[Any], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        """Run to the end."""
        generator = steps()
        while True:
            try:
                event = next(generator)
            except StopIteration as end:
                on_return(end.value)
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the controller says it in the window
                on_error(error)
                return
            on_event(event)


def in_words(error: Exception) -> tuple[str, str]:
    """Return what to tell the user of an error: a sentence, and details, which may be empty."""
    if isinstance(error, UNetError):
        return str(error), error.details
    if isinstance(error, MemoryError):
        return "There is not enough memory. Segment only what is in view, or close other programs.", ""
    return _FAULT, f"{type(error).__name__}: {error}"


def ignore(_: object) -> None:
    """Do nothing with what a worker tells."""
