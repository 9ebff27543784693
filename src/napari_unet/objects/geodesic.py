"""Pixels divided among seeds: each goes to the one that is reached most cheaply from it.

A watershed takes the way with the lowest highest point, so that one pixel of a saddle decides; where maps say little of
where two objects part, one of them gets nearly all. Here the costs of a way add up (a geodesic Voronoi diagram, as in
Bai and Sapiro 2009, doi:10.1007/s11263-008-0191-z): clear borders are kept to, and where there is none, the middle is.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 200_000
"""Pixels of an object that are divided one by one; larger ones in blocks first, and then along the border."""


def divided(cost: NDArray[np.float32], mask: NDArray[np.bool_], seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return which seed each pixel of a mask belongs to.

    Parameters
    ----------
    cost : ndarray of float32, axes ([Z,] Y, X)
        Of crossing each pixel, positive.
    mask : ndarray of bool, axes ([Z,] Y, X)
    seeds : ndarray of int32, axes ([Z,] Y, X)
        Ids of seeds, 0 elsewhere; those outside the mask are ignored.

    Returns
    -------
    ndarray of int32, axes ([Z,] Y, X)
        Ids of seeds; 0 outside the mask, and in pieces of it that no seed lies in. What belongs to a seed whose pixels
        hang together hangs together by the faces of pixels, as far as the mask does.
    """
    seeds = np.where(mask, seeds, 0).astype(np.int32)
    pixels = int(np.count_nonzero(mask))
    factor = math.ceil((pixels / MAX_PIXELS) ** (1 / mask.ndim))
    parts = _by_pixels(cost, mask, seeds) if factor <= 1 else _by_blocks(cost, mask, seeds, factor)
    return _hanging_together(parts, mask, seeds)


def _by_pixels(cost: NDArray[np.float32], mask: NDArray[np.bool_], seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the seed with the cheapest way to each pixel, by Dijkstra's algorithm."""
    count = int(np.count_nonzero(mask))
    index = np.full(mask.shape, -1, np.int32)
    index[mask] = np.arange(count)
    rows, columns, weights = [], [], []
    for shift in _shifts(mask.ndim):
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, mask.shape, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, mask.shape, strict=True))
        both = mask[here] & mask[there]
        rows.append(index[here][both])
        columns.append(index[there][both])
        length = math.sqrt(sum(s * s for s in shift))
        weights.append(length / 2 * (cost[here][both] + cost[there][both]))
    places = np.concatenate(rows), np.concatenate(columns)
    graph = sparse.csr_array((np.concatenate(weights).astype(np.float64), places), shape=(count, count))
    starts = index[seeds > 0]
    _, _, sources = dijkstra(graph, directed=False, indices=starts, min_only=True, return_predecessors=True)
    result = np.zeros(mask.shape, np.int32)
    result[mask] = np.where(sources >= 0, seeds[mask][np.maximum(sources, 0)], 0)  # negative where no seed leads
    return result


def _by_blocks(
    cost: NDArray[np.float32], mask: NDArray[np.bool_], seeds: NDArray[np.int32], factor: int
) -> NDArray[np.int32]:
    """Return about the same for many pixels: by blocks of them, and by a watershed of the cost near the borders."""
    from skimage.measure import block_reduce
    from skimage.segmentation import watershed

    sides = (factor,) * mask.ndim
    outside = float(cost[mask].max())
    coarse = block_reduce(np.where(mask, cost, outside), sides, np.mean, cval=outside).astype(np.float32)
    parts = _by_pixels(coarse, block_reduce(mask, sides, np.max), block_reduce(seeds, sides, np.max).astype(np.int32))
    for axis in range(mask.ndim):
        parts = parts.repeat(factor, axis)
    parts = np.where(mask, parts[tuple(slice(0, n) for n in mask.shape)], 0)
    reach = 2 * factor + 1
    low, high = (f(np.where(mask, parts, fill), reach) for f, fill in (
        (ndimage.minimum_filter, np.iinfo(np.int32).max), (ndimage.maximum_filter, 0),
    ))  # fmt: skip
    sure = np.where((low == high) & mask, parts, 0)
    sure[seeds > 0] = seeds[seeds > 0]
    return np.asarray(watershed(cost, sure, mask=mask), np.int32)


def _hanging_together(parts: NDArray[np.int32], mask: NDArray[np.bool_], seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the parts with what does not hang together with a seed of theirs given to the parts beside it."""
    from skimage.measure import label
    from skimage.segmentation import watershed

    pieces = label(parts, background=0, connectivity=1)
    with_seed = np.zeros(int(pieces.max()) + 1, bool)
    with_seed[pieces[seeds > 0]] = True
    with_seed[0] = False
    kept = np.where(with_seed[pieces], parts, 0)
    if np.array_equal(kept, parts):
        return parts
    return np.asarray(watershed(np.zeros(mask.shape, np.uint8), kept, mask=mask), np.int32)


def joined(cost: NDArray[np.float32], mask: NDArray[np.bool_], seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the seeds, with pixels of one id joined by the cheapest way that crosses no other seed, if one does.

    Parameters and result as of `divided`.
    """
    from skimage.graph import route_through_array

    seeds = np.where(mask, seeds, 0).astype(np.int32)
    full = np.ones((3,) * mask.ndim)
    for seed in np.unique(seeds[seeds > 0]).tolist():
        pieces, count = ndimage.label(seeds == seed, full)
        if count < 2:
            continue
        open_pixels = np.where(mask & ((seeds == 0) | (seeds == seed)), cost.astype(np.float64), -1)
        starts: list[Any] = [tuple(np.argwhere(pieces == k)[0]) for k in range(1, count + 1)]
        for end in starts[1:]:
            try:
                way, _ = route_through_array(open_pixels, starts[0], end)
            except ValueError:  # no way leads there
                continue
            seeds[tuple(np.transpose(way))] = seed
    return seeds


def _shifts(ndim: int) -> list[tuple[int, ...]]:
    """Return the ways from a pixel to half of its neighbours, by faces, edges and corners; the others are opposite."""
    return [s for s in itertools.product((-1, 0, 1), repeat=ndim) if s > (0,) * ndim]
