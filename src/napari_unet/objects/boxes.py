"""Boxes of pixels, in any number of dimensions: the smallest around something, a larger one, one within another.

A box is a tuple of slices, one for each axis, each of which has a start and a stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Box = TypeVar("Box", bound=tuple[slice, ...])


def box_around(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """Return the smallest box of a mask's pixels; None where it has none."""
    box: tuple[slice, ...] = ()
    for axis in range(mask.ndim):
        part = mask[box]  # of what has been found along the axes before
        along = np.flatnonzero(part.any(tuple(a for a in range(mask.ndim) if a != axis)))
        if not along.size:
            return None
        box = (*box, slice(int(along[0]), int(along[-1]) + 1))
    return box


def union(*boxes: Box) -> Box:
    """Return the smallest box that contains all of these."""
    parts = zip(*boxes, strict=True)
    return cast("Box", tuple(slice(min(p.start for p in part), max(p.stop for p in part)) for part in parts))


def intersection(box: Box, other: Sequence[slice]) -> Box:
    """Return the box that two have in common; where they have none, one of its slices ends before it begins."""
    parts = zip(box, other, strict=True)
    return cast("Box", tuple(slice(max(p.start, o.start), min(p.stop, o.stop)) for p, o in parts))


def grown(box: Box, margin: int, shape: Sequence[int]) -> Box:
    """Return a box enlarged by so many pixels on each side, within an array of that shape."""
    parts = zip(box, shape, strict=True)
    return cast("Box", tuple(slice(max(0, p.start - margin), min(n, p.stop + margin)) for p, n in parts))


def relative(box: Box, origin: Sequence[slice]) -> Box:
    """Return a box relative to the corner of another one."""
    return cast("Box", tuple(slice(p.start - o.start, p.stop - o.start) for p, o in zip(box, origin, strict=True)))


def absolute(box: Box, origin: Sequence[slice]) -> Box:
    """Return a box that is relative to the corner of another one in the coordinates of that one."""
    return cast("Box", tuple(slice(p.start + o.start, p.stop + o.start) for p, o in zip(box, origin, strict=True)))
