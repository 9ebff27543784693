"""A file that says that something is in a program's hands, for as long as that program lives."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from pathlib import Path


class Lock:
    """A file that is locked until it is let go of, or until the program ends in any way; see `acquire`."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    @classmethod
    def acquire(cls, path: Path) -> Lock | None:
        """Lock a file, which is made if need be; return None if somebody else has locked it, be it in this program.

        Where the file system knows no locks, nobody is taken to have one.

        Raises
        ------
        OSError
            If it cannot be opened; its folder is not made.
        """
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is not there.")
        lock = FileLock(path, thread_local=False)  # whoever lets go of it may be another thread
        try:
            with suppress(NotImplementedError):  # there are no locks
                lock.acquire(timeout=0)
        except Timeout:
            return None
        return cls(lock)

    def release(self) -> None:
        """Let go of it."""
        self._lock.release()
