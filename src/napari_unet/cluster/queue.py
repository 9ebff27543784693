"""Gives work to the workers of a cluster, a little ahead of them, and takes what comes back."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from napari_unet.errors import ClusterError, DeviceError, UNetError, is_short_of_memory
from napari_unet.io.atomic import reason
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_unet.progress import CancelToken

AHEAD = 2
"""Jobs that are given out for each thread of the workers: one that it does, and one that waits."""

MIN_AHEAD = 8
"""Jobs that are given out while there are few workers, or none yet."""

RETRIES = 1
"""How often a job that failed is tried again, on whichever worker."""

MAX_BEGUN = 5
"""How often a job is given out again whose worker died before it passed on what came of it."""

LOOK = 0.25
"""Seconds after which it is looked whether the run is to stop."""

ASK = 2.0
"""Seconds after which it is asked which workers there are now."""

MAX_FAILURES = 16
"""Failures of workers, with no success between them, after which a run is given up: the disk may be full."""


@dataclass(slots=True, eq=False)
class Job:
    """A call for a worker.

    Attributes
    ----------
    call : callable
        A function of a module.
    arguments : tuple
        Small: they go through the scheduler.
    place : tuple of int
        What it is about.
    network : bool
        Whether it runs a network, which takes a graphics card where workers say that they have one.
    own : bool
        Whether it is about a file of its own: what is wrong with that says nothing about the others.
    begun : int
        How often it was given out.
    alone : bool
        Whether it is done while no other is: workers were killed that had it and others.
    """

    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    place: tuple[int, ...] = ()
    network: bool = False
    own: bool = False
    begun: int = 0
    alone: bool = False


class Jobs(Protocol):
    """Where jobs come from, and what is told of them."""

    def take(self) -> Job | None:
        """Return the next job; None: there is none before another one has ended."""
        ...

    def done(self, job: Job, value: Any) -> None:
        """Take what a job returned."""
        ...

    def failed(self, job: Job, error: UNetError) -> None:
        """Take why a job could not be done."""
        ...


@dataclass
class Workers:
    """The workers of a scheduler.

    Attributes
    ----------
    client : distributed.Client
    cancel : CancelToken, optional
    """

    client: Any
    cancel: CancelToken | None = None
    _running: dict[Any, Job] = field(default_factory=dict)
    _killed: list[Job] = field(default_factory=list)
    _ends: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    _failures: int = 0
    _known: list[dict[str, Any]] = field(default_factory=list)
    _asked: Stopwatch | None = None

    def call(self, function: Callable[..., Any], *arguments: Any, network: bool = False) -> Any:
        """Have a worker call one function, and return what it returns, or raise its error."""
        jobs = _One(Job(function, arguments, network=network))
        self.run(jobs)
        if jobs.error is not None:
            raise jobs.error
        return jobs.value

    def run(self, jobs: Jobs) -> None:
        """Do jobs until there is none; see `steps`."""
        for _ in self.steps(jobs):
            pass

    def steps(self, jobs: Jobs) -> Iterator[None]:
        """Do jobs until there is none, and yield now and then when some have ended.

        Raises
        ------
        Cancelled
            If the run is to stop. What is under way is then given up.
        ClusterError
            If the scheduler is gone, or nothing succeeds.
        """
        self._failures = 0
        self._killed.clear()
        try:
            while True:
                room = self._room() - len(self._running)
                while room > 0 and (job := jobs.take()) is not None:
                    self._submit(job)
                    room -= 1
                if not self._running and self._killed:
                    self._submit(self._killed.pop(0))
                if not self._running:
                    return
                for future in self._ended():
                    self._take(future, self._running.pop(future), jobs)
                yield
        finally:
            if self._running:
                self.client.cancel(list(self._running), force=True)
                self._running.clear()

    def _room(self) -> int:
        return max(MIN_AHEAD, AHEAD * sum(int(worker["nthreads"]) for worker in self._workers()))

    def _workers(self) -> list[dict[str, Any]]:
        if self._asked is None or self._asked.seconds > ASK:
            self._known = list(self.client.scheduler_info(n_workers=-1)["workers"].values())
            self._asked = Stopwatch()
        return self._known

    def _submit(self, job: Job) -> None:
        job.begun += 1
        cards = job.network and any("GPU" in (worker.get("resources") or {}) for worker in self._workers())
        future = self.client.submit(
            job.call, *job.arguments, pure=False, retries=RETRIES, resources={"GPU": 1} if cards else None
        )
        self._running[future] = job
        future.add_done_callback(self._ends.put)

    def _ended(self) -> list[Any]:
        """Wait for jobs of this run to end, and return them."""
        # Not by `distributed.wait`: each call for the first of several leaves waiting for the others behind.
        while True:
            if self.cancel is not None:
                self.cancel.check()
            if self.client.status != "running":
                raise ClusterError("The scheduler is gone. What is finished is kept; run the same command again.")
            with suppress(Empty):
                ended = [self._ends.get(timeout=LOOK)]
                while not self._ends.empty():
                    ended.append(self._ends.get())
                return [future for future in ended if future in self._running]  # not those of a run that was given up

    def _take(self, future: Any, job: Job, jobs: Jobs) -> None:
        from distributed import KilledWorker

        try:
            value = future.result()
        except (CancelledError, asyncio.CancelledError):  # done, but the worker died before it passed on the result
            if job.begun < MAX_BEGUN:
                self._submit(job)
                return
        except Exception:  # noqa: BLE001 - whatever a worker raises is told below
            pass
        else:
            self._failures = 0
            jobs.done(job, value)
            return
        if job.own and not job.alone and future.status == "error" and isinstance(future.exception(), KilledWorker):
            job.alone = True  # perhaps it was one of the others that a worker had
            self._killed.append(job)
            return
        error = _in_words(future)
        jobs.failed(job, error)
        if job.own and not isinstance(error, (ClusterError, DeviceError)):
            return  # the worker did what it could
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            raise ClusterError(
                f"Given up after {self._failures} failures, the last of them: {error} "
                "What is finished is kept; run the same command again.",
                error.details,
            )


class _One:
    """One job, and its outcome."""

    def __init__(self, job: Job) -> None:
        self._waiting: list[Job] = [job]
        self.value: Any = None
        self.error: UNetError | None = None

    def take(self) -> Job | None:
        return self._waiting.pop() if self._waiting else None

    def done(self, job: Job, value: Any) -> None:
        self.value = value

    def failed(self, job: Job, error: UNetError) -> None:
        self.error = error


def not_seen(path: Path, what: str) -> ClusterError:
    """Return what a worker raises that does not see a file or folder; `what` has to be seen, in the plural."""
    return ClusterError(f"A worker does not see {path}. {what} must be in a folder that all workers share.")


def _in_words(future: Any) -> UNetError:
    """Return why a job failed, as an error whose message is for the user."""
    from distributed import KilledWorker

    if future.status in ("cancelled", "lost"):
        return ClusterError("The scheduler is gone, or has dropped the work.")
    error = future.exception()
    if isinstance(error, UNetError):
        return error
    if isinstance(error, KilledWorker):
        last = getattr(error.last_worker, "address", error.last_worker)
        return ClusterError(
            "The workers that did it were killed; perhaps they had too little memory.", f"The last of them was {last}."
        )
    if is_short_of_memory(error):
        return ClusterError("A worker had too little memory.")
    if isinstance(error, OSError):
        why, all_said = reason(error), str(error)
        return ClusterError(f"A worker could not read or write: {why}.", "" if all_said == why else all_said[:300])
    return ClusterError(f"A worker failed: {type(error).__name__}: {str(error)[:200]}")
