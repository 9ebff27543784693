"""What of a labels layer may have been edited, by what napari tells: planes to compare, and blocks to write again.

Events are hints only (undo and scripts tell little or nothing): what was edited is found by comparing labels with the
prediction. This module says where that has to be done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.layers.image.canvas import cut_on_canvas, planes_on_canvas
from napari_unet.layers.session.edit_events import edited_parts, edited_planes
from napari_unet.progress import Stopwatch
from napari_unet.projects.journal import blocks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections
    from napari_unet.layers.image.geometry import LayerGeometry
    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.projects.journal import Key

MAX_CUT_PIXELS = 2**24
"""Most pixels of a cut through an image that are compared while the window waits."""


class UnwrittenBlocks:
    """Which blocks of a session may have changed since they were written to its journal (main thread).

    Parameters
    ----------
    shape : tuple of int
        Of the labels, (T, Z, Y, X).

    Attributes
    ----------
    urgent : dict
        Blocks that somebody has changed, the first of them first, and since when.
    suspects : dict
        Blocks that have to be compared first; in the order in which they are.
    undone : bool
        Whether any block that was written before may have changed, by undoing.
    models : bool
        Whether something was learned or chosen, or other shapes are suggested.
    since : Stopwatch or None
        Since it was found that corrections or reviewed areas have changed; None: all of that is kept.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self.urgent: dict[Key, Stopwatch] = {}
        self.suspects: dict[Key, None] = {}
        self.undone = self.models = False
        self.since: Stopwatch | None = None

    def add(self, frames: slice, z: slice, y: slice, x: slice) -> None:
        """Note that somebody has changed something in a part of the labels."""
        now = Stopwatch()
        for key in blocks_of(self._shape, frames, z, y, x):
            self.urgent.setdefault(key, now)

    def suspect(self, frames: slice, z: slice, y: slice, x: slice) -> None:
        """Note that something may have changed in a part of the labels."""
        self.suspects |= dict.fromkeys(blocks_of(self._shape, frames, z, y, x))

    def note_correction(self) -> None:
        """Note that corrections or reviewed areas have changed."""
        self.since = self.since or Stopwatch()

    def forget(self) -> None:
        """Count all as written: the session was saved as it is."""
        self.urgent.clear()
        self.suspects.clear()
        self.undone = self.models = False
        self.since = None

    @property
    def anything(self) -> bool:
        """Whether something of the user's is known to have changed."""
        return bool(self.urgent) or self.since is not None

    @property
    def waiting(self) -> float:
        """Seconds since the first change that is not written yet."""
        watches = [*self.urgent.values(), *([self.since] if self.since is not None else [])]
        return max((since.seconds for since in watches), default=0.0)


class EditTracker:
    """Which planes may have changed since they were compared with the prediction, and which blocks since written.

    Parameters
    ----------
    viewer : napari.Viewer
    labels_layer : napari.layers.Labels
    corrections : Corrections
        Of these labels.
    geometry : LayerGeometry
        Of the image.
    """

    def __init__(self, viewer: Any, labels_layer: Any, corrections: Corrections, geometry: LayerGeometry) -> None:
        self._viewer, self._layer, self._corrections = viewer, labels_layer, corrections
        self._shown = geometry.current_plane(viewer)
        self._planes: set[Plane] = {self._shown}
        self.unwritten = UnwrittenBlocks(corrections.shape)

    def note(self, event: Any, geometry: LayerGeometry) -> None:
        """Take note of an event of the labels layer (None: of something that is not known)."""
        kind, before = "" if event is None else event.type, self._shown
        self._shown = geometry.current_plane(self._viewer)
        slider_moved = kind == "set_data" and self._shown != before
        self._note_planes(kind, getattr(event, "value", None), geometry, slider_moved=slider_moved)
        if not slider_moved:
            self._note_blocks(kind, event, geometry)

    def suspect_changed(self) -> None:
        """Have all planes that hold work of the user compared again."""
        self._planes.update(self._corrections.changed_planes())

    def planes_to_compare(self, labels: NDArray[Any], geometry: LayerGeometry, *, everything: bool) -> set[Plane]:
        """Return planes that may have changed, and count them as compared from now on.

        Parameters
        ----------
        labels : ndarray of int, axes (T, Z, Y, X)
        geometry : LayerGeometry
        everything : bool
            All of them; else those that are on the canvas.
        """
        planes = {geometry.current_plane(self._viewer), *self._planes_across(labels, geometry)}
        if everything:
            planes |= self._planes
        self._planes -= planes
        return planes

    def _planes_across(self, labels: NDArray[Any], geometry: LayerGeometry) -> set[Plane]:
        """Return the planes that are on the canvas from the side, or in 3D, and may have changed there."""
        frames, slices = planes_on_canvas(self._viewer, geometry)
        if len(frames) == len(slices) == 1:
            return set()
        planes = self._planes | set(self._corrections.changed_planes())
        planes = {(t, z) for t, z in planes if t in frames and z in slices}
        cut = cut_on_canvas(self._viewer, geometry)
        seen, prediction = labels[cut], self._corrections.prediction[cut]
        if seen.size <= MAX_CUT_PIXELS:
            changed = np.nonzero((seen != prediction).any(axis=(2, 3)))
            planes.update((frames[t], slices[z]) for t, z in zip(*(n.tolist() for n in changed), strict=True))
        return planes

    def _note_planes(self, kind: str, edit: Any, geometry: LayerGeometry, *, slider_moved: bool) -> None:
        painted = edited_planes(edit, geometry) if kind == "paint" else None
        if painted is not None:
            self._planes |= painted
        elif kind == "data" or (kind == "paint" and self._layer.n_edit_dimensions > 2):
            self._planes.update(self._corrections.planes())  # the array was replaced, or a brush goes through slices
        elif not slider_moved:
            self._planes.add(self._shown)
            if kind == "set_data":  # an undo, which may be about another plane
                self.suspect_changed()

    def _note_blocks(self, kind: str, event: Any, geometry: LayerGeometry) -> None:
        try:
            parts = edited_parts(event, self._viewer, geometry) if kind else []
        except (KeyError, ValueError, IndexError):  # the layer has got other dimensions
            parts = []
        for part in parts:
            self.unwritten.add(*part)
        if not parts and self._planes:
            self.unwritten.undone = True
            rows, columns = (slice(0, n) for n in self._corrections.shape[2:])
            planes = self._planes if kind == "data" else self._planes & {self._shown}
            for frame, z in planes:
                self.unwritten.suspect(slice(frame, frame + 1), slice(z, z + 1), rows, columns)
