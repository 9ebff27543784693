"""Parts of a session's labels around objects, as `objects.edits` takes them, and the edits of these written back.

Points are pixels (y, x) of one plane, of which an object's id is taken. In a volume an object is changed in all slices
around this one as far as it goes on, or, where that is asked for, in this slice only.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import EditError, UNetError
from napari_unet.objects.boxes import absolute, box_around, grown
from napari_unet.objects.edits import box_of
from napari_unet.objects.size import typical_diameter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.models.info import ModelInfo
    from napari_unet.objects.edits import Edit
    from napari_unet.objects.maps import Maps

SIZE_WINDOW = 256
"""Pixels around a point, to each side, in which objects say how large one is that is added there."""

TYPICAL_DIAMETER = 30.0
"""Pixels, of an object that is added where there are no others and no diameter is known."""

MAX_MOVE = 1.0
"""How far an object may have moved from one time point to the next to be found again, by its own width."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
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


class ObjectParts:
    """The objects of one time point.

    Parameters
    ----------
    session : LayerSession
    plane : tuple of int
        Time point and slice that points lie in.
    deep : bool
        Whether objects are changed in all slices of a volume, or in this one.
    """

    def __init__(self, session: LayerSession, plane: Plane, *, deep: bool) -> None:
        self.session, self.deep = session, deep
        self.frame, self.z = plane

    @property
    def labels(self) -> NDArray[Any]:
        """The labels of this time point as they are now, a view with the axes (Z, Y, X)."""
        labels: NDArray[Any] = self.session.labels[self.frame]
        return labels

    def ids_along(self, points: NDArray[np.float64]) -> list[int]:
        """Return the ids of the objects in this plane that a line goes through, in their order.

        Raises
        ------
        EditError
            If it leaves the image.
        """
        plane = self.labels[self.z]
        if not ((points >= -0.5) & (points < np.array(plane.shape) - 0.5)).all():
            raise EditError("That goes beyond the image. Stay within it.")
        y, x = np.floor(along(points) + 0.5).astype(np.intp).T
        return [int(i) for i in dict.fromkeys(plane[y, x].tolist()) if i > 0]

    def around(self, ids: Sequence[int], margin: int, *, points: NDArray[np.float64] | None = None) -> Part:
        """Return the part of the labels that holds some objects, and points (n, 2), with a margin around."""
        labels = self.labels
        slices = self._slices_of(ids) if self.deep else slice(self.z, self.z + 1)
        found = box_of(labels[slices], ids)
        box = (slice(slices.start + found[0].start, slices.start + found[0].stop), *found[1:])
        if points is not None:
            box = (box[0], *_with_points((box[1], box[2]), points))
        wide = grown(box, margin, labels.shape)
        if not self.deep or box[0].stop - box[0].start == 1:  # an object of one slice is changed in that one
            wide = (box[0], *wide[1:])
        return self.part((wide[0], wide[1], wide[2]))

    def around_points(self, points: NDArray[np.float64], margin: int) -> Part:
        """Return the part of this plane that holds some points (n, 2), with a margin around."""
        y, x = (slice(max(0, math.floor(low)), max(0, math.floor(low)) + 1) for low in points.min(0))
        wide = grown((slice(0, 1), *_with_points((y, x), points)), margin, (1, *self.labels.shape[1:]))
        return self.part((slice(self.z, self.z + 1), wide[1], wide[2]))

    def part(self, region: Region) -> Part:
        """Return the part of the labels in a region (Z, Y, X)."""
        session = self.session
        labels = session.labels
        protected = session.corrections.protected_in(labels, self.frame, region)
        maps = session.maps.within(self.frame, region)
        if len(protected) == 1:
            plane = None if maps is None else maps.plane(0)
            return Part(region, labels[self.frame][region][0], protected[0], plane)
        return Part(region, labels[self.frame][region], protected, maps)

    def typical_size(
        self, point: NDArray[np.float64], ndim: int, info: ModelInfo | None, but: Sequence[int] = ()
    ) -> float:
        """Return how many pixels an object near a point has in a plane (`ndim` 2) or in all (3), apart from some."""
        labels = self.labels
        near = np.array(labels[(self.z, *window_around(point.tolist(), SIZE_WINDOW, labels.shape[1:]))])
        near[np.isin(near, list(but))] = 0
        image = self.session.image
        diameter = (
            typical_diameter([near])
            or image.diameter
            or image.found_diameter
            or (info and info.image_diameter)
            or TYPICAL_DIAMETER
        )
        return math.pi * diameter**2 / 4 if ndim == 2 else math.pi * diameter**3 / 6

    def following(self, ids: Sequence[int], region: Region) -> Iterator[tuple[ObjectParts, list[int]]]:
        """Yield the next time points at which some of the objects are found again, and which, until none is.

        An object is looked for where it was, and as far around as it is wide: `region` (Z, Y, X) says where it is at
        this time point.
        """
        for frame in range(self.frame + 1, len(self.session.labels)):
            labels = self.session.labels[frame]
            reach = math.ceil(MAX_MOVE * max(s.stop - s.start for s in region[1:])) + 2
            window = grown(region, reach, labels.shape)
            if not self.deep:
                window = (slice(self.z, self.z + 1), *window[1:])
            there = np.isin(labels[window], list(ids))
            tight = box_around(there)
            if tight is None:
                return
            depth, rows, columns = absolute(tight, window)
            region = depth, rows, columns
            z = self.z if region[0].start <= self.z < region[0].stop else (region[0].start + region[0].stop) // 2
            found = np.unique(labels[window][there]).tolist()
            yield ObjectParts(self.session, (frame, z), deep=self.deep), [i for i in ids if i in found]

    def _slices_of(self, ids: Sequence[int]) -> slice:
        """Return the slices around the one in view in which any of some objects goes on."""
        labels, first, last = self.labels, self.z, self.z
        while first > 0 and _has(labels[first - 1], ids):
            first -= 1
        while last + 1 < len(labels) and _has(labels[last + 1], ids):
            last += 1
        return slice(first, last + 1)


