"""Corrections that nobody told of: written by a script, or in planes that are not in view. Found in the background."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_unet.layers.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession

    Suspects = Sequence[tuple[LayerSession, Iterator[Plane]]]


class CorrectionSearch:
    """Finds corrections in all planes of some images.

    The worker compares, which for a large stack takes long; the main thread rescans the few planes that it names.

    Parameters
    ----------
    sessions : sequence of LayerSession
        Of the images.

    Attributes
    ----------
    job : Job
        Its own; cancelled, it names no more planes.
    found : bool
        Whether there was something that was not known.

    Raises
    ------
    UNetError
        If the labels of an image no longer fit it.
    """

    def __init__(self, sessions: Sequence[LayerSession]) -> None:
        self.job, self.found = Job("Look for corrections"), False
        self._suspects = [(session, session.corrections.suspects(session.labels)) for session in sessions]

    def start(self, runner: Runner, done: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        """Begin; in the end `done` or `failed` is called, in the main thread."""
        runner.start(self.job, partial(_steps, self.job, self._suspects), self._rescan, lambda _: done(), failed)

    def _rescan(self, found: tuple[LayerSession, Plane]) -> None:
        session, (frame, z) = found
        if session.alive():
            self.found |= session.rescan_slices(frame, slice(z, z + 1))


def _steps(job: Job, suspects: Suspects) -> Generator[tuple[LayerSession, Plane], None, None]:
    for session, planes in suspects:
        for plane in planes:
            if job.cancel.cancelled:
                return
            yield session, plane
