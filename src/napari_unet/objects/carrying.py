"""An object continued in the next slice or frame: by the object that lies there, or by its own shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import EditError
from napari_unet.objects.edits import Edit, box_of
from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_FREE_SHARE = 0.5
"""Share of a copied object that has to lie on background: less would be a sliver between others."""


def carried(here: NDArray[Any], there: NDArray[Any], label: int, min_iou: float) -> Edit:
    """Continue an object of one slice (or frame) in the next one.

    If an object overlaps it there that is not here, it is the same one and gets its id. Else its shape is copied, as
    far as there is background.

    Parameters
    ----------
    here, there : ndarray of int, axes ([Z,] Y, X)
        The slice with the object, and the next one.
    label : int
        Its id.
    min_iou : float
        Intersection over union from which it is the same one.

    Returns
    -------
    Edit
        Of `there`. Its `made` is empty where an object was found, and else holds the id.

    Raises
    ------
    EditError
        If the object is there already, is not here, or others are in its place.
    """
    box = box_of(here, [label])
    if (there == label).any():
        raise EditError(f"Object {label} is there already.")
    mask = here[box] == label
    same = _same(here, there, box, mask, min_iou)
    if same is not None:
        box = box_of(there, [same])
        after = np.where(there[box] == same, there.dtype.type(label), there[box])
        return Edit.of(there, box, after, "")
    free = mask & (there[box] == 0)
    if free.sum() < MIN_FREE_SHARE * mask.sum():
        raise EditError("Other objects are in its place there. Split or delete them first.")
    after = np.where(free, there.dtype.type(label), there[box])
    return Edit.of(there, box, after, "", made=(label,))


def _same(
    here: NDArray[Any], there: NDArray[Any], box: tuple[slice, ...], mask: NDArray[np.bool_], min_iou: float
) -> int | None:
    """Return the id of the object there that overlaps most, if it is none of those here."""
    _, ids, counts = overlaps(mask.astype(np.uint8), there[box])
    best: tuple[float, int] | None = None
    for other, count in zip(ids.tolist(), counts.tolist(), strict=True):
        iou = count / (int(mask.sum()) + int(np.count_nonzero(there == other)) - count)
        if iou >= min_iou and (best is None or iou > best[0]) and not (here == other).any():
            best = iou, other
    return None if best is None else best[1]
