"""Where a correction is worth most: coarse maps of how unsure the network is, and the next place to look at.

A 2D grid of cells lies over every plane; of a result only the cells are kept, never its maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

CELL = 32
"""Width and height of a cell, in pixels: about one object."""

UNSURE = 0.004
"""Least score of a cell that is worth a look; a network that is sure of all but outlines stays below it."""

APART = (1, 2, 3, 3)
"""Two places that are shown differ by more than this along T, Z (planes) or Y, X (cells)."""

MOST_PLACES = 99
"""More places are not counted."""

_AS_GOOD = 0.9
"""A place nearer to what is in view comes first if its score is at least this share of the best."""


@dataclass(frozen=True, slots=True, eq=False)
class Doubt:
    """How unsure the network is in a part of a time point, cell by cell.

    Attributes
    ----------
    frame : int
        Time point.
    cells : tuple of slice
        Which: slices along Z, and cells along Y and X.
    unsure : ndarray of float32, axes (Z, rows, columns), values 0..1
        0 where the network is sure of every pixel, 1 where it might as well have tossed a coin.
    level : ndarray of float32, axes (Z, rows, columns), values 0..1
        What it says on average, to be compared with what another model says: the share of foreground, or the class.
    """

    frame: int
    cells: tuple[slice, slice, slice]
    unsure: NDArray[np.float32]
    level: NDArray[np.float32]


def doubt(maps: NDArray[np.float32], outputs: Sequence[str], frame: int, region: tuple[slice, slice, slice]) -> Doubt:
    """Return the cells of a result.

    Every outline is a thin line of doubt. What counts is the least doubt within blocks of 2 x 2 pixels, in which most
    of such a line vanishes; a patch that the network cannot make up its mind about stays.

    Parameters
    ----------
    maps : ndarray of float32, axes (K, Z, Y, X), probabilities 0..1
    outputs : sequence of str
        Names of the maps: "foreground" is among them, or all of them are classes.
    frame : int
        Time point.
    region : tuple of slice
        Which part of it, (Z, Y, X).
    """
    unsure, level = [], []
    for z in range(maps.shape[1]):
        if "foreground" in outputs:
            said = maps[outputs.index("foreground"), z]
            sure = np.abs(2 * said - 1)
        else:
            n = maps.shape[0]
            said = np.tensordot(np.linspace(0, 1, n, dtype=np.float32), maps[:, z], 1)
            sure = (maps[:, z].max(axis=0) * n - 1) / max(1, n - 1)
        unsure.append(_cell_means(1 - _blocks(sure, np.maximum), region[1:]))
        level.append(_cell_means(_blocks(said, _mean), region[1:]))
    rows, columns = (slice(part.start // CELL, (part.stop - 1) // CELL + 1) for part in region[1:])
    return Doubt(frame, (region[0], rows, columns), np.stack(unsure), np.stack(level))


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look next.

    Attributes
    ----------
    frame, z : int
        Time point and slice.
    y, x : float
        Pixel in the middle of the place.
    left : int
        How many places there are after this one, as far as they are counted.
    again : bool
        Whether all were shown, and it begins anew.
    """

    frame: int
    z: int
    y: float
    x: float
    left: int
    again: bool


