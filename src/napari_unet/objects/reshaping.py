"""The outline of one object mended: by a stroke, or by filling its holes or smoothing it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import EditError
from napari_unet.objects.edits import MIN_SIZE, Edit, box_around, box_of, grown, largest_piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SMOOTHING = 2.0
"""Standard deviation, pixels, of the Gaussian that an outline is smoothed with."""


def reshaped(labels: NDArray[Any], stroke: NDArray[np.bool_], begins_in: int = 0, *, min_size: int = MIN_SIZE) -> Edit:
    """Move the outline of an object by a stroke.

    A stroke that begins inside an object adds to it what is free under it, and what it encloses together with the
    object. One that begins outside pushes the outline in: what is under it goes, and what it cuts off. That is done to
    the object with the most pixels under it; no other object changes.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    stroke : ndarray of bool, axes ([Z,] Y, X)
        Pixels under the brush.
    begins_in : int
        Id of the object that the stroke began in; 0: in the background.
    min_size : int
        Pixels that are left of the object at least.

    Raises
    ------
    EditError
        If the stroke meets no object, changes nothing, or would leave too little of it.
    """
    under = box_around(stroke)
    if under is None:
        raise EditError("There is no stroke.")
    return _extended(labels, stroke, under, begins_in) if begins_in else _pushed_in(labels, stroke, under, min_size)


def filled_holes(labels: NDArray[Any], label: int) -> Edit:
    """Fill the holes of an object, in a volume those of each slice; other objects in a hole stay.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    label : int
        The object.

    Raises
    ------
    EditError
        If there is no such object, or it has no hole.
    """
    box = box_of(labels, [label])
    part = labels[box]
    filled = _without_holes(part == label) & (part == 0)
    return Edit.of(labels, box, np.where(filled, label, part), f"Object {label} has no holes.")


def smoothed(
    labels: NDArray[Any], label: int, *, smoothing: float | Sequence[float] = SMOOTHING, min_size: int = MIN_SIZE
) -> Edit:
    """Smooth the outline of an object where it borders on background; borders with other objects stay.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    label : int
        The object.
    smoothing : float or sequence of float
        Standard deviation of the Gaussian, in pixels, along each axis.
    min_size : int
        Pixels that are left of the object at least.

    Raises
    ------
    EditError
        If there is no such object, it is smooth already, or too little of it would be left.
    """
    margin = math.ceil(4 * float(np.max(smoothing)))
    box = grown(box_of(labels, [label]), margin, labels.shape)
    part = labels[box]
    inside, others = part == label, (part != 0) & (part != label)
    # What lies beyond the border of the image is taken to go on as it is there.
    wide = ndimage.gaussian_filter((inside | others).astype(np.float32), smoothing, mode="nearest") > 0.5
    grows = ndimage.gaussian_filter(inside.astype(np.float32), smoothing, mode="nearest") > 0.5
    new = largest_piece((inside & wide) | ((part == 0) & grows))
    _check_left(label, new, min_size, "smooth it less")
    after = np.where(new, label, np.where(inside, 0, part))
    return Edit.of(labels, box, after, f"Object {label} is smooth already.")


def _extended(labels: NDArray[Any], stroke: NDArray[np.bool_], under: tuple[slice, ...], label: int) -> Edit:
    """Return the edit that adds to an object what is free under a stroke, and what the two enclose."""
    own = box_of(labels, [label])
    box = tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(own, under, strict=True))
    part = labels[box]
    inside, free = part == label, part == 0
    wider = inside | (stroke[box] & free)
    enclosed = _without_holes(wider) & ~_without_holes(inside) & free
    pieces, _ = ndimage.label(wider | enclosed)
    new = np.isin(pieces, np.unique(pieces[inside]))
    return Edit.of(labels, box, np.where(new, label, part), f"The stroke adds nothing to object {label}.")


def _pushed_in(labels: NDArray[Any], stroke: NDArray[np.bool_], under: tuple[slice, ...], min_size: int) -> Edit:
    """Return the edit that takes from an object what is under a stroke, and what that cuts off."""
    ids, counts = np.unique(labels[under][stroke[under]], return_counts=True)
    if not (ids > 0).any():
        raise EditError("The stroke meets no object.")
    label = int(ids[ids > 0][counts[ids > 0].argmax()])
    box = box_of(labels, [label])
    part = labels[box]
    inside = part == label
    left = largest_piece(inside & ~stroke[box])
    _check_left(label, left, min_size, "delete it instead")
    return Edit.of(labels, box, np.where(inside & ~left, 0, part), "The stroke meets no object.")


def _check_left(label: int, mask: NDArray[np.bool_], min_size: int, instead: str) -> None:
    size = int(np.count_nonzero(mask))
    if size < max(1, min_size):
        raise EditError(f"Of object {label} only {size} pixels would be left (least: {min_size}); {instead}.")


def _without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with the holes filled, of a volume's those of each slice."""
    if mask.ndim == 2:
        return np.asarray(ndimage.binary_fill_holes(mask))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
