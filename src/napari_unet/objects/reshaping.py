"""The outline of one object mended: by a stroke, or by filling its holes or smoothing it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import EditError
from napari_unet.objects.boxes import box_around, grown
from napari_unet.objects.edits import MIN_SIZE, Edit, box_of, id_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

SMOOTHING = 2.0
"""Standard deviation, pixels, of the Gaussian that an outline is smoothed with."""


def redrawn(labels: NDArray[Any], line: ArrayLike, width: float, *, min_size: int = MIN_SIZE) -> Edit:
    """Move the outline of an object to where a line is drawn.

    A line out of an object and back into it is its new outline there: what the two enclose is added. A line across an
    object cuts off the smaller part. A line that ends on the other side of the outline than it begins is a stroke of
    a brush: out of the object it adds what is under it, from outside it pushes the outline in. See `reshaped`.

    Parameters
    ----------
    labels : ndarray of int, axes (Y, X)
        One slice of a volume: a line lies in a plane (`Edit.in_slice`).
    line : array-like of float, axes (n, 2)
        Points y, x along it, in their order, within the image.
    width : float
        Of the brush, pixels.
    min_size : int
        Pixels that are left of the object at least.

    Raises
    ------
    EditError
        If the line leaves the image, meets no object, changes nothing, or would leave too little.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((9, 9), int)
    >>> labels[2:7, 2:5] = 1
    >>> edit = redrawn(labels, [(2, 4), (2, 6), (6, 6), (6, 4)], 3)
    >>> int((edit.applied(labels) == 1).sum())
    25
    """
    points = np.asarray(line, np.float64).reshape(-1, 2)
    begins_in, ends_in = (id_at(labels, point.tolist()) for point in (points[0], points[-1]))
    stroke = brushed(points, 1.0 if begins_in == ends_in else width, labels.shape)
    if begins_in and begins_in == ends_in and (labels[stroke] == begins_in).all():
        raise EditError("The line stays inside the object. Draw out of it and back, to add to it.")
    return reshaped(labels, stroke, begins_in, min_size=min_size)


def brushed(points: NDArray[np.float64], width: float, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return the pixels (Y, X) of an image under a brush that goes along points (n, 2).

    Parameters
    ----------
    points : ndarray of float, axes (n, 2)
        Coordinates y, x.
    width : float
        Diameter of the brush, pixels; up to 1: a line without gaps.
    shape : sequence of int
        Of the image.
    """
    from skimage.draw import line

    ends = np.floor(points + 0.5).astype(np.intp)
    reach = math.ceil(max(width, 1.0))
    low, high = ends.min(0) - reach, ends.max(0) + reach + 1
    drawn = np.zeros(high - low, bool)
    for first, second in zip(
        ends[: max(1, len(ends) - 1)] - low, (ends[1:] if len(ends) > 1 else ends) - low, strict=True
    ):
        drawn[line(*first.tolist(), *second.tolist())] = True
    if width > 1:
        drawn = ndimage.distance_transform_edt(~drawn) <= width / 2
    under = np.zeros(tuple(shape), bool)
    inside = tuple(slice(max(0, int(a)), max(0, min(n, int(b)))) for a, b, n in zip(low, high, shape, strict=True))
    under[inside] = drawn[tuple(slice(s.start - int(a), s.stop - int(a)) for s, a in zip(inside, low, strict=True))]
    return under


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
    new = _without_cut_off(inside, (inside & wide) | ((part == 0) & grows))
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
    left = _without_cut_off(inside, inside & ~stroke[box])
    _check_left(label, left, min_size, "delete it instead")
    return Edit.of(labels, box, np.where(inside & ~left, 0, part), "The stroke meets no object.")


def _without_cut_off(inside: NDArray[np.bool_], left: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what is left of an object without the smaller pieces that were cut off, and without new ones.

    Of each piece that the object had before, the largest part is kept: pieces beside it are not cut off.
    """
    before, count = ndimage.label(inside)
    after, parts = ndimage.label(left)
    if parts <= 1:
        return left
    piece_of, known = np.zeros(parts + 1, np.intp), left & inside
    piece_of[after[known]] = before[known]
    sizes = np.bincount(after.ravel(), minlength=parts + 1)
    sizes[0] = 0
    kept = [
        int(np.where(piece_of == piece, sizes, 0).argmax())
        for piece in range(1, count + 1)
        if (piece_of == piece).any()
    ]
    return np.asarray(np.isin(after, kept) & left)


def _check_left(label: int, mask: NDArray[np.bool_], min_size: int, instead: str) -> None:
    size = int(np.count_nonzero(mask))
    if size < max(1, min_size):
        raise EditError(f"Of object {label} only {size} pixels would be left (least: {min_size}); {instead}.")


def _without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with the holes filled, of a volume's those of each slice."""
    if mask.ndim == 2:
        return np.asarray(ndimage.binary_fill_holes(mask))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
