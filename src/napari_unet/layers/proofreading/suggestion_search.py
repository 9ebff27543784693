"""Which slices an object can be suggested in: a search through whole planes, in a worker, while the user goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.objects.between_slices import outlines_between
from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_unet.objects.outline import Outline
    from napari_unet.progress import CancelToken

MAX_REACH = 50
"""Slices in which another corrected one is looked for, to each side."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What was found.

    Attributes
    ----------
    label : int
        The object's id in the other slices. Another one than in the slice in view where the object was drawn in both,
        and has got two ids.
    outlines : dict
        Its shape by slice.
    """

    label: int
    outlines: dict[int, Outline]


@dataclass(frozen=True, slots=True, eq=False)
class SuggestionSearch:
    """Looks for the slices between which an object can be suggested. Labels are only read.

    Attributes
    ----------
    labels : ndarray of int, axes (N, Y, X)
        Slices, or frames.
    reviewed : ndarray of bool, axes (N, Y, X)
    corrected : mapping
        The ids that were corrected, by slice, for slices up to `MAX_REACH` away.
    index : int
        The slice in view.
    label : int
        The object.
    cancel : CancelToken
        Stops it.
    """

    labels: NDArray[Any]
    reviewed: NDArray[Any]
    corrected: Mapping[int, frozenset[int]]
    index: int
    label: int
    cancel: CancelToken

    def run(self) -> Suggestions:
        """Return what is found; `Suggestions.outlines` may be empty.

        Raises
        ------
        Cancelled
            If it was stopped.
        """
        label, ends = self.label, [end for step in (-1, 1) if (end := self._end(step)) is not None]
        if not ends:
            other = self._joined()
            if other is not None:
                label, ends = other[0], [other[1]]
        found: dict[int, Outline] = {}
        for end in ends:
            if label == self.label:
                found |= outlines_between(self.labels, self.index, end, label)
            else:
                found |= self._between_ids(end, label)
        return Suggestions(label, found)

    def _plane(self, index: int) -> NDArray[Any]:
        self.cancel.check()
        plane: NDArray[Any] = self.labels[index]
        return plane

    def _end(self, step: int) -> int | None:
        """Return the nearest slice to one side between which and that in view the object can be suggested."""
        gap = False
        for index in self._reach(step):
            mask = self._plane(index) == self.label
            if not mask.any():
                gap = True
            elif gap or self.label in self.corrected[index] or self.reviewed[index][mask].all():
                return index if abs(index - self.index) > 1 else None
        return None

    def _reach(self, step: int) -> range:
        if step < 0:
            return range(self.index - 1, max(-1, self.index - MAX_REACH - 1), -1)
        return range(self.index + 1, min(len(self.labels), self.index + MAX_REACH + 1))

    def _joined(self) -> tuple[int, int] | None:
        """Return id and slice of a corrected object further away that is to be one with this; None: there is none.

        This one has to be in the slice in view alone.
        """
        here = self._plane(self.index) == self.label
        beside = [i for i in (self.index - 1, self.index + 1) if 0 <= i < len(self.labels)]
        if any((self._plane(index) == self.label).any() for index in beside):
            return None
        for distance in range(2, MAX_REACH + 1):
            for index in (self.index - distance, self.index + distance):
                if 0 <= index < len(self.labels) and self.corrected[index]:
                    other = self._corrected_there(here, index)
                    if other is not None:
                        return other, index
        return None

    def _corrected_there(self, here: NDArray[Any], index: int) -> int | None:
        """Return the object that overlaps most of those that were corrected there, and are not in the slice in view."""
        _, ids, counts = overlaps(here, self._plane(index))
        for _, other in sorted(zip(counts.tolist(), ids.tolist(), strict=True), reverse=True):
            if other in self.corrected[index] and not (self.labels[self.index] == other).any():
                return int(other)
        return None

    def _between_ids(self, end: int, label: int) -> dict[int, Outline]:
        """Return the shapes between the slice in view, where the object has its own id, and another one."""
        here = self._plane(self.index)
        return outlines_between(
            {self.index: (here == self.label) * here.dtype.type(label), end: self._plane(end)}, self.index, end, label
        )
