"""Marks a field, or an object and a ring around it, as reviewed; finds which squares of a field are reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.corrections.corrections import RING
from napari_unet.errors import UNetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections

_MIN_REVIEWED_SHARE = 0.5
"""Share of a square above which the whole square counts as reviewed."""


def toggle_field(
    corrections: Corrections,
    plane: tuple[int, int],
    field: tuple[slice, slice],
    where: NDArray[np.bool_] | None = None,
) -> bool:
    """Mark a field (Y, X) of a plane (T, Z) as reviewed, or as not reviewed if all of it is; return if it now is.

    `where` is a mask of the pixels in the field that are meant; None: all.
    """
    reviewed = corrections.reviewed[(*plane, *field)]
    value = not bool((reviewed if where is None else reviewed[where]).all())
    reviewed[... if where is None else where] = value
    return value


def toggle_object(
    corrections: Corrections, labels: NDArray[Any], plane: tuple[int, int], pixel: tuple[int, int]
) -> bool:
    """Mark the object at a pixel and a ring around it as reviewed, or as not reviewed; return whether it now is.

    Only in this plane: the others are not in view. For classes, the object is the connected component of one class.
    Other reviewed objects that touch it stay reviewed.

    Parameters
    ----------
    corrections : Corrections
    labels : ndarray of int, axes (T, Z, Y, X)
        The current labels.
    plane, pixel : tuple of int
        Position of the object: (T, Z) and (Y, X).

    Raises
    ------
    UNetError
        If the pixel is background.
    """
    here, reviewed = labels[plane], corrections.reviewed[plane]
    label = here[pixel]
    if not label:
        raise UNetError("There is no object under the cursor. Point at one and press the key again.")
    mask = here == label
    if not corrections.instances:
        mask = _patch(mask, pixel)
    field = _around(mask)
    mask, here_field = mask[field], here[field]
    value = not bool(reviewed[field][mask].all())
    with_ring = ndimage.binary_dilation(mask, iterations=RING)
    if not value:
        beside = np.unique(here_field[with_ring & ~mask])
        whole = [other for other in beside if other and other != label and reviewed[here == other].all()]
        with_ring &= ~np.isin(here_field, whole)
    reviewed[field][with_ring] = value
    return value


def object_mask(labels: NDArray[Any], ids: Sequence[int], *, taken_back: bool = False) -> NDArray[np.bool_]:
    """Return what is marked when some objects are reviewed: they and a ring around them, in each slice.

    Parameters
    ----------
    labels : ndarray of int, axes (Z, Y, X)
        The objects and what is around them.
    ids : sequence of int
    taken_back : bool
        Whether this is what counts as reviewed no longer: then without the parts of the ring on other objects.
    """
    own = np.isin(labels, ids)
    disc = ndimage.generate_binary_structure(3, 1)
    disc[[0, 2]] = False
    mask = ndimage.binary_dilation(own, disc, iterations=RING)
    return np.asarray(mask & (own | (labels == 0)) if taken_back else mask)


def checked_squares(
    corrections: Corrections, labels: NDArray[Any], plane: tuple[int, int], field: tuple[slice, slice], width: int
) -> NDArray[np.bool_]:
    """Return in which squares of a field the user has corrected something, or reviewed more than half.

    Parameters
    ----------
    corrections : Corrections
    labels : ndarray of int, axes (T, Z, Y, X)
        The current labels.
    plane, field : tuple
        The field, (T, Z) and (Y, X).
    width : int
        Width of the squares, in pixels; the first begins at the corner of the field, the last ones may be smaller.

    Returns
    -------
    ndarray of bool, axes (rows, columns)
    """
    where = (*plane, *field)
    changed, reviewed = corrections.differs(labels, plane, field), corrections.reviewed[where]
    rows, columns = (-(-n // width) for n in changed.shape)
    if reviewed.all() or not (changed.any() or reviewed.any()):
        return np.full((rows, columns), bool(reviewed.all()))
    counts = np.stack([changed, reviewed, np.ones_like(reviewed)]).astype(np.int32)
    for axis in (1, 2):
        counts = np.add.reduceat(counts, np.arange(0, counts.shape[axis], width), axis=axis)
    return np.asarray((counts[0] > 0) | (counts[1] > _MIN_REVIEWED_SHARE * counts[2]))


def _patch(mask: NDArray[np.bool_], pixel: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the connected component of a mask (Y, X) at a pixel."""
    pieces, _ = ndimage.label(mask)
    return np.asarray(pieces == pieces[pixel])


def _around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the bounding box of a mask (Y, X) and the ring around it."""
    y, x = (
        slice(max(0, int(where[0]) - RING), int(where[-1]) + 1 + RING)
        for where in (np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0)))
    )
    return y, x
