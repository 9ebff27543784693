"""Outlines as ImageJ ROIs: a zip of them, which its ROI Manager opens."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import FileFormatError, UNetError
from napari_unet.io.atomic import check_suffix, completed

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

LARGEST = 60535
"""Coordinate up to which ImageJ reads whole numbers of a ROI as they are."""

_DATE = (1980, 1, 1, 0, 0, 0)  # the same outlines make the same file
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # commands of Java's PathIterator, in which ROIs of several rings are stored


@dataclass(frozen=True, slots=True, eq=False)
class Roi:
    """A ROI of the zip.

    Attributes
    ----------
    name : str
        Unlike those of the others.
    polygons : sequence of sequences of ndarray, shape (corners, 2), axes (Y, X)
        The parts of the object, each its outer ring and then its holes; rings are not closed. Pixel corners.
    z, t : int or None
        Slice and time point, from 0; None: the image has no such axis.
    """

    name: str
    polygons: Sequence[Sequence[NDArray[Any]]]
    z: int | None = None
    t: int | None = None


def write_rois(
    path: str | os.PathLike[str],
    rois: Iterable[Roi],
    *,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> int:
    """Write outlines as a zip of ImageJ ROIs, which has its name only when it is complete.

    An object of one part without holes becomes a traced or (with corners between pixels) polygonal ROI, every other one
    a composite ROI.

    Parameters
    ----------
    path : path
        Ends in .zip.
    rois : iterable of Roi
    provenance : mapping, optional
        How it was made, as JSON for the comment of the zip: ImageJ takes every entry of it for a ROI.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    int
        ROIs written.

    Raises
    ------
    FileFormatError
        If the file exists and may not be replaced, its name has another ending, it cannot be written, or an outline
        lies beyond what ImageJ's ROIs can hold.
    UNetError
        If the package roifile is missing.
    """
    path = Path(path)
    check_suffix(path, (".zip",))
    check_roifile()
    count = 0
    with completed(path, overwrite=overwrite) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:
        for roi in rois:
            count += 1
            file.writestr(zipfile.ZipInfo(f"{roi.name}.roi", _DATE), as_bytes(roi), zipfile.ZIP_DEFLATED)
        if provenance is not None:
            file.comment = json.dumps(provenance).encode()
    return count


def check_roifile() -> None:
    """Raise UNetError if the package that ROIs are written with is missing."""
    try:
        import roifile  # noqa: F401
    except ImportError:
        raise UNetError("ImageJ ROIs need one more package: pip install roifile. GeoJSON needs none.") from None


def as_bytes(roi: Roi) -> bytes:
    """Return a ROI as ImageJ stores it.

    Raises
    ------
    FileFormatError
        If it lies beyond what ImageJ's ROIs can hold.
    """
    from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

    rings = [ring[:, ::-1] for rings in roi.polygons for ring in rings]
    corners = np.concatenate(rings)
    if corners.max() > LARGEST:
        raise FileFormatError(
            f"ImageJ ROIs reach to pixel {LARGEST}, and the object {roi.name} to {int(corners.max())}. Write .geojson."
        )
    found = ImagejRoi()
    found.name = roi.name
    left, top = np.floor(corners.min(0)).astype(int).tolist()
    right, bottom = np.ceil(corners.max(0)).astype(int).tolist()
    found.left, found.top, found.right, found.bottom = left, top, right, bottom
    if roi.z is not None and roi.t is not None:
        found.z_position, found.t_position = roi.z + 1, roi.t + 1
    elif roi.z is not None or roi.t is not None:  # of a stack with one axis ImageJ counts the planes
        found.position = (roi.z or roi.t or 0) + 1
    if len(rings) > 1:
        found.roitype = ROI_TYPE.RECT
        found.multi_coordinates = _path(rings)
        found.shape_roi_size = len(found.multi_coordinates)
    elif corners.dtype.kind == "f":
        found.roitype, found.options = ROI_TYPE.POLYGON, ROI_OPTIONS.SUB_PIXEL_RESOLUTION
        found.subpixel_coordinates = corners.astype(np.float32)
        found.integer_coordinates = np.round(corners).astype(np.int32) - [left, top]
        found.n_coordinates = len(corners)
    else:
        found.roitype = ROI_TYPE.TRACED
        found.integer_coordinates = (corners - [left, top]).astype(np.int32)
        found.n_coordinates = len(corners)
    return bytes(found.tobytes())


def _path(rings: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return rings (X, Y) as a path of commands and coordinates; holes run in the other direction."""
    path: list[float] = []
    for ring in rings:
        for number, (x, y) in enumerate(ring.tolist()):
            path += [_LINE if number else _MOVE, x, y]
        path.append(_CLOSE)
    return np.array(path, np.float32)
