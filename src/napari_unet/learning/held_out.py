"""Places that nothing is learned from, on which an old and a new model are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.inference.scale import nearest_indices
from napari_unet.objects.stitch import compact
from napari_unet.tiling.engine import predict_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from napari_unet.models.model import Model

CELL = 96
"""Least width, in pixels, of the squares that reviewed area is divided into; one of four is held out."""

SQUARE = 32
"""Width of the pieces, in pixels, that are compared where there are classes and no objects."""

MIN_OBJECTS = 4
"""Objects, or for classes squares, that have to be held out: on fewer nothing can be decided."""

MAX_HELD_OUT_SHARE = 0.4
"""Share of all that could be learned from which is kept aside at most."""

MIN_LEFT_SHARE = 0.5
"""Share of what is left to learn from that the distance kept from the held-out squares may not take away more than."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutRegion:
    """A place that is known to be right.

    Attributes
    ----------
    image : ndarray of float32, axes (C, [Z,] Y, X)
        Normalised, with enough around the place.
    labels : ndarray of int, axes ([Z,] Y, X)
    mask : ndarray of bool, axes ([Z,] Y, X)
        The pixels that are compared.
    corrected : frozenset of int
        Ids of the objects that the user has changed; the others were accepted as the old model made them.
    before : ndarray of float32, axes (C, [Z,] Y, X), optional
        The same place at the scale at which the model worked that learning began with, where that was another.
    """

    image: NDArray[np.float32]
    labels: NDArray[Any]
    mask: NDArray[np.bool_]
    corrected: frozenset[int] = frozenset()
    before: NDArray[np.float32] | None = None


def predict_regions(
    exams: Sequence[HeldOutRegion], model: Model, device: torch.device, *, before: bool = False
) -> tuple[NDArray[np.int32], ...]:
    """Return what a model makes of each place, labels ([Z,] Y, X).

    Parameters
    ----------
    exams : sequence of Exam
    model : Model
    device : torch.device
    before : bool
        Whether it is the model that learning began with, which may have worked at another scale.
    """
    images = [exam.image if exam.before is None or not before else exam.before for exam in exams]
    maps = predict_all(model.net, images, softmax=not model.info.finds_objects, device=device)
    found = []
    for exam, labels in zip(exams, map(model.decode, maps), strict=True):
        same = labels.shape == exam.labels.shape
        found.append(labels if same else labels[nearest_indices(labels.shape, exam.labels.shape)])
    return tuple(found)


def square_width(labels: Sequence[NDArray[Any]], reviewed: Sequence[NDArray[np.bool_]]) -> int:
    """Return the width of the squares: about two and a half times that of a reviewed object.

    In steps of two, so that it seldom changes as more is reviewed: what was held out has to stay so.

    Parameters
    ----------
    labels, reviewed : sequences of ndarray, axes (Z, Y, X)
        Objects and reviewed pixels.
    """
    widths = [
        max(box[-2].stop - box[-2].start, box[-1].stop - box[-1].start)
        for ids, mask in zip(labels, reviewed, strict=True)
        for box in ndimage.find_objects(compact(np.where(mask, ids, 0)))
    ]
    width = CELL
    while widths and width < 2.5 * float(np.median(widths)):
        width *= 2
    return width


def held_out(reviewed: NDArray[np.bool_], width: int, corner: Sequence[int] = (0, 0)) -> NDArray[np.bool_]:
    """Return the reviewed pixels of every fourth square, such that any two by two squares have one.

    By their place alone, and the same in all slices: the same ones are held out whenever there is learning.

    Parameters
    ----------
    reviewed : ndarray of bool, axes (Z, Y, X)
    width : int
        Of the squares, pixels.
    corner : sequence of int
        Where `reviewed` begins in the image, (Y, X).
    """
    rows, columns = (np.arange(first, first + n) // width for first, n in zip(corner, reviewed.shape[-2:], strict=True))
    chosen = (columns[None, :] + 2 * rows[:, None]) % 4 == 0
    return np.asarray(reviewed & chosen)


def apart(
    supervised: NDArray[np.bool_], held: NDArray[np.bool_], halo: int, kept: float = MIN_LEFT_SHARE
) -> tuple[NDArray[np.bool_], int]:
    """Return the supervised pixels (Z, Y, X) that are learned from, and how far they stay from the held-out ones.

    A receptive field away, so that the network has not seen the answers' surroundings either; less where that would
    leave less to learn from than a share `kept`, as in a single small field.
    """
    margin = halo
    while True:
        near = held
        for axis in (-2, -1):
            near = ndimage.maximum_filter1d(near.view(np.uint8), 2 * margin + 1, axis=axis).view(bool)
        left = supervised & ~near
        if margin == 0 or np.count_nonzero(left) >= kept * np.count_nonzero(supervised & ~held):
            return left, margin
        margin //= 2
