"""Columns of a table of measurements for size, shape and position."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.surface import crossings, surfaces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.axes import Image, PixelSize
    from napari_unet.objects.regions import Regions

Columns = dict[str, Any]

SQUARE = 1e-3
"""By how much of its width the height of a pixel may differ from it, and the pixel still count as a square."""

ROUND = 1e-9
"""Objects whose axes differ by less than that share of their length have no orientation."""


def has_square_pixels(pixel: PixelSize) -> bool:
    """Whether pixels are as high as they are wide."""
    return abs(pixel.y / pixel.x - 1) <= SQUARE


def plane_columns(regions: Regions, plane: NDArray[Any], image: Image) -> Columns:
    """Return size and shape of the objects of a plane (Y, X)."""
    pixel, area = image.pixel_size, regions.size.astype(float)
    perimeter, unknown = regions.perimeters(plane), np.full(len(regions), np.nan)
    columns: Columns = {"area_px": regions.size}
    shape = _plane_lengths(regions, (1.0, 1.0))
    lengths = {f"{key}_px": values for key, values in shape.items()}
    square = pixel is None or has_square_pixels(pixel)
    if pixel is not None:
        columns["area_um2"] = area * pixel.y * pixel.x
        in_um = _plane_lengths(regions, (pixel.y, pixel.x))
        lengths = {f"{key}_{unit}": values[key] for key in shape for unit, values in (("px", shape), ("um", in_um))}
        shape = in_um
    columns |= lengths
    share = np.divide(shape["minor_axis"], shape["major_axis"], out=np.ones(len(area)), where=shape["major_axis"] > 0)
    columns["eccentricity"] = np.sqrt(1 - share**2)
    columns["solidity"] = area / regions.convex_sizes()
    columns["perimeter_px"] = perimeter
    if pixel is not None:
        columns["perimeter_um"] = perimeter * math.sqrt(pixel.y * pixel.x) if square else unknown
    circularity = np.divide(4 * math.pi * area, perimeter**2, out=unknown.copy(), where=perimeter > 0)
    columns["circularity"] = np.minimum(circularity, 1) if square else unknown
    spread = regions.covariances((1, 1, 1) if pixel is None else (1, pixel.y, pixel.x))
    angle = np.degrees(np.arctan2(-2 * spread[:, 1, 2], spread[:, 2, 2] - spread[:, 1, 1]) / 2) % 180
    columns["orientation_deg"] = np.where(share < 1 - ROUND, angle, np.nan)
    return columns


def volume_columns(regions: Regions, volume: NDArray[Any], image: Image) -> Columns:
    """Return size and shape of the objects of a volume (Z, Y, X)."""
    size, pixel = regions.size, image.pixel_size
    counts = crossings(regions, volume)
    columns: Columns = {"volume_voxels": size}
    units = {"px": (1.0, 1.0, 1.0)}
    if pixel is not None and pixel.z is not None:
        units["um"] = (pixel.z, pixel.y, pixel.x)
        columns["volume_um3"] = size * math.prod(units["um"])
    shapes = {unit: _volume_lengths(regions, counts, spacing) for unit, spacing in units.items()}
    for key in shapes["px"]:
        columns |= {f"{key}_{'um2' if (key, unit) == ('surface', 'um') else unit}": shapes[unit][key] for unit in units}
    unit = "um" if "um" in units else "px"
    ball = math.pi * shapes[unit]["equivalent_diameter"] ** 2  # surface of the ball of the same volume
    columns["sphericity"] = np.minimum(ball / shapes[unit]["surface"], 1)
    return columns


def _plane_lengths(regions: Regions, spacing: tuple[float, float]) -> dict[str, NDArray[np.float64]]:
    axes = 4 * np.sqrt(_variances(regions.covariances((1, *spacing))[:, 1:, 1:]))  # as of an ellipse
    diameter = 2 * np.sqrt(regions.size * math.prod(spacing) / math.pi)
    return {"equivalent_diameter": diameter, "major_axis": axes[:, 0], "minor_axis": axes[:, 1]}


def _volume_lengths(
    regions: Regions, counts: NDArray[np.int64], spacing: tuple[float, float, float]
) -> dict[str, NDArray[np.float64]]:
    axes = 2 * np.sqrt(5 * _variances(regions.covariances(spacing)))  # as of an ellipsoid
    return {
        "equivalent_diameter": np.cbrt(6 * regions.size * math.prod(spacing) / math.pi),
        "major_axis": axes[:, 0],
        "middle_axis": axes[:, 1],
        "minor_axis": axes[:, 2],
        "surface": surfaces(counts, spacing),
    }


def position_columns(regions: Regions, image: Image, *, is_volume: bool) -> Columns:
    """Return where the objects of a volume or plane lie."""
    letters = "zyx" if is_volume else "yx"
    axes = ["zyx".index(letter) for letter in letters]
    centroids, (low, high) = regions.centroids(), regions.boxes()
    columns: Columns = {f"centroid_{letter}_px": centroids[:, axis] for letter, axis in zip(letters, axes, strict=True)}
    for letter, axis in zip(letters, axes, strict=True):
        wide = None if image.pixel_size is None else image.pixel_size.along(letter.upper())
        if wide is not None:
            columns[f"centroid_{letter}_um"] = centroids[:, axis] * wide
    for end, values in (("min", low), ("max", high)):
        columns |= {f"bbox_{letter}_{end}_px": values[:, axis] for letter, axis in zip(letters, axes, strict=True)}
    shape = np.array(regions.shape)
    columns["touches_border"] = ((low == 0) | (high == shape))[:, axes].any(1)
    return columns


def _variances(covariances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eigenvalues, none below 0, of each matrix in descending order."""
    found: NDArray[np.float64] = np.maximum(np.linalg.eigvalsh(covariances)[:, ::-1], 0)
    return found
