"""Large arrays on disk, read chunk by chunk as they are needed."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import FileFormatError, UNetError, is_short_of_memory
from napari_unet.io.damage import Damage, read_intact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

IN_MEMORY_BYTES = 64 * 2**20
"""Images up to this size are read at once; larger ones stay on disk."""

_CHUNK_BYTES = 4 * 2**20  # small enough to show a plane quickly, large enough for a short task graph


def load(
    array: Any,
    name: str,
    close: Callable[[], None] | None = None,
    damage: Damage | None = None,
    folder: Path | None = None,
) -> Any:
    """Return the pixels of a zarr array: in memory if it is small, else as a dask array that reads lazily.

    Parameters
    ----------
    array : zarr.Array
        Any shape and dtype.
    name : str
        Of the file, for messages.
    close : callable, optional
        Closes the file of `array`; called when the pixels are no longer used.
    damage : Damage, optional
        Records chunks that cannot be read, which then count as empty; None: they raise an error.
    folder : Path, optional
        Folder of the array. Missing chunks count as empty, so it is checked that the folder still exists.

    Raises
    ------
    FileFormatError
        If the pixels cannot be read; from a dask array, when it is computed.
    """
    guarded = _Guarded(array, name, damage, folder)
    if close is not None:
        weakref.finalize(guarded, close)
    if array.nbytes <= IN_MEMORY_BYTES:
        return guarded[(...,)]
    import dask.array as da

    chunks = _grouped_chunks(array.shape, array.chunks, array.dtype.itemsize)
    return da.from_array(guarded, chunks=chunks, name=False)


class _Guarded:
    """An array that raises `FileFormatError` where reading it fails."""

    def __init__(self, array: Any, name: str, damage: Damage | None, folder: Path | None) -> None:
        self._array, self._name, self._damage, self._folder = array, name, damage, folder
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if self._folder is not None and not self._folder.is_dir():
            raise FileFormatError(f"{self._name} is no longer there ({self._folder}).")
        try:
            return np.asarray(self._array[index])
        except (UNetError, MemoryError):
            raise
        except Exception as error:  # decoders raise errors of many kinds on damaged data
            intact = None if self._damage is None else read_intact(self._array, index, self._damage)
            if intact is None:
                raise unreadable(self._name, error) from error
            return intact


def unreadable(name: str, error: BaseException) -> FileFormatError:
    """Return the error for a file that a decoder could not read."""
    if is_short_of_memory(error):
        return FileFormatError(f"There is not enough memory to read {name}. Close other programs.")
    if "imagecodecs" in str(error):
        return FileFormatError(
            f"{name} is compressed in a way that needs one more package: pip install imagecodecs. "
            "Or save the image again without compression."
        )
    if isinstance(error, OSError) and error.strerror:
        return FileFormatError(f"{name} cannot be read: {error.strerror}.")
    return FileFormatError(f"{name} is damaged or not an image of its kind ({type(error).__name__}: {error}).")


def _grouped_chunks(shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return chunks that are multiples of the stored ones, larger along the last axes if those are very small."""
    grown = [min(c, n) for c, n in zip(chunks, shape, strict=True)]
    for axis in reversed(range(max(0, len(grown) - 3), len(grown))):
        while grown[axis] < shape[axis] and 2 * itemsize * int(np.prod(grown)) <= _CHUNK_BYTES:
            grown[axis] *= 2
        grown[axis] = min(grown[axis], shape[axis])
    return tuple(grown)
