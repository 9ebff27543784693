"""Parts of an image as a model sees them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.models.normalize import measure
from napari_unet.network import sample_pixels
from napari_unet.task import choose_channels, magnification, nearest_places
from napari_unet.tiling.scaled import resized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.model import Model

Box = tuple[slice, slice, slice]

CONTEXT = 128
"""Pixels, as the network sees them, around what is learned from that patches may show."""


class FieldReader:
    """Reads parts of an image with the channels, the intensities and the pixel size that a model works at.

    Parameters
    ----------
    image : Image
    model : Model
        Gives normalisation, channels and pixel size.
    channels : sequence of int, optional
        Channels to take; None: those that the model takes.
    """

    def __init__(self, image: Image, model: Model, channels: Sequence[int] | None = None) -> None:
        self._image, self._model = image, model
        self._channels = tuple(channels) if channels else choose_channels(image, model)
        self._zoom = magnification(image, model.info)
        self._statistics = measure(sample_pixels(image, self._channels), model.info.normalization)

    @property
    def pixels(self) -> float:
        """Pixels of the image, along Y or X, in one of the network."""
        return 1 / float(np.sqrt(np.prod(self._zoom[-2:])))

    def read(self, frame: int, box: Box) -> NDArray[np.float32]:
        """Return a part, axes (C, [Z,] Y, X); `box` is (Z, Y, X) in the image's pixels, one slice for a 2D model."""
        block = self._model.normalized(self._image.read(frame, *box, channels=self._channels), self._statistics)
        return resized(block, self._scaled(block.shape[1:])) if self._zoom else block

    def fit(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels, or a mask, (Z, Y, X) of a part with the axes and the pixels that `read` gives it."""
        if self._model.info.spec.ndim == 2:
            labels = labels[0]
        if not self._zoom:
            return labels
        return labels[nearest_places(labels.shape, self._scaled(labels.shape))]

    def _scaled(self, shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(max(1, round(n * z)) for n, z in zip(shape, self._zoom, strict=True))


def with_context(mask: NDArray[np.bool_], ndim: int, pixels: float = 1.0) -> Box:
    """Return the box (Z, Y, X) of the true pixels with enough around them for any patch that shows one.

    `pixels` is how many of the mask, along Y or X, are one of the network.
    """
    box, margin = [], math.ceil(CONTEXT * pixels)
    for axis in range(3):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        grow = margin if axis or ndim == 3 else 0
        box.append(slice(max(0, int(hit[0]) - grow), min(mask.shape[axis], int(hit[-1]) + 1 + grow)))
    return box[0], box[1], box[2]


def moved(box: Box, corner: tuple[int, int, int]) -> Box:
    """Return a box in a part of an image, (Z, Y, X), as one in the image."""
    z, y, x = (slice(part.start + first, part.stop + first) for part, first in zip(box, corner, strict=True))
    return z, y, x
