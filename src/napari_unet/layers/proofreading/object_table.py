"""The list of all objects of the chosen image: counted in the background, and brought up to date after every edit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.jobs import Job, PresentJob, in_words
from napari_unet.layers.proofreading.changed_parts import ChangedParts
from napari_unet.objects.listing import Column, Listing, columns_of
from napari_unet.objects.rows import ObjectRows, ReviewedLabels, count_frame, recount

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Summary
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.objects.rows import Box

Key = tuple[int, int]
"""Time point and id: what an object is called, whatever its row."""


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """What a job comes to: rows, and whether they may be others than before."""

    rows: ObjectRows
    differ: bool


class ObjectTable:
    """Rows of all objects of the chosen image, which follow what is edited while somebody looks at them.

    Parameters
    ----------
    workspace : Workspace
    runner : Runner
        Where objects are counted.

    Attributes
    ----------
    suspicion : callable or None
        Returns for a session and its rows how likely each is to be wrong (float, one a row; NaN: not known). None:
        there is no such column.
    problem : str
        Why there are no rows; empty: there are, or they are being counted.

    Notes
    -----
    Workers read the arrays themselves and copy nothing: what is edited meanwhile is counted again afterwards.
    """

    changed = Signal()  # rows, or which of them are shown
    selected = Signal()  # other objects, or none
    wanted = Signal()  # somebody wants to see it

    def __init__(self, workspace: Workspace, runner: Runner) -> None:
        self._workspace = workspace
        self.suspicion: Callable[[LayerSession, ObjectRows], NDArray[np.float64]] | None = None
        self.problem = ""
        self._watching = self._segmenting = False
        self._session: LayerSession | None = None
        self._rows, self._columns, self._shown = ObjectRows.none(), list[Column](), np.zeros(0, np.intp)
        self._listing, self._selection = Listing(), tuple[Key, ...]()
        self._job = PresentJob(runner)
        self._changes = ChangedParts()
        self._reviewed = 0
        workspace.layer_chosen.connect(self._on_session)
        workspace.session_opened.connect(self._on_session)
        workspace.session_closing.connect(self._on_closing)
        workspace.session_moved.connect(self._on_moved)
        workspace.segmenting.connect(self._on_segmenting)
        workspace.corrected.connect(self._on_corrected)

    # -- what is listed --------------------------------------------------------------------------------------------

    def watch(self, watching: bool) -> None:
        """Begin to follow the objects, or end it: nothing is counted while nobody looks."""
        if watching != self._watching:
            self._watching = watching
            self._on_session()

    @property
    def session(self) -> LayerSession | None:
        """Whose objects are listed."""
        return self._session

    @property
    def busy(self) -> bool:
        """Whether objects are being counted."""
        return self._job.busy

    @property
    def rows(self) -> ObjectRows:
        """All rows, in no order."""
        return self._rows

    @property
    def columns(self) -> list[Column]:
        """What is known of each row; none before they are counted."""
        return self._columns

    @property
    def shown(self) -> NDArray[np.intp]:
        """The numbers of the rows that are listed, in their order."""
        return self._shown

    @property
    def listing(self) -> Listing:
        """The filter and the order."""
        return self._listing

    def sort(self, key: str, *, descending: bool = False) -> None:
        """List by another column."""
        self._list(replace(self._listing, sort=key, descending=descending))

    def filter(self, text: str) -> None:
        """List only some objects; see `Listing`.

        Raises
        ------
        UNetError
            If the filter cannot be understood; what was listed stays.
        """
        self._list(replace(self._listing, filter=text))

    def key(self, row: int) -> Key:
        """Return time point and id of a row."""
        return int(self._rows.time[row]), int(self._rows.label[row])

    def numbers(self, keys: Iterable[Key]) -> NDArray[np.intp]:
        """Return the numbers of the rows of some objects, as far as they are there, in order."""
        wanted = np.array(sorted(keys), np.int64).reshape(-1, 2)
        some = np.flatnonzero(np.isin(self._rows.label, wanted[:, 1]))
        among = set(map(tuple, wanted.tolist()))
        return np.array([row for row in some.tolist() if self.key(row) in among], np.intp)

    def places(self, keys: Iterable[Key]) -> list[int]:
        """Return where in the list some objects stand."""
        return np.flatnonzero(np.isin(self._shown, self.numbers(keys))).tolist()

    @property
    def selection(self) -> tuple[Key, ...]:
        """The objects that are selected."""
        return self._selection

    def select(self, keys: Iterable[Key]) -> None:
        """Select some objects instead of those before."""
        keys = tuple(dict.fromkeys(keys))
        if keys != self._selection:
            self._selection = keys
            self.selected.emit()

    def _list(self, listing: Listing) -> None:
        shown = listing.shown(self._columns) if self._columns else self._shown
        self._listing, self._shown = listing, shown
        self.changed.emit()

    # -- following -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Follow nothing more."""
        self.watch(False)

    def _on_session(self, _: Any = None) -> None:
        session = self._workspace.session if self._watching else None
        if session is not None and not session.alive():
            session = None
        if session is not self._session:
            self._let_go()
            self._session = session
            if session is not None:
                for emitter in session.edit_events():
                    emitter.connect(self._on_event)
                self._changes = ChangedParts(session)
                self._reviewed = session.summary.reviewed_pixels
        self._explain()
        self.update()

    def _let_go(self) -> None:
        if self._session is not None:
            for emitter in self._session.edit_events():
                emitter.disconnect(self._on_event)
        self._job.stop()
        self._session = None
        self._changes = ChangedParts()
        self._set(ObjectRows.none(), [])
        self.select(())

    def _explain(self) -> None:
        """Say why nothing is listed, where that is so."""
        session, before = self._session, self.problem
        if session is None:
            self.problem = "There are no objects yet. Press Segment first."
        elif not session.corrections.instances:
            self.problem = "These labels are classes, not objects, so there is nothing to list."
        else:
            self.problem = ""
        if self.problem != before:
            self.changed.emit()

    def _on_closing(self, session: LayerSession) -> None:
        if session is self._session:
            self._let_go()
            self._explain()

    def _on_moved(self, session: LayerSession) -> None:
        if session is self._session:
            self._changes.note_all()
            self.update()

    def _on_segmenting(self, running: bool) -> None:
        """Count all objects when a segmentation has ended: while it goes on, they change all the time."""
        self._segmenting = running
        if not running and self._session is not None:
            self._changes.note_all()
            self.update()

    def _on_event(self, event: Any) -> None:
        if self._session is not None and not self._segmenting:
            self._changes.note(event)

    def _on_corrected(self, summary: Summary | None) -> None:
        """Bring rows up to date when the hand rests."""
        if self._session is None or self._session is not self._workspace.session or summary is None:
            return
        if summary.reviewed_pixels != self._reviewed:
            self._reviewed = summary.reviewed_pixels
            self._changes.note_reviewed()
        self.update()

    def update_suspicion(self) -> None:
        """Show anew how likely objects are to be wrong: more is known of that."""
        session = self._session
        if session is not None and session.alive() and self._columns:
            self._set(self._rows, self._columns_of(session, self._rows))

    def note(self, frame: int, box: Box) -> None:
        """Note that something has changed in a box (Z, Y, X) of a time point, which `update` counts."""
        self._changes.add(frame, box)

    # -- counting --------------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Count what has changed, in the background."""
        session = self._session
        if session is None or self.problem or self._segmenting or self._job.busy or not self._changes.any:
            return
        try:
            corrections = session.corrections
            corrected = {frame: corrections.corrected_at(frame) for frame in range(corrections.shape[0])}
            source = ReviewedLabels(session.labels, corrections.reviewed, session.image, corrected)
        except UNetError as error:  # another array that does not fit
            self.problem = str(error)
            self.changed.emit()
            return
        unsure, changes = self._changes.unsure, self._changes.taken()
        job = self._job.begin("Count objects")
        before = self._rows

        def steps() -> Generator[None, None, _Counted | None]:
            rows = before if before.intensity.shape[1] == source.image.n_channels else None
            return (yield from _counted(source, rows, changes, job, unsure=unsure))

        self._job.run(job, steps, self._on_counted, self._on_failed)

    def _on_counted(self, counted: _Counted | None) -> None:
        session = self._session
        if session is None:
            return
        if counted is not None:
            if not counted.differ:  # something was written that no event told of
                self._changes.note_all()
            self._set(counted.rows, self._columns_of(session, counted.rows))
        self.update()

    def _columns_of(self, session: LayerSession, rows: ObjectRows) -> list[Column]:
        suspicion = None if self.suspicion is None else self.suspicion(session, rows)
        return columns_of(rows, session.image, suspicion)

    def _on_failed(self, error: Exception) -> None:
        self.problem, _ = in_words(error)
        self._set(ObjectRows.none(), [])

    def _set(self, rows: ObjectRows, columns: list[Column]) -> None:
        self._rows, self._columns = rows, columns
        try:
            self._shown = self._listing.shown(columns) if columns else np.zeros(0, np.intp)
        except UNetError:  # a filter for a column that another image had
            self._listing = Listing()
            self._shown = self._listing.shown(columns)
        there = {self.key(row) for row in self.numbers(self._selection).tolist()}
        self.changed.emit()
        self.select(key for key in self._selection if key in there)


def _counted(
    source: ReviewedLabels, rows: ObjectRows | None, changes: dict[int, list[Box] | None], job: Job, *, unsure: bool
) -> Generator[None, None, _Counted | None]:
    """Count what has changed (worker); None: it was cancelled."""
    before = rows
    if rows is None:
        rows, changes = ObjectRows.none(source.image.n_channels), dict.fromkeys(range(source.labels.shape[0]))
    whole = [frame for frame, boxes in changes.items() if boxes is None]
    new = []
    for frame in whole:
        new.append(count_frame(source, frame))
        yield
        if job.cancel.cancelled:
            return None
    rows = rows.where(~np.isin(rows.time, whole)).joined(*new)
    for frame, boxes in changes.items():
        for box in boxes or ():
            rows = recount(source, rows, frame, box)
        if job.cancel.cancelled:
            return None
    return _Counted(rows, not unsure or before is None or not rows.same(before))
