"""The worker that keeps a journal of what has changed in a session."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari_unet.errors import UNetError
from napari_unet.io.atomic import reason
from napari_unet.progress import Stopwatch
from napari_unet.projects.journal import MODELS, Content, Journal
from napari_unet.projects.models import WrittenModels
from napari_unet.projects.suggestions import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.learning.history import Generation
    from napari_unet.projects.journal import Key
    from napari_unet.projects.recovery import Copy
    from napari_unet.projects.suggestions import Suggestions

WRITE_DELAY = 1.0
"""Seconds from a change until it is written: of a block that is painted on all the time, so often."""

MAX_TICK_SECONDS = 0.003
"""Seconds that copying blocks may take of the main thread at a time."""

MAX_QUEUED = 24
"""Blocks that wait to be written, at most: they are in memory."""

MAX_BYTES = 2**28
"""Bytes of a journal after which the state is written as a whole, and the journal begins anew."""

_COMPARED_AT_ONCE = 64  # blocks that are compared in one go, before what is urgent may overtake


class Recorder:
    """Appends what changes in a session to the journal of its copy; the main thread copies, a worker writes.

    Parameters
    ----------
    session : LayerSession
    copy : Copy
        Beside which the journal lies.
    writer : Writer

    Attributes
    ----------
    noted : bool
        Whether anything was handed to the worker since the present journal was begun.
    problem : str
        Why the last record could not be written; empty: it was.
    """

    def __init__(self, session: LayerSession, copy: Copy, writer: Writer) -> None:
        self._session, self.copy, self._writer = ref(session), copy, writer
        self._journal = Journal(copy.folder, max(copy.next_journal(), copy.journal))
        self._before: dict[Key, bytes] = dict(copy.blocks)  # digests of the user's work before this journal
        self._written: dict[Key, bytes] = {}
        self._found: list[Key] = []  # by the worker, to be copied
        self._scanning: Future[None] | None = None
        self._models = WrittenModels()
        self.noted = False
        self.problem = ""
        self._since_problem = Stopwatch()

    @property
    def number(self) -> int:
        """Number of the journal that is written to."""
        return self._journal.number

    @property
    def size(self) -> int:
        """Bytes of it."""
        return self._journal.size

    def rotate(self) -> int:
        """Begin a new journal, since a state is about to be written; return its number."""
        before, self._journal = self._journal, Journal(self.copy.folder, self._journal.number + 1)
        self._before |= self._written
        self._written, self.noted = {}, False
        self._writer.put(before.close)
        return self._journal.number

    def rebased(self, copy: Copy) -> None:
        """Go on from a state that was written."""
        self._before = dict(copy.blocks)

    def tick(self, budget: float = MAX_TICK_SECONDS, wait: float = WRITE_DELAY) -> None:
        """Copy what it is time for, and have it written (main thread)."""
        session, watch = self._session(), Stopwatch()
        if session is None or (self.problem and self._since_problem.seconds < 10 * WRITE_DELAY):
            return
        unwritten = session.unwritten
        unwritten.since = None
        try:
            labels = session.labels
        except UNetError:  # its array was replaced by one that does not fit; told when the user asks for something
            return
        found, self._found = self._found, []
        for key in found:
            if key not in unwritten.urgent:
                unwritten.urgent[key] = Stopwatch()
                unwritten.urgent[key].leave_out(-wait)  # it is time for it
        for key in [key for key, since in unwritten.urgent.items() if since.seconds >= wait]:
            if watch.seconds > budget or self._writer.queued >= MAX_QUEUED:
                return
            del unwritten.urgent[key]
            content = Content.of(key, labels, session.corrections)
            about = about_blocks(session.corrections)
            self.noted = True
            self._writer.put(partial(self._write, self._journal, key, content, about))
        self._scan(session, labels)

    def note_models(
        self, history: Sequence[Generation], current: int, waiting: Generation | None, channel: int | None
    ) -> None:
        """Have it noted which models there are, which channel is segmented, and what is suggested (main thread)."""
        session = self._session()
        suggestions = session.suggestions if session is not None else {}
        self.noted = True
        about = channel, suggestions
        self._writer.put(partial(self._write_models, self._journal, list(history), current, waiting, *about))

    def close(self) -> None:
        """Write no more."""
        self._writer.put(self._journal.close)

    def _scan(self, session: LayerSession, labels: NDArray[Any]) -> None:
        """Have some of the suspects compared (worker)."""
        unwritten = session.unwritten
        if unwritten.undone:
            unwritten.suspects = dict.fromkeys([*self._written, *self._before]) | unwritten.suspects
            unwritten.undone = False
        if unwritten.suspects and (self._scanning is None or self._scanning.done()) and not self._writer.queued:
            keys = list(unwritten.suspects)[:_COMPARED_AT_ONCE]
            for key in keys:
                del unwritten.suspects[key]
            self._scanning = self._writer.put(partial(self._compare, keys, labels, session.corrections))

    # -- in the worker ---------------------------------------------------------------------------------------------

    def _compare(self, keys: Iterable[Key], labels: NDArray[Any], corrections: Corrections) -> None:
        """Find the blocks that are not as they were written; it only reads, while the user goes on painting."""
        for key in keys:
            content = Content.of(key, labels, corrections)
            known = self._written.get(key) or self._before.get(key)
            if (content.by_user or known is not None) and content.digest() != known:
                self._found.append(key)

    def _write(self, journal: Journal, key: Key, content: Content, about: dict[str, Any]) -> None:
        digest = content.digest()
        if self._written.get(key) == digest and journal is self._journal:
            return
        if self._tried(journal, partial(journal.append_block, key, content, about)):
            (self._written if journal is self._journal else self._before)[key] = digest
        else:
            self._found.append(key)

    def _write_models(
        self,
        journal: Journal,
        history: list[Generation],
        current: int,
        waiting: Generation | None,
        channel: int | None,
        suggestions: Suggestions,
    ) -> None:
        def write() -> None:
            folder = self.copy.folder / MODELS
            folder.mkdir(exist_ok=True)
            noted = self._models.references(history, folder)
            waits = None if waiting is None else self._models.reference(waiting, folder)
            journal.append(
                {
                    "models": [one.model_dump(mode="json") for one in noted],
                    "current": current,
                    "waiting": None if waits is None else waits.model_dump(mode="json"),
                    "channel": channel,
                    "suggested": [one.model_dump(mode="json") for one in stored(suggestions)],
                }
            )

        self._tried(journal, write)

    def _tried(self, journal: Journal, write: Callable[[], None]) -> bool:
        """Write a record; return whether that went well."""
        try:
            write()
            if self._writer.queued <= 1:  # nothing follows at once
                journal.sync()
        except (OSError, UNetError) as error:
            text = reason(error) if isinstance(error, OSError) else str(error)
            self.problem, self._since_problem = (
                f"{self.copy.folder} cannot be written to: {text.rstrip('.')}.",
                Stopwatch(),
            )
            return False
        self.problem = ""
        return True


def about_blocks(corrections: Corrections) -> dict[str, Any]:
    """Return what is noted with every block."""
    return {"last_id": corrections.last_id, "zero_is_background": corrections.zero_is_background}


class Writer:
    """A thread that does one thing after the other."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "journal")
        self._tasks: list[Future[None]] = []

    @property
    def queued(self) -> int:
        """How many things are to be done, with that under way."""
        self._tasks = [task for task in self._tasks if not task.done()]
        return len(self._tasks)

    def put(self, task: Callable[[], None]) -> Future[None]:
        """Have something done; at once where the interpreter ends, and what was begun before is done by then."""
        try:
            future = self._pool.submit(task)
        except RuntimeError:
            task()
            future = Future()
            future.set_result(None)
        self._tasks.append(future)
        return future

    def settle(self) -> None:
        """Wait until all is done."""
        self.put(lambda: None).result()

    def close(self) -> None:
        """Do what is left, and no more."""
        self._pool.shutdown()
