"""The shape of one object in one plane, as a value of its own: suggested, and not in any labels yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.boxes import box_around, relative, union
from napari_unet.objects.edits import Edit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """An object in a plane.

    Attributes
    ----------
    label : int
        Its id.
    box : tuple of slice
        (Y, X).
    mask : ndarray of bool, axes (Y, X)
        Its pixels in that box.
    """

    label: int
    box: tuple[slice, slice]
    mask: NDArray[np.bool_]

    def holds(self, y: int, x: int) -> bool:
        """Whether a pixel of the plane is one of it."""
        rows, columns = self.box
        inside = rows.start <= y < rows.stop and columns.start <= x < columns.stop
        return inside and bool(self.mask[y - rows.start, x - columns.start])

    def found_in(self, plane: NDArray[Any]) -> tuple[slice, slice] | None:
        """Return the box (Y, X) that the object has in a plane; None: it is not there. All of the plane is read."""
        box = box_around(plane == self.label)
        return None if box is None else (box[0], box[1])

    def drawn(
        self, plane: NDArray[Any], keep: NDArray[np.bool_] | None = None, *, near: tuple[slice, slice] | None = None
    ) -> Edit:
        """Return the edit that gives the object this shape in a plane; other objects stay.

        Parameters
        ----------
        plane : ndarray of int, axes (Y, X)
        keep : ndarray of bool, axes (Y, X), optional
            Pixels of the object itself that are not taken from it: reviewed ones.
        near : tuple of slice, optional
            The box that the object has in the plane now, if it is known (`found_in`).

        Raises
        ------
        EditError
            If nothing would change.
        """
        around = near or self.found_in(plane) or self.box
        box = union(self.box, around)
        after = np.array(plane[box])
        own = after == self.label
        inside = np.zeros(after.shape, bool)
        inside[relative(self.box, box)] = self.mask
        gone = own & ~inside
        if keep is not None:
            gone &= ~keep[box]
        after[gone] = 0
        after[inside & (after == 0)] = self.label
        return Edit.of(plane, box, after, f"Object {self.label} has that shape already, or others are in its place.")
