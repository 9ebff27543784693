"""A file that says that something is in a program's hands, for as long as that program lives."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path


class Lock:
    """A file that is locked until it is let go of, or until the program ends in any way; see `acquire`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @classmethod
    def acquire(cls, path: Path) -> Lock | None:
        """Lock a file, which is made if need be; return None if somebody else has locked it, be it in this program.

        Where the file system knows no locks, nobody is taken to have one.

        Raises
        ------
        OSError
            If it cannot be opened.
        """
        file = path.open("ab")
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            return None
        except OSError:
            pass
        return cls(file)

    def release(self) -> None:
        """Let go of it."""
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
