"""Outlines of some objects, drawn in a layer over the labels: those that a user picks in a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.layers.display.drawn_layer import DrawnLayer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace

COLOUR = "#ffd400"
"""Of the outlines: yellow, which the colours of corrected and reviewed are not."""

PIXELS_ACROSS = 400
"""Pixels of an image for each of which an outline is one pixel wide: it is seen when all of the image is in view."""


MAX_OUTLINED = 1500
"""Pixels of the longer side of an image in which objects are outlined; in a larger one they are filled. napari takes
seconds to outline what is in 4096 x 4096 pixels."""

MAX_TABLE = 2**24
"""Largest id that is looked up in a table; larger ones are searched for."""


class Picked:
    """An array that is 1 where another one has one of some values; what is shown of it is computed when it is shown.

    A layer with a colour for each of ten thousand objects takes napari ten seconds; this takes a part of one.

    Parameters
    ----------
    labels : array-like of int
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, labels: Any) -> None:
        self.labels = labels
        self.ids: NDArray[np.int64] = np.zeros(0, np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the labels."""
        return tuple(self.labels.shape)

    @property
    def ndim(self) -> int:
        """That of the labels."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """That of the labels."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        labels = np.asarray(self.labels[key])
        highest = int(labels.max(initial=0))
        if highest > MAX_TABLE:
            return np.asarray(np.isin(labels, self.ids), np.uint8)
        table = np.zeros(highest + 1, np.uint8)
        table[self.ids[self.ids <= highest]] = 1
        return np.asarray(table[labels])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[...].astype(dtype or self.dtype, copy=False)


class MarkedObjects:
    """Keeps that layer. It is about the array of the labels themselves, takes no memory, and cannot be painted on.

    Parameters
    ----------
    workspace : Workspace
    """

    orphaned = Signal()  # the result that it was about is gone: call `tidy` when napari is done with removing

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._drawn = DrawnLayer(workspace.viewer)
        self._picked: Picked | None = None
        self._session: LayerSession | None = None
        workspace.session_closing.connect(self._on_closing)
        workspace.session_moved.connect(self._on_moved)

    @property
    def layer(self) -> Any:
        """The layer, or None; the user may have deleted it."""
        if self._drawn.lost:
            self._forget()
        return self._drawn.layer

    @property
    def ids(self) -> list[int]:
        """The objects that are outlined."""
        return [] if self.layer is None or self._picked is None else self._picked.ids.tolist()

    def show(self, session: LayerSession, labels: Iterable[int]) -> None:
        """Outline these objects, and no others."""
        wanted = np.array(sorted(labels), np.int64)
        data = session.labels_layer.data
        if self._picked is not None and (self._session is not session or self._picked.labels is not data):
            self.clear()
        if not len(wanted):
            self.clear()
        elif self.layer is not None and self._picked is not None:
            self._picked.ids = wanted
            self.layer.refresh(extent=False)
        else:
            self._picked, self._session = Picked(data), session
            self._picked.ids = wanted
            name, placement = f"{session.layer.name} selected", session.geometry.placement()
            wide = max(session.corrections.shape[2:])
            opacity = 1.0 if wide <= MAX_OUTLINED else 0.7
            layer = self._drawn.add(self._picked, name, {1: COLOUR}, placement, opacity=opacity)
            if wide <= MAX_OUTLINED:
                layer.contour = max(1, round(wide / PIXELS_ACROSS))

    def clear(self) -> None:
        """Outline none."""
        self._picked = self._session = None
        self._drawn.remove()

    def tidy(self) -> None:
        """Take the layer away if the result that it was about is gone."""
        if self._session is not None and self._session not in self._workspace.sessions:
            self.clear()

    def _forget(self) -> None:
        self._drawn.forget()
        self._picked = self._session = None

    def _on_closing(self, session: LayerSession) -> None:
        if session is self._session:
            self.orphaned.emit()

    def _on_moved(self, session: LayerSession) -> None:
        if session is self._session:
            self._drawn.place(session.geometry.placement())