Change = tuple[int, "Part", "Edit"]
"""Time point, part of its labels, and the edit of that part."""


def write(session: LayerSession, changes: Sequence[Change]) -> None:
    """Carry out edits of parts of the labels, all of them as one step of napari's undo.

    Raises
    ------
    UNetError
        If the labels are being saved, and more than one plane would change.
    """
    if session.held and (len(changes) > 1 or any(part.labels.ndim == 3 for _, part, _ in changes)):
        raise UNetError("The labels are being saved. Try again in a moment.")
    written = []
    for frame, part, edit in changes:
        if part.labels.ndim == 2:
            edit = edit.in_slice(0)
        written.append(edited_pixels(session.labels, frame, edit.shifted([s.start for s in part.region])))
    session.edit_frames(written, compare=False)
    if made := [label for *_, edit in changes for label in edit.made]:
        session.offer_id(max(made))  # new ids are the largest


def edited_pixels(
    labels: NDArray[Any], frame: int, edit: Edit
) -> tuple[int, Region, tuple[NDArray[np.intp], ...], NDArray[Any]]:
    """Return what an edit (Z, Y, X) of a time point changes in labels (T, Z, Y, X), as `edit_frames` takes it."""
    changed = edit.changed(labels[frame])
    z, y, x = edit.box
    return frame, (z, y, x), np.nonzero(changed), edit.labels[changed]


def along(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (n, 2) along a line through some points (m, 2), no more than half a pixel apart."""
    steps = [points[:1]]
    for first, second in itertools.pairwise(points):
        count = max(1, math.ceil(2 * float(np.abs(second - first).max())))
        steps.append(first + (second - first) * np.arange(1, count + 1)[:, None] / count)
    return np.concatenate(steps)


def window_around(point: Sequence[float], reach: int, shape: Sequence[int]) -> tuple[slice, slice]:
    """Return the pixels (Y, X) that lie no further than a reach from a point (y, x), as far as the plane goes."""
    y, x = (slice(max(0, int(p) - reach), min(n, int(p) + reach)) for p, n in zip(point, shape, strict=True))
    return y, x


def _with_points(box: tuple[slice, slice], points: NDArray[np.float64]) -> tuple[slice, slice]:
    """Return the smallest box (Y, X) that holds a box and points (n, 2)."""
    low, high = np.floor(points.min(0)).astype(int).tolist(), np.ceil(points.max(0)).astype(int).tolist()
    y, x = (slice(max(0, min(s.start, a)), max(s.stop, b + 1)) for s, a, b in zip(box, low, high, strict=True))
    return y, x


def _has(plane: NDArray[Any], ids: Sequence[int]) -> bool:
    return any(bool((plane == label).any()) for label in ids)
