"""A job that is about copies of the labels of sessions: held meanwhile, copied block by block, let go of in the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import Cancelled, UNetError
from napari_unet.layers.jobs import ignore
from napari_unet.layers.measuring.snapshot import ToCopy
from napari_unet.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_unet.layers.jobs import Job, Runner, Steps
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace


class CopyJob:
    """Runs such jobs, one at a time.

    Parameters
    ----------
    workspace : Workspace
        Is told of errors.
    runner : Runner
    stopped : str
        What is said when one is stopped.

    Attributes
    ----------
    progress : Progress or None
        How far the one under way is.
    """

    changed = Signal()  # whether one is under way, or how far it is

    def __init__(self, workspace: Workspace, runner: Runner, stopped: str) -> None:
        self._workspace, self._runner, self._stopped = workspace, runner, stopped
        self._job: Job | None = None
        self._sessions: list[LayerSession] = []
        self.progress: Progress | None = None

    @property
    def busy(self) -> bool:
        """Whether one is under way."""
        return self._job is not None

    def start(
        self,
        job: Job,
        sessions: Sequence[LayerSession],
        steps: Steps,
        done: Callable[[Any], None],
        found: Callable[[Any], None] = ignore,
    ) -> bool:
        """Begin, unless one is under way; return whether it began.

        Parameters
        ----------
        job : Job
        sessions : sequence of LayerSession
            Their labels are copied.
        steps : callable
            Makes the generator that runs in the worker.
        done, found : callable
            Called with what it returns, and with what it yields besides copies and progress.
        """
        if self._job is not None:
            self._workspace.say("This is under way already. Wait for it, or press Stop.", "error")
            return False
        self._job, self._sessions, self.progress = job, list(sessions), None
        for session in sessions:
            session.hold(True)  # else objects might get other ids between two blocks
        self.changed.emit()

        def on_return(result: Any) -> None:
            if self._end(job):
                done(result)

        def on_error(error: Exception) -> None:
            if not self._end(job):
                return
            if isinstance(error, Cancelled):
                self._workspace.say(self._stopped)
            else:
                self._workspace.say_error(error)

        self._runner.start(job, steps, partial(self._on_event, job, found), on_return, on_error)
        return True

    def _on_event(self, job: Job, found: Callable[[Any], None], event: Any) -> None:
        """Do what a worker waits for, take note of how far it is, or pass on what it has found."""
        if isinstance(event, ToCopy):
            if not job.cancel.cancelled:
                self._copy(job, event)
        elif job is not self._job:
            return
        elif isinstance(event, Progress):
            self.progress = event
            self.changed.emit()
        else:
            found(event)

    def _copy(self, job: Job, block: ToCopy) -> None:
        """Copy a block for a worker (main thread)."""
        try:
            block.copy()
        except UNetError as error:
            job.cancel.cancel()
            if self._end(job):
                self._workspace.say_error(error)

    def stop(self) -> None:
        """Stop the one that is under way."""
        if self._job is not None:
            self._job.cancel.cancel()

    def close(self) -> None:
        """Stop, and tell nobody."""
        self.stop()
        if self._job is not None:
            self._end(self._job)

    def _end(self, job: Job) -> bool:
        """Let go of a job; return whether it was the present one."""
        if job is not self._job:
            return False
        for session in self._sessions:
            session.hold(False)
        self._job, self._sessions, self.progress = None, [], None
        self.changed.emit()
        return True
