"""Descriptions on disk: one JSON file in a folder of its own, with the format and the version that it is in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import completed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Description = TypeVar("_Description", bound=BaseModel)


class _Head(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    format: str = ""
    version: int = Field(1, ge=1)


def read_stored(
    file: Path,
    what: str,
    format: str,  # noqa: A002 - that is its key in the file
    version: int,
    max_bytes: int,
    validated: Callable[[bytes, int], _Description],
) -> _Description:
    """Read a description.

    Parameters
    ----------
    file : Path
        In the folder that it describes.
    what : str
        What the folder is: "project".
    format : str
        Name of the format.
    version : int
        The newest that is read.
    max_bytes : int
        Size above which the file is none.
    validated : callable
        Takes the bytes and the version that they are in, and returns the description.

    Raises
    ------
    FileFormatError
        If there is none, it is damaged, or it was saved by a newer version of this program.
    """
    folder = file.parent
    try:
        if not file.is_file():
            raise FileFormatError(f"{folder} is not a {what}: there is no {file.name} in it.")
        if file.stat().st_size > max_bytes:
            raise FileFormatError(f"{file} is not that of a {what}: it is too large.")
        text = file.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{file} cannot be read: {error.strerror or error}.") from error
    try:
        head = _Head.model_validate_json(text)
        if head.format != format:
            raise FileFormatError(f"{file} is not that of a {what} of this program.")
        if head.version > version:
            raise FileFormatError(
                f"{folder.name} was saved by a newer version of this program. Update napari-unet-interactive to "
                "open it.",
                f"Its format is {head.version}; this version reads up to {version}.",
            )
        return validated(text, head.version)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise FileFormatError(f"{file} is damaged or not that of a {what}: {where}: {first['msg']}.") from error


def write_stored(file: Path, description: BaseModel, indent: int = 2) -> None:
    """Replace a description in one step: readers find the old or the new one, never a part of it.

    Raises
    ------
    FileFormatError
        If it cannot be written; the old one is as it was.
    """
    with completed(file, overwrite=True) as partial, partial.open("wb") as written:
        written.write(description.model_dump_json(indent=indent).encode() + b"\n")
        written.flush()
        os.fsync(written.fileno())