class Attention:
    """Knows how unsure the network is in every plane, and what of it was shown.

    Parameters
    ----------
    shape : tuple of int
        Shape of the labels, (T, Z, Y, X).
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self._size = shape[2:]
        grid = (*shape[:2], *(-(-n // CELL) for n in self._size))
        self._unsure, self._level, self._level_before = (np.full(grid, np.nan, np.float16) for _ in range(3))
        self._model: object = None
        self._shown: list[tuple[int, ...]] = []

    @property
    def anything(self) -> bool:
        """Whether there is any result to judge by."""
        return self._model is not None

    def take(self, found: Doubt, model: object) -> None:
        """Take in the cells of a new result; what another model said of them before is remembered for comparison."""
        if model is not self._model:
            self._level_before = self._level.copy()
            self._model = model
        where = (found.frame, *found.cells)
        self._unsure[where], self._level[where] = found.unsure, found.level

    def scores(self) -> NDArray[np.float32]:
        """Return what a correction is worth in each cell (T, Z, rows, columns): 0 where nothing is known.

        Doubt counts up to twice where the last two models disagree.
        """
        disagreement = np.abs(self._level.astype(np.float32) - self._level_before)
        return np.asarray(np.nan_to_num(self._unsure.astype(np.float32) * (1 + np.nan_to_num(disagreement))))

    def next_place(
        self, near: tuple[int, int], looked_at: Callable[[tuple[int, int], tuple[slice, slice]], bool]
    ) -> Place | None:
        """Return the place where a correction is worth most, and remember that it was shown; None if there is none.

        Places are spread out. One that was shown comes again only when all others were.

        Parameters
        ----------
        near : tuple of int
            Time point and slice in view: of places that are about as good, the nearest comes first.
        looked_at : callable
            Says of a plane (T, Z) and a field (Y, X) of it whether the user has settled what is there.
        """
        scores = self.scores()
        places = self._places(scores, self._shown, looked_at)
        again = not places and bool(self._shown)
        if again:
            self._shown.clear()
            places = self._places(scores, [], looked_at)
        if not places:
            return None
        good = [place for place in places if scores[place] >= _AS_GOOD * scores[places[0]]]
        best = min(good, key=lambda place: (abs(place[0] - near[0]), abs(place[1] - near[1])))
        self._shown.append(best)
        frame, z, *_ = best
        y, x = ((part.start + part.stop - 1) / 2 for part in self._field(best))
        return Place(frame, z, y, x, len(places) - 1, again)

    def _places(
        self,
        scores: NDArray[np.float32],
        shown: Sequence[tuple[int, ...]],
        looked_at: Callable[[tuple[int, int], tuple[slice, slice]], bool],
    ) -> list[tuple[int, ...]]:
        """Return cells worth a look, far from each other and from those that were shown, the best first."""
        taken = np.zeros(scores.shape, bool)
        for place in shown:
            taken[_around(place)] = True
        unsure = np.flatnonzero((scores >= UNSURE) & ~taken)
        places: list[tuple[int, ...]] = []
        for index in unsure[np.argsort(-scores.flat[unsure], kind="stable")]:
            cell = tuple(int(i) for i in np.unravel_index(index, scores.shape))
            if not taken[cell] and not looked_at((cell[0], cell[1]), self._field(cell)):
                places.append(cell)
                taken[_around(cell)] = True
                if len(places) == MOST_PLACES:
                    break
        return places

    def _field(self, cell: tuple[int, ...]) -> tuple[slice, slice]:
        """Return the pixels (Y, X) of a cell (T, Z, row, column)."""
        y, x = (slice(c * CELL, min(n, (c + 1) * CELL)) for c, n in zip(cell[2:], self._size, strict=True))
        return y, x


def _around(place: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the cells that lie no further from a place than `APART`."""
    return tuple(slice(max(0, at - apart), at + apart + 1) for at, apart in zip(place, APART, strict=True))


def _blocks(plane: NDArray[np.float32], join: Callable[..., NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return a plane (Y, X) at half its size: blocks of 2 x 2 pixels, joined in pairs."""
    even = np.pad(plane, [(0, n % 2) for n in plane.shape], "edge")
    rows = join(even[::2], even[1::2])
    return join(rows[:, ::2], rows[:, 1::2])


def _mean(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return (a + b) * np.float32(0.5)


def _cell_means(blocks: NDArray[np.float32], field: tuple[slice, ...]) -> NDArray[np.float32]:
    """Return the mean of the blocks (of 2 x 2 pixels) in every cell that a field (Y, X) is a part of."""
    for axis, part in enumerate(field):
        cell = (part.start + 2 * np.arange(blocks.shape[axis])) // CELL
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        counts = np.expand_dims(np.diff(starts, append=len(cell)), 1 - axis)
        blocks = (np.add.reduceat(blocks, starts, axis=axis) / counts).astype(np.float32)
    return blocks
