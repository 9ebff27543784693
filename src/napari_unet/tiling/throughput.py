"""Throughput of networks on this machine, from which a plan estimates how long it takes.

It is measured on the tiles that are run anyway; in a window the first of them is a small one in the middle of the view.
A tile that is run only to measure would delay that one, and say less: while other programs were busy, a block of 64 x
64 pixels took as long as one of 256 x 256.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.nets.spec import UNetSpec

HALF_LIFE = 20.0
"""Seconds of work after which earlier measurements count half: how busy the machine is changes."""

WARM_UP = 1.0
"""Seconds of work at the beginning that are not counted: libraries start threads and choose algorithms then."""

MIN_SECONDS = 2.0
"""Seconds of work, after the warm-up, before there is an estimate: earlier ones were up to six times off."""

LEAST_PIXELS = 2**14
"""Pixels of a tile below which it is not counted: it tells what a call costs, not a pixel. Data: on one core `nuclei`
read 6, 82, 204, 385 and 629 thousand pixels a second in tiles of 16, 64, 128, 256 and 512 pixels (2026-11-30).
"""


class Throughput:
    """Pixels per second that a network reads, or learns from, by all measurements so far."""

    def __init__(self) -> None:
        self._pixels = self._seconds = self._warming = 0.0

    def note(self, pixels: float, seconds: float) -> None:
        """Add a measurement: so many pixels were done in so many seconds."""
        if self._warming < WARM_UP:
            self._warming += seconds
            return
        fade = 0.5 if self._seconds > HALF_LIFE else 1.0
        self._pixels, self._seconds = fade * self._pixels + pixels, fade * self._seconds + seconds

    @property
    def per_second(self) -> float | None:
        """Pixels per second; None while too little was measured."""
        known = self._pixels and self._seconds and self._seconds >= MIN_SECONDS
        return self._pixels / self._seconds if known else None


@cache
def throughput_of(spec: UNetSpec, device: str, exact: bool, /) -> Throughput:
    """Return the throughput of a network on a device; the weights make no difference.

    There is one object for each combination of arguments, which lives as long as the program. They have no defaults and
    no names, since `functools.cache` takes the same argument given in two ways for two.

    Parameters
    ----------
    spec : UNetSpec
    device : str
        "cpu", "cuda:0", ...
    exact : bool
        Whether it computes in full float32 precision.
    """
    return Throughput()


@cache
def learning_throughput_of(spec: UNetSpec, device: str, /) -> Throughput:
    """Return the throughput of a network that learns on a device: pixels of patches, forward, backward and the rest.

    There is one object for each combination of arguments, as for `throughput_of`.

    Parameters
    ----------
    spec : UNetSpec
    device : str
        "cpu", "cuda:0", ...
    """
    return Throughput()
