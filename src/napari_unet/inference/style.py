"""What an image looks like to a network: like those that its user has taught it, or like those that it knew before.

By its style: the mean of each feature map on the way down through the network, as a vector of length 1. Stringer et al.
(2021, doi:10.1038/s41592-020-01018-x) call the means of the deepest level so, and tell kinds of images apart by them
(Pachitariu and Stringer 2022, doi:10.1038/s41592-022-01663-4). All levels together tell them apart better
(docs/decisions/0013-found-diameter.md).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.inference.scale import magnification
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

PLANES, WINDOWS = 3, 3
"""Most planes of a stack, and most windows along each axis of a plane, among which the place to look at is chosen."""

WIDEST = 1024
"""Width, in pixels, of such a window of a large plane: as wide as anything that is looked at."""

SEEN = 256
"""Width, in pixels, of the part of an image that its style is taken from."""

NEARER = 0.8
"""An image is of the kind that was known before if that is so many times as far away as what was learned since, or
less."""

_CONTRAST = 192
"""Width, in pixels, of the squares of which the one with most contrast is looked at."""

_STATISTICS_PIXELS = 1_000_000


def resembles_learned(model: Model, block: NDArray[np.float32], place: tuple[int, int]) -> bool:
    """Return whether an image looks like those that a model has learned, and not like those that it knew before.

    False where nothing is known of either.

    Parameters
    ----------
    model : Model
    block : ndarray of float32, axes (C, Y, X)
        A part of the image, as the network sees it at the image's own scale.
    place : tuple of int
        Where in it to look, (Y, X).
    """
    if not model.info.styles:
        return False
    style, known = _style(model, block, place), _known_styles(model)
    if style is None or not known:
        return False
    return _distance(style, known) > NEARER * _distance(style, model.info.styles)


def with_style(model: Model, images: Sequence[tuple[Image, Sequence[int]]]) -> Model:
    """Return a model that will know images like these, with the channels that it was given of each, as learned.

    Only where that matters: it is used to the size of their objects, and knew images of other sizes before. What it
    knew as learned goes on to be so where it sees none of these images at that size.
    """
    info = model.info
    if info.image_diameter is None or info.replay_set is None or info.spec.ndim != 2:
        return model
    seen = {(id(image), tuple(channels)): (image, channels) for image, channels in images}.values()
    found = [
        _style(model, *place_of_contrast(image, model, channels)) for image, channels in seen if _as_usual(image, info)
    ]
    styles = tuple(style for style in found if style is not None) or info.styles
    return Model(model.net, info.model_copy(update={"styles": styles}))


def _as_usual(image: Image, info: ModelInfo) -> bool:
    """Return whether a model sees an image at the scale that it would give one of which nothing is known."""
    unknown = replace(image, diameter=None, found_diameter=None, found_against=None)
    here, usual = (magnification(one, info) or (1.0,) for one in (image, unknown))
    return bool(np.isclose(here[-1], usual[-1], rtol=1e-3))


@cached_per_model
def _known_styles(model: Model) -> tuple[Style, ...]:
    """Return the styles of what a model carries along of the images that it knew before; none where it is not here."""
    patches = [np.asarray(model.adapt_channels(patch.image), np.float32) for patch in base_data(model)]
    styles = [_style(model, patch, (0, 0)) for patch in patches]
    return tuple(style for style in styles if style is not None)


def _style(model: Model, block: NDArray[np.float32], place: tuple[int, int]) -> Style | None:
    """Return the style of an image (C, Y, X) around a place; None where it is smaller than the network can see."""
    import torch

    block = block[(slice(None), *around(place, block.shape[1:], SEEN))]
    if min(block.shape[1:]) < 2**model.info.spec.levels:
        return None
    with torch.inference_mode():
        means = model.net.mean_features(torch.from_numpy(np.ascontiguousarray(block))[None])[0].double().numpy()
    return tuple(np.round(means / max(float(np.linalg.norm(means)), 1e-6), 4).tolist())


def _distance(style: Style, others: Sequence[Style]) -> float:
    return float(np.linalg.norm(np.array(others) - style, axis=1).min())


def place_of_contrast(
    image: Image, model: Model, channels: Sequence[int]
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return a window of an image as the network sees it, axes (C, Y, X), and the place in it with most contrast.

    Of a large image some evenly spread windows are read, and no more.
    """
    windows = list(_windows(image, channels))
    pixels = np.concatenate([window.reshape(len(channels), -1) for window in windows], axis=1)
    statistics = measure(pixels[:, :: -(-pixels.shape[1] // _STATISTICS_PIXELS)], model.info.normalization)
    best: tuple[float, NDArray[np.float32], tuple[int, int]] | None = None
    for window in windows:
        block = model.normalized(window, statistics)
        for y, x in itertools.product(*(_starts(n, _CONTRAST, n) for n in block.shape[1:])):
            contrast = float(block[: len(channels), y : y + _CONTRAST, x : x + _CONTRAST].std())
            if best is None or contrast > best[0]:
                best = contrast, block, (y + _CONTRAST // 2, x + _CONTRAST // 2)
    assert best is not None  # an image has a plane
    return best[1], best[2]


def around(place: tuple[int, int], shape: Sequence[int], width: int) -> tuple[slice, ...]:
    """Return a part of a plane, with a place in its middle where there is room."""
    starts = [min(max(0, middle - width // 2), max(0, n - width)) for middle, n in zip(place, shape, strict=True)]
    return tuple(slice(start, start + width) for start in starts)


def _windows(image: Image, channels: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield planes, axes (C, 1, Y, X), or windows of large ones."""
    planes = list(itertools.product(range(image.n_frames), range(image.size("Z"))))
    if len(planes) > PLANES:
        planes = [planes[(2 * i + 1) * len(planes) // (2 * PLANES)] for i in range(PLANES)]
    height, width = (n if n <= 2 * WIDEST else WIDEST for n in image.space[1:])
    for frame, z in planes:
        for y in _starts(image.space[1], height, WINDOWS):
            for x in _starts(image.space[2], width, WINDOWS):
                yield image.read(frame, slice(z, z + 1), slice(y, y + height), slice(x, x + width), channels)


def _starts(size: int, width: int, most: int) -> list[int]:
    """Return where intervals begin that cover an axis, or are evenly spread over it where that takes too many."""
    count = min(most, -(-size // width))
    return [round(i * (size - width) / (count - 1)) for i in range(count)] if count > 1 else [0]
