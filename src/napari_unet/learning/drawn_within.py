"""What is not known of the shapes in a volume that a model found, and in or beside which somebody drew objects.

In volumes that it does not know a model finds shapes that cover many objects. Who deletes one and draws some of the
objects in it has said that the shape is no object, and not that all else in it is background: to learn that teaches
that the objects which nobody has drawn yet are none. And who draws an object that takes some pixels of a shape beside
it has not said that the rest of that shape is right (docs/decisions/0038-drawn-within.md).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_unet.corrections.corrections import RING
from napari_unet.learning.held_out import widened
from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.corrections.part import Part

MIN_RATIO: Final = 3.0
"""How many times as large as what drawn objects take of it a deleted shape is at least: else it was one of these, too
wide, or several of them, and what else is in it is background. Not tuned."""


def with_unknown_shapes(part: Part) -> Part:
    """Return a part of a volume in which is noted what is not known, beyond the rings around the objects drawn."""
    planes = range(len(part.labels))
    corrected = frozenset[int]().union(*(part.corrections.corrected_in((0, z)) for z in planes))
    if not (part.corrections.instances and corrected):
        return part
    unknown = _unknown(part.labels, part.corrections.prediction[0], corrected)
    return replace(part, unknown=unknown & ~part.reviewed)


def _unknown(labels: NDArray[np.int32], predicted: NDArray[np.int32], corrected: frozenset[int]) -> NDArray[np.bool_]:
    """Return the pixels (Z, Y, X) of which nothing is known."""
    changed = labels != predicted
    new = np.unique(labels[changed])
    drawn = np.isin(labels, new[np.isin(new, list(corrected)) & (new > 0)])
    taken, mostly = _taken(np.where(drawn, labels, 0), predicted)
    sizes, left = np.bincount(predicted.ravel()), set(np.unique(labels).tolist())
    deleted = [shape for shape, pixels in taken.items() if shape not in left and sizes[shape] > MIN_RATIO * pixels]
    trimmed = mostly.union(np.unique(predicted[changed & ~drawn]).tolist())
    beside = list(taken.keys() - trimmed)
    unknown = np.isin(predicted, deleted) & (labels == 0) | np.isin(labels, beside) & ~drawn
    return np.asarray(widened(unknown, RING) & ~widened(drawn, RING) & ~(changed & ~unknown))


def _taken(drawn: NDArray[np.int32], predicted: NDArray[np.int32]) -> tuple[dict[int, int], set[int]]:
    """Return how many pixels drawn objects take of each predicted shape, and the shapes that one lies mostly in."""
    own, taken, mostly = np.bincount(drawn.ravel()), dict[int, int](), set[int]()
    for one, shape, count in np.stack(overlaps(drawn, predicted), axis=1).tolist():
        if one == shape:
            continue
        taken[shape] = taken.get(shape, 0) + count
        if 2 * count > own[one]:
            mostly.add(shape)
    return taken, mostly
