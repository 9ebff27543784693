"""Zarr folders: OME-Zarr (NGFF 0.1 to 0.5) and plain arrays."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import Image, PixelSize, guess_axes
from napari_unet.errors import FileFormatError, ImageError, UNetError
from napari_unet.io import lazy
from napari_unet.io.damage import Damage, missing_chunks
from napari_unet.io.units import length

if TYPE_CHECKING:
    from pathlib import Path

    import zarr
    from numpy.typing import DTypeLike

_MARKS = ("zarr.json", ".zarray", ".zgroup")
_SPATIAL = "ZYX"


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a Zarr array or group."""
    return any((path / mark).is_file() for mark in _MARKS)


def is_label_zarr(path: Path) -> bool:
    """Return whether a folder is an OME-Zarr label image."""
    import zarr

    try:
        return "image-label" in _ngff(zarr.open(path, mode="r"))
    except Exception:  # noqa: BLE001 - whatever is wrong with it is told when it is read
        return False


def read_zarr(path: Path, axes: str | None = None, series: int = 0, *, tolerant: bool = False) -> Image:
    """Read the full resolution of an OME-Zarr image, or a plain Zarr array, lazily if it is large.

    Parameters
    ----------
    path : Path
        The folder.
    axes : str, optional
        Meaning of the axes as they are stored; None: as the metadata say, or guessed from their number.
    series : int
        Number of the image in a collection as bioformats2raw writes it.
    tolerant : bool
        Whether single damaged chunks count as empty and are noted in `Image.damage`, instead of being an error.

    Raises
    ------
    FileFormatError
        If it is damaged or holds no image.
    ImageError
        If there is no such series or its axes cannot be used.
    """
    import zarr

    try:
        node = zarr.open(path, mode="r")
        if isinstance(node, zarr.Group) and "bioformats2raw.layout" in _ngff(node):
            if str(series) not in node:
                raise ImageError(f"{path.name} has no series {series}.")
            node = node[str(series)]
        elif series != 0:
            raise ImageError(f"{path.name} has the series 0 only; got {series}.")
        return _image(node, axes, path, Damage(path.name) if tolerant else None)
    except UNetError:
        raise
    except Exception as error:  # zarr has many ways to say that a folder is not what it should be
        raise lazy.unreadable(path.name, error) from error


def open_large_labels(path: Path) -> zarr.Array[Any] | None:
    """Open an OME-Zarr label image that is too large for memory, to be read and painted where it is.

    Returns
    -------
    zarr.Array or None
        The full resolution, in the order of the axes as stored; what is written to it is in the file at once. None
        where the labels are better read into memory: they are small, have channels, or must not be written.
    """
    import zarr

    try:
        node = zarr.open(path, mode="r+")
        multiscale = _ngff(node)["multiscales"][0]
        array = node[multiscale["datasets"][0]["path"]]
        axes, _ = _axes(multiscale, array.ndim)
    except Exception:  # noqa: BLE001 - whatever is wrong with it is told when it is read
        return None
    fits = array.nbytes <= lazy.IN_MEMORY_BYTES or "C" in axes or array.dtype.kind not in "ui"
    return None if fits or not os.access(path / array.path, os.W_OK) else array


