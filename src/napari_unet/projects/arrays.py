"""The arrays of a project: labels, prediction and provenance, each an OME-Zarr label image that other programs read."""

from __future__ import annotations

import hashlib
import itertools
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import FileFormatError, UNetError
from napari_unet.io import lazy, spill
from napari_unet.io.damage import missing_chunks
from napari_unet.io.zarr_writer import create_zarr
from napari_unet.progress import CancelToken, Progress, Stopwatch
from napari_unet.projects.description import PROVENANCE
from napari_unet.projects.journal import SIDE, BlockSlices, Content

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.corrections.corrections import Corrections
    from napari_unet.projects.journal import Key

WIDTH = 1024
"""Width, in pixels, of the blocks that are copied and stored: copying one takes a few milliseconds."""

_MAX_CHUNK_PIXELS = 2**24
"""Largest number of pixels of a chunk that is read, whichever program wrote it."""

_ARRAYS = ("labels", "prediction", "provenance")

ATTENTION = "attention"
"""Name of the array that says where a correction is worth most; it has cells, not pixels, and may be missing."""


@dataclass(slots=True, eq=False)
class Block:
    """A block of a plane that is to be saved.

    Attributes
    ----------
    where : tuple
        Its index in (T, Z, Y, X): two numbers and two slices.
    progress : Progress
    """

    where: BlockSlices
    progress: Progress
    _copies: tuple[NDArray[Any], ...] = ()
    _taken: threading.Event = field(default_factory=threading.Event)

    def take(self, labels: NDArray[Any], corrections: Corrections) -> None:
        """Copy it from labels (T, Z, Y, X) and corrections, in the thread that changes them."""
        arrays = (labels, corrections.prediction, corrections.seen, corrections.reviewed)
        self._copies = tuple(np.array(array[self.where]) for array in arrays)
        self._taken.set()

    def wait(self, cancel: CancelToken) -> tuple[NDArray[Any], ...]:
        """Wait for `take`, and return its copies (Y, X) of labels, prediction, seen and reviewed."""
        while not self._taken.wait(0.1):
            cancel.check()
        return self._copies


class Tally:
    """Counts of the user's pixels in the arrays of a project, and a hash of all of their content.

    Attributes
    ----------
    corrected, reviewed : int
        Pixels.
    """

    def __init__(self) -> None:
        self.corrected = self.reviewed = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, labels: NDArray[Any], prediction: NDArray[Any], reviewed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Add the next block (Y, X), in the order of `write_steps`; return which of its pixels are corrected."""
        corrected = np.asarray(labels != prediction)
        self.corrected += int(np.count_nonzero(corrected))
        self.reviewed += int(np.count_nonzero(reviewed))
        for part, kind in ((labels, "<i8"), (corrected, "u1"), (reviewed, "u1")):
            self._hash.update(b"-" if not part.any() else np.ascontiguousarray(part, kind).data)
        return corrected

    @property
    def digest(self) -> str:
        """Hash of all blocks so far: of the labels, whatever their dtype, and of which are corrected and reviewed."""
        return self._hash.hexdigest()


@dataclass(slots=True)
class Written:
    """What was written: numbers of chunks, counts of pixels, and digests of journal blocks with the user's work."""

    chunks: dict[str, int]
    tally: Tally = field(default_factory=Tally)
    user_blocks: dict[Key, bytes] = field(default_factory=dict)


def tally(image: Image, labels: NDArray[Any], corrections: Corrections, cancel: CancelToken) -> Tally:
    """Count what is in labels (T, Z, Y, X) now; they are only read, so it may run while the user paints."""
    result = Tally()
    for where in _blocks(image):
        cancel.check()
        result.add(labels[where], corrections.prediction[where], corrections.reviewed[where])
    return result


def write_steps(
    folder: Path, image: Image, dtype: np.dtype[Any], cancel: CancelToken, *, empty: bool = False
) -> Generator[Block, None, Written]:
    """Write the arrays of a project into a folder; `Block.take` has to be called on each block that is yielded.

    With `empty` they are written without any content.
    """
    letters = _letters(image)
    shape = tuple(image.size(letter) for letter in letters)
    chunks = tuple(min(WIDTH, n) if letter in "YX" else 1 for letter, n in zip(letters, shape, strict=True))
    kinds = {"labels": _wide_enough(dtype), "prediction": np.dtype(np.int32), "provenance": np.dtype(np.uint8)}
    arrays = {
        name: create_zarr(
            folder / f"{name}.zarr", shape, letters, image.pixel_size, kind, name=name, labels=True, chunks=chunks
        )
        for name, kind in kinds.items()
    }
    written, watch, blocks = Written({}), Stopwatch(), [] if empty else list(_blocks(image))
    for done, where in enumerate(blocks):
        block = Block(where, Progress(done, len(blocks), watch.seconds, "parts"))
        yield block
        labels, prediction, seen, reviewed = block.wait(cancel)
        corrected = written.tally.add(labels, prediction, reviewed)
        if corrected.any() or reviewed.any():
            written.user_blocks |= _user_blocks(where, Content(labels, prediction, seen, reviewed))
        codes = sum(
            mask * np.uint8(PROVENANCE[name])
            for name, mask in (("predicted", seen), ("corrected", corrected), ("reviewed", reviewed))
        )
        index = _index(where, letters)
        for name, values in zip(_ARRAYS, (labels, prediction, codes), strict=True):
            if np.any(values):
                arrays[name][index] = values
    written.chunks = {name: int(array.nchunks_initialized) for name, array in arrays.items()}
    return written


