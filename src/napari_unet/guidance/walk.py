"""The walk through the objects of an image: which is next, which were shown, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.guidance.policy import POLICY, WalkPolicy
from napari_unet.guidance.suspects import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_unet.guidance.suspects import Suspects

Plane = tuple[int, int]
"""Time point and slice (T, Z)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stop:
    """An object, or a place where one may be missing.

    Attributes
    ----------
    plane : tuple of int
        Time point and slice.
    id : int
        0: an object may be missing.
    place : tuple of int
        A pixel (Y, X) of it.
    box : tuple of slice
        Its pixels lie in there, (Y, X).
    reason : Reason
        What is most remarkable about it.
    probability : float
        That something is wrong.
    """

    plane: Plane
    id: int
    place: tuple[int, int]
    box: tuple[slice, slice]
    reason: Reason
    probability: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a walk is: the stop of so many, counted from 1; `open` if there are planes that were not looked at."""

    number: int
    total: int
    open: bool


class Walk:
    """A walk through one image: the plane in view first, then the nearest; in each, the most suspect object first.

    Parameters
    ----------
    joins_slices : bool
        Whether an id is one object in all slices of a time point: as a suspect it is shown in one of them.
    policy : WalkPolicy

    Notes
    -----
    It holds no labels. Whether something was corrected or reviewed is asked for each stop when its turn comes.
    """

    def __init__(self, *, joins_slices: bool = False, policy: WalkPolicy = POLICY) -> None:
        self._joins_slices, self._policy = joins_slices, policy
        self._suspects: dict[Plane, list[Stop]] = {}
        self._others: dict[Plane, list[Stop]] = {}
        self._listed: set[tuple[int, int]] = set()
        self._odds: dict[Plane, Suspects] = {}
        self._number: dict[Stop, tuple[int, int]] = {}  # among the suspects, and among all; the first is 1
        self._visited: list[Stop] = []
        self._at = -1
        self._shown: set[Stop] = set()

    # -- what there is ---------------------------------------------------------------------------------------------

    def take(self, plane: Plane, found: Suspects) -> None:
        """Take in the objects of a plane; once for each plane."""
        stops = [
            Stop(
                plane,
                int(found.ids[n]),
                (int(found.places[n, 0]), int(found.places[n, 1])),
                (slice(*found.boxes[n, ::2].tolist()), slice(*found.boxes[n, 1::2].tolist())),
                Reason(int(found.reasons[n])),
                float(found.probabilities[n]),
            )
            for n in range(len(found))
        ]
        self._odds[plane] = found
        likely = found.likely(self._policy)
        suspects = [stop for stop in stops[:likely] if self._is_new(stop)]
        chosen = set(suspects)
        self._suspects[plane] = suspects
        # Where nothing is likely to be missing, no object is to be seen.
        self._others[plane] = [stop for stop in stops if stop not in chosen and stop.id]
        before = len(self._number)
        first = sum(map(len, self._suspects.values())) - len(suspects)
        for n, stop in enumerate((*suspects, *self._others[plane])):
            self._number[stop] = first + n + 1, before + n + 1

    def _is_new(self, stop: Stop) -> bool:
        """Whether an object was not listed in another slice; from now on it is."""
        if not self._joins_slices or not stop.id:
            return True
        key = stop.plane[0], stop.id
        if key in self._listed:
            return False
        self._listed.add(key)
        return True

    def knows(self, plane: Plane) -> bool:
        """Whether the objects of a plane were taken in."""
        return plane in self._suspects

    @property
    def planes(self) -> int:
        """How many planes were taken in."""
        return len(self._suspects)

    @property
    def objects(self) -> int:
        """How many objects these have, in all slices."""
        return sum(1 for stop in self._number if stop.id)

    def waiting(self, *, with_current: bool = False) -> int:
        """Return how many suspects were not shown yet, or with the one that was shown last."""
        seen = self._shown - {self.current} if with_current else self._shown
        return sum(stop not in seen for stops in self._suspects.values() for stop in stops)

    def probabilities(self, frames: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.float64]:
        """Return how likely objects are to be wrong, as far as they were taken in: the largest of their slices.

        Parameters
        ----------
        frames, ids : ndarray of int, shape (n,)
            Time point and id of each.

        Returns
        -------
        ndarray of float, shape (n,)
            Probabilities; NaN: nothing is known of it.
        """
        taken = list(self._odds.items())
        own = [np.full(len(found), plane[0], np.int64) for plane, found in taken]
        keys = _keys(np.concatenate([[-1], *own]), np.concatenate([[0], *(found.ids for _, found in taken)]))
        odds = np.concatenate([[np.nan], *(found.probabilities for _, found in taken)])
        order = np.lexsort((odds, keys))  # of the same object the largest comes last
        wanted = _keys(frames, ids)
        at = np.searchsorted(keys[order], wanted, side="right") - 1
        return np.where(keys[order][at] == wanted, odds[order][at], np.nan)

    # -- where it is -----------------------------------------------------------------------------------------------

    @property
    def current(self) -> Stop | None:
        """The stop that was shown last."""
        return self._visited[self._at] if self._at >= 0 else None

    def progress(self, *, everything: bool = False, of_planes: int | None = None) -> Progress | None:
        """Return how far it is: among the suspects, or among all objects; None before the first stop.

        `of_planes`: how many planes the image has.
        """
        stop = self.current
        if stop is None:
            return None
        everything = everything or stop not in self._suspects[stop.plane]
        lists = (self._suspects, self._others) if everything else (self._suspects,)
        total = sum(len(stops) for group in lists for stops in group.values())
        return Progress(self._number[stop][everything], total, of_planes is not None and self.planes < of_planes)

    def next(self, near: Plane, settled: Callable[[Stop], bool], *, everything: bool = False) -> Stop | None:
        """Go to the next stop and return it; None if there is none among the planes that were taken in.

        After going back, those that were shown come again first, as far as they are not settled.

        Parameters
        ----------
        near : tuple of int
            The plane in view.
        settled : callable
            Says whether somebody has corrected or reviewed what is there.
        everything : bool
            All objects; else the suspects only.
        """
        for index in range(self._at + 1, len(self._visited)):
            if not settled(self._visited[index]):
                self._at = index
                return self._visited[index]
        for plane in sorted(self._suspects, key=lambda plane: distance(plane, near)):
            groups = (self._suspects[plane], self._others[plane]) if everything else (self._suspects[plane],)
            for stop in _unseen(groups, self._shown):
                if settled(stop):
                    continue
                self._shown.add(stop)
                self._visited.append(stop)
                self._at = len(self._visited) - 1
                return stop
        return None

    def previous(self) -> Stop | None:
        """Go back to the stop before and return it; None at the first."""
        if self._at <= 0:
            return None
        self._at -= 1
        return self._visited[self._at]

    def begin_again(self) -> None:
        """Let what was shown, and is not settled, come again."""
        self._shown.clear()


def _unseen(groups: Iterable[list[Stop]], shown: set[Stop]) -> Iterable[Stop]:
    return (stop for group in groups for stop in group if stop not in shown)


def _keys(frames: NDArray[Any], ids: NDArray[Any]) -> NDArray[np.int64]:
    """Return one number for each object."""
    return np.asarray(frames, np.int64) * 2**32 + np.asarray(ids, np.int64)


def distance(plane: Plane, near: Plane) -> tuple[int, int, Plane]:
    """Return by what planes are sorted so that the nearest to one comes first: time points count most, then slices."""
    return abs(plane[0] - near[0]), abs(plane[1] - near[1]), plane
