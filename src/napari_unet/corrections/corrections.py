"""Which pixels of a label image are corrected or reviewed by the user, found by comparison with the prediction.

There is no annotation mode. A pixel is *corrected* where the labels differ from the prediction, and *reviewed* where
the user has marked them as right. Both follow from arrays, so they hold whatever changes the labels: undo, redo,
scripts, and any tool of napari. All arrays here have the axes (T, Z, Y, X).

An object that has only got another id is *renamed* (`corrections.planes`): it is neither counted nor learned from.
It is the user's all the same, and no prediction changes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.corrections.identity import joined_ids, kept_ids, largest_id, rename
from napari_unet.corrections.planes import PlaneState, compared, touched_ids
from napari_unet.io import spill
from napari_unet.objects.boxes import relative
from napari_unet.objects.stitch import renumber

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.corrections.boxes import Field

RING = 2
"""Width, in pixels, of the ring around a corrected object that is supervised with it: it says where the object ends."""


class Provenance(IntEnum):
    """Origin of the label of a pixel."""

    UNSEEN = 0
    PREDICTED = 1
    CORRECTED = 2
    REVIEWED = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of what is corrected and reviewed in all planes.

    Attributes
    ----------
    corrected_pixels, corrected_objects : int
        Without what is renamed only.
    reviewed_pixels, total_pixels : int
    changed_pixels, changed_objects : int
        With what is renamed only: all in which the labels are not as predicted.
    """

    corrected_pixels: int = 0
    corrected_objects: int = 0
    reviewed_pixels: int = 0
    total_pixels: int = 0
    changed_pixels: int = 0
    changed_objects: int = 0

    @property
    def reviewed_share(self) -> float:
        """Reviewed pixels as a share of all."""
        return self.reviewed_pixels / self.total_pixels if self.total_pixels else 0.0

    @property
    def anything(self) -> bool:
        """Whether there is any work of the user."""
        return bool(self.changed_pixels or self.reviewed_pixels)


