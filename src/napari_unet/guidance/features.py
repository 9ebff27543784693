"""What is measured of each object of a plane to judge whether it may be wrong: its maps, its size and its shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.flows import FLOWS
from napari_unet.objects.regions import Regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.objects.maps import Maps

OF_MAPS = ("uncertainty", "flow_error", "low_peak", "low_border")
"""Features that need maps."""

OF_SHAPE = ("large", "small", "dented", "elongated", "touching")
"""Features of labels alone."""

FEATURES = (*OF_MAPS, *OF_SHAPE)
"""All features of an object, each of them 0 where there is nothing remarkable and larger the more there is:

- uncertainty: mean of 1 - abs(2 p - 1) over its pixels, where p is the foreground probability
- flow_error: half of 1 minus the mean cosine of the flow field and the direction to its middle
- low_peak: 1 minus the largest value of the distance map in it
- low_border: mean of the distance map along its borders with other objects, times the share of the outline they are
- large, small, dented, elongated: by how many robust standard deviations its logarithm of the area lies above and below
  the median of the plane, its solidity below, and its eccentricity above
- touching: share of its outline that other objects touch
"""

MIN_SPREAD = {"area": 0.15, "solidity": 0.02, "eccentricity": 0.08}
"""Least standard deviation that is taken of the logarithm of the area, of solidity, and of eccentricity: where all
objects are alike, none is an outlier for a pixel more."""

MAX_DEVIATION = 6.0
"""Standard deviations, at most, that are counted."""

FEW = 8
"""With so few objects in a plane the deviations count half: a median of few objects says little."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectFeatures:
    """Features of the objects of one plane, in ascending order of their ids.

    Attributes
    ----------
    ids : ndarray of int, shape (n,)
    areas : ndarray of int, shape (n,)
        Pixels.
    places : ndarray of int, shape (n, 2)
        A pixel (y, x) of each object, near its middle.
    boxes : ndarray of int, shape (n, 4)
        First row, first column, and the row and column after the last.
    values : ndarray of float, shape (n, features)
        In the order of `FEATURES`; those of maps are NaN where there are no maps.
    """

    ids: NDArray[np.int64]
    areas: NDArray[np.int64]
    places: NDArray[np.int64]
    boxes: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


