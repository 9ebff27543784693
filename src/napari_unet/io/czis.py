"""Zeiss' CZI files, read by the library czifile: tile by tile, each scene an image."""

from __future__ import annotations

import math
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import FileFormatError
from napari_unet.io.indexing import full_index
from napari_unet.io.scenes import Scene, Stored, closed_on_error, image_of, library, series_of
from napari_unet.io.units import length

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.io.series import Series
    from napari_unet.io.tiffmeta import Lengths

_SPATIAL = "YXS"
"""Axes of a tile; S are the colours of a pixel."""

_MAX_GAPS = 100
"""Length of an axis, in lengths of all tiles beside one another. Regions of a slide lie apart, but less so."""


def read_czi(path: Path, axes: str | None = None, series: int | str | None = None, *, indices: bool = False) -> Image:
    """Read a scene of a CZI file, lazily if it is large; for the arguments see `readers.read_image`."""
    with closed_on_error(_opened(path)) as file:
        scenes, others = _scenes(file, path)
        note = f"{path.name} holds {others} more that are not read: line scans or measurements of single points."
        return image_of(scenes, path, axes, series, file.close, (note,) if others else ())


def list_czi_series(path: Path) -> list[Series]:
    """Return the scenes in a CZI file."""
    with _opened(path) as file:
        return series_of(_scenes(file, path)[0])


def _opened(path: Path) -> Any:
    try:
        module = library("czifile", path, "czi")
    except FileFormatError as error:
        if sys.version_info < (3, 12):  # czifile goes with no earlier one
            raise FileFormatError(
                f"{path.name}: CZI files need Python 3.12 or later. Save it as OME-TIFF with ZEN or Fiji."
            ) from error
        raise
    if not hasattr(module.CziFile, "scenes"):  # releases before 2026
        raise FileFormatError(f'{path.name} needs a newer package: pip install -U "napari-unet-interactive[czi]".')
    return module.CziFile(path)


def _scenes(file: Any, path: Path) -> tuple[list[Scene], int]:
    """Return the images, and how many scenes are none."""
    if any(entry.file_part for entry in file.subblock_directory):
        raise FileFormatError(f"{path.name} is one of several files of an image. Save it as a single file with ZEN.")
    root = file.xml_element
    names = _scene_names(root)
    channels, lengths = _channels(root), _lengths(root)
    scenes = []
    for number, scene in file.scenes.items():
        if not {"Y", "X"} <= set(scene.dims) or not _is_of_planes(scene):
            continue
        _check_extent(scene, path)
        depth = lengths[0] if lengths is not None and "Z" in scene.dims else None
        size = None if lengths is None else (depth, *lengths[1:])
        scenes.append(Scene(names.get(number, ""), "".join(scene.dims), Stored(_Tiled(scene)), size, channels))
    return scenes, len(file.scenes) - len(scenes)


def _is_of_planes(scene: Any) -> bool:
    """Return whether each of the stored tiles is of one plane, as of all images but line scans."""
    return all(
        size == 1
        for entry in scene.directory_entries
        for letter, size in zip(entry.dims, entry.shape, strict=True)
        if letter not in _SPATIAL
    )


def _check_extent(scene: Any, path: Path) -> None:
    """Raise an error where an axis is far longer than all tiles beside one another, as a damaged file says it is."""
    beside: dict[str, int] = {}
    for entry in scene.directory_entries:
        for letter, size in zip(entry.dims, entry.shape, strict=True):
            beside[letter] = beside.get(letter, 0) + size
    for letter, size in zip(scene.dims, scene.shape, strict=True):
        if size > _MAX_GAPS * beside.get(letter, size):
            raise FileFormatError(f"{path.name} is damaged: its parts lie {size} apart along {letter}.")


class _Tiled:
    """A scene that is read in rectangles of a plane, by one thread at a time.

    Parameters
    ----------
    scene : czifile.CziImage
    """

    def __init__(self, scene: Any) -> None:
        self._scene, self._lock = scene, threading.Lock()
        self._outer = [letter for letter in scene.dims if letter not in _SPATIAL]
        self._first = dict(zip(scene.dims, scene.start, strict=True))  # indices in a file need not begin at 0
        self.shape: tuple[int, ...] = tuple(scene.shape)
        self.dtype: np.dtype[Any] = np.dtype(scene.dtype)
        tile = scene.subblock_sizes
        self.chunks = tuple(
            1 if letter in self._outer else min(n, tile.get(letter, n))
            for letter, n in zip(scene.dims, self.shape, strict=True)
        )

    def __getitem__(self, index: Any) -> NDArray[Any]:
        picks = full_index(index, len(self.shape))
        n = len(self._outer)
        ranges = [
            range(*(pick if isinstance(pick, slice) else slice(int(pick), int(pick) + 1)).indices(size))
            for pick, size in zip(picks, self.shape, strict=True)
        ]
        rows, columns = ranges[n], ranges[n + 1]
        shape = tuple(len(one) for one in ranges)
        found = np.zeros(shape, self.dtype)
        for at in np.ndindex(*shape[:n]):
            where = {letter: self._first[letter] + ranges[k][at[k]] for k, letter in enumerate(self._outer)}
            with self._lock:
                found[at] = self._rectangle(where, rows, columns, shape[n:])
        return np.asarray(found[tuple(slice(None) if isinstance(pick, slice) else 0 for pick in picks)])

    def _rectangle(self, where: dict[str, int], rows: range, columns: range, shape: tuple[int, ...]) -> Any:
        """Return a part of a plane; 0 where the file has none, such as the last planes of a run that was stopped."""
        if not math.prod(shape):
            return 0
        roi = (self._first["X"] + columns.start, self._first["Y"] + rows.start, len(columns), len(rows))
        try:
            part = self._scene(roi=roi, **where)
        except ValueError:  # there is no tile
            return 0
        return part.asarray(maxworkers=1).reshape(shape)  # one worker: overlapping tiles always in the same order


# -- what the XML says -------------------------------------------------------------------------------------------------

_DIMENSIONS = ".//Information/Image/Dimensions"


def _scene_names(root: Any) -> dict[int, str]:
    """Return names by the number of the scene: that of the well, where it is of a plate, and that of the position."""
    found = {}
    for entry in () if root is None else root.findall(f"{_DIMENSIONS}/S/Scenes/Scene"):
        number = str(entry.get("Index") or "")
        words = dict.fromkeys(str(word).strip() for word in (entry.findtext("ArrayName"), entry.get("Name")) if word)
        if number.isdecimal():
            found[int(number)] = " ".join(words)
    return found


def _channels(root: Any) -> tuple[str, ...]:
    entries = [] if root is None else root.findall(f"{_DIMENSIONS}/Channels/Channel")
    return tuple(str(entry.get("Name") or entry.findtext("Fluor") or "").strip() for entry in entries)


def _lengths(root: Any) -> Lengths | None:
    """Return the pixel size in micrometres, which the file has in metres, whatever unit ZEN shows it in."""
    entries = [] if root is None else root.findall(".//Scaling/Items/Distance")
    said = {entry.get("Id"): length(entry.findtext("Value"), "m") for entry in entries}
    y, x = said.get("Y"), said.get("X")
    return None if y is None or x is None else (said.get("Z"), y, x)
