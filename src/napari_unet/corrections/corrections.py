"""Which pixels of a label image the user vouches for, found by difference against the prediction.

There is no annotation mode. A pixel is *corrected* where the labels differ from what the program painted there, and
*reviewed* where the user has said that all is well; both are facts about arrays, so undo, redo, scripts and any tool
that napari has or will have are covered. All arrays here have the axes (T, Z, Y, X).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.corrections.boxes import box_of, grown, relative, union, with_objects
from napari_unet.corrections.part import Part
from napari_unet.io import spill
from napari_unet.objects.stitch import SLICE_SHARE, match_ids, numbered, overlaps, renumber

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_unet.corrections.boxes import Field

RING = 2
"""Pixels around a corrected object that are supervised with it: they say where it ends."""

_COARSE = 4
"""Pixels, along Y and X, of which one is looked at to count the objects of a plane."""

COUNTED_IDS = 2**30
"""New objects are numbered on from the largest id below this; a user may well paint with the last id that there is."""


class Provenance(IntEnum):
    """Where a pixel's label comes from."""

    UNSEEN = 0
    PREDICTED = 1
    CORRECTED = 2
    REVIEWED = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """What was corrected and reviewed so far, in all planes."""

    corrected_pixels: int = 0
    corrected_objects: int = 0
    reviewed_pixels: int = 0
    total_pixels: int = 0

    @property
    def reviewed_share(self) -> float:
        """Reviewed pixels as a share of all."""
        return self.reviewed_pixels / self.total_pixels if self.total_pixels else 0.0

    @property
    def anything(self) -> bool:
        """Whether there is something to learn from."""
        return bool(self.corrected_pixels or self.reviewed_pixels)


@dataclass(frozen=True, slots=True)
class _PlaneState:
    corrected_pixels: int
    touched: frozenset[int]
    reviewed_pixels: int
    box: Field  # of all of these, and of the objects that were touched


