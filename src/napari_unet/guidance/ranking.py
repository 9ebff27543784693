"""Which cells of a grid to look at, and in which order: what is worth most first, and spread out.

A 2D grid of cells lies over every plane. What is suggested is a cell with those around it, as much as one sees at once.
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

MIN_SECONDS = 1.0
"""Expected seconds of correcting from which on a cell, with those around it, is suggested: of those with less, one in
seven has an error (not recorded on which images)."""

SHOWN_AROUND = (0, 0, 1, 1)
"""Cells that are shown on either side of a suggested one, along T, Z, Y and X."""

MIN_SPACING = (1, 2, 3, 3)
"""Two suggestions differ by more than this along T, Z (planes) or Y, X (cells)."""

MAX_SUGGESTIONS = 20
"""More suggestions are not counted: to count them takes longer than to find the first."""

_BLOCK = 4
"""Cells, along Y and X, of which it is found out together whether the user has settled them."""

Cell = tuple[int, int, int, int]
"""Index of a cell, (T, Z, row, column)."""

Settled = Callable[[tuple[int, int], tuple[slice, slice]], "NDArray[np.bool_]"]
"""Says of a plane (T, Z) and a field (Y, X) of it in which of its cells (rows, columns) the user has settled all."""


class RankedCells:
    """What correcting is worth in each cell, less what the user has settled, which is found out where it matters.

    Parameters
    ----------
    worth : ndarray of float32, axes (T, Z, rows, columns)
        In seconds; cells that are settled become 0.
    size : tuple of int
        Of a plane, pixels.
    settled : callable
        See `Attention.next_suggestion`.
    """

    def __init__(self, worth: NDArray[np.float32], size: tuple[int, int], settled: Settled) -> None:
        self.worth, self._size, self._settled = worth, size, settled
        self._known: set[Cell] = set()
        self._scores = _sums_around(worth)

    def ranked(self, shown: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
        """Yield cells and what they are worth, far from each other and from those that were shown, the best first."""
        taken = np.zeros(self.worth.shape, bool)
        for cell in shown:
            taken[cells_around(cell, MIN_SPACING)] = True
        worthy = np.flatnonzero((self._scores >= MIN_SECONDS) & ~taken)
        worthy = worthy[np.argsort(-self._scores.flat[worthy], kind="stable")]
        # Sorted, this is a heap.
        waiting = list(zip((-self._scores.flat[worthy]).tolist(), worthy.tolist(), strict=True))
        number, flat = 0, self._scores.reshape(-1)
        while waiting and number < MAX_SUGGESTIONS:
            score, index = heapq.heappop(waiting)
            if taken.flat[index] or flat[index] < MIN_SECONDS:
                continue
            frame, z, row, column = map(int, np.unravel_index(index, taken.shape))
            cell = frame, z, row, column
            self._find_out(cell)
            left = float(flat[index])
            if left < MIN_SECONDS:
                continue
            if left < -score:  # a part of it is settled: others may be worth more
                heapq.heappush(waiting, (-left, index))
                continue
            yield cell, left
            taken[cells_around(cell, MIN_SPACING)] = True
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
        """Make cells of a block 0 that are settled, and update the scores around them."""
        plane, scores = self.worth[block[:2]], self._scores[block[:2]]
        rows, columns = (slice(at * _BLOCK, (at + 1) * _BLOCK) for at in block[2:])
        height, width = self._size
        field = (
            slice(rows.start * CELL, min(height, rows.stop * CELL)),
            slice(columns.start * CELL, min(width, columns.stop * CELL)),
        )
        settled = self._settled(block[:2], field)
        if settled.any():
            plane[rows, columns][settled] = 0
            wide = tuple(slice(max(0, part.start - 2), part.stop + 2) for part in (rows, columns))
            inner = tuple(slice(min(1, part.start), part.stop - part.start - 1) for part in wide)
            scores[wide][inner] = _sums_around(plane[wide])[inner]


def cells_around(cell: Cell, reach: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the cells that lie no further from a cell than a reach along T, Z, Y and X."""
    return tuple(slice(max(0, at - far), at + far + 1) for at, far in zip(cell, reach, strict=True))


def _sums_around(worth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each cell (..., rows, columns) the sum over it and those beside it."""
    for axis in (-2, -1):
        worth = ndimage.correlate1d(worth, np.ones(3), axis, mode="constant")
    return worth
