"""Regions that nothing is learned from, on which an old and a new model are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.inference.scale import nearest_indices
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.objects.masks import widened
from napari_unet.objects.stitch import compact
from napari_unet.tiling.engine import predict_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from napari_unet.learning.policy import SplitPolicy
    from napari_unet.models.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutRegion:
    """A region of which the labels are known to be right.

    Attributes
    ----------
    image : ndarray of float32, axes (C, [Z,] Y, X)
        Normalised, with enough around the region.
    labels : ndarray of int, axes ([Z,] Y, X)
    mask : ndarray of bool, axes ([Z,] Y, X)
        The pixels that are compared.
    image_before : ndarray of float32, axes (C, [Z,] Y, X), optional
        The same region at the scale of the model that learning began with, where that was another.
    """

    image: NDArray[np.float32]
    labels: NDArray[Any]
    mask: NDArray[np.bool_]
    image_before: NDArray[np.float32] | None = None


def predict_regions(
    regions: Sequence[HeldOutRegion], model: Model, device: torch.device, *, before: bool = False
) -> tuple[NDArray[np.int32], ...]:
    """Return what a model makes of each region, labels ([Z,] Y, X).

    Parameters
    ----------
    regions : sequence of HeldOutRegion
    model : Model
    device : torch.device
    before : bool
        Whether it is the model that learning began with, which may have worked at another scale.
    """
    return decoded_regions(regions, model, region_maps(regions, model, device, before=before))


def region_maps(
    regions: Sequence[HeldOutRegion], model: Model, device: torch.device, *, before: bool = False
) -> Iterator[NDArray[np.float32]]:
    """Yield what the network makes of each region, maps (K, [Z,] Y, X); see `predict_regions`."""
    images = [one.image_before if before and one.image_before is not None else one.image for one in regions]
    yield from predict_all(model.net, images, softmax=not model.info.finds_objects, device=device)


def decoded_regions(
    regions: Sequence[HeldOutRegion], model: Model, maps: Iterable[NDArray[np.float32]]
) -> tuple[NDArray[np.int32], ...]:
    """Return the labels ([Z,] Y, X) that a model reads out of the maps of each region."""
    found = []
    for region, labels in zip(regions, map(model.decode, maps), strict=True):
        same = labels.shape == region.labels.shape
        found.append(labels if same else labels[nearest_indices(labels.shape, region.labels.shape)])
    return tuple(found)


def square_width(
    labels: Sequence[NDArray[Any]], reviewed: Sequence[NDArray[np.bool_]], policy: SplitPolicy = DEFAULT_POLICY.split
) -> int:
    """Return the width of the squares, pixels: about two and a half times that of a reviewed object.

    In steps of two, so that it seldom changes as more is reviewed: what was held out has to stay so.

    Parameters
    ----------
    labels, reviewed : sequences of ndarray, axes (Z, Y, X)
        Objects and reviewed pixels.
    policy : SplitPolicy
    """
    widths = [
        max(box[-2].stop - box[-2].start, box[-1].stop - box[-1].start)
        for ids, mask in zip(labels, reviewed, strict=True)
        for box in ndimage.find_objects(compact(np.where(mask, ids, 0)))
    ]
    width = policy.square_width
    while widths and width < policy.squares_per_object * float(np.median(widths)):
        width *= 2
    return width


def held_out_squares(reviewed: NDArray[np.bool_], width: int, corner: Sequence[int] = (0, 0)) -> NDArray[np.bool_]:
    """Return the reviewed pixels of every fourth square, such that any two by two squares have one.

    By their position alone, and the same in all slices: the same ones are held out whenever there is learning.

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


def outside_buffer(
    supervised: NDArray[np.bool_], held_out: NDArray[np.bool_], buffer: int, min_left_share: float
) -> tuple[NDArray[np.bool_], int]:
    """Return the supervised pixels (Z, Y, X) that are learned from, and the buffer between them and held-out ones.

    The buffer is a receptive field wide, so that the network has not seen the surroundings of held-out pixels either.
    It is halved, down to none, where that would leave too little to learn from, as in a single small field.

    Parameters
    ----------
    supervised, held_out : ndarray of bool, axes (Z, Y, X)
    buffer : int
        Width that is wanted, pixels.
    min_left_share : float
        Share of the supervised pixels that are not held out, which has to be left.
    """
    enough = min_left_share * np.count_nonzero(supervised & ~held_out)
    while True:
        left = supervised & ~widened(held_out, buffer)
        if buffer == 0 or np.count_nonzero(left) >= enough:
            return left, buffer
        buffer //= 2
