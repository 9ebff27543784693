"""Keeps copies of what nobody has saved yet, and takes up those that were left behind."""

from __future__ import annotations

import itertools
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

from psygnal import Signal

from napari_unet.errors import Cancelled, UNetError
from napari_unet.io.atomic import remove
from napari_unet.layers import adapter
from napari_unet.layers.jobs import Job, Runner, once, sentence
from napari_unet.layers.journal import MAX_BYTES, WAIT, Recorder, Writer, about_blocks
from napari_unet.progress import CancelToken, Stopwatch, drive
from napari_unet.projects.journal import Content
from napari_unet.projects.recovery import Copy, begin_steps, keep_steps, left_behind, why_not

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.layers.controller import Controller, Level
    from napari_unet.layers.jobs import Steps
    from napari_unet.layers.session import LayerSession
    from napari_unet.projects.arrays import Block
    from napari_unet.projects.journal import Key
    from napari_unet.projects.recovery import LeftBehind

EVERY = 120.0
"""Seconds from one round of copies to the next, at least."""

SHARE = 0.05
"""Most of the time that making copies may take: rounds of large images are further apart."""

QUICK = 2**24
"""Most pixels of labels of which a copy is made at once, as when the window closes, which waits: about a second."""

FIRST = 8
"""Blocks that are written with the beginning of a copy, at most: those in which somebody paints just now."""

LAST = 5.0
"""Seconds that a window which closes takes at most to write what has changed in a larger image."""

_FAILED = "Unsaved work could not be kept by itself:"


