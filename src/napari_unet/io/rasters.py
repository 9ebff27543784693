"""Flat pictures: PNG, JPEG, BMP and what else Pillow reads."""

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


def read_picture(path: Path, axes: str | None = None, series: int | None = None, *, indices: bool = False) -> Image:
    """Read a picture into memory.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        Meaning of the axes as they are stored; None: height, width, and colours if there are any.
    series : int, optional
        Number of the image in a file that holds several; None: the first of the largest.
    indices : bool
        Whether the numbers of a picture with a table of colours are read, not the colours.

    Raises
    ------
    FileFormatError
        If it is empty.
    ImageError
        If there is no such series.
    """
    import PIL.Image  # scikit-image depends on it

    if path.stat().st_size == 0:
        raise FileFormatError(f"{path.name} is empty.")
    with PIL.Image.open(path) as picture:
        one, notes = chosen(_series(picture), series, path.name)
        if one.number:
            picture.seek(one.number)
        data, note = _pixels(picture, path.name, indices=indices)
    return Image(
        data, axes or ("YXC" if data.ndim == 3 else "YX"), name=path.name, notes=(*notes, *([note] if note else []))
    )


def list_picture_series(path: Path) -> list[Series]:
    """Return the images in a picture file."""
    import PIL.Image

    with PIL.Image.open(path) as picture:
        return _series(picture)


def _series(picture: PIL.Image.Image) -> list[Series]:
    found = []
    for number in range(getattr(picture, "n_frames", 1)):
        if number:
            picture.seek(number)
        found.append(Series(number, "", "YX", (picture.height, picture.width)))
    picture.seek(0)
    return found


def _pixels(picture: PIL.Image.Image, name: str, *, indices: bool) -> tuple[Any, str]:
    """Return grey values, or red, green and blue, and what the user should know of them."""
    note = ""
    if picture.mode in ("RGB", "RGBA") and any("16" in str(tile[3]) for tile in getattr(picture, "tile", ())):
        note = f"{name} has colours of 16 bits, of which 8 were read. Save it as TIFF to keep all."
    if picture.mode in ("P", "PA"):
        numbers = np.asarray(picture if picture.mode == "P" else picture.getchannel("P"))
        table = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        conversion = None if indices or not len(table) else palette(table, name)
        return (numbers, note) if conversion is None else (conversion.of(numbers, "YX")[0], conversion.note)
    while picture.mode in _TRANSPARENT:
        picture = picture.convert(_TRANSPARENT[picture.mode])
    return np.asarray(picture if picture.mode in _AS_THEY_ARE else picture.convert("RGB")), note
