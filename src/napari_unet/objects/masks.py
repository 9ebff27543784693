"""Masks of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


def widened(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Return a mask ([Z,] Y, X) that reaches so many pixels further along Y and X."""
    for axis in (-2, -1):
        mask = ndimage.maximum_filter1d(mask.view(np.uint8), 2 * pixels + 1, axis=axis).view(bool)
    return mask
