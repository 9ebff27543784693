"""Ids of objects that were found block by block, the same as those that one process gives."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unet.errors import ClusterError
from napari_unet.objects.stitch import MIN_SLICE_IOU, Matcher, numbered_on

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from napari_unet.cluster.run_folder import RunFolder
    from napari_unet.cluster.work import Joined
    from napari_unet.objects.blocks import BlockGrid


MAX_OBJECTS = 2**31 - 1
"""Ids are 32-bit numbers."""


class JoinedFaces:
    """How many objects each block has, and which of them are those of a block before it: a few bytes for each.

    Parameters
    ----------
    subimages : int
        Planes or volumes.
    blocks : BlockGrid
        Of each of them.
    """

    def __init__(self, subimages: int, blocks: BlockGrid) -> None:
        self._blocks = blocks
        self._counts = np.zeros((subimages, len(blocks)), np.int32)
        self._faces = [array("i") for _ in range(subimages)]  # block, the one before it, pairs
        self._pairs = [array("i") for _ in range(subimages)]

    def add(self, place: tuple[int, ...], joined: Joined) -> None:
        """Take what was found of a block of a plane or volume, in any order."""
        subimage, number = place
        self._counts[subimage, number] = joined.count
        for axis, pairs in joined.pairs.items():
            if len(pairs):
                before = self._blocks.number_before(self._blocks[number], axis)
                self._faces[subimage].extend((number, before, len(pairs)))
                self._pairs[subimage].frombytes(np.ascontiguousarray(pairs, np.intc).tobytes())

    def __len__(self) -> int:
        return len(self._counts)

    def first(self, subimage: int) -> NDArray[np.int64]:
        """Return the place of each block's first object in the table of a plane or volume, shape (blocks,)."""
        counts = self._counts[subimage].astype(np.int64)
        return np.asarray(np.cumsum(counts) - counts)

    def count(self, subimage: int) -> int:
        """Return how many objects all blocks of a plane or volume have."""
        return int(self._counts[subimage].sum(dtype=np.int64))

    def pairs(self, subimage: int) -> NDArray[np.int32]:
        """Return the places of each two that are one object, shape (N, 2)."""
        faces = np.asarray(self._faces[subimage], np.intc).reshape(-1, 3)
        begin = self.first(subimage).astype(np.int32)[faces[:, [1, 0]]]
        pairs = np.repeat(begin, faces[:, 2], axis=0)
        pairs += np.asarray(self._pairs[subimage], np.intc).reshape(-1, 2)
        pairs -= 1
        return pairs


class NumberedObjects:
    """The objects of all blocks, in the order of the blocks, and which of them are parts of one.

    Parameters
    ----------
    folder : RunFolder
        Tables of ids are written there, for the workers.
    joined : JoinedFaces
        Of all blocks.

    Raises
    ------
    ClusterError
        If there are more objects than ids.

    Attributes
    ----------
    numbered : int
        Planes or volumes that have their final ids.
    last : int
        The last id that is used.

    Notes
    -----
    The sets are the connected components of the graph whose edges are the pairs (`scipy.sparse.csgraph`); they are
    numbered in the order of their first member.
    """

    def __init__(self, folder: RunFolder, joined: JoinedFaces) -> None:
        self._folder, self._count = folder, len(joined)
        self._first = np.stack([joined.first(subimage) for subimage in range(self._count)])
        self.numbered = self.last = 0
        self._before = np.zeros(1, np.int32)
        for subimage in range(self._count):
            count = joined.count(subimage)
            _check_number(count)
            self._save("plane", subimage, _components(count, joined.pairs(subimage)))

    def first(self, subimage: int, block: int) -> int:
        """Return the place of the first object of a block in the table of its plane or volume."""
        return int(self._first[subimage, block])

    @property
    def complete(self) -> bool:
        """Whether all have their final ids."""
        return self.numbered == self._count

    def number(self, counted: Sequence[Matcher] = ()) -> None:
        """Write the final ids of the next plane or volume.

        Parameters
        ----------
        counted : sequence of Matcher
            What its objects share with those of the one before, in each block, where an object keeps its id from one
            to the next; else none.

        Raises
        ------
        ClusterError
            If there are more objects than ids.
        """
        table = np.load(self._folder.ids("plane", self.numbered))
        known = _matched(counted, self._before) if counted else {}
        count = int(table.max(initial=0))
        _check_number(self.last + count)
        self._before, self.last = numbered_on(count, known, self.last)
        self._save("final", self.numbered, self._before[table])
        self.numbered += 1

    def _save(self, kind: Any, subimage: int, table: NDArray[np.int32]) -> None:
        self._folder.save(self._folder.ids(kind, subimage), table)


class Linking:
    """Numbers planes one after the other, as soon as it is known what each shares with the one before.

    So that is held of a few planes only.

    Parameters
    ----------
    objects : NumberedObjects
    following : collection of int
        Planes in which objects go on from the one before.
    blocks : int
        Of each plane.
    """

    def __init__(self, objects: NumberedObjects, following: Collection[int], blocks: int) -> None:
        self._objects, self._following, self._blocks = objects, frozenset(following), blocks
        self._held: dict[int, dict[int, Matcher]] = {}
        self._go_on()

    def add(self, place: tuple[int, ...], counted: Matcher) -> None:
        """Take what was counted in a block of a plane, in any order."""
        subimage, block = place
        self._held.setdefault(subimage, {})[block] = counted
        self._go_on()

    def _go_on(self) -> None:
        while not self._objects.complete:
            held = self._held.get(self._objects.numbered, {})
            if self._objects.numbered in self._following and len(held) < self._blocks:
                return
            self._held.pop(self._objects.numbered, None)
            self._objects.number([held[block] for block in sorted(held)])


def _check_number(objects: int) -> None:
    if objects > MAX_OBJECTS:
        raise ClusterError(f"There are more than {MAX_OBJECTS} objects, the most that labels can tell apart.")


def _matched(counted: Sequence[Matcher], before: NDArray[np.int32]) -> dict[int, int]:
    """Return which object of a slice is the same as which one of the slice before, whose final ids are given."""
    matcher = Matcher()
    for one in counted:
        matcher.merge(one, lambda label: int(before[label]), lambda label: label)
    return matcher.mapping(MIN_SLICE_IOU)


def _components(count: int, pairs: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return for each of some objects the number of its set, from 1."""
    begins = np.ones(count, bool)  # whether it is the first of its set; most objects are the only one
    paired, ends = np.unique(pairs, return_inverse=True)
    ends = ends.reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(len(paired), len(paired)))
    _, found = connected_components(graph, directed=False) if len(paired) else (0, np.zeros(0, np.intp))
    _, first = np.unique(found, return_index=True)
    begins[paired] = False
    begins[paired[first]] = True
    numbers = np.cumsum(begins, dtype=np.int32)
    numbers[paired] = numbers[paired[first]][found]
    return numbers
