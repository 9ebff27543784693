"""Whether half precision is faster on a device and as accurate: measured on the first block, never assumed."""

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
"""Largest difference of two maps (probabilities, 0..1) that counts as no difference."""

MAX_TIME_RATIO = 0.9
"""Half precision is used if it takes less than this share of the time of full precision."""

FIRST_WIDTH, MIN_SECONDS = 256, 0.02
"""Width, in pixels, of the part that is tried first, and the shortest time, in seconds, that is compared: on a part
that takes less, most of the time goes into starting the network, whatever the precision."""


def half_pays(
    full: Predict,
    half: Predict,
    block: NDArray[np.float32],
    spec: UNetSpec,
    clock: Callable[[], float] = time.perf_counter,
) -> bool:
    """Return whether half precision gives the same maps up to `MAX_MAPS_ERROR`, and is clearly faster.

    Parameters
    ----------
    full, half : callable
        Block (C, [Z,] Y, X) -> maps (K, [Z,] Y, X), in full and in half precision.
    block : ndarray of float32, axes (C, [Z,] Y, X)
        A block of the image. Larger and larger parts of it are tried, twice as wide each time.
    spec : UNetSpec
        The network; says which sizes it accepts.
    clock : callable
        Returns the time, seconds.
    """
    width = FIRST_WIDTH
    while True:
        part = _part(block, spec, width)
        difference = np.abs(full(part) - half(part)).max()  # the first calls also prepare the device
        if not difference <= MAX_MAPS_ERROR:  # or it is not a number
            return False
        seconds = [_seconds(predict, part, clock) for predict in (full, half)]
        if seconds[0] >= MIN_SECONDS or part.shape == block.shape:
            return seconds[1] < MAX_TIME_RATIO * seconds[0]
        width *= 2


def _part(block: NDArray[np.float32], spec: UNetSpec, width: int) -> NDArray[np.float32]:
    """Return a corner of a block about so wide, of a size that the network accepts."""
    sizes = []
    for axis, (n, lost) in enumerate(zip(block.shape[1:], valid_margin(spec), strict=True)):
        sizes.append(min(n, input_size(spec, max(1, width - 2 * lost), axis)))
    return block[(slice(None), *(slice(0, size) for size in sizes))]


def _seconds(predict: Predict, part: NDArray[np.float32], clock: Callable[[], float]) -> float:
    begin = clock()
    predict(part)
    return clock() - begin
