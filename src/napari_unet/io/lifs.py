"""Leica's LIF files, read by the library liffile: a plane at a time, each image and each tile of a mosaic a scene."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.io.scenes import Planes, Scene, closed_on_error, image_of, library, series_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.io.series import Series
    from napari_unet.io.tiffmeta import Lengths

_MICROMETRES = 1e6  # in a metre, the unit of the positions in such a file


def read_lif(path: Path, axes: str | None = None, series: int | str | None = None, *, indices: bool = False) -> Image:
    """Read an image of a LIF file, lazily if it is large; for the arguments see `readers.read_image`."""
    with closed_on_error(library("liffile", path, "lif").LifFile(path)) as file:
        scenes, others = _scenes(file)
        note = f"{path.name} holds {others} more that are not read: line scans, lifetimes, or images of the same name."
        return image_of(scenes, path, axes, series, file.close, (note,) if others else ())


def list_lif_series(path: Path) -> list[Series]:
    """Return the images in a LIF file."""
    with library("liffile", path, "lif").LifFile(path) as file:
        return series_of(_scenes(file)[0])


def _scenes(file: Any) -> tuple[list[Scene], int]:
    """Return the images, and how many others there are that cannot be read as images."""
    scenes: list[Scene] = []
    others = 0
    for image in file.images:
        found = [] if image.is_flim or not {"Y", "X"} <= set(image.dims) else _of_image(image)
        scenes += found
        others += not found
    described = len(file.xml_element.findall(".//Data/Image/ImageDescription"))
    return scenes, others + max(0, described - len(file.images))


def _of_image(image: Any) -> list[Scene]:
    frames = image.frames
    outer = [letter for letter in frames.dims if letter not in frames.frame_dims]
    kept = [letter for letter in outer if letter != "M"]
    sizes, plane = dict(frames.sizes), tuple(frames.frame_shape)
    scenes = []
    for tile in range(sizes.get("M", 1)):
        array = Planes(
            [sizes[letter] for letter in kept], plane, image.dtype, partial(_frame, frames, outer, kept, tile)
        )
        name = f"{image.path} tile {tile + 1}" if "M" in sizes else str(image.path)
        scenes.append(Scene(name, "".join([*kept, *frames.frame_dims]), array, _lengths(image), _channels(image)))
    return scenes


def _frame(frames: Any, outer: list[str], kept: list[str], tile: int, *at: int) -> NDArray[Any]:
    where = dict(zip(kept, at, strict=True)) | {"M": tile}
    return np.asarray(frames[tuple(where[letter] for letter in outer)])


def _lengths(image: Any) -> Lengths | None:
    """Return the pixel size, by the positions of the first and the second pixel along each axis."""
    found: dict[str, float] = {}
    for letter in "ZYX":
        at = image.coords.get(letter)
        step = abs(float(at[1] - at[0])) * _MICROMETRES if at is not None and len(at) > 1 else 0.0
        if step > 0:
            found[letter] = step
    return (found.get("Z"), found["Y"], found["X"]) if {"Y", "X"} <= set(found) else None


def _channels(image: Any) -> tuple[str, ...]:
    """Return the names of the dyes, where all are known, else of the colours in which channels are shown."""
    where = "./Data/Image/ImageDescription/Channels/ChannelDescription"
    entries = image.xml_element.findall(where)
    dyes = []
    for entry in entries:
        said = {one.findtext("Key"): one.findtext("Value") for one in entry.findall("ChannelProperty")}
        dyes.append(str(said.get("DyeName") or ""))
    return tuple(dyes) if dyes and all(dyes) else tuple(str(entry.get("LUTName") or "") for entry in entries)
