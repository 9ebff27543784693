"""Whether an image looks, to a network, like those that its user has taught it or like those that it knew before.

It is told by the style of the image: the mean of each feature map on the way down through the network, as a vector of
length 1. Stringer et al. (2021, doi:10.1038/s41592-020-01018-x) call the means of the deepest level a style, and tell
kinds of images apart by it (Pachitariu and Stringer 2022, doi:10.1038/s41592-022-01663-4). All levels together do so
better (docs/decisions/0013-found-diameter.md).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.policy import DEFAULT_RESCALING, RescalingPolicy
from napari_unet.inference.scale import magnification
from napari_unet.inference.tile_runner import sample_pixels
from napari_unet.models.cached import cached_per_model
from napari_unet.models.model import Model
from napari_unet.models.normalize import measure
from napari_unet.models.replay_set import base_data

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.info import ModelInfo

Style = tuple[float, ...]

MAX_PLANES = 3
"""Planes of a stack, evenly spread, that are searched for contrast."""

MAX_WINDOWS = 3
"""Windows along each axis of a plane that are searched for contrast."""

WINDOW_WIDTH = 1024
"""Width of such a window of a large plane, pixels of the image; no trial of a scale needs more."""

VOLUME_WIDTH = 384
"""Width of the part of a volume that trials of a scale are made on, voxels: 96 of the network at a quarter."""

STYLE_WIDTH = 256
"""Width of the part of an image that its style is taken from, pixels of the network."""

_CONTRAST_WIDTH = 192
"""Width of the squares of which the one with most contrast is taken, pixels of the image."""

_STATISTICS_PIXELS = 1_000_000
"""Pixels from which the statistics for normalising are taken, at most."""


def resembles_learned(
    model: Model,
    block: NDArray[np.float32],
    position: tuple[int, ...],
    policy: RescalingPolicy = DEFAULT_RESCALING,
) -> bool:
    """Return whether an image looks like those that a model has learned, and not like those that it knew before.

    False where nothing is known of either.

    Parameters
    ----------
    model : Model
    block : ndarray of float32, axes (C, Y, X)
        A part of the image, normalised, at the image's own scale.
    position : tuple of int
        Pixel (Y, X) of the block around which the style is taken.
    policy : RescalingPolicy
    """
    if not model.info.styles:
        return False
    style, known = _style(model, block, position), _known_styles(model)
    if style is None or not known:
        return False
    return _distance(style, known) > policy.known_distance_ratio * _distance(style, model.info.styles)


def with_style(
    model: Model, images: Sequence[tuple[Image, Sequence[int]]], policy: RescalingPolicy = DEFAULT_RESCALING
) -> Model:
    """Return a model that holds the styles of images that it has learned, each with the channels that it was given.

    Only where that matters: where the model is used to one diameter in images, and carries patches of other images from
    before. It keeps the styles that it held where it sees none of these images at that diameter.

    Parameters
    ----------
    model : Model
    images : sequence of (Image, sequence of int)
        Images and their channels.
    policy : RescalingPolicy
    """
    info = model.info
    if info.image_diameter is None or info.replay_set is None or info.spec.ndim != 2:
        return model
    distinct = {(id(image), tuple(channels)): (image, channels) for image, channels in images}.values()
    found = [
        _style(model, *position_of_contrast(image, model, channels))
        for image, channels in distinct
        if _is_at_usual_scale(image, info, policy)
    ]
    styles = tuple(style for style in found if style is not None) or info.styles
    return Model(model.net, info.model_copy(update={"styles": styles}))


def _is_at_usual_scale(image: Image, info: ModelInfo, policy: RescalingPolicy) -> bool:
    """Return whether a model sees an image at the scale that it would give one of which nothing is known."""
    unknown = replace(image, diameter=None, found_diameter=None, found_against=None)
    here, usual = (magnification(one, info, policy) for one in (image, unknown))
    return bool(np.isclose(here[-1], usual[-1], rtol=1e-3))


@cached_per_model
def _known_styles(model: Model) -> tuple[Style, ...]:
    """Return the styles of the patches that a model carries along from before it learned; none where it has none."""
    patches = [np.asarray(model.adapt_channels(patch.image), np.float32) for patch in base_data(model)]
    styles = [_style(model, patch, (0, 0)) for patch in patches]
    return tuple(style for style in styles if style is not None)


def _style(model: Model, block: NDArray[np.float32], position: tuple[int, ...]) -> Style | None:
    """Return the style of an image (C, Y, X) around a pixel; None where it is smaller than the network can see."""
    import torch

    block = block[(slice(None), *box_around(position, block.shape[1:], STYLE_WIDTH))]
    if min(block.shape[1:]) < 2**model.info.spec.levels:
        return None
    with torch.inference_mode():
        means = model.net.mean_features(torch.from_numpy(np.ascontiguousarray(block))[None])[0].double().numpy()
    return tuple(np.round(means / max(float(np.linalg.norm(means)), 1e-6), 4).tolist())


def _distance(style: Style, others: Sequence[Style]) -> float:
    """Return the Euclidean distance of a style to the nearest of others."""
    return float(np.linalg.norm(np.array(others) - style, axis=1).min())


def position_of_contrast(
    image: Image, model: Model, channels: Sequence[int]
) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Return a window of an image, normalised for a model, and the pixel in it with most contrast around it.

    Of a large image only some evenly spread windows are read.

    Parameters
    ----------
    image : Image
    model : Model
        Gives the normalisation.
    channels : sequence of int
        Channels that the model is given.

    Returns
    -------
    window : ndarray of float32, axes (C, Y, X)
    position : tuple of int
        Pixel (Y, X) of the window.
    """
    windows = list(_windows(image, channels))
    pixels = np.concatenate([window.reshape(len(channels), -1) for window in windows], axis=1)
    statistics = measure(pixels[:, :: -(-pixels.shape[1] // _STATISTICS_PIXELS)], model.info.normalization)
    best: tuple[float, NDArray[np.float32], tuple[int, int]] | None = None
    for window in windows:
        block = model.normalized(window, statistics)
        contrast, (y, x) = _most_contrast(block[: len(channels)])
        if best is None or contrast > best[0]:
            best = contrast, block, (y + _CONTRAST_WIDTH // 2, x + _CONTRAST_WIDTH // 2)
    assert best is not None  # an image has a plane
    return best[1], best[2]


def volume_of_contrast(
    image: Image, model: Model, channels: Sequence[int]
) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Return a part of a volume, normalised for a model, and the voxel in it that trials of a scale are centred on.

    Parameters
    ----------
    image : Image
    model : Model
        Gives the normalisation.
    channels : sequence of int
        Channels that the model is given.

    Returns
    -------
    part : ndarray of float32, axes (C, Z, Y, X)
        Around the square with most contrast in the middle plane.
    position : tuple of int
        Voxel (Z, Y, X) of the part.
    """
    depth, *plane = image.space
    middle = image.read(0, slice(depth // 2, depth // 2 + 1), channels=channels)[:, 0]
    _, (y, x) = _most_contrast(middle)
    center = depth // 2, y + min(_CONTRAST_WIDTH, plane[0]) // 2, x + min(_CONTRAST_WIDTH, plane[1]) // 2
    box = z, rows, columns = box_around(center, image.space, VOLUME_WIDTH)
    statistics = measure(sample_pixels(image, channels), model.info.normalization)
    block = model.normalized(image.read(0, z, rows, columns, channels), statistics)
    return block, tuple(at - part.start for at, part in zip(center, box, strict=True))


def _most_contrast(pixels: NDArray[Any]) -> tuple[float, tuple[int, int]]:
    """Return the contrast of the square of a plane (C, Y, X) in which it is highest, and the corner of that square."""
    corners = itertools.product(*(_starts(n, _CONTRAST_WIDTH, n) for n in pixels.shape[1:]))
    found = {(y, x): float(pixels[:, y : y + _CONTRAST_WIDTH, x : x + _CONTRAST_WIDTH].std()) for y, x in corners}
    corner = max(found, key=lambda one: found[one])
    return found[corner], corner


def box_around(position: Sequence[int], shape: Sequence[int], width: int) -> tuple[slice, ...]:
    """Return a box of a plane or a volume, so many pixels wide, with a pixel in its middle if there is room."""
    starts = [min(max(0, middle - width // 2), max(0, n - width)) for middle, n in zip(position, shape, strict=True)]
    return tuple(slice(start, start + width) for start in starts)


def _windows(image: Image, channels: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield planes, axes (C, 1, Y, X), or windows of large ones."""
    planes = list(itertools.product(range(image.n_frames), range(image.size("Z"))))
    if len(planes) > MAX_PLANES:
        planes = [planes[(2 * i + 1) * len(planes) // (2 * MAX_PLANES)] for i in range(MAX_PLANES)]
    height, width = (n if n <= 2 * WINDOW_WIDTH else WINDOW_WIDTH for n in image.space[1:])
    for frame, z in planes:
        for y in _starts(image.space[1], height, MAX_WINDOWS):
            for x in _starts(image.space[2], width, MAX_WINDOWS):
                yield image.read(frame, slice(z, z + 1), slice(y, y + height), slice(x, x + width), channels)


def _starts(size: int, width: int, max_count: int) -> list[int]:
    """Return where intervals begin that cover an axis, or are evenly spread over it where that takes too many."""
    count = min(max_count, -(-size // width))
    return [round(i * (size - width) / (count - 1)) for i in range(count)] if count > 1 else [0]
