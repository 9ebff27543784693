"""How a result was made: by which version of the program, from which files, and with which settings."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from napari_unet._version import __version__
from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import completed, reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PROGRAM = "napari-unet-interactive"


def record_of(command: str, inputs: Sequence[Sequence[Path]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a result. It holds no date: the same work gives the same record.

    Parameters
    ----------
    command : str
        What was done, as the command line calls it.
    inputs : sequence of sequences of Path
        For each result the labels, and then their image if there is one.
    settings : mapping
        Plain values. Those that are None are left out: they are what the files say.

    Returns
    -------
    dict
        ``program``, ``version``, ``command``, ``settings`` and ``inputs``: of each the names and SHA-256 of the files;
        a Zarr folder has no checksum.
    """
    parts = ("labels", "image")
    return {
        "program": PROGRAM,
        "version": __version__,
        "command": command,
        "settings": {name: value for name, value in settings.items() if value is not None},
        "inputs": [
            {part: {"name": path.name, "sha256": sha256(path)} for part, path in zip(parts, paths, strict=False)}
            for paths in inputs
        ],
    }


def write_record(path: Path, record: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write a record as JSON; the file has its name only when it is complete."""
    with completed(path, overwrite=overwrite) as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file; None of a folder.

    Raises
    ------
    FileFormatError
        If it cannot be read.
    """
    if path.is_dir():
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise FileFormatError(f"{path.name} is no longer there ({path}).") from None
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {reason(error)}.") from error
