"""Where a correction is worth most: coarse maps of what correcting is expected to take, and what to look at next.

A 2D grid of cells lies over every plane; of a result only the cells are kept, never its maps.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from napari_unet.guidance.expected_cost import Suspicion, halved, seconds_to_correct
from napari_unet.guidance.ranking import CELL, SHOWN_AROUND, RankedCells, cells_around

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_unet.guidance.ranking import Cell, Settled

_NEARLY_BEST = 0.9
"""What is nearer to the view comes first if it is worth at least this share of the best."""


_MAX_SECONDS = 60_000
"""More seconds of correcting than a cell can be expected to take, whatever a file says; 16 bits hold up to 65,504."""


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """What may be wrong in a part of a time point, cell by cell.

    Attributes
    ----------
    frame : int
        Time point.
    cells : tuple of slice
        Which: slices along Z, and cells along Y and X.
    seconds : ndarray of float32, axes (suspicions, Z, rows, columns)
        Expected seconds of correcting, in the order of `expected_cost.Suspicion`.
    level : ndarray of float32, axes (Z, rows, columns), values 0..1
        What it says on average, to be compared with what another model says: the share of foreground, or the class.
    """

    frame: int
    cells: tuple[slice, slice, slice]
    seconds: NDArray[np.float32]
    level: NDArray[np.float32]


def uncertainty_by_cell(
    maps: NDArray[np.float32],
    labels: NDArray[Any],
    outputs: Sequence[str],
    frame: int,
    region: tuple[slice, slice, slice],
) -> Uncertainty:
    """Return the cells of a result.

    Parameters
    ----------
    maps : ndarray of float32, axes (K, Z, Y, X), probabilities 0..1
    labels : ndarray of int, axes (Z, Y, X)
        What was made of them, ids 1, 2, ... or classes.
    outputs : sequence of str
        Names of the maps: "foreground" is among them, or all of them are classes.
    frame : int
        Time point.
    region : tuple of slice
        Which part of it, (Z, Y, X).
    """
    if "foreground" in outputs:
        said = maps[outputs.index("foreground")]
    else:
        said = np.tensordot(np.linspace(0, 1, len(maps), dtype=np.float32), maps, 1)
    blocks = halved(said)
    level, counted = (_cell_sums(part, region[1:]) for part in (blocks, np.ones_like(blocks[:1])))
    rows, columns = (slice(part.start // CELL, (part.stop - 1) // CELL + 1) for part in region[1:])
    seconds = _cell_sums(seconds_to_correct(maps, labels, outputs), region[1:])
    return Uncertainty(frame, (region[0], rows, columns), seconds, level / counted)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Where to look next, and what may be wrong there.

    Attributes
    ----------
    frame, z : int
        Time point and slice.
    y, x : float
        Pixel in the middle of what may be wrong.
    what : Suspicion
        What is most likely to be wrong.
    left : int
        How many suggestions there are after this one, as far as they are counted.
    again : bool
        Whether all were shown, and it begins anew.
    """

    frame: int
    z: int
    y: float
    x: float
    what: Suspicion
    left: int
    again: bool


