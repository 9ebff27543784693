"""What is wrong in a segmentation of objects, one error for each thing that a person would mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import label

from napari_unet.evaluation.metrics import contingency
from napari_unet_benchmarks.annotator_model import LIKE, PART, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

MATCHED = 0.5
"""A true object that a predicted one matches with this intersection over union, or more, is found."""

MIN_PIXELS = 20
"""Smaller pieces of the true labels are left out."""


@dataclass(frozen=True, slots=True)
class ObjectError:
    """An error.

    Attributes
    ----------
    kind : Kind
    true, predicted : tuple of int
        Ids of the objects that are part of it.
    """

    kind: Kind
    true: tuple[int, ...]
    predicted: tuple[int, ...]


def true_pieces(truth: NDArray[Any]) -> NDArray[np.int32]:
    """Return true labels (Y, X) with pieces that lie apart as objects of their own, without the smallest."""
    pieces: NDArray[np.int32] = label(truth, background=0, connectivity=2).astype(np.int32)
    pieces[np.bincount(pieces.ravel())[pieces] < MIN_PIXELS] = 0
    return pieces


def object_errors(truth: NDArray[Any], labels: NDArray[Any], matched: float = MATCHED) -> list[ObjectError]:
    """Return what is wrong with labels (Y, X), or (Z, Y, X).

    A predicted object that covers more than half of two or more true ones, of which one at least is not found, is one
    error (merged). A true object that is not found is otherwise split, if two or more predicted ones lie mostly within
    it; has a bad outline, if one is like it; or is missed: what lies mostly within it, or covers most of it, is part of
    that error. A predicted object that matches none and is part of no other error is spurious.
    """
    true_ids, ids = np.unique(truth[truth > 0]), np.unique(labels[labels > 0])
    table = contingency(truth, labels).toarray()
    shared, true_sizes, sizes = table[1:, 1:], table.sum(1)[1:], table.sum(0)[1:]
    iou = shared / np.maximum(true_sizes[:, None] + sizes - shared, 1)
    covers = shared > 0.5 * true_sizes[:, None]
    found = iou.max(axis=1, initial=0) >= matched
    merged = (covers.sum(axis=0) > 1) & (covers & ~found[:, None]).any(axis=0)
    errors = [
        ObjectError(Kind.MERGED, tuple(true_ids[covers[:, column]].tolist()), (int(ids[column]),))
        for column in np.flatnonzero(merged)
    ]
    for row in np.flatnonzero(~found & ~(covers & merged).any(axis=1)):
        true = (int(true_ids[row]),)
        parts = np.flatnonzero((shared[row] > 0.5 * sizes) & (shared[row] >= PART * true_sizes[row]))
        best = int(iou[row].argmax()) if len(ids) else 0
        if len(parts) > 1:
            errors.append(ObjectError(Kind.SPLIT, true, tuple(ids[parts].tolist())))
        elif len(ids) and iou[row, best] >= LIKE:
            errors.append(ObjectError(Kind.OUTLINE, true, (int(ids[best]),)))
        else:
            there = ids[(shared[row] > 0.5 * sizes) | covers[row]]
            errors.append(ObjectError(Kind.MISSED, true, tuple(there.tolist())))
    involved = {label for error in errors for label in error.predicted}
    alone = ids[iou.max(axis=0, initial=0) < matched].tolist()
    return errors + [ObjectError(Kind.SPURIOUS, (), (one,)) for one in alone if one not in involved]
