"""Keeps copies of what nobody has saved yet: when, and of which sessions."""

from __future__ import annotations

import itertools
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from napari_unet.errors import Cancelled, UNetError
from napari_unet.layers import adapter
from napari_unet.layers.jobs import Job, Runner, in_words, once
from napari_unet.layers.journal import MAX_BYTES, WRITE_DELAY, Writer, about_blocks
from napari_unet.layers.old_copies import ignore
from napari_unet.layers.session_copy import SessionCopy
from napari_unet.progress import Stopwatch
from napari_unet.projects.journal import Content
from napari_unet.projects.recovery import Copy, begin_steps, keep_steps, why_not

if TYPE_CHECKING:
    from napari_unet.layers.jobs import Steps
    from napari_unet.layers.old_copies import OldCopies
    from napari_unet.layers.projects import Projects
    from napari_unet.layers.session import LayerSession
    from napari_unet.layers.workspace import Level, Workspace
    from napari_unet.projects.arrays import Block
    from napari_unet.projects.journal import Key

MIN_INTERVAL = 120.0
"""Seconds from one round of copies to the next, at least."""

MAX_TIME_SHARE = 0.05
"""Most of the time that making copies may take: rounds of large images are further apart."""

MAX_FIRST_BLOCKS = 8
"""Blocks that are written with the beginning of a copy, at most: those in which somebody paints just now."""

_FAILED = "The recovery copy of unsaved work could not be written. Save the project."

_IN_MEMORY = "A learned model could not be written to disk. Keep it with Save model…"


