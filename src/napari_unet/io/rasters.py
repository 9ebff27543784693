"""Raster images in memory: PNG, JPEG and BMP files, read by Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import Image
from napari_unet.errors import FileFormatError
from napari_unet.io.colours import palette
from napari_unet.io.series import Series, chosen

if TYPE_CHECKING:
    from pathlib import Path

    import PIL.Image

_AS_THEY_ARE = {"1", "L", "RGB", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_TRANSPARENT = {"LA": "L", "La": "LA", "RGBA": "RGB", "RGBa": "RGBA", "RGBX": "RGB"}


def read_raster(
    path: Path, axes: str | None = None, series: int | str | None = None, *, indices: bool = False
) -> Image:
    """Read a PNG, JPEG or BMP file into memory.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        Meaning of the stored axes; None: Y, X, and C if there are colours.
    series : int or str, optional
        Number or name of the image in a file that holds several, from 0; None: the first of the largest.
    indices : bool
        Whether of an image with a colour palette the stored indices are returned, and not the colours.

    Raises
    ------
    FileFormatError
        If it is empty.
    ImageError
        If there is no such series.
    """
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path.name} is empty.")
    with _opened(path) as raster:
        one, notes = chosen(_series(raster), series, path.name)
        if one.number:
            raster.seek(one.number)
        data, note = _pixels(raster, path.name, indices=indices)
    return Image(
        data, axes or ("YXC" if data.ndim == 3 else "YX"), name=path.name, notes=(*notes, *([note] if note else []))
    )


def list_raster_series(path: Path) -> list[Series]:
    """Return the images in a PNG, JPEG or BMP file."""
    with _opened(path) as raster:
        return _series(raster)


def _opened(path: Path) -> PIL.Image.Image:
    import PIL.Image  # scikit-image depends on it

    try:
        return PIL.Image.open(path)
    except PIL.Image.DecompressionBombError:
        raise FileFormatError(f"{path.name} has more pixels than are read of a picture. Save it as TIFF.") from None


def _series(raster: PIL.Image.Image) -> list[Series]:
    found = []
    for number in range(getattr(raster, "n_frames", 1)):
        if number:
            raster.seek(number)
        found.append(Series(number, "", "YX", (raster.height, raster.width)))
    raster.seek(0)
    return found


def _pixels(raster: PIL.Image.Image, name: str, *, indices: bool) -> tuple[Any, str]:
    """Return grey values, or red, green and blue, and what the user should know of them."""
    note = ""
    if raster.mode in ("RGB", "RGBA") and any("16" in str(tile[3]) for tile in getattr(raster, "tile", ())):
        note = f"{name} has colours of 16 bits, of which 8 were read. Save it as TIFF to keep all."
    if raster.mode in ("P", "PA"):
        numbers = np.asarray(raster if raster.mode == "P" else raster.getchannel("P"))
        table = np.array(raster.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        conversion = None if indices or not len(table) else palette(table, name)
        return (numbers, note) if conversion is None else (conversion.of(numbers, "YX")[0], conversion.note)
    while raster.mode in _TRANSPARENT:
        raster = raster.convert(_TRANSPARENT[raster.mode])
    return np.asarray(raster if raster.mode in _AS_THEY_ARE else raster.convert("RGB")), note
