"""Changes of the labels that have to wait: for the end of a brush stroke, or until the labels are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class DeferredChanges:
    """Changes that are made when the brush stroke under way has ended, or the labels are saved.

    Attributes
    ----------
    stroke : bool
        Whether a brush stroke is under way.
    """

    def __init__(self) -> None:
        self.stroke = False
        self._holds = 0
        self._changes: list[Callable[[], None]] = []

    def defer(self, change: Callable[[], None], *, everywhere: bool = False) -> bool:
        """Have a change wait, if it has to; return whether it does.

        Parameters
        ----------
        change : callable
            Makes it; called when the time has come.
        everywhere : bool
            Whether it changes labels in all planes, which must not be while they are saved.
        """
        waits = self.stroke or (everywhere and self.held)
        if waits:
            self._changes.append(change)
        return waits

    @property
    def held(self) -> bool:
        """Whether the labels are being saved or copied, plane by plane."""
        return self._holds > 0

    def end_stroke(self) -> None:
        """Note that the stroke has ended, and make the changes that have waited."""
        self.stroke = False
        self._catch_up()

    def hold(self, held: bool) -> None:
        """Note that labels begin to be saved or copied, or that they are; several may at a time."""
        self._holds = max(0, self._holds + (1 if held else -1))
        if not (self.held or self.stroke):
            self._catch_up()

    def _catch_up(self) -> None:
        changes, self._changes = self._changes, []
        for change in changes:
            change()
