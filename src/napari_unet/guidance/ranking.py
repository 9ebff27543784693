"""Which cells of a grid to look at, and in which order: what is worth most first, and spread out.

A 2D grid of cells lies over every plane. A place is a cell with those around it, as much as one sees at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

CELL = 32
"""Width and height of a cell, in pixels: about one object."""

LEAST = 1.0
"""Least seconds of mending that are expected of a place worth a look: of those with less, one in seven has an error."""

BESIDE = (0, 0, 1, 1)
"""Cells that are seen with the one in the middle of a place, along T, Z, Y and X."""

APART = (1, 2, 3, 3)
"""Two places that are shown differ by more than this along T, Z (planes) or Y, X (cells)."""

MAX_PLACES = 20
"""More places are not counted: to count them takes longer than to find the first."""

_BLOCK = 4
"""Cells, along Y and X, of which it is found out together whether the user has settled them."""

Cell = tuple[int, int, int, int]
"""Index of a cell, (T, Z, row, column)."""

LookedAt = Callable[[tuple[int, int], tuple[slice, slice]], "NDArray[np.bool_]"]
"""Says of a plane (T, Z) and a field (Y, X) of it in which of its cells (rows, columns) the user has settled all."""


class Places:
    """What correcting is worth in each cell, less what the user has settled, which is found out where it matters.

    Parameters
    ----------
    worth : ndarray of float32, axes (T, Z, rows, columns)
        In seconds; cells that are settled become 0.
    size : tuple of int
        Of a plane, pixels.
    looked_at : callable
        See `Attention.next_place`.
    """

    def __init__(self, worth: NDArray[np.float32], size: tuple[int, int], looked_at: LookedAt) -> None:
        self.worth, self._size, self._looked_at = worth, size, looked_at
        self._known: set[Cell] = set()
        self._scores = _sums_around(worth)

    def ranked(self, shown: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
        """Yield places and what they are worth, far from each other and from those that were shown, the best first."""
        taken = np.zeros(self.worth.shape, bool)
        for place in shown:
            taken[around(place, APART)] = True
        worthy = np.flatnonzero((self._scores >= LEAST) & ~taken)
        worthy = worthy[np.argsort(-self._scores.flat[worthy], kind="stable")]
        # Sorted, this is a heap.
        waiting = list(zip((-self._scores.flat[worthy]).tolist(), worthy.tolist(), strict=True))
        number, flat = 0, self._scores.reshape(-1)
        while waiting and number < MAX_PLACES:
            score, index = heapq.heappop(waiting)
            if taken.flat[index] or flat[index] < LEAST:
                continue
            frame, z, row, column = map(int, np.unravel_index(index, taken.shape))
            cell = frame, z, row, column
            self._find_out(cell)
            left = float(flat[index])
            if left < LEAST:
                continue
            if left < -score:  # a part of it is settled: others may be worth more
                heapq.heappush(waiting, (-left, index))
                continue
            yield cell, left
            taken[around(cell, APART)] = True
            number += 1

    def _find_out(self, cell: Cell) -> None:
        """Leave out what the user has settled around a cell."""
        spans = zip(cell[2:], self.worth.shape[2:], strict=True)
        blocks = product(*(range(max(0, at - 1) // _BLOCK, min(n - 1, at + 1) // _BLOCK + 1) for at, n in spans))
        for row, column in blocks:
            block = cell[0], cell[1], row, column
            if block not in self._known:
                self._known.add(block)
                self._leave_out(block)

    def _leave_out(self, block: Cell) -> None:
        """Make cells of a block 0 that are settled, and mend the scores around them."""
        plane, scores = self.worth[block[:2]], self._scores[block[:2]]
        rows, columns = (slice(at * _BLOCK, (at + 1) * _BLOCK) for at in block[2:])
        height, width = self._size
        field = (
            slice(rows.start * CELL, min(height, rows.stop * CELL)),
            slice(columns.start * CELL, min(width, columns.stop * CELL)),
        )
        settled = self._looked_at(block[:2], field)
        if settled.any():
            plane[rows, columns][settled] = 0
            wide = tuple(slice(max(0, part.start - 2), part.stop + 2) for part in (rows, columns))
            inner = tuple(slice(min(1, part.start), part.stop - part.start - 1) for part in wide)
            scores[wide][inner] = _sums_around(plane[wide])[inner]


def around(place: Cell, reach: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the cells that lie no further from a place than a reach along T, Z, Y and X."""
    return tuple(slice(max(0, at - far), at + far + 1) for at, far in zip(place, reach, strict=True))


def _sums_around(worth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each cell (..., rows, columns) the sum over it and those beside it."""
    for axis in (-2, -1):
        worth = ndimage.correlate1d(worth, np.ones(3), axis, mode="constant")
    return worth