class Attention:
    """Knows what correcting is expected to take in every plane, and what of it was shown.

    Parameters
    ----------
    shape : tuple of int
        Shape of the labels, (T, Z, Y, X).
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self._size = shape[2:]
        grid = self.layout(shape)[1:]
        self._seconds = np.zeros((len(Suspicion), *grid), np.float16)
        self._level, self._level_before = (np.full(grid, np.nan, np.float16) for _ in range(2))
        self._model: Callable[[], object] | None = None  # weak: the model may be put away meanwhile
        self._shown: list[Cell] = []

    @property
    def anything(self) -> bool:
        """Whether there is any result to judge by."""
        return self._model is not None

    def copy(self) -> Attention:
        """Return one that no later result changes."""
        result = copy(self)
        result._seconds, result._level = self._seconds.copy(), self._level.copy()
        result._level_before, result._shown = self._level_before.copy(), list(self._shown)
        return result

    def known(self) -> NDArray[np.float16]:
        """Return a copy of what is known, axes (suspicions and two levels, T, Z, rows, columns), for `restored`."""
        return np.concatenate([self._seconds, self._level[None], self._level_before[None]])

    @staticmethod
    def layout(shape: tuple[int, int, int, int]) -> tuple[int, ...]:
        """Return the shape of `known` where the labels have this one."""
        return (len(Suspicion) + 2, *shape[:2], *(-(-n // CELL) for n in shape[2:]))

    @classmethod
    def restored(cls, shape: tuple[int, int, int, int], known: NDArray[Any], model: object) -> Attention:
        """Return what was known of labels of that shape; the next result is of another model, or of this one."""
        found = cls(shape)
        seconds = np.nan_to_num(known[:-2].astype(np.float32), posinf=0, neginf=0)
        found._seconds[...] = np.clip(seconds, 0, _MAX_SECONDS)
        found._level[...], found._level_before[...] = np.clip(known[-2:], 0, 1)
        found._model = _held_weakly(model)
        return found

    def take(self, found: Uncertainty, model: object) -> None:
        """Take in the cells of a new result; what another model said of them before is kept for comparison."""
        if self._model is None or model is not self._model():
            self._level_before = self._level.copy()
            self._model = _held_weakly(model)
        where = (found.frame, *found.cells)
        self._seconds[(slice(None), *where)], self._level[where] = found.seconds, found.level

    def scores(self) -> NDArray[np.float32]:
        """Return what a correction is worth in each cell (T, Z, rows, columns), in seconds: 0 where nothing is known.

        They count up to twice where the last two models disagree.
        """
        disagreement = np.abs(self._level.astype(np.float32) - self._level_before)
        return np.asarray(self._seconds.sum(axis=0, dtype=np.float32) * (1 + np.nan_to_num(disagreement)))

    def next_suggestion(self, near: tuple[int, int], settled: Settled) -> Suggestion | None:
        """Return where a correction is worth most, and note that it was shown; None if nothing is worth one.

        Suggestions are spread out. One that was shown comes again only when all others were.

        Parameters
        ----------
        near : tuple of int
            Time point and slice in view: of those that are about as good, the nearest comes first.
        settled : callable
            Says of a plane (T, Z) and a field (Y, X) of it in which of its cells (rows, columns) the user has settled
            what is there.
        """
        cells = RankedCells(self.scores(), self._size, settled)
        ranked = dict(cells.ranked(self._shown))
        again = not ranked and bool(self._shown)
        if again:
            self._shown.clear()
            ranked = dict(cells.ranked([]))
        if not ranked:
            return None
        good = [cell for cell, worth in ranked.items() if worth >= _NEARLY_BEST * max(ranked.values())]
        best = min(good, key=lambda cell: (abs(cell[0] - near[0]), abs(cell[1] - near[1])))
        self._shown.append(best)
        where = cells_around(best, SHOWN_AROUND)
        worth = cells.worth[where][0, 0]
        by_suspicion = (self._seconds[(slice(None), *where)][:, 0, 0] * (worth > 0)).sum(axis=(1, 2), dtype=np.float32)
        y, x = (
            float(np.average(_middles(part, size), weights=worth.sum(axis=1 - axis)))
            for axis, (part, size) in enumerate(zip(where[2:], self._size, strict=True))
        )
        return Suggestion(best[0], best[1], y, x, Suspicion(int(by_suspicion.argmax())), len(ranked) - 1, again)


def _held_weakly(thing: object) -> Callable[[], object]:
    """Return what returns a thing as long as somebody else holds it."""
    try:
        return ref(thing)
    except TypeError:  # of a kind that cannot be held so
        return lambda: thing


def _middles(cells: slice, size: int) -> NDArray[np.float64]:
    """Return the pixel in the middle of each of some rows (or columns) of cells, in a plane of that size."""
    first = CELL * np.arange(-(-size // CELL))[cells]
    return (first + np.minimum(first + CELL, size) - 1) / 2


def _cell_sums(blocks: NDArray[Any], field: tuple[slice, ...]) -> NDArray[np.float32]:
    """Return the sum of the blocks (..., rows, columns), of 2 x 2 pixels, in every cell that a field (Y, X) has."""
    for axis, part in zip((-2, -1), field, strict=True):
        cell = (part.start + 2 * np.arange(blocks.shape[axis])) // CELL
        blocks = np.add.reduceat(blocks, np.flatnonzero(np.diff(cell, prepend=-1)), axis=axis)
    return np.asarray(blocks, np.float32)
