"""By how much an image is made larger or smaller before a model sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet import limits
from napari_unet.errors import ModelMismatchError
from napari_unet.inference.policy import DEFAULT_RESCALING, RescalingPolicy
from napari_unet.tiling.scaled import resized

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image, PixelSize
    from napari_unet.models.info import ModelInfo


def magnification(image: Image, info: ModelInfo, policy: RescalingPolicy = DEFAULT_RESCALING) -> tuple[float, ...]:
    """Return the magnification of each spatial axis that brings an image to the scale of a model; ones for none.

    What is known best decides: how wide the objects are, as somebody said; else both pixel sizes; else how wide the
    objects are in the images that the model is used to, unless they were found to be smaller on this one; else
    how wide they were found to be.

    Parameters
    ----------
    image : Image
    info : ModelInfo
    policy : RescalingPolicy
        How far sizes may differ.

    Returns
    -------
    tuple of float
        One for each spatial axis, ([Z,] Y, X); all 1.0 where the image is taken as it is (`is_rescaled`).

    Raises
    ------
    ModelMismatchError
        If it is said how wide the objects are, and the model does not know at which size it finds them; or if the
        magnification is outside `limits.MAGNIFICATION`.
    """
    if image.diameter is not None and info.diameter is None and not info.is_untrained:
        raise ModelMismatchError(
            f"The model {info.name!r} does not know how wide its objects are. "
            f"Leave the object diameter ({image.diameter:g} pixels) out."
        )
    unchanged = (1.0,) * info.spec.ndim
    tolerance, zoom = policy.pixel_size_tolerance, unchanged
    physical = _by_pixel_size(image.pixel_size, info.pixel_size, info.spec.ndim)
    found = image.found_diameter if image.found_against == info.image_diameter else None
    diameter = image.diameter or (None if physical or found else info.image_diameter)
    if diameter is not None and info.diameter is not None:
        tolerance, zoom = policy.diameter_tolerance, physical or _unscaled(info)
        in_plane = (zoom[-1] * zoom[-2]) ** 0.5
        zoom = tuple(z / in_plane * info.diameter / diameter for z in zoom)  # Z keeps its ratio to Y and X
    elif physical:
        zoom = physical
    elif found is not None and info.diameter is not None:
        in_plane = _least_zoom(image, info.diameter, found, policy)
        depth = (depth_zoom(image, in_plane),) if info.spec.ndim == 3 else ()
        tolerance, zoom = policy.diameter_tolerance, (*depth, in_plane, in_plane)
    if all(1 / tolerance <= z <= tolerance for z in zoom):
        return unchanged
    if not all(limits.within(z, limits.MAGNIFICATION) for z in zoom):
        raise ModelMismatchError(_too_far(image, info, zoom))
    return zoom


def _unscaled(info: ModelInfo) -> tuple[float, ...]:
    """Return the magnification of each axis where no pixel size is known, before that of all by the diameter."""
    depth = (info.depth_ratio or 1.0,) if info.spec.ndim == 3 else ()
    return (*depth, 1.0, 1.0)


def is_rescaled(zoom: Iterable[float]) -> bool:
    """Return whether a magnification changes anything."""
    return any(z != 1 for z in zoom)


def scaled_shape(shape: Sequence[int], zoom: Sequence[float]) -> tuple[int, ...]:
    """Return the shape that an image of a shape has when it is magnified: one pixel along each axis at least."""
    return tuple(max(1, round(n * z)) for n, z in zip(shape, zoom, strict=True))


def rescaled(block: NDArray[np.float32], zoom: Sequence[float]) -> NDArray[np.float32]:
    """Return a block (C, [Z,] Y, X) magnified; itself, where that changes nothing."""
    return resized(block, scaled_shape(block.shape[1:], zoom)) if is_rescaled(zoom) else block


def in_words(zoom: float, decimals: int = 1) -> str:
    """Return what a magnification makes of an image: "2.0 times larger", or smaller."""
    return f"{zoom:,.{decimals}f} times larger" if zoom > 1 else f"{1 / zoom:,.{decimals}f} times smaller"


def _too_far(image: Image, info: ModelInfo, zoom: tuple[float, ...]) -> str:
    """Return why an image is not rescaled for a model: what was said of both, what it would come to, and what to do."""
    most = max(zoom, key=lambda z: max(z, 1 / z))
    size = limits.times(scaled_shape(image.space[-len(zoom) :], zoom))
    comes_to = f"{image.name} would be made {in_words(most, 0)}, {size} pixels"
    low, high = limits.MAGNIFICATION
    if image.diameter is not None and info.diameter is not None:
        allowed = f"{max(info.diameter / high, 1.0):.2g} to {min(info.diameter / low, limits.DIAMETER[1]):.4g}"
        return (
            f"For objects of {image.diameter:g} pixels {comes_to}: {info.name!r} finds those of {info.diameter:g}. "
            f"Give an object diameter from {allowed}."
        )
    if image.pixel_size is not None and info.pixel_size is not None:
        return (
            f"With pixels of {image.pixel_size.x:g} µm {comes_to}: {info.name!r} expects {info.pixel_size[-1]:g} µm. "
            f"Give a pixel size from {info.pixel_size[-1] * low:.3g} to {info.pixel_size[-1] * high:.3g} µm."
        )
    return (
        f"{info.name!r} learned objects of {info.image_diameter or 0:g} pixels and finds those of "
        f"{info.diameter or 0:g}: {comes_to}. Choose another model, or give an object diameter."
    )


def scale_is_known(image: Image, info: ModelInfo) -> bool:
    """Return whether somebody said how large to make an image for a model: by a diameter, or by its pixel size."""
    return bool(image.diameter or _by_pixel_size(image.pixel_size, info.pixel_size, info.spec.ndim))


def _least_zoom(image: Image, best: float, found: float, policy: RescalingPolicy) -> float:
    """Return the magnification nearest to 1 that brings objects into the range that a model finds well.

    What was found may be wrong, and enlarging costs time and memory: so it is limited.

    Parameters
    ----------
    image : Image
    best : float
        Diameter that the model finds best, pixels of the network.
    found : float
        Diameter that was found, pixels of the image.
    policy : RescalingPolicy
    """
    if found >= best / policy.diameter_range:
        return max(min(1.0, best / found), limits.MAGNIFICATION[0])
    if image.space[1] * image.space[2] > policy.max_enlarged_pixels:
        return 1.0
    return min(best / policy.diameter_range / found, policy.max_enlargement)


def depth_zoom(image: Image, in_plane: float) -> float:
    """Return the magnification of Z that goes with one of Y and X, where both follow from how wide objects are.

    The same; but slices are not thrown away that lie further apart than pixels, as far as the image says so.
    """
    deep, wide = (None, None) if image.pixel_size is None else (image.pixel_size.along(axis) for axis in "ZX")
    if in_plane >= 1 or not (deep and wide):
        return in_plane
    return min(1.0, in_plane * max(1.0, deep / wide))


def _by_pixel_size(image: PixelSize | None, model: tuple[float, ...] | None, ndim: int) -> tuple[float, ...]:
    """Return the magnifications that bring one pixel size to the other; () where one of them is not known."""
    if image is None or model is None:
        return ()
    sizes = [image.along(letter) for letter in "ZYX"[-ndim:]]
    return tuple(1.0 if size is None else size / wanted for size, wanted in zip(sizes, model, strict=True))


def nearest_indices(old: Sequence[int], new: Sequence[int]) -> tuple[NDArray[np.intp], ...]:
    """Return the index that takes, of an array of one shape, the pixel nearest to each of another shape."""
    return np.ix_(*(((np.arange(n) + 0.5) * size / n).astype(np.intp) for size, n in zip(old, new, strict=True)))
