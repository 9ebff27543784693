"""The copy of one session that is not saved: what holds it, and the journal that goes on from there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.io.atomic import remove
from napari_unet.layers.jobs import Job, ignore
from napari_unet.layers.projects.journal import Recorder, Writer, about_blocks
from napari_unet.progress import CancelToken, Stopwatch, drive
from napari_unet.projects.journal import blocks_of
from napari_unet.projects.keeping import FirstRecords, begin_steps, keep_steps, why_not

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.layers.session.session import LayerSession
    from napari_unet.projects.arrays import Block
    from napari_unet.projects.journal import Key
    from napari_unet.projects.project import Project
    from napari_unet.projects.recovery import Copy

MAX_QUICK_PIXELS = 2**24
"""Most pixels of labels of which a copy is made at once, as when the window closes, which waits: about a second."""

MAX_LAST_SECONDS = 5.0
"""Seconds that a window which closes takes at most to write what has changed in a larger image."""

MAX_FLUSH_SECONDS = 0.05
"""Seconds that the window waits at most for what goes to a journal before the next one is begun."""


class SessionCopy:
    """What is kept of a session that nobody has saved.

    Parameters
    ----------
    session : LayerSession
    writer : Writer
        Writes the journal.

    Attributes
    ----------
    copy : Copy or None
        A state of the session, and journals that go on from it; None: there is nothing to keep.
    spare : Copy or None
        Room for a copy, with the pixels of an image that no file has, before there is anything to keep.
    recorder : Recorder or None
        Appends to the journal of `copy`.
    compared : int
        Number of the hint (see `Autosave`) after which the session was compared with its copy last.
    workers : int
        How many workers write copies of it, those among them that were told to stop.
    prepared, refused : bool
        Whether a spare copy was begun, and whether the session is too large to be kept.
    """

    def __init__(self, session: LayerSession, writer: Writer) -> None:
        self.session, self._writer = session, writer
        self.copy: Copy | None = None
        self.spare: Copy | None = None
        self.recorder: Recorder | None = None
        self.compared, self.workers = -1, 0
        self.prepared = self.refused = False

    @property
    def target(self) -> Copy | None:
        """The copy that the next state is written to; None: a new one."""
        return self.copy or self.spare

    @property
    def is_quick(self) -> bool:
        """Whether a copy of all can be made while the user waits."""
        return self.session.corrections.seen.size <= MAX_QUICK_PIXELS

    def next_journal(self) -> int:
        """Begin a new journal, since a state is about to be written, here or where the user saves; return its number.

        What is known to have changed goes to the one before: so the new one has what may not be in that state.
        """
        if self.recorder is None:
            return 1
        self.recorder.tick(MAX_FLUSH_SECONDS, 0.0)
        return self.recorder.rotate()

    def earlier_blocks(self) -> list[Key]:
        """Return the blocks in which there may be work of the user from before there was a copy.

        None where nothing was saved, of a large image: to go through them takes longer than what is painted may wait,
        and a copy without them is better than none. Where there is a saved project, such a copy would be worse.
        """
        session = self.session
        if not (self.is_quick or session.saved_digest):
            return []
        corrections = session.corrections
        found: dict[Key, None] = {}
        for frame, z in corrections.changed_planes():
            part = slice(frame, frame + 1), slice(z, z + 1), *corrections.box((frame, z))
            found |= dict.fromkeys(blocks_of(corrections.shape, *part))
        return list(found)

    def let_go(self) -> Copy | None:
        """Return the copy, which is not needed any more, since all is saved; None: it is, or there is none.

        It is needed where anything has changed since the last journal was begun: it goes on with all of its journals.
        """
        unwritten, recorder = self.session.unwritten, self.recorder
        if recorder is None or recorder.noted or unwritten.anything or unwritten.models:
            return None
        copy, self.copy, self.recorder = self.copy, None, None
        recorder.close()
        return copy

    def note_saved(self, folder: Path | None) -> None:
        """Have it noted, beside the copy, where the session is saved now (in the worker of the journal)."""
        if self.copy is not None and folder is not None:
            self._writer.put(partial(self.copy.note_saved, folder))

    def go_on(self, copy: Copy) -> None:
        """Go on with the journal of a copy that was recovered."""
        self.copy, self.recorder = copy, Recorder(self.session, copy, self._writer)

    def take(self, copy: Copy | None, before: Copy | None) -> Copy | None:
        """Take note of the copy that was made; return the one that is not needed any more.

        Parameters
        ----------
        copy : Copy or None
            None: none is needed, for the session is saved as it is.
        before : Copy or None
            The one that there was when this was begun.
        """
        if copy is None:
            return self.let_go()
        self.copy, self.spare = copy, None
        if self.recorder is not None and self.recorder.copy is copy:
            self.recorder.rebased(copy)
        else:
            self.recorder = Recorder(self.session, copy, self._writer)
            if not copy.digest:  # it holds nothing yet
                corrections, unwritten = self.session.corrections, self.session.unwritten
                for frame, z in corrections.changed_planes():
                    unwritten.suspect(slice(frame, frame + 1), slice(z, z + 1), *corrections.box((frame, z)))
                unwritten.suspect(*(slice(0, n) for n in corrections.shape))
        return None if before is copy else before

    def finish(self, present: Callable[[LayerSession], Project], *, changed: bool, workers: bool) -> None:
        """Keep what has changed since, if that takes but a moment: the window closes, or the layers are gone.

        Parameters
        ----------
        present : callable
            Returns the session as it is now.
        changed : bool
            Whether anything may have changed since the last copy.
        workers : bool
            Whether workers may still write to the copy.
        """
        # The window closes and nobody can be told of an error; what was written before stays.
        if changed:
            with suppress(Exception):
                self._keep_last(present, workers=workers)
        with suppress(Exception):
            self._write_last(present, workers=workers)

    def release(self) -> None:
        """Leave the copy behind, for whoever asks next."""
        copy, self.copy = self.copy, None
        spare, self.spare = self.spare, None
        if self.recorder is not None:
            self.recorder.close()
            self.recorder = None
        self._writer.settle()
        if copy is not None:
            copy.release()
        if spare is not None and spare is not copy:
            remove(spare.discard())

    def _keep_last(self, present: Callable[[LayerSession], Project], *, workers: bool) -> None:
        """Copy a small image as a whole."""
        session, before = self.session, self.copy
        project = present(session)
        if project.labels.size > MAX_QUICK_PIXELS or why_not(project):
            return
        project.journal = 1 if workers else self.next_journal()
        self._writer.settle()
        target = None if workers else self.target
        steps = keep_steps(project, target, session.saved_digest, CancelToken())
        self.copy = drive(steps, lambda block: block.take(session.labels, session.corrections))
        if before is not None and self.copy is not before:
            remove(before.discard())

    def _write_last(self, present: Callable[[LayerSession], Project], *, workers: bool) -> None:
        """Write what has changed since, of an image that is too large to be copied as a whole now."""
        unwritten, watch = self.session.unwritten, Stopwatch()
        if not (unwritten.urgent or unwritten.models) or self.is_quick:
            return
        project = present(self.session)
        if why_not(project):
            return
        if self.copy is None and not (workers and project.image_path is None):  # that would be to copy all pixels
            project.journal = 1
            records = FirstRecords({}, self.earlier_blocks(), about_blocks(self.session.corrections))
            target, self.spare = (None, self.spare) if workers else (self.spare, None)
            self.copy = drive(begin_steps(project, target, CancelToken(), records), ignore)
        if self.copy is None:
            return
        recorder = self.recorder = self.recorder or Recorder(self.session, self.copy, self._writer)
        recorder.note_models(project.generations, project.current, project.waiting, project.channel)
        while unwritten.urgent and watch.seconds < MAX_LAST_SECONDS:
            recorder.tick(MAX_LAST_SECONDS, 0.0)
            self._writer.settle()


@dataclass(slots=True, eq=False)
class UnderWay:
    """A copy that a worker writes.

    Attributes
    ----------
    session : LayerSession
    kept : SessionCopy
    before : Copy or None
        Where it is written to; None: a new one.
    first : bool
        Whether only the beginning is written, for a journal to go on from, or all.
    job : Job
    watch : Stopwatch
        Since it was begun.
    begun : dict
        Blocks that had to be written, and are the first records.
    since : Stopwatch or None
        As in `UnwrittenBlocks`, when it was begun.
    """

    session: LayerSession
    kept: SessionCopy
    before: Copy | None
    first: bool
    job: Job = field(init=False)
    watch: Stopwatch = field(default_factory=Stopwatch)
    begun: dict[Key, Stopwatch] = field(default_factory=dict)
    since: Stopwatch | None = None
    models: bool = False

    def __post_init__(self) -> None:
        self.job = Job(f"Keep a copy of {self.session.image.name}")

    def take_over(self, begun: dict[Key, Stopwatch]) -> None:
        """Count blocks, and all that is not known by block, as written: this job does so."""
        unwritten = self.session.unwritten
        self.begun, self.since, self.models = begun, unwritten.since, unwritten.models
        unwritten.since, unwritten.models = None, False
        for key in begun:
            del unwritten.urgent[key]

    def give_back(self) -> None:
        """Note that all of that has to be written still: the job has failed, or was stopped."""
        unwritten = self.session.unwritten
        unwritten.urgent = self.begun | unwritten.urgent
        unwritten.since = unwritten.since or self.since
        unwritten.models |= self.models

    def take(self, block: Block) -> None:
        """Copy a block that the worker asks for (main thread)."""
        if not self.job.cancel.cancelled:  # else the worker waits in vain, and ends
            try:
                block.take(self.session.labels, self.session.corrections)
            except UNetError:  # its array was replaced meanwhile
                self.job.cancel.cancel()