class Corrections:
    """The prediction of a label image, from which follows what is corrected, and the reviewed pixels.

    Parameters
    ----------
    shape : tuple of int
        Shape of the labels, (T, Z, Y, X).
    instances : bool
        Whether labels are ids of objects (a corrected object counts as a whole) or classes (only changed pixels count).

    Attributes
    ----------
    prediction : ndarray of int32, axes (T, Z, Y, X)
        The labels that the program predicted.
    seen : ndarray of bool, axes (T, Z, Y, X)
        The pixels that the program has segmented.
    reviewed : ndarray of bool, axes (T, Z, Y, X)
        The pixels that the user has marked as right.
    zero_is_background : bool
        Whether class 0 is the background, which is learned like any other class, or means that a pixel is not labelled.
        For objects, 0 is always the background.
    last_id : int
        Largest id given so far. New objects get larger ones, so that none has the id, and colour, of a deleted one.
    predicted_by : str
        Hash of the weights of the model that has predicted last; empty: none has, or it is not known which.
    """

    def __init__(self, shape: tuple[int, int, int, int], *, instances: bool = True) -> None:
        self.shape = shape
        self.instances = instances
        self.prediction: NDArray[np.int32] = spill.zeros(shape, np.int32)
        self.seen = spill.zeros(shape, bool)
        self.reviewed = spill.zeros(shape, bool)
        self.zero_is_background = True
        self._planes: dict[tuple[int, int], PlaneState] = {}
        self.last_id = 0
        self.predicted_by = ""

    # -- what is known ---------------------------------------------------------------------------------------------

    def planes(self) -> Iterator[tuple[int, int]]:
        """Yield the (T, Z) index of every plane."""
        return iter(np.ndindex(*self.shape[:2]))

    def suspects(self, labels: NDArray[Any]) -> Iterator[tuple[int, int]]:
        """Yield the planes for which `update` may change something; others need no update.

        Arrays are only read, so it may run in another thread while the user paints.
        """
        for index in self.planes():
            if index in self._planes or self.reviewed[index].any() or (labels[index] != self.prediction[index]).any():
                yield index

    def update(self, labels: NDArray[Any], *planes: tuple[int, int]) -> Summary:
        """Compare the labels (T, Z, Y, X) with the prediction, in all or some planes, and return the new summary."""
        for index in self._with_neighbours(planes) if planes else self.planes():
            state = compared(labels, self.prediction, self.reviewed[index], index, instances=self.instances)
            if state is None:
                self._planes.pop(index, None)
            else:
                self._planes[index] = state
                self.last_id = max(self.last_id, state.last_id)
        return self.summary()

    def _with_neighbours(self, planes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return planes with those slices beside them of which it depends on these what counts as renamed."""
        beside = {(t, z + step) for t, z in planes for step in (-1, 1)}
        states = {index: self._planes[index] for index in beside if index in self._planes}
        return sorted({*planes, *(index for index, state in states.items() if state.renamed or state.joined)})

    def summary(self) -> Summary:
        """Return the sums over all planes, as of their last `update`."""
        states = self._planes.values()
        return Summary(
            corrected_pixels=sum(state.corrected_pixels for state in states),
            corrected_objects=len(frozenset[int]().union(*(state.corrected for state in states))),
            reviewed_pixels=sum(state.reviewed_pixels for state in states),
            total_pixels=int(np.prod(self.shape)),
            changed_pixels=sum(state.changed_pixels for state in states),
            changed_objects=len(self.touched),
        )

    def changed_planes(self) -> list[tuple[int, int]]:
        """Return the (T, Z) index of the planes with any work of the user, as of their last `update`."""
        return sorted(self._planes)

    def supervised_planes(self) -> list[tuple[int, int]]:
        """Return the (T, Z) index of the planes with something to learn from, as of their last `update`."""
        return sorted(i for i, state in self._planes.items() if state.corrected_pixels or state.reviewed_pixels)

    def corrected_in(self, plane: tuple[int, int]) -> frozenset[int]:
        """Return the ids of the objects that were corrected in a plane (T, Z), as of its last `update`."""
        state = self._planes.get(plane)
        return frozenset() if state is None else state.corrected

    def differs(self, labels: NDArray[Any], plane: tuple[int, int], field: Field) -> NDArray[np.bool_]:
        """Return the pixels (Y, X) of a field of a plane that are changed, but for objects that are renamed only.

        Which are, is as of the last `update`.
        """
        where = (*plane, *field)
        changed = labels[where] != self.prediction[where]
        state = self._planes.get(plane)
        if state is not None and state.renamed:
            changed &= ~np.isin(labels[where], list(state.renamed))
        return np.asarray(changed)

    def box(self, plane: tuple[int, int]) -> Field:
        """Return the bounding box of all in such a plane that is changed or reviewed, with whole objects."""
        return self._planes[plane].box

    def protected(
        self, labels: NDArray[Any], plane: tuple[int, int], field: tuple[slice, slice] = (slice(None), slice(None))
    ) -> NDArray[np.bool_]:
        """Return the pixels (Y, X) of a plane, or of a field of it, that no prediction may change.

        These are corrected and reviewed pixels, and the other pixels of every corrected object: who has corrected a
        part of an object has seen all of it. Corrections outside the field count as of the last `update`.
        """
        where = (*plane, *field)
        changed = labels[where] != self.prediction[where]
        objects = self._corrected_objects(labels[where], changed, where)
        return np.asarray(objects | changed | self.reviewed[where])

    def protected_in(self, labels: NDArray[Any], frame: int, region: tuple[slice, slice, slice]) -> NDArray[np.bool_]:
        """Return the pixels of a region (Z, Y, X) of a time point that no prediction may change, as of `protected`."""
        protected = np.zeros(labels[(frame, *region)].shape, bool)
        for index, z in enumerate(range(*region[0].indices(self.shape[1]))):
            protected[index] = self.protected(labels, (frame, z), region[1:])
        return protected

    def supervised(self, labels: NDArray[Any], plane: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels (Y, X) of a plane to learn from: what is corrected, and what is reviewed."""
        mask = self.corrected(labels, plane) | self.reviewed[plane]
        if not (self.instances or self.zero_is_background):
            mask &= labels[plane] != 0
        return np.asarray(mask)

    def provenance(self, labels: NDArray[Any], plane: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the `Provenance` of every pixel (Y, X) of a plane."""
        return provenance_of(labels[plane], self.prediction[plane], self.seen[plane], self.reviewed[plane])

    def copy(self, frame: int, region: tuple[slice, slice, slice]) -> Corrections:
        """Return a copy of a region (Z, Y, X) of a time point, as of the last `update`; it has one time point."""
        z, y, x = region
        copy = Corrections((1, *(part.stop - part.start for part in region)), instances=self.instances)
        copy.prediction[0] = self.prediction[(frame, *region)]
        copy.reviewed[0] = self.reviewed[(frame, *region)]
        copy.seen[0] = self.seen[(frame, *region)]
        copy.zero_is_background = self.zero_is_background
        states = {i: self._planes[frame, i] for i in range(z.start, z.stop) if (frame, i) in self._planes}
        copy._planes = {(0, i - z.start): replace(s, box=relative(s.box, (y, x))) for i, s in states.items()}
        return copy

    def corrected(self, labels: NDArray[Any], plane: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the changed pixels (Y, X) of a plane, the other pixels of their objects, and a ring around these."""
        changed = self.differs(labels, plane, (slice(None), slice(None)))
        mask = self._corrected_objects(labels[plane], changed, plane) | changed
        if self.instances and mask.any():
            mask = ndimage.binary_dilation(mask, iterations=RING)
        return np.asarray(mask)

    @property
    def touched(self) -> frozenset[int]:
        """Ids of the changed objects, also of those renamed only, as of the last `update` of their planes."""
        return frozenset[int]().union(*(state.touched for state in list(self._planes.values())))

    def corrected_at(self, frame: int) -> frozenset[int]:
        """Return the ids of the corrected objects of a time point, as of the last `update` of its planes."""
        planes = list(self._planes.items())
        return frozenset[int]().union(*(state.corrected for plane, state in planes if plane[0] == frame))

    # -- what is changed -------------------------------------------------------------------------------------------

    def review(self, frame: int, z: slice, y: slice, x: slice, value: bool = True) -> None:
        """Mark a field as reviewed (or as not reviewed): its labels as they are now are right."""
        self.reviewed[frame, z, y, x] = value

    def merge(
        self,
        labels: NDArray[Any],
        frame: int,
        region: tuple[slice, slice, slice],
        predicted: NDArray[Any],
        known: dict[int, int] | None = None,
    ) -> NDArray[np.int32]:
        """Store a new prediction of a region, and return the new labels of the region; `labels` is not changed.

        Protected pixels keep their labels. An object that was there before keeps its id, and so its colour. In a single
        slice of a volume, a new object gets the id of the object in a neighbouring slice that it continues.

        Parameters
        ----------
        labels : ndarray of int, axes (T, Z, Y, X)
            The labels as they are now, corrections included.
        frame : int
            Time point.
        region : tuple of slice
            The region, (Z, Y, X).
        predicted : ndarray of int, axes (Z, Y, X)
            New labels of the region, ids from 1.
        known : dict, optional
            For a prediction that is merged piece by piece: id in the prediction -> id in the labels; it is extended.
        """
        where = (frame, *region)
        old = labels[where].astype(np.int32)
        protected = self.protected_in(labels, frame, region)
        new = predicted
        if self.instances:
            known = {} if known is None else known
            beside = self._beside(labels, frame, region)
            ids, self.last_id = kept_ids(old, protected, predicted, beside, known, self.last_id)
            known |= ids
            new = renumber(predicted, known, self.last_id + 1)
        merged = np.where(protected, old, new).astype(np.int32)
        self.prediction[where] = np.where(protected, self.prediction[where], merged)
        self.seen[where] = True
        return merged

    def repredict(
        self,
        frame: int,
        region: tuple[slice, slice, slice],
        where: Sequence[NDArray[np.intp]],
        values: NDArray[Any],
    ) -> None:
        """Store another prediction at some pixels of a region (Z, Y, X), none of them protected.

        The caller writes the same into the labels.
        """
        if len(values):
            self.prediction[(frame, *region)][tuple(where)] = values
            self.last_id = max(self.last_id, largest_id(values))

    def rename(self, ids: dict[int, int]) -> None:
        """Rename ids in the prediction; the caller renames those in the labels."""
        rename(self.prediction, ids)

    def joins(self, labels: NDArray[Any]) -> dict[int, int]:
        """Find objects that have different ids in neighbouring slices, and return old id -> new id.

        An id that the user has corrected, as of the last `update`, is kept. `labels`, (T, Z, Y, X), may be a copy: this
        takes long, and may run in another thread.
        """
        return joined_ids(labels, self.touched)

    def _beside(self, labels: NDArray[Any], frame: int, region: tuple[slice, slice, slice]) -> NDArray[Any] | None:
        """Return the labels of the field in a neighbouring slice that is segmented; None if there is none."""
        planes = range(*region[0].indices(self.shape[1]))
        if len(planes) != 1:
            return None
        for z in (planes[0] - 1, planes[0] + 1):
            if 0 <= z < self.shape[1] and self.seen[frame, z][region[1:]].any():
                return labels[(frame, slice(z, z + 1), *region[1:])]
        return None

    def _corrected_objects(
        self, labels: NDArray[Any], changed: NDArray[np.bool_], where: tuple[Any, ...]
    ) -> NDArray[np.bool_]:
        """Return the pixels of objects that were corrected in a field, or elsewhere in its plane."""
        if not self.instances:
            return np.zeros(labels.shape, bool)
        state = self._planes.get((where[0], where[1]))
        ids = state.touched if state is not None and changed.shape != self.shape[2:] else frozenset()
        if changed.any():
            ids |= touched_ids(labels[changed], self.prediction[where][changed])
        return np.isin(labels, list(ids)) if ids else np.zeros(labels.shape, bool)


def provenance_of(
    labels: NDArray[Any], predicted: NDArray[Any], seen: NDArray[np.bool_], reviewed: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return the `Provenance` of every pixel; all arrays have one shape."""
    result = np.where(seen, np.uint8(Provenance.PREDICTED), np.uint8(Provenance.UNSEEN))
    result[reviewed] = Provenance.REVIEWED
    result[labels != predicted] = Provenance.CORRECTED
    return result
