"""What of an image is on the canvas: which axes, planes and pixels. Nothing else counts as seen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import UNetError
from napari_unet.layers.image.geometry import camera_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.layers.image.geometry import LayerGeometry

ROUNDING = 1e-6
"""Pixels by which a position on the canvas may be off: the rounding error of a pixel on the border of the canvas."""


def check_flat(viewer: Any, purpose: str) -> None:
    """Refuse what is done in a plane while the viewer shows volumes.

    Parameters
    ----------
    viewer : napari.Viewer
    purpose : str
        What is to be done, for the sentence: "go to an object".

    Raises
    ------
    UNetError
        In the 3D view.
    """
    if viewer.dims.ndisplay == 3:
        raise UNetError(f"Switch to the 2D view (button 2D/3D) to {purpose}.")


def check_on_canvas(viewer: Any, geometry: LayerGeometry, purpose: str, *, sliders: bool = True) -> None:
    """Refuse what is about the plane in view where no plane (Y, X) of an image is on the canvas.

    Parameters
    ----------
    viewer : napari.Viewer
    geometry : LayerGeometry
        Of the image.
    purpose : str
        What is to be done, for the sentence: "mark a field as reviewed".
    sliders : bool
        Whether the sliders have to point at a plane of it, too.

    Raises
    ------
    UNetError
        Where Y and X are not both displayed, or the sliders point beyond the image.
    """
    shown = geometry.displayed_axes(viewer)
    if not {"Y", "X"} <= geometry.displayed_letters(viewer):
        raise UNetError(f"Roll the dimensions until Y and X are on the canvas, to {purpose}.")
    for axis, value in enumerate(geometry.to_pixels(viewer.dims.point)):
        if sliders and axis not in shown and not 0 <= round(value) < geometry.image.size(geometry.letters[axis]):
            raise UNetError(f"The sliders point beyond this image. Move them back to {purpose}.")


def planes_on_canvas(viewer: Any, geometry: LayerGeometry) -> tuple[range, range]:
    """Return the time points and the slices of an image that are on the canvas: one of each, where it is a plane."""
    shown = geometry.displayed_letters(viewer)
    frames, slices = (
        range(geometry.image.size(letter)) if letter in shown else range(at, at + 1)
        for letter, at in zip("TZ", geometry.current_plane(viewer), strict=True)
    )
    return frames, slices


def cut_on_canvas(viewer: Any, geometry: LayerGeometry) -> tuple[slice, slice, slice, slice]:
    """Return what of an image is on the canvas, as a part of its labels (T, Z, Y, X)."""
    shown = geometry.displayed_axes(viewer)
    cut = dict.fromkeys("TZYX", slice(None))
    for axis, value in enumerate(geometry.to_pixels(viewer.dims.point)):
        if axis not in shown:
            letter = geometry.letters[axis]
            at = int(np.clip(round(value), 0, geometry.image.size(letter) - 1))
            cut[letter] = slice(at, at + 1)
    return cut["T"], cut["Z"], cut["Y"], cut["X"]


def field_on_canvas(viewer: Any, geometry: LayerGeometry, purpose: str) -> tuple[slice, slice]:
    """Return `field_in_view`, or raise as `check_on_canvas` does; where it is empty, too."""
    check_on_canvas(viewer, geometry, purpose)
    field = field_in_view(viewer, geometry)
    if field[0].stop == 0:
        raise _nothing_on_canvas(purpose)
    return field


def part_on_canvas(
    viewer: Any, geometry: LayerGeometry, purpose: str
) -> tuple[tuple[slice, slice], NDArray[np.bool_] | None]:
    """Return `field_on_canvas`, and which pixels of it are on the canvas (None: all), or raise if none is."""
    field = field_on_canvas(viewer, geometry, purpose)
    where = pixels_in_view(viewer, geometry, field)
    if where is not None and not where.any():
        raise _nothing_on_canvas(purpose)
    return field, where


def _nothing_on_canvas(purpose: str) -> UNetError:
    return UNetError(f"The image is not on the canvas. Move it there to {purpose}.")


def field_in_view(viewer: Any, geometry: LayerGeometry) -> tuple[slice, slice]:
    """Return the smallest field (Y, X) that holds all pixels of an image that are on the canvas, if only in part.

    It is empty where none are. It is the whole plane where the canvas does not show a plane, or there is none.
    """
    image, letters = geometry.image, geometry.letters
    if not _shows_plane(viewer, geometry) or (_is_whole(viewer, geometry) and _is_square(viewer, geometry)):
        return slice(0, image.size("Y")), slice(0, image.size("X"))
    low, high = _canvas(viewer, geometry)
    point = np.asarray(viewer.dims.point, float)
    pixels = []
    for first in (low[0], high[0]):
        for second in (low[1], high[1]):
            point[list(viewer.dims.displayed)] = first, second
            pixels.append(geometry.to_pixels(point))
    field = []
    for letter in "YX":
        along = [pixel[letters.index(letter)] for pixel in pixels]
        start, stop = math.floor(min(along) + 0.5), math.ceil(max(along) + 0.5)
        field.append(slice(max(0, start), min(image.size(letter), stop)))
    if any(part.start >= part.stop for part in field):
        return slice(0, 0), slice(0, 0)
    return field[0], field[1]


def pixels_across(viewer: Any, geometry: LayerGeometry) -> float:
    """Return how many pixels of an image the canvas is wide or high, whichever is less, at the zoom it has now."""
    low, high = _canvas(viewer, geometry)
    _, *steps = _steps_on_canvas(viewer, geometry)
    return float((high - low).min() / max(float(np.abs(step).max()) for step in steps))


def pixels_in_view(viewer: Any, geometry: LayerGeometry, field: tuple[slice, slice]) -> NDArray[np.bool_] | None:
    """Return which pixels (Y, X) of the field in view are on the canvas, where it does not lie square to the canvas.

    None: all of them.
    """
    if not _shows_plane(viewer, geometry) or _is_square(viewer, geometry):
        return None
    at, along_y, along_x = _steps_on_canvas(viewer, geometry)
    rows, columns = (np.arange(part.start, part.stop) for part in field)
    first, last = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    for start, step_y, step_x, low, high in zip(at, along_y, along_x, *_canvas(viewer, geometry), strict=True):
        begin = start + step_y * rows
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.sort([(low - begin) / step_x, (high - begin) / step_x], axis=0)
        if abs(step_x) < 1e-9 * abs(step_y):  # the whole row is within, or none of it
            within = (begin >= low) & (begin <= high)
            ends = np.where(within, [[-np.inf], [np.inf]], [[np.inf], [-np.inf]])
        first, last = np.maximum(first, ends[0]), np.minimum(last, ends[1])
    return np.asarray((columns >= first[:, None] - ROUNDING) & (columns <= last[:, None] + ROUNDING))


def _steps_on_canvas(viewer: Any, geometry: LayerGeometry) -> tuple[NDArray[np.float64], ...]:
    """Return where on a canvas the first pixel of the plane in view lies, and the steps to the next along Y and X."""
    layer, shown = geometry.layer, geometry.displayed_axes(viewer)
    plane = [geometry.letters.index("Y"), geometry.letters.index("X")]
    corner = np.asarray(geometry.to_pixels(viewer.dims.point))
    corner[plane] = 0
    next_pixels = corner + np.eye(layer.ndim)[plane]
    at, *others = (np.asarray(layer.data_to_world(pixel), float)[shown] for pixel in (corner, *next_pixels))
    return at, *(other - at for other in others)


def _is_square(viewer: Any, geometry: LayerGeometry) -> bool:
    """Whether the rows and columns of an image are those of the canvas, whichever is which: not turned or sheared."""
    _, *steps = np.abs(_steps_on_canvas(viewer, geometry))
    return all(min(pair) < 1e-6 * max(pair) for pair in zip(*steps, strict=True))


def _is_whole(viewer: Any, geometry: LayerGeometry) -> bool:
    """Whether there is no window, whose canvas would show a part of the plane in view, and nothing else says so."""
    layer = geometry.layer
    if layer.multiscale or hasattr(viewer, "window"):
        return False
    axes = [geometry.letters.index("Y"), geometry.letters.index("X")]
    first, last = np.asarray(layer.corner_pixels)[:, axes]
    return bool((first <= 0).all() and (last >= np.asarray(layer.data.shape)[axes] - 1).all())


def _shows_plane(viewer: Any, geometry: LayerGeometry) -> bool:
    return geometry.displayed_letters(viewer) == {"Y", "X"}


def _canvas(viewer: Any, geometry: LayerGeometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of a canvas with a plane on it, in the viewer's world along the displayed axes."""
    if not hasattr(viewer, "canvas"):  # before 0.9 napari does not tell how large it is, but what of a layer was drawn
        layer = geometry.layer
        corners = np.asarray(layer.corner_pixels, float)
        if layer.multiscale:
            corners = corners * layer.downsample_factors[layer.data_level]
        shown = geometry.displayed_axes(viewer)
        first, last = corners[0] - 0.5, corners[1] + 0.5
        drawn = np.array([np.asarray(layer.data_to_world(corner))[shown] for corner in (first, last)])
        return drawn.min(axis=0), drawn.max(axis=0)
    center = np.asarray(camera_of(viewer).center, float)[-2:]
    half = np.asarray(viewer.canvas.viewbox_size(viewer.layers), float) / camera_of(viewer).zoom / 2
    return center - half, center + half


