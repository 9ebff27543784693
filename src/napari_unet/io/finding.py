"""Finds the images in files, folders, and plates (OME-Zarr), one by one, without reading their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.io.pairs import split_results, stem
from napari_unet.io.readers import SUFFIXES, image_files, list_series
from napari_unet.io.zarrs import is_plate, is_zarr, plate_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image that can be read.

    Attributes
    ----------
    path : Path
        Argument of `read_image`; absolute.
    series : int or None
        Its number, in a file that holds several images; None: it is the only one.
    name : str
        For people.
    """

    path: Path
    series: int | None
    name: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is no image, or cannot be read.

    Attributes
    ----------
    path : Path
    why : str
        A sentence.
    is_image : bool
        Whether it should have been one, by its name.
    name : str
        For people; "": that of the file.
    """

    path: Path
    why: str
    is_image: bool = True
    name: str = ""


def find_images(paths: Iterable[Path]) -> Iterator[FoundImage | LeftOut]:
    """Yield the images that some paths name, in natural order, and what was left out.

    Parameters
    ----------
    paths : iterable of Path
        Files; folders, of which the images are taken, and neither folders within them nor label images that belong to
        an image beside them; OME-Zarr images and plates. Of a file or a plate that holds several images each is one.
    """
    for path in paths:
        path = path.absolute()
        try:
            if path.is_dir() and not is_zarr(path):
                yield from _in_folder(path)
            else:
                yield from _in_file(path)
        except OSError as error:
            yield LeftOut(path, f"{path.name} cannot be read: {error.strerror or error}.")


def _in_folder(folder: Path) -> Iterator[FoundImage | LeftOut]:
    try:
        images, results = split_results(image_files(folder))
    except UNetError as error:
        yield LeftOut(folder, str(error))
        return
    for path in images:
        yield from _in_file(path)
    for path in results:
        yield LeftOut(path, f"{path.name} holds labels.", is_image=False)
    known = {*images, *results}
    for path in sorted(folder.iterdir()):
        if path not in known and not path.is_dir() and not path.name.startswith("."):
            yield LeftOut(path, f"{path.name} is no image.", is_image=path.suffix.lower() in SUFFIXES)


def _in_file(path: Path) -> Iterator[FoundImage | LeftOut]:
    try:
        if path.is_dir():
            plate = plate_of(path)
            if plate is not None:
                yield from (FoundImage(path / field, None, f"{stem(path)} {field}") for field in plate.fields)
                for inner in plate.missing:
                    why = f"{path.name} lists {inner}, which is not there or is damaged."
                    yield LeftOut(path / inner, why, name=f"{stem(path)} {inner}")
                return
        series = [one for one in list_series(path) if not one.is_thumbnail]
    except UNetError as error:
        yield LeftOut(path, str(error))
        return
    if not series:
        yield LeftOut(path, f"{path.name} holds no image, or is damaged.")
    elif len(series) == 1:
        yield FoundImage(path, None, stem(path))
    else:
        yield from (FoundImage(path, one.number, f"{stem(path)} {one.name or one.number}") for one in series)


def holds_many(path: Path) -> bool:
    """Return whether a path names a folder or a plate of images, not one image."""
    return path.is_dir() and (not is_zarr(path) or is_plate(path))
