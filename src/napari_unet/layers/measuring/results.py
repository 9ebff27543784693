"""The measurements of each session's objects: made in the background, kept, charted, and given to the labels layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.jobs import Job
from napari_unet.layers.measuring.copy_job import CopyJob
from napari_unet.layers.measuring.snapshot import snapshot_of
from napari_unet.layers.workspace import with_notes
from napari_unet.measuring.kinds import measured
from napari_unet.objects.summary import in_one_sentence
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable

    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Summary
    from napari_unet.inference.task import Task
    from napari_unet.layers.display.marked_objects import MarkedObjects
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.measuring.made_by import MadeBy
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.objects.table import Table


class Results:
    """Measures objects.

    Parameters
    ----------
    workspace : Workspace
    made_by : MadeBy
        Knows which models made the labels.
    marks : MarkedObjects
        Outlines the objects that are picked in a chart.
    runner : Runner
        Where measuring runs.
    """

    changed = Signal()  # what is measured of the chosen image, whether it is as of now, or whether it measures

    def __init__(self, workspace: Workspace, made_by: MadeBy, marks: MarkedObjects, runner: Runner) -> None:
        self._workspace, self._made_by, self.marks = workspace, made_by, marks
        self._tables: dict[Hashable, Table] = {}
        self._counted: dict[Hashable, Summary] = {}  # the corrections that were measured
        self._stale: set[Hashable] = set()
        self._jobs = CopyJob(workspace, runner, "Stopped. Nothing was measured.")
        self._jobs.changed.connect(self._on_changed)
        workspace.image_changed.connect(self._on_changed)
        workspace.corrected.connect(self._on_corrected)
        workspace.segmented.connect(self._on_segmented)
        workspace.relabelled.connect(self._note_stale)
        workspace.session_closing.connect(self._on_closing)

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether it measures."""
        return self._jobs.busy

    @property
    def table(self) -> Table | None:
        """The measurements of the chosen image; None: nothing was measured yet."""
        session = self._workspace.session
        return None if session is None else self._tables.get(session.key)

    @property
    def is_stale(self) -> bool:
        """Whether labels of the chosen image may have changed since it was measured."""
        session = self._workspace.session
        return self.table is not None and session is not None and session.key in self._stale

    @property
    def sentence(self) -> str:
        """What was measured; empty: nothing yet."""
        return "" if self.table is None else f"{in_one_sentence(self.table)}."

    def count(self, session: LayerSession) -> int | None:
        """Return how many objects of a session were measured; None: it was not."""
        table = self._tables.get(session.key)
        return None if table is None else len(table)

    # -- measure ---------------------------------------------------------------------------------------------------

    def measure(self) -> bool:
        """Measure all objects of the chosen image; return whether it began."""
        workspace = self._workspace
        session = workspace.session
        try:
            if session is None or not session.alive():
                raise UNetError("There are no objects yet. Press Segment first.")
            snapshot = snapshot_of(session, workspace, self._made_by)
        except UNetError as error:
            workspace.say_error(error)
            return False
        job = Job("Measure")

        def steps() -> Generator[Any, None, Table]:
            source = yield from snapshot.steps(job.cancel)
            return measured(source, cancel=job.cancel)

        def done(table: Table) -> None:
            if not session.alive():
                return
            self._tables[session.key] = table
            notes = [*table.notes, *_give_features(session, table)]
            text, details = with_notes(f"Measured {in_one_sentence(table)}.", notes)
            workspace.say(text, "done", details)
            self.changed.emit()

        began = self._jobs.start(job, [session], steps, done)
        if began:
            self._counted[session.key] = session.summary
            self._stale.discard(session.key)
        return began

    def stop(self) -> None:
        """Stop measuring."""
        self._jobs.stop()

    def close(self) -> None:
        """Stop, and tell nobody."""
        self._jobs.close()

    # -- the objects of a chart ------------------------------------------------------------------------------------

    def mark(self, rows: NDArray[np.bool_] | None) -> None:
        """Outline the objects of some rows of the table on the canvas; None: none."""
        session, table = self._workspace.session, self.table
        if session is None or table is None:
            return
        labels = [] if rows is None else np.unique(table["label"][rows]).tolist()
        if labels and not session.corrections.instances:
            self._workspace.say("Pieces of a class have no id of their own, so they are not outlined.")
            return
        self.marks.show(session, labels)
        if labels:
            self._workspace.say(f"{counted(len(labels), 'object')} selected, shown in yellow on the image.")

    def go_to(self, row: int) -> None:
        """Move the view to the object of a row of the table."""
        session, table = self._workspace.session, self.table
        if session is None or table is None or not 0 <= row < len(table):
            return
        session.geometry.move_view_to(self._workspace.viewer, place_of(table, row))

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_changed(self) -> None:
        self.changed.emit()

    def _on_corrected(self, summary: Summary) -> None:
        session = self._workspace.session
        if session is not None and self._counted.get(session.key, summary) != summary:
            self._note_stale(session)

    def _on_segmented(self, session: LayerSession, task: Task, complete: bool) -> None:
        self._note_stale(session)

    def _note_stale(self, session: LayerSession) -> None:
        if session.key in self._counted and session.key not in self._stale:
            self._stale.add(session.key)
            self.changed.emit()

    def _on_closing(self, session: LayerSession) -> None:
        self._tables.pop(session.key, None)
        self._counted.pop(session.key, None)
        self._stale.discard(session.key)


def place_of(table: Table, row: int) -> tuple[int, int, float, float]:
    """Return where the object of a row of a table is: time point, slice, row and column of pixels."""
    t, z, y, x = (
        float(table[name][row]) if name in table else 0.0
        for name in ("time", "centroid_z_px", "centroid_y_px", "centroid_x_px")
    )
    return round(t), round(z), y, x


def _give_features(session: LayerSession, table: Table) -> list[str]:
    """Give the measurements to the labels layer, as napari shows them; return a note if it cannot have them."""
    labels = table["label"]
    if len(labels) and (not session.corrections.instances or len(np.unique(labels)) != len(labels)):
        return ["Several rows have one label, so napari's table of features does not show them; a CSV does."]
    columns = {name: values for name, values in table.columns.items() if name not in ("image", "label")}
    session.labels_layer.features = {"index": labels, **columns}
    return []
