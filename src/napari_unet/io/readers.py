"""Images and labels from files and folders: TIFF, OME-Zarr, raster images, CZI, ND2, LIF, IMS, HDF5 and NumPy."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_unet.axes import CANONICAL
from napari_unet.errors import FileFormatError, ImageError, LabelsError, UNetError
from napari_unet.io import lazy
from napari_unet.io.atomic import reason
from napari_unet.io.czis import list_czi_series, read_czi
from napari_unet.io.hdf5s import list_hdf5_series, read_hdf5
from napari_unet.io.lifs import list_lif_series, read_lif
from napari_unet.io.names import natural_key
from napari_unet.io.nd2s import list_nd2_series, read_nd2
from napari_unet.io.npys import list_npy_series, read_npy
from napari_unet.io.rasters import list_raster_series, read_raster
from napari_unet.io.tiffs import TIFF_SUFFIXES, list_tiff_series, read_tiff
from napari_unet.io.zarrs import is_zarr, list_zarr_series, read_zarr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.io.series import Series

_T = TypeVar("_T")

RASTER_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
ARRAY_SUFFIXES = (".h5", ".hdf5", ".npy")
"""Files of arrays, which need not be images: of a folder they are taken only where it has no others."""

SUFFIXES = (*TIFF_SUFFIXES, ".zarr", *RASTER_SUFFIXES, ".czi", ".nd2", ".lif", ".ims", *ARRAY_SUFFIXES)
"""Endings of the files and folders that are read, in lower case."""


def read_image(
    path: str | os.PathLike[str],
    axes: str | None = None,
    series: int | str | None = None,
    *,
    tolerant: bool = False,
    indices: bool = False,
) -> Image:
    """Read an image: in memory if it is small, lazily (a dask array) if it is not.

    Parameters
    ----------
    path : path
        A file with one of the endings `SUFFIXES`, or a Zarr folder.
    axes : str, optional
        Meaning of the axes as they are stored, of T, C, Z, Y and X; None: what the file says, or guessed.
    series : int or str, optional
        Number or name of the image (scene, position) in a file that holds several (`list_series`); None: the one with
        the largest planes, of
        several the first; `Image.notes` says so.
    tolerant : bool
        Whether damaged chunks of a Zarr folder count as empty and are listed in `Image.damage`, instead of raising an
        error.
    indices : bool
        Whether stored numbers are returned although they stand for colours or grey values: for labels.

    Returns
    -------
    Image
        With its pixel size in micrometres if it is in the file. Colours are channels: red, green, blue; alpha is
        dropped. Its `notes` say what was left out.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is empty, truncated, damaged or of a format that is not read.
    ImageError
        If its axes, shape or data type cannot be used.
    """
    named = isinstance(series, str) and series.strip()
    if series is not None and not named and (type(series) is not int or series < 0):
        raise ImageError(f"A scene is a whole number from 0, or a name; got {series!r:.40}.")
    image = _read(Path(path), axes, series, tolerant=tolerant, indices=indices)
    return image if isinstance(image.data, np.ndarray) else replace(image, source=Path(path))


def _read(path: Path, axes: str | None, series: int | str | None, *, tolerant: bool, indices: bool) -> Image:
    kind = _kind(path)
    if kind == "zarr":
        return read_zarr(path, axes, series, tolerant=tolerant)
    return _guarded(partial(_READERS[kind][0], indices=indices), path, axes, series)


_READERS: dict[str, tuple[Callable[..., Image], Callable[[Path], list[Series]]]] = {
    "tiff": (read_tiff, list_tiff_series),
    "raster": (read_raster, list_raster_series),
    ".czi": (read_czi, list_czi_series),
    ".nd2": (read_nd2, list_nd2_series),
    ".lif": (read_lif, list_lif_series),
    ".ims": (read_hdf5, list_hdf5_series),
    ".h5": (read_hdf5, list_hdf5_series),
    ".hdf5": (read_hdf5, list_hdf5_series),
    ".npy": (read_npy, list_npy_series),
}
"""Kind of file -> what reads it, and what lists the images in it."""


def list_series(path: str | os.PathLike[str]) -> list[Series]:
    """Return the images in a file, without their pixels, by the numbers that `read_image` takes.

    Thumbnails and smaller copies of an image are left out, and so are the images of other files of a set.

    Raises
    ------
    FileFormatError
        As for `read_image`.
    """
    path = Path(path)
    kind = _kind(path)
    return _guarded(list_zarr_series if kind == "zarr" else _READERS[kind][1], path)


def said_axes_of(path: str | os.PathLike[str], shape: tuple[int, ...]) -> str | None:
    """Return the axes of the only image in a file, in letters of `CANONICAL`, without reading its pixels.

    Parameters
    ----------
    path : path
    shape : tuple of int
        Shape of the array that was read from it, perhaps by another program.

    Returns
    -------
    str or None
        None if it holds several images, or one of another shape, or does not name its axes.
    """
    series = list_series(path)
    if len(series) != 1:
        return None
    axes, sizes = series[0].axes, series[0].shape
    every = range(len(sizes))
    long = [axis for axis in every if sizes[axis] > 1]  # most programs drop axes of length 1, and split channels
    for kept in (every, long, [axis for axis in every if axes[axis] != "C"], [i for i in long if axes[i] != "C"]):
        letters = "".join(axes[axis] for axis in kept)
        if tuple(sizes[axis] for axis in kept) == shape and set(letters) <= set(CANONICAL + "S"):
            return letters.replace("S", "C")
    return None


def check_exists(path: Path) -> None:
    """Raise `FileFormatError` if there is no file or folder under a path, or it may not even be looked at."""
    try:
        about = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise FileFormatError(f"{path} does not exist.") from None
    except OSError as error:  # no permission, a name that is too long, a link in a loop
        raise FileFormatError(f"{path} cannot be read: {reason(error)}.") from error
    if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
        # Opening a pipe would block until another program writes to it.
        raise FileFormatError(f"{path} is no file but a pipe or a device. Save the image as a file, and give that.")


def _kind(path: Path) -> str:
    """Return "zarr", or a key of `_READERS`."""
    check_exists(path)
    if os.path.isdir(path):
        if not is_zarr(path):
            raise FileFormatError(f"{path} is a folder, not an image; {_contents(path)}.")
        return "zarr"
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        raise FileFormatError(f"{path} is a file, but a Zarr is a folder. Unpack it, or give the folder.")
    if suffix in TIFF_SUFFIXES:
        return "tiff"
    if suffix in RASTER_SUFFIXES:
        return "raster"
    if suffix in SUFFIXES:
        return suffix
    raise FileFormatError(
        f"{path.name} is of a kind that is not read here. Save it as OME-TIFF, for example with Fiji.",
        f"Files that are read end in {', '.join(SUFFIXES)}.",
    )


def read_labels(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a label image into memory.

    Parameters
    ----------
    path : path
        As for `read_image`.

    Returns
    -------
    ndarray of int
        Axes as stored, without channels; 0 is background. Booleans become uint8, real numbers int32 or int64.

    Raises
    ------
    FileFormatError
        If the file cannot be read.
    LabelsError
        If its pixels are not whole numbers from 0, or it has several channels.
    """
    return read_labels_and_notes(path)[0]