def pixels_on_canvas(
    viewer: Any, geometry: LayerGeometry, pixels: NDArray[np.float64], size: tuple[float, float]
) -> NDArray[np.float64]:
    """Return where on a canvas pixels of the plane in view lie.

    Parameters
    ----------
    viewer : napari.Viewer
    geometry : LayerGeometry
        Of the image.
    pixels : ndarray of float, axes (n, 2)
        y, x.
    size : tuple of float
        Height and width of the canvas, in pixels of the screen.

    Returns
    -------
    ndarray of float, axes (n, 2)
        Down and to the right, from the upper left corner of the canvas, in pixels of the screen.
    """
    at, along_y, along_x = _steps_on_canvas(viewer, geometry)
    world = at + pixels[:, :1] * along_y + pixels[:, 1:] * along_x
    camera = camera_of(viewer)
    turned = [-1 if str(getattr(way, "value", way)) in ("up", "left") else 1 for way in _directions(camera)]
    center = np.asarray(camera.center, float)[-2:]
    return np.asarray((world - center) * camera.zoom * turned + np.asarray(size, float) / 2)


def _directions(camera: Any) -> tuple[Any, Any]:
    """Return which way the vertical and the horizontal axis of a canvas point."""
    directions: tuple[Any, Any] = getattr(camera, "orientation2d", ("down", "right"))
    return directions
