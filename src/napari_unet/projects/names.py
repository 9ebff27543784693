"""Names of files and folders made of names that people gave, and how they are noted in a project or list."""

from __future__ import annotations

import os
from pathlib import Path

from napari_unet.io.names import is_device

_MAX_NAME_BYTES = 120  # systems allow 255 bytes, and a letter may take several


def file_name(name: str) -> str:
    """Return a name, without a suffix, that a file may have on every system."""
    allowed = "".join("-" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in name)
    name = allowed.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip(" .") or "untitled"
    return f"_{name}" if is_device(name) else name


def relative(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, so that both can be moved together; on another drive, the path itself."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return str(path)
