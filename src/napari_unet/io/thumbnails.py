"""A small picture of an image file, for lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.io.channels import is_rgb
from napari_unet.io.readers import read_image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_PIXELS = 2**25
"""Most pixels of a plane of which all are looked at; of a larger one, a part in its middle is."""

_RANGE = (1.0, 99.8)  # percentiles that become black and white


def thumbnail(path: Path, series: int | None = None, width: int = 64) -> NDArray[np.uint8]:
    """Return a small picture of the middle plane of an image.

    Parameters
    ----------
    path : Path
    series : int, optional
        Number of the image in a file that holds several.
    width : int
        Of the longer side, pixels; a smaller image is not made larger.

    Returns
    -------
    ndarray of uint8, axes (Y, X, 3)
        Colours, or the mean of all channels in grey.

    Raises
    ------
    FileFormatError, ImageError
        If it cannot be read.
    """
    image = read_image(path, series=series, tolerant=True)
    depth, height, across = image.space
    side = int(MAX_PIXELS**0.5)
    rows, columns = (
        slice(max(0, (n - side) // 2), (n + side) // 2) if height * across > MAX_PIXELS else slice(0, n)
        for n in (height, across)
    )
    z = slice(depth // 2, depth // 2 + 1)
    plane = image.read(image.n_frames // 2, z, rows, columns)[:, 0]
    step = max(1, -(-max(plane.shape[1:]) // width))
    small = np.nan_to_num(_means(plane, step))
    if not is_rgb(image):
        small = np.repeat(_stretched(small).mean(axis=0, keepdims=True), 3, axis=0)
    elif plane.dtype != np.uint8:
        small = small / max(1.0, float(np.iinfo(plane.dtype).max)) * 255
    return np.ascontiguousarray(small.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def _means(plane: NDArray[np.generic], step: int) -> NDArray[np.float32]:
    """Return the means of blocks of `step` x `step` pixels of a plane (C, Y, X); an incomplete block is left out."""
    rows, columns = (max(1, n // step) for n in plane.shape[1:])
    cut = plane[:, : rows * step, : columns * step]
    tall, wide = cut.shape[1] // rows, cut.shape[2] // columns
    blocks = cut.reshape(len(cut), rows, tall, columns, wide)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))


def _stretched(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each channel (Y, X) from 0 to 255."""
    low, high = (np.percentile(channels, share, axis=(1, 2), keepdims=True) for share in _RANGE)
    return np.asarray(255 * (channels - low) / np.maximum(high - low, 1e-9), np.float32)
