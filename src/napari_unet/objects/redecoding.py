"""Maps that are kept made objects anew, with other thresholds: what the sliders of a window do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.objects.decode import decode_instances
from napari_unet.objects.edits import Edit, next_id
from napari_unet.objects.stitch import match_ids, mostly_within, numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.objects.decode import Decoding
    from napari_unet.objects.maps import Maps

MAX_PROMINENCE, MAX_SMOOTHING = 0.5, 4.0
"""What the lowest separation stands for: decodings by middles, and by flows."""


@dataclass(frozen=True, slots=True)
class Sliders:
    """A decoding as a person sets it.

    Attributes
    ----------
    sensitivity : float
        From 0 to 1: the larger, the fainter is what counts as an object. 1 less the threshold of the foreground.
    separation : float
        From 0 to 1: the larger, the more objects are told apart. By how little a middle may stand out; with flows, by
        how little they are smoothed.
    smallest : int
        Pixels that an object has at least.
    """

    sensitivity: float
    separation: float
    smallest: int

    @classmethod
    def of(cls, decoding: Decoding) -> Sliders:
        """Return where the sliders stand for a decoding."""
        if decoding.seeds == "flows":
            separation = 1 - decoding.smoothing / MAX_SMOOTHING
        else:
            separation = 1 - decoding.prominence / MAX_PROMINENCE
        return cls(1 - decoding.foreground, min(1.0, max(0.0, separation)), decoding.min_size)

    def applied(self, decoding: Decoding) -> Decoding:
        """Return a decoding as the sliders say; what of it they stand for already stays exactly as it is."""
        now, change = Sliders.of(decoding), dict[str, float | int]()
        if self.sensitivity != now.sensitivity:
            change["foreground"] = min(0.99, max(0.01, 1 - self.sensitivity))
        if self.separation != now.separation:
            share = min(1.0, max(0.0, 1 - self.separation))
            if decoding.seeds == "flows":
                change["smoothing"] = MAX_SMOOTHING * share
            else:
                change["prominence"] = MAX_PROMINENCE * share
        if self.smallest != now.smallest:
            change["min_size"] = max(0, self.smallest)
        return decoding.model_copy(update=change)


def redecoded(
    labels: NDArray[Any],
    maps: Maps,
    decoding: Decoding,
    new_id: int | None = None,
    *,
    region: tuple[slice, ...] | None = None,
    protected: NDArray[np.bool_] | None = None,
) -> Edit:
    """Return the edit that makes the objects of a region those that a decoding finds in the maps.

    An object of which a pixel is protected stays as it is, and what is found on it is left out. Others keep their id
    where they are found again. Objects that reach out of the region stay as they are: it should be larger than what is
    in view by the size of an object.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
        Of the whole plane or volume.
    maps : Maps
        Of the region.
    decoding : Decoding
    new_id : int, optional
        The next free id; None: one more than the largest.
    region : tuple of slice, optional
        What is decoded; None: all.
    protected : ndarray of bool, axes ([Z,] Y, X), optional
        Pixels of the region that somebody has corrected or reviewed.

    Raises
    ------
    EditError
        If nothing would change, or there are more objects than the labels can hold.
    """
    box = region or tuple(slice(0, n) for n in labels.shape)
    box = tuple(slice(*s.indices(n)[:2]) for s, n in zip(box, labels.shape, strict=True))
    old = labels[box]
    found = decode_instances(np.asarray(maps.values, np.float32), maps.outputs, decoding, maps.zoom)
    kept = np.zeros(old.shape, bool) if protected is None else protected.copy()
    reaching = _reaching_out(box, labels.shape)
    leaving = np.unique(found[reaching])
    cut = np.isin(found, leaving[leaving > 0])
    stay = np.union1d(np.unique(old[kept | reaching]), mostly_within(old, cut))
    kept |= np.isin(old, stay[stay > 0])
    found = np.where(cut | np.isin(found, mostly_within(found, kept)), 0, found)
    found = np.where(kept, 0, found)
    same = match_ids(np.where(kept, 0, old), found)
    new = [label for label in numbered(found) if label not in same]
    first = next_id(labels, new_id, max(1, len(new)))
    table = np.zeros(int(found.max(initial=0)) + 1, np.int64)
    table[list(same)] = list(same.values())
    table[new] = np.arange(first, first + len(new))
    after = np.where(kept, old, table[found])
    return Edit.of(labels, box, after, "Nothing changes here.", range(first, first + len(new)))


def _reaching_out(box: tuple[slice, ...], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels of a box at those of its faces where the image goes on."""
    edge = np.zeros([s.stop - s.start for s in box], bool)
    for axis, (part, n) in enumerate(zip(box, shape, strict=True)):
        faces = np.moveaxis(edge, axis, 0)
        if part.start > 0:
            faces[0] = True
        if part.stop < n:
            faces[-1] = True
    return edge