def read_labels_and_notes(path: str | os.PathLike[str]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read a label image into memory, and return it with the notes of its image; see `read_labels`."""
    image = read_image(path, indices=True)
    return _as_labels(image, Path(path)), image.notes


def _as_labels(image: Image, path: Path) -> NDArray[Any]:
    labels = _guarded(lambda _: np.asarray(image.data), path)
    if "C" in image.axes:
        if image.n_channels > 1:
            raise LabelsError(
                f"{image.name} has {image.n_channels} channels or colours; labels have one number a pixel."
            )
        labels = labels.take(0, axis=image.axes.index("C"))
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all() or (labels != np.rint(labels)).any():
            raise LabelsError(f"{image.name} holds numbers that are not whole; labels are object numbers or classes.")
        labels = labels.astype(np.int64 if np.abs(labels).max() >= 2**31 else np.int32)
    if labels.min() < 0:
        raise LabelsError(f"{image.name} has the negative label {labels.min()}; labels are numbers from 0.")
    return labels


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the images in a folder, not those in folders within it, in natural order (2 before 10).

    Raises
    ------
    FileFormatError
        If there is no such folder, or no image in it.
    """
    folder = Path(folder)
    check_exists(folder)
    if not os.path.isdir(folder):
        raise FileFormatError(f"{folder} is not a folder.")
    try:
        found = _images_in(folder)
    except OSError as error:
        raise FileFormatError(f"{folder} cannot be read: {reason(error)}.") from error
    if not found:
        raise FileFormatError(f"{folder} has no image in it.", f"Files that are read end in {', '.join(SUFFIXES)}.")
    return found


def _images_in(folder: Path) -> list[Path]:
    """Return what is named as an image in a folder, also where its file is gone or damaged: reading it says so."""
    found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.suffix.lower() in SUFFIXES]
    found = [path for path in found if _may_be_image(path)]
    images = [path for path in found if path.suffix.lower() not in ARRAY_SUFFIXES]
    return natural_order(images or [path for path in found if not path.name.lower().endswith("_seg.npy")])


def _may_be_image(path: Path) -> bool:
    """Return whether a path is no folder (but a file, or a link to one that is gone), or that of a Zarr."""
    return not os.path.isdir(path) or path.suffix.lower() == ".zarr" or is_zarr(path)


def has_images(folder: Path) -> bool:
    """Return whether there are images in a folder; not where it is none, or cannot be looked into."""
    try:
        return os.path.isdir(folder) and not is_zarr(folder) and bool(_images_in(folder))
    except OSError:
        return False


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Return paths by their names, with 2 before 10."""
    return sorted(paths, key=lambda path: (natural_key(path.name.lower()), path.name))


def _contents(folder: Path) -> str:
    try:
        found = _images_in(folder)
    except OSError as error:
        return f"and cannot be read: {reason(error)}"
    if not found:
        return "and there is no image in it"
    return (
        f"give one of the {len(found)} images in it, such as {found[0].name}"
        if len(found) > 1
        else f"give {found[0].name}"
    )


def _guarded(read: Callable[..., _T], path: Path, *arguments: Any) -> _T:
    """Call a function that reads a file; errors of decoders become `FileFormatError`."""
    try:
        return read(path, *arguments)
    except UNetError:
        raise
    except Exception as error:  # decoders raise errors of many kinds on damaged files
        raise lazy.unreadable(path.name, error) from error
