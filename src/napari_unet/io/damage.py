"""Damaged chunks of arrays on disk: they count as empty and are listed, and the rest is used."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import is_short_of_memory
from napari_unet.io.indexing import full_index
from napari_unet.progress import counted, first_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_PROBES = 8


@dataclass(slots=True, eq=False)
class Damage:
    """Chunks of an image that could not be read so far.

    Attributes
    ----------
    name : str
        Of the image.
    chunks : dict
        Path of each damaged chunk within the image -> what is wrong with it.
    missing : int
        Chunks that are not stored: some programs do not store empty chunks, so they need not be lost.
    """

    name: str
    chunks: dict[str, str] = field(default_factory=dict)
    missing: int = 0

    def __str__(self) -> str:
        """Sentences for the user; may be empty."""
        sentences = []
        if self.chunks:
            n = counted(len(self.chunks), "damaged chunk")
            sentences.append(f"{n} of {self.name} taken as empty: {first_names(self.chunks)}.")
        if self.missing:
            sentences.append(f"{counted(self.missing, 'chunk')} of {self.name} not stored, and taken as empty.")
        return " ".join(sentences)


def read_intact(array: Any, index: Any, damage: Damage) -> NDArray[Any] | None:
    """Read a part of a zarr array chunk by chunk, after reading it at once has failed.

    Parameters
    ----------
    array : zarr.Array
        Any shape and dtype.
    index : tuple of slice and int
        As in numpy; may have one ellipsis.
    damage : Damage
        Every chunk that cannot be read is added to it.

    Returns
    -------
    ndarray or None
        Damaged chunks have `fill_value`. None if no chunk of the array can be read.
    """
    parts = full_index(index, array.ndim)
    spans = [range(n)[part] if isinstance(part, slice) else range(part, part + 1)
             for part, n in zip(parts, array.shape, strict=True)]  # fmt: skip
    lows = [min(span, default=0) for span in spans]
    highs = [max(span, default=-1) + 1 for span in spans]
    block = np.full([b - a for a, b in zip(lows, highs, strict=True)], array.fill_value or 0, array.dtype)
    found, intact = {}, False
    for number, region in _chunks(array, lows, highs):
        try:
            values = np.asarray(array[region])
        except Exception as reason:
            if is_short_of_memory(reason):
                raise
            found[_key(array, number)] = f"{type(reason).__name__}: {reason}"
            continue
        block[tuple(slice(r.start - a, r.stop - a) for r, a in zip(region, lows, strict=True))] = values
        intact = True
    if not (intact or damage.chunks.keys() - found.keys() or _any_readable(array)):
        return None
    damage.chunks.update(found)
    rest = tuple(
        slice(None, None, part.step) if isinstance(part, slice) else 0 for part in parts
    )  # the block begins where the first of them lies
    return block[rest]


def missing_chunks(array: Any) -> int:
    """Return how many chunks of a zarr array are not stored; 0 if that is not known."""
    try:
        return int(array.nchunks) - int(array.nchunks_initialized)
    except Exception:  # noqa: BLE001 - not every store can be listed
        return 0


def _chunks(array: Any, lows: list[int], highs: list[int]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield the index of each chunk that overlaps a box, and the overlap."""
    numbers = (range(a // c, -(-b // c)) for a, b, c in zip(lows, highs, array.chunks, strict=True))
    for number in itertools.product(*numbers):
        yield (
            number,
            tuple(
                slice(max(a, i * c), min(b, (i + 1) * c))
                for i, c, a, b in zip(number, array.chunks, lows, highs, strict=True)
            ),
        )


def _any_readable(array: Any) -> bool:
    """Return whether one of a few chunks, spread over an array, can be read."""
    counts = [-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True)]
    total = math.prod(counts)
    for flat in range(0, total, max(1, total // _PROBES)):
        number = np.unravel_index(flat, counts)
        corner = tuple(slice(int(i) * c, int(i) * c + 1) for i, c in zip(number, array.chunks, strict=True))
        try:
            array[corner]
        except Exception:  # noqa: BLE001 - see above
            continue
        return True
    return False


def _key(array: Any, number: tuple[int, ...]) -> str:
    """Return the path of a chunk within its image."""
    try:
        key = array.metadata.encode_chunk_key(number)
    except (AttributeError, NotImplementedError):
        key = ".".join(str(i) for i in number)
    return f"{array.path}/{key}".lstrip("/")
