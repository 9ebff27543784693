"""What a stop of a walk is about: its pixels as they are now, whether it is settled, and that it is reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.corrections.corrections import RING
from napari_unet.corrections.reviewing import toggle_object
from napari_unet.errors import UNetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.guidance.walk import Stop
    from napari_unet.layers.image.geometry import Region
    from napari_unet.layers.session.session import LayerSession

MISSING_DIAMETER = 20.0
"""Pixels, at least, of the ellipse where something may be missing."""


def middle_of(stop: Stop) -> tuple[float, float]:
    """Return the pixel (Y, X) in the middle of a stop."""
    y, x = ((part.start + part.stop - 1) / 2 for part in stop.box)
    return y, x


def is_settled(session: LayerSession, stop: Stop) -> bool:
    """Return whether a user has corrected or reviewed what a stop is about, or it is gone."""
    corrections = session.corrections
    if not stop.id:
        arrays = session.labels, corrections.prediction, corrections.reviewed
        return any(bool(array[(*stop.plane, *stop.place)]) for array in arrays)
    region, own = pixels_of(session, stop, margin=1)  # it may have been given pixels outside its box
    if not own.any():
        return True
    where = (*stop.plane, *region[1:])
    prediction, reviewed = corrections.prediction[where], corrections.reviewed[where]
    differs = corrections.differs(session.labels, stop.plane, (region[1], region[2]))
    touched = differs & (own | (prediction == stop.id))
    return bool(touched.any() or reviewed[own].all())


def pixels_of(session: LayerSession, stop: Stop, margin: int) -> tuple[Region, NDArray[np.bool_]]:
    """Return the pixels (Y, X) of a stop as they are now, and the region (Z, Y, X) around them, with a margin."""
    z, size = stop.plane[1], session.corrections.shape[2:]
    grow = margin
    while True:
        rows, columns = (
            slice(max(0, part.start - grow), min(n, part.stop + grow)) for part, n in zip(stop.box, size, strict=True)
        )
        mask = session.labels[(*stop.plane, rows, columns)] == stop.id
        if not stop.id:
            mask = _missing(stop, rows, columns)
        elif _leaves(mask, (rows, columns), size) and grow < max(size):  # it was painted on since
            grow *= 2
            continue
        return (slice(z, z + 1), rows, columns), np.asarray(mask)


def _leaves(mask: NDArray[np.bool_], field: tuple[slice, slice], size: tuple[int, ...]) -> bool:
    """Whether an object may go on beyond a field that is not the border of the image."""
    (rows, columns), (height, width) = field, size
    edges = [(rows.start > 0, mask[:1]), (rows.stop < height, mask[-1:])]
    edges += [(columns.start > 0, mask[:, :1]), (columns.stop < width, mask[:, -1:])]
    return any(inner and bool(line.any()) for inner, line in edges)


def _missing(stop: Stop, rows: slice, columns: slice) -> NDArray[np.bool_]:
    """Return the ellipse within the box of a place where something may be missing, at least a small circle."""
    y, x = np.ogrid[rows, columns]
    away = 0.0
    for axis, part in zip((y, x), stop.box, strict=True):
        half = max(part.stop - part.start, MISSING_DIAMETER / 2) / 2
        away = away + ((axis - (part.start + part.stop - 1) / 2) / half) ** 2
    return np.asarray(away <= 1)


def toggle_reviewed(session: LayerSession, stop: Stop) -> bool:
    """Mark what a stop is about as reviewed, or as not reviewed if it is; return whether it now is.

    Raises
    ------
    UNetError
        If it is gone.
    """
    (frame, z), labels, corrections = stop.plane, session.labels, session.corrections
    region, mask = pixels_of(session, stop, margin=RING)
    where = (frame, z, *region[1:])
    if stop.id:
        inside = np.argwhere(labels[where] == stop.id)
        if not len(inside):
            raise UNetError("This object is gone. Press Next to go on.")
        y, x = (int(at) + part.start for at, part in zip(inside[0], region[1:], strict=True))
        now = toggle_object(corrections, labels, stop.plane, (y, x))
    else:
        free = mask & (labels[where] == 0)
        if not free.any():
            raise UNetError("There is an object here now. Press Next to go on.")
        now = not bool(corrections.reviewed[where][free].all())
        corrections.reviewed[where][free] = now
    session.unwritten.add(slice(frame, frame + 1), *region)
    session.unwritten.note_correction()
    session.rescan_slices(frame, slice(z, z + 1))
    return now
