"""Gives objects one id from slice to slice, or frame to frame: found in a worker, and applied plane by plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.corrections.identity import pixels_of
from napari_unet.io import spill
from napari_unet.objects.label_images import COUNTED_IDS
from napari_unet.objects.linking import linked_ids

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections
    from napari_unet.layers.jobs import Steps

FREE_IDS = 100
"""Ids that are left free while frames are linked: for what somebody paints meanwhile."""


@dataclass(frozen=True, slots=True, eq=False)
class Renaming:
    """Where objects of one plane have to be given other ids.

    Attributes
    ----------
    plane : tuple of int
        Time point and slice.
    labels, prediction : ndarray of int
        Indices in the flat plane of the labels, and of what was predicted.
    ids : dict
        Old id to new id.
    """

    plane: tuple[int, int]
    labels: NDArray[np.intp]
    prediction: NDArray[np.intp]
    ids: dict[int, int]


def joining_steps(labels: NDArray[Any], corrections: Corrections, *, by_plane: bool) -> Steps:
    """Return a job that finds which objects of neighbouring slices are one (worker).

    Parameters
    ----------
    labels : ndarray of int, axes (T, Z, Y, X)
        Copied when the job begins.
    corrections : Corrections
        Of these labels.
    by_plane : bool
        Whether it yields a `Renaming` for each plane and returns nothing; else it returns which ids have to be changed.
    """

    def steps() -> Generator[Renaming, None, dict[int, int]]:
        copy = spill.zeros(labels.shape, labels.dtype)
        copy[...] = labels
        ids = corrections.joins(copy)
        if not (by_plane and ids):
            return ids
        for plane in corrections.planes():
            found = Renaming(plane, pixels_of(ids, copy[plane]), pixels_of(ids, corrections.prediction[plane]), ids)
            if len(found.labels) or len(found.prediction):
                yield found
        return {}

    return steps


def linking_steps(labels: NDArray[Any], corrections: Corrections) -> Steps:
    """Return a job that finds which objects of a time series are one (worker).

    It yields a `Renaming` for each plane in which ids change, and returns how many objects have got other ids.

    Parameters
    ----------
    labels : ndarray of int, axes (T, Z, Y, X)
        They may change meanwhile: what changes in a frame after its turn is not looked at.
    corrections : Corrections
        Of these labels.
    """

    def steps() -> Generator[Renaming, None, int]:
        count = 0
        for frame, ids in linked_ids(labels, corrections.prediction, corrections.last_id + FREE_IDS):
            count += len(ids)
            new = [label for label in ids.values() if label < COUNTED_IDS]
            corrections.last_id = max([corrections.last_id, *new])
            for z in range(corrections.shape[1]):
                plane = frame, z
                in_labels, in_prediction = (pixels_of(ids, array[plane]) for array in (labels, corrections.prediction))
                if len(in_labels) or len(in_prediction):
                    yield Renaming(plane, in_labels, in_prediction, ids)
        return count

    return steps
