"""Gestures that change objects, by name: what the mouse and the keys do on the canvas (docs/gestures.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from psygnal import Signal

from napari_unet.errors import EditError, UNetError
from napari_unet.layers.proofreading.gesture_state import Added, Seeds, Sized, Suggested
from napari_unet.layers.proofreading.look_first import LookFirst
from napari_unet.layers.proofreading.object_edits import NoMapsError, ObjectEdits, check_editable
from napari_unet.layers.proofreading.object_parts import SIZE_WINDOW, window_around

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from napari_unet.layers.inference.maps_in_view import MapsInView
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.proofreading.gesture_tool import GestureTool, Tool
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace

Gesture = Literal[
    "merge", "split", "seed", "cut_free", "add", "smaller", "draw", "delete", "reshape", "fill_holes", "smooth"
]

_IN_STEPS: tuple[Gesture, ...] = ("seed", "add", "smaller", "reshape")
"""Gestures that are often made several times on one object."""

_UNDO = "Ctrl+Z takes it back."


class Gestures:
    """Makes gestures on the chosen image's objects.

    Parameters
    ----------
    workspace : Workspace
    segmenter : Segmenter
    maps_in_view : MapsInView
        Has the network look where a gesture needs its maps and there are none.
    tool : GestureTool

    Attributes
    ----------
    slice_only : bool
        Whether only the slice in view of a volume is changed; else an object is changed in all slices.
    later_frames : bool
        Whether what is merged or deleted is so at all later time points of a series, too.
    """

    help_wanted = Signal()  # by a key
    made = Signal(object, bool)  # the session whose objects a gesture has changed; whether more of the same may follow
    changed = Signal()  # the points that a split waits for, or what is suggested

    def __init__(self, workspace: Workspace, segmenter: Segmenter, maps_in_view: MapsInView, tool: GestureTool) -> None:
        self._workspace, self._segmenter, self._tool = workspace, segmenter, tool
        self._look_first = LookFirst(workspace, maps_in_view)
        self.looked = self._look_first.looked  # more of what the network sees is known
        self.slice_only = self.later_frames = False
        self._added: Added | None = None
        self._seeds: Seeds | None = None
        self._suggested: Suggested | None = None
        self.tool_changed = tool.changed
        tool.changed.connect(self.forget)
        workspace.session_closing.connect(self._on_closing)
        workspace.viewer.dims.events.current_step.connect(self.forget)

    # -- tools -----------------------------------------------------------------------------------------------------

    @property
    def tool(self) -> Tool | None:
        """The tool by which the mouse makes gestures without a key, or None."""
        return self._tool.name

    def choose_tool(self, tool: Tool | None) -> bool:
        """Have the mouse make that gesture; see `GestureTool.choose`."""
        return self._tool.choose(tool)

    def switch_tool(self, tool: Tool) -> bool:
        """Choose a tool, or lay it away if it is chosen."""
        return self._tool.choose(None if self._tool.name == tool else tool)

    # -- gestures --------------------------------------------------------------------------------------------------

    def make(self, gesture: Gesture, points: ArrayLike, steps: int = 1) -> bool:
        """Make a gesture in the plane in view of the chosen image; return whether anything was changed.

        Where "add" needs maps and none are kept, the network looks there first, in the background, and the object is
        added then. Where it cannot look, the tool is chosen by which an object is drawn.

        Parameters
        ----------
        gesture : {"merge", "split", "seed", "cut_free", "add", "smaller", "draw", "delete", "reshape", ...}
            "add" on the object that was added last makes it larger, "smaller" makes it smaller. "seed" marks a part of
            an object; from the second one on the object is split. "draw" adds what the points enclose, and "reshape"
            moves an outline to where they go; the others, "fill_holes" and "smooth", want one point.
        points : array-like, axes (n, 2)
            Pixels (y, x) along the way of the mouse; a click is one.
        steps : int
            By how many "add" and "smaller" change the size of the object that was added last.
        """
        workspace = self._workspace
        try:
            session = check_editable(workspace.viewer, workspace.session)
            path = np.reshape(np.asarray(points, np.float64), (-1, 2))
            self._check_finished(session, path)
            objects = self._objects(session)
            done = self._made(objects, session, gesture, path, steps)
        except NoMapsError:
            return self._make_when_looked(session, gesture, path)
        except UNetError as error:
            workspace.say(str(error), "error")
            return False
        finally:
            self._suggested = None
            self.changed.emit()
        if done is None:
            workspace.say("Click once in each other part of it. Esc forgets the dots.")
            return False
        workspace.say(f"{done} {_UNDO}", "done")
        self.made.emit(session, gesture in _IN_STEPS)
        return True

    def _make_when_looked(self, session: LayerSession, gesture: Gesture, path: NDArray[np.float64]) -> bool:
        """Have the network look where no maps are kept, and make a gesture then; else let the object be drawn."""
        outcome: list[bool] = []
        self._workspace.say("The network looks at this place first. The object comes in a moment.")
        self._look_first.then(session, path[0], lambda: outcome.append(self.make(gesture, path)), self._let_it_be_drawn)
        return any(outcome)

    def _let_it_be_drawn(self) -> None:
        if self._tool.choose("add"):
            self._workspace.say("No network can look at this place. Draw around the object; Esc ends that.")

    def at_cursor(self, gesture: Gesture) -> bool:
        """Make a gesture where the mouse points, as by a click; return whether anything was changed."""
        session = self._workspace.session
        if session is not None and session.painting:
            return False  # a button of the mouse is down
        points = [(-1.0, -1.0)] if session is None else pixels_of(session, [self._workspace.viewer.cursor.position])
        return self.make(gesture, points)

    def _objects(self, session: LayerSession) -> ObjectEdits:
        model = self._workspace.model
        info = None if model is None else model.info
        return ObjectEdits(session, info, slice_only=self.slice_only, later_frames=self.later_frames)

    def _made(
        self, objects: ObjectEdits, session: LayerSession, gesture: Gesture, path: NDArray[np.float64], steps: int
    ) -> str | None:
        """Make a gesture and return what it did; None: it only marked a part."""
        if gesture == "seed":
            return self._seed(objects, session, path[:1])
        self._seeds = None
        added, self._added = self._added, None
        if gesture in ("add", "smaller"):
            self._added = self._of_the_last(added, objects, session, path)
            return self._add(objects, session, path, steps if gesture == "add" else -steps)
        if gesture == "reshape":
            return objects.reshape(path, float(session.labels_layer.brush_size))
        done: str = getattr(objects, gesture)(path)
        return done

    # -- adding, larger and smaller --------------------------------------------------------------------------------

    def suggest(self, point: ArrayLike, steps: int = 0) -> bool:
        """Show what adding at a point (y, x) would add; return whether there is something.

        Parameters
        ----------
        point : array-like, axes (2,)
        steps : int
            By which what is shown there is made larger, or smaller if negative.
        """
        session, place = self._workspace.session, np.asarray(point, np.float64)
        before, self._suggested = self._suggested, None
        found = None
        try:
            session = check_editable(self._workspace.viewer, session)
            grow = steps + (before.grow if before is not None and before.has(session, place) else 0)
            self._check_finished(session, place[None])
            found = self._objects(session).suggestion(place[None], grow)
        except NoMapsError:
            if session is not None:
                self._look_first.for_hover(session, place)
        except UNetError:
            pass  # it is said why when somebody clicks
        if found is not None and session is not None:
            self._suggested = Suggested(session, session.plane, *found, grow)
        self.changed.emit()
        return found is not None

    def resize(self, point: ArrayLike, steps: int) -> bool:
        """Make what is suggested at a point (y, x), or what was added there last, larger or smaller.

        Returns
        -------
        bool
            Whether there is one of the two.
        """
        sized = self.sized_at(point)
        if sized is None:
            return False
        if not sized.label:
            return self.suggest(sized.point, steps)
        return self.make("add" if steps > 0 else "smaller", sized.point, abs(steps))

    def sized_at(self, point: ArrayLike) -> Sized | None:
        """Return what can be made larger or smaller at a point (y, x): what is suggested, or what was added last."""
        session, place = self._workspace.session, np.asarray(point, np.float64)
        if session is None:
            return None
        if self._suggested is not None and self._suggested.has(session, place):
            return Sized(place, 0, self._suggested.grow)
        try:
            added = self._of_the_last(self._added, self._objects(session), session, place[None])
        except UNetError:
            return None
        return None if added is None else Sized(place, added.label, self._grown(session, added))

    def show_size(self, sized: Sized, steps: int) -> None:
        """Show how large something would be after so many steps; where it cannot be, what was shown stays."""
        session, grow = self._workspace.session, sized.grow + steps
        place = sized.point if self._added is None or not sized.label else self._added.point[0]
        try:
            session = check_editable(self._workspace.viewer, session)
            found = self._objects(session).suggestion(place[None], grow, sized.label)
        except UNetError:
            return
        if found is not None:
            self._suggested = Suggested(session, session.plane, *found, grow)
            self.changed.emit()

    def take_size(self, sized: Sized) -> bool:
        """Make something as large as it was shown last; return whether anything was changed."""
        steps = 0 if self._suggested is None else self._suggested.grow - sized.grow
        if not sized.label:
            return self.make("add", sized.point)
        self.forget_suggestion()
        return steps != 0 and self.make("add" if steps > 0 else "smaller", sized.point, abs(steps))

    @property
    def suggested(self) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
        """What is shown as what would be added: a mask (Y, X), and the pixel of its corner."""
        return None if self._suggested is None else (self._suggested.mask, self._suggested.corner)

    def _add(self, objects: ObjectEdits, session: LayerSession, path: NDArray[np.float64], step: int) -> str:
        """Add an object, or make the one that was added last larger (`step` 1) or smaller (-1)."""
        if (added := self._added) is not None:
            size, at = self._size(session, added.label, added.point[0]), self._grown(session, added)
            done = objects.resize(added.point, added.label, at + step)
            now = self._size(session, added.label, added.point[0])
            self._added = replace(added, grow=at + step, sizes=added.sizes | {at: size, at + step: now})
            return done
        if step < 0:
            raise UNetError("Point at the object that was added last, to make it smaller.")
        shown = self._suggested
        grow = shown.grow if shown is not None and shown.has(session, path[0]) else 0
        done = objects.add(path[:1], grow)
        label = objects.made[0]
        sizes = {grow: self._size(session, label, path[0])}
        self._added = Added(session, session.plane, path[:1], label, grow, sizes)
        return done

    def _grown(self, session: LayerSession, added: Added) -> int:
        """Return by how many steps the object that was added last is larger now than it was suggested."""
        size = self._size(session, added.label, added.point[0])
        if added.sizes[added.grow] == size:
            return added.grow
        return next((grow for grow, known in added.sizes.items() if known == size), added.grow)  # some were undone

    @staticmethod
    def _of_the_last(
        added: Added | None, objects: ObjectEdits, session: LayerSession, path: NDArray[np.float64]
    ) -> Added | None:
        """Return the object that was added last, if a click is on it."""
        if added is None or added.session is not session or added.plane != session.plane:
            return None
        return added if objects.ids_along(path) == [added.label] else None

    @staticmethod
    def _size(session: LayerSession, label: int, point: NDArray[np.float64]) -> int:
        """Return how many pixels an object has in the plane in view, near a point (y, x)."""
        labels = session.labels[session.plane]
        return int(np.count_nonzero(labels[window_around(point.tolist(), SIZE_WINDOW, labels.shape)] == label))

    # -- splitting by points ---------------------------------------------------------------------------------------

    @property
    def seeds(self) -> NDArray[np.float64]:
        """The points (n, 2), pixels y and x, that mark parts of an object that is split."""
        return np.zeros((0, 2)) if self._seeds is None else self._seeds.points

    def _seed(self, objects: ObjectEdits, session: LayerSession, point: NDArray[np.float64]) -> str | None:
        ids = objects.ids_along(point)
        if not ids:
            raise EditError("There is no object here to split.")
        self._added = None
        seeds, points = self._seeds, point
        if seeds is not None and (seeds.session, seeds.plane) == (session, session.plane) and ids[0] in seeds.ids:
            there = [p for p in seeds.points if seeds.ids.intersection(objects.ids_along(p[None]))]
            points = np.concatenate([*(p[None] for p in there), point])
        if seeds is None or len(points) == 1:
            self._seeds = Seeds(session, session.plane, points, frozenset(ids))
            return None
        objects.split_by_points(points)
        self._seeds = replace(seeds, points=points, ids=seeds.ids.union(ids, objects.touched, objects.made))
        return f"Split into {len(points)} parts."

    def forget(self, _: Any = None) -> None:
        """Forget the points that a split waits for, what is suggested, and what waits for the network."""
        self._look_first.forget()
        if self._seeds is not None or self._suggested is not None:
            self._seeds = self._suggested = None
            self.changed.emit()

    def forget_suggestion(self) -> None:
        """Show no suggestion any more."""
        if self._suggested is not None:
            self._suggested = None
            self.changed.emit()

    # -- the rest --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Make no gestures any more."""
        self._tool.end()
        self._workspace.viewer.dims.events.current_step.disconnect(self.forget)
        for session in self._workspace.sessions:
            self._on_closing(session)

    def _check_finished(self, session: LayerSession, path: NDArray[np.float64]) -> None:
        """Refuse what is about a place that is being segmented: its objects may be others in a moment.

        Raises
        ------
        UNetError
        """
        if not self._segmenter.works_on(session):
            return
        frame, z = session.plane
        path = path[np.isfinite(path).all(1)]
        if any(session.maps.part_at(frame, (z, round(y), round(x))) is None for y, x in path.tolist()):
            raise UNetError("This part is being segmented. Wait until it is done, or press Stop.")

    def _on_closing(self, session: LayerSession) -> None:
        if self._tool.of(session.labels_layer) is not None:
            self._tool.end()
        if self._added is not None and self._added.session is session:
            self._added = None
        self.forget()


def pixels_of(session: LayerSession, positions: Iterable[Any]) -> NDArray[np.float64]:
    """Return positions of the viewer's world as pixels (y, x) of a session's image, axes (n, 2)."""
    geometry = session.geometry
    y, x = geometry.letters.index("Y"), geometry.letters.index("X")
    found = [geometry.to_pixels(position) for position in positions]
    return np.array([(pixel[y], pixel[x]) for pixel in found])
