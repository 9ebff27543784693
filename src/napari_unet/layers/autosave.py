"""Keeps copies of what nobody has saved yet, and takes up those that were left behind."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_unet.errors import Cancelled, UNetError
from napari_unet.io.atomic import remove
from napari_unet.layers.jobs import Job, Runner, once, sentence
from napari_unet.progress import CancelToken, Stopwatch, drive
from napari_unet.projects.recovery import Copy, keep_steps, left_behind, why_not

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.layers.controller import Controller, Level
    from napari_unet.layers.session import LayerSession
    from napari_unet.projects.arrays import Block
    from napari_unet.projects.recovery import Left

EVERY = 120.0
"""Seconds from one round of copies to the next, at least."""

SHARE = 0.05
"""Most of the time that making copies may take: rounds of large images are further apart."""

QUICK = 2**24
"""Most pixels of labels of which a last copy is made while the window closes, which waits for it: about a second."""

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
    left : list of Left
        What others have left behind, as of the last `look`.

    Notes
    -----
    Signals are hints that something may have changed; what did is found by difference, in the worker.
    """

    changed = Signal()  # what is left behind

    def __init__(self, controller: Controller, runner: Runner) -> None:
        self._controller, self._runner = controller, runner
        self.on = False
        self.left: list[Left] = []
        self._hints = 0
        self._looked: WeakKeyDictionary[LayerSession, int] = WeakKeyDictionary()  # at which of them a session was
        self._round: list[LayerSession] = []
        self._since, self._took = Stopwatch(), 0.0
        self._job: tuple[Job, LayerSession] | None = None
        self._running = 0  # workers, also such as were told to stop
        self._old: list[Copy] = []  # to be removed when no worker runs
        self._told: set[str] = set()  # what was said, which is not said again every two minutes
        self._hinting = (controller.edited, controller.corrected, controller.model_changed, controller.learner.changed)
        for signal in self._hinting:
            signal.connect(self._hint)
        controller.projects.changed.connect(self._on_projects)
        controller.projects.saved.connect(self._on_saved)

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

    def _may_have_changed(self, session: LayerSession) -> bool:
        return self._looked.get(session) != self._hints

    def _keep(self, session: LayerSession) -> bool:
        if not session.alive():
            return False
        self._looked[session] = self._hints
        try:
            project = self._controller.projects.present(session)
        except UNetError:  # labels that no longer fit their image; it is told when the user asks for something
            return False
        refusal = why_not(project)
        if refusal:
            self._say_once(refusal, refusal, "info")
            return False
        job, watch, before = Job(f"Keep a copy of {session.image.name}", 0), Stopwatch(), session.copy

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
            if ended():
                session.copy = copy
                self._drop(None if before is copy else before)
            else:
                self._drop(None if before is copy else copy)

        def failed(error: Exception) -> None:
            self._looked.pop(session, None)
            if ended() and not isinstance(error, Cancelled):
                self._say_once(_FAILED, f"{_FAILED} {sentence(error)}", "error")

        self._job = job, session
        self._running += 1
        session.hold(True)
        steps = partial(keep_steps, project, before, session.saved_mark, job.cancel)
        self._runner.start(job, steps, take, kept, failed)
        return True

    # -- left behind -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Find out what programs that are gone have left behind."""
        self.left, rubbish = left_behind()
        self._remove(rubbish)
        self.changed.emit()

    def recover(self, left: Left) -> None:
        """Take up what was left behind: it is opened, and is then not saved yet."""
        self._controller.projects.open(left.path)

    def discard(self, left: Left) -> None:
        """Let go of what was left behind, for good."""
        self._drop(Copy.claim(left.path))
        self.look()

    # -- the end ---------------------------------------------------------------------------------------------------

    def leave(self, session: LayerSession) -> None:
        """Let go of a sitting; what is not saved is copied once more, if that takes but a moment."""
        writing = self._job is not None and self._job[1] is session
        if writing:
            self._give_way()
        if self.on and self._may_have_changed(session) and not sys.is_finalizing():
            self._keep_last(session)
        copy, session.copy = session.copy, None
        if copy is not None:
            copy.release()

    def _keep_last(self, session: LayerSession) -> None:
        try:
            project = self._controller.projects.present(session)
            if project.labels.size > QUICK or why_not(project):
                return
            before = session.copy
            target = None if self._running else before  # a worker may still write there
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
        elif self.left:
            self.look()

    def _on_saved(self, session: LayerSession) -> None:
        copy, session.copy = session.copy, None
        self._drop(copy)

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
            self._runner.start(Job("Tidy up", 0), once(partial(_remove, folders)), _nothing, _nothing, _nothing)

    def _say_once(self, what: str, text: str, level: Level) -> None:
        if what not in self._told:
            self._told.add(what)
            self._controller.say(text, level)


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        remove(folder)


def _nothing(_: object) -> None:
    """Take no notice."""
