"""A lock file: it says that a program is using something, as long as that program runs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from pathlib import Path


class Lock:
    """A file that stays locked until `release`, or until the program ends, however it ends; see `acquire`."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    @classmethod
    def acquire(cls, path: Path) -> Lock | None:
        """Lock a file, which is created if need be; None: it is locked already, perhaps by this program.

        On a file system without locks, it counts as not locked.

        Raises
        ------
        OSError
            If it cannot be opened; its folder is not created.
        """
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is not there.")
        lock = FileLock(path, thread_local=False)  # another thread may release it
        try:
            with suppress(NotImplementedError):  # the file system has no locks
                lock.acquire(timeout=0)
        except Timeout:
            return None
        return cls(lock)

    def release(self) -> None:
        """Unlock it."""
        self._lock.release()
