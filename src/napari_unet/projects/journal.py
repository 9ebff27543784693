"""A journal of what has changed since a state was written: records that are appended, and played back on opening.

A record holds a block of labels and of what is known of them, as they were at that time, or the models. Of a block the
last record counts. A record that was cut off, and all after it, is ignored: so much was written before the end.
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
"""Pixels across of a block: it is copied in about a millisecond."""

MODELS = "models"
"""Folder, beside the journals, of the models that are named in them."""

MIN_FREE_BYTES = 2**27
"""Bytes that have to be free on the disk: a journal must not be what fills it."""

_HEADER = struct.Struct("<4sIQ16s")
_MAGIC = b"UNJ2"
_MAGICS = {b"UNJ1": 1, _MAGIC: 2}  # version of the format by the first bytes of a record
_MAX_HEAD = 2**24
_NAME = re.compile(r"journal-(\d{1,9})\.bin")

Key = tuple[int, int, int, int]
"""A block: time point, slice, and its row and column among the blocks of the plane."""

BlockSlices = tuple[int, int, slice, slice]
"""A part of a plane: time point, slice, and (Y, X)."""


def blocks_of(shape: tuple[int, ...], frames: slice, z: slice, y: slice, x: slice) -> Iterator[Key]:
    """Yield the blocks that a part of labels of that shape (T, Z, Y, X) lies in."""
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
    """Return what of labels (T, Z, Y, X) a block is; at the end of a plane it is smaller."""
    t, z, row, column = key
    return t, z, slice(row * SIDE, (row + 1) * SIDE), slice(column * SIDE, (column + 1) * SIDE)


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """Copies of a block: labels and prediction, and where it is seen and reviewed, axes (Y, X)."""

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
        """Return a part of it, a view."""
        return Content(self.labels[y, x], self.prediction[y, x], self.seen[y, x], self.reviewed[y, x])

    @property
    def by_user(self) -> bool:
        """Whether something in it is a person's."""
        return bool(self.reviewed.any() or (self.labels != self.prediction).any())

    def packed(self) -> tuple[str, bytes]:
        """Return the type of the labels, and all of it as bytes, which compress well."""
        small = self.labels.dtype.kind in "bui" and (self.labels.dtype.itemsize < 4 or self.labels.dtype == np.int32)
        kind = "<i4" if small else "<i8"
        labels = self.labels.astype(kind)
        same = np.where(labels == self.prediction, 0, self.prediction ^ labels.astype(np.int32)).astype("<i4")
        parts = (labels, labels == self.prediction, same, self.seen, self.reviewed)
        return kind, b"".join(np.packbits(p).tobytes() if p.dtype == bool else p.tobytes() for p in parts)

    @classmethod
    def unpacked(cls, kind: str, data: bytes, shape: tuple[int, int]) -> Content:
        """Return what was packed; see `packed`."""
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
        """Return a hash by which to know it again."""
        found = hashlib.blake2b(digest_size=16)
        for part in (self.labels, self.prediction, self.seen, self.reviewed):
            found.update(np.ascontiguousarray(part, "<i8" if part is self.labels else part.dtype).data)
        return found.digest()


class Journal:
    """A file to which records are appended; it is made with the first.

    Parameters
    ----------
    folder : Path
        Of the copy that it belongs to.
    number : int
        Journals are played back in this order.

    Attributes
    ----------
    size : int
        Bytes.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self.number, self.size = folder, number, 0
        self._file: BufferedRandom | None = None

    def append(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Append a record, whole or not at all.

        Raises
        ------
        OSError, FileFormatError
            If the system does not let it be written, or the disk is about to be full.
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
            with suppress(OSError):  # what comes after a part of a record could not be read
                self._file.truncate(self.size)
                self._file.seek(self.size)
            raise
        self.size += len(record)

    def append_block(self, key: Key, content: Content, about: dict[str, Any]) -> None:
        """Append a block; `about` is noted with it. For errors see `append`."""
        kind, data = content.packed()
        head = {"block": key, "shape": content.labels.shape, "dtype": kind, **about}
        self.append(head, zlib.compress(data, 1))

    def sync(self) -> None:
        """Have all of it on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Take no more."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(slots=True)
class JournalContent:
    """What the journals of a copy say.

    Attributes
    ----------
    blocks : dict
        Where the last record of each block is: file, offset and length of the body, and head.
    state : dict
        The last that was noted of models and settings; empty: nothing.
    """

    blocks: dict[Key, tuple[Path, int, int, dict[str, Any]]] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def apply(self, labels: NDArray[Any], corrections: Corrections) -> None:
        """Write all blocks into labels (T, Z, Y, X), which are wide enough (see `widened`), and what is known of them.

        Raises
        ------
        FileFormatError
            If they are of another image.
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
        """Return labels of a type that the blocks fit into."""
        if labels.dtype.itemsize >= 8 or all(head["dtype"] == "<i4" for *_, head in self.blocks.values()):
            return labels
        wide = spill.zeros(labels.shape, np.int64)
        wide[...] = labels
        return wide


def read_journals(folder: Path, first: int) -> JournalContent:
    """Return what the journals in a folder say, from that number on."""
    journal = JournalContent()
    for number, path in journals(folder):
        if number >= first:
            for head, offset, length in _records(path):
                if "block" in head:
                    t, z, row, column = head["block"]
                    journal.blocks[t, z, row, column] = path, offset, length, head
                    journal.about = head
                else:
                    journal.state = head
    return journal


def journals(folder: Path) -> list[tuple[int, Path]]:
    """Return the journals in a folder with their numbers, in that order."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append((int(match[1]), path))
    return sorted(found)


def _records(path: Path) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield the head of each whole record, and where its body is: offset and length."""
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
