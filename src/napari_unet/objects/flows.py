"""Flow fields: at every pixel of an object, the direction of a path to the middle of the object.

A network that predicts them separates touching objects by where the paths of their pixels end. The field is the
gradient of heat that spreads from the middle of each object within that object, so that paths go around concave
corners. Pixels whose paths end together are one object (Stringer, Wang, Michaelos and Pachitariu 2021, "Cellpose",
doi:10.1038/s41592-020-01018-x). Written from the paper.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage, sparse

from napari_unet.objects.stitch import compact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLOWS = {2: ("flow_y", "flow_x"), 3: ("flow_z", "flow_y", "flow_x")}
"""Names of the maps, by the number of spatial axes. A map is 0.5 + 0.5 times a component of the unit vector."""

LEARNED = {2: ("foreground", "distance", *FLOWS[2]), 3: ("foreground", "distance")}
"""Outputs of a network for objects, by the number of spatial axes: small networks for volumes are better without flows
(docs/decisions/0006-decoding.md)."""

DOUBLINGS = 6
"""Paths have 2 to the power of this many steps, each of the length of the vector there. In larger objects they do not
all end at one pixel, but at adjacent ones, which is as good."""

_GROUPS = (0, 8, 16, 24, 32, 48, 64, 96)
"""Objects are grouped by length, in pixels, and get two iterations of heat for each; longer ones are shrunk."""


def flow_field(labels: NDArray[Any]) -> NDArray[np.float32]:
    """Return unit vectors towards the middle of each object, 0 in the background and where there is no path.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
        Instance ids, 0 is background.

    Returns
    -------
    ndarray of float32, axes (ndim, [Z,] Y, X)
        Components along the axes, in their order.
    """
    numbers = compact(labels)
    field = np.zeros((labels.ndim, *labels.shape), np.float32)
    boxes = ndimage.find_objects(numbers)
    longest = np.array([0, *(max(s.stop - s.start for s in box) for box in boxes)])
    # All objects of a group get as many iterations as its longest one may need; objects do not influence each other.
    for least, most in itertools.pairwise(_GROUPS):
        these = (longest > least) & (longest <= most)
        if these.any():
            field += _uphill(np.where(these[numbers], numbers, 0), 2 * most)
    for number in np.flatnonzero(longest > _GROUPS[-1]):
        box = boxes[number - 1]
        field[(slice(None), *box)] += _of_long(numbers[box] == number, -(-longest[number] // _GROUPS[-1]))
    return field


def _of_long(mask: NDArray[np.bool_], factor: int) -> NDArray[np.float32]:
    """Return the field of one long object, computed on blocks of `factor` pixels along each axis."""
    from skimage.measure import block_reduce

    blocks = block_reduce(mask, (factor,) * mask.ndim, np.max)
    field = _uphill(blocks.astype(np.int32), 2 * _GROUPS[-1])
    for axis in range(1, field.ndim):
        field = field.repeat(factor, axis)
    return field[(slice(None), *(slice(0, n) for n in mask.shape))] * mask


def _uphill(numbers: NDArray[np.int32], rounds: int) -> NDArray[np.float32]:
    """Return the unit vectors of all objects ([Z,] Y, X), from heat after so many iterations."""
    heat = _heat(numbers, rounds)
    field = np.stack([_next(heat, numbers, axis, 1) - _next(heat, numbers, axis, -1) for axis in range(heat.ndim)])
    field *= numbers > 0
    length = np.sqrt((field**2).sum(0))
    return np.asarray(np.divide(field, length, out=np.zeros_like(field), where=length > 0), np.float32)


def _heat(numbers: NDArray[np.int32], rounds: int) -> NDArray[np.float64]:
    """Return log(1 + heat) in each object ([Z,] Y, X), with a source in its middle, after so many iterations."""
    inside = numbers > 0
    ids, shape = numbers[inside], numbers.shape
    index = np.full(np.add(shape, 2), -1, np.int32)
    core = (slice(1, -1),) * numbers.ndim
    index[core][inside] = np.arange(len(ids))
    rows, columns = [], []
    for shift in itertools.product((0, 1, 2), repeat=numbers.ndim):
        beside = index[tuple(slice(s, s + n) for s, n in zip(shift, shape, strict=True))][inside]
        same = (beside >= 0) & (ids[beside] == ids)
        rows.append(np.flatnonzero(same))
        columns.append(beside[same])
    positions = np.concatenate(rows), np.concatenate(columns)
    spread = sparse.csr_array((np.full(len(positions[0]), 3.0**-numbers.ndim), positions), shape=(len(ids),) * 2)
    source: NDArray[np.float64] = np.zeros(len(ids))
    source[index[core][tuple(middles(numbers).T)]] = 1
    heat = np.zeros_like(source)
    for _ in range(rounds):
        heat = np.asarray(spread @ (heat + source))
    result = np.zeros(shape)
    result[inside] = np.log1p(heat)
    return result


def middles(numbers: NDArray[Any]) -> NDArray[np.intp]:
    """Return for each object ([Z,] Y, X), by id, its pixel nearest to its centre of mass, axes (n, ndim)."""
    found = []
    for number, box in enumerate(ndimage.find_objects(numbers), start=1):
        if box is not None:
            pixels = np.argwhere(numbers[box] == number)
            nearest = pixels[((pixels - pixels.mean(0)) ** 2).sum(1).argmin()]
            found.append(nearest + [s.start for s in box])
    return np.array(found, np.intp).reshape(-1, numbers.ndim)


def _next(heat: NDArray[np.float64], numbers: NDArray[Any], axis: int, step: int) -> NDArray[np.float64]:
    """Return the heat of the next pixel along an axis; 0 if that is of another object, so that flows point away."""
    here, there = (slice(None, -1), slice(1, None)) if step > 0 else (slice(1, None), slice(None, -1))
    lead = (slice(None),) * axis
    result = np.zeros_like(heat)
    result[(*lead, here)] = np.where(numbers[(*lead, here)] == numbers[(*lead, there)], heat[(*lead, there)], 0)
    return result


def displacements(
    flows: NDArray[np.float32], mask: NDArray[np.bool_], doublings: int = DOUBLINGS
) -> NDArray[np.float32]:
    """Return the displacement of each pixel of a mask after 2**`doublings` steps along a flow field.

    Parameters
    ----------
    flows : ndarray of float32, axes (ndim, [Z,] Y, X)
        In pixels for one step; not used outside the mask, where it counts as 0.
    mask : ndarray of bool, axes ([Z,] Y, X)
    doublings : int

    Returns
    -------
    ndarray of float32, axes (ndim, n)
        Displacement, in pixels, of the n pixels of the mask, in the order of their indices.

    Notes
    -----
    A path of twice as many steps is a path followed by the path from its end, so a few iterations are enough for
    hundreds of steps ("scaling and squaring", Arsigny et al. 2006, doi:10.1007/11866565_113). A displacement depends
    only on the field around the pixel, not on where the array begins: a part of an image gives the same result.
    """
    start = np.argwhere(mask).T
    limits = np.reshape(mask.shape, (-1, 1)) - 1
    padded = [n + 1 for n in mask.shape]  # a position on the last pixel has a neighbour after it, with weight 0
    strides = np.reshape([math.prod(padded[axis + 1 :]) for axis in range(mask.ndim)], (-1, 1))
    positions = (start * strides).sum(0)
    field = np.zeros((mask.ndim, math.prod(padded)), np.float32)
    displacement = flows[:, mask].astype(np.float32)
    displacement = np.clip(displacement, -start, limits - start, dtype=np.float32)
    for _ in range(doublings):
        field[:, positions] = displacement
        whole = np.floor(displacement)
        part, corner = displacement - whole, positions + (whole.astype(np.intp) * strides).sum(0)
        for shift in itertools.product((0, 1), repeat=mask.ndim):
            weight = math.prod(p if s else 1 - p for s, p in zip(shift, part, strict=True))
            displacement = displacement + weight * field.take(corner + int(np.dot(shift, strides[:, 0])), axis=1)
        displacement = np.clip(displacement, -start, limits - start, dtype=np.float32)
    return np.asarray(displacement, np.float32)


def group_by_flow(
    flows: NDArray[np.float32],
    mask: NDArray[np.bool_],
    smoothing: Sequence[float] = (),
    sink_radius: Sequence[float] = (),
) -> NDArray[np.int32]:
    """Return one id for the pixels of a mask whose paths along a flow field end together.

    Parameters
    ----------
    flows : ndarray of float32, axes (ndim, [Z,] Y, X)
        In pixels for one step.
    mask : ndarray of bool, axes ([Z,] Y, X)
    smoothing : sequence of float
        Standard deviation, in pixels along each axis, of the Gaussian that smooths the field; empty: no smoothing.
        Where a network is uncertain, vectors of all directions would otherwise stop paths.
    sink_radius : sequence of float
        Distance, in pixels along each axis, within which ends of paths belong together; rounded. Empty: 0.

    Returns
    -------
    ndarray of int32, axes ([Z,] Y, X), ids from 1
    """
    flows = flows * mask
    if any(smoothing):
        flows = np.stack([ndimage.gaussian_filter(part, smoothing) for part in flows])
    ends = tuple(np.argwhere(mask).T + np.floor(displacements(flows, mask) + 0.5).astype(np.intp))
    positions = np.zeros(mask.shape, np.uint8)
    positions[ends] = 1
    for axis, reach in enumerate(sink_radius):
        positions = ndimage.maximum_filter1d(positions, 2 * round(reach) + 1, axis)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = ndimage.label(positions, np.ones((3,) * mask.ndim))[0][ends]
    return labels
