"""Makes the maps of what is in view anew where there are none: after a project was opened, or another slice came up."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.inference.steps import SubimageDone, segment_steps
from napari_unet.inference.task import Subimage, make_task
from napari_unet.layers.jobs import Job, Runner
from napari_unet.layers.session.kept_maps import to_keep

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.inference.task import Task
    from napari_unet.layers.session.kept_maps import KeptPart
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.models.model import Model

MAX_PIXELS = 2**20
"""Pixels, of all slices together, that are looked at again: a bound on time, a few seconds on two cores."""


class MapsInView:
    """Has the network look again at what is in view, and keeps its maps; the labels stay as they are.

    Parameters
    ----------
    workspace : Workspace
    runner : Runner
        Where the network runs.
    """

    made = Signal(object)  # the session whose maps are there now
    failed = Signal(object)  # the session of which there are none, for the network could not look

    def __init__(self, workspace: Workspace, runner: Runner) -> None:
        self._workspace, self._runner = workspace, runner
        self._job: Job | None = None
        self._session: LayerSession | None = None  # that it is about
        workspace.session_opened.connect(self._on_opened)
        workspace.model_changed.connect(self._stop)
        workspace.session_closing.connect(self._on_closing)

    @property
    def busy(self) -> bool:
        """Whether the network is looking."""
        return self._job is not None

    def make(self, session: LayerSession, around: NDArray[np.float64] | None = None) -> bool:
        """Begin to make the maps of what is in view of a session; return whether it began or is under way.

        Those of another session that are under way are given up. It does nothing where the view is not on the canvas,
        or the model in use is not one for this image.

        Parameters
        ----------
        session : LayerSession
        around : ndarray of float, shape (2,), optional
            A pixel (y, x) of the plane in view that has to be among them. None: the middle of the view.
        """
        if self._job is not None and self._session is session:
            return True
        model = self._workspace.model
        if model is None or not model.info.finds_objects or model.info.is_untrained or not session.alive():
            return False
        try:
            task = self._task(session, model, around)
        except UNetError:  # said when somebody presses Segment
            return False
        self._stop()
        self._session = session
        self._job = job = Job(f"Look at {session.layer.name} again")
        self._runner.start(
            job,
            partial(_steps, task, self._workspace.device, job, session.maps.memory_left),
            lambda part: self._keep(job, session, part),
            lambda _: self._end(job, session, self.made),
            lambda _: self._end(job, session, self.failed),
        )
        return True

    def close(self) -> None:
        """Stop."""
        self._stop()

    def _task(self, session: LayerSession, model: Model, around: NDArray[np.float64] | None) -> Task:
        (frame, z), field, _ = session.in_view("look at it again")
        if around is not None and not _holds(field, around):
            height, width = session.corrections.shape[2:]
            field = slice(0, height), slice(0, width)
        depth = session.image.size("Z") if model.info.spec.ndim == 3 else 1
        return make_task(
            session.image,
            model,
            channel=self._workspace.channel,
            subimages=[Subimage(frame, None if model.info.spec.ndim == 3 else z)],
            field=middle_of(field, MAX_PIXELS // depth, around),
            device=self._workspace.device,
            flips=self._workspace.flips,
        )

    def _keep(self, job: Job, session: LayerSession, part: KeptPart) -> None:
        if job is self._job and session.alive():
            session.maps.keep(part)

    def _end(self, job: Job, session: LayerSession, told: Any) -> None:
        if job is self._job:
            self._job = self._session = None
            if session.alive():
                told.emit(session)

    def _stop(self, _: Any = None) -> None:
        if self._job is not None:
            self._job.cancel.cancel()
            self._job = self._session = None

    def _on_closing(self, session: LayerSession) -> None:
        if session is self._session:
            self._stop()

    def _on_opened(self, session: LayerSession) -> None:
        """Look at what a project shows that was opened, so that gestures and sliders need not wait."""
        if session.saved_as is not None or session.corrections.seen.any():
            self.make(session)


def _steps(task: Task, device: str, job: Job, in_memory: int) -> Generator[KeptPart, None, None]:
    for event in segment_steps(task, device=device, cancel=job.cancel, overlap=False):
        if isinstance(event, SubimageDone):
            part = to_keep(task, event, in_memory)
            if part is not None:
                yield part


def middle_of(
    field: tuple[slice, slice], max_pixels: int, around: NDArray[np.float64] | None = None
) -> tuple[slice, slice]:
    """Return the middle of a field (Y, X) that has so many pixels at most, of about the same shape.

    Parameters
    ----------
    field : tuple of slice
    max_pixels : int
    around : ndarray of float, shape (2,), optional
        A pixel (y, x) of the field that is to be in the middle, as far as the field's border allows.
    """
    height, width = (part.stop - part.start for part in field)
    share = min(1.0, math.sqrt(max(1, max_pixels) / max(1, height * width)))
    rows, columns = (max(1, math.floor(n * share)) for n in (height, width))
    top, left = field[0].start + (height - rows) // 2, field[1].start + (width - columns) // 2
    if around is not None:
        y, x = (math.floor(p + 0.5) for p in around.tolist())
        top = min(max(y - rows // 2, field[0].start), field[0].stop - rows)
        left = min(max(x - columns // 2, field[1].start), field[1].stop - columns)
    return slice(top, top + rows), slice(left, left + columns)


def _holds(field: tuple[slice, slice], point: NDArray[np.float64]) -> bool:
    return all(part.start <= math.floor(p + 0.5) < part.stop for part, p in zip(field, point.tolist(), strict=True))
