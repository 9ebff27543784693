"""Separates touching objects by the peaks of a map: each peak with enough prominence is one object.

A fixed threshold is not enough: between touching objects the saddle may be higher than the peak of a faint object
elsewhere. Two objects differ from two ripples of one object by how deep the saddle between the peaks is: the "dynamics"
of Grimaud (1992, doi:10.1117/12.60650), by which basins of a watershed are joined (Najman and Schmitt 1996,
doi:10.1109/34.546254).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import minimum_spanning_tree

from napari_unet.objects.disjoint_sets import DisjointSets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


def prominent_basins(
    heights: NDArray[Any], mask: NDArray[np.bool_], prominence: float, least: float = 0.0
) -> NDArray[np.int32]:
    """Return one id for each prominent peak and the pixels around it.

    Parameters
    ----------
    heights : ndarray of float, axes ([Z,] Y, X)
    mask : ndarray of bool, axes ([Z,] Y, X)
        The pixels of objects. Each connected component has at least one object, however low its peak.
    prominence : float
        Smallest height of a peak above the saddle to a higher one.
    least : float
        A lower peak belongs to the neighbouring object.

    Returns
    -------
    ndarray of int32, axes ([Z,] Y, X)
        Ids from 1, without gaps; 0 outside the mask.
    """
    (basins,) = basins_by_prominence(heights, mask, (prominence,), least)
    return basins


def basins_by_prominence(
    heights: NDArray[Any], mask: NDArray[np.bool_], prominences: Iterable[float], least: float = 0.0
) -> Iterator[NDArray[np.int32]]:
    """Yield what `prominent_basins` returns for each of several prominences; most of the work is done once."""
    from skimage.morphology import local_maxima
    from skimage.segmentation import watershed

    inside = np.where(mask, heights, -np.inf).astype(np.float32)
    tops, n_basins = ndimage.label(local_maxima(inside, connectivity=1) & mask)
    basins = watershed(-inside, tops, mask=mask)
    peaks = np.zeros(n_basins + 1, np.float32)
    peaks[tops[tops > 0]] = inside[tops > 0]
    saddles = _saddles(inside, basins, n_basins)
    for prominence in prominences:
        object_of = _joined(saddles, peaks.tolist(), prominence, least)
        yield np.asarray(object_of[basins], np.int32)


def _saddles(heights: NDArray[np.float32], basins: NDArray[Any], n_basins: int) -> sparse.csr_array:
    """Return the highest saddle between any two touching basins, as a matrix with one entry for each pair."""
    pairs, values = [], []
    for axis in range(basins.ndim):
        lead = (slice(None),) * axis
        first, second = (*lead, slice(None, -1)), (*lead, slice(1, None))
        touch = (basins[first] != basins[second]) & (basins[first] > 0) & (basins[second] > 0)
        ends = np.sort([basins[first][touch], basins[second][touch]], axis=0)
        pairs.append(ends[0].astype(np.int64) * (n_basins + 1) + ends[1])
        values.append(np.minimum(heights[first][touch], heights[second][touch]))
    pair, height = np.concatenate(pairs), np.concatenate(values)
    order = np.lexsort((-height, pair))
    pair, at = np.unique(pair[order], return_index=True)
    both = tuple(
        part.astype(np.int32) for part in np.divmod(pair, n_basins + 1)
    )  # SciPy < 1.17.1 takes no 64-bit indices here
    return sparse.csr_array((height[order][at], both), shape=(n_basins + 1,) * 2)


def _joined(saddles: sparse.csr_array, peaks: list[float], prominence: float, least: float) -> NDArray[np.int32]:
    """Return the object of each basin, indexed by the basin's id; `peaks` is changed to the peaks of the objects.

    From the highest saddle down, the objects on both sides are joined unless both of their peaks are prominent. A
    saddle between objects that were joined before changes nothing, so the saddles of a spanning tree are enough.
    """
    depths, top = (
        saddles.copy(),
        float(saddles.data.max(initial=0)) + 1,
    )  # so that no depth is 0, which would be no entry
    depths.data = top - saddles.data
    tree = minimum_spanning_tree(depths).tocoo()
    objects = DisjointSets()
    objects.grow(len(peaks) - 1)
    order = np.argsort(tree.data, kind="stable")
    for one, other, depth in zip(*(part[order].tolist() for part in (tree.row, tree.col, tree.data)), strict=True):
        low, high = sorted((peaks[objects.root(one)], peaks[objects.root(other)]))
        if low < least or low + depth - top < prominence:
            objects.join(one, other)
            peaks[objects.root(one)] = high
    return objects.table()
