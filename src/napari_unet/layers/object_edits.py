"""Merges, splits, adds and deletes objects of a session: each as one step of napari's undo, and a correction.

Points are pixels (y, x) of the plane in view, of which an object's id is taken. In a volume an object is changed in all
slices around this one as far as it goes on, or, where that is asked for, in this slice only.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import EditError, UNetError
from napari_unet.layers import canvas
from napari_unet.objects import adding, edits, splitting
from napari_unet.objects.size import typical_diameter
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.layers.geometry import Region
    from napari_unet.layers.session import LayerSession
    from napari_unet.models.info import ModelInfo
    from napari_unet.objects.edits import Edit
    from napari_unet.objects.maps import Maps

MERGE_GAP = 3
"""Pixels of background that may lie between two objects that are merged."""

SIZE_WINDOW = 256
"""Pixels around a point, to each side, in which objects say how large one is that is added there."""

TYPICAL_DIAMETER = 30.0
"""Pixels, of an object that is added where there are no others and no diameter is known."""


def check_editable(viewer: Any, session: LayerSession | None) -> LayerSession:
    """Return the session if its objects can be changed in the plane in view.

    Raises
    ------
    UNetError
        If not; the sentence says why, and what to do.
    """
    if session is None or not session.alive():
        raise UNetError("There are no objects to change yet. Press Segment first.")
    if not session.corrections.instances:
        raise UNetError("These labels are classes, not objects. Change them with the brush.")
    layer = session.labels_layer
    if viewer.dims.ndisplay == 3:
        raise UNetError("Objects are changed in slices. Press the 2D/3D button first.")
    canvas.check_on_canvas(viewer, session.geometry, "change objects")
    if not layer.visible:
        raise UNetError("The objects are hidden. Show their layer to change them.")
    writeable = isinstance(layer.data, np.ndarray) and layer.data.flags.writeable
    if layer.multiscale or not layer.editable or not writeable:
        raise UNetError("This labels layer is read-only, so nothing was changed.")
    session.geometry.canonical_labels(layer.data)  # says so if they do not fit the image any more
    return session


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A part of the labels around some objects, as `objects.edits` takes it: [Z,] Y, X, Z only of several slices.

    Attributes
    ----------
    region : tuple of slice
        Where, (Z, Y, X).
    labels, protected : ndarray, axes ([Z,] Y, X)
        `protected` is what somebody has corrected or reviewed.
    maps : Maps or None
        Of the same pixels.
    """

    region: Region
    labels: NDArray[Any]
    protected: NDArray[np.bool_]
    maps: Maps | None

    def points(self, points: NDArray[np.float64], z: int) -> NDArray[np.float64]:
        """Return pixels (n, 2) of slice `z` in the coordinates of this part, (n, 2) or (n, 3)."""
        inside = points - [s.start for s in self.region[1:]]
        return inside if self.labels.ndim == 2 else np.insert(inside, 0, z - self.region[0].start, axis=1)


