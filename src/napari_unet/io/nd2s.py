"""Nikon's ND2 files, read by the library nd2: a plane of all channels at a time, each position a scene."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.scenes import Planes, Scene, closed_on_error, image_of, library, series_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.io.series import Series

_FRAME = "CYXS"
"""Axes of what is read at once."""


def read_nd2(path: Path, axes: str | None = None, series: int | str | None = None, *, indices: bool = False) -> Image:
    """Read a position of an ND2 file, lazily if it is large; for the arguments see `readers.read_image`."""
    with closed_on_error(library("nd2", path, "nd2").ND2File(path)) as file:
        return image_of(_scenes(file), path, axes, series, file.close)


def list_nd2_series(path: Path) -> list[Series]:
    """Return the positions in an ND2 file."""
    with library("nd2", path, "nd2").ND2File(path) as file:
        return series_of(_scenes(file))


def _scenes(file: Any) -> list[Scene]:
    sizes = dict(file.sizes)
    loops = [letter for letter in sizes if letter not in _FRAME]
    inner = [letter for letter in sizes if letter in _FRAME]
    outer = [letter for letter in loops if letter != "P"]
    plane = [sizes[letter] for letter in inner]
    every = [sizes[letter] for letter in loops]
    size = file.voxel_size()
    channels = tuple(str(one.channel.name or "") for one in getattr(file.metadata, "channels", None) or ())
    names = _position_names(file)
    scenes = []
    for position in range(sizes.get("P", 1)):
        read = partial(_frame, file, loops, outer, every, position)
        array = Planes([sizes[letter] for letter in outer], plane, file.dtype, read)
        name = names[position] if position < len(names) else ""
        lengths = (size.z if "Z" in sizes and size.z > 0 else None, size.y, size.x)
        scenes.append(Scene(name, "".join([*outer, *inner]), array, lengths, channels))
    return scenes


def _frame(file: Any, loops: list[str], outer: list[str], every: list[int], position: int, *at: int) -> NDArray[Any]:
    """Return all channels of a plane."""
    where = dict(zip(outer, at, strict=True)) | {"P": position}
    if not math.prod(every[:1]):
        return np.asarray(file.read_frame(0))
    number = np.ravel_multi_index([where[letter] for letter in loops], every) if loops else 0
    return np.asarray(file.read_frame(int(number)))


def _position_names(file: Any) -> list[str]:
    for loop in file.experiment or ():
        if loop.type == "XYPosLoop":
            return [str(point.name or "") for point in loop.parameters.points]
    return []
