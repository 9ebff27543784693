"""Does what is slow the first time, before somebody waits for it."""

from __future__ import annotations

import numpy as np

from napari_unet.axes import Image
from napari_unet.inference.diameter import find_diameter
from napari_unet.inference.in_memory import segment
from napari_unet.models.store import DEFAULT_MODEL, load_ahead

PERIOD, WIDTH = 32, 128
"""Pixels from disc to disc, and in all."""


def warm_up() -> None:
    """Load the model that is taken where none is chosen, and have it find some discs.

    The first convolution, and the first search for objects, load libraries and take several times as long as others.

    Raises
    ------
    UNetError
        If the model cannot be loaded.
    """
    model = load_ahead(DEFAULT_MODEL)
    wave = np.sin(np.arange(WIDTH) * 2 * np.pi / PERIOD)
    discs = Image(np.maximum(wave[:, None] * wave, 0).astype(np.float32), "YX")
    find_diameter(discs, model, device="cpu")
    segment(discs, model, device="cpu")