class Autosave:
    """Copies what nobody has saved into a folder of its own, one session at a time; never where it was saved.

    Parameters
    ----------
    workspace : Workspace
    projects : Projects
        Know what there is to keep of a session.
    old_copies : OldCopies
        Removes what is not needed any more.
    runner : Runner
        Where writing runs.

    Attributes
    ----------
    on : bool
        Whether it does so. A script has its own ways; a window switches it on.

    Notes
    -----
    Signals are hints that something may have changed; what did is found by difference, in the worker. A copy of all
    takes long, so it is made now and then; what changes in between is appended to a journal beside it (`note`).
    """

    def __init__(self, workspace: Workspace, projects: Projects, old_copies: OldCopies, runner: Runner) -> None:
        self._workspace, self._projects, self._old_copies, self._runner = workspace, projects, old_copies, runner
        self.on = False
        self._copies: dict[LayerSession, SessionCopy] = {}
        self._writer = Writer()
        self._hints = 0
        self._round: list[LayerSession] = []  # sessions to be copied
        self._since, self._took = Stopwatch(), 0.0  # since a round began, and what the copies of it took
        self._job: tuple[Job, LayerSession] | None = None
        self._tried, self._failed = Stopwatch(), False  # whether the last copy came to nothing, and since when
        self._told: set[str] = set()  # what was said, which is not said again every two minutes
        history = workspace.history
        self._hinting = (workspace.edited, workspace.corrected, workspace.model_changed, history.changed)
        for signal in self._hinting:
            signal.connect(self._on_hint)
        workspace.session_closing.connect(self._on_closing)
        projects.changed.connect(self._on_projects)
        projects.saved.connect(self._on_saved)
        projects.recovered.connect(self._on_recovered)
        history.changed.connect(self._on_models)

    def copy_of(self, session: LayerSession) -> SessionCopy:
        """Return what is kept of a session."""
        if session not in self._copies:
            self._copies[session] = SessionCopy(session, self._writer)
        return self._copies[session]

    def close(self) -> None:
        """Tell of nothing any more."""
        self.on = False
        for signal in self._hinting:
            signal.disconnect(self._on_hint)
        self._projects.changed.disconnect(self._on_projects)
        self._projects.saved.disconnect(self._on_saved)
        self._projects.recovered.disconnect(self._on_recovered)
        self._workspace.history.changed.disconnect(self._on_models)
        self._writer.close()
        self._old_copies.close()

    # -- when ------------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """Begin to copy the next session, if it is time; return whether it did. To be called every few seconds."""
        if not self.on or self._old_copies.workers or self._projects.busy:
            return False
        if not self._round and self._since.seconds >= max(MIN_INTERVAL, self._took / MAX_TIME_SHARE):
            self._round = [session for session in self._workspace.sessions if self._may_have_changed(session)]
            self._since, self._took = Stopwatch(), 0.0
        while self._round and not self._round[0].painting:
            if self._keep(self._round.pop(0)):
                return True
        return False

    def note(self) -> None:
        """Append what has changed to the journals; to be called several times a second: it takes a few milliseconds."""
        if not self.on:
            return
        history = self._workspace.history
        for session in self._workspace.sessions:
            recorder = self.copy_of(session).recorder
            if recorder is None:
                self._begin(session)
                continue
            if session.unwritten.models:
                session.unwritten.models = False
                recorder.note_models(history.generations, history.current, history.waiting)
            recorder.tick()
            if recorder.problem:
                self._say_once(_FAILED, "error", recorder.problem)
            if recorder.size > MAX_BYTES and session not in self._round:
                self._round.append(session)
        problem = history.parking.problem
        if problem:
            self._say_once(_IN_MEMORY, "error", problem)

    def _begin(self, session: LayerSession) -> None:
        """Begin a copy of a session, if there is something to keep: whole if that is quick, else for a journal."""
        kept, unwritten = self.copy_of(session), session.unwritten
        failed_just_now = self._failed and self._tried.seconds < 10 * WRITE_DELAY
        if kept.refused or self._old_copies.workers or self._projects.busy or failed_just_now:
            return
        quick = kept.is_quick
        if unwritten.models or (unwritten.anything and (unwritten.waiting >= WRITE_DELAY or not quick)):
            if unwritten.models or (quick and not session.painting):
                unwritten.models = False
                self._keep(session, dict(unwritten.urgent))
            else:
                first = itertools.islice(unwritten.urgent.items(), MAX_FIRST_BLOCKS)
                self._keep(session, dict(first), begin=True)
                if session not in self._round:
                    self._round.insert(0, session)
        elif kept.target is None:
            self._prepare(session)

    def _may_have_changed(self, session: LayerSession) -> bool:
        return self.copy_of(session).compared != self._hints

    # -- copying ---------------------------------------------------------------------------------------------------

    def _prepare(self, session: LayerSession) -> None:
        """Copy an image that no file has, before there is anything to keep: that takes long."""
        kept = self.copy_of(session)
        if adapter.source_of(session.layer) is not None or kept.prepared:
            return
        kept.prepared = True
        with suppress(UNetError):
            project = self._projects.present(session)
            if why_not(project):
                return
            job = Job(f"Keep a copy of {session.image.name}", 0, quiet=True)

            def prepared(copy: Copy) -> None:
                if kept.copy is None and session in self._workspace.sessions:
                    kept.spare = copy
                else:
                    self._old_copies.discard(copy)
                self._old_copies.worker_ended()

            def failed(_: Exception) -> None:  # it is tried again, and told, when there is something to keep
                self._old_copies.worker_ended()

            self._old_copies.workers += 1
            steps = once(lambda: Copy.begin(project.image.name, project.path).prepare(project))
            self._runner.start(job, steps, ignore, prepared, failed)

    def _keep(self, session: LayerSession, begun: dict[Key, Stopwatch] | None = None, *, begin: bool = False) -> bool:
        """Copy a session; `begun`: changes that need no journal then. `begin`: only what a journal can go on from."""
        if not session.alive():
            return False
        kept, begun = self.copy_of(session), begun or {}
        if not begin:
            kept.compared = self._hints
        try:
            project = self._projects.present(session)
        except UNetError:  # labels that no longer fit their image; it is told when the user asks for something
            return False
        refusal = why_not(project)
        if refusal:
            self._say_once(refusal, "info")
            kept.refused = True
            return False
        job, watch, before = Job(f"Keep a copy of {session.image.name}", 0, quiet=True), Stopwatch(), kept.target
        project.journal = kept.next_journal()
        steps: Steps = partial(keep_steps, project, before, session.saved_digest, job.cancel)
        if begin:
            contents = {key: Content.of(key, session.labels, session.corrections) for key in begun}
            steps = partial(begin_steps, project, before, job.cancel, contents, about_blocks(session.corrections))
        for key in begun:
            session.unwritten.urgent.pop(key, None)
        session.unwritten.since = None

        def take(block: Block) -> None:
            if not job.cancel.cancelled:  # else the worker waits in vain, and ends
                try:
                    block.take(session.labels, session.corrections)
                except UNetError:  # its array was replaced meanwhile
                    job.cancel.cancel()

        def ended() -> bool:
            self._took += watch.seconds
            present = self._job is not None and self._job[0] is job
            if present:
                self._job = None
                session.hold(False)
            self._old_copies.worker_ended()
            return present

        def done(copy: Copy | None) -> None:
            self._told.discard(_FAILED)
            self._failed = False
            if ended():
                self._old_copies.discard(kept.take(copy, before))
            elif copy is None or copy is not before:
                self._old_copies.discard(copy)

        def failed(error: Exception) -> None:
            kept.compared = -1
            session.unwritten.urgent = begun | session.unwritten.urgent
            self._failed, self._tried = True, Stopwatch()
            if ended() and not isinstance(error, Cancelled):
                self._say_once(_FAILED, "error", "\n".join(filter(None, in_words(error))))

        self._job = job, session
        self._old_copies.workers += 1
        session.hold(True)
        self._runner.start(job, steps, take, done, failed)
        return True

    def _give_way(self) -> None:
        """Stop what is under way; what was copied before stays."""
        if self._job is not None:
            (job, session), self._job = self._job, None
            job.cancel.cancel()
            session.hold(False)
            self.copy_of(session).compared = -1

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_hint(self) -> None:
        self._hints += 1
        session = self._workspace.session
        if session is not None:
            session.channel = self._workspace.channel

    def _on_closing(self, session: LayerSession) -> None:
        """Let go of a session; what is not saved is copied once more, if that takes but a moment."""
        if self._job is not None and self._job[1] is session:
            self._give_way()
        kept = self.copy_of(session)
        if self.on and not sys.is_finalizing():
            changed, workers = self._may_have_changed(session), bool(self._old_copies.workers)
            kept.finish(self._projects.present, changed=changed, workers=workers)
        self._round = [other for other in self._round if other is not session]
        kept.release()
        del self._copies[session]

    def _on_projects(self) -> None:
        """Give way to what the user asks for."""
        if self._projects.busy:
            self._give_way()
            session = self._workspace.session
            recorder = self.copy_of(session).recorder if session is not None else None
            if recorder is not None:  # what is painted from now on may not be saved
                recorder.tick(0.05, 0.0)
                recorder.rotate()

    def _on_saved(self, session: LayerSession) -> None:
        kept = self.copy_of(session)
        copy, kept.copy = kept.copy, None
        kept.end_journal()  # what was painted while it was saved is in there
        self._old_copies.discard(copy)

    def _on_recovered(self, session: LayerSession, copy: Copy) -> None:
        self.copy_of(session).go_on(copy)

    def _on_models(self) -> None:
        """Have it noted which models there are, of the images that are open."""
        history = self._workspace.history
        of_user = any(one.learned or one.info.original_decoding is not None for one in history.generations)
        if of_user or history.waiting is not None:
            for session in self._workspace.sessions:
                has_journal = self.copy_of(session).recorder is not None
                session.unwritten.models |= has_journal or session is self._workspace.session

    def _say_once(self, text: str, level: Level, details: str = "") -> None:
        if text not in self._told:
            self._told.add(text)
            self._workspace.say(text, level, details)
