"""Mouse and keys on the canvas that merge, split, add and delete objects (docs/gestures.md).

They work in napari's pan/zoom mode on a result's labels layer: with Shift, Ctrl, or both held, or without where a tool
was chosen in the panel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.object_edits import ObjectEdits, check_editable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from numpy.typing import ArrayLike, NDArray

    from napari_unet.layers.segmenter import Segmenter
    from napari_unet.layers.session import LayerSession
    from napari_unet.layers.workspace import Workspace

Tool = Literal["merge", "split", "add", "delete"]
Gesture = Literal["merge", "split", "cut_free", "add", "smaller", "delete"]

MAX_CLICK = 4.0
"""Pixels of the screen that the mouse may move between press and release of a click."""

_BY_TOOL: dict[Tool, tuple[Gesture, Gesture]] = {  # a click, a drag
    "merge": ("merge", "merge"),
    "split": ("cut_free", "split"),
    "add": ("add", "add"),
    "delete": ("delete", "delete"),
}
_BY_MODIFIERS: dict[frozenset[str], tuple[Gesture, Gesture]] = {
    frozenset({"Shift"}): ("add", "merge"),
    frozenset({"Control"}): ("cut_free", "split"),  # Cmd on macOS
    frozenset({"Shift", "Control"}): ("delete", "delete"),
}
_MODIFIERS = ("Shift", "Control", "Alt", "Meta")

HELP: tuple[tuple[str, str, str], ...] = (
    ("Merge", "Shift + drag", "from one object into others"),
    ("Split", "Ctrl + drag", "a line across an object; the cut follows what the network saw"),
    ("Split", "Ctrl + click, or S", "an object in parts where the network saw several"),
    ("Add", "Shift + click, or I", "on the background: the object that the network saw there"),
    ("Add", "I, Shift + I", "on the object just added: a little larger, smaller"),
    ("Delete", "Ctrl + Shift + click, or D", "an object; drag across several"),
)
"""What the gestures are called, how each is made, and what it does. Ctrl is Cmd on macOS."""

_UNDO = "Ctrl+Z takes it back."


@dataclass(frozen=True, slots=True, eq=False)
class _Added:
    """The object that was added last, which can be made larger or smaller."""

    session: LayerSession
    plane: tuple[int, int]
    point: NDArray[np.float64]
    label: int
    grow: int = 0


class Gestures:
    """Makes the gestures of the mouse and of the keys on the chosen image's objects.

    Parameters
    ----------
    workspace : Workspace
    segmenter : Segmenter

    Attributes
    ----------
    slice_only : bool
        Whether only the slice in view of a volume is changed; else an object is changed in all slices.
    """

    tool_changed = Signal()
    help_wanted = Signal()  # by a key

    def __init__(self, workspace: Workspace, segmenter: Segmenter) -> None:
        self._workspace, self._segmenter = workspace, segmenter
        self.slice_only = False
        self._tool: Tool | None = None
        self._added: _Added | None = None
        self._held: Any = None  # the layer that a tool was chosen for
        workspace.session_opened.connect(self._on_opened)
        workspace.session_closing.connect(self._on_closing)
        workspace.layer_chosen.connect(self._end_tool)

    # -- tools -----------------------------------------------------------------------------------------------------

    @property
    def tool(self) -> Tool | None:
        """The tool by which the mouse makes gestures without a key, or None."""
        return self._tool

    def choose_tool(self, tool: Tool | None) -> bool:
        """Have the mouse make that gesture in pan/zoom mode until Esc is pressed (None: no longer).

        Returns
        -------
        bool
            Whether that is so now. If the objects cannot be changed, it is said why.
        """
        self._end_tool()
        if tool is None:
            return True
        try:
            session = check_editable(self._workspace.viewer, self._workspace.session)
        except UNetError as error:
            self._workspace.say(str(error), "error")
            self.tool_changed.emit()
            return False
        layer = session.labels_layer
        self._workspace.viewer.layers.selection.active = layer
        layer.mode = "pan_zoom"
        self._tool, self._held = tool, layer
        layer.mouse_pan, layer.cursor = False, "cross"
        layer.bind_key("Escape", lambda _: self._end_tool(), overwrite=True)
        layer.events.mode.connect(self._on_mode)
        self._workspace.viewer.layers.selection.events.active.connect(self._on_active)
        self.tool_changed.emit()
        gestures = {"merge": "Drag from one object into others.", "split": "Draw a line across an object, or click it."}
        gestures |= {"add": "Click where an object is missing.", "delete": "Click an object, or drag across several."}
        self._workspace.say(f"{gestures[tool]} Esc ends that.")
        return True

    def _end_tool(self) -> None:
        layer, self._tool, self._held = self._held, None, None
        if layer is None:
            return
        layer.events.mode.disconnect(self._on_mode)
        self._workspace.viewer.layers.selection.events.active.disconnect(self._on_active)
        layer.bind_key("Escape", None, overwrite=True)
        if layer.mode == "pan_zoom":
            layer.mouse_pan, layer.cursor = True, "standard"
        self.tool_changed.emit()

    def _on_mode(self, event: Any = None) -> None:
        if self._held is not None and self._held.mode != "pan_zoom":
            self._end_tool()

    def _on_active(self, event: Any = None) -> None:
        if self._held != self._workspace.viewer.layers.selection.active:
            self._end_tool()

    # -- gestures --------------------------------------------------------------------------------------------------

    def make(self, gesture: Gesture, points: ArrayLike) -> bool:
        """Make a gesture in the plane in view of the chosen image; return whether anything was changed.

        Parameters
        ----------
        gesture : {"merge", "split", "cut_free", "add", "smaller", "delete"}
            "add" on the object that was added last makes it larger, "smaller" makes it smaller.
        points : array-like, axes (n, 2)
            Pixels (y, x) along the way of the mouse; a click is one.
        """
        workspace = self._workspace
        try:
            session = check_editable(workspace.viewer, workspace.session)
            path = np.reshape(np.asarray(points, np.float64), (-1, 2))
            self._check_finished(session, path)
            info = None if workspace.model is None else workspace.model.info
            objects = ObjectEdits(session, info, slice_only=self.slice_only)
            done = self._made(objects, session, gesture, path)
        except UNetError as error:
            workspace.say(str(error), "error")
            return False
        workspace.say(f"{done} {_UNDO}", "done")
        return True

    def at_cursor(self, gesture: Gesture) -> bool:
        """Make a gesture where the mouse points, as by a click; return whether anything was changed."""
        session = self._workspace.session
        if session is not None and session.painting:
            return False  # a button of the mouse is down
        points = [(-1.0, -1.0)] if session is None else self._pixels(session, [self._workspace.viewer.cursor.position])
        return self.make(gesture, points)

    def _made(self, objects: ObjectEdits, session: LayerSession, gesture: Gesture, path: NDArray[np.float64]) -> str:
        """Make a gesture and return what it did."""
        before, self._added = self._added, None
        if gesture not in ("add", "smaller"):
            done: str = getattr(objects, gesture)(path)
            return done
        if before is not None and (before.session is not session or before.plane != session.plane):
            before = None
        if before is not None and objects.ids_along(path) == [before.label]:
            self._added = before
            grow = before.grow + (1 if gesture == "add" else -1)
            done = objects.resize(before.point, before.label, grow)
            self._added = replace(before, grow=grow)
            return done
        if gesture == "smaller":
            raise UNetError("Point at the object that was added last, to make it smaller.")
        done = objects.add(path)
        self._added = _Added(session, session.plane, path[:1], objects.new_id)
        return done

    def close(self) -> None:
        """Make no gestures any more."""
        self._end_tool()
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
        if any(session.maps.part_at(frame, (z, round(y), round(x))) is None for y, x in path.tolist()):
            raise UNetError("This part is being segmented. Wait until it is done, or press Stop.")

    def _on_opened(self, session: LayerSession) -> None:
        # After the session's own: what waited for the mouse's release is written by then.
        session.labels_layer.mouse_drag_callbacks.append(self._on_mouse)

    def _on_closing(self, session: LayerSession) -> None:
        if self._held is not None and self._held == session.labels_layer:
            self._end_tool()
        if self._added is not None and self._added.session is session:
            self._added = None
        callbacks = session.labels_layer.mouse_drag_callbacks
        if self._on_mouse in callbacks:
            callbacks.remove(self._on_mouse)

    def _on_mouse(self, layer: Any, event: Any) -> Generator[None, None, None]:
        """Follow the mouse from the press of its button to the release, and make the gesture then."""
        gestures = self._gestures_for(layer, event)
        if gestures is None:
            return
        if self._tool is not None and self._held == layer:
            layer.mouse_pan = False  # what has emptied the undo history has set it again
        start, path, way = np.array(event.pos, float), [np.array(event.position, float)], 0.0
        yield
        while event.type == "mouse_move":
            path.append(np.array(event.position, float))
            way = max(way, float(np.abs(np.array(event.pos) - start).max()))
            yield
        path.append(np.array(event.position, float))
        way = max(way, float(np.abs(np.array(event.pos) - start).max()))
        session = self._workspace.session
        if session is None or session.labels_layer != layer:
            return
        click, drag = gestures
        if way > MAX_CLICK:
            self.make(drag, self._pixels(session, path))
        else:
            self.make(click, self._pixels(session, path[:1]))

    def _gestures_for(self, layer: Any, event: Any) -> tuple[Gesture, Gesture] | None:
        """Return what a click and a drag do that begin now; None: nothing."""
        if event.button != 1 or layer.mode != "pan_zoom":
            return None
        held = frozenset(name for name in _MODIFIERS if name in event.modifiers)
        if held and self._workspace.viewer.dims.ndisplay == 3:
            return None  # there it is napari's camera that Shift moves
        if not held and self._tool is not None and self._held == layer:
            return _BY_TOOL[self._tool]
        return _BY_MODIFIERS.get(held)

    @staticmethod
    def _pixels(session: LayerSession, positions: Iterable[Any]) -> NDArray[np.float64]:
        """Return positions of the viewer's world as pixels (y, x), axes (n, 2)."""
        geometry = session.geometry
        y, x = geometry.letters.index("Y"), geometry.letters.index("X")
        found = [geometry.to_pixels(position) for position in positions]
        return np.array([(pixel[y], pixel[x]) for pixel in found])
