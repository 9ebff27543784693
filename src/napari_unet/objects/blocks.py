"""Decodes an image that is too large to decode at once block by block, with one id for an object in several blocks.

Every block is decoded with a margin, so that objects that reach into it are complete. Two neighbouring blocks then have
the same objects around their common face, and these get the same id.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from napari_unet.objects.boxes import relative
from napari_unet.objects.disjoint_sets import DisjointSets
from napari_unet.objects.stitch import match_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Block:
    """A block of an image; all slices are absolute.

    Attributes
    ----------
    index : tuple of int
        Its index in the grid of blocks.
    region : tuple of slice
        Region that its result is for; the regions of all blocks cover the image once.
    seen : tuple of slice
        Region that is decoded: `region` and its margin, within the image.
    """

    index: tuple[int, ...]
    region: tuple[slice, ...]
    seen: tuple[slice, ...]

    @property
    def crop(self) -> tuple[slice, ...]:
        """`region` relative to `seen`."""
        return relative(self.region, self.seen)


@dataclass(frozen=True)
class BlockGrid(Sequence[Block]):
    """The blocks of an image in reading order, made when they are indexed.

    Attributes
    ----------
    shape : tuple of int
        Of the image, ([Z,] Y, X).
    block : tuple of int
        Shape of a block's region.
    overlap : int
        Largest size of objects, in pixels, for which the result is the same as if the image were decoded at once. The
        margin is twice as wide: for an object that reaches into the region, and for the objects that it touches.
    smoothing : int
        Largest distance, in pixels, at which a pixel influences whether another one is a seed.
    """

    shape: tuple[int, ...]
    block: tuple[int, ...]
    overlap: int
    smoothing: int = 4

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(math.ceil(n / b) for n, b in zip(self.shape, self.block, strict=True))

    @property
    def band(self) -> int:
        """Pixels on either side of a face in which two blocks are compared."""
        return max(1, self.overlap // 2)

    def __len__(self) -> int:
        return math.prod(self.counts)

    @overload
    def __getitem__(self, number: int) -> Block: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Block, ...]: ...
    def __getitem__(self, number: int | slice) -> Block | tuple[Block, ...]:
        """Return a block by its number in reading order, or several."""
        if isinstance(number, slice):
            return tuple(self[one] for one in range(len(self))[number])
        return self.at(tuple(int(i) for i in np.unravel_index(range(len(self))[number], self.counts)))

    def at(self, index: tuple[int, ...]) -> Block:
        """Return a block by its index in the grid."""
        region = tuple(slice(i * b, min((i + 1) * b, n)) for i, b, n in zip(index, self.block, self.shape, strict=True))
        margin = 2 * self.overlap + self.smoothing
        seen = tuple(
            slice(max(0, r.start - margin), min(n, r.stop + margin)) for r, n in zip(region, self.shape, strict=True)
        )
        return Block(index, region, seen)

    def number_before(self, block: Block, axis: int) -> int:
        """Return the number of the block before another one along an axis."""
        index = (*block.index[:axis], block.index[axis] - 1, *block.index[axis + 1 :])
        return int(np.ravel_multi_index(index, self.counts))

    def edges(
        self, block: Block, labels: NDArray[np.int32], ids: NDArray[np.int32]
    ) -> Iterator[tuple[int, bool, Edge]]:
        """Yield for each face of a block between blocks: its axis, whether it is the lower one of two, and the edge.

        Parameters
        ----------
        block : Block
        labels : ndarray of int32
            Of `block.seen`.
        ids : ndarray of int32
            The id of each label; 0: not in the block's region.
        """
        for axis, size in enumerate(self.shape):
            part = block.region[axis]
            if part.start > 0:
                yield axis, True, Edge.of(labels, ids, block, axis, part.start, self.band)
            if part.stop < size:
                yield axis, False, Edge.of(labels, ids, block, axis, part.stop, self.band)


class BlockStitcher:
    """Gives the objects of separately decoded blocks ids that are unique, and the same across blocks.

    Parameters
    ----------
    shape, block, overlap, smoothing
        Of the blocks, see `BlockGrid`.

    Notes
    -----
    Blocks must be added in the order of `blocks`. Only the edges of one row of blocks and one number for each object
    are stored: memory grows with the number of objects, not with the size of the image.
    """

    def __init__(self, shape: Sequence[int], block: Sequence[int], overlap: int, smoothing: int = 4) -> None:
        self._grid = BlockGrid(tuple(shape), tuple(block), overlap, smoothing)
        self._parents = DisjointSets()
        self._edges: dict[tuple[int, tuple[int, ...]], Edge] = {}

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in their order."""
        return iter(self._grid)

    def add(self, block: Block, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Add the labels of a block; return those of its region, with ids that `final_ids` maps to the final ones.

        Parameters
        ----------
        block : Block
        labels : ndarray of int32, ids from 1
            Of `block.seen`.
        """
        ids = np.unique(labels[block.crop])
        ids = ids[ids > 0]
        table = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
        table[ids] = self._parents.grow(len(ids))
        for axis, lower, edge in self._grid.edges(block, labels, table):
            if lower:
                before = (*block.index[:axis], block.index[axis] - 1, *block.index[axis + 1 :])
                self._join(self._edges.pop((axis, before)), edge)
            else:
                self._edges[axis, block.index] = edge
        return table[labels[block.crop]]

    def final_ids(self) -> NDArray[np.int32]:
        """Return an array that maps the ids of `add` to final ones: 1, 2, ... without gaps."""
        return self._parents.table()

    def _join(self, first: Edge, second: Edge) -> None:
        for one, other in first.same_objects(second):
            self._parents.join(one, other)


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Labels of a block on both sides of one of its faces, and the ids of its objects (0: not in its region)."""

    labels: NDArray[np.int32]
    ids: NDArray[np.int32]

    @classmethod
    def of(
        cls, labels: NDArray[np.int32], ids: NDArray[np.int32], block: Block, axis: int, face: int, half: int
    ) -> Edge:
        """Return the edge of a block at one of its faces, `half` pixels wide on either side."""
        seen = block.seen[axis]
        band = list(block.region)
        # As far as both blocks were decoded.
        band[axis] = slice(max(face - half, seen.start), min(face + half, seen.stop))
        return cls(labels[relative(tuple(band), block.seen)].copy(), ids)

    def same_objects(self, other: Edge) -> list[tuple[int, int]]:
        """Return the ids of objects that are the same on both sides of a face, one of each block."""
        pairs = [(int(self.ids[a]), int(other.ids[b])) for b, a in match_ids(self.labels, other.labels).items()]
        return [pair for pair in pairs if all(pair)]  # only objects with pixels in both regions are joined
