"""Whether a device is better off with half precision: tried out on what it is given first, never assumed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.nets.geometry import input_size, valid_margin

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_unet.nets.spec import UNetSpec

    Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]

MAX_MAPS_ERROR = 1e-2
"""Largest difference of the maps up to which the fast mode is taken without being asked for."""

MAX_TIME_RATIO = 0.9
"""Share of the time in full precision below which half precision is worth it."""

FIRST_WIDTH, MIN_SECONDS = 256, 0.02
"""Width, in pixels, of the part that is tried first, and the seconds from which a time says something: a smaller part
keeps a device no busier than launching the network does, whatever the precision."""


def half_pays(
    full: Predict,
    half: Predict,
    block: NDArray[np.float32],
    spec: UNetSpec,
    clock: Callable[[], float] = time.perf_counter,
) -> bool:
    """Return whether half precision gives the same maps up to `MAX_MAPS_ERROR`, clearly sooner.

    Parameters
    ----------
    full, half : callable
        Block (C, [Z,] Y, X) -> maps (K, [Z,] Y, X), in the one precision and in the other.
    block : ndarray of float32, axes (C, [Z,] Y, X)
        Of the image. Parts of it are tried, twice as wide each time.
    spec : UNetSpec
        The network: what sizes it takes.
    clock : callable
        Returns the time, seconds.
    """
    width = FIRST_WIDTH
    while True:
        part = _part(block, spec, width)
        difference = np.abs(full(part) - half(part)).max()  # the first calls also prepare the device
        if not difference <= MAX_MAPS_ERROR:  # or is no number
            return False
        seconds = [_seconds(predict, part, clock) for predict in (full, half)]
        if seconds[0] >= MIN_SECONDS or part.shape == block.shape:
            return seconds[1] < MAX_TIME_RATIO * seconds[0]
        width *= 2


def _part(block: NDArray[np.float32], spec: UNetSpec, width: int) -> NDArray[np.float32]:
    """Return a corner of a block about so wide, of a size that the network takes."""
    sizes = []
    for axis, (n, lost) in enumerate(zip(block.shape[1:], valid_margin(spec), strict=True)):
        sizes.append(min(n, input_size(spec, max(1, width - 2 * lost), axis)))
    return block[(slice(None), *(slice(0, size) for size in sizes))]


def _seconds(predict: Predict, part: NDArray[np.float32], clock: Callable[[], float]) -> float:
    begin = clock()
    predict(part)
    return clock() - begin
