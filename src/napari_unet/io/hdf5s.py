"""HDF5 files, read by the library h5py: each array is a scene. Those of Imaris (IMS) know pixel size and channels."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import axis_letter, guess_axes, named_axes
from napari_unet.errors import FileFormatError
from napari_unet.io.scenes import Planes, Scene, Stored, closed_on_error, image_of, library, series_of
from napari_unet.io.units import length

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.io.series import Series
    from napari_unet.io.tiffmeta import Lengths

_EXTRA = "hdf5"


def read_hdf5(path: Path, axes: str | None = None, series: int | str | None = None, *, indices: bool = False) -> Image:
    """Read an array of an HDF5 file, or an IMS file, lazily if it is large; see `readers.read_image`."""
    with closed_on_error(library("h5py", path, _EXTRA).File(path, "r")) as file:
        return image_of(_scenes(file, path), path, axes, series, file.close)


def list_hdf5_series(path: Path) -> list[Series]:
    """Return the arrays in an HDF5 file that can be images."""
    with library("h5py", path, _EXTRA).File(path, "r") as file:
        return series_of(_scenes(file, path))


def _scenes(file: Any, path: Path) -> list[Scene]:
    if path.suffix.lower() == ".ims":
        return [_imaris(file, path)]
    found: list[tuple[str, Any]] = []

    def visit(name: str, node: Any) -> None:  # links are not followed, so nothing outside of the file is read
        is_array = hasattr(node, "dtype") and hasattr(node, "shape")
        if is_array and node.shape is not None and 2 <= len(node.shape) <= 5 and node.dtype.kind in "buif":
            found.append((name, node))

    file.visititems(visit)
    return [Scene(name, _axes(node), Stored(node), _lengths(node, _axes(node))) for name, node in found]


def guessed_axes(shape: tuple[int, ...]) -> str:
    """Return the likely axes of an array that does not name them: a last axis of 3 or 4 holds colours."""
    return guess_axes(shape, rgb=len(shape) > 2 and shape[-1] in (3, 4) and min(shape[-3:-1]) > 4)


def _axes(node: Any) -> str:
    """Return the axes as ilastik writes them (axistags), or as HDF5 labels dimensions; else guessed."""
    names: list[Any] = [dimension.label for dimension in node.dims]
    with suppress(KeyError, TypeError, ValueError):
        names = [entry["key"] for entry in json.loads(node.attrs["axistags"])["axes"]]
    shape = tuple(node.shape)
    return named_axes([axis_letter(name) for name in names], shape) or guessed_axes(shape)


def _lengths(node: Any, axes: str) -> Lengths | None:
    """Return the pixel size where the array has it, (Z, Y, X) in micrometres, as ImageJ and others write it."""
    values = np.ravel(node.attrs.get("element_size_um", ()))
    if len(values) not in (2, 3):
        return None
    sizes = [length(value, "um") for value in values]
    z, y, x = sizes if len(sizes) == 3 else [None, *sizes]
    return None if y is None or x is None else (z if "Z" in axes else None, y, x)


# -- Imaris ------------------------------------------------------------------------------------------------------------


def _imaris(file: Any, path: Path) -> Scene:
    """Return the full resolution of an image of Imaris (format 5.5): arrays of a channel at a time point each."""
    try:
        level = file["DataSet/ResolutionLevel 0"]
        times = _numbers(level, "TimePoint")
        channels = _numbers(level[f"TimePoint {times[0]}"], "Channel")
        arrays = {(t, c): level[f"TimePoint {t}/Channel {c}/Data"] for t in times for c in channels}
        group = level[f"TimePoint {times[0]}/Channel {channels[0]}"]
        first = arrays[times[0], channels[0]]
        stored = [int(n) for n in first.shape]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise FileFormatError(
            f"{path.name} is no complete image of Imaris 5.5 or later. Save it as OME-TIFF there."
        ) from error
    # Stored arrays are padded to whole chunks.
    depth, height, width = (_whole(group, f"ImageSize{letter}", n) for letter, n in zip("ZYX", stored, strict=True))

    sizes = {"T": len(times), "C": len(channels), "Z": depth}
    outer = [letter for letter, n in sizes.items() if n > 1]  # every file has all axes, a plane, too

    def read(*at: int) -> NDArray[Any]:
        where = dict.fromkeys(sizes, 0) | dict(zip(outer, at, strict=True))
        return np.asarray(arrays[times[where["T"]], channels[where["C"]]][where["Z"], :height, :width])

    array = Planes([sizes[letter] for letter in outer], (height, width), first.dtype, read)
    info = file.get("DataSetInfo", {})
    names = tuple(_text(info[f"Channel {c}"], "Name") if f"Channel {c}" in info else "" for c in channels)
    return Scene("", "".join([*outer, "YX"]), array, _extent(info, (depth, height, width)), names)


def _numbers(group: Any, what: str) -> list[int]:
    found = [re.fullmatch(rf"{what} (\d+)", name) for name in group]
    return sorted(int(one.group(1)) for one in found if one)


def _whole(group: Any, name: str, stored: int) -> int:
    text = _text(group, name)
    return min(int(text), stored) if text.isdecimal() and int(text) > 0 else stored


def _text(group: Any, name: str) -> str:
    """Return an attribute, which Imaris writes as an array of single letters."""
    value = group.attrs.get(name, "")
    if isinstance(value, np.ndarray):
        value = b"".join(np.asarray(value, "S1").ravel().tolist())
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip("\0 ")


def _extent(info: Any, shape: tuple[int, int, int]) -> Lengths | None:
    """Return the pixel size by the corners of the image."""
    if "Image" not in info:
        return None
    image = info["Image"]
    sizes: list[float | None] = []
    for axis, n in zip((2, 1, 0), shape, strict=True):
        try:
            wide = float(_text(image, f"ExtMax{axis}")) - float(_text(image, f"ExtMin{axis}"))
        except ValueError:
            wide = 0.0
        sizes.append(length(wide / n, _text(image, "Unit") or "um"))
    z, y, x = sizes
    return None if y is None or x is None else (z, y, x)
