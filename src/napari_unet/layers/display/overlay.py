"""A layer over every result that shows what was corrected, reviewed and selected in the plane in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.display.drawn_layer import PlaneCells
from napari_unet.layers.image import canvas
from napari_unet.layers.session.visibility import ChosenVisibility
from napari_unet.objects.boxes import grown
from napari_unet.objects.rows import ObjectRows
from napari_unet.objects.targets import boundaries

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace

CORRECTED, REVIEWED = "#ff9f1c", "#4cc9f0"
"""Colours; people who cannot tell red from green can tell these."""

SELECTED = "#ffffff"
"""Of the outlines of objects that are selected in the list."""

MAX_CELLS = 1024
"""Cells along the longer side of a plane, at most; a cell of a larger plane shows what is in several pixels."""

_COLOURS = {
    1: CORRECTED + "4c",  # the last two digits are the opacity: one has to see through what is filled
    2: REVIEWED + "14",
    3: CORRECTED + "e6",
    4: REVIEWED + "e6",
    5: SELECTED,
}
"""Of what is corrected, of what is reviewed, of the outlines of both, and of what is selected."""


class Overlays:
    """Keeps one overlay for each session, and draws it when corrections were counted or another plane is in view.

    Parameters
    ----------
    workspace : Workspace

    Notes
    -----
    napari takes a fifth of a second to add a layer: it is added while one waits for the first tiles, and stays hidden
    until there is something to show. Counting waits until the hand rests, and so does drawing: it costs nothing while a
    stroke is under way.
    """

    switched = Signal()  # by another way than `show`: ask `shown`
    orphaned = Signal()  # a layer of a result that is gone is left: call `tidy` when napari is done with removing

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._overlays: dict[Hashable, Overlay] = {}
        workspace.corrected.connect(self._draw)
        workspace.progressed.connect(self._on_progress)
        workspace.image_changed.connect(self._on_image)
        workspace.layer_chosen.connect(self._on_layer)
        workspace.session_moved.connect(self._on_moved)
        dims = workspace.viewer.dims.events
        self._emitters = [dims.current_step, dims.ndisplay, dims.order]
        for emitter in self._emitters:
            emitter.connect(self._draw)
        workspace.viewer.layers.events.removed.connect(self._on_removed)

    @property
    def shown(self) -> bool:
        """Whether it is switched on for the chosen image."""
        session = self._workspace.session
        return session is None or self._of(session).on

    def show(self, shown: bool) -> None:
        """Switch it on or off for the chosen image."""
        session = self._workspace.session
        if session is not None:
            self._of(session).switch(shown)

    def mark(self, session: LayerSession, rows: ObjectRows) -> None:
        """Outline some objects, and no others."""
        if rows or session.key in self._overlays:
            self._of(session).mark(rows)

    def tidy(self) -> None:
        """Remove the layers of results that are gone."""
        for key, overlay in list(self._overlays.items()):
            if overlay.session not in self._workspace.sessions:
                del self._overlays[key]
                overlay.remove()

    def close(self) -> None:
        """Follow no longer; the layers stay in the viewer."""
        for emitter in self._emitters:
            emitter.disconnect(self._draw)
        self._workspace.viewer.layers.events.removed.disconnect(self._on_removed)
        self._overlays.clear()

    def _of(self, session: LayerSession) -> Overlay:
        key = session.key
        if key not in self._overlays:
            self._overlays[key] = Overlay(session, chosen=session is self._workspace.session)
        return self._overlays[key]

    def _on_moved(self, session: LayerSession) -> None:
        """Place the overlay of a session where its image is now."""
        self._of(session).place()

    def _on_layer(self) -> None:
        """Show the overlay of the chosen image, and hide those of others."""
        if self._workspace.layer is not None:
            for overlay in self._overlays.values():
                overlay.set_chosen(overlay.session is self._workspace.session)

    def _draw(self, _: Any = None) -> None:
        self.tidy()
        for session in self._workspace.sessions:
            self._of(session).draw()

    def _on_progress(self, _: Any) -> None:
        """Have the layer ready before there is something to show: not at the click, which adds the labels' layer."""
        session = self._workspace.session
        if session is not None and self._of(session).due:
            self.tidy()
            self._of(session).prepare()

    def _on_removed(self, event: Any) -> None:
        for overlay in self._overlays.values():
            overlay.notice_loss()
        self._on_image()

    def _on_image(self) -> None:
        """Tell of what may have changed with the chosen image."""
        self.switched.emit()
        if any(overlay.session not in self._workspace.sessions for overlay in self._overlays.values()):
            self.orphaned.emit()


