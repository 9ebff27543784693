"""Ids of objects that were found block by block, the same as those that one process gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unet.objects.stitch import MIN_SLICE_IOU, Matcher, numbered_on

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.cluster.run_folder import RunFolder
    from napari_unet.cluster.work import Joined
    from napari_unet.objects.blocks import BlockGrid


class NumberedObjects:
    """The objects of all blocks, in the order of the blocks, and which of them are parts of one.

    Parameters
    ----------
    folder : RunFolder
        Tables of ids are written there, for the workers.
    blocks : BlockGrid
        Of each plane or volume.
    joined : mapping of (int, int) to Joined
        For each block of each plane or volume.

    Notes
    -----
    The sets are the connected components of the graph whose edges are the pairs (`scipy.sparse.csgraph`); they are
    numbered in the order of their first member.
    """

    def __init__(self, folder: RunFolder, blocks: BlockGrid, joined: Mapping[tuple[int, ...], Joined]) -> None:
        self._folder, self._count = folder, 1 + max(subimage for subimage, _ in joined)
        counts = np.array(
            [[joined[subimage, block].count for block in range(len(blocks))] for subimage in range(self._count)]
        )
        self._first = np.cumsum(counts, axis=1) - counts
        for subimage in range(self._count):
            pairs = [
                found
                - 1
                + (self._first[subimage, blocks.number_before(blocks[block], axis)], self._first[subimage, block])
                for block in range(len(blocks))
                for axis, found in joined[subimage, block].pairs.items()
            ]
            self._save("plane", subimage, _components(int(counts[subimage].sum()), pairs))

    def first(self, subimage: int, block: int) -> int:
        """Return the place of the first object of a block in the table of its plane or volume."""
        return int(self._first[subimage, block])

    def number(self, links: Mapping[int, Sequence[Matcher]]) -> int:
        """Write the final ids, and return the last one.

        Parameters
        ----------
        links : mapping of int to sequence of Matcher
            What objects of a plane share with those of the one before, in each block; only where an object keeps its id
            from one to the next.
        """
        last, before = 0, np.zeros(1, np.int32)
        for subimage in range(self._count):
            table = np.load(self._folder.ids("plane", subimage))
            known = _matched(links[subimage], before) if subimage in links else {}
            before, last = numbered_on(int(table.max(initial=0)), known, last)
            self._save("final", subimage, before[table])
        return last

    def _save(self, kind: Any, subimage: int, table: NDArray[np.int32]) -> None:
        self._folder.save(self._folder.ids(kind, subimage), table)


def _matched(counted: Sequence[Matcher], before: NDArray[np.int32]) -> dict[int, int]:
    """Return which object of a slice is the same as which one of the slice before, whose final ids are given."""
    matcher = Matcher()
    for one in counted:
        matcher.merge(one, lambda label: int(before[label]), lambda label: label)
    return matcher.mapping(MIN_SLICE_IOU)


def _components(count: int, pairs: Sequence[NDArray[np.int64]]) -> NDArray[np.int32]:
    """Return for each of some objects the number of its set, from 1."""
    if not count:
        return np.zeros(0, np.int32)
    joined = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    graph = coo_array((np.ones(len(joined), bool), (joined[:, 0], joined[:, 1])), shape=(count, count))
    _, found = connected_components(graph, directed=False)
    _, first = np.unique(found, return_index=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(1, len(first) + 1)
    return rank[found]
