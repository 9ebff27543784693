"""Decodes an image that is too large to decode at once block by block, with one id for an object in several blocks.

Every block is decoded with a margin, so that objects that reach into it are complete. Two neighbouring blocks then have
the same objects around their common face, and these get the same id.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.objects.disjoint_sets import DisjointSets
from napari_unet.objects.stitch import match_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
        return _within(self.region, self.seen)


class BlockStitcher:
    """Gives the objects of separately decoded blocks ids that are unique, and the same across blocks.

    Parameters
    ----------
    shape : sequence of int
        Of the image, ([Z,] Y, X).
    block : sequence of int
        Shape of a block's region.
    overlap : int
        Largest size of objects, in pixels, for which the result is the same as if the image were decoded at once. The
        margin is twice as wide: for an object that reaches into the region, and for the objects that it touches.
    smoothing : int
        Largest distance, in pixels, at which a pixel influences whether another one is a seed.

    Notes
    -----
    Blocks must be added in the order of `blocks`. Only the edges of one row of blocks and one number for each object
    are stored: memory grows with the number of objects, not with the size of the image.
    """

    def __init__(self, shape: Sequence[int], block: Sequence[int], overlap: int, smoothing: int = 4) -> None:
        self.shape, self.block = tuple(shape), tuple(block)
        self._margin = 2 * overlap + smoothing
        self._half = max(1, overlap // 2)
        self._parents = DisjointSets()
        self._edges: dict[tuple[int, tuple[int, ...]], _Edge] = {}

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in their order."""
        counts = [math.ceil(n / b) for n, b in zip(self.shape, self.block, strict=True)]
        for index in itertools.product(*map(range, counts)):
            region = tuple(
                slice(i * b, min((i + 1) * b, n)) for i, b, n in zip(index, self.block, self.shape, strict=True)
            )
            seen = tuple(
                slice(max(0, r.start - self._margin), min(n, r.stop + self._margin))
                for r, n in zip(region, self.shape, strict=True)
            )
            yield Block(index, region, seen)

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
        for axis, count in enumerate(self.shape):
            lower, upper = block.region[axis].start, block.region[axis].stop
            if lower > 0:
                before = (*block.index[:axis], block.index[axis] - 1, *block.index[axis + 1 :])
                self._join(self._edges.pop((axis, before)), _Edge.of(labels, table, block, axis, lower, self._half))
            if upper < count:
                self._edges[axis, block.index] = _Edge.of(labels, table, block, axis, upper, self._half)
        return table[labels[block.crop]]

    def final_ids(self) -> NDArray[np.int32]:
        """Return an array that maps the ids of `add` to final ones: 1, 2, ... without gaps."""
        return self._parents.table()

    def _join(self, first: _Edge, second: _Edge) -> None:
        for b, a in match_ids(first.labels, second.labels).items():
            one, other = first.ids[a], second.ids[b]
            if one and other:  # only objects with pixels in both regions are joined
                self._parents.join(int(one), int(other))


@dataclass(frozen=True, slots=True, eq=False)
class _Edge:
    """Labels of a block on both sides of one of its faces, and the ids of its objects (0: not in its region)."""

    labels: NDArray[np.int32]
    ids: NDArray[np.int32]

    @classmethod
    def of(
        cls, labels: NDArray[np.int32], ids: NDArray[np.int32], block: Block, axis: int, face: int, half: int
    ) -> _Edge:
        seen = block.seen[axis]
        band = list(block.region)
        # As far as both blocks were decoded.
        band[axis] = slice(max(face - half, seen.start), min(face + half, seen.stop))
        return cls(labels[_within(band, block.seen)].copy(), ids)


def _within(region: Sequence[slice], outer: Sequence[slice]) -> tuple[slice, ...]:
    return tuple(slice(r.start - o.start, r.stop - o.start) for r, o in zip(region, outer, strict=True))
