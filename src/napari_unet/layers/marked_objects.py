"""Outlines of some objects, drawn in a layer over the labels: those that a user picks in a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.layers.labels_layers import add_read_only_labels, place_layer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_unet.layers.session import LayerSession
    from napari_unet.layers.workspace import Workspace

COLOUR = "#ffd400"
"""Of the outlines: yellow, which the colours of corrected and reviewed are not."""

PIXELS_ACROSS = 400
"""Pixels of an image for each of which an outline is one pixel wide: it is seen when all of the image is in view."""


class MarkedObjects:
    """Keeps that layer. It shows the array of the labels themselves, so it takes no memory, and cannot be painted on.

    Parameters
    ----------
    workspace : Workspace
    """

    orphaned = Signal()  # the result that it was about is gone: call `tidy` when napari is done with removing

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._layer: Any = None
        self._session: LayerSession | None = None
        workspace.session_closing.connect(self._on_closing)
        workspace.session_moved.connect(self._on_moved)

    @property
    def layer(self) -> Any:
        """The layer, or None; the user may have deleted it."""
        if self._layer is not None and self._layer not in self._workspace.viewer.layers:
            self._layer = self._session = None
        return self._layer

    def show(self, session: LayerSession, labels: Iterable[int]) -> None:
        """Outline these objects, and no others."""
        from napari.utils.colormaps import DirectLabelColormap

        wanted = list(labels)
        if not wanted:
            self.clear()
            return
        if self.layer is not None and (self._session is not session or self._layer.data is not _data(session)):
            self.clear()
        colours: dict[int | None, str] = {None: "transparent", 0: "transparent", **dict.fromkeys(wanted, COLOUR)}
        if self._layer is None:
            name = f"{session.layer.name} selected"
            placement = session.geometry.placement()
            self._layer = add_read_only_labels(session.viewer, _data(session), name, colours, 1.0, placement)
            self._layer.contour = max(1, round(max(session.corrections.shape[2:]) / PIXELS_ACROSS))
            self._session = session
        else:
            self._layer.colormap = DirectLabelColormap(color_dict=colours)

    def clear(self) -> None:
        """Outline none."""
        layer, self._layer, self._session = self.layer, None, None
        if layer is not None:
            self._workspace.viewer.layers.remove(layer)

    def tidy(self) -> None:
        """Take the layer away if the result that it was about is gone."""
        if self._session is not None and self._session not in self._workspace.sessions:
            self.clear()

    def _on_closing(self, session: LayerSession) -> None:
        if session is self._session:
            self.orphaned.emit()

    def _on_moved(self, session: LayerSession) -> None:
        if session is self._session and self.layer is not None:
            place_layer(self._layer, session.geometry.placement())


def _data(session: LayerSession) -> Any:
    return session.labels_layer.data
