"""Reading the TIFF family: plain, ImageJ and OME-TIFF, and formats of microscopes that are based on TIFF."""

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
from napari_unet.io.colours import tiff_conversion
from napari_unet.io.ome import OmeImage, described
from napari_unet.io.series import Series, chosen
from napari_unet.io.tiffmeta import tiff_channel_names, tiff_pixel_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree import ElementTree

TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff")

_ALPHA = (1, 2)  # values of the ExtraSamples tag: transparency, with the colours multiplied by it or not
_MAX_PAGE_BYTES = 256 * 2**20  # a larger plane is read strip by strip
_SCANNERS = ("svs", "ndpi", "scn", "qpi", "bif", "philips", "avs")  # slide scanners, which store small images, too
_WHAT = {"A": "angles", "P": "phases", "R": "positions", "H": "lifetimes", "E": "wavelengths", "L": "exposures",
         "V": "events", "M": "mosaic positions"}  # fmt: skip
_CUT_OFF = ("invalid page offset", "invalid offset to page", "ImageJ series metadata invalid")


def read_tiff(path: Path, axes: str | None = None, series: int | str | None = None, *, indices: bool = False) -> Image:
    """Read an image of a TIFF file, lazily if it is large.

    Parameters
    ----------
    path : Path
        The file.
    axes : str, optional
        Meaning of the axes as they are stored; None: as the file says.
    series : int or str, optional
        Number or name of the image in a file that holds several; of a pyramid the full resolution is read. None: the
        one with the largest planes of those that are stored in this very file.
    indices : bool
        Whether numbers are read as they are stored, whatever grey values or colours they stand for.

    Raises
    ------
    FileFormatError
        If the file is truncated, damaged or not a TIFF file.
    ImageError
        If there is no such series or its axes or colours cannot be used.
    """
    with _opened(path) as (tif, complaints):
        found, ome, notes = _chosen(path, tif, series)
        elsewhere = _other_file(path, tif, found)
        if elsewhere is not None:
            return read_tiff(elsewhere, axes, indices=indices)
        _check_complete(path, tif, found, complaints)
        data, stored = _pixels(found, path.name), found.axes
        if _has_alpha(found):
            data = data[tuple(slice(-1) if letter == "S" else slice(None) for letter in stored)]
        conversion = None if indices else tiff_conversion(found.keyframe, stored, path.name)
        if conversion is not None:
            data, stored = conversion.of(data, stored)
            notes = (*notes, *([conversion.note] if conversion.note else []))
        data, letters, note = _resolve_axes(data, stored, axes, path.name, _of_time(tif))
        size, warning = tiff_pixel_size(tif, found, ome)
        n_channels = dict(zip(letters, data.shape, strict=False)).get("C", 1)
        names = tiff_channel_names(tif, ome, n_channels)
        notes = (*notes, *filter(None, (note, warning)))
        return Image(data, letters, size, names, name=path.name, notes=notes)


def list_tiff_series(path: Path) -> list[Series]:
    """Return the images in a TIFF file that can be asked for; of a set of files, those that this one holds.

    Raises
    ------
    FileFormatError
        If it is not a TIFF file.
    """
    with _opened(path) as (tif, _):
        ome = described(tif.ome_metadata, path)
        return [_as_series(image) for image in ome.choices] if ome is not None and ome.images else _own_series(tif)


def files_read(path: Path, *, of_all: bool = False) -> list[Path]:
    """Return the files that an image is read from: itself, and the others of its set where it is an OME-TIFF of one.

    With `of_all` those of all images of the set, of which another one may be asked for.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return [path]
    try:
        with _opened(path) as (tif, _):
            ome = described(tif.ome_metadata, path)
    except Exception:  # noqa: BLE001 - of a damaged file it is said where it is read
        return [path]
    return [path, *(ome.files_beside(path, of_all=of_all) if ome is not None else ())]


class _Tiff(tifffile.TiffFile):  # type: ignore[misc]
    """A TIFF file whose OME-XML can be replaced by that of one image, so that no other file is opened."""

    replaced_ome: str | None = None

    @property
    def ome_metadata(self) -> str | None:
        """The OME-XML of the file, or its replacement."""
        return self.replaced_ome if self.replaced_ome is not None else super().ome_metadata

    @property
    def is_mmstack(self) -> bool:
        """Whether it is read by Micro-Manager's index, which also lists positions in other files."""
        return self.replaced_ome is None and bool(super().is_mmstack)


def _chosen(path: Path, tif: _Tiff, asked: int | str | None) -> tuple[Any, ElementTree.Element | None, tuple[str, ...]]:
    """Return the series that is read, its ``Pixels`` element in the OME-XML, and notes for the user."""
    ome = described(tif.ome_metadata, path)
    if ome is not None and ome.images:
        one, notes = chosen(
            [_as_series(image) for image in (ome.images if asked is not None else ome.choices)], asked, path.name
        )
        tif.replaced_ome = ome.xml(one.number)
        if tif.series and tif.series[0].kind == "ome":
            return tif.series[0], ome.images[one.number].pixels, (*ome.notes, *notes)
        if len(ome.images) > 1 or not tif.series:  # else it says so little that its planes are taken as they come
            raise FileFormatError(
                f"{path.name} does not hold the planes of image {one} that its OME-XML describes. Save it again."
            )
    own = _own_series(tif)
    if not own:
        raise FileFormatError(f"{path.name} holds no image.")
    one, notes = chosen(own if asked is None else [_of_tiff(*each) for each in enumerate(tif.series)], asked, path.name)
    pixels = ome.images[0].pixels if ome is not None and ome.images and one.number == 0 else None
    return tif.series[one.number], pixels, (*(ome.notes if ome is not None else ()), *notes)


