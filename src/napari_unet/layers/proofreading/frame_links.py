"""One id for an object in all frames of a time series, or all slices of a stack; and its track as a layer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.jobs import PresentJob, Runner, once
from napari_unet.objects.linking import positions
from napari_unet.progress import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.session.slice_joining import Renaming
    from napari_unet.layers.workspace import Workspace

TAIL = 20
"""Frames of a track that are drawn behind an object."""


class FrameLinks:
    """Links the objects of the chosen image, and draws tracks.

    Parameters
    ----------
    workspace : Workspace
    segmenter : Segmenter
    runner : Runner
        Where the objects are compared.
    """

    changed = Signal()  # whether it is busy

    def __init__(self, workspace: Workspace, segmenter: Segmenter, runner: Runner) -> None:
        self._workspace, self._segmenter = workspace, segmenter
        self._job = PresentJob(runner, self.changed.emit)

    @property
    def busy(self) -> bool:
        """Whether objects are being linked or tracks made."""
        return self._job.busy

    def link(self) -> bool:
        """Give each object one id in all frames, or in all slices of a stack; return whether it began.

        No outline changes, and nothing is a correction by that. Undo reaches no further back.
        """
        session = self._session()
        if session is None:
            return False
        in_time = session.corrections.shape[0] > 1
        job = self._job.begin("Link in time" if in_time else "Join slices")
        changed = 0

        def rename(part: Renaming) -> None:
            nonlocal changed
            if session.alive():
                changed += not in_time
                session.rename_in(part)

        def done(found: Any) -> None:
            if not session.alive():
                return
            if in_time:
                count = int(found)
            else:
                count = len(found) or changed
                session.rename(found)
            session.offer_id()
            self._workspace.relabelled.emit(session)
            where = "at every time point" if in_time else "in every slice"
            told = f"{counted(count, 'object')} got another id, so that each has one id {where}."
            self._workspace.say(told if count else f"Each object has one id {where} already.", "done")
            self._workspace.refresh_corrections()

        steps = session.steps_to_link() if in_time else session.steps_to_join()
        self._job.run(job, steps, done, self._workspace.say_error, rename)
        return True

    def draw_tracks(self) -> bool:
        """Add a layer with the track of each object of a time series, by its id; return whether it began."""
        session = self._session()
        if session is None:
            return False
        letters = session.geometry.label_letters
        if session.corrections.shape[0] < 2 or letters[0] != "T":
            self._workspace.say("Tracks need a time series whose first axis is time.", "error")
            return False
        job = self._job.begin("Draw tracks")

        def found(rows: NDArray[np.float64]) -> None:
            if session.alive():
                self._show(session, rows)

        self._job.run(job, once(partial(positions, session.labels)), found, self._workspace.say_error)
        return True

    def close(self) -> None:
        """Stop, and change nothing any more."""
        self._job.stop()

    def _session(self) -> LayerSession | None:
        """Return the session of the chosen image, if its objects can be linked; else say why not."""
        session = self._workspace.session
        try:
            if session is None or not session.alive():
                raise UNetError("There are no objects to link yet. Press Segment first.")
            if not session.corrections.instances:
                raise UNetError("These labels are classes, not objects: they are the same at all time points.")
            if self.busy or self._segmenter.works_on(session):
                raise UNetError("Wait until what is under way is done, then try again.")
            if session.corrections.shape[0] * session.corrections.shape[1] < 2:
                raise UNetError("This image has one plane only: there is nothing to link.")
            session.geometry.canonical_labels(session.labels_layer.data)  # says so if they do not fit any more
            return session
        except UNetError as error:
            self._workspace.say_error(error)
            return None

    def _show(self, session: LayerSession, rows: NDArray[np.float64]) -> None:
        """Show tracks in a layer (main thread); one that was drawn before is replaced."""
        if not len(rows):
            self._workspace.say("There are no objects, so there are no tracks.", "error")
            return
        viewer, letters = session.viewer, session.geometry.label_letters
        columns = {"T": rows[:, 1], "Z": rows[:, 2], "Y": rows[:, 3], "X": rows[:, 4], "C": np.zeros(len(rows))}
        data = np.column_stack([rows[:, 0], *(columns[letter] for letter in letters)])
        name = f"{session.layer.name} tracks"
        selected = set(viewer.layers.selection)
        for layer in [layer for layer in viewer.layers if layer.name == name]:
            viewer.layers.remove(layer)
        viewer.add_tracks(data, name=name, tail_length=TAIL, **session.geometry.placement())
        viewer.layers.selection = selected
        n = len(np.unique(rows[:, 0]))
        self._workspace.say(f"Drew {counted(n, 'track')} by the objects' ids as they are now.", "done")
