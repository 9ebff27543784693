"""Removes copies of unsaved work that are not needed any more, in the background."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_unet.io.atomic import remove
from napari_unet.layers.jobs import Job, Runner, ignore, once

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.projects.recovery import Copy


class OldCopies:
    """Copies to be removed, as soon as no worker may write into one of them.

    Parameters
    ----------
    runner : Runner
        Where they are removed.

    Attributes
    ----------
    workers : int
        How many workers write copies, those among them that were told to stop.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.workers = 0
        self._copies: list[Copy] = []

    def worker_ended(self) -> None:
        """Count one worker less."""
        self.workers -= 1
        self._sweep()

    def discard(self, copy: Copy | None) -> None:
        """Let go of a copy for good."""
        if copy is not None:
            self._copies.append(copy)
            self._sweep()

    def remove(self, folders: Sequence[Path]) -> None:
        """Remove folders that nobody finds any more; what is left of them goes the next time."""
        if folders:
            self._runner.start(Job("Tidy up"), once(partial(_remove, folders)), ignore, ignore, ignore)

    def close(self) -> None:
        """Have the copies that are left found by nobody."""
        for copy in self._copies:
            copy.discard()

    def _sweep(self) -> None:
        if not self.workers:
            copies, self._copies = self._copies, []
            self.remove([copy.discard() for copy in copies])


def _remove(folders: Sequence[Path]) -> None:
    for folder in folders:
        remove(folder)