class Autosave:
    """Copies what nobody has saved into a folder of its own, one sitting at a time; never where it was saved.

    Parameters
    ----------
    controller : Controller
        Whose sessions they are.
    runner : Runner
        Where writing runs.

    Attributes
    ----------
    on : bool
        Whether it does so. A script has its own ways; a window switches it on.
    left : list of LeftBehind
        What others have left behind, as of the last `look`.

    Notes
    -----
    Signals are hints that something may have changed; what did is found by difference, in the worker. A copy of all
    takes long, so it is made now and then; what changes in between is appended to a journal beside it (`note`).
    """

    changed = Signal()  # what is left behind

    def __init__(self, controller: Controller, runner: Runner) -> None:
        self._controller, self._runner = controller, runner
        self.on = False
        self.left: list[LeftBehind] = []
        self._hints = 0
        self._looked: WeakKeyDictionary[LayerSession, int] = WeakKeyDictionary()  # at which of them a session was
        self._round: list[LayerSession] = []
        self._since, self._took = Stopwatch(), 0.0
        self._job: tuple[Job, LayerSession] | None = None
        self._running = 0  # workers, also such as were told to stop
        self._old: list[Copy] = []  # to be removed when no worker runs
        self._told: set[str] = set()  # what was said, which is not said again every two minutes
        self._writer = Writer()
        self._tried = Stopwatch()  # since a copy was begun that came to nothing
        self._failed = False
        self._hinting = (controller.edited, controller.corrected, controller.model_changed, controller.learner.changed)
        for signal in self._hinting:
            signal.connect(self._hint)
        self._prepared: WeakSet[LayerSession] = WeakSet()
        self._refused: WeakSet[LayerSession] = WeakSet()  # too large
        controller.projects.changed.connect(self._on_projects)
        controller.projects.saved.connect(self._on_saved)
        controller.learner.changed.connect(self._on_models)

    # -- keep ------------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        """Begin to copy the next sitting, if it is time; return whether it did. To be called every few seconds."""
        desk = self._controller
        if not self.on or self._running or desk.projects.busy:
            return False
        if not self._round and self._since.seconds >= max(EVERY, self._took / SHARE):
            self._round = [session for session in desk.sessions if self._may_have_changed(session)]
            self._since, self._took = Stopwatch(), 0.0
        while self._round and not self._round[0].painting:
            if self._keep(self._round.pop(0)):
                return True
        return False

    def note(self) -> None:
        """Append what has changed to the journals; to be called several times a second: it takes a few milliseconds."""
        desk = self._controller
        if not self.on:
            return
        for session in desk.sessions:
            recorder = session.recorder
            if recorder is None:
                self._begin(session)
                continue
            if session.hints.models:
                session.hints.models = False
                recorder.note_models(desk.learner.history, desk.learner.current, desk.learner.waiting)
            recorder.tick()
            if recorder.problem:
                self._say_once(_FAILED, f"{_FAILED} {recorder.problem}", "error")
            if recorder.size > MAX_BYTES and session not in self._round:
                self._round.append(session)
        if desk.learner.parking.problem:
            self._say_once(desk.learner.parking.problem, desk.learner.parking.problem, "error")

    def _begin(self, session: LayerSession) -> None:
        """Begin a copy of a session, if there is something to keep: whole if that is quick, else for a journal."""
        hints = session.hints
        if (
            session in self._refused
            or self._running
            or self._controller.projects.busy
            or (self._failed and self._tried.seconds < 10 * WAIT)
        ):
            return
        quick = session.corrections.seen.size <= QUICK
        if hints.models or (hints.anything and (hints.waiting >= WAIT or not quick)):
            if hints.models or (quick and not session.painting):
                hints.models = False
                self._keep(session, dict(hints.urgent))
            else:
                first = itertools.islice(hints.urgent.items(), FIRST)
                self._keep(session, dict(first), begin=True)
                if session not in self._round:
                    self._round.insert(0, session)
        elif session.spare is None and session.copy is None:
            self._prepare(session)

    def _prepare(self, session: LayerSession) -> None:
        """Copy an image that no file has, before there is anything to keep: that takes long."""
        if adapter.source_of(session.layer) is not None or session in self._prepared:
            return
        self._prepared.add(session)
        with suppress(UNetError):
            project = self._controller.projects.present(session)
            if why_not(project):
                return
            job = Job(f"Keep a copy of {session.image.name}", 0, quiet=True)

            def prepared(copy: Copy) -> None:
                self._running -= 1
                if session.copy is None and session in self._controller.sessions:
                    session.spare = copy
                else:
                    self._drop(copy)
                self._sweep()

            def failed(_: Exception) -> None:  # it is tried again, and told, when there is something to keep
                self._running -= 1
                self._sweep()

            self._running += 1
            steps = once(lambda: Copy.begin(project.image.name, project.path).prepare(project))
            self._runner.start(job, steps, _nothing, prepared, failed)

    def _may_have_changed(self, session: LayerSession) -> bool:
        return self._looked.get(session) != self._hints

    def _keep(self, session: LayerSession, begun: dict[Key, Stopwatch] | None = None, *, begin: bool = False) -> bool:
        """Copy a session; `begun`: changes that need no journal then. `begin`: only what a journal can go on from."""
        if not session.alive():
            return False
        if not begin:
            self._looked[session] = self._hints
        try:
            project = self._controller.projects.present(session)
        except UNetError:  # labels that no longer fit their image; it is told when the user asks for something
            return False
        refusal = why_not(project)
        if refusal:
            self._say_once(refusal, refusal, "info")
            self._refused.add(session)
            return False
        job, watch = Job(f"Keep a copy of {session.image.name}", 0, quiet=True), Stopwatch()
        before, recorder = session.copy or session.spare, session.recorder
        project.journal = 1 if recorder is None else recorder.rotate()
        contents = {key: Content.of(key, session.labels, session.corrections) for key in (begun or ()) if begin}
        about = about_blocks(session.corrections)
        for key in begun or ():
            session.hints.urgent.pop(key, None)
        session.hints.since = None

        def take(block: Block) -> None:
            if not job.cancel.cancelled:  # else the worker waits in vain, and ends
                try:
                    block.take(session.labels, session.corrections)
                except UNetError:  # its array was replaced meanwhile
                    job.cancel.cancel()

        def ended() -> bool:
            self._running -= 1
            self._took += watch.seconds
            present = self._job is not None and self._job[0] is job
            if present:
                self._job = None
                session.hold(False)
            self._sweep()
            return present

        def kept(copy: Copy | None) -> None:
            self._told.discard(_FAILED)
            self._failed = False
            if ended():
                self._kept(session, copy, before)
            elif copy is None or copy is not before:
                self._drop(copy)

        def failed(error: Exception) -> None:
            self._looked.pop(session, None)
            session.hints.urgent = (begun or {}) | session.hints.urgent
            self._failed, self._tried = True, Stopwatch()
            if ended() and not isinstance(error, Cancelled):
                self._say_once(_FAILED, f"{_FAILED} {sentence(error)}", "error")

        self._job = job, session
        self._running += 1
        session.hold(True)
        steps: Steps = partial(keep_steps, project, before, session.saved_mark, job.cancel)
        if begin:
            steps = partial(begin_steps, project, before, job.cancel, contents, about)
        self._runner.start(job, steps, take, kept, failed)
        return True

    def go_on(self, session: LayerSession, copy: Copy) -> None:
        """Go on with the journal of a copy that was recovered."""
        session.copy, session.recorder = copy, Recorder(session, copy, self._writer)

    def _kept(self, session: LayerSession, copy: Copy | None, before: Copy | None) -> None:
        """Take note of the copy that there is now; None: none is needed."""
        recorder = session.recorder
        if copy is None:
            if recorder is not None:  # what was written since it was found that none is needed
                session.hints.changed_again(recorder.written())
                recorder.close()
            session.copy = session.recorder = None
            if before is not session.spare:
                self._drop(before)
            return
        session.copy, session.spare = copy, None
        if recorder is not None and recorder.copy is copy:
            recorder.rebased(copy)
        else:
            session.recorder = Recorder(session, copy, self._writer)
            if not copy.digest:  # it holds nothing yet
                for frame, z in session.corrections.supervised_planes():
                    box = session.corrections.box((frame, z))
                    session.hints.suspect(slice(frame, frame + 1), slice(z, z + 1), *box)
                session.hints.suspect(*(slice(0, n) for n in session.corrections.shape))
        if before is not copy:
            self._drop(before)

    # -- left behind -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Find out what programs that are gone have left behind."""
        self.left, rubbish = left_behind()
        self._remove(rubbish)
        self.changed.emit()

    def recover(self, left: LeftBehind) -> None:
        """Take up what was left behind: it is opened, and is then not saved yet."""
        self._controller.projects.open(left.path)

    def discard(self, left: LeftBehind) -> None:
        """Let go of what was left behind, for good."""
        self._drop(Copy.claim(left.path))
        self.look()

    # -- the end ---------------------------------------------------------------------------------------------------

    def leave(self, session: LayerSession) -> None:
        """Let go of a sitting; what is not saved is copied once more, if that takes but a moment."""
        writing = self._job is not None and self._job[1] is session
        if writing:
            self._give_way()
        if self.on and not sys.is_finalizing():
            if self._may_have_changed(session):
                self._keep_last(session)
            self._note_last(session)
        copy, session.copy = session.copy, None
        spare, session.spare = session.spare, None
        self._round = [other for other in self._round if other is not session]
        if session.recorder is not None:
            session.recorder.close()
            session.recorder = None
        self._writer.settle()
        if copy is not None:
            copy.release()
        if spare is not None and spare is not copy:
            remove(spare.discard())

    def _note_last(self, session: LayerSession) -> None:
        """Write what has changed since, of an image that is too large to be copied as a whole now."""
        hints, watch = session.hints, Stopwatch()
        if not (hints.urgent or hints.models) or session.corrections.seen.size <= QUICK:
            return
        try:
            project = self._controller.projects.present(session)
            if why_not(project):
                return
            if session.copy is None and not self._running:
                project.journal = 1
                steps = begin_steps(project, session.spare, CancelToken())
                session.copy, session.spare = drive(steps, _nothing), None
            if session.copy is None:
                return
            recorder = session.recorder = session.recorder or Recorder(session, session.copy, self._writer)
            recorder.note_models(project.generations, project.current, project.waiting)
            while hints.urgent and watch.seconds < LAST:
                recorder.tick(LAST, 0.0)
                self._writer.settle()
        except Exception:  # noqa: BLE001 - the window closes, nobody can be told; what was written before stays
            return

    def _keep_last(self, session: LayerSession) -> None:
        try:
            project = self._controller.projects.present(session)
            if project.labels.size > QUICK or why_not(project):
                return
            before, recorder = session.copy, session.recorder
            project.journal = 1 if recorder is None or self._running else recorder.rotate()
            self._writer.settle()
            target = None if self._running else before or session.spare  # a worker may still write there
            steps = keep_steps(project, target, session.saved_mark, CancelToken())
            session.copy = drive(steps, lambda block: block.take(session.labels, session.corrections))
        except Exception:  # noqa: BLE001 - the window closes, nobody can be told; the copy before stays
            return
        if before is not None and session.copy is not before:
            remove(before.discard())

    def close(self) -> None:
        """Tell of nothing any more."""
        self.on = False
        for signal in self._hinting:
            signal.disconnect(self._hint)
        self._controller.projects.changed.disconnect(self._on_projects)
        self._controller.projects.saved.disconnect(self._on_saved)
        self._controller.learner.changed.disconnect(self._on_models)
        self._writer.close()
        for copy in self._old:
            copy.discard()

    # -- events ----------------------------------------------------------------------------------------------------

    def _hint(self) -> None:
        self._hints += 1
        session = self._controller.session
        if session is not None:
            session.channel = self._controller.channel

    def _on_projects(self) -> None:
        """Give way to what the user asks for; when that is done, what was left behind may be another."""
        if self._controller.projects.busy:
            self._give_way()
            session = self._controller.session
            if session is not None and session.recorder is not None:  # what is painted from now on may not be saved
                session.recorder.tick(0.05, 0.0)
                session.recorder.rotate()
        elif self.left:
            self.look()

    def _on_saved(self, session: LayerSession) -> None:
        copy, session.copy = session.copy, None
        if session.recorder is not None:
            session.hints.changed_again(session.recorder.written())  # what was painted while it was saved among them
            session.recorder.close()
            session.recorder = None
        self._drop(copy)

    def _on_models(self) -> None:
        """Have it noted which models there are, of the images that are open."""
        learner, sessions = self._controller.learner, self._controller.sessions
        if any(one.learned for one in learner.history) or learner.waiting is not None:
            for session in sessions:
                session.hints.models |= session.recorder is not None or session is self._controller.session

    def _give_way(self) -> None:
        """Stop what is under way; what was copied before stays."""
        if self._job is not None:
            (job, session), self._job = self._job, None
            job.cancel.cancel()
            session.hold(False)
            self._looked.pop(session, None)

    def _drop(self, copy: Copy | None) -> None:
        """Let go of a copy for good."""
        if copy is not None:
            self._old.append(copy)
            self._sweep()

    def _sweep(self) -> None:
        if not self._running:
            old, self._old = self._old, []
            self._remove([copy.discard() for copy in old])

    def _remove(self, folders: Sequence[Path]) -> None:
        """Remove folders that nobody finds any more, in the background; what is left of them goes the next time."""
        if folders:
            self._runner.start(
                Job("Tidy up", 0, quiet=True), once(partial(_remove, folders)), _nothing, _nothing, _nothing
            )

    def _say_once(self, what: str, text: str, level: Level) -> None:
        if what not in self._told:
            self._told.add(what)
            self._controller.say(text, level)


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        remove(folder)


def _nothing(_: object) -> None:
    """Take no notice."""
