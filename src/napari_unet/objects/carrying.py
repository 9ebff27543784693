"""An object continued in the next slice or frame: by the object that lies there, or by its own shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import EditError
from napari_unet.objects.boxes import absolute, box_around, grown, relative
from napari_unet.objects.edits import Edit, box_of
from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.progress import CancelToken

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


def renamed_on(
    labels: NDArray[Any],
    prediction: NDArray[Any],
    reviewed: NDArray[np.bool_],
    first: int,
    step: int,
    old: int,
    new: int,
    cancel: CancelToken | None = None,
) -> dict[int, Edit]:
    """Let an object that gets another id in one slice (or frame) have it in those that follow, as far as it goes on.

    It goes on where its next slice overlaps the one before. It ends before a slice in which somebody has corrected or
    reviewed it, or in which there is an object with the new id already.

    Parameters
    ----------
    labels, prediction : ndarray of int, axes (N, Y, X)
        Slices as they are, and as they were predicted.
    reviewed : ndarray of bool, axes (N, Y, X)
    first : int
        The slice in which it gets the new id, by another edit.
    step : int
        1: the slices after that; -1: those before.
    old, new : int
        Its ids.
    cancel : CancelToken, optional
        Stops it.

    Returns
    -------
    dict
        For each slice the edit (Y, X).
    """
    found: dict[int, Edit] = {}
    box = box_of(labels[first], [old])
    mask = labels[first][box] == old
    index = first + step
    while 0 <= index < len(labels):
        if cancel is not None:
            cancel.check()
        plane = labels[index]
        window, there = _near(plane, old, box)
        tight = box_around(there)
        if tight is None or not _overlap(box, mask, window, there) or (plane == new).any():
            break
        predicted = prediction[index][window]
        changed = (plane[window] != predicted) & (there | (predicted == old))
        if changed.any() or reviewed[index][window][there].any():
            break
        after = np.where(there, plane.dtype.type(new), plane[window])
        found[index] = Edit.of(plane, window, after, "")
        box = absolute(tight, window)
        mask = there[tight]
        index += step
    return found


def _near(plane: NDArray[Any], label: int, box: tuple[slice, ...]) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
    """Return a window (Y, X) around a box in which all pixels of an object lie that are joined to it, and which."""
    margin = max(part.stop - part.start for part in box)
    while True:
        window = grown(box, margin, plane.shape)
        there = plane[window] == label
        tight = box_around(there)
        if tight is None or all(
            (t.start > 0 or w.start == 0) and (t.stop < w.stop - w.start or w.stop == n)
            for t, w, n in zip(tight, window, plane.shape, strict=True)
        ):
            return window, there
        margin *= 2


def _overlap(
    box: tuple[slice, ...], mask: NDArray[np.bool_], window: tuple[slice, ...], there: NDArray[np.bool_]
) -> bool:
    """Whether a mask in a box, and one in a window around that box, have a pixel in common."""
    return bool((there[relative(box, window)] & mask).any())
