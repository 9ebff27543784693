"""Reading the TIFF family: plain, ImageJ and OME-TIFF, and what microscopes write that is TIFF inside."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_unet.axes import CANONICAL, Image
from napari_unet.errors import FileFormatError, ImageError
from napari_unet.io import lazy
from napari_unet.io.tiffmeta import refuse_entities, tiff_channel_names, tiff_pixel_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff")

_ALPHA = (1, 2)  # values of the ExtraSamples tag: transparency, with the colours multiplied by it or not
_LARGEST_PAGE = 256 * 2**20  # bytes; a larger plane is read by its strips
_CUT_OFF = ("invalid page offset", "invalid offset to page", "ImageJ series metadata invalid")


def read_tiff(path: Path, axes: str | None = None, series: int = 0) -> Image:
    """Read an image of a TIFF file, lazily if it is large.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        Meaning of the axes as they are stored; None: as the file says.
    series : int
        Number of the image in a file that holds several; of a pyramid the full resolution is read.

    Raises
    ------
    FileFormatError
        If the file is truncated, damaged or not a TIFF file.
    ImageError
        If there is no such series or its axes cannot be used.
    """
    with _opened(path) as (tif, complaints):
        if tif.is_ome:
            refuse_entities(tif.ome_metadata, path.name)
        n_series = len(tif.series)
        if n_series == 0:
            raise FileFormatError(f"{path.name} holds no image.")
        if not 0 <= series < n_series:
            raise ImageError(f"{path.name} has the series 0 to {n_series - 1}; got {series}.")
        chosen = tif.series[series]
        _check_complete(path, tif, chosen, complaints)
        data = _pixels(chosen, path.name)
        stored = chosen.axes
        if _has_alpha(chosen):
            data = data[tuple(slice(-1) if letter == "S" else slice(None) for letter in stored)]
        data, letters = _resolve_axes(data, stored, axes, path.name)
        n_channels = dict(zip(letters, data.shape, strict=False)).get("C", 1)
        return Image(
            data,
            letters,
            tiff_pixel_size(tif, series),
            tiff_channel_names(tif, series, n_channels),
            name=path.name,
        )


class _Complaints(logging.Handler):
    """Keeps what tifffile logs in this thread: it reads truncated files as shorter ones, but says so."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, list[str]]]:
    complaints = _Complaints()
    logger = logging.getLogger("tifffile")
    logger.addHandler(complaints)
    try:
        with tifffile.TiffFile(path) as tif:
            yield tif, complaints.messages
    except tifffile.TiffFileError as error:
        reason = "it is empty" if path.stat().st_size == 0 else str(error).partition(":")[0]
        raise FileFormatError(f"{path.name} cannot be read as a TIFF image: {reason}.") from error
    finally:
        logger.removeHandler(complaints)


def _check_complete(path: Path, tif: Any, series: Any, complaints: list[str]) -> None:
    """Raise FileFormatError if pixels that the file promises are not in it."""
    if any(part in message for message in complaints for part in _CUT_OFF):
        raise FileFormatError(f"{path.name} is cut off: a part of its planes is missing. Copy or save it again.")
    n_pages = len(series.pages)
    for number in sorted({round(n) for n in np.linspace(0, n_pages - 1, min(n_pages, 64))}):
        page = series.pages[number]
        if page is None:
            raise FileFormatError(
                f"{path.name} is one of several files of an image, and others are missing. "
                "Put all of them in one folder."
            )
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if max(ends, default=0) > page.parent.filehandle.size:
            raise FileFormatError(f"{path.name} is cut off: a part of its pixels is missing. Copy or save it again.")
    if series.dataoffset is not None and series.dataoffset + series.nbytes > tif.filehandle.size:
        raise FileFormatError(f"{path.name} is cut off: a part of its pixels is missing. Copy or save it again.")


def _pixels(series: Any, name: str) -> Any:
    if series.nbytes <= lazy.IN_MEMORY_BYTES:
        return series.asarray()
    import zarr

    by_page = not series.keyframe.is_tiled and series.keyframe.nbytes <= _LARGEST_PAGE
    store = series.aszarr(level=0, chunkmode="page" if by_page else None)
    return lazy.load(zarr.open_array(store, mode="r"), name, store.close)


def _has_alpha(series: Any) -> bool:
    page = series.keyframe
    return "S" in series.axes and len(page.extrasamples) == 1 and int(page.extrasamples[0]) in _ALPHA


def _resolve_axes(data: Any, stored: str, asked: str | None, name: str) -> tuple[Any, str]:
    """Return the data and its axes in the letters of this program.

    Axes not known here are dropped if they have one element, else taken as depth, or as time if that is used.
    """
    if asked is not None and len(asked) == data.ndim:
        return data, asked
    both = "C" in stored and "S" in stored
    spare = [
        size == 1 and (letter not in CANONICAL + "S" or (both and letter in "CS"))
        for letter, size in zip(stored, data.shape, strict=True)
    ]
    data = data[tuple(0 if drop else slice(None) for drop in spare)]
    kept = [letter for letter, drop in zip(stored, spare, strict=True) if not drop]
    if asked is not None:
        return data, asked
    free = [letter for letter in "ZT" if letter not in kept]
    letters = []
    for letter in kept:
        if letter not in CANONICAL + "S":
            if not free:
                raise ImageError(
                    f"{name} has more axes than time, channel, depth, height and width: "
                    f"{stored} with the shape {tuple(data.shape)}. Save one position or series of it."
                )
            letters.append(free.pop(0))
        else:
            letters.append(letter)
    if "C" in letters and "S" in letters:
        raise ImageError(f"{name} has channels and colours at once (axes {stored}). Split one of them in Fiji.")
    return data, "".join(letters)
