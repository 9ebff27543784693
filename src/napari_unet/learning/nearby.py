"""What lies near corrections: as far as that the user has probably looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.learning.comparison import piece_numbers
from napari_unet.learning.policy import DEFAULT_POLICY
from napari_unet.objects.masks import widened
from napari_unet.objects.stitch import compact

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.corrections.part import Part
    from napari_unet.learning.policy import SplitPolicy


def near_corrections(
    part: Part, corrected: NDArray[np.bool_], pixels: float = 1.0, policy: SplitPolicy = DEFAULT_POLICY.split
) -> NDArray[np.bool_]:
    """Return the pixels (Z, Y, X) that were segmented, and seen by the user who corrected something near them.

    Parameters
    ----------
    part : Part
    corrected : ndarray of bool, axes (Z, Y, X)
        Corrected objects.
    pixels : float
        Pixels of the image, along Y or X, in one of the network.
    policy : SplitPolicy
    """
    near = widened(corrected, round(policy.seen_distance * pixels))
    return np.asarray(near & part.corrections.seen[0])


def connected_parts(mask: NDArray[np.bool_], width: int) -> tuple[NDArray[Any], list[tuple[slice, ...]]]:
    """Return the number of the connected part that each pixel of a mask is in, from 1, and the box of each.

    Parameters
    ----------
    mask : ndarray of bool, axes (Z, Y, X)
    width : int
        Of the squares, pixels, into which what is wider is divided.
    """
    numbers: NDArray[Any] = ndimage.label(mask)[0]
    if max(mask.shape[-2:]) > width:
        squares = piece_numbers(mask.shape, width)
        numbers = compact(np.where(mask, numbers * np.int64(squares.max() + 1) + squares, 0))
    return numbers, ndimage.find_objects(numbers)
