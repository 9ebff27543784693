"""Parts of an image as a model sees them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.content import check_content
from napari_unet.inference.field import numbers_in
from napari_unet.inference.policy import DEFAULT_RESCALING
from napari_unet.inference.scale import is_rescaled, magnification, nearest_indices, rescaled, scaled_shape
from napari_unet.inference.task import choose_channels
from napari_unet.inference.tile_runner import sample_pixels
from napari_unet.models.normalize import measure
from napari_unet.objects.boxes import box_around
from napari_unet.training.samples import make_sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.inference.policy import RescalingPolicy
    from napari_unet.models.model import Model
    from napari_unet.training.samples import Sample

Box = tuple[slice, slice, slice]
"""Slices along Z, Y and X."""

CONTEXT = 128
"""Pixels of the network around what is learned from that a patch may show: more than half of the widest patch."""


class CropReader:
    """Reads parts of an image with the channels, the intensities and the pixel size that a model works at.

    Parameters
    ----------
    image : Image
    model : Model
        Gives normalisation, channels and pixel size.
    channels : sequence of int, optional
        Channels to take; None: those that the model takes.
    policy : RescalingPolicy
        By which the scale is chosen.

    Raises
    ------
    ImageError
        If no pixel is a number.
    """

    def __init__(
        self,
        image: Image,
        model: Model,
        channels: Sequence[int] | None = None,
        policy: RescalingPolicy = DEFAULT_RESCALING,
    ) -> None:
        self._image, self._model = image, model
        self._channels = tuple(channels) if channels else choose_channels(image, model)
        self._zoom = magnification(image, model.info, policy)
        sample = sample_pixels(image, self._channels)
        if not numbers_in(sample).size:
            check_content(image, self._channels)  # reads all pixels: there may be numbers elsewhere
        self._statistics = measure(sample, model.info.normalization)

    @property
    def pixels(self) -> float:
        """Pixels of the image, along Y or X, in one of the network."""
        return 1 / float(np.sqrt(np.prod(self._zoom[-2:])))

    @property
    def slices(self) -> float:
        """Slices of the image in one of the network; 1 for a 2D model."""
        return 1 / self._zoom[0] if len(self._zoom) == 3 else 1.0

    def read(self, frame: int, box: Box) -> NDArray[np.float32]:
        """Return a part, axes (C, [Z,] Y, X); `box` is (Z, Y, X) in the image's pixels, one slice for a 2D model."""
        block = self._model.normalized(self._image.read(frame, *box, channels=self._channels), self._statistics)
        return rescaled(block, self._zoom)

    def fit(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels, or a mask, (Z, Y, X) of a part with the axes and the pixels that `read` gives it."""
        if self._model.info.spec.ndim == 2:
            labels = labels[0]
        if not is_rescaled(self._zoom):
            return labels
        return labels[nearest_indices(labels.shape, scaled_shape(labels.shape, self._zoom))]


def with_context(mask: NDArray[np.bool_], ndim: int, pixels: float = 1.0) -> Box:
    """Return the box (Z, Y, X) of the true pixels with enough around them for any patch that shows one.

    Parameters
    ----------
    mask : ndarray of bool, axes (Z, Y, X)
    ndim : int
        Spatial axes of the network.
    pixels : float
        Pixels of the mask, along Y or X, in one of the network.
    """
    box = box_around(mask)
    assert box is not None  # there are some
    return with_margin(box, mask.shape, ndim, pixels)


def with_margin(box: Sequence[slice], shape: Sequence[int], ndim: int, pixels: float = 1.0) -> Box:
    """Return a box (Z, Y, X) with as much around it; `shape` is that of what it is a part of."""
    margin = math.ceil(CONTEXT * pixels)
    margins = (margin if ndim == 3 else 0), margin, margin
    z, y, x = (
        slice(max(0, part.start - more), min(n, part.stop + more))
        for part, n, more in zip(box, shape, margins, strict=True)
    )
    return z, y, x


def moved(box: Box, corner: tuple[int, int, int]) -> Box:
    """Return a box in a part of an image, (Z, Y, X), as one in the image."""
    z, y, x = (slice(part.start + first, part.stop + first) for part, first in zip(box, corner, strict=True))
    return z, y, x


def subimage_slices(depth: int, ndim: int) -> list[slice]:
    """Return what a network is given at a time, as slices along Z: single planes (2D), or the whole volume (3D)."""
    return [slice(0, depth)] if ndim == 3 else [slice(z, z + 1) for z in range(depth)]


def image_samples(
    image: Image,
    model: Model,
    labels: NDArray[Any],
    supervised: NDArray[np.bool_] | None = None,
    channels: Sequence[int] | None = None,
    weight: float = 1.0,
    border: float = 0.0,
    policy: RescalingPolicy = DEFAULT_RESCALING,
) -> list[Sample]:
    """Return what there is to learn from one image.

    Parameters
    ----------
    image : Image
        Normalised here, with the statistics of all of it.
    model : Model
        What is to learn; gives normalisation, channels and target maps.
    labels : ndarray of int, axes (T, Z, Y, X)
    supervised : ndarray of bool, axes (T, Z, Y, X), optional
        The pixels that count; None: all.
    channels : sequence of int, optional
        Channels to take; None: all.
    weight : float
        Share of this image among others.
    border : float
        How much more a seam between two objects counts.
    policy : RescalingPolicy
        By which the scale is chosen.

    Returns
    -------
    list of Sample
        One for each plane (2D model) or volume (3D model) with supervised pixels.
    """
    reader = CropReader(image, model, channels, policy)
    found = []
    for frame in range(image.n_frames):
        for z in subimage_slices(image.size("Z"), model.info.spec.ndim):
            ids = labels[frame, z]
            mask = np.ones(ids.shape, bool) if supervised is None else supervised[frame, z]
            if mask.any():
                found.append(crop_sample(reader, model, frame, (z.start, 0, 0), ids, mask, border=border))
    return [replace(sample, weight=weight / len(found)) for sample in found]


def crop_sample(
    reader: CropReader,
    model: Model,
    frame: int,
    corner: tuple[int, int, int],
    labels: NDArray[Any],
    supervised: NDArray[np.bool_],
    corrected: NDArray[np.bool_] | None = None,
    *,
    border: float = 0.0,
) -> Sample:
    """Return what there is to learn from a few slices of an image (one, for a 2D model).

    Parameters
    ----------
    reader : CropReader
        Of the image.
    model : Model
        What is to learn.
    frame : int
        Time point.
    corner : tuple of int
        Where the labels begin in the image, (Z, Y, X).
    labels : ndarray of int, axes (Z, Y, X)
    supervised : ndarray of bool, axes (Z, Y, X)
        The pixels that count; some do.
    corrected : ndarray of bool, axes (Z, Y, X), optional
        The pixels that most patches are centred on; see `make_sample`.
    border : float
        How much more a seam between two objects counts.
    """
    box = with_context(supervised, model.info.spec.ndim, reader.pixels)
    block = reader.read(frame, moved(box, corner))
    ids, counts = reader.fit(labels[box]), reader.fit(supervised[box])
    focus = None if corrected is None else reader.fit(corrected[box])
    # From scratch, background is assumed around what is painted: then all distances within it are known.
    in_slices = not model.info.is_from_scratch
    return make_sample(block, ids, model.info.outputs, counts, corrected=focus, border=border, in_slices=in_slices)