class ObjectEdits:
    """Changes objects in the plane in view.

    Parameters
    ----------
    session : LayerSession
        From `check_editable`.
    info : ModelInfo or None
        Of the model in use: the smallest object, and what is foreground.
    slice_only : bool
        Whether only the slice in view of a volume is changed.

    Attributes
    ----------
    new_id : int
        The id of what is added, and the first of those that a split makes.

    Notes
    -----
    Each method returns what it did, as the beginning of a sentence, or raises `UNetError` and has changed nothing.
    """

    def __init__(self, session: LayerSession, info: ModelInfo | None, *, slice_only: bool = False) -> None:
        self._session, self._info = session, info
        self._frame, self._z = session.plane
        self._deep = session.joins_slices and not slice_only
        self._min_size = edits.MIN_SIZE if info is None else info.decoding.min_size
        self.new_id = session.free_id()  # may give the layer another array: asked for before that is read
        self._labels = session.labels[self._frame]

    def merge(self, points: NDArray[np.float64]) -> str:
        """Make one object of those that a line of points (n, 2) goes through."""
        ids = self.ids_along(points)
        if len(ids) < 2:
            raise EditError("To merge, drag from one object into another.")
        part = self._part_around(ids, MERGE_GAP + 1)
        edit = edits.merged(part.labels, ids, allow_gap=MERGE_GAP, protected=part.protected)
        self._write(part, edit)
        return f"Merged {counted(len(ids), 'object')}."

    def delete(self, points: NDArray[np.float64]) -> str:
        """Make background of the objects that a line of points (n, 2), or a single one, goes through."""
        ids = self.ids_along(points)
        if not ids:
            raise EditError("There is no object here to delete.")
        part = self._part_around(ids, 0)
        self._write(part, edits.deleted(part.labels, ids))
        return f"Deleted {counted(len(ids), 'object')}."

    def split(self, points: NDArray[np.float64]) -> str:
        """Divide the objects that a line of points (n, 2) is drawn across."""
        ids = self.ids_along(points)
        if not ids:
            raise EditError("The line crosses no object.")
        part = self._part_around(ids, splitting.MARGIN)
        line = part.points(points, self._z)
        edit = splitting.split_by_line(part.labels, part.maps, line, self.new_id, min_size=self._min_size)
        return self._told_split(part, edit)

    def cut_free(self, points: NDArray[np.float64]) -> str:
        """Part the object at a point, (1, 2), from what was merged with it, where the maps or its shape show it."""
        ids = self.ids_along(points)
        if not ids:
            raise EditError("There is no object here to split.")
        part = self._part_around(ids, splitting.MARGIN)
        size = None if part.labels.ndim == 3 else self._typical_size(points[0], 2, ids)
        edit = splitting.cut_free(
            part.labels, part.maps, ids[0], self.new_id, min_size=self._min_size, typical_size=size
        )
        return self._told_split(part, edit)

    def add(self, points: NDArray[np.float64]) -> str:
        """Make an object of what the maps suggest at a point, (1, 2)."""
        if self.ids_along(points):
            raise EditError("There is an object here already. Point at one that is missing.")
        part, found = self._suggested(points)
        if found is None:
            raise EditError("The network sees no object here. Paint it with the brush.")
        edit = self._added(part.labels, part, found, self.new_id)
        self._write(part, edit)
        return f"Added an object of {counted(found.size, 'pixel')}."

    def resize(self, points: NDArray[np.float64], label: int, grow: int) -> str:
        """Make an object that was added at a point, (1, 2), larger than it was suggested: `grow` steps, or smaller."""
        self.ids_along(points)
        part, found = self._suggested(points, grow, label)
        without = np.where(part.labels == label, 0, part.labels)
        if found is None or not (part.labels == label).any():
            raise EditError("It cannot be made larger or smaller here.")
        after = self._added(without, part, found, label).applied(without)
        whole = tuple(slice(0, n) for n in after.shape)
        edit = edits.Edit.of(part.labels, whole, after, "It cannot be made larger or smaller here.")
        self._write(part, edit)
        return f"It has {counted(found.size, 'pixel')} now."

    def _suggested(
        self, points: NDArray[np.float64], grow: int = 0, without: int = 0
    ) -> tuple[_Part, adding.Suggestion | None]:
        """Return what the maps suggest at a point, as if an object was not there, and the part of the labels around."""
        y, x = (int(p) for p in np.floor(points[0] + 0.5))
        kept = self._session.maps.part_at(self._frame, (self._z, y, x))
        if kept is None:
            raise EditError("The network has not looked here with this model. Press Segment, or paint it.")
        ndim = 3 if kept.volume and self._deep else 2
        size = self._typical_size(points[0], ndim, [without])
        radius = math.sqrt(size / math.pi) if ndim == 2 else (0.75 * size / math.pi) ** (1 / 3)
        reach = math.ceil(adding.WINDOW * radius) + 5
        region = [
            slice(max(s.start, p - reach), min(s.stop, p + reach + 1))
            for s, p in zip(kept.region, (self._z, y, x), strict=True)
        ]
        if ndim == 2:
            region[0] = slice(self._z, self._z + 1)
        part = self._part((region[0], region[1], region[2]))
        own = part.labels == without if without else np.zeros(part.labels.shape, bool)
        point = part.points(points[:1], self._z)[0]
        part = replace(part, protected=self._protected_beside(part, own, (self._z, y, x)))
        found = adding.suggested(
            part.maps,
            np.where(own, 0, part.labels),
            point.tolist(),
            size,
            foreground=0.5 if self._info is None else self._info.decoding.foreground,
            grow=grow,
            protected=part.protected,
            min_size=self._min_size,
        )
        return part, found

    def _protected_beside(self, part: _Part, own: NDArray[np.bool_], pixel: tuple[int, int, int]) -> NDArray[np.bool_]:
        """Return what is protected of a part when an object (`own`, or a new one) is made at a pixel (Z, Y, X).

        Where somebody has deleted or reviewed what is there, who adds there wants that changed: that piece is free.
        """
        corrections, where = self._session.corrections, (self._frame, *pixel)
        protected = part.protected & ~own
        if corrections.prediction[where] or corrections.reviewed[where]:
            pieces, _ = ndimage.label(own | (protected & (part.labels == 0)))
            inside = tuple(p - s.start for p, s in zip(pixel, part.region, strict=True))[-own.ndim :]
            protected &= (pieces != pieces[inside]) | (pieces == 0)
        return np.asarray(protected)

    def _added(self, labels: NDArray[Any], part: _Part, found: adding.Suggestion, label: int) -> Edit:
        """Return the edit that adds what was suggested to labels of a part: those there are, or without an object."""
        return adding.added(labels, found.mask, label, box=found.box, protected=part.protected, min_size=self._min_size)

    # -- what is changed -------------------------------------------------------------------------------------------

    def _told_split(self, part: _Part, edit: Edit) -> str:
        self._write(part, edit)
        return f"Split {counted(len(edit.ids), 'object')} into {len(edit.ids) + len(edit.made)}."

    def _write(self, part: _Part, edit: Edit) -> None:
        """Carry out an edit of a part of the labels, in one step."""
        session, region = self._session, part.region
        n_slices = region[0].stop - region[0].start
        if n_slices > 1 and session.held:
            raise UNetError("The labels are being saved. Try again in a moment.")
        if part.labels.ndim == 2:
            edit = edit.in_slice(0)
        edit = edit.shifted([s.start for s in region])
        changed = edit.changed(self._labels)
        box = (edit.box[0], edit.box[1], edit.box[2])
        session.edit(self._frame, box, np.nonzero(changed), edit.labels[changed])
        session.offer_id()

    # -- where -----------------------------------------------------------------------------------------------------

    def ids_along(self, points: NDArray[np.float64]) -> list[int]:
        """Return the ids of the objects in this plane that a line goes through, in their order.

        Raises
        ------
        EditError
            If it leaves the image.
        """
        plane = self._labels[self._z]
        if not ((points >= -0.5) & (points < np.array(plane.shape) - 0.5)).all():
            raise EditError("That goes beyond the image. Stay within it.")
        y, x = np.floor(along(points) + 0.5).astype(np.intp).T
        return [int(i) for i in dict.fromkeys(plane[y, x].tolist()) if i > 0]

    def _part_around(self, ids: Sequence[int], margin: int) -> _Part:
        """Return the part of the labels that holds some objects, with a margin around."""
        slices = self._slices_of(ids) if self._deep else slice(self._z, self._z + 1)
        found = edits.box_of(self._labels[slices], ids)
        box = (slice(slices.start + found[0].start, slices.start + found[0].stop), *found[1:])
        wide = edits.grown(box, margin, self._labels.shape)
        if not self._deep or box[0].stop - box[0].start == 1:  # an object of one slice is changed in that one
            wide = (box[0], *wide[1:])
        return self._part((wide[0], wide[1], wide[2]))

    def _slices_of(self, ids: Sequence[int]) -> slice:
        """Return the slices around the one in view in which any of some objects goes on."""
        first, last = self._z, self._z
        while first > 0 and _has(self._labels[first - 1], ids):
            first -= 1
        while last + 1 < len(self._labels) and _has(self._labels[last + 1], ids):
            last += 1
        return slice(first, last + 1)

    def _part(self, region: Region) -> _Part:
        session, (z, *field) = self._session, region
        labels = session.labels
        protected = [
            session.corrections.protected(labels, (self._frame, index), (field[0], field[1]))
            for index in range(z.start, z.stop)
        ]
        maps = session.maps.within(self._frame, region)
        if len(protected) == 1:
            plane = None if maps is None else maps.plane(0)
            return _Part(region, self._labels[region][0], protected[0], plane)
        return _Part(region, self._labels[region], np.stack(protected), maps)

    def _typical_size(self, point: NDArray[np.float64], ndim: int, but: Sequence[int] = ()) -> float:
        """Return how many pixels an object near a point has in a plane (`ndim` 2) or in all (3), apart from some."""
        y, x = (
            slice(max(0, int(p) - SIZE_WINDOW), min(n, int(p) + SIZE_WINDOW))
            for p, n in zip(point, self._labels.shape[1:], strict=True)
        )
        near = np.array(self._labels[self._z, y, x])
        near[np.isin(near, list(but))] = 0
        image, info = self._session.image, self._info
        diameter = (
            typical_diameter([near])
            or image.diameter
            or image.found_diameter
            or (info and info.image_diameter)
            or TYPICAL_DIAMETER
        )
        return math.pi * diameter**2 / 4 if ndim == 2 else math.pi * diameter**3 / 6


def along(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (n, 2) along a line through some points (m, 2), no more than half a pixel apart."""
    steps = [points[:1]]
    for first, second in itertools.pairwise(points):
        count = max(1, math.ceil(2 * float(np.abs(second - first).max())))
        steps.append(first + (second - first) * np.arange(1, count + 1)[:, None] / count)
    return np.concatenate(steps)


def _has(plane: NDArray[Any], ids: Sequence[int]) -> bool:
    return any(bool((plane == label).any()) for label in ids)
