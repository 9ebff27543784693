"""Layers that the program draws into, over the labels: read-only, and part of no session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.layers.session.labels_layers import add_read_only_labels, place_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.layers.session.session import LayerSession

Colours = dict[int, str]
"""Colours of values; all others, and 0, are transparent."""


class DrawnLayer:
    """One such layer, of which the user can dispose as of any other: who draws has to ask whether it is there.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None

    @property
    def layer(self) -> Any:
        """The layer; None: there is none, or the user has deleted it."""
        return None if self._layer is None or self.lost else self._layer

    @property
    def lost(self) -> bool:
        """Whether there was one, which the user has deleted."""
        return self._layer is not None and self._layer not in self._viewer.layers

    def add(
        self,
        data: Any,
        name: str,
        colours: Colours,
        placement: dict[str, Any],
        *,
        opacity: float = 1.0,
        visible: bool = True,
    ) -> Any:
        """Add the layer in place of the one before, and return it; placement as of `LayerGeometry`."""
        self.remove()
        table = dict[int | None, str]([(None, "transparent"), (0, "transparent"), *colours.items()])
        self._layer = add_read_only_labels(self._viewer, data, name, table, opacity, placement, visible=visible)
        return self._layer

    def place(self, placement: dict[str, Any]) -> None:
        """Lie elsewhere, if there is a layer."""
        if self.layer is not None:
            place_layer(self._layer, placement)

    def forget(self) -> None:
        """Let go of the layer, which stays."""
        self._layer = None

    def remove(self) -> None:
        """Take the layer away, if there is one; not while napari removes another one."""
        layer = self.layer
        self.forget()
        if layer is not None:
            self._viewer.layers.remove(layer)


class PlaneCells(DrawnLayer):
    """A layer over the plane in view of a session, whichever that is; where planes are large, of few cells.

    Parameters
    ----------
    session : LayerSession
    step : int
        Pixels of the image, in both directions, that a cell stands for.
    """

    def __init__(self, session: LayerSession, step: int) -> None:
        super().__init__(session.viewer)
        self._session, self._step = session, step
        height, width = session.corrections.shape[2:]
        self._cells = np.zeros((-(-height // step), -(-width // step)), np.uint8)

    @property
    def step(self) -> int:
        """Pixels, in both directions, that a cell stands for."""
        return self._step

    def blank(self) -> NDArray[np.uint8]:
        """Return cells (rows, columns) in which nothing is drawn."""
        return np.zeros_like(self._cells)

    def add_blank(self, name: str, colours: Colours, *, visible: bool = True) -> Any:
        """Add the layer, with nothing in it, and return it."""
        self._cells[...] = 0
        geometry = self._session.geometry
        cells, placement = geometry.cells_as_layer(self._cells), geometry.cells_placement(self._step)
        return self.add(cells, name, colours, placement, visible=visible)

    def draw(self, cells: NDArray[np.uint8]) -> None:
        """Show cells (rows, columns)."""
        self._layer.editable = False  # napari makes it editable whenever the number of displayed dimensions changes
        if not np.array_equal(cells, self._cells):
            self._cells[...] = cells
            self._layer.refresh(thumbnail=False, highlight=False, extent=False)

    def follow_image(self) -> None:
        """Lie where the image is now."""
        self.place(self._session.geometry.cells_placement(self._step))
