"""Outlines of objects that are suggested in the plane in view, and belong to no labels until somebody takes them.

They are of two kinds: what was suggested for some slices (see `Propagation`), and, while that is switched on, the
objects of the previous frame that are not in this one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.layers.display.drawn_layer import PlaneCells
from napari_unet.layers.image import canvas
from napari_unet.layers.jobs import PresentJob, Runner, ignore, once
from napari_unet.objects.linking import lost_objects
from napari_unet.objects.targets import boundaries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.objects.outline import Outline

COLOUR = "#ff4fd8"
"""Of the outlines: none of those that show what is corrected or reviewed."""

MAX_CELLS = 2048
"""Cells along the longer side of a plane, at most; a cell of a larger plane shows what is in several pixels."""

_COLOURS = {1: COLOUR + "26", 2: COLOUR + "ff"}  # inside and border; the last two digits are the opacity


class Ghosts:
    """Keeps what is suggested for the chosen image, and draws what of that is in the plane in view.

    Parameters
    ----------
    workspace : Workspace
    runner : Runner
        Where lost objects are looked for.

    Notes
    -----
    What was suggested belongs to the session, and is saved with it; the lost objects are found anew for each frame.
    """

    changed = Signal()  # what there is
    orphaned = Signal()  # a layer of an image that is not the chosen one is left: call `tidy` when napari is idle

    def __init__(self, workspace: Workspace, runner: Runner) -> None:
        self._workspace = workspace
        self._show_lost = False
        self._lost: tuple[Plane, list[Outline]] | None = None
        self._job = PresentJob(runner)
        self._again = False
        self._session: LayerSession | None = None
        self._cells: PlaneCells | None = None
        self._orphans: list[PlaneCells] = []
        workspace.session_opened.connect(self._on_session)
        workspace.session_closing.connect(self._on_session)
        workspace.layer_chosen.connect(self._on_session)
        workspace.session_moved.connect(self._on_moved)
        workspace.corrected.connect(self.refresh)
        dims = workspace.viewer.dims.events
        self._emitters = [dims.current_step, dims.ndisplay, dims.order]
        for emitter in self._emitters:
            emitter.connect(self._on_dims)

    @property
    def show_lost(self) -> bool:
        """Whether objects of the previous frame that are not in this one are shown."""
        return self._show_lost

    @show_lost.setter
    def show_lost(self, value: bool) -> None:
        self._show_lost, self._lost = value, None
        self.refresh()

    @property
    def suggested(self) -> dict[Plane, list[Outline]]:
        """For each plane (T, Z) the outlines that were suggested there for the chosen image."""
        return {} if self._session is None else self._session.suggestions

    def _set(self, suggested: dict[Plane, list[Outline]]) -> None:
        if self._session is not None:
            self._session.suggest({plane: outlines for plane, outlines in suggested.items() if outlines})

    @property
    def count(self) -> int:
        """How many outlines were suggested, in all planes."""
        return sum(map(len, self.suggested.values()))

    def in_plane(self, plane: Plane) -> list[Outline]:
        """Return all outlines that are shown in a plane."""
        lost = self._lost[1] if self._lost is not None and self._lost[0] == plane else []
        return [*self.suggested.get(plane, []), *lost]

    def suggest(self, found: dict[Plane, list[Outline]]) -> None:
        """Suggest outlines; those of the same objects that were suggested before are forgotten."""
        labels = {one.label for outlines in found.values() for one in outlines}
        kept = {plane: [o for o in outlines if o.label not in labels] for plane, outlines in self.suggested.items()}
        self._set({plane: kept.get(plane, []) + found.get(plane, []) for plane in kept.keys() | found.keys()})
        self.refresh()

    def forget(self, outlines: list[Outline] | None = None) -> None:
        """Suggest these no longer; None: nothing at all."""
        gone = None if outlines is None else {id(one) for one in outlines}
        kept = {p: [o for o in some if gone is not None and id(o) not in gone] for p, some in self.suggested.items()}
        if self.suggested:
            self._set(kept)
        if self._lost is not None and gone is not None:
            self._lost = self._lost[0], [one for one in self._lost[1] if id(one) not in gone]
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Draw what is in the plane in view, and look for lost objects."""
        self._look_for_lost()
        self._draw()
        self.changed.emit()

    def close(self) -> None:
        """Draw nothing any more."""
        for emitter in self._emitters:
            emitter.disconnect(self._on_dims)
        self._job.stop()
        if self._cells is not None:
            self._orphans.append(self._cells)
        self._cells, self._session = None, None
        self.tidy()

    # -- lost objects ----------------------------------------------------------------------------------------------

    def _look_for_lost(self) -> None:
        session = self._workspace.session
        wanted = self._show_lost and session is not None and session.alive() and session.corrections.instances
        if session is None or not wanted or not _has_its_axes(session):
            self._lost = None
            return
        plane = session.plane
        if plane[0] == 0:
            self._lost = plane, []
            return
        if self._job.busy:
            self._again = True
            return
        try:
            labels = session.labels
        except UNetError:
            return

        def found(outlines: list[Outline]) -> None:
            again, self._again = self._again, False
            present = self._workspace.session
            if present is session and session.alive() and session.plane == plane and self._show_lost:
                self._lost = plane, outlines
                self._draw()
                self.changed.emit()
            if again:
                self._look_for_lost()

        job = self._job.begin("Look for lost objects")
        # Where it fails nothing is told: nobody asked for this very plane, and the next one is looked at again.
        self._job.run(job, once(partial(_lost, labels, *plane)), found, ignore)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        session = self._session
        if session is None or not session.alive():
            return
        outlines = self._shown(session)
        if self._cells is not None and self._cells.lost:
            self._cells = None  # somebody has deleted it: it comes again with the next suggestion
        if self._cells is None:
            if not outlines:
                return
            self.tidy()
            self._cells = PlaneCells(session, -(-max(session.corrections.shape[2:]) // MAX_CELLS))
            self._cells.add_blank(f"{session.layer.name} suggested", _COLOURS)
        cells = self._cells.blank()
        for one in outlines:
            _paint(cells, one, self._cells.step)
        self._cells.draw(cells)

    def _shown(self, session: LayerSession) -> list[Outline]:
        viewer = self._workspace.viewer
        if viewer.dims.ndisplay == 3 or not (self.suggested or self._lost) or not _has_its_axes(session):
            return []
        try:
            canvas.check_on_canvas(viewer, session.geometry, "see what is suggested")
        except UNetError:
            return []
        return self.in_plane(session.plane)

    def tidy(self) -> None:
        """Remove layers that are not needed any more."""
        gone, self._orphans = self._orphans, []
        for cells in gone:
            cells.remove()

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_session(self, *_: Any) -> None:
        """Begin anew where another session is the chosen one, or there is none."""
        session = self._workspace.session
        if session is self._session:
            return
        self._session, self._lost = session, None
        if self._cells is not None:  # while napari removes a layer no other one can be removed
            self._orphans.append(self._cells)
            self._cells = None
            self.orphaned.emit()
        self.refresh()

    def _on_moved(self, session: LayerSession) -> None:
        if session is self._session and self._cells is not None:
            self._cells.follow_image()

    def _on_dims(self, *_: Any) -> None:
        if self._session is not None and (self.suggested or self._show_lost):
            self.refresh()


def _paint(cells: NDArray[np.uint8], one: Outline, step: int) -> None:
    """Draw an outline into cells of `step` pixels of a plane: its inside 1, its border 2."""
    y, x = np.nonzero(one.mask)
    rows, columns = ((n + b.start) // step for n, b in zip((y, x), one.box, strict=True))
    low = rows.min(), columns.min()
    part = np.zeros((rows.max() - low[0] + 3, columns.max() - low[1] + 3), np.uint8)
    part[rows - low[0] + 1, columns - low[1] + 1] = 1
    part[boundaries(part) & (part > 0)] = 2
    inside = part[1:-1, 1:-1]
    target = cells[low[0] : low[0] + inside.shape[0], low[1] : low[1] + inside.shape[1]]
    np.maximum(target, inside, out=target)


def _has_its_axes(session: LayerSession) -> bool:
    """Whether the image layer was not replaced by one of another number of axes."""
    return len(session.geometry.label_letters) == int(session.layer.ndim)


def _lost(labels: NDArray[Any], frame: int, z: int) -> list[Outline]:
    """Return the objects of the frame before that are not in this one, in a slice (worker)."""
    return lost_objects(np.array(labels[frame - 1, z : z + 1]), np.array(labels[frame]))
