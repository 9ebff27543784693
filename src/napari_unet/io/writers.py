"""Writing label images and maps: ImageJ TIFF, OME-TIFF for what that cannot hold, and OME-Zarr."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_unet.axes import CANONICAL, PixelSize, Placement, normalize_axes
from napari_unet.errors import LabelsError
from napari_unet.io.atomic import Protected, check_suffix, completed
from napari_unet.io.zarr_writer import write_zarr

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

LABEL_SUFFIXES = (".tif", ".tiff", ".zarr")
"""Suffixes of label images that can be written."""

BIG_TIFF_BYTES = 2**32 - 2**25
"""Size of pixel data, in bytes, above which a TIFF file needs 64-bit offsets (BigTIFF)."""


def write_labels(
    path: str | os.PathLike[str],
    labels: Any,
    axes: str,
    pixel_size: PixelSize | None = None,
    overwrite: bool = False,
    placement: Placement | None = None,
    provenance: Mapping[str, Any] | None = None,
    ready: Callable[[Path], object] | None = None,
) -> Path:
    """Write a label image, compressed, as uint16 or (above 65535) uint32.

    A ``.tif`` is an ImageJ hyperstack if it can be one (uint16, up to 4 GB), else OME-TIFF, as is every
    ``.ome.tif``. A ``.zarr`` is OME-Zarr 0.4. The file gets its name when it is complete.

    Parameters
    ----------
    path : path
        Ends in .tif, .tiff or .zarr. Missing parent folders are created.
    labels : array-like of int or bool (numpy, dask, zarr)
        Axes as `axes`; values from 0.
    axes : str
        Of T, Z, Y and X, in any order; the file has them in this order. TIFF drops axes of length 1.
    pixel_size : PixelSize, optional
        In micrometres; None: not known.
    overwrite : bool
        Whether an existing file may be replaced.
    placement : Placement, optional
        Scale, translation and units; only OME-Zarr stores them.
    provenance : mapping, optional
        How they were made, as JSON: the *Info* of an ImageJ TIFF (*Image > Show Info...*), the description of an
        OME-TIFF, the attribute ``napari_unet`` of a Zarr.
    ready : callable, optional
        Called with the complete file before it gets its name; see `atomic.completed`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileFormatError
        If the file exists, has another suffix, cannot be written (disk full, no permission), or is what `labels` are
        read from.
    LabelsError
        If the labels are not whole numbers from 0 to 4294967295, or have channels.
    ImageError
        If the axes do not fit the labels.
    """
    path = Path(path)
    suffix = check_suffix(path, LABEL_SUFFIXES)
    _check_apart(path, labels)
    letters = normalize_axes(axes, tuple(labels.shape))
    if "C" in letters:
        raise LabelsError(f"Labels have no channel axis; got the axes {axes!r}.")
    labels, letters = in_order(labels, letters)
    dtype = smallest_dtype(labels)
    with completed(path, overwrite=overwrite, ready=ready) as partial:
        if suffix == ".zarr":
            write_zarr(
                partial, labels, letters, pixel_size, dtype, name=path.stem, labels=True, placement=placement,
                provenance=provenance,
            )  # fmt: skip
        else:
            ome = path.stem.lower().endswith(".ome")
            _write_tiff(partial, labels, letters, pixel_size, dtype, ome=ome, provenance=provenance)
    return path


def write_maps(
    path: str | os.PathLike[str],
    maps: Any,
    axes: str,
    pixel_size: PixelSize | None = None,
    overwrite: bool = False,
    placement: Placement | None = None,
    ready: Callable[[Path], object] | None = None,
) -> Path:
    """Write predicted maps as OME-Zarr 0.4, float32.

    Parameters
    ----------
    path : path
        Ends in .zarr. Missing parent folders are created.
    maps : array-like of float (numpy, dask, zarr)
        Axes as `axes`.
    axes : str
        Of T, C (the maps), Z, Y and X, in any order; the file has them in this order.
    pixel_size : PixelSize, optional
        In micrometres; None: not known.
    overwrite : bool
        Whether an existing folder may be replaced.
    placement : Placement, optional
        Scale, translation and units.
    ready : callable, optional
        Called with the complete folder before it gets its name; see `atomic.completed`.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileFormatError
        If the folder exists, has another suffix, or cannot be written (disk full, no permission).
    ImageError
        If the axes do not fit the maps.
    """
    path = Path(path)
    check_suffix(path, (".zarr",))
    _check_apart(path, maps)
    maps, letters = in_order(maps, normalize_axes(axes, tuple(maps.shape)))
    with completed(path, overwrite=overwrite, ready=ready) as partial:
        write_zarr(partial, maps, letters, pixel_size, np.float32, name=path.stem, placement=placement)
    return path


def _check_apart(path: Path, array: Any) -> None:
    """Raise FileFormatError if an array is read from the folder that it is to be written to."""
    root = getattr(getattr(array, "store", None), "root", None)  # of a zarr array in a folder
    if root is not None:
        Protected([Path(root)]).check(path)


def in_order(array: Any, axes: str) -> tuple[Any, str]:
    """Return a view of an array with its axes in the order T, C, Z, Y, X, and these axes."""
    letters = "".join(letter for letter in CANONICAL if letter in axes)
    if not hasattr(array, "transpose"):  # a zarr array, or another one on disk
        import dask.array as da

        array = da.from_array(array, chunks=getattr(array, "chunks", None) or "auto")
    return array.transpose([axes.index(letter) for letter in letters]), letters


def _planes(array: Any) -> Iterator[NDArray[Any]]:
    for index in np.ndindex(array.shape[:-2]):
        yield np.asarray(array[index])


def smallest_dtype(labels: Any) -> np.dtype[Any]:
    """Return the data type that labels are stored with, uint16 or uint32, or raise LabelsError if there is none."""
    if np.dtype(labels.dtype).kind not in "bui":
        raise LabelsError(f"Labels are whole numbers; got the data type {labels.dtype}.")
    lowest = highest = 0
    for plane in _planes(labels):
        lowest, highest = min(lowest, int(plane.min())), max(highest, int(plane.max()))
    if lowest < 0 or highest >= 2**32:
        raise LabelsError(f"Labels are numbers from 0 to {2**32 - 1}; got {lowest if lowest < 0 else highest}.")
    return np.dtype(np.uint16 if highest < 2**16 else np.uint32)


def _write_tiff(
    path: Path,
    labels: Any,
    axes: str,
    pixel_size: PixelSize | None,
    dtype: np.dtype[Any],
    *,
    ome: bool,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    n_bytes = int(np.prod(labels.shape, dtype=np.int64)) * dtype.itemsize
    imagej = not ome and dtype == np.uint16 and n_bytes <= BIG_TIFF_BYTES
    told = {} if provenance is None else {"Info" if imagej else "Description": json.dumps(provenance)}
    tifffile.imwrite(
        path,
        (plane.astype(dtype, copy=False) for plane in _planes(labels)),
        shape=labels.shape,
        dtype=dtype,
        imagej=imagej,
        ome=not imagej,
        bigtiff=n_bytes > BIG_TIFF_BYTES,
        photometric="minisblack",
        compression="zlib",
        resolution=(1 / pixel_size.x, 1 / pixel_size.y) if imagej and pixel_size is not None else None,
        metadata={"axes": axes, **(_imagej_scale if imagej else _ome_scale)(pixel_size), **told},
    )


def _imagej_scale(pixel_size: PixelSize | None) -> dict[str, Any]:
    if pixel_size is None:
        return {}
    return {"unit": "um", **({} if pixel_size.z is None else {"spacing": pixel_size.z})}


def _ome_scale(pixel_size: PixelSize | None) -> dict[str, Any]:
    if pixel_size is None:
        return {}
    known = {letter: size for letter in "ZYX" if (size := pixel_size.along(letter)) is not None}
    values = {f"PhysicalSize{letter}": size for letter, size in known.items()}
    return values | {f"PhysicalSize{letter}Unit": "µm" for letter in known}
