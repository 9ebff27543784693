"""Writable arrays that spill to disk: in memory if they are small, else mapped to a temporary file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
import psutil

from napari_unet.errors import UNetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

MAX_MEMORY_SHARE = 1 / 16
"""Largest share of the free memory that one array may take. Labels and their corrections are four arrays."""

_IN_MEMORY = {"tmpfs", "ramfs"}
"""File systems that are not on a disk."""


def zeros(shape: Sequence[int], dtype: DTypeLike, in_memory: float | None = None) -> NDArray[Any]:
    """Return an array of zeros that can be written to in place.

    A large one is mapped to a temporary file without a name: the system reads and writes it page by page, and frees it
    when the array is no longer used or the program ends, however it ends.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype-like
    in_memory : float, optional
        Bytes that it may take in memory; None: `MAX_MEMORY_SHARE` of what is free.

    Returns
    -------
    ndarray
        A `numpy.memmap` viewed as an array if it would take more than that.

    Raises
    ------
    UNetError
        If no disk has enough free space for it.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if in_memory is None:
        in_memory = MAX_MEMORY_SHARE * psutil.virtual_memory().available
    if size <= in_memory:
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile(dir=_folder(size)) as file:
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            raise _no_room(size) from error
        return np.asarray(np.memmap(file, dtype, "r+", shape=tuple(shape)))


def is_on_disk(array: NDArray[Any]) -> bool:
    """Whether an array of `zeros` lies in a temporary file."""
    return isinstance(array.base, np.memmap)


def _reserve(file: int, size: int) -> None:
    """Allocate so many bytes for a file now: writing to a mapped page would end the program if the disk were full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def _folder(size: int) -> Path:
    """Return a folder on a disk with so many free bytes."""
    cache = Path(platformdirs.user_cache_dir("napari-unet", appauthor=False))
    for folder in (Path(tempfile.gettempdir()), cache):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if _kind_of_disk(folder) not in _IN_MEMORY and psutil.disk_usage(str(folder)).free > size:
                return folder
        except OSError:
            continue
    raise _no_room(size)


def _kind_of_disk(folder: Path) -> str:
    """Return the file system that a folder lies on."""
    inside = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return max(inside, key=lambda part: len(part.mountpoint)).fstype if inside else ""


def _no_room(size: int) -> UNetError:
    return UNetError(
        f"The labels need {size / 1e9:.1f} GB, more than is free in memory and for temporary files. Open a part of it.",
        "Or free some room, or let `napari-unet segment` write the labels to a disk of your choice.",
    )
