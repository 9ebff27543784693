"""Rectangles in a plane: around pixels, and around whole objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.boxes import absolute, grown, union

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

Field = tuple[slice, slice]
"""A rectangle in a plane, (Y, X); both slices have a start and a stop."""


def box_of(mask: NDArray[np.bool_]) -> Field:
    """Return the bounding box of the true pixels of a mask (Y, X), which has at least one."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def with_objects(box: Field, ids: Collection[int], *planes: NDArray[Any]) -> Field:
    """Return a rectangle enlarged until it contains the objects with these ids, in all of the planes (Y, X).

    Objects are followed from the rectangle outwards; the whole plane, which may be large, is not searched.
    """
    wanted, step = list(ids), 16
    while wanted:
        found = box
        for strip in _rim(box, grown(box, step, planes[0].shape)):
            for plane in planes:
                hit = np.isin(plane[strip], wanted)
                if hit.any():
                    found = union(found, absolute(box_of(hit), strip))
        if found == box:
            break
        box, step = found, 2 * step
    return box


def _rim(box: Field, larger: Field) -> list[Field]:
    """Return the difference of two rectangles, one within the other, as strips: above, below, left and right."""
    (y, x), (tall, wide) = box, larger
    strips = [
        (slice(tall.start, y.start), wide),
        (slice(y.stop, tall.stop), wide),
        (y, slice(wide.start, x.start)),
        (y, slice(x.stop, wide.stop)),
    ]
    return [(rows, columns) for rows, columns in strips if rows.start < rows.stop and columns.start < columns.stop]
