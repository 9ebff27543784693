"""What a list of objects shows of each: id, size, position, intensity and state. Counted anew where something changed.

A full measurement (`objects.measurements`) takes seconds for ten thousand objects. This counts only what can be counted
at once from runs of pixels, so that a list can follow every edit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.label_images import as_ids
from napari_unet.objects.regions import Regions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from napari_unet.axes import Image

Box = tuple[slice, slice, slice]
"""A part of one time point, slices along Z, Y and X."""

PREDICTED, CORRECTED, REVIEWED = 0, 1, 2
STATES = ("predicted", "corrected", "reviewed")
"""Names of the states, by number."""


@dataclass(frozen=True, slots=True, eq=False)
class ReviewedLabels:
    """A label image with its image and with what somebody has said of it, all with the axes (T, Z, Y, X).

    Attributes
    ----------
    labels : ndarray of int
        Object ids; 0 is background.
    reviewed : ndarray of bool
    image : Image
        Grey values; read plane by plane.
    corrected : mapping of int to collection of int
        For each time point the ids of objects that somebody has changed, or taken pixels from.
    """

    labels: NDArray[Any]
    reviewed: NDArray[np.bool_]
    image: Image
    corrected: Mapping[int, Collection[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectRows:
    """One row for each object and time point, in no order.

    Attributes
    ----------
    time : ndarray of int, shape (n,)
    label : ndarray of int, shape (n,)
        Id of the object.
    size : ndarray of int, shape (n,)
        Pixels.
    centroid : ndarray of float, shape (n, 3)
        Mean Z, Y and X of the centres of its pixels, in pixels.
    low, high : ndarray of int, shape (n, 3)
        Its first pixel, and that after the last, along Z, Y and X.
    intensity : ndarray of float, shape (n, channels)
        Mean over its finite pixels; NaN where there are none.
    state : ndarray of uint8, shape (n,)
        Number in `STATES`. Reviewed: more than half of its pixels are. Else corrected: somebody has changed it.
    """

    time: NDArray[np.int64]
    label: NDArray[np.int64]
    size: NDArray[np.int64]
    centroid: NDArray[np.float64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    intensity: NDArray[np.float64]
    state: NDArray[np.uint8]

    @classmethod
    def none(cls, n_channels: int = 1) -> ObjectRows:
        """Return no rows."""
        whole, three = np.zeros(0, np.int64), np.zeros((0, 3), np.int64)
        return cls(
            whole,
            whole,
            whole,
            three.astype(np.float64),
            three,
            three,
            np.zeros((0, n_channels)),
            whole.astype(np.uint8),
        )

    def __len__(self) -> int:
        return len(self.label)

    def where(self, rows: NDArray[Any]) -> ObjectRows:
        """Return some rows, by a mask or by their numbers."""
        return ObjectRows(*(getattr(self, part.name)[rows] for part in fields(self)))

    def joined(self, *others: ObjectRows) -> ObjectRows:
        """Return these rows and others after them."""
        return ObjectRows(
            *(np.concatenate([getattr(rows, part.name) for rows in (self, *others)]) for part in fields(self))
        )

    def in_box(self, frame: int, box: Box) -> NDArray[np.bool_]:
        """Return for each row whether its bounding box meets a box (Z, Y, X) of a time point."""
        found = self.time == frame
        for axis, part in enumerate(box):
            found &= (self.low[:, axis] < part.stop) & (self.high[:, axis] > part.start)
        return np.asarray(found)

    def same(self, other: ObjectRows) -> bool:
        """Whether other rows say the same up to rounding, in any order."""
        one, two = (rows.where(np.lexsort((rows.label, rows.time))) for rows in (self, other))
        return len(one) == len(two) and all(
            bool(np.allclose(getattr(one, part.name), getattr(two, part.name), rtol=1e-9, equal_nan=True))
            for part in fields(self)
        )


def count_frame(source: ReviewedLabels, frame: int) -> ObjectRows:
    """Return the rows of all objects of a time point.

    Raises
    ------
    LabelsError
        If labels are not whole numbers from 0.
    """
    whole = tuple(slice(0, n) for n in source.labels.shape[1:])
    return _count(source, frame, (whole[0], whole[1], whole[2]), None)


def recount(source: ReviewedLabels, rows: ObjectRows, frame: int, box: Box) -> ObjectRows:
    """Return rows brought up to date after something has changed in one box of a time point.

    Only objects that lie, or lay, in the box are looked at.

    Parameters
    ----------
    source : ReviewedLabels
        As it is now.
    rows : ObjectRows
        As of before.
    frame : int
    box : tuple of slice
        (Z, Y, X); no pixel beyond it has changed.
    """
    there = np.unique(source.labels[(frame, *box)])
    old = rows.in_box(frame, box) | ((rows.time == frame) & np.isin(rows.label, there[there > 0]))
    ids = np.union1d(rows.label[old], there[there > 0])
    if not len(ids):
        return rows
    low = np.vstack([rows.low[old], [[part.start for part in box]]]).min(axis=0)
    high = np.vstack([rows.high[old], [[part.stop for part in box]]]).max(axis=0)
    z, y, x = (slice(int(first), int(after)) for first, after in zip(low, high, strict=True))
    return rows.where(~old).joined(_count(source, frame, (z, y, x), ids))


def _count(source: ReviewedLabels, frame: int, box: Box, ids: NDArray[Any] | None) -> ObjectRows:
    """Return rows of objects in a box of a time point that holds them whole; `ids` None: of all in it."""
    labels = as_ids(np.asarray(source.labels[(frame, *box)]))
    if ids is not None:
        labels = np.where(np.isin(labels, ids), labels, 0)
    regions, corner = Regions.of(labels), np.array([part.start for part in box])
    low, high = regions.boxes()
    intensity, reviewed = _sums(source, regions, frame, box)
    state = np.where(np.isin(regions.ids, list(source.corrected.get(frame, ()))), CORRECTED, PREDICTED)
    state[2 * reviewed > regions.size] = REVIEWED
    return ObjectRows(
        time=np.full(len(regions), frame, np.int64),
        label=regions.ids.astype(np.int64),
        size=regions.size,
        centroid=regions.centroids() + corner,
        low=low + corner,
        high=high + corner,
        intensity=intensity,
        state=state.astype(np.uint8),
    )


def _sums(source: ReviewedLabels, regions: Regions, frame: int, box: Box) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the mean intensity (objects, channels), and the reviewed pixels of each object."""
    n_runs, n_channels = len(regions.x), source.image.n_channels
    reviewed = np.zeros(n_runs, np.int64)
    total, count = np.zeros((n_channels, n_runs)), np.zeros((n_channels, n_runs))
    for depth in range(regions.shape[0]):
        runs = regions.in_plane(depth)
        if not len(runs.which):
            continue
        z = box[0].start + depth
        where = (frame, z, *box[1:])
        reviewed[runs.which] = runs.reduced(np.add, source.reviewed[where], np.int64)
        block = source.image.read(frame, slice(z, z + 1), *box[1:])
        for channel in range(n_channels):
            values = block[channel, 0].astype(np.float64)
            finite = np.isfinite(values)
            count[channel, runs.which] = runs.reduced(np.add, finite, np.float64)
            total[channel, runs.which] = runs.reduced(np.add, np.where(finite, values, 0.0), np.float64)
    sums, counts = (np.stack([regions.total(one) for one in many], axis=1) for many in (total, count))
    mean = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return mean, regions.total(reviewed)
