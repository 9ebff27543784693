"""What of an image is on the canvas: which axes, planes and pixels. Nothing else counts as seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.layers.adapter import camera_of, current_place, in_pixels, spatial_letters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.axes import Image

ROUNDING = 1e-6
"""Pixels by which a place on the canvas may be off: what floating point numbers make of a pixel on its border."""


def check_on_canvas(viewer: Any, layer: Any, image: Image, purpose: str, *, sliders: bool = True) -> None:
    """Refuse what is about the plane in view where no plane (Y, X) of an image is on the canvas.

    Parameters
    ----------
    viewer : napari.Viewer
    layer, image
        The image layer, and the same as the core sees it.
    purpose : str
        What is to be done, for the sentence: "mark a field as reviewed".
    sliders : bool
        Whether the sliders have to point at a plane of it, too.

    Raises
    ------
    UNetError
        Where Y and X are not both displayed, or the sliders point beyond the image.
    """
    letters, shown = spatial_letters(layer, image), axes_on_canvas(viewer, layer)
    if not {"Y", "X"} <= {letters[axis] for axis in shown}:
        raise UNetError(f"Roll the dimensions until Y and X are on the canvas, to {purpose}.")
    for axis, value in enumerate(in_pixels(layer, viewer.dims.point)):
        if sliders and axis not in shown and not 0 <= round(value) < image.size(letters[axis]):
            raise UNetError(f"The sliders point beyond this image. Move them back to {purpose}.")


def axes_on_canvas(viewer: Any, layer: Any) -> list[int]:
    """Return which axes of a layer, not of the viewer, are displayed."""
    more = viewer.dims.ndim - layer.ndim  # axes that the viewer has before those of this layer
    return [axis - more for axis in viewer.dims.displayed if axis >= more]


def planes_on_canvas(viewer: Any, layer: Any, image: Image) -> tuple[range, range]:
    """Return the time points and the slices of an image that are on the canvas: one of each, where it is a plane."""
    letters, place = spatial_letters(layer, image), current_place(viewer, layer, image)
    shown = {letters[axis] for axis in axes_on_canvas(viewer, layer)}
    frames, slices = (
        range(image.size(letter)) if letter in shown else range(at, at + 1)
        for letter, at in zip("TZ", place, strict=True)
    )
    return frames, slices


def cut_on_canvas(viewer: Any, layer: Any, image: Image) -> tuple[slice, slice, slice, slice]:
    """Return what of an image is on the canvas, as a part of its labels (T, Z, Y, X)."""
    letters, shown = spatial_letters(layer, image), axes_on_canvas(viewer, layer)
    cut = dict.fromkeys("TZYX", slice(None))
    for axis, value in enumerate(in_pixels(layer, viewer.dims.point)):
        if axis not in shown:
            at = int(np.clip(round(value), 0, image.size(letters[axis]) - 1))
            cut[letters[axis]] = slice(at, at + 1)
    return cut["T"], cut["Z"], cut["Y"], cut["X"]


def field_in_view(viewer: Any, layer: Any, image: Image) -> tuple[slice, slice]:
    """Return the smallest field (Y, X) that holds all pixels of an image that are on the canvas, if only in part.

    It is empty where none are. It is the whole plane where the canvas does not show a plane, or there is none.
    """
    letters = spatial_letters(layer, image)
    if not _shows_plane(viewer, layer, image) or (
        _is_whole(viewer, layer, letters) and _is_square(viewer, layer, image)
    ):
        return slice(0, image.size("Y")), slice(0, image.size("X"))
    low, high = _canvas(viewer, layer)
    point = np.asarray(viewer.dims.point, float)
    pixels = []
    for first in (low[0], high[0]):
        for second in (low[1], high[1]):
            point[list(viewer.dims.displayed)] = first, second
            pixels.append(in_pixels(layer, point))
    field = []
    for letter in "YX":
        places = [pixel[letters.index(letter)] for pixel in pixels]
        start, stop = math.floor(min(places) + 0.5), math.ceil(max(places) + 0.5)
        field.append(slice(max(0, start), min(image.size(letter), stop)))
    if any(part.start >= part.stop for part in field):
        return slice(0, 0), slice(0, 0)
    return field[0], field[1]


def pixels_in_view(viewer: Any, layer: Any, image: Image, field: tuple[slice, slice]) -> NDArray[np.bool_] | None:
    """Return which pixels (Y, X) of the field in view are on the canvas, where it does not lie square to the canvas.

    None: all of them.
    """
    if not _shows_plane(viewer, layer, image) or _is_square(viewer, layer, image):
        return None
    at, along_y, along_x = _steps_on_canvas(viewer, layer, image)
    rows, columns = (np.arange(part.start, part.stop) for part in field)
    first, last = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    for start, step_y, step_x, low, high in zip(at, along_y, along_x, *_canvas(viewer, layer), strict=True):
        begin = start + step_y * rows
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.sort([(low - begin) / step_x, (high - begin) / step_x], axis=0)
        if abs(step_x) < 1e-9 * abs(step_y):  # the whole row is within, or none of it
            within = (begin >= low) & (begin <= high)
            ends = np.where(within, [[-np.inf], [np.inf]], [[np.inf], [-np.inf]])
        first, last = np.maximum(first, ends[0]), np.minimum(last, ends[1])
    return np.asarray((columns >= first[:, None] - ROUNDING) & (columns <= last[:, None] + ROUNDING))


def _steps_on_canvas(viewer: Any, layer: Any, image: Image) -> tuple[NDArray[np.float64], ...]:
    """Return where on a canvas the first pixel of the plane in view lies, and the steps to the next along Y and X."""
    letters, shown = spatial_letters(layer, image), axes_on_canvas(viewer, layer)
    corner = np.asarray(in_pixels(layer, viewer.dims.point))
    corner[[letters.index("Y"), letters.index("X")]] = 0
    ahead = np.eye(layer.ndim)[[letters.index("Y"), letters.index("X")]]
    at, *others = (np.asarray(layer.data_to_world(place), float)[shown] for place in (corner, *(corner + ahead)))
    return at, *(other - at for other in others)


def _is_square(viewer: Any, layer: Any, image: Image) -> bool:
    """Whether the rows and columns of an image are those of the canvas, whichever is which: not turned or sheared."""
    _, *steps = np.abs(_steps_on_canvas(viewer, layer, image))
    return all(min(pair) < 1e-6 * max(pair) for pair in zip(*steps, strict=True))


def _is_whole(viewer: Any, layer: Any, letters: str) -> bool:
    """Whether there is no window, whose canvas would show a part of the plane in view, and nothing else says so."""
    if layer.multiscale or hasattr(viewer, "window"):
        return False
    axes = [letters.index("Y"), letters.index("X")]
    first, last = np.asarray(layer.corner_pixels)[:, axes]
    return bool((first <= 0).all() and (last >= np.asarray(layer.data.shape)[axes] - 1).all())


def _shows_plane(viewer: Any, layer: Any, image: Image) -> bool:
    letters = spatial_letters(layer, image)
    return {letters[axis] for axis in axes_on_canvas(viewer, layer)} == {"Y", "X"}


def _canvas(viewer: Any, layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of a canvas with a plane on it, in the viewer's world along the displayed axes."""
    if not hasattr(viewer, "canvas"):  # before 0.9 napari does not tell how large it is, but what of a layer was drawn
        corners = np.asarray(layer.corner_pixels, float)
        if layer.multiscale:
            corners = corners * layer.downsample_factors[layer.data_level]
        shown = axes_on_canvas(viewer, layer)
        first, last = corners[0] - 0.5, corners[1] + 0.5
        drawn = np.array([np.asarray(layer.data_to_world(corner))[shown] for corner in (first, last)])
        return drawn.min(axis=0), drawn.max(axis=0)
    center = np.asarray(camera_of(viewer).center, float)[-2:]
    half = np.asarray(viewer.canvas.viewbox_size(viewer.layers), float) / camera_of(viewer).zoom / 2
    return center - half, center + half
