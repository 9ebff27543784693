"""Size and time of a file, by which to notice that it was written to while it was read; and a hash of its contents."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import reason

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the file system says about a file, or about all files in a folder, without reading them.

    Attributes
    ----------
    path : Path
    modified_ns : int
        When any of them was last written: nanoseconds since 1970.
    size_bytes : int
        Of all together.
    n_files : int
    """

    path: Path
    modified_ns: int
    size_bytes: int
    n_files: int

    @classmethod
    def of(cls, path: Path) -> Fingerprint:
        """Return the fingerprint of a file, or of a folder such as a zarr.

        Raises
        ------
        FileFormatError
            If it is gone.
        """
        try:
            found = [os.stat(path)] if not path.is_dir() else [
                os.stat(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names
            ]  # fmt: skip
        except OSError as error:
            raise FileFormatError(f"{path.name} is no longer there ({path}).") from error
        return cls(path, max((s.st_mtime_ns for s in found), default=0), sum(s.st_size for s in found), len(found))

    def check(self) -> None:
        """Check that it is the same now.

        Raises
        ------
        FileFormatError
            If the file was written to, or is gone.
        """
        try:
            same = Fingerprint.of(self.path) == self
        except FileFormatError:
            raise FileFormatError(
                f"{self.path.name} disappeared while it was segmented. Segment it again when it is back."
            ) from None
        if not same:
            raise FileFormatError(
                f"{self.path.name} changed while it was segmented, so that the result is of two images. "
                "Segment it again when it is finished."
            )


def contents_sha256(path: Path) -> str:
    """Return a SHA-256 of a file, or of all files in a folder such as a zarr with their names.

    Files in a folder that cannot be read, as a damaged chunk may be, count by their names.

    Raises
    ------
    FileFormatError
        If it is gone, or is a file that cannot be read.
    """
    try:
        if not path.is_dir():
            return _file_sha256(path)
        files = sorted(Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    except FileNotFoundError:
        raise FileFormatError(f"{path.name} is no longer there ({path}).") from None
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read: {reason(error)}.") from error
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
        with suppress(OSError):
            digest.update(_file_sha256(file).encode())
    return digest.hexdigest()


def joined_digest(digests: Iterable[str]) -> str:
    """Return one SHA-256 of several."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Watched:
    """A file and its fingerprint, taken now, in another thread: for a folder of many files it takes a while.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        with_one = ThreadPoolExecutor(1, thread_name_prefix="fingerprint")
        self._taken = with_one.submit(Fingerprint.of, path)
        with_one.shutdown(wait=False)

    @property
    def before(self) -> Fingerprint:
        """The fingerprint of the time when this object was made."""
        return self._taken.result()
