"""The tool that is chosen in the panel: with it, the mouse alone makes gestures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.proofreading.object_edits import check_editable

if TYPE_CHECKING:
    from napari_unet.layers.workspace import Workspace

Tool = Literal["merge", "split", "add", "outline", "delete"]

HINTS: dict[Tool, str] = {
    "merge": "Drag from one object into others.",
    "split": "Draw a line across an object, or click once in each of its parts.",
    "add": "Click where an object is missing, or draw around it.",
    "outline": "Draw out of an object and back to add to it, across it to cut a piece off.",
    "delete": "Click an object, or drag across several.",
}
"""What is said when a tool is chosen."""


class GestureTool:
    """The tool in the hand, if any, until Esc is pressed, or another mode or layer is chosen.

    Parameters
    ----------
    workspace : Workspace
    """

    changed = Signal()
    escaped = Signal()  # the key Esc, while a tool is chosen

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._layer: Any = None
        self.name: Tool | None = None
        workspace.layer_chosen.connect(self.end)

    def choose(self, tool: Tool | None) -> bool:
        """Have the mouse make that gesture in pan/zoom mode (None: no longer).

        Returns
        -------
        bool
            Whether that is so now. If the objects cannot be changed, it is said why.
        """
        self.end()
        if tool is None:
            return True
        try:
            session = check_editable(self._workspace.viewer, self._workspace.session)
        except UNetError as error:
            self._workspace.say(str(error), "error")
            self.changed.emit()
            return False
        layer = session.labels_layer
        self._workspace.viewer.layers.selection.active = layer
        layer.mode = "pan_zoom"
        self.name, self._layer = tool, layer
        layer.cursor = "cross"
        self.keep_from_panning()
        layer.bind_key("Escape", lambda _: self.escaped.emit(), overwrite=True)
        layer.events.mode.connect(self._on_mode)
        self._workspace.viewer.layers.selection.events.active.connect(self._on_active)
        self.changed.emit()
        self._workspace.say(f"{HINTS[tool]} Esc ends that.")
        return True

    def of(self, layer: Any) -> Tool | None:
        """Return the tool that is in the hand on a layer."""
        return self.name if self._layer is not None and self._layer == layer else None

    def keep_from_panning(self) -> None:
        """Let the mouse not move the image: what has emptied the undo history has let it again."""
        self._layer.mouse_pan = False

    def end(self) -> None:
        """Lay it away."""
        layer, self.name, self._layer = self._layer, None, None
        if layer is None:
            return
        layer.events.mode.disconnect(self._on_mode)
        self._workspace.viewer.layers.selection.events.active.disconnect(self._on_active)
        layer.bind_key("Escape", None, overwrite=True)
        if layer.mode == "pan_zoom":
            layer.mouse_pan, layer.cursor = True, "standard"
        self.changed.emit()

    def _on_mode(self, event: Any = None) -> None:
        if self._layer is not None and self._layer.mode != "pan_zoom":
            self.end()

    def _on_active(self, event: Any = None) -> None:
        if self._layer != self._workspace.viewer.layers.selection.active:
            self.end()