def _ngff(node: Any) -> dict[str, Any]:
    """Return the NGFF metadata: under "ome" since version 0.5, directly in the attributes before."""
    attributes = dict(node.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


def _image(node: Any, axes: str | None, path: Path, damage: Damage | None) -> Image:
    import zarr

    name = path.name
    if isinstance(node, zarr.Array):
        return Image(_pixels(node, path, damage), axes or guess_axes(tuple(node.shape)), name=name, damage=damage)
    metadata = _ngff(node)
    if metadata.get("multiscales"):
        multiscale = metadata["multiscales"][0]
        level = multiscale["datasets"][0]
        array = node[level["path"]]
        stored, units = _axes(multiscale, array.ndim)
        scale = _scale(level, array.ndim) * _scale(multiscale, array.ndim)
        letters = axes or stored
        channels = dict(zip(letters, array.shape, strict=False)).get("C", 1)
        pixel_size = _pixel_size(stored, units, scale)
        names = _channel_names(metadata, channels)
        return Image(_pixels(array, path, damage), letters, pixel_size, names, name=name, damage=damage)
    if "plate" in metadata or "well" in metadata:
        kind = "plate of many" if "plate" in metadata else "well of several"
        raise FileFormatError(f"{path} is a {kind} images; give one field of it{_such_as(node, path, metadata)}.")
    arrays = [array for _, array in node.arrays()]
    if len(arrays) == 1:
        return _image(arrays[0], axes, path, damage)
    if not arrays:
        raise FileFormatError(f"{name} holds no image.")
    raise FileFormatError(
        f"{name} holds {len(arrays)} arrays and does not say which is the image; give the folder of one."
    )


def _such_as(node: Any, path: Path, metadata: dict[str, Any]) -> str:
    """Return the first field of a plate or a well, as an example of what can be opened; "" if that cannot be told."""
    try:
        if "plate" in metadata:
            where = str(metadata["plate"]["wells"][0]["path"])
            images = _ngff(node[where]).get("well", {}).get("images") or [{"path": sorted(node[where].group_keys())[0]}]
            field = f"{where}/{images[0]['path']}"
        else:
            field = str(metadata["well"]["images"][0]["path"])
        node[field]  # it is there
    except (LookupError, TypeError, AttributeError):
        return ""
    return f", such as {path / field}"


def _pixels(array: zarr.Array[Any], path: Path, damage: Damage | None) -> Any:
    if damage is not None:
        damage.missing = missing_chunks(array)
    return lazy.load(array, path.name, damage=damage, folder=path)


def _axes(multiscale: dict[str, Any], ndim: int) -> tuple[str, list[str]]:
    """Return the axes as letters, and their units ("" for none)."""
    entries = multiscale.get("axes") or list("TCZYX"[-ndim:])
    names = [entry["name"] if isinstance(entry, dict) else str(entry) for entry in entries]
    units = [str(entry.get("unit", "")) if isinstance(entry, dict) else "" for entry in entries]
    return "".join(name[:1].upper() if len(name) > 1 else name.upper() for name in names), units


def _scale(holder: dict[str, Any], ndim: int) -> Any:
    for step in holder.get("coordinateTransformations") or ():
        if step.get("type") == "scale" and len(step.get("scale") or ()) == ndim:
            return np.asarray(step["scale"], np.float64)
    return np.ones(ndim)


def _pixel_size(axes: str, units: list[str], scale: Any) -> PixelSize | None:
    found = {letter: length(value, unit) for letter, unit, value in zip(axes, units, scale, strict=True)}
    y, x = found.get("Y"), found.get("X")
    return None if y is None or x is None else PixelSize(y=y, x=x, z=found.get("Z"))


def _channel_names(metadata: dict[str, Any], n_channels: int) -> tuple[str, ...]:
    omero = metadata.get("omero")
    entries = omero.get("channels") if isinstance(omero, dict) else None
    names = [str(entry.get("label") or "") for entry in entries or ()]
    return tuple(names) if len(names) == n_channels and all(names) else ()


def write_zarr(
    folder: Path,
    data: Any,
    axes: str,
    pixel_size: PixelSize | None,
    dtype: DTypeLike,
    *,
    name: str,
    labels: bool = False,
) -> None:
    """Write an OME-Zarr image (NGFF 0.4, which the most programs read) of one resolution, block by block.

    Parameters
    ----------
    folder : Path
        Does not exist yet.
    data : array-like (numpy, dask)
        In the order of `axes`.
    axes : str
        Axes of the data, in the order T, C, Z, Y, X.
    pixel_size : PixelSize or None
        Micrometres; None: not known, nothing is said about it.
    dtype : dtype
        What is stored.
    name : str
        Name of the image in its metadata.
    labels : bool
        Whether it is a label image.
    """
    array = create_zarr(folder, data.shape, axes, pixel_size, dtype, name=name, labels=labels)
    chunks = array.chunks
    steps = [range(0, n, c) for n, c in zip(data.shape[:-2], chunks[:-2], strict=True)]
    for starts in itertools.product(*steps):
        block = tuple(slice(start, start + c) for start, c in zip(starts, chunks[:-2], strict=True))
        array[block] = np.asarray(data[block]).astype(dtype, copy=False)


def create_zarr(
    folder: Path,
    shape: tuple[int, ...],
    axes: str,
    pixel_size: PixelSize | None,
    dtype: DTypeLike,
    *,
    name: str,
    labels: bool = False,
    chunks: tuple[int, ...] | None = None,
) -> zarr.Array[Any]:
    """Return an array of zeros in a new OME-Zarr image, to be filled piece by piece; see `write_zarr`.

    `chunks` are those of the array; None: a few megabytes each.
    """
    import zarr

    group = zarr.open_group(folder, mode="w", zarr_format=2)
    array = group.create_array(
        "0",
        shape=shape,
        dtype=np.dtype(dtype),
        chunks=chunks or _chunks(axes, shape),
        chunk_key_encoding={"name": "v2", "separator": "/"},
        fill_value=0,
    )
    metadata = {
        "version": "0.4",
        "name": name,
        "axes": [_axis(letter, pixel_size) for letter in axes],
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [_known(letter, pixel_size) or 1.0 for letter in axes]}
                ],
            }
        ],
    }
    group.attrs.update({"multiscales": [metadata], **({"image-label": {"version": "0.4"}} if labels else {})})
    return array


def _known(letter: str, pixel_size: PixelSize | None) -> float | None:
    return pixel_size.along(letter) if pixel_size is not None and letter in _SPATIAL else None


def _axis(letter: str, pixel_size: PixelSize | None) -> dict[str, str]:
    kind = {"T": "time", "C": "channel"}.get(letter, "space")
    unit = {"unit": "micrometer"} if _known(letter, pixel_size) is not None else {}
    return {"name": letter.lower(), "type": kind, **unit}


def _chunks(axes: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return chunks of a few megabytes: planes of a plane, blocks of a volume."""
    sizes = {"T": 1, "C": 1, "Z": 32, "Y": 256, "X": 256} if "Z" in axes else {"T": 1, "C": 1, "Y": 1024, "X": 1024}
    return tuple(min(n, sizes[letter]) for letter, n in zip(axes, shape, strict=True))