def object_features(labels: NDArray[Any], maps: Maps | None) -> ObjectFeatures:
    """Measure the objects of a plane.

    Parameters
    ----------
    labels : ndarray of int, axes (Y, X)
        Instance ids, 0 is background.
    maps : Maps or None
        Of the same pixels, axes (K, Y, X); None: what they say stays unknown.

    Notes
    -----
    Ten thousand objects on 4096 x 4096 pixels take some seconds: this is a worker's.
    """
    regions = Regions.of(labels[None])
    low, high = regions.boxes()
    boxes = np.concatenate([low[:, 1:], high[:, 1:]], axis=1)
    numbers = np.zeros(labels.shape, np.int32)  # 1, 2, ... in the order of the ids
    inside = labels > 0
    numbers[inside] = regions.number(labels[inside]) + 1
    edges = _Edges.of(numbers, len(regions))
    values = dict(zip(OF_SHAPE, _shape(regions, edges), strict=True))
    if maps is not None and "foreground" in maps.outputs:
        values |= dict(zip(OF_MAPS, _from_maps(maps, numbers, regions, edges), strict=True))
    unknown = np.full(len(regions), np.nan)
    table = [values.get(name, unknown) for name in FEATURES]
    return ObjectFeatures(
        regions.ids.astype(np.int64),
        regions.size,
        _places(regions),
        boxes,
        np.stack(table, axis=1) if len(regions) else np.zeros((0, len(FEATURES))),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Edges:
    """Pairs of pixels side by side, along Y or X, of which one is an object's and the other is not.

    Attributes
    ----------
    owner : ndarray of int
        Number of the object, from 0, once for each of its pairs.
    first, second : ndarray of int
        Where the two pixels lie in the flattened plane; the first is the object's.
    contact : ndarray of bool
        Whether the second is another object's.
    outline, touching : ndarray of int, shape (n,)
        Pairs of each object, and those with another object.
    """

    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    contact: NDArray[np.bool_]
    outline: NDArray[np.int64]
    touching: NDArray[np.int64]

    @classmethod
    def of(cls, numbers: NDArray[np.int32], count: int) -> _Edges:
        flat, width = numbers.ravel(), numbers.shape[1]
        pairs = []
        for step, differs in ((1, numbers[:, 1:] != numbers[:, :-1]), (width, numbers[1:] != numbers[:-1])):
            y, x = np.nonzero(differs)
            first = y * width + x
            pairs += [(first, first + step), (first + step, first)]
        first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
        own = flat[first] > 0
        first, second = first[own], second[own]
        owner, contact = flat[first].astype(np.int64) - 1, flat[second] > 0
        outline, touching = np.bincount(owner, minlength=count), np.bincount(owner[contact], minlength=count)
        return cls(owner, first, second, contact, outline, touching)


def _shape(regions: Regions, edges: _Edges) -> tuple[NDArray[np.float64], ...]:
    if not len(regions):
        return (np.zeros(0),) * len(OF_SHAPE)
    low, high = regions.boxes()
    cut = ((low[:, 1:] == 0) | (high[:, 1:] == regions.shape[1:])).any(axis=1)
    area = _deviation(np.log(regions.size), "area", ~cut)
    spread = np.linalg.eigvalsh(regions.covariances((1, 1, 1))[:, 1:, 1:])
    share = np.clip(spread[:, 0] / np.maximum(spread[:, 1], 1e-9), 0, 1)
    solidity = _deviation(regions.size / regions.convex_sizes(), "solidity", ~cut)
    eccentricity = _deviation(np.sqrt(1 - share), "eccentricity", ~cut)
    small, dented, elongated = (np.maximum(values, 0) for values in (-area, -solidity, eccentricity))
    small[cut] = dented[cut] = elongated[cut] = 0  # the border of the image makes them so
    return np.maximum(area, 0), small, dented, elongated, edges.touching / np.maximum(edges.outline, 1)


def _deviation(values: NDArray[np.float64], name: str, whole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return by how many robust standard deviations each value differs from the median of the whole objects."""
    usual = values[whole] if whole.any() else values
    middle = np.median(usual)
    spread = max(1.4826 * float(np.median(np.abs(usual - middle))), MIN_SPREAD[name])
    trust = len(usual) / (len(usual) + FEW)
    return np.asarray(np.clip((values - middle) / spread, -MAX_DEVIATION, MAX_DEVIATION) * trust)


def _from_maps(
    maps: Maps, numbers: NDArray[np.int32], regions: Regions, edges: _Edges
) -> tuple[NDArray[np.float64], ...]:
    count, none = len(regions), np.zeros(len(regions))
    where = np.flatnonzero(numbers)
    owner, size = numbers.ravel()[where].astype(np.int64) - 1, np.maximum(regions.size, 1)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(owner, values, count) / size)

    def at(name: str, pixels: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return some pixels of a map; all of a large one would take seconds to convert."""
        if name not in maps.outputs:
            return None
        return np.asarray(maps.values[maps.outputs.index(name)].reshape(-1)[pixels], np.float32)

    foreground, middles, flow_error = at("foreground", where), at("distance", where), none
    assert foreground is not None
    uncertainty = mean(1 - np.abs(2 * foreground - 1))
    flows = [at(name, where) for name in FLOWS[2]]
    if flows[0] is not None and flows[1] is not None:
        y, x = np.divmod(where, numbers.shape[1])
        centre = regions.centroids()[:, 1:].astype(np.float32)
        to_y, to_x = centre[owner, 0] - y, centre[owner, 1] - x
        flow_y, flow_x = (2 * flow - 1 for flow in flows if flow is not None)
        lengths = np.sqrt((to_y**2 + to_x**2) * (flow_y**2 + flow_x**2))
        flow_error = (1 - mean((to_y * flow_y + to_x * flow_x) / np.maximum(lengths, 1e-6))) / 2
    if middles is None:
        return uncertainty, flow_error, none, none
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, owner, middles)
    contact = edges.contact
    sides = [at("distance", pixels[contact]) for pixels in (edges.first, edges.second)]
    assert sides[0] is not None
    assert sides[1] is not None
    height = np.bincount(edges.owner[contact], np.minimum(sides[0], sides[1]), count)
    return uncertainty, flow_error, 1 - np.minimum(peak, 1).astype(float), height / np.maximum(edges.outline, 1)


def _places(regions: Regions) -> NDArray[np.int64]:
    """Return the pixel of each object that lies nearest to its middle, along its rows."""
    if not len(regions):
        return np.zeros((0, 2), np.int64)
    owner, middle = regions.run_owner, regions.centroids()[:, 1:]
    x = np.clip(np.rint(middle[owner, 1]).astype(np.int64), regions.x, regions.x + regions.length - 1)
    away = (regions.y - middle[owner, 0]) ** 2 + (x - middle[owner, 1]) ** 2
    order = np.lexsort((away, owner))
    nearest = order[regions.first]
    return np.stack([regions.y[nearest], x[nearest]], 1)
