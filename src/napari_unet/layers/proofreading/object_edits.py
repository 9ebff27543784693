"""Changes objects of a session: each change as one step of napari's undo, and a correction.

Points are pixels (y, x) of the plane in view, of which an object's id is taken. In a volume an object is changed in all
slices around this one as far as it goes on, or, where that is asked for, in this slice only. In a time series it is
changed at this time point, or, where that is asked for, in all later ones as far as it is found there.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import EditError, UNetError
from napari_unet.layers.image import canvas
from napari_unet.layers.proofreading.object_parts import Change, ObjectParts, Part, write
from napari_unet.objects import adding, edits, reshaping, splitting
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.layers.session.session import LayerSession
    from napari_unet.models.info import ModelInfo
    from napari_unet.objects.edits import Edit

MAX_WRAPPED = 0.5
"""Share of the convex hull of a new object that it leaves free at most, if most of that belongs to objects that are
there: what wraps around an object is its blurred rim, and none by itself."""

MERGE_GAP = 3
"""Pixels of background that may lie between two objects that are merged."""


class NoMapsError(EditError):
    """What was asked for needs the network's maps, and none are kept there."""


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
    canvas.check_flat(viewer, "change objects")
    canvas.check_on_canvas(viewer, session.geometry, "change objects")
    if not layer.visible:
        raise UNetError("The objects are hidden. Show their layer to change them.")
    writeable = isinstance(layer.data, np.ndarray) and layer.data.flags.writeable
    if layer.multiscale or not layer.editable or not writeable:
        raise UNetError("This labels layer is read-only, so nothing was changed.")
    session.geometry.canonical_labels(layer.data)  # says so if they do not fit the image any more
    return session


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
    later_frames : bool
        Whether what is merged or deleted is so at all later time points, too, as far as it is found there.

    Attributes
    ----------
    made, touched : tuple of int
        The objects that the last edit made, and the others that it changed.

    Notes
    -----
    Each method returns what it did, as the beginning of a sentence, or raises `UNetError` and has changed nothing.
    """

    def __init__(
        self, session: LayerSession, info: ModelInfo | None, *, slice_only: bool = False, later_frames: bool = False
    ) -> None:
        self._session, self._info = session, info
        self._parts = ObjectParts(session, session.plane, deep=session.joins_slices and not slice_only)
        self._min_size = edits.MIN_SIZE if info is None else info.decoding.min_size
        self._later = later_frames
        self.made: tuple[int, ...] = ()
        self.touched: tuple[int, ...] = ()

    def ids_along(self, points: NDArray[np.float64]) -> list[int]:
        """Return the ids of the objects that a line of points (n, 2) goes through; see `ObjectParts.ids_along`."""
        return self._parts.ids_along(points)

    # -- one object of several, or none ----------------------------------------------------------------------------

    def merge(self, points: NDArray[np.float64]) -> str:
        """Make one object of those that a line of points (n, 2) goes through."""
        ids = self._parts.ids_along(points)
        if len(ids) < 2:
            raise EditError("To merge, drag from one object into another.")
        part = self._parts.around(ids, MERGE_GAP + 1)
        first = edits.merged(part.labels, ids, allow_gap=MERGE_GAP, protected=part.protected)
        keep = next(i for i in ids if (first.applied(part.labels) == i).any())
        changes = [(self._parts.frame, part, first)]
        for parts, there in self._following(ids, part):
            part = parts.around(there, MERGE_GAP + 1)
            try:
                edit = _named(part.labels, there, keep, part.protected)
            except EditError:  # they part there
                break
            if edit is not None:
                changes.append((parts.frame, part, edit))
        self._write(changes)
        return f"Merged {counted(len(ids), 'object')}{_frames(changes)}."

    def delete(self, points: NDArray[np.float64]) -> str:
        """Make background of the objects that a line of points (n, 2), or a single one, goes through."""
        ids = self._ids(points, "There is no object here to delete.")
        part = self._parts.around(ids, 0)
        changes = [(self._parts.frame, part, edits.deleted(part.labels, ids))]
        for parts, there in self._following(ids, part):
            part = parts.around(there, 0)
            changes.append((parts.frame, part, edits.deleted(part.labels, there)))
        self._write(changes)
        return f"Deleted {counted(len(ids), 'object')}{_frames(changes)}."

    # -- several objects of one ------------------------------------------------------------------------------------

    def split(self, points: NDArray[np.float64]) -> str:
        """Divide the objects that a line of points (n, 2) is drawn across."""
        ids, new_id = self._ids(points, "The line crosses no object."), self._session.free_id()
        part = self._parts.around(ids, splitting.MARGIN)
        line = part.points(points, self._parts.z)
        return self._split(part, splitting.split_by_line(part.labels, part.maps, line, new_id, min_size=self._min_size))

    def split_by_points(self, points: NDArray[np.float64]) -> str:
        """Divide the objects that points (n, 2) lie in, into one part for each point."""
        ids = [i for point in points for i in self._ids(point[None], "There is no object here to split.")]
        new_id = self._session.free_id()
        part = self._parts.around(list(dict.fromkeys(ids)), splitting.MARGIN)
        seeds = [point[None] for point in part.points(points, self._parts.z)]
        return self._split(
            part, splitting.split_by_seeds(part.labels, part.maps, seeds, new_id, min_size=self._min_size)
        )

    def cut_free(self, points: NDArray[np.float64]) -> str:
        """Part the object at a point, (1, 2), from what was merged with it, where the maps or its shape show it."""
        ids, new_id = self._ids(points, "There is no object here to split."), self._session.free_id()
        part = self._parts.around(ids, splitting.MARGIN)
        size = None if part.labels.ndim == 3 else self._parts.typical_size(points[0], 2, self._info, ids)
        edit = splitting.cut_free(part.labels, part.maps, ids[0], new_id, min_size=self._min_size, typical_size=size)
        return self._split(part, edit)

    # -- a new object ----------------------------------------------------------------------------------------------

    def add(self, points: NDArray[np.float64], grow: int = 0) -> str:
        """Make an object of what the maps suggest at a point, (1, 2), so many steps larger or smaller."""
        if self._parts.ids_along(points):
            raise EditError("There is an object here already. Point at one that is missing.")
        new_id = self._session.free_id()
        part, found = self._suggested(points, grow)
        if found is None:
            raise EditError("The network sees no object here. Draw around it, or paint it.")
        self._write([(self._parts.frame, part, self._added(part.labels, part, found, new_id))])
        return f"Added an object of {counted(found.size, 'pixel')}."

    def draw(self, points: NDArray[np.float64]) -> str:
        """Make an object of what points (n, 2) enclose in this slice, as far as no other object has it."""
        self._parts.ids_along(points)
        new_id = self._session.free_id()
        part = self._parts.around_points(points, 1)
        outline = part.points(points, self._parts.z)
        edit = adding.added_outline(part.labels, outline, new_id, min_size=self._slice_min_size)
        self._write([(self._parts.frame, part, edit)])
        return f"Added an object of {counted(int(np.count_nonzero(edit.labels == new_id)), 'pixel')}."

    def resize(self, points: NDArray[np.float64], label: int, grow: int) -> str:
        """Make an object that was added at a point, (1, 2), larger than it was suggested: `grow` steps, or smaller."""
        self._parts.ids_along(points)
        part, found = self._suggested(points, grow, label)
        without = np.where(part.labels == label, 0, part.labels)
        if found is None or not (part.labels == label).any():
            raise EditError("It cannot be made larger or smaller here.")
        after = self._added(without, part, found, label).applied(without)
        whole = tuple(slice(0, n) for n in after.shape)
        edit = edits.Edit.of(part.labels, whole, after, "It cannot be made larger or smaller here.")
        self._write([(self._parts.frame, part, edit)])
        return f"It has {counted(found.size, 'pixel')} now."

    def suggestion(
        self, points: NDArray[np.float64], grow: int = 0, label: int = 0
    ) -> tuple[NDArray[np.bool_], tuple[int, int]] | None:
        """Return what `add` would add in this plane: a mask (Y, X), and the pixel (y, x) of its corner; None: nothing.

        With the id of an object that was added at the point, what `resize` would make of it.

        Raises
        ------
        UNetError
            Where no maps are kept, or the point lies beyond the image.
        """
        if self._parts.ids_along(points) not in ([], [label]):
            return None
        part, found = self._suggested(points, grow, label)
        if found is None:
            return None
        mask = found.mask
        y, x = (b.start + r.start for b, r in zip(found.box[-2:], part.region[1:], strict=True))
        if mask.ndim == 3:
            at = self._parts.z - part.region[0].start - found.box[0].start
            if not 0 <= at < len(mask):
                return None
            mask = mask[at]
        return mask, (y, x)

    # -- the outline of one ----------------------------------------------------------------------------------------

    def reshape(self, points: NDArray[np.float64], width: float) -> str:
        """Move the outline of an object to where a line of points (n, 2) is drawn in this slice.

        See `reshaping.redrawn`; `width` is that of a brush, pixels.
        """
        ids = self._ids(points, "The line meets no object. Begin inside one, or draw across one.")
        flat = ObjectParts(self._session, (self._parts.frame, self._parts.z), deep=False)
        part = flat.around(ids, math.ceil(width) + 2, points=points)
        line = part.points(points, self._parts.z)
        edit = reshaping.redrawn(part.labels, line, width, min_size=self._slice_min_size)
        more = int(np.count_nonzero(edit.labels)) - int(np.count_nonzero(part.labels[edit.box]))
        self._write([(self._parts.frame, part, edit)])
        return f"{'Added' if more > 0 else 'Took away'} {counted(abs(more), 'pixel')}."

    def fill_holes(self, points: NDArray[np.float64]) -> str:
        """Fill the holes of the object at a point, (1, 2)."""
        ids = self._ids(points, "There is no object here. Point at the one to fill.")
        part = self._parts.around(ids[:1], 1)
        edit = reshaping.filled_holes(part.labels, ids[0])
        self._write([(self._parts.frame, part, edit)])
        return "Filled the holes."

    def smooth(self, points: NDArray[np.float64]) -> str:
        """Smooth the outline of the object at a point, (1, 2), where it borders on background."""
        ids = self._ids(points, "There is no object here. Point at the one to smooth.")
        part = self._parts.around(ids[:1], math.ceil(4 * reshaping.SMOOTHING) + 1)
        smoothing: Any = reshaping.SMOOTHING
        if part.labels.ndim == 3:  # slice by slice: slices are further apart than pixels
            smoothing = (0.0, smoothing, smoothing)
        edit = reshaping.smoothed(part.labels, ids[0], smoothing=smoothing, min_size=self._min_size)
        self._write([(self._parts.frame, part, edit)])
        return "Smoothed the outline."

    # -- what helps ------------------------------------------------------------------------------------------------

    @property
    def _slice_min_size(self) -> int:
        """Pixels of an object in one slice at least: in a volume it may be small there."""
        return 1 if self._session.joins_slices else self._min_size

    def _ids(self, points: NDArray[np.float64], nothing: str) -> list[int]:
        """Return the objects along points (n, 2), or raise `EditError` that says there are none."""
        ids = self._parts.ids_along(points)
        if not ids:
            raise EditError(nothing)
        return ids

    def _following(self, ids: Sequence[int], part: Part) -> Any:
        """Return where the objects of a part are found at later time points, if that is asked for."""
        return self._parts.following(ids, part.region) if self._later else ()

    def _split(self, part: Part, edit: Edit) -> str:
        self._write([(self._parts.frame, part, edit)])
        return f"Split {counted(len(edit.ids), 'object')} into {len(edit.ids) + len(edit.made)}."

    def _write(self, changes: Sequence[Change]) -> None:
        write(self._session, changes)
        self.made = tuple(dict.fromkeys(i for *_, edit in changes for i in edit.made))
        self.touched = tuple(dict.fromkeys(i for *_, edit in changes for i in edit.ids))

    def _suggested(
        self, points: NDArray[np.float64], grow: int = 0, without: int = 0
    ) -> tuple[Part, adding.Suggestion | None]:
        """Return what the maps suggest at a point, as if an object was not there, and the part of the labels around."""
        parts, (y, x) = self._parts, (int(p) for p in np.floor(points[0] + 0.5))
        kept = self._session.maps.part_at(parts.frame, (parts.z, y, x))
        if kept is None:
            raise NoMapsError("The network has not looked here with this model. Draw around the object.")
        ndim = 3 if kept.volume and parts.deep else 2
        size = parts.typical_size(points[0], ndim, self._info, [without])
        radius = math.sqrt(size / math.pi) if ndim == 2 else (0.75 * size / math.pi) ** (1 / 3)
        reach = math.ceil(adding.WINDOW * radius) + 5
        region = [
            slice(max(s.start, p - reach), min(s.stop, p + reach + 1))
            for s, p in zip(kept.region, (parts.z, y, x), strict=True)
        ]
        if ndim == 2:
            region[0] = slice(parts.z, parts.z + 1)
        part = parts.part((region[0], region[1], region[2]))
        own = part.labels == without if without else np.zeros(part.labels.shape, bool)
        point = part.points(points[:1], parts.z)[0]
        part = replace(part, protected=self._protected_beside(part, own, (parts.z, y, x)))
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
        if found is not None and not without and _is_rim(found.mask, part.labels[found.box] > 0):
            return part, None
        return part, found

    def _protected_beside(self, part: Part, own: NDArray[np.bool_], pixel: tuple[int, int, int]) -> NDArray[np.bool_]:
        """Return what is protected of a part when an object (`own`, or a new one) is made at a pixel (Z, Y, X).

        Where somebody has deleted or reviewed what is there, who adds there wants that changed: that piece is free.
        """
        corrections, where = self._session.corrections, (self._parts.frame, *pixel)
        protected = part.protected & ~own
        if corrections.prediction[where] or corrections.reviewed[where]:
            pieces, _ = ndimage.label(own | (protected & (part.labels == 0)))
            inside = tuple(p - s.start for p, s in zip(pixel, part.region, strict=True))[-own.ndim :]
            protected &= (pieces != pieces[inside]) | (pieces == 0)
        return np.asarray(protected)

    def _added(self, labels: NDArray[Any], part: Part, found: adding.Suggestion, label: int) -> Edit:
        """Return the edit that adds what was suggested to labels of a part: those there are, or without an object."""
        return adding.added(labels, found.mask, label, box=found.box, protected=part.protected, min_size=self._min_size)


def _named(labels: NDArray[Any], ids: Sequence[int], keep: int, protected: NDArray[np.bool_]) -> Edit | None:
    """Return the edit that makes one object of several, with an id that one of them has elsewhere; None: it is so."""
    if len(ids) > 1:
        return edits.merged(labels, ids, allow_gap=MERGE_GAP, protected=protected, keep=keep)
    if ids[0] == keep:
        return None
    whole = tuple(slice(0, n) for n in labels.shape)
    return edits.Edit.of(labels, whole, np.where(labels == ids[0], keep, labels), "There is nothing to merge.")


def _is_rim(mask: NDArray[np.bool_], objects: NDArray[np.bool_]) -> bool:
    """Whether a mask (Y, X) wraps around objects that are there; of volumes it is not asked."""
    if mask.ndim != 2:
        return False
    from skimage.morphology import convex_hull_image

    rest = convex_hull_image(mask, offset_coordinates=False) & ~mask
    free = np.count_nonzero(rest) / (np.count_nonzero(rest) + np.count_nonzero(mask))
    return bool(free > MAX_WRAPPED and np.count_nonzero(rest & objects) > np.count_nonzero(rest) / 2)


def _frames(changes: Sequence[Change]) -> str:
    return f" at {len(changes)} time points" if len(changes) > 1 else ""
