"""Images that other libraries read: found by scene, read plane by plane or in chunks, and turned into an `Image`."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import Image
from napari_unet.errors import FileFormatError
from napari_unet.io import lazy
from napari_unet.io.extras import required
from napari_unet.io.indexing import full_index
from napari_unet.io.series import Series, chosen
from napari_unet.io.tiffmeta import plausible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    from napari_unet.io.tiffmeta import Lengths


@dataclass(frozen=True, slots=True)
class Scene:
    """An image in a file.

    Attributes
    ----------
    name : str
        May be empty.
    axes : str
        Letters of its axes; S for the colours of a pixel.
    array : Planes or Stored
        Its pixels, which are read when they are needed.
    lengths : tuple of float, optional
        Micrometres along Z (None: not known), Y and X.
    channels : tuple of str
        Names of its channels; may be empty, or too few.
    """

    name: str
    axes: str
    array: Planes | Stored
    lengths: Lengths | None = None
    channels: tuple[str, ...] = ()


class Planes:
    """An array that is read plane by plane, by one thread at a time.

    Parameters
    ----------
    outer : sequence of int
        Sizes of the axes before those of a plane.
    plane : sequence of int
        Shape of a plane, with all axes that are read at once.
    dtype : dtype-like
    read : callable
        Called with an index of each outer axis; returns that plane.
    """

    def __init__(
        self, outer: Sequence[int], plane: Sequence[int], dtype: DTypeLike, read: Callable[..., NDArray[Any]]
    ) -> None:
        self._outer, self._plane, self._read = tuple(outer), tuple(plane), read
        self.shape = (*self._outer, *self._plane)
        self.chunks = (*(1 for _ in self._outer), *self._plane)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize
        self._lock = threading.Lock()

    def __getitem__(self, index: Any) -> NDArray[Any]:
        picks = full_index(index, len(self.shape))
        n = len(self._outer)
        ranges = [
            [int(pick)] if not isinstance(pick, slice) else range(*pick.indices(size))
            for pick, size in zip(picks[:n], self._outer, strict=True)
        ]
        inner = picks[n:]
        found = [
            self._one([r[i] for r, i in zip(ranges, at, strict=True)], inner) for at in np.ndindex(*map(len, ranges))
        ]
        sizes = [len(r) for r, pick in zip(ranges, picks, strict=False) if isinstance(pick, slice)]
        if not found:
            return np.zeros((*sizes, *np.empty(self._plane, np.bool_)[inner].shape), self.dtype)
        return np.stack(found).reshape((*sizes, *found[0].shape))

    def _one(self, at: list[int], inner: tuple[Any, ...]) -> NDArray[Any]:
        with self._lock:
            plane = np.asarray(self._read(*at))
        if plane.size != math.prod(self._plane):
            raise FileFormatError(f"A plane has the shape {plane.shape} instead of {self._plane}: the file is damaged.")
        return np.asarray(plane.reshape(self._plane)[inner], self.dtype)


class Stored:
    """An array that is indexed as it is (HDF5, a mapped file), with chunks where it has none.

    Parameters
    ----------
    array : array-like
        With `shape`, `dtype` and perhaps `chunks`.
    """

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape: tuple[int, ...] = tuple(int(n) for n in array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)
        self.chunks: tuple[int, ...] = tuple(
            getattr(array, "chunks", None) or (*(1 for _ in self.shape[:-2]), *self.shape[-2:])
        )
        self.nbytes = math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.array(self._array[index])


def series_of(scenes: Sequence[Scene]) -> list[Series]:
    """Return what can be chosen among scenes."""
    return [Series(number, one.name, one.axes, one.array.shape) for number, one in enumerate(scenes)]


def image_of(
    scenes: Sequence[Scene],
    path: Path,
    axes: str | None,
    asked: int | str | None,
    close: Callable[[], None],
    notes: tuple[str, ...] = (),
) -> Image:
    """Return the scene that is asked for, or the largest, as an image.

    Parameters
    ----------
    scenes : sequence of Scene
    path : Path
        Of the file.
    axes : str, optional
        Instead of those that the file says.
    asked : int or str, optional
        Number or name of the scene.
    close : callable
        Closes the file; called when the pixels are no longer used, or at once if they are read.
    notes : tuple of str
        Sentences for the user.

    Raises
    ------
    FileFormatError
        If there is no scene.
    ImageError
        If there is none of that number or name, or its axes cannot be used.
    """
    if not scenes:
        raise FileFormatError(f"{path.name} holds no image.")
    one, said = chosen(series_of(scenes), asked, path.name)
    scene = scenes[one.number]
    size, warning = plausible(scene.lengths, path.name)
    letters = (axes or scene.axes).upper().replace("S", "C")
    n_channels = dict(zip(letters, scene.array.shape, strict=False)).get("C", 1)
    names = scene.channels if len(scene.channels) == n_channels and all(scene.channels) else ()
    Image(scene.array, letters, name=path.name)  # checks axes and data type before anything is read
    pixels = lazy.load(scene.array, path.name, close)
    notes = (*said, *notes, *([warning] if warning else []))
    return Image(pixels, letters, size, names, name=path.name, notes=notes)


@contextmanager
def closed_on_error(file: Any) -> Iterator[Any]:
    """Close a file that cannot be read after all; else it stays open for what is read later."""
    try:
        yield file
    except BaseException:
        file.close()
        raise


def library(name: str, path: Path, extra: str) -> Any:
    """Return the library that reads a file; the error where it is missing names the extra that installs it."""
    return required(name, extra, f"{path.name} needs one more package")
