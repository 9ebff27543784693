"""What the user has done in one plane of a label image, found by comparison with the prediction.

An object of a plane that has another id, and every pixel that it was predicted with, is *renamed*: an id was carried
there from another slice or frame. That says nothing of its outline, which nobody need have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.corrections.boxes import box_of, with_objects
from napari_unet.corrections.identity import largest_id, renamed_objects
from napari_unet.objects.boxes import union

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.corrections.boxes import Field


@dataclass(frozen=True, slots=True)
class PlaneState:
    """What the user has done in a plane.

    Attributes
    ----------
    reviewed_pixels : int
    box : tuple of slice, (Y, X)
        Bounding box of what is changed or reviewed, with whole objects.
    changed_pixels : int
        Those with another label than predicted.
    touched : frozenset of int
        Ids of these pixels, now and as predicted.
    last_id : int
        Largest id that they have now.
    corrected_pixels : int
        Changed pixels of objects that are not only renamed.
    corrected : frozenset of int
        Ids of these.
    renamed : frozenset of int
        Ids that objects have now which are only renamed.
    joined : bool
        Whether some object would count as renamed but for the slice above or below.
    """

    reviewed_pixels: int
    box: Field
    changed_pixels: int = 0
    touched: frozenset[int] = frozenset()
    last_id: int = 0
    corrected_pixels: int = 0
    corrected: frozenset[int] = frozenset()
    renamed: frozenset[int] = frozenset()
    joined: bool = False


def compared(
    labels: NDArray[Any],
    prediction: NDArray[Any],
    reviewed: NDArray[np.bool_],
    index: tuple[int, int],
    *,
    instances: bool,
) -> PlaneState | None:
    """Return what the user has done in a plane; None: nothing.

    Parameters
    ----------
    labels, prediction : ndarray of int, axes (T, Z, Y, X)
    reviewed : ndarray of bool, axes (Y, X)
        The pixels of the plane that are marked as right.
    index : tuple of int
        Of the plane, (T, Z).
    instances : bool
        Whether labels are ids of objects.
    """
    changed = labels[index] != prediction[index]
    n_changed, n_reviewed = int(np.count_nonzero(changed)), int(np.count_nonzero(reviewed))
    if not (n_changed or n_reviewed):
        return None
    box = union(*(box_of(mask) for mask, n in ((changed, n_changed), (reviewed, n_reviewed)) if n))
    if not n_changed:
        return PlaneState(n_reviewed, box)
    now, before = labels[index][changed], prediction[index][changed]
    touched = touched_ids(now, before)
    box = with_objects(box, touched, labels[index], prediction[index])
    # In a single plane no id is carried from elsewhere: who gives an object another one has looked at it.
    carried = instances and labels.shape[:2] != (1, 1)
    same_outline = renamed_objects(labels[index], prediction[index], box) if carried else {}
    renamed = frozenset(same_outline) - _joined_in_z(labels, prediction, index, same_outline, box)
    counted = ~np.isin(now, list(renamed)) if renamed else np.ones(len(now), bool)
    return PlaneState(
        n_reviewed,
        box,
        n_changed,
        touched,
        largest_id(now),
        int(np.count_nonzero(counted)),
        touched_ids(now[counted], before[counted]),
        renamed,
        len(renamed) < len(same_outline),
    )


def _joined_in_z(
    labels: NDArray[Any], prediction: NDArray[Any], index: tuple[int, int], renamed: dict[int, int], box: Field
) -> frozenset[int]:
    """Return which objects of a plane have got the id of what lies above or below, and were not predicted so.

    There the user has removed a border between two slices.
    """
    (frame, z), joined = index, frozenset[int]()
    if not renamed:
        return joined
    now, before = labels[index][box], prediction[index][box]
    where = np.nonzero((now != before) & np.isin(now, list(renamed)))
    now, before = now[where], before[where]
    for beside in (z - 1, z + 1):
        if 0 <= beside < labels.shape[1]:
            plane = (frame, beside, *box)
            there, predicted = labels[plane][where], prediction[plane][where]
            joined |= touched_ids(now[(there == now) & (predicted != before)], np.zeros(0, int))
    return joined


def touched_ids(labels: NDArray[Any], prediction: NDArray[Any]) -> frozenset[int]:
    """Return the ids (not 0) in the labels and in the prediction of changed pixels."""
    ids = np.union1d(np.unique(labels), np.unique(prediction))
    return frozenset(int(i) for i in ids if i)
