"""The mouse on the canvas: which gesture it makes, and what is drawn there meanwhile.

It makes gestures in napari's pan/zoom mode on a result's labels layer: with Shift, Ctrl, or both held, or without
where a tool was chosen in the panel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.proofreading.gesture_sketch import Sketch, outline_of, rings
from napari_unet.layers.proofreading.gestures import pixels_of
from napari_unet.layers.proofreading.object_parts import along
from napari_unet.objects.edits import id_at

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_unet.layers.proofreading.gesture_state import Sized
    from napari_unet.layers.proofreading.gesture_tool import GestureTool, Tool
    from napari_unet.layers.proofreading.gestures import Gesture, Gestures
    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace

MAX_CLICK = 4.0
"""Pixels of the screen that the mouse may move between press and release of a click."""

PIXELS_PER_STEP = 12.0
"""Pixels of the screen that a drag up or down goes for one step larger or smaller."""

_BY_TOOL: dict[Tool, tuple[Gesture, Gesture]] = {  # a click, a drag
    "merge": ("merge", "merge"),
    "split": ("seed", "split"),
    "add": ("add", "draw"),
    "outline": ("reshape", "reshape"),
    "delete": ("delete", "delete"),
}
_BY_MODIFIERS: dict[frozenset[str], tuple[Gesture, Gesture]] = {
    frozenset({"Shift"}): ("add", "merge"),
    frozenset({"Control"}): ("cut_free", "split"),  # Cmd on macOS
    frozenset({"Shift", "Control"}): ("delete", "delete"),
}
_MODIFIERS = ("Shift", "Control", "Alt", "Meta")


@dataclass(slots=True, eq=False)
class _Drag:
    """A drag that is under way: its gesture, where it goes, and the objects it has touched with their outlines."""

    session: LayerSession
    plane: Plane
    gesture: Gesture
    pixels: list[tuple[float, float]]
    begins_in: int
    outlines: dict[int, list[NDArray[np.float64]]] = field(default_factory=dict)
    cancelled: bool = False
    sized: Sized | None = None  # what it makes larger or smaller, instead of a gesture along its way


class GestureMouse:
    """Follows the mouse on the canvas.

    Parameters
    ----------
    workspace : Workspace
    gestures : Gestures
    tool : GestureTool

    Attributes
    ----------
    sketch : Sketch
        What is to be drawn over the canvas now.
    """

    sketched = Signal()  # the sketch is another one
    pointed = Signal()  # the mouse, with the tool that adds, is elsewhere: call `show_suggestion` when there is time

    def __init__(self, workspace: Workspace, gestures: Gestures, tool: GestureTool) -> None:
        self._workspace, self._gestures, self._tool = workspace, gestures, tool
        self.sketch = Sketch()
        self._drag: _Drag | None = None
        self._at: tuple[float, float] | None = None  # the pixel that the mouse points at, with a tool in the hand
        self._wheel = 0.0
        workspace.session_opened.connect(self._on_opened)
        workspace.session_closing.connect(self._on_closing)
        gestures.changed.connect(self._draw)
        gestures.looked.connect(self.pointed.emit)
        tool.changed.connect(self.leave)
        tool.escaped.connect(self._on_escape)

    def leave(self) -> None:
        """Take note that the mouse has left the canvas."""
        self._at = None
        self._gestures.forget_suggestion()
        self._draw()

    def show_suggestion(self) -> None:
        """Show what would be added where the mouse points."""
        if self._at is not None and self._drag is None and self._tool.name == "add":
            self._gestures.suggest(self._at)

    def close(self) -> None:
        """Follow it no longer."""
        for session in self._workspace.sessions:
            self._on_closing(session)

    def _on_opened(self, session: LayerSession) -> None:
        # After the session's own: what waited for the mouse's release is written by then.
        layer = session.labels_layer
        layer.mouse_drag_callbacks.append(self._on_drag)
        layer.mouse_move_callbacks.append(self._on_move)
        layer.mouse_wheel_callbacks.append(self._on_wheel)

    def _on_closing(self, session: LayerSession) -> None:
        if self._drag is not None and self._drag.session is session:
            self._drag = None
        layer = session.labels_layer
        for callbacks, own in (
            (layer.mouse_drag_callbacks, self._on_drag),
            (layer.mouse_move_callbacks, self._on_move),
            (layer.mouse_wheel_callbacks, self._on_wheel),
        ):
            if own in callbacks:
                callbacks.remove(own)
        self._draw()

    # -- what napari tells -----------------------------------------------------------------------------------------

    def _on_drag(self, layer: Any, event: Any) -> Generator[None, None, None]:
        """Follow the mouse from the press of its button to the release, and make the gesture then."""
        names, session = self._gestures_for(layer, event), self._workspace.session
        if names is None or session is None or session.labels_layer != layer:
            return
        if self._tool.of(layer) is not None:
            self._tool.keep_from_panning()
        (click, drag), start, way = names, np.array(event.pos, float), 0.0
        first = pixels_of(session, [event.position])[0]
        own = self._drag = _Drag(session, session.plane, drag, [tuple(first.tolist())], _id_at(session, first))
        if self._tool.of(layer) == "add" and _held(event) == {"Shift"}:
            own.sized = self._gestures.sized_at(first)
        yield
        moving = True
        while moving:
            moving = event.type == "mouse_move"
            way = max(way, float(np.abs(np.array(event.pos) - start).max()))
            own.pixels.append(tuple(pixels_of(session, [event.position])[0].tolist()))
            if moving:
                if way > MAX_CLICK and self._drag is own:
                    self._follow(own, float(start[1] - event.pos[1]))
                yield
        present = self._drag is own
        self._drag = None
        self._draw()
        if present and not own.cancelled and self._workspace.session is session:
            self._make(own, click if way <= MAX_CLICK else None)

    def _make(self, drag: _Drag, click: Gesture | None) -> None:
        """Make the gesture of a drag that has ended; `click`: that of a mouse which hardly moved."""
        session = drag.session
        if session.alive() and session.plane != drag.plane:
            self._workspace.say("Another slice came into view meanwhile, so nothing was changed.", "error")
        elif click is not None:
            self._gestures.make(click, drag.pixels[:1])
        elif drag.sized is not None:
            self._gestures.take_size(drag.sized)
        else:
            self._gestures.make(drag.gesture, drag.pixels)

    def _on_move(self, layer: Any, event: Any) -> None:
        """Show what the tool in the hand would do where the mouse points."""
        tool, session = self._tool.of(layer), self._workspace.session
        if tool not in ("add", "outline") or session is None or session.labels_layer != layer:
            return
        y, x = pixels_of(session, [event.position])[0].tolist()
        self._at = y, x
        if tool == "add":
            self.pointed.emit()
        else:
            self._draw()

    def _on_wheel(self, layer: Any, event: Any) -> None:
        """Make what is suggested, or what was added last, larger or smaller, where the mouse points."""
        if layer.mode != "pan_zoom" or _held(event) != {"Shift"} or self._drag is not None:
            return
        session = self._workspace.session
        if session is None or session.labels_layer != layer:
            return
        self._wheel += float(np.clip(np.sum(event.delta), -1, 1))  # with Shift, some systems turn the wheel sideways
        if abs(self._wheel) >= 1:
            steps, self._wheel = int(np.sign(self._wheel)), 0.0
            if self._gestures.resize(pixels_of(session, [event.position])[0], steps):
                event.handled = True

    def _on_escape(self) -> None:
        """Give up the drag under way; else forget the points of a split; else lay the tool away."""
        if self._drag is not None:
            self._drag.cancelled = True
            self._gestures.forget_suggestion()
            self._draw()
        elif len(self._gestures.seeds):
            self._gestures.forget()
        else:
            self._tool.end()

    def _gestures_for(self, layer: Any, event: Any) -> tuple[Gesture, Gesture] | None:
        """Return what a click and a drag do that begin now; None: nothing."""
        if event.button != 1 or layer.mode != "pan_zoom":
            return None
        held = _held(event)
        if held and self._workspace.viewer.dims.ndisplay == 3:
            return None  # there it is napari's camera that Shift moves
        if not held and (tool := self._tool.of(layer)) is not None:
            return _BY_TOOL[tool]
        return _BY_MODIFIERS.get(held)

    def _follow(self, drag: _Drag, up: float) -> None:
        """Show what a drag would do, which is so many pixels of the screen above its beginning."""
        if drag.sized is not None and not drag.cancelled:
            self._gestures.show_size(drag.sized, round(up / PIXELS_PER_STEP))
        else:
            self._note_touched(drag)
        self._draw()

    # -- what is drawn ---------------------------------------------------------------------------------------------

    def _note_touched(self, drag: _Drag) -> None:
        """Take note of the objects between the last two positions of a drag, where it is about all that it touches."""
        if drag.gesture not in ("merge", "delete") or drag.session.plane != drag.plane:
            return
        for point in along(np.array(drag.pixels[-2:])):
            label = _id_at(drag.session, point)
            if label and label not in drag.outlines:
                drag.outlines[label] = outline_of(drag.session, drag.plane, label, point.tolist())

    def _draw(self, _: Any = None) -> None:
        """Tell that something else is to be drawn, if it is."""
        sketch = self._now()
        if sketch != self.sketch or sketch.outlines or self.sketch.outlines:
            self.sketch = sketch
            self.sketched.emit()

    def _now(self) -> Sketch:
        drag, session, viewer = self._drag, self._workspace.session, self._workspace.viewer
        if getattr(viewer, "canvas", viewer).grid.enabled:
            return Sketch()  # there are several canvases in one
        dots = tuple((y, x) for y, x in self._gestures.seeds.tolist())
        if drag is not None and drag.sized is None and not drag.cancelled:
            outlines = tuple(ring for found in drag.outlines.values() for ring in found)
            sketch = Sketch(tuple(drag.pixels), closed=drag.gesture == "draw", dots=dots, outlines=outlines)
            if drag.gesture != "reshape" or _id_at(drag.session, np.array(drag.pixels[-1])) == drag.begins_in:
                return sketch
            return replace(sketch, width=float(drag.session.labels_layer.brush_size))
        if session is not None and self._at is not None and self._tool.name == "outline":
            return Sketch((self._at,), width=float(session.labels_layer.brush_size))
        if (shown := self._gestures.suggested) is not None:
            return Sketch(dots=dots, outlines=tuple(rings(*shown)), suggested=True)
        return Sketch(dots=dots)


def _held(event: Any) -> frozenset[str]:
    return frozenset(name for name in _MODIFIERS if name in event.modifiers)


def _id_at(session: LayerSession, pixel: NDArray[np.float64]) -> int:
    """Return the object at a pixel (y, x) of the plane in view; 0 beyond the image, or if labels do not fit it."""
    try:
        return id_at(session.labels[session.plane], pixel.tolist())
    except UNetError:
        return 0
