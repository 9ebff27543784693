"""How fast networks read pixels here, so that a plan can say how long it takes.

Known from the tiles that were really run, the first of which, in a window, is a small one in the middle of the view. A
tile run for the sake of measuring would come before that one, and tell less: beside other programs, a block of 64x64
pixels was seen to take as long as one of 256x256.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.nets.spec import UNetSpec

HALF_LIFE = 20.0
"""Seconds of work after which what came before counts half: other programs come and go."""

WARM_UP = 1.0
"""Seconds of work that are not counted, at the beginning: libraries start their threads and choose their ways then."""

MIN_SECONDS = 2.0
"""Seconds of work after those from which on something is said: what is told earlier was seen to be six times off."""


class Pace:
    """Pixels read, and the seconds that took."""

    def __init__(self) -> None:
        self._pixels = self._seconds = self._warming = 0.0

    def note(self, pixels: float, seconds: float) -> None:
        """Take note of what was done just now."""
        if self._warming < WARM_UP:
            self._warming += seconds
            return
        fade = 0.5 if self._seconds > HALF_LIFE else 1.0
        self._pixels, self._seconds = fade * self._pixels + pixels, fade * self._seconds + seconds

    @property
    def per_second(self) -> float | None:
        """Pixels read per second; None before so much was done that it can be told."""
        known = self._pixels and self._seconds and self._seconds >= MIN_SECONDS
        return self._pixels / self._seconds if known else None


@cache
def pace_of(spec: UNetSpec, device: str, exact: bool = True) -> Pace:
    """Return the pace of a network on a device, one for the life of the program; the weights make no difference.

    Parameters
    ----------
    spec : UNetSpec
    device : str
        "cpu", "cuda:0", ...
    exact : bool
        Whether it computes with all 24 bits of a number.
    """
    return Pace()