class Overlay:
    """What was corrected and reviewed in one result, drawn in a layer that cannot be painted on.

    Parameters
    ----------
    session : LayerSession
    chosen : bool
        Whether its image is the chosen one: it is seen while that is so.
    """

    def __init__(self, session: LayerSession, *, chosen: bool = True) -> None:
        self.session, self._chosen = session, chosen
        self._visibility: ChosenVisibility | None = None
        self.on = True
        longer = max(session.corrections.shape[2:])
        self._cells = PlaneCells(session, 2 ** max(0, int(np.ceil(np.log2(longer / MAX_CELLS)))))
        self._empty = True  # nothing was ever shown in it, so it is hidden
        self._marked = ObjectRows.none()

    def switch(self, on: bool) -> None:
        """Show it, or take it away."""
        self.on = on
        if on or self._marked:
            self.draw()
        else:
            self.remove()

    def mark(self, rows: ObjectRows) -> None:
        """Outline some objects, and no others."""
        self._marked = rows
        self.draw()

    @property
    def due(self) -> bool:
        """Whether it is switched on, and there is no layer yet."""
        return (self.on or bool(self._marked)) and self._visibility is None

    def prepare(self) -> None:
        """Add the layer, hidden, if there is none."""
        if self.due:
            layer = self._cells.add_blank(f"{self.session.layer.name} reviewed", _COLOURS, visible=False)
            self._visibility = ChosenVisibility(layer, hidden_by_us=True)

    def place(self) -> None:
        """Lie where the image is now."""
        self._cells.follow_image()

    def set_chosen(self, chosen: bool) -> None:
        """Take note of whether its image is the chosen one."""
        self._chosen = chosen
        if self._visibility is not None and not self._empty:
            self._visibility.set_chosen(chosen)

    def draw(self) -> None:
        """Bring it up to date."""
        if self._visibility is None and not (self.on or self._marked):
            return
        if self._empty and not (self.session.summary.anything or self._marked):
            return
        self.prepare()
        if self._empty:
            self._empty = False
            self.set_chosen(self._chosen)
        self._cells.draw(self._now())

    def notice_loss(self) -> None:
        """Switch it off if the user has deleted the layer."""
        if self._cells.lost:
            self._cells.forget()
            self._visibility, self._empty, self.on = None, True, False
            self._marked = ObjectRows.none()

    def remove(self) -> None:
        """Take the layer away, if there is one."""
        self._visibility, self._empty = None, True
        self._cells.remove()

    def _now(self) -> NDArray[np.uint8]:
        """Return what to draw (rows, columns).

        0, corrected 1, reviewed 2, and 2 more along their outlines; 5 along those of what is selected.
        """
        session = self.session
        cells, plane = self._cells.blank(), session.plane
        if session.viewer.dims.ndisplay == 3:
            return cells  # in 3D it would be one thick slab
        try:
            canvas.check_on_canvas(session.viewer, session.geometry, "see what is reviewed")
            labels = session.labels
        except UNetError:
            return cells
        if self.on and plane in session.corrections.supervised_planes():
            self._draw_supervised(cells, labels, plane)
        if self._marked:
            self._draw_marked(cells, labels[plane], plane)
        return cells

    def _draw_marked(self, cells: NDArray[np.uint8], labels: NDArray[Any], plane: Plane) -> None:
        step = self._cells.step
        here = (
            (self._marked.time == plane[0])
            & (self._marked.low[:, 0] <= plane[1])
            & (self._marked.high[:, 0] > plane[1])
        )
        rows = self._marked.where(here)
        if not rows:
            return
        low, high = rows.low[:, 1:].min(axis=0) // step, -(-rows.high[:, 1:].max(axis=0) // step)
        box = grown((slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))), 1, cells.shape)
        part = labels[::step, ::step][box]
        own = np.where(np.isin(part, rows.label), part, 0)
        cells[box][boundaries(own) & (own > 0)] = 5

    def _draw_supervised(self, cells: NDArray[np.uint8], labels: NDArray[Any], plane: Plane) -> None:
        session, step = self.session, self._cells.step
        found = session.corrections.box(plane)
        cell = tuple(slice(part.start // step, -(-part.stop // step)) for part in found)
        rows_columns = grown((cell[0], cell[1]), 1, cells.shape)  # with an empty rim, along which outlines are seen
        box = tuple(slice(part.start * step, part.stop * step) for part in rows_columns)
        part = cells[rows_columns]
        part[_coarse(session.corrections.reviewed[plane][box], step)] = 2
        part[_coarse(session.corrections.differs(labels, plane, (box[0], box[1])), step)] = 1
        part[boundaries(part) & (part > 0)] += 2


def _coarse(mask: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """Return which cells of `step` (a power of two) x `step` pixels have a pixel of a mask (Y, X) in them."""
    if any(n % step for n in mask.shape):
        mask = np.pad(mask, [(0, -n % step) for n in mask.shape])
    for _ in range(step.bit_length() - 1):
        mask = mask[::2] | mask[1::2]
    for _ in range(step.bit_length() - 1):
        mask = np.ascontiguousarray(mask).view(np.uint16) != 0  # two pixels at a time
    return mask
