"""Reads objects anew out of maps that are kept, part by part, in a worker: what sliders do beyond the view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import EditError
from napari_unet.guidance.where_next import Uncertainty, uncertainty_by_cell
from napari_unet.objects.boxes import relative
from napari_unet.objects.redecoding import redecoded
from napari_unet.objects.stitch import count_ids

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.session.kept_maps import KeptPart
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.objects.decode import Decoding
    from napari_unet.objects.edits import Edit
    from napari_unet.progress import CancelToken


PIECE_PIXELS = 2**19
"""Pixels that are gone through at a time in the main thread. Of them few change: the outlines of objects, and some
objects. Not more for that reason than of a new prediction (`viewport.MAX_PIECE_PIXELS`) are painted."""


@dataclass(frozen=True, slots=True, eq=False)
class PartToDecode:
    """Maps out of which objects are to be read anew.

    Attributes
    ----------
    session : LayerSession
    part : KeptPart
    labels : ndarray of int, axes (T, Z, Y, X)
        Only read, while the user may change them.
    """

    session: LayerSession
    part: KeptPart
    labels: NDArray[Any]


@dataclass(slots=True, eq=False)
class NewIds:
    """The ids of objects that are new, which count from one; the main thread gives them those that are free then."""

    first: int
    n: int
    offset: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DecodedPiece:
    """A part of a new prediction that is small enough to be written between two moves of the mouse.

    Attributes
    ----------
    session : LayerSession
    frame : int
    region : tuple of slice
        Where, (Z, Y, X).
    before, after : ndarray of int, axes (Z, Y, X)
    ids : NewIds
        Shared by the pieces of one part.
    """

    session: LayerSession
    frame: int
    region: Region
    before: NDArray[Any]
    after: NDArray[Any]
    ids: NewIds

    def write(self) -> None:
        """Write it (main thread)."""
        corrections, ids, after = self.session.corrections, self.ids, self.after
        if ids.offset is None:
            ids.offset = max(0, self.session.free_id() - ids.first) if ids.n else 0
            corrections.last_id = max(corrections.last_id, ids.first + ids.n - 1 + ids.offset)
        if ids.offset:
            after = np.where((after >= ids.first) & (after < ids.first + ids.n), after + ids.offset, after)
        self.session.write_again(self.frame, self.region, self.before, after)


@dataclass(frozen=True, slots=True, eq=False)
class PartDecoded:
    """All pieces of a part are there; where a correction is worth most in it, by now."""

    to_decode: PartToDecode
    uncertainty: Uncertainty


def decoding_steps(
    parts: Sequence[PartToDecode], decoding: Decoding, cancel: CancelToken
) -> Generator[DecodedPiece | PartDecoded, None, int]:
    """Read the objects of some parts anew, and return how many there are then in the first one's labels (worker).

    Labels and corrections are only read. What is changed in them meanwhile is found when a piece is written.
    """
    for one in parts:
        cancel.check()
        part = one.part
        before = one.labels[(part.frame, *part.region)].astype(np.int32)
        after, ids = _decoded(one, before, decoding, cancel)
        yield from _pieces(one, before, after, ids)
        values = np.asarray(part.maps.values, np.float32)
        yield PartDecoded(one, uncertainty_by_cell(values, after, part.maps.outputs, part.frame, part.region))
    return count_ids(parts[0].labels)


def _decoded(
    one: PartToDecode, before: NDArray[np.int32], decoding: Decoding, cancel: CancelToken
) -> tuple[NDArray[np.int32], NewIds]:
    """Return the new labels (Z, Y, X) of a part, and which of its ids are new."""
    part, corrections, volume = one.part, one.session.corrections, one.labels[one.part.frame]
    depth, rows, columns = part.region
    protected = corrections.protected_in(one.labels, part.frame, part.region)
    first = new = corrections.last_id + 1
    after = before.copy()
    if part.volume:
        edit = _edit(volume, part.maps, decoding, new, part.region, protected)
        if edit is not None:
            _apply(edit, after, part.region)
            new = max([new, *(made + 1 for made in edit.made)])
    else:
        for index, z in enumerate(range(depth.start, depth.stop)):
            cancel.check()
            edit = _edit(volume[z], part.maps.plane(index), decoding, new, (rows, columns), protected[index])
            if edit is not None:
                _apply(edit, after[index], (rows, columns))
                new = max([new, *(made + 1 for made in edit.made)])
    return after, NewIds(first, new - first)


def _edit(*arguments: Any) -> Edit | None:
    labels, maps, decoding, new, region, protected = arguments
    try:
        return redecoded(labels, maps, decoding, new, region=region, protected=protected)
    except EditError:  # nothing changes
        return None


def _apply(edit: Edit, labels: NDArray[Any], region: tuple[slice, ...]) -> None:
    labels[relative(edit.box, region)] = edit.labels


def _pieces(
    one: PartToDecode, before: NDArray[np.int32], after: NDArray[np.int32], ids: NewIds
) -> Generator[DecodedPiece, None, None]:
    depth, height, width = before.shape
    z, y, x = one.part.region
    rows = max(1, PIECE_PIXELS // width)
    for plane in range(depth):
        for top in range(0, height, rows):
            where = slice(plane, plane + 1), slice(top, min(height, top + rows))
            old, new = before[where], after[where]
            if (old != new).any():
                first = z.start + plane
                region = slice(first, first + 1), slice(y.start + top, y.start + where[1].stop), x
                yield DecodedPiece(one.session, one.part.frame, region, old, new, ids)
