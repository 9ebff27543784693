"""Copies of labels and corrections in a few slices, to learn from while the user paints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.objects.boxes import grown, union

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections

_COARSE = 4
"""Every how many pixels, along Y and X, one is counted to estimate the area of objects in a plane."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A copy of a region of some successive slices: all supervised pixels in them, with a margin.

    Attributes
    ----------
    frame : int
        Time point.
    corner : tuple of int
        First pixel, (Z, Y, X).
    labels : ndarray of int32, axes (Z, Y, X)
    corrections : Corrections
        Of these labels; one time point.
    elsewhere : int
        Estimated number of pixels of objects in these slices outside of the region.
    unknown : ndarray of bool, axes (Z, Y, X), optional
        Pixels of which nothing is known, though they are those of objects that were changed.
    """

    frame: int
    corner: tuple[int, int, int]
    labels: NDArray[np.int32]
    corrections: Corrections
    elsewhere: int = 0
    unknown: NDArray[np.bool_] | None = None

    def mask(self, kind: Literal["corrected", "supervised"]) -> NDArray[np.bool_]:
        """Return the corrected pixels, or all supervised ones, without those that are unknown; axes (Z, Y, X)."""
        find = getattr(self.corrections, kind)
        mask = np.stack([find(self.labels[None], (0, z)) for z in range(len(self.labels))])
        return mask if self.unknown is None else mask & ~self.unknown

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """The reviewed pixels, axes (Z, Y, X)."""
        reviewed: NDArray[np.bool_] = self.corrections.reviewed[0]
        return reviewed


def copied_parts(corrections: Corrections, labels: NDArray[Any], around: int = 0, margin: int = 0) -> list[Part]:
    """Return copies of all supervised pixels, as of the last `Corrections.update`: one for each run of slices.

    Parameters
    ----------
    corrections : Corrections
    labels : ndarray of int, axes (T, Z, Y, X)
    around : int
        Number of slices above and below that are copied, too.
    margin : int
        Width of the margin along Y and X, in pixels.
    """
    runs: list[tuple[int, slice]] = []
    for frame, z in corrections.supervised_planes():
        first, stop = max(0, z - around), min(corrections.shape[1], z + 1 + around)
        if runs and runs[-1][0] == frame and runs[-1][1].stop >= first:
            runs[-1] = frame, slice(runs[-1][1].start, stop)
        else:
            runs.append((frame, slice(first, stop)))
    return [_copied(corrections, labels, frame, z, margin) for frame, z in runs]


def _copied(corrections: Corrections, labels: NDArray[Any], frame: int, z: slice, margin: int) -> Part:
    boxes = [
        corrections.box((t, i)) for t, i in corrections.supervised_planes() if t == frame and z.start <= i < z.stop
    ]
    y, x = grown(union(*boxes), margin, corrections.shape[2:])
    ids = np.array(labels[frame, z, y, x], np.int32)
    everywhere = np.count_nonzero(labels[frame, z, ::_COARSE, ::_COARSE])
    here = np.count_nonzero(ids[:, -y.start % _COARSE :: _COARSE, -x.start % _COARSE :: _COARSE])
    elsewhere = int(everywhere - here) * _COARSE**2
    return Part(frame, (z.start, y.start, x.start), ids, corrections.copy(frame, (z, y, x)), elsewhere)
