"""A journal of what has changed since a state was saved: records are appended to a file, and read on opening.

A record holds either a block of labels and corrections, as they were when it was written, or the list of models. The
last record of a block counts. A record that is incomplete, because the program was killed, ends the journal.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import weakref
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import FileFormatError
from napari_unet.io import spill
from napari_unet.io.renamed import up_to_date
from napari_unet.projects.description import RENAMED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.corrections.corrections import Corrections

SIDE = 512
"""Width and height of a block in pixels: copying one takes about a millisecond."""

MODELS = "models"
"""Folder, beside the journals, with the model files that they name."""

MIN_FREE_BYTES = 2**27
"""Bytes that have to stay free on the disk: a journal must not fill it."""

_HEADER = struct.Struct("<4sIQ16s")
_MAGIC = b"UNJ2"
_MAGICS = {b"UNJ1": 1, _MAGIC: 2}  # version of the format by the first bytes of a record
_MAX_HEAD = 2**24
_NAME = re.compile(r"journal-(\d{1,9})\.bin")

Key = tuple[int, int, int, int]
"""Time point and slice of a block, and its row and column in the grid of blocks of that plane."""

BlockSlices = tuple[int, int, slice, slice]
"""Index of a block in an array (T, Z, Y, X)."""


def blocks_of(shape: tuple[int, ...], frames: slice, z: slice, y: slice, x: slice) -> Iterator[Key]:
    """Yield the blocks that a region touches of labels of that shape (T, Z, Y, X)."""
    rows, columns = (
        range(max(0, part.start) // SIDE, -(-min(part.stop, n) // SIDE))
        for part, n in zip((y, x), shape[2:], strict=True)
    )
    for t in range(*frames.indices(shape[0])):
        for d in range(*z.indices(shape[1])):
            for row in rows:
                for column in columns:
                    yield t, d, row, column


def block_slices(key: Key) -> BlockSlices:
    """Return the index of a block in labels (T, Z, Y, X); at the border of a plane it holds less than `SIDE` pixels."""
    t, z, row, column = key
    return t, z, slice(row * SIDE, (row + 1) * SIDE), slice(column * SIDE, (column + 1) * SIDE)


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """A block (Y, X), copied: labels, prediction, and which pixels are seen and reviewed (see `Corrections`)."""

    labels: NDArray[Any]
    prediction: NDArray[np.int32]
    seen: NDArray[np.bool_]
    reviewed: NDArray[np.bool_]

    @classmethod
    def of(cls, key: Key, labels: NDArray[Any], corrections: Corrections) -> Content:
        """Copy a block of labels (T, Z, Y, X)."""
        arrays = (labels, corrections.prediction, corrections.seen, corrections.reviewed)
        part = block_slices(key)
        return cls(*(np.array(array[part]) for array in arrays))

    def part(self, y: slice, x: slice) -> Content:
        """Return a view of a part of it."""
        return Content(self.labels[y, x], self.prediction[y, x], self.seen[y, x], self.reviewed[y, x])

    @property
    def by_user(self) -> bool:
        """Whether it holds work of the user: corrected or reviewed pixels."""
        return bool(self.reviewed.any() or (self.labels != self.prediction).any())

    def packed(self) -> tuple[str, bytes]:
        """Return the dtype of the stored labels, and the whole block as bytes that compress well."""
        small = self.labels.dtype.kind in "bui" and (self.labels.dtype.itemsize < 4 or self.labels.dtype == np.int32)
        kind = "<i4" if small else "<i8"
        labels = self.labels.astype(kind)
        same = np.where(labels == self.prediction, 0, self.prediction ^ labels.astype(np.int32)).astype("<i4")
        parts = (labels, labels == self.prediction, same, self.seen, self.reviewed)
        return kind, b"".join(np.packbits(p).tobytes() if p.dtype == bool else p.tobytes() for p in parts)

    @classmethod
    def unpacked(cls, kind: str, data: bytes, shape: tuple[int, int]) -> Content:
        """Return the block that `packed` returned as bytes."""
        n = shape[0] * shape[1]
        offset = 0

        def values(dtype: str) -> NDArray[Any]:
            nonlocal offset
            found = np.frombuffer(data, dtype, n, offset).reshape(shape)
            offset += found.nbytes
            return found

        def bits() -> NDArray[np.bool_]:
            nonlocal offset
            size = -(-n // 8)
            found = np.unpackbits(np.frombuffer(data, np.uint8, size, offset), count=n).reshape(shape).astype(bool)
            offset += size
            return found

        labels, same, other, seen, reviewed = values(kind), bits(), values("<i4"), bits(), bits()
        low = labels.astype(np.int32)
        prediction = np.where(same, low, low ^ other).astype(np.int32)
        return cls(labels, prediction, seen, reviewed)

    def digest(self) -> bytes:
        """Return a hash of its content, which does not depend on the dtype of the labels."""
        found = hashlib.blake2b(digest_size=16)
        for part in (self.labels, self.prediction, self.seen, self.reviewed):
            found.update(np.ascontiguousarray(part, "<i8" if part is self.labels else part.dtype).data)
        return found.digest()


class Journal:
    """A file to which records are appended; it is created with the first one.

    Parameters
    ----------
    folder : Path
        Of the recovery copy that it belongs to.
    number : int
        Of the journal; journals are read in this order.

    Attributes
    ----------
    size : int
        Bytes.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self.number, self.size = folder, number, 0
        self._file: BufferedRandom | None = None

    def append(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Append a record; on failure nothing is appended.

        Parameters
        ----------
        head : dict
            JSON values.
        body : bytes

        Raises
        ------
        OSError, FileFormatError
            If it cannot be written, or the disk is almost full.
        """
        text = json.dumps(head, separators=(",", ":")).encode()
        if shutil.disk_usage(self._folder).free < MIN_FREE_BYTES + len(body):
            raise FileFormatError("the disk is full")
        if self._file is None:
            self._file = (self._folder / f"journal-{self.number}.bin").open("w+b")
            weakref.finalize(self, self._file.close)
        record = _HEADER.pack(_MAGIC, len(text), len(body), _checksum(text, body)) + text + body
        try:
            self._file.write(record)
            self._file.flush()
        except OSError:
            with suppress(OSError):  # records after an incomplete one could not be read
                self._file.truncate(self.size)
                self._file.seek(self.size)
            raise
        self.size += len(record)

    def append_block(self, key: Key, content: Content, about: dict[str, Any]) -> None:
        """Append a block, with `about` added to the head of its record; for errors see `append`."""
        kind, data = content.packed()
        head = {"block": key, "shape": content.labels.shape, "dtype": kind, **about}
        self.append(head, zlib.compress(data, 1))

    def sync(self) -> None:
        """Flush it to the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Close the file, and remove it."""
        self.close()
        with suppress(OSError):
            (self._folder / f"journal-{self.number}.bin").unlink()


@dataclass(slots=True)
class JournalContent:
    """What the journals of a recovery copy hold.

    Attributes
    ----------
    blocks : dict
        For each block its last record: file, offset and length of the body, and head.
    state : dict
        The last list of models, as in `description.JournalModels`; empty: there is none.
    about : dict
        Head of the last record of a block: settings of the corrections.
    """

    blocks: dict[Key, tuple[Path, int, int, dict[str, Any]]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def apply(self, labels: NDArray[Any], corrections: Corrections) -> None:
        """Write all blocks into corrections and labels (T, Z, Y, X); for the dtype of these see `widened`.

        Raises
        ------
        FileFormatError
            If they do not fit the image.
        """
        targets = (labels, corrections.prediction, corrections.seen, corrections.reviewed)
        for key, (path, offset, length, head) in self.blocks.items():
            part = block_slices(key)
            shape = tuple(head["shape"])
            if any(n >= size for n, size in zip(key[:2], labels.shape, strict=False)) or labels[part].shape != shape:
                raise FileFormatError(f"{path} is not of this image.")
            with path.open("rb") as file:
                file.seek(offset)
                content = Content.unpacked(head["dtype"], zlib.decompress(file.read(length)), shape)
            for target, values in zip(
                targets, (content.labels, content.prediction, content.seen, content.reviewed), strict=True
            ):
                target[part] = values
        corrections.last_id = max(corrections.last_id, int(self.about.get("last_id", 0)))
        corrections.zero_is_background = bool(self.about.get("zero_is_background", corrections.zero_is_background))

    def widened(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels with a dtype that holds those of all blocks: the same array, or an int64 copy."""
        if labels.dtype.itemsize >= 8 or all(head["dtype"] == "<i4" for *_, head in self.blocks.values()):
            return labels
        wide = spill.zeros(labels.shape, np.int64)
        wide[...] = labels
        return wide


def read_journals(folder: Path, first: int) -> JournalContent:
    """Return the content of the journals in a folder whose number is `first` or larger."""
    content = JournalContent()
    for number, path in journals(folder):
        if number >= first:
            for head, offset, length in _records(path):
                if "block" in head:
                    t, z, row, column = head["block"]
                    content.blocks[t, z, row, column] = path, offset, length, head
                    content.about = head
                else:
                    content.state = head
    return content


def journals(folder: Path) -> list[tuple[int, Path]]:
    """Return number and path of the journals in a folder, in the order of the numbers."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append((int(match[1]), path))
    return sorted(found)


def _records(path: Path) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield the head of each complete record, and offset and length of its body."""
    with suppress(OSError), path.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        while True:
            start = file.read(_HEADER.size)
            if len(start) < _HEADER.size:
                return
            magic, n_text, n_body, checksum = _HEADER.unpack(start)
            offset = file.tell() + n_text
            if magic not in _MAGICS or n_text > _MAX_HEAD or offset + n_body > total:
                return
            text, body = file.read(n_text), file.read(n_body)
            if _checksum(text, body) != checksum:
                return
            yield up_to_date(json.loads(text), _MAGICS[magic], RENAMED), offset, n_body


def _checksum(text: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16, key=hashlib.blake2b(text, digest_size=32).digest()).digest()
