"""Keeps copies of what nobody has saved yet: when, and of which sessions."""

from __future__ import annotations

import itertools
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.errors import Cancelled, UNetError
from napari_unet.layers.image import adapter
from napari_unet.layers.jobs import Job, Runner, ignore, in_words, once
from napari_unet.layers.projects.journal import MAX_BYTES, WRITE_DELAY, Writer, about_blocks
from napari_unet.layers.projects.session_copy import SessionCopy, UnderWay
from napari_unet.progress import Stopwatch, shortened
from napari_unet.projects.images import read_ahead
from napari_unet.projects.journal import Content
from napari_unet.projects.keeping import FirstRecords, begin_steps, keep_steps, why_not
from napari_unet.projects.recovery import Copy

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.layers.jobs import Steps
    from napari_unet.layers.projects.journal import Recorder
    from napari_unet.layers.projects.old_copies import OldCopies
    from napari_unet.layers.projects.projects import Projects
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Level, Workspace
    from napari_unet.projects.project import Project

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
    takes long, so it is made now and then, and saving stops it; what changes in between is appended to a journal beside
    it (`note`). The first thing that is written is small, for the journal to go on from, and nothing stops it. When the
    project is saved, a new journal is begun before its first block is copied; the copy goes when all is saved, and
    stays with all of its journals where somebody has painted meanwhile.
    """

    left_behind = Signal()  # a copy, of a session whose layers are gone

    def __init__(self, workspace: Workspace, projects: Projects, old_copies: OldCopies, runner: Runner) -> None:
        self._workspace, self._projects, self._old_copies, self._runner = workspace, projects, old_copies, runner
        self.on = False
        self._copies: dict[LayerSession, SessionCopy] = {}
        self._writer = Writer()
        self._hints = 0
        self._round: list[LayerSession] = []  # sessions to be copied
        self._since, self._took = Stopwatch(), 0.0  # since a round began, and what the copies of it took
        self._under_way: list[UnderWay] = []
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
        if not self.on:
            return False
        if not self._round and self._since.seconds >= max(MIN_INTERVAL, self._took / MAX_TIME_SHARE):
            self._round = [session for session in self._workspace.sessions if self._may_have_changed(session)]
            self._since, self._took = Stopwatch(), 0.0
        return self._copy_next()

    def note(self) -> None:
        """Append what has changed to the journals; to be called several times a second: it takes a few milliseconds."""
        if not self.on:
            return
        for session in self._workspace.sessions:
            if self.copy_of(session).recorder is None:
                self._begin(session)
            else:
                self._append(session)
        problem = self._workspace.history.parking.problem
        if problem:
            self._say_once(_IN_MEMORY, "error", problem)

    def _append(self, session: LayerSession) -> None:
        """Append to the journal of a session."""
        recorder = self.copy_of(session).recorder
        assert recorder is not None
        recorder.tick()
        self._append_models(session, recorder)
        if recorder.problem:
            self._say_once(_FAILED, "error", recorder.problem)
        if recorder.size > MAX_BYTES and session not in self._round:
            self._round.append(session)

    def _append_models(self, session: LayerSession, recorder: Recorder) -> None:
        if session.unwritten.models:
            session.unwritten.models, history = False, self._workspace.history
            channel = self._workspace.channel_of(session.layer)
            recorder.note_models(history.generations, history.current, history.waiting, channel)

    def _begin(self, session: LayerSession) -> None:
        """Begin the copy of a session for its journal, if there is something to keep: saving does not stop that."""
        kept, unwritten = self.copy_of(session), session.unwritten
        failed_just_now = self._failed and self._tried.seconds < 10 * WRITE_DELAY
        if kept.refused or failed_just_now or any(one.first for one in self._under_way_of(session)):
            return
        if unwritten.models or unwritten.anything:
            if not kept.workers or adapter.source_of(session.layer) is not None:
                self._write_first(session)
            elif unwritten.waiting >= WRITE_DELAY:  # both would write to where the pixels of the image are
                self._give_way(session)
        elif kept.target is None and not self._old_copies.workers and not self._projects.busy:
            self._prepare(session)

    def _may_have_changed(self, session: LayerSession) -> bool:
        return self.copy_of(session).compared != self._hints

    # -- copying ---------------------------------------------------------------------------------------------------

    def _prepare(self, session: LayerSession) -> None:
        """Read or copy what takes long of the image, before there is anything to keep."""
        kept, source = self.copy_of(session), adapter.source_of(session.layer)
        if kept.prepared:
            return
        kept.prepared = True
        project = None
        with suppress(UNetError):
            project = self._projects.present(session)
        if project is None or why_not(project):
            return
        if source is None:
            self._copy_pixels(session, project)
        else:
            job = Job(f"Look at the file of {session.image.name}")
            self._runner.start(
                job, once(partial(read_ahead, project.image, source, project.image_series)), ignore, ignore, ignore
            )

    def _copy_pixels(self, session: LayerSession, project: Project) -> None:
        """Copy an image that no file has: that takes long."""
        kept, job = self.copy_of(session), Job(f"Keep a copy of {session.image.name}")

        def ended() -> None:
            kept.workers -= 1
            self._old_copies.worker_ended()

        def prepared(copy: Copy) -> None:
            if kept.copy is None and session in self._workspace.sessions:
                kept.spare = copy
            else:
                self._old_copies.discard(copy)
            ended()

        def failed(_: Exception) -> None:  # it is tried again, and told, when there is something to keep
            ended()

        kept.workers += 1
        self._old_copies.workers += 1
        steps = once(lambda: Copy.begin(project.image.name, project.path).prepare(project))
        self._runner.start(job, steps, ignore, prepared, failed)

    def _copy_next(self) -> bool:
        """Begin to copy all of the next session of this round; return whether it did."""
        if self._old_copies.workers or self._projects.busy:
            return False
        while self._round and not self._round[0].painting:
            if self._write_all(self._round.pop(0)):
                return True
        return False

    def _write_all(self, session: LayerSession) -> bool:
        """Copy all of a session, unless it is saved or copied as it is; return whether that has begun."""
        kept = self.copy_of(session)
        kept.compared = self._hints
        project = self._to_keep(session)
        if project is None:
            return False
        one = UnderWay(session, kept, kept.target, first=False)
        project.journal = kept.next_journal()
        session.hold(True)
        self._start(one, partial(keep_steps, project, one.before, session.saved_digest, one.job.cancel))
        return True

    def _write_first(self, session: LayerSession) -> None:
        """Write the beginning of a copy, which its journal goes on from, with what is urgent as its first records."""
        kept, unwritten = self.copy_of(session), session.unwritten
        project = self._to_keep(session)
        if project is None:
            return
        one = UnderWay(session, kept, kept.target, first=True)
        one.take_over(dict(itertools.islice(unwritten.urgent.items(), MAX_FIRST_BLOCKS)))
        project.journal = kept.next_journal()
        contents = {key: Content.of(key, session.labels, session.corrections) for key in one.begun}
        records = FirstRecords(contents, kept.earlier_blocks(), about_blocks(session.corrections))
        self._start(one, partial(begin_steps, project, one.before, one.job.cancel, records))

    def _to_keep(self, session: LayerSession) -> Project | None:
        """Return a session as it is now; None: it is not to be kept."""
        if not session.alive():
            return None
        try:
            project = self._projects.present(session)
        except UNetError:  # labels that no longer fit their image; it is told when the user asks for something
            return None
        refusal = why_not(project)
        if refusal:
            self._say_once(refusal, "info")
            self.copy_of(session).refused = True
            return None
        return project

    # -- a copy under way ------------------------------------------------------------------------------------------

    def _start(self, one: UnderWay, steps: Steps) -> None:
        self._under_way.append(one)
        self._old_copies.workers += 1
        one.kept.workers += 1
        self._runner.start(one.job, steps, one.take, partial(self._on_done, one), partial(self._on_failed, one))

    def _under_way_of(self, session: LayerSession) -> list[UnderWay]:
        return [one for one in self._under_way if one.session is session]

    def _ended(self, one: UnderWay) -> bool:
        """Note that a worker has ended; return whether its copy is wanted still."""
        self._took += one.watch.seconds
        wanted = one in self._under_way
        if wanted:
            self._forget(one)
        one.kept.workers -= 1
        self._old_copies.worker_ended()
        return wanted

    def _forget(self, one: UnderWay) -> None:
        self._under_way.remove(one)
        if not one.first:
            one.session.hold(False)

    def _give_way(self, session: LayerSession | None = None) -> None:
        """Stop to copy all of a session, or of any: what was copied before stays, and its journal goes on."""
        for one in list(self._under_way):
            if not one.first and session in (None, one.session):
                self._stop(one)

    def _stop(self, one: UnderWay) -> None:
        self._forget(one)
        one.job.cancel.cancel()
        one.kept.compared = -1
        one.give_back()

    def _on_done(self, one: UnderWay, copy: Copy | None) -> None:
        self._told.discard(_FAILED)
        self._failed = False
        if not self._ended(one):
            self._old_copies.discard(None if copy is one.before else copy)
        elif not one.first:
            self._old_copies.discard(one.kept.take(copy, one.before))
        elif copy is not None:
            self._on_begun(one, copy)

    def _on_begun(self, one: UnderWay, copy: Copy) -> None:
        """Go on with the journal of a copy that was begun, and have all copied as soon as that may be."""
        session, kept = one.session, one.kept
        if kept.copy is not None:  # one of all was done first; its journal has what is urgent
            one.give_back()
            self._old_copies.discard(copy)
            return
        self._give_way(session)  # one of all, from before this journal
        self._old_copies.discard(kept.take(copy, one.before))
        session.unwritten.models = True  # those there are take long to note; a learned one is then noted in an instant
        kept.note_saved(session.saved_as)  # it may have been saved for the first time meanwhile
        if session not in self._round:
            self._round.insert(0, session)
        if kept.is_quick:
            self._copy_next()

    def _on_failed(self, one: UnderWay, error: Exception) -> None:
        one.kept.compared = -1
        self._failed, self._tried = True, Stopwatch()
        if self._ended(one):
            one.give_back()
            if not isinstance(error, Cancelled):
                self._say_once(_FAILED, "error", "\n".join(filter(None, in_words(error))))

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_hint(self) -> None:
        self._hints += 1

    def _on_closing(self, session: LayerSession) -> None:
        """Let go of a session; what is not saved is copied once more, if that takes but a moment."""
        for one in self._under_way_of(session):
            self._stop(one)
        kept = self.copy_of(session)
        if self.on and not sys.is_finalizing():
            changed, workers = self._may_have_changed(session), bool(kept.workers)
            kept.finish(self._projects.present, changed=changed, workers=workers)
        self._round = [other for other in self._round if other is not session]
        stays = kept.copy is not None
        kept.release()
        del self._copies[session]
        if stays:
            self.left_behind.emit()
        if stays and session.layer in self._workspace.viewer.layers and not session.alive():
            name = shortened(str(session.layer.name), 40)
            self._workspace.say(f"The result of {name} was removed. Recover, at the top, brings it back.", "warning")

    def _on_projects(self) -> None:
        """Give way to what the user asks for, and begin new journals: what is in those may not be saved."""
        if self._projects.busy:
            self._give_way()
            for session, kept in self._copies.items():
                if kept.recorder is not None:
                    self._append_models(session, kept.recorder)
                    kept.next_journal()

    def _on_saved(self, session: LayerSession, folder: Path) -> None:
        """Remove the copy of what is saved now, unless its journal has what was painted meanwhile."""
        kept = self.copy_of(session)
        self._old_copies.discard(kept.let_go())
        kept.note_saved(folder)

    def _on_recovered(self, session: LayerSession, copy: Copy) -> None:
        self.copy_of(session).go_on(copy)

    def _on_models(self) -> None:
        """Note at once which models there are, of the images that are open: what is told to be there is kept."""
        history = self._workspace.history
        of_user = any(one.learned or one.info.original_decoding is not None for one in history.generations)
        if of_user or history.waiting is not None:
            for session in self._workspace.sessions:
                recorder = self.copy_of(session).recorder
                session.unwritten.models |= recorder is not None or session is self._workspace.session
                if self.on and recorder is not None:
                    self._append_models(session, recorder)

    def _say_once(self, text: str, level: Level, details: str = "") -> None:
        if text not in self._told:
            self._told.add(text)
            self._workspace.say(text, level, details)