def _other_file(path: Path, tif: _Tiff, found: Any) -> Path | None:
    """Return the file of a set that holds the whole image that was asked for, if it is not this file."""
    owner = found.keyframe.parent
    if owner is tif or found.is_multifile:
        return None
    other = path.with_name(owner.filehandle.name)
    if other == path:
        return None
    theirs = described(owner.ome_metadata, other)
    if theirs is None or [image.name for image in theirs.choices] != [found.name]:
        raise ImageError(f"That image of {path.name} is in {other.name}. Open that file.")
    return other


def _own_series(tif: _Tiff) -> list[Series]:
    """Return the images of a file without OME-XML, except thumbnails and overviews."""
    every = list(enumerate(tif.series))
    own = [(number, found) for number, found in every if not found.keyframe.is_reduced] or every
    series = [_of_tiff(*each) for each in own]
    if own and own[0][1].kind in _SCANNERS:
        series = [one for one in series if not one.is_thumbnail] or series
    return series


def _of_tiff(number: int, found: Any) -> Series:
    return Series(number, str(found.name or ""), str(found.axes), tuple(int(n) for n in found.shape))


def _as_series(image: OmeImage) -> Series:
    sizes = {letter: image.pixels.get(f"Size{letter}", "1") for letter in CANONICAL}
    known = {letter: int(size) if size.isdecimal() else 1 for letter, size in sizes.items()}
    axes = "".join(letter for letter in CANONICAL if letter in "YX" or known[letter] > 1)
    return Series(image.number, image.name, axes, tuple(known[letter] for letter in axes))


def _of_time(tif: _Tiff) -> bool:
    """Return whether ImageJ says that the planes are frames of a movie: it gives a frame interval."""
    metadata = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    return bool(metadata.get("finterval") or metadata.get("fps"))


class _Complaints(logging.Handler):
    """Records what tifffile logs in this thread: it reads truncated files as shorter ones, with a warning."""

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
        with _Tiff(path) as tif:
            yield tif, complaints.messages
    except tifffile.TiffFileError as error:
        reason = "it is empty" if path.stat().st_size == 0 else str(error).partition(":")[0]
        raise FileFormatError(f"{path.name} cannot be read as a TIFF image: {reason}.") from error
    finally:
        logger.removeHandler(complaints)


def _check_complete(path: Path, tif: Any, series: Any, complaints: list[str]) -> None:
    """Raise FileFormatError if pixels that the file declares are missing."""
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

    by_page = not series.keyframe.is_tiled and series.keyframe.nbytes <= _MAX_PAGE_BYTES
    store = series.aszarr(level=0, chunkmode="page" if by_page else None)
    return lazy.load(zarr.open_array(store, mode="r"), name, store.close)


def _has_alpha(series: Any) -> bool:
    page = series.keyframe
    return "S" in series.axes and len(page.extrasamples) == 1 and int(page.extrasamples[0]) in _ALPHA


def _resolve_axes(data: Any, stored: str, asked: str | None, name: str, movie: bool) -> tuple[Any, str, str]:
    """Return the data, its axes in letters of `CANONICAL`, and a note for the user, mostly empty.

    Other axes are dropped if they have one element. Wavelengths count as channels; any other axis as depth, or as time
    if there is a depth already; of a movie first as time, then as depth.
    """
    if asked is not None and len(asked) == data.ndim:
        return data, asked, ""
    both = "C" in stored and "S" in stored
    dropped = [
        size == 1 and (letter not in CANONICAL + "S" or (both and letter in "CS"))
        for letter, size in zip(stored, data.shape, strict=True)
    ]
    data = data[tuple(0 if drop else slice(None) for drop in dropped)]
    kept = [letter for letter, drop in zip(stored, dropped, strict=True) if not drop]
    if asked is not None:
        return data, asked, ""
    free = [letter for letter in ("TZ" if movie else "ZT") if letter not in kept]
    letters, note = [], ""
    for letter, size in zip(kept, data.shape, strict=True):
        if letter == "E" and not set("CES") & {*kept[: kept.index("E")], *kept[kept.index("E") + 1 :]}:
            letters.append("C")
        elif letter not in CANONICAL + "S":
            if not free:
                raise ImageError(
                    f"{name} has more axes than T, C, Z, Y and X: {stored} with the shape {tuple(data.shape)}. "
                    "Save one position or series of it."
                )
            letters.append(free.pop(0))
            if letter in _WHAT:
                taken = {"Z": "depth", "T": "time"}[letters[-1]]
                note = f"{name} has {size} {_WHAT[letter]}, taken as {taken}. Say with --axes if they are another axis."
        else:
            letters.append(letter)
    if "C" in letters and "S" in letters:
        raise ImageError(f"{name} has channels and colours at once (axes {stored}). Split one of them in Fiji.")
    return data, "".join(letters), note
