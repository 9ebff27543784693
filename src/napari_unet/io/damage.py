"""What of an array on disk cannot be read: it is taken as empty, named, and the rest is used."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_NAMED = 3
_PROBES = 8


@dataclass(slots=True, eq=False)
class Damage:
    """Chunks of an image that could not be read so far.

    Attributes
    ----------
    name : str
        Of the image.
    chunks : dict
        Name of each damaged chunk, as its path within the image, and what is wrong with it.
    missing : int
        Chunks that are not stored. That is how some programs store what is empty, and nobody can tell the difference.
    """

    name: str
    chunks: dict[str, str] = field(default_factory=dict)
    missing: int = 0

    def __str__(self) -> str:
        """Sentences for the user; empty where there is nothing to say."""
        said = []
        if self.chunks:
            n = len(self.chunks)
            named = ", ".join(itertools.islice(self.chunks, _NAMED)) + (", …" if n > _NAMED else "")
            said.append(f"{_count(n, 'damaged chunk')} of {self.name} taken as empty: {named}.")
        if self.missing:
            said.append(f"{_count(self.missing, 'chunk')} of {self.name} not stored, and taken as empty.")
        return " ".join(said)


def read_intact(array: Any, index: Any, damage: Damage) -> NDArray[Any] | None:
    """Return a part of a zarr array chunk by chunk, where reading it at once failed; what is damaged is `fill_value`.

    Parameters
    ----------
    array : zarr.Array
        Any shape and dtype.
    index : tuple of slice and int
        As numpy takes it, with an ellipsis at most.
    damage : Damage
        Is told of every chunk that cannot be read.

    Returns
    -------
    ndarray or None
        None where no chunk of the array can be read: it is damaged as a whole.
    """
    places = _expanded(index, array.ndim)
    spans = [range(n)[place] if isinstance(place, slice) else range(place, place + 1)
             for place, n in zip(places, array.shape, strict=True)]  # fmt: skip
    lows = [min(span, default=0) for span in spans]
    highs = [max(span, default=-1) + 1 for span in spans]
    block = np.full([b - a for a, b in zip(lows, highs, strict=True)], array.fill_value or 0, array.dtype)
    found, intact = {}, False
    for number, region in _chunks(array, lows, highs):
        try:
            values = np.asarray(array[region])
        except Exception as reason:  # noqa: BLE001 - decoders fail on damaged data in ways of their own
            found[_key(array, number)] = f"{type(reason).__name__}: {reason}"
            continue
        block[tuple(slice(r.start - a, r.stop - a) for r, a in zip(region, lows, strict=True))] = values
        intact = True
    if not (intact or damage.chunks.keys() - found.keys() or _any_readable(array)):
        return None
    damage.chunks.update(found)
    rest = tuple(
        slice(None, None, place.step) if isinstance(place, slice) else 0 for place in places
    )  # the block begins where the first of them lies
    return block[rest]


def missing_chunks(array: Any) -> int:
    """Return how many chunks of a zarr array are not stored; 0 where that cannot be told."""
    try:
        return int(array.nchunks) - int(array.nchunks_initialized)
    except Exception:  # noqa: BLE001 - not every store can be listed
        return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _expanded(index: Any, ndim: int) -> list[Any]:
    """Return an index with one slice or number for each axis."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in parts:
        where = parts.index(Ellipsis)
        parts[where : where + 1] = [slice(None)] * (ndim - len(parts) + 1)
    return [*parts, *[slice(None)] * (ndim - len(parts))]


def _chunks(array: Any, lows: list[int], highs: list[int]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield the number of each chunk that has a part in a box, and that part."""
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
    """Whether some chunk of an array, of a few from all over it, is intact."""
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