class Corrections:
    """Remembers what was predicted, and so knows what was corrected.

    Parameters
    ----------
    shape : tuple of int
        Shape of the labels, (T, Z, Y, X).
    instances : bool
        Whether ids are objects (then a corrected object counts whole) or classes (then only its pixels do).

    Attributes
    ----------
    prediction : ndarray of int32, axes (T, Z, Y, X)
        What the program painted, where the user has not corrected it since.
    seen : ndarray of bool, axes (T, Z, Y, X)
        The pixels that the program has segmented.
    reviewed : ndarray of bool, axes (T, Z, Y, X)
        The pixels that the user has checked.
    zero_is_background : bool
        Whether class 0 says that there is nothing, and is learned like any other class, or that the user has not
        labelled the pixel. Of objects, 0 is always the background.
    last_id : int
        New objects are numbered from the next one on, so that nothing takes the id, and colour, of what was deleted.
    """

    def __init__(self, shape: tuple[int, int, int, int], *, instances: bool = True) -> None:
        self.shape = shape
        self.instances = instances
        self.prediction: NDArray[np.int32] = spill.zeros(shape, np.int32)
        self.seen = spill.zeros(shape, bool)
        self.reviewed = spill.zeros(shape, bool)
        self.zero_is_background = True
        self._planes: dict[tuple[int, int], _PlaneState] = {}
        self.last_id = 0

    # -- what is known ---------------------------------------------------------------------------------------------

    def planes(self) -> Iterator[tuple[int, int]]:
        """Yield the (T, Z) index of every plane."""
        return iter(np.ndindex(*self.shape[:2]))

    def suspects(self, labels: NDArray[Any]) -> Iterator[tuple[int, int]]:
        """Yield the planes of which `update` has something to find, or to forget; others it need not look at.

        It only looks, so that it may run in another thread while the user goes on painting.
        """
        for index in self.planes():
            if index in self._planes or self.reviewed[index].any() or (labels[index] != self.prediction[index]).any():
                yield index

    def update(self, labels: NDArray[Any], *planes: tuple[int, int]) -> Summary:
        """Look at the labels (T, Z, Y, X) again, all of them or some planes, and return the new summary."""
        for index in planes or self.planes():
            changed = labels[index] != self.prediction[index]
            n_changed = int(np.count_nonzero(changed))
            ids = frozenset[int]()
            if n_changed:
                values = labels[index][changed]
                self.last_id = max(self.last_id, largest(values))
                ids = self._touched(values, self.prediction[index][changed])
            n_reviewed = int(np.count_nonzero(self.reviewed[index]))
            if n_changed or n_reviewed:
                masks = [mask for mask, n in ((changed, n_changed), (self.reviewed[index], n_reviewed)) if n]
                box = with_objects(union(*map(box_of, masks)), ids, labels[index], self.prediction[index])
                self._planes[index] = _PlaneState(n_changed, ids, n_reviewed, box)
            else:
                self._planes.pop(index, None)
        return self.summary()

    def summary(self) -> Summary:
        """Return the sums over all planes, as of their last `update`."""
        states = self._planes.values()
        return Summary(
            corrected_pixels=sum(state.corrected_pixels for state in states),
            corrected_objects=len(self.touched),
            reviewed_pixels=sum(state.reviewed_pixels for state in states),
            total_pixels=int(np.prod(self.shape)),
        )

    def supervised_planes(self) -> list[tuple[int, int]]:
        """Return the (T, Z) index of the planes with something to learn from, as of their last `update`."""
        return sorted(self._planes)

    def box(self, plane: tuple[int, int]) -> Field:
        """Return the part of such a plane that has all that is corrected and reviewed, and the objects touched."""
        return self._planes[plane].box

    def protected(
        self, labels: NDArray[Any], plane: tuple[int, int], field: tuple[slice, slice] = (slice(None), slice(None))
    ) -> NDArray[np.bool_]:
        """Return the pixels (Y, X) of a plane, or of a field of it, that no prediction may change.

        Corrected and reviewed ones and, since a person who mended a part of an object has looked at all of it, the
        rest of every corrected object: of one corrected outside the field, as of the last `update`.
        """
        where = (*plane, *field)
        changed = labels[where] != self.prediction[where]
        objects = self._corrected_objects(labels[where], changed, where)
        return np.asarray(objects | changed | self.reviewed[where])

    def supervised(self, labels: NDArray[Any], plane: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels (Y, X) of a plane to learn from: what is corrected, and what is reviewed."""
        mask = self.corrected(labels, plane) | self.reviewed[plane]
        if not (self.instances or self.zero_is_background):
            mask &= labels[plane] != 0
        return np.asarray(mask)

    def provenance(self, labels: NDArray[Any], plane: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the `Provenance` of every pixel (Y, X) of a plane."""
        result = np.where(self.seen[plane], Provenance.PREDICTED, Provenance.UNSEEN).astype(np.uint8)
        result[self.reviewed[plane]] = Provenance.REVIEWED
        result[labels[plane] != self.prediction[plane]] = Provenance.CORRECTED
        return result

    def parts(self, labels: NDArray[Any], around: int = 0, margin: int = 0) -> list[Part]:
        """Return copies of what there is to learn from, as of the last `update`: one for each run of slices.

        Parameters
        ----------
        labels : ndarray of int, axes (T, Z, Y, X)
        around : int
            Slices above and below that are copied too.
        margin : int
            Pixels, along Y and X, that are copied too.
        """
        runs: list[tuple[int, slice]] = []
        for frame, z in self.supervised_planes():
            first, stop = max(0, z - around), min(self.shape[1], z + 1 + around)
            if runs and runs[-1][0] == frame and runs[-1][1].stop >= first:
                runs[-1] = frame, slice(runs[-1][1].start, stop)
            else:
                runs.append((frame, slice(first, stop)))
        return [self._part(labels, frame, z, margin) for frame, z in runs]

    def _part(self, labels: NDArray[Any], frame: int, z: slice, margin: int) -> Part:
        states = {i: self._planes[frame, i] for i in range(z.start, z.stop) if (frame, i) in self._planes}
        y, x = grown(union(*(state.box for state in states.values())), margin, self.shape[2:])
        where = (frame, z, y, x)
        part = Corrections((1, z.stop - z.start, y.stop - y.start, x.stop - x.start), instances=self.instances)
        part.prediction[0] = self.prediction[where]
        part.reviewed[0] = self.reviewed[where]
        part.seen[0] = self.seen[where]
        part.zero_is_background = self.zero_is_background
        part._planes = {(0, i - z.start): replace(s, box=relative(s.box, (y, x))) for i, s in states.items()}
        ids = np.array(labels[where], np.int32)
        everywhere = np.count_nonzero(labels[frame, z, ::_COARSE, ::_COARSE])
        here = np.count_nonzero(ids[:, -y.start % _COARSE :: _COARSE, -x.start % _COARSE :: _COARSE])
        return Part(frame, (z.start, y.start, x.start), ids, part, int(everywhere - here) * _COARSE**2)

    def corrected(self, labels: NDArray[Any], plane: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels (Y, X) of a plane that were changed, the rest of their objects, and a ring around them."""
        changed = labels[plane] != self.prediction[plane]
        mask = self._corrected_objects(labels[plane], changed, plane) | changed
        if self.instances and mask.any():
            mask = ndimage.binary_dilation(mask, iterations=RING)
        return np.asarray(mask)

    @property
    def touched(self) -> frozenset[int]:
        """Ids of the objects that were corrected, as of the last `update` of their planes."""
        return frozenset[int]().union(*(state.touched for state in list(self._planes.values())))

    # -- what is changed -------------------------------------------------------------------------------------------

    def review(self, frame: int, z: slice, y: slice, x: slice, value: bool = True) -> None:
        """Mark a field as checked by the user (or take that back): what its labels say now is right."""
        self.reviewed[frame, z, y, x] = value

    def merge(
        self,
        labels: NDArray[Any],
        frame: int,
        region: tuple[slice, slice, slice],
        predicted: NDArray[Any],
        known: dict[int, int] | None = None,
    ) -> NDArray[np.int32]:
        """Take in a new prediction of a region and return what its labels have to be; `labels` is not changed.

        Protected pixels keep their labels. An object that was there before keeps its id, and with it its colour. In a
        single slice of a volume, a new object takes the id of the one that it continues in the slice beside it.

        Parameters
        ----------
        labels : ndarray of int, axes (T, Z, Y, X)
            The labels as they are now, corrections included.
        frame : int
            Time point.
        region : tuple of slice
            Where, (Z, Y, X).
        predicted : ndarray of int, axes (Z, Y, X)
            New labels of the region, ids from 1.
        known : dict, optional
            Where a prediction comes in pieces: which of its ids became which in the earlier ones; added to.
        """
        where = (frame, *region)
        old = labels[where].astype(np.int32)
        protected = np.zeros(old.shape, bool)
        for index, z in enumerate(range(*region[0].indices(self.shape[1]))):
            protected[index] = self.protected(labels, (frame, z), region[1:])
        new = predicted
        if self.instances:
            known = {} if known is None else known
            known |= self._new_ids(old, protected, predicted, self._beside(labels, frame, region), known)
            new = renumber(predicted, known, self.last_id + 1)
        merged = np.where(protected, old, new).astype(np.int32)
        self.prediction[where] = np.where(protected, self.prediction[where], merged)
        self.seen[where] = True
        return merged

    def rename(self, ids: dict[int, int]) -> None:
        """Give objects of the prediction other ids; the labels are the caller's."""
        rename(self.prediction, ids)

    def joins(self, labels: NDArray[Any]) -> dict[int, int]:
        """Find objects that go on from slice to slice under another id, and return which id has to become which.

        That happens where slices were not segmented one after another. Of two ids the one that the user has not
        touched, as of the last `update`, gives way; two objects of one slice are never joined. `labels`, (T, Z, Y, X),
        may be a copy: this takes a while, and may run in another thread.
        """
        touched = self.touched
        renamed: dict[int, int] = {}
        for volume in labels:
            slices: dict[int, set[int]] = {}
            for z, plane in enumerate(volume):
                for label in np.unique(plane).tolist():
                    slices.setdefault(label, set()).add(z)
            for z in range(1, len(volume)):
                for new, old in match_ids(volume[z - 1], volume[z], SLICE_SHARE).items():
                    a, b = renamed.get(old, old), renamed.get(new, new)
                    if a == b or slices[a] & slices[b] or {a, b} <= touched:
                        continue
                    keep, gone = (b, a) if a not in touched and b in touched else (a, b)
                    slices[keep] |= slices.pop(gone)
                    renamed = {k: keep if v == gone else v for k, v in renamed.items()} | {gone: keep}
        return renamed

    def _new_ids(
        self,
        old: NDArray[np.int32],
        protected: NDArray[np.bool_],
        predicted: NDArray[Any],
        beside: NDArray[Any] | None,
        known: dict[int, int],
    ) -> dict[int, int]:
        """Return the ids of predicted objects not yet `known`: those they had, and 0 for what the user has drawn."""
        in_use = set(known.values())
        predicted = np.where(np.isin(predicted, list(known)), 0, predicted) if known else predicted
        mapping = {
            new: was for new, was in match_ids(np.where(protected, 0, old), predicted).items() if was not in in_use
        }
        taken = set(mapping.values()) | in_use | {int(i) for i in np.unique(old[protected])}
        if beside is not None:
            for new, was in match_ids(beside, predicted, SLICE_SHARE).items():
                if new not in mapping and was not in taken:
                    mapping[new] = was
                    taken.add(was)
        taken = set(mapping.values()) | in_use
        kept_ids, new_ids, counts = overlaps(np.where(protected, old, 0), predicted)
        sizes = np.bincount(predicted.ravel(), minlength=1)
        for kept, new, count in sorted(zip(kept_ids, new_ids, counts, strict=True), key=lambda entry: entry[2]):
            goes_on = bool(np.any((old == kept) & ~protected))  # reviewed in part only: the field ended there
            if goes_on and int(kept) not in taken:
                mapping[int(new)] = int(kept)
            elif not goes_on and count > 0.5 * sizes[new]:
                mapping[int(new)] = 0  # the user's outline of this object is final
        self.last_id = max(self.last_id, largest(old))
        for label in numbered(predicted):
            if label not in mapping:
                self.last_id += 1
                mapping[label] = self.last_id
        return mapping

    def _beside(self, labels: NDArray[Any], frame: int, region: tuple[slice, slice, slice]) -> NDArray[Any] | None:
        """Labels of the same field in a neighbouring slice that is already segmented; None for volumes."""
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
        """Pixels of the objects that were corrected in a field, or elsewhere in its plane."""
        if not self.instances:
            return np.zeros(labels.shape, bool)
        state = self._planes.get((where[0], where[1]))
        ids = state.touched if state is not None and changed.shape != self.shape[2:] else frozenset()
        if changed.any():
            ids |= self._touched(labels[changed], self.prediction[where][changed])
        return np.isin(labels, list(ids)) if ids else np.zeros(labels.shape, bool)

    @staticmethod
    def _touched(labels: NDArray[Any], prediction: NDArray[Any]) -> frozenset[int]:
        """Ids (not 0) of the objects that pixels with these labels and predictions belong or belonged to."""
        ids = np.union1d(np.unique(labels), np.unique(prediction))
        return frozenset(int(i) for i in ids if i)


def rename(labels: NDArray[Any], ids: dict[int, int]) -> None:
    """Replace ids in place, in labels (T, Z, Y, X)."""
    keys = np.array(sorted(ids))
    values = np.array([ids[key] for key in keys.tolist()])
    for index in np.ndindex(*labels.shape[:2]):  # together, the planes of a large stack would not fit into memory
        plane = labels[index]
        place = np.searchsorted(keys, plane).clip(max=len(keys) - 1)
        hit = keys[place] == plane
        plane[hit] = values[place[hit]]


def places_of(ids: Iterable[int], plane: NDArray[Any]) -> NDArray[np.intp]:
    """Return where in a plane (Y, X) some ids are, as indices into its pixels row by row."""
    return np.flatnonzero(np.isin(plane, list(ids)))


def rename_at(plane: NDArray[Any], places: NDArray[np.intp], ids: dict[int, int]) -> None:
    """Replace ids in place at some places of a plane (Y, X), see `places_of`; other ids there stay as they are."""
    where = np.unravel_index(places, plane.shape)
    before, back = np.unique(plane[where], return_inverse=True)
    plane[where] = np.array([ids.get(label, label) for label in before.tolist()], plane.dtype)[back]


def largest(labels: NDArray[Any]) -> int:
    """Return the largest id after which new objects are numbered on."""
    return int(labels[labels < COUNTED_IDS].max(initial=0))
