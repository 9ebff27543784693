"""Leads from one suspect object to the next: selects it, outlines it, and says why."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.guidance.walk import Walk, distance
from napari_unet.layers.guidance.stop_view import StopView, is_in_view
from napari_unet.layers.guidance.stop_words import REASONS, details_of, named
from napari_unet.layers.guidance.stops import is_settled, toggle_reviewed
from napari_unet.layers.guidance.suspect_search import AHEAD, SuspectSearch
from napari_unet.layers.guidance.walkable import walkable
from napari_unet.objects.rows import PREDICTED
from napari_unet.progress import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from napari_unet.guidance.suspects import Suspects
    from napari_unet.guidance.walk import Plane, Progress, Stop
    from napari_unet.layers.guidance.where_next import WhereNext
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.objects.rows import ObjectRows

TELL_AFTER = 1.0
"""Seconds after which it is told again that more objects were looked at: the list of a million is then made anew."""

_QUICK_PIXELS = 2**21
"""Pixels of a plane up to which its suspects are found before anybody could read that they are looked for."""


class ObjectWalk:
    """Walks through the objects of the chosen image, the most suspect first.

    Parameters
    ----------
    workspace : Workspace
    segmenter : Segmenter
    where_next : WhereNext
        Leads to what is uncertain where labels are classes, not objects.
    runner : Runner
        Where suspects are looked for.

    Attributes
    ----------
    goes_on : bool
        Whether the next one is shown by itself when a gesture has corrected what is shown.
    """

    changed = Signal()  # where it is, or how many there are: ask `stop` and `progress`
    ended = Signal()  # no suspect is left in the chosen image
    suspects_changed = Signal()  # of which objects it is known how likely they are to be wrong
    mended = Signal(bool)  # what is shown was corrected by a gesture: call `go_on` soon, or later if more may follow
    orphaned = Signal()  # the outline of a result that is gone is left: call `tidy` when napari is done with removing

    def __init__(self, workspace: Workspace, segmenter: Segmenter, where_next: WhereNext, runner: Runner) -> None:
        self._workspace, self._segmenter, self._where_next = workspace, segmenter, where_next
        self._view, self._search = StopView(workspace.viewer), SuspectSearch(runner)
        self._walks: dict[Hashable, Walk] = {}
        self._everything = self._ended = self._waiting = False
        self._segmented: LayerSession | None = None
        self.goes_on = True
        self._thorough: set[Hashable] = set()  # sessions of which all objects are looked at
        self._told = Stopwatch()
        workspace.segmenting.connect(self._on_segmenting)
        workspace.session_closing.connect(self._on_closing)
        workspace.session_moved.connect(self._on_moved)
        workspace.layer_chosen.connect(self._on_layer)
        workspace.corrected.connect(self._on_corrected)

    # -- what is shown ---------------------------------------------------------------------------------------------

    @property
    def stop(self) -> Stop | None:
        """The object that was shown last in the chosen image; of another image, or after the end, none is outlined."""
        walk = self._walk
        return None if walk is None else walk.current

    @property
    def shows_stop(self) -> bool:
        """Whether an object is outlined: not after the end of the walk."""
        return self._view.shown

    @property
    def reason(self) -> str:
        """Why it was shown; empty: nothing is shown."""
        return "" if self.stop is None else REASONS[self.stop.reason]

    @property
    def progress(self) -> Progress | None:
        """Which of how many it is."""
        walk, session = self._walk, self._workspace.session
        if walk is None or session is None:
            return None
        return walk.progress(everything=self._everything, of_planes=math.prod(session.corrections.shape[:2]))

    @property
    def waiting(self) -> int | None:
        """How many suspects nobody has looked at yet, with the one outlined; None: not all planes were searched."""
        walk, progress = self._walk, self.progress
        if walk is None or progress is None or progress.open:
            return None
        return walk.waiting(with_current=self.shows_stop)

    @property
    def looking(self) -> bool:
        """Whether suspects are being looked for."""
        return self._search.busy

    @property
    def settled(self) -> bool:
        """Whether what is shown is corrected or reviewed by now."""
        session, stop = self._workspace.session, self.stop
        try:
            return session is not None and session.alive() and stop is not None and is_settled(session, stop)
        except UNetError:
            return False

    def suspicion(self, session: LayerSession, rows: ObjectRows) -> NDArray[np.float64]:
        """Return how likely the listed objects of a session are to be wrong.

        Returns
        -------
        ndarray of float, shape (rows,)
            Probabilities; NaN where an object was not looked at yet, or is corrected or reviewed by now.
        """
        walk = self._walks.get(session.key)
        if walk is None:
            return np.full(len(rows), np.nan)
        found = walk.probabilities(rows.time, rows.label)
        found[rows.state != PREDICTED] = np.nan
        return found

    # -- what can be done ------------------------------------------------------------------------------------------

    def next(self, *, everything: bool = False) -> None:
        """Go to the next suspect, or the next of all objects, that is neither corrected nor reviewed."""
        session = self._workspace.session
        if session is not None and not session.corrections.instances:
            self._where_next.go()
            return
        self._everything = everything
        session = self._checked()
        if session is None:
            return
        walk = self._walk_of(session)
        if self._ended:
            walk.begin_again()
            self._ended = False
        self._waiting = False
        if walk.knows(session.plane):
            self._advance(session, walk)
        else:
            self._look(session, walk)

    def look_at_all(self) -> None:
        """Look at all objects, and not only at as many as keep a person busy; nothing is shown by that."""
        session = self._workspace.session
        if session is None or not session.alive() or not session.corrections.instances:
            return
        self._thorough.add(session.key)
        walk = self._walk_of(session)
        if not self._search.busy and (planes := self._unknown(session, walk)):
            self._start(session, walk, planes)

    def note_gesture(self, session: LayerSession, more: bool) -> None:
        """Take note that a gesture has changed a session's objects; `more` of the same may follow, as clicks do."""
        if self.goes_on and session is self._workspace.session and self._view.shown and self.settled:
            self.mended.emit(more)

    def go_on(self) -> None:
        """Go to the next one after a gesture has mended what is shown; not if that was undone, or is out of view."""
        session, stop = self._workspace.session, self.stop
        if not self.goes_on or session is None or stop is None or not self._view.shown:
            return
        if self.settled and not session.painting and is_in_view(session, stop):
            self.next(everything=self._everything)

    def previous(self) -> None:
        """Go back to the object before, or to the one shown last if it is out of view."""
        session = self._checked()
        if session is None:
            return
        walk = self._walk
        if walk is None or walk.current is None:
            self._workspace.say(
                f"Nothing was shown yet. Press {self._key('next_suspect')} for the first suspect.", "error"
            )
            return
        stop = walk.previous() if self._view.shown and is_in_view(session, walk.current) else walk.current
        if stop is None:
            self._workspace.say("This was the first one.")
            return
        self._show(session, stop)

    def accept(self) -> None:
        """Mark the object that is shown as reviewed and go on; if it is reviewed, take that back and stay."""
        session, stop = self._checked(), self.stop
        if session is None:
            return
        if stop is None or not self._view.shown:
            self._workspace.say(f"No object is shown. Press {self._key('next_suspect')} to go to one.", "error")
            return
        if not is_in_view(session, stop):
            self._workspace.say(
                f"That object is out of view. Press {self._key('previous_object')} to go back to it.", "error"
            )
            return
        try:
            now = toggle_reviewed(session, stop)
        except UNetError as error:
            self._workspace.say_error(error)
            return
        self._workspace.corrected.emit(session.summary)
        if now:
            self.next(everything=self._everything)
        else:
            self._workspace.say("No longer reviewed.")
            self.changed.emit()

    def close(self) -> None:
        """Look for nothing more, and take the outline away."""
        self._search.stop()
        self._view.remove()
        self._walks.clear()

    def tidy(self) -> None:
        """Remove the outline if nothing is walked through."""
        if not self._walks:
            self._view.remove()

    def _key(self, action: str) -> str:
        """Return what to press for an action."""
        return self._workspace.keys.named(action)

    # -- going on --------------------------------------------------------------------------------------------------

    @property
    def _walk(self) -> Walk | None:
        session = self._workspace.session
        return None if session is None else self._walks.get(session.key)

    def _walk_of(self, session: LayerSession) -> Walk:
        return self._walks.setdefault(session.key, Walk(joins_slices=session.joins_slices))

    def _checked(self) -> LayerSession | None:
        """Return the session if its objects can be walked through; else say what to do."""
        try:
            return walkable(self._workspace)
        except UNetError as error:
            self._workspace.say_error(error)
            return None

    def _advance(self, session: LayerSession, walk: Walk) -> None:
        """Show the next one, look for more, or say that there is none."""
        stop = walk.next(session.plane, partial(is_settled, session), everything=self._everything)
        if stop is not None:
            self._show(session, stop)
        elif self._unknown(session, walk):
            self._look(session, walk)
        else:
            self._end(session, walk)

    def _unknown(self, session: LayerSession, walk: Walk) -> list[Plane]:
        """Return the planes that were not looked at, the nearest first; while it is segmented, only that in view."""
        here = session.plane
        if self._segmenter.works_on(session):
            return [] if walk.knows(here) else [here]
        planes = [plane for plane in session.corrections.planes() if not walk.knows(plane)]
        return sorted(planes, key=lambda plane: distance(plane, here))

    def _look(self, session: LayerSession, walk: Walk) -> None:
        """Look for suspects in planes that were not looked at, and go on with the first."""
        self._waiting = True
        if _is_large(session):
            self._workspace.say("Looking for suspects.")
        planes = self._unknown(session, walk)
        if not self._search.begins_with(planes[0]):
            self._start(session, walk, planes)

    def _start(self, session: LayerSession, walk: Walk, planes: Sequence[Plane]) -> None:
        """Look for suspects in some planes."""

        def is_chosen() -> bool:
            return session.alive() and self._workspace.session is session

        def found(plane: Plane, suspects: Suspects) -> None:
            if is_chosen():
                walk.take(plane, suspects)
                self._go_on(session, walk)
                if self._told.seconds > TELL_AFTER:
                    self._tell()

        def done() -> None:
            if is_chosen():
                self._looked(session, walk)

        def failed(error: Exception) -> None:
            if is_chosen():
                self._workspace.say_error(error)

        enough = math.inf if session.key in self._thorough else AHEAD
        self._search.start(session, planes, enough, found, done, failed)

    def _looked(self, session: LayerSession, walk: Walk) -> None:
        """Go on when all planes that were asked for were looked at."""
        self._tell()
        if self._waiting:
            self._advance(session, walk)
        if session.key in self._thorough:
            self.look_at_all()

    def _tell(self) -> None:
        """Tell that it is known of more objects how likely they are to be wrong."""
        self._told = Stopwatch()
        self.suspects_changed.emit()

    def _go_on(self, session: LayerSession, walk: Walk) -> None:
        """Show the next one if somebody waits for it and it was found; else tell that there are more."""
        settled, everything = partial(is_settled, session), self._everything
        stop = walk.next(session.plane, settled, everything=everything) if self._waiting else None
        if stop is None:
            self.changed.emit()
        else:
            self._show(session, stop)

    def _end(self, session: LayerSession, walk: Walk) -> None:
        """Say that there is nothing more."""
        say = self._workspace.say
        self._view.hide()
        if self._segmenter.works_on(session):
            say("No suspect is left in this slice. The image is still being segmented.")
        elif not walk.objects and not walk.waiting() and walk.current is None:
            say("There are no objects here. Paint some, or try another model.", "error")
        elif self._everything:
            say("Every object was shown, or is corrected or reviewed.", "done")
            self._ended = True
        else:
            say(f"No suspect is left. {self._key('next_object')} walks through all other objects.", "done")
            self._ended = walk.current is not None
            self.ended.emit()
        self.changed.emit()

    # -- one object ------------------------------------------------------------------------------------------------

    def _show(self, session: LayerSession, stop: Stop) -> None:
        """Show an object, and say why."""
        self._waiting = False
        self._view.show(session, stop)
        accept, go_on = self._key("accept_object"), self._key("next_suspect")
        self._workspace.say(
            f"{named(stop)} {accept} accepts, a gesture corrects, {go_on} goes on.", details=details_of(stop)
        )
        self.changed.emit()

    # -- events ----------------------------------------------------------------------------------------------------

    def _forget(self, session: LayerSession) -> None:
        """Forget the walk through a session: its objects are others now, or gone."""
        if self._walks.pop(session.key, None) is not None:
            self._search.stop()
            self._view.hide()
            self._ended = False
            self._thorough.discard(session.key)
            self.changed.emit()
            self._tell()

    def _on_segmenting(self, running: bool) -> None:
        if running:
            self._segmented = self._workspace.session
        elif self._segmented is not None:
            session, self._segmented = self._segmented, None
            self._forget(session)
            if session is self._workspace.session and session.alive() and _is_large(session):
                self._prepare(session)

    def _prepare(self, session: LayerSession) -> None:
        """Look for suspects in the plane in view before somebody asks for them: of a large one it takes seconds."""
        if session.corrections.instances:
            self._waiting = False
            self._start(session, self._walk_of(session), [session.plane])

    def _on_closing(self, session: LayerSession) -> None:
        """Let go of a session, while its layers may be being removed."""
        self._thorough.discard(session.key)
        if self._walks.pop(session.key, None) is not None:
            self._search.stop()
            self.orphaned.emit()
        self.changed.emit()

    def _on_moved(self, session: LayerSession) -> None:
        if session is self._workspace.session:
            self._view.hide()

    def _on_layer(self) -> None:
        """Another image was chosen: the outline is about one that is not in view."""
        self._search.stop()
        self._ended = False
        self._view.hide()
        self.changed.emit()

    def _on_corrected(self, summary: object) -> None:
        self.changed.emit()


def _is_large(session: LayerSession) -> bool:
    return math.prod(session.corrections.shape[2:]) > _QUICK_PIXELS
