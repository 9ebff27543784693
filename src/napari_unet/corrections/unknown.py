"""What is not known of the shapes that a model found, and in or beside which somebody drew objects.

In images that it does not know a model finds shapes that cover many objects, and pieces that are none. Who draws one
object in such a shape, or over the rim of a piece, has not said that the rest of it is right. And of a volume nobody
sees all at once: who deletes a shape there and draws some of the objects in it has not said that all else in it is
background (docs/decisions/0038-drawn-within.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_unet.corrections.corrections import RING
from napari_unet.corrections.part import copied_parts
from napari_unet.objects.masks import widened
from napari_unet.objects.stitch import overlaps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections
    from napari_unet.corrections.part import Part

MIN_RATIO: Final = 3.0
"""How many times as large a shape is at least as what drawn objects take of it, for its rest to be unknown: else it was
one of these, too wide, or several of them. Not tuned."""


def with_unknown_shapes(part: Part, ndim: int) -> Part:
    """Return a part in which is noted what is not known, beyond the rings around the objects drawn.

    Of such a shape, the ring around an object that was drawn in it counts as background, which it mostly is: where the
    object ends is all that was said.

    Parameters
    ----------
    part : Part
    ndim : int
        3: shapes go on from slice to slice; 2: each slice is an image of its own.
    """
    labels, unknown = part.labels.copy(), np.zeros(part.labels.shape, bool)
    for z, shapes in _shapes(part, ndim):
        unknown[z] = shapes.unknown() & ~part.reviewed[z]
        labels[z][shapes.rings() & ~part.reviewed[z]] = 0
    return replace(part, labels=labels, unknown=unknown)


def forget_shapes(
    corrections: Corrections, labels: NDArray[Any], digest: str, ndim: int
) -> list[tuple[slice, slice, slice, slice]]:
    """Forget that shapes were found of which little is known, where another model is about to predict.

    The rest of them, which nobody has changed, is then that model's to tell. The objects drawn stay corrections, and
    what was erased or reviewed stays as it is. A model that has found the shapes itself would find them again: nothing
    is forgotten then.

    Parameters
    ----------
    corrections : Corrections
        It is changed, and as after an `update`.
    labels : ndarray of int, axes (T, Z, Y, X)
        As of the last `Corrections.update`.
    digest : str
        Hash of the weights of the model that is about to predict.
    ndim : int
        Of what it sees, as for `with_unknown_shapes`.

    Returns
    -------
    list of tuple of slice
        Where something was forgotten, (T, Z, Y, X).
    """
    before, corrections.predicted_by = corrections.predicted_by, digest
    if before == digest:
        return []
    regions = []
    for part in copied_parts(corrections, labels):
        z, y, x = (slice(first, first + n) for first, n in zip(part.corner, part.labels.shape, strict=True))
        forgotten = np.zeros(part.labels.shape, bool)
        for slices, shapes in _shapes(part, ndim):
            forgotten[slices] = shapes.to_forget() & ~part.reviewed[slices]
        if forgotten.any():
            corrections.prediction[part.frame, z, y, x][forgotten] = 0
            corrections.update(labels, *((part.frame, i) for i in range(z.start, z.stop)))
            regions.append((slice(part.frame, part.frame + 1), z, y, x))
    return regions


@dataclass(frozen=True, slots=True, eq=False)
class _Shapes:
    """What somebody drew in a few slices, and the shapes in or beside which that is.

    Attributes
    ----------
    labels, predicted : ndarray of int, axes (Z, Y, X)
    drawn : ndarray of bool, axes (Z, Y, X)
        Pixels of objects that were drawn.
    cut, deleted : list of int
        Ids of shapes of which the rest is unknown: that only lost pixels to these objects, and either few, or to such
        as lie mostly outside of them; and of volumes that were deleted, and of which these objects take few.
    """

    labels: NDArray[np.int32]
    predicted: NDArray[np.int32]
    drawn: NDArray[np.bool_]
    cut: list[int]
    deleted: list[int]

    @classmethod
    def of(
        cls, labels: NDArray[np.int32], predicted: NDArray[np.int32], corrected: frozenset[int], *, volume: bool
    ) -> _Shapes:
        """Tell them apart; `corrected` are the ids of corrected objects."""
        changed = labels != predicted
        new = np.unique(labels[changed])
        drawn = np.isin(labels, new[np.isin(new, list(corrected)) & (new > 0)])
        taken, mostly_in = _taken(np.where(drawn, labels, 0), predicted)
        sizes = _sizes(predicted)
        few = {shape for shape, pixels in taken.items() if sizes[shape] > MIN_RATIO * pixels}
        changed_otherwise = set(np.unique(predicted[changed & ~drawn]).tolist())
        cut = taken.keys() - (mostly_in - few) - changed_otherwise
        deleted = few - set(np.unique(labels).tolist()) if volume else set[int]()
        return cls(labels, predicted, drawn, list(cut), list(deleted))

    def rest(self) -> NDArray[np.bool_]:
        """Return the pixels that are left of shapes out of which, or over the rim of which, an object was drawn."""
        return np.asarray(np.isin(self.labels, self.cut) & ~self.drawn)

    def rings(self) -> NDArray[np.bool_]:
        """Return the pixels of that rest that lie in the rings around what was drawn."""
        return widened(self.drawn, RING) & self.rest()

    def unknown(self) -> NDArray[np.bool_]:
        """Return the pixels of which nothing is known, with a ring, but for the rings around what is known."""
        shapes = self.rest() | np.isin(self.predicted, self.deleted) & (self.labels == 0)
        known = widened(self.drawn, RING) | (self.labels != self.predicted) & ~shapes
        return np.asarray(widened(shapes, RING) & ~known)

    def to_forget(self) -> NDArray[np.bool_]:
        """Return the pixels at which an object was drawn in such a shape that is still there."""
        return np.asarray(np.isin(self.predicted, self.cut) & (self.labels != self.predicted))


def _shapes(part: Part, ndim: int) -> Iterator[tuple[slice, _Shapes]]:
    """Yield the shapes in the slices (Z) that belong together."""
    n_slices = len(part.labels)
    step = n_slices if ndim == 3 else 1
    for first in range(0, n_slices, step):
        z = slice(first, first + step)
        corrected = frozenset[int]().union(*(part.corrections.corrected_in((0, i)) for i in range(z.start, z.stop)))
        if part.corrections.instances and corrected:
            yield z, _Shapes.of(part.labels[z], part.corrections.prediction[0, z], corrected, volume=ndim == 3)


def _sizes(labels: NDArray[np.int32]) -> dict[int, int]:
    """Return the pixels of each id: of any size, as somebody may have painted with it."""
    ids, counts = np.unique(labels, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))


def _taken(drawn: NDArray[np.int32], predicted: NDArray[np.int32]) -> tuple[dict[int, int], set[int]]:
    """Return how many pixels drawn objects take of each predicted shape, and the shapes that one lies mostly in."""
    own, taken, mostly = _sizes(drawn), dict[int, int](), set[int]()
    for one, shape, count in np.stack(overlaps(drawn, predicted), axis=1).tolist():
        if one == shape:
            continue
        taken[shape] = taken.get(shape, 0) + count
        if 2 * count > own[one]:
            mostly.add(shape)
    return taken, mostly
