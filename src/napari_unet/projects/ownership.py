"""Which program a saved project belongs to while it is open, and whether another one has saved it meanwhile.

A project folder has a lock file, which is locked as long as a program has the project open to save it. Without the
lock a project can be opened and saved elsewhere, and is not overwritten.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from napari_unet.errors import FileFormatError
from napari_unet.io.lock import Lock
from napari_unet.projects.description import FILE, read_description

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "in-use.lock"
"""Name of the lock file in the folder of a project, recovery copy or list. It stays, and says nothing by itself."""


class Ownership:
    """A project that this program has open.

    Parameters
    ----------
    path : Path
        Its folder.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: Lock | None = None
        self._unlockable = False
        self._state = state_of(path)

    def claim(self) -> bool:
        """Own it from now on, unless another program, or another session of this one, does; return whether we do.

        Where no lock file can be made (there is no project yet, or it may not be written), nobody owns it.
        """
        if self._lock is None and not self._unlockable:
            try:
                self._unlockable = not (self.path / FILE).is_file()
                self._lock = None if self._unlockable else Lock.acquire(self.path / LOCK)
            except OSError:
                self._unlockable = True
        return self.owned

    @property
    def owned(self) -> bool:
        """Whether nobody else may save it."""
        return self._lock is not None or self._unlockable

    def check(self) -> None:
        """Raise `FileFormatError` if saving it now would overwrite what somebody else works on, or has saved since."""
        name = self.path.name
        if not self.claim():
            raise FileFormatError(f"{name} is open in another window. Choose Save as… to keep your changes.")
        now = state_of(self.path)
        if now and self._state and now != self._state:
            raise FileFormatError(f"{name} was saved in another window since. Choose Save as… to keep your changes.")

    def saved(self) -> None:
        """Take note that this program has saved it."""
        self._state, self._unlockable = state_of(self.path), False
        self.claim()

    def release(self) -> None:
        """Own it no longer."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


def state_of(path: Path) -> str:
    """Return when a project was saved, and the name of its state, by which to recognise it; "": it cannot be read."""
    with suppress(FileFormatError):
        said = read_description(path)
        return f"{said.saved} {said.state}"
    return ""
