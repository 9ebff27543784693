"""What gestures remember from one to the next: what was added last, points of a split, and what is suggested."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.layers.session.edit_events import Plane
    from napari_unet.layers.session.session import LayerSession


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """The object that was added last, which can be made larger or smaller.

    `sizes` are the pixels it had after so many steps: by these it is known how large it is, after undoing too.
    """

    session: LayerSession
    plane: Plane
    point: NDArray[np.float64]
    label: int
    grow: int
    sizes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Seeds:
    """Points (n, 2) in the parts of an object that is to be split, and the ids of these parts."""

    session: LayerSession
    plane: Plane
    points: NDArray[np.float64]
    ids: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Suggested:
    """An object that is shown as what would be added: a mask (Y, X), the pixel of its corner, and steps."""

    session: LayerSession
    plane: Plane
    mask: NDArray[np.bool_]
    corner: tuple[int, int]
    grow: int

    def has(self, session: LayerSession, point: NDArray[np.float64]) -> bool:
        """Whether a point (y, x) of the plane in view lies on it."""
        index = np.floor(point + 0.5) - self.corner
        inside = bool((index >= 0).all() and (index < self.mask.shape).all())
        here = session is self.session and session.plane == self.plane
        return here and inside and bool(self.mask[tuple(index.astype(int))])


@dataclass(frozen=True, slots=True, eq=False)
class Sized:
    """What can be made larger or smaller at a point (y, x): a suggestion (`label` 0), or the object added last."""

    point: NDArray[np.float64]
    label: int
    grow: int
