"""The folder in which a work list lies, and what keeps other windows out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import reason, remove
from napari_unet.io.lock import Lock
from napari_unet.projects.description import SUFFIX as PROJECT
from napari_unet.projects.ownership import LOCK
from napari_unet.projects.recovery import Copy, is_copy
from napari_unet.projects.work_list import SUFFIX

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True, eq=False)
class ListPlace:
    """The folder of a list, and what keeps other windows out of it."""

    folder: Path
    copy: Copy | None = None  # of a list that nobody has saved
    lock: Lock | None = None  # of one that somebody has

    def let_go(self) -> None:
        """Unlock it, and leave it as it is."""
        for held in (self.lock, self.copy):
            if held is not None:
                held.release()

    def release(self) -> None:
        """Let go of it: a list that nobody has saved counts as left behind, and one without any work is removed."""
        if self.lock is not None:
            self.lock.release()
        if self.copy is not None:
            if any(self.folder.glob(f"*{PROJECT}")):
                self.copy.release()
            else:
                remove(self.copy.discard())


def claimed(folder: Path) -> ListPlace:
    """Return the folder of a list, which no other window has open.

    Raises
    ------
    FileFormatError
        If another one has, or it cannot be looked into.
    """
    if is_copy(folder):
        copy = Copy.claim(folder)
        if copy is None:
            raise FileFormatError(f"{folder.stem} is gone, or open in another window.")
        return ListPlace(folder, copy=copy)
    try:
        lock = Lock.acquire(folder / LOCK)
    except PermissionError:  # it can be looked at; that nothing can be written is told when something is
        return ListPlace(folder)
    except OSError as error:
        raise FileFormatError(f"{folder} cannot be read: {reason(error)}.") from error
    if lock is None:
        raise FileFormatError(f"{folder.name} is open in another window. Close it there first.")
    return ListPlace(folder, lock=lock)


def begun(name: str) -> ListPlace:
    """Return the folder of a new list, among the recovery copies.

    Raises
    ------
    FileFormatError
        If it cannot be made.
    """
    copy = Copy.begin(name, None)
    return ListPlace(copy.folder / f"{copy.path.stem}{SUFFIX}", copy=copy)