def read_arrays(
    folder: Path,
    image: Image,
    corrections: Corrections,
    parts: Mapping[str, int],
    cancel: CancelToken,
    tell: Callable[[Progress], object],
) -> NDArray[Any]:
    """Return the labels in a folder, axes as `Image.label_axes`, and fill in `corrections`.

    The array is in memory or, if it is large, in a temporary file (`io.spill`).

    Raises
    ------
    FileFormatError
        If an array is missing, incomplete, damaged, or not of this image.
    """
    letters = _letters(image)
    shape = tuple(image.size(letter) for letter in letters)
    stored = {name: _opened(folder, name, shape, parts.get(name, 0)) for name in _ARRAYS}
    labels = spill.zeros(image.label_shape, stored["labels"].dtype)
    view, watch, blocks = image.canonical_labels(labels), Stopwatch(), list(_blocks(image))
    for done, where in enumerate(blocks):
        cancel.check()
        values = {name: _read(folder, name, array, _index(where, letters)) for name, array in stored.items()}
        if values["prediction"].min() < 0:
            raise FileFormatError(f"{folder / 'prediction.zarr'} is damaged: there are negative numbers in it.")
        for target, part in (
            (view, values["labels"]),
            (corrections.prediction, values["prediction"]),
            (corrections.seen, values["provenance"] & PROVENANCE["predicted"] > 0),
            (corrections.reviewed, values["provenance"] & PROVENANCE["reviewed"] > 0),
        ):
            if part.any():
                target[where] = part
        tell(Progress(done + 1, len(blocks), watch.seconds, "parts"))
    return labels


def write_attention(folder: Path, known: NDArray[np.float16]) -> int:
    """Write the array that `Attention.known` returns into a folder; return its number of chunks."""
    by_frame = np.moveaxis(known, 0, 1)
    chunks = (1, len(known), 1, *(min(WIDTH, n) for n in known.shape[-2:]))
    path = folder / f"{ATTENTION}.zarr"
    array = create_zarr(path, by_frame.shape, "TCZYX", None, np.float16, name=ATTENTION, chunks=chunks)
    array[...] = by_frame
    return int(array.nchunks_initialized)


def read_attention(folder: Path, shape: tuple[int, ...], parts: int) -> NDArray[np.float16]:
    """Return the array that `write_attention` wrote.

    Raises
    ------
    FileFormatError
        If it is missing, incomplete, damaged, or of another shape.
    """
    array = _opened(folder, ATTENTION, (shape[1], shape[0], *shape[2:]), parts)
    return np.moveaxis(_read(folder, ATTENTION, array, (...,)), 1, 0)


def _opened(folder: Path, name: str, shape: tuple[int, ...], parts: int) -> Any:
    """Open one of the arrays, and check it before its pixels are read."""
    import zarr

    path = folder / f"{name}.zarr"
    if not path.is_dir():
        raise FileFormatError(f"{path} is missing.")
    try:
        array = zarr.open_array(path / "0", mode="r")
        allowed = {"prediction": (np.int32,), "provenance": (np.uint8,), ATTENTION: (np.float16,)}
        fits = array.dtype in allowed[name] if name in allowed else array.dtype.kind in "iu"
        if not fits or array.shape != shape:
            numbers = "fractions" if name == ATTENTION else "whole numbers"
            raise FileFormatError(
                f"{path} is not of this image: it has the shape {array.shape} and the type {array.dtype}; it must have "
                f"the shape {shape} and {numbers}."
            )
        if math.prod(array.chunks) > _MAX_CHUNK_PIXELS:
            raise FileFormatError(f"{path} is not as this program writes it: its chunks are too large.")
        there = int(array.nchunks) - missing_chunks(array)
    except UNetError:
        raise
    except Exception as error:  # zarr has many ways to say that a folder is not what it should be
        raise lazy.unreadable(str(path), error) from error
    if there < parts:
        raise FileFormatError(
            f"{path} is not complete: {parts - there} of its {parts} parts are missing. Copy the project again."
        )
    return array


def _read(folder: Path, name: str, array: Any, index: tuple[Any, ...]) -> NDArray[Any]:
    try:
        return np.asarray(array[index])
    except Exception as error:  # decoders fail on damaged data in ways of their own
        raise lazy.unreadable(str(folder / f"{name}.zarr"), error) from error


def _letters(image: Image) -> str:
    return "".join(letter for letter in "TZYX" if letter in image.axes)


def _blocks(image: Image) -> Iterator[BlockSlices]:
    depth, *plane = image.space
    across = [[slice(a, min(a + WIDTH, n)) for a in range(0, n, WIDTH)] for n in plane]
    yield from itertools.product(range(image.n_frames), range(depth), *across)


def _user_blocks(where: BlockSlices, content: Content) -> dict[Key, bytes]:
    """Return the digests of those journal blocks, within a block of a plane, that hold work of the user."""
    found = {}
    t, z, y, x = where
    for row in range(y.start // SIDE, -(-y.stop // SIDE)):
        for column in range(x.start // SIDE, -(-x.stop // SIDE)):
            top, left = row * SIDE - y.start, column * SIDE - x.start
            block = content.part(slice(top, top + SIDE), slice(left, left + SIDE))
            if block.by_user:
                found[t, z, row, column] = block.digest()
    return found


def _index(where: BlockSlices, letters: str) -> tuple[Any, ...]:
    return tuple(part for letter, part in zip("TZYX", where, strict=True) if letter in letters)


def _wide_enough(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype to store labels of this dtype in: in napari they may get a larger one while they are saved."""
    small = dtype.kind in "bui" and (dtype.itemsize < 4 or dtype == np.int32)
    return np.dtype(np.int32 if small else np.int64)
