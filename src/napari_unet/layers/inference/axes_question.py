"""What are the planes of a stack: depth, time or channels? Asked where nothing says, and remembered for the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.image import adapter

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from napari_unet.layers.workspace import Workspace

MAX_CHANNELS = 6
"""Planes up to which they may be channels."""


class AxesQuestion:
    """Asks what the planes of the chosen image are, as long as that is a guess and nothing is segmented.

    Parameters
    ----------
    workspace : Workspace

    Notes
    -----
    Answers are remembered for the other stacks of the same folder until the window is closed. Of a layer that was not
    read from a file, only its own is.
    """

    changed = Signal()

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._answered: set[Hashable] = set()
        self._by_folder: dict[Path, str] = {}
        workspace.layer_chosen.connect(self._on_layer)
        workspace.image_changed.connect(self.changed.emit)
        workspace.session_opened.connect(lambda _: self.changed.emit())

    @property
    def text(self) -> str:
        """The question; empty: there is none."""
        layer = self._asked()
        return "" if layer is None else f"What are the {layer.data.shape[0]} planes? The image does not say."

    @property
    def choices(self) -> dict[str, str]:
        """What may be answered, and the axes that follow."""
        layer = self._asked()
        if layer is None:
            return {}
        found = {"Depth (Z)": "ZYX", "Time (T)": "TYX"}
        return found | ({"Channels (C)": "CYX"} if layer.data.shape[0] <= MAX_CHANNELS else {})

    def answer(self, axes: str) -> None:
        """Take the planes of the chosen image for that, and those of other stacks of its folder."""
        layer = self._workspace.layer
        if layer is None:
            return
        self._answered.add(layer.unique_id)
        folder = _folder_of(layer)
        if folder is not None:
            self._by_folder[folder] = axes
        self._workspace.set_axes(axes)
        self.changed.emit()

    def _asked(self) -> Any:
        """Return the layer that the question is about, or None."""
        workspace = self._workspace
        layer = workspace.layer
        if layer is None or workspace.session is not None or layer.unique_id in self._answered:
            return None
        return layer if _is_guess(layer) and workspace.axes == adapter.layer_axes(layer) else None

    def _on_layer(self) -> None:
        """Answer for the user as before, where an image is of a folder that was asked about."""
        layer = self._asked()
        folder = None if layer is None else _folder_of(layer)
        if folder in self._by_folder:
            self._answered.add(layer.unique_id)
            self._workspace.set_axes(self._by_folder[folder])
        self.changed.emit()


def _folder_of(layer: Any) -> Path | None:
    source = adapter.source_of(layer)
    return None if source is None else source.parent


def _is_guess(layer: Any) -> bool:
    """Whether a layer is a stack of planes of which nothing says what they are."""
    try:
        return adapter.axes_are_guessed(layer) and layer.data.shape[0] > 1
    except UNetError:
        return False
