"""The grey values of objects, and what the user has said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_unet.objects.regions import Regions

_CORRECTED, _REVIEWED = 2, 3  # as in `corrections.corrections.Provenance`, which this room does not know


@dataclass(frozen=True, slots=True, eq=False)
class Intensities:
    """Grey values of objects in one channel, each of shape (objects,); NaN for an object without a finite pixel.

    Attributes
    ----------
    mean, std, minimum, maximum, total : ndarray of float64
        Over the finite pixels of each object. The standard deviation is that of the pixels, not of a sample (n, not
        n - 1).
    left_out : int
        Pixels of objects that are not finite numbers.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    total: NDArray[np.float64]
    left_out: int


def intensities(regions: Regions, planes: Iterable[NDArray[Any]]) -> Intensities:
    """Return the grey values of all objects.

    Parameters
    ----------
    regions : Regions
    planes : iterable of ndarray, axes (Y, X)
        Every plane of one channel, in order; one is held at a time.
    """
    count, sums, squares = (np.zeros(len(regions.x)) for _ in range(3))
    low, high = np.full(len(regions.x), np.inf), np.full(len(regions.x), -np.inf)
    reference: float | None = None
    for z, plane in enumerate(planes):
        runs = regions.in_plane(z)
        if not len(runs.which):
            continue
        values = plane.astype(np.float64)
        finite = np.isfinite(values)
        if (
            reference is None
        ):  # near the mean, so that squares lose no digits; whole, so that sums of integers are exact
            reference = float(np.rint(np.mean(values, where=finite))) if finite.any() else 0.0
        low[runs.which] = runs.reduced(np.minimum, np.where(finite, values, np.inf))
        high[runs.which] = runs.reduced(np.maximum, np.where(finite, values, -np.inf))
        values = np.where(finite, values - reference, 0.0)
        count[runs.which] = runs.reduced(np.add, finite, np.float64)
        sums[runs.which] = runs.reduced(np.add, values)
        squares[runs.which] = runs.reduced(np.add, values**2)
    n, total, square = (regions.total(values) for values in (count, sums, squares))
    known = n > 0
    mean, mean_square = (np.divide(v, n, out=np.full(len(n), np.nan), where=known) for v in (total, square))
    least = np.full(len(n), np.nan)
    most = least.copy()
    if len(n):
        least[known] = np.minimum.reduceat(low, regions.first)[known]
        most[known] = np.maximum.reduceat(high, regions.first)[known]
    zero = reference or 0.0
    return Intensities(
        mean=mean + zero,
        std=np.sqrt(np.maximum(mean_square - mean**2, 0)),
        minimum=least,
        maximum=most,
        total=np.where(known, total + zero * n, np.nan),
        left_out=int(regions.size.sum() - n.sum()),
    )


def states(regions: Regions, planes: Iterable[NDArray[Any]]) -> NDArray[np.str_]:
    """Return "reviewed", "corrected" or "predicted" for each object.

    Parameters
    ----------
    regions : Regions
    planes : iterable of ndarray of int, axes (Y, X)
        Where the label of each pixel comes from, a number of `corrections.corrections.Provenance`.

    Returns
    -------
    ndarray of str, shape (objects,)
        Reviewed: more than half of its pixels are. Else corrected: any of its pixels is.
    """
    reviewed, corrected = (np.zeros(len(regions.x), np.int64) for _ in range(2))
    for z, plane in enumerate(planes):
        runs = regions.in_plane(z)
        reviewed[runs.which] = runs.reduced(np.add, plane == _REVIEWED, np.int64)
        corrected[runs.which] = runs.reduced(np.add, plane == _CORRECTED, np.int64)
    most = 2 * regions.total(reviewed) > regions.size
    return np.where(most, "reviewed", np.where(regions.total(corrected) > 0, "corrected", "predicted"))
