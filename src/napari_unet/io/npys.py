"""NumPy's files (npy): one array without axes or pixel size, read lazily if it is large. Nothing is ever unpickled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import FileFormatError
from napari_unet.io.hdf5s import guessed_axes
from napari_unet.io.scenes import Scene, Stored, image_of, series_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.axes import Image
    from napari_unet.io.series import Series


def read_npy(path: Path, axes: str | None = None, series: int | str | None = None, *, indices: bool = False) -> Image:
    """Read an npy file, lazily if it is large; for the arguments see `readers.read_image`.

    Raises
    ------
    FileFormatError
        If it is no array of numbers; Python objects are not read, as they can hold code.
    """
    return image_of([_scene(path)], path, axes, series, lambda: None)


def list_npy_series(path: Path) -> list[Series]:
    """Return the only image in an npy file."""
    return series_of([_scene(path)])


def _scene(path: Path) -> Scene:
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            dtype = read(file)[2]
        except ValueError as error:
            raise FileFormatError(f"{path.name} is damaged or no file of NumPy.") from error
    if dtype.hasobject:
        raise FileFormatError(f"{path.name} holds Python objects, which are not read as they can hold code.")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise FileFormatError(
            f"{path.name} is cut off: a part of its pixels is missing. Copy or save it again."
        ) from error
    return Scene("", guessed_axes(array.shape), Stored(array))
