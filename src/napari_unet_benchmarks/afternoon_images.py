"""The images of the afternoon, cut from phase-contrast fields: which are corrected, and which are reported on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_unet_benchmarks.object_errors import true_pieces

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "cells_phase_t98g"


@dataclass(frozen=True, slots=True)
class Case:
    """Which images, and which model is not there.

    Attributes
    ----------
    corrected, reported : tuple of str
        Fields that images are cut from.
    width : int
        Of an image, pixels.
    places : int
        Images cut along each side of a field.
    without : tuple of str
        Names of models that are left out.
    number : int
        Images in all.
    """

    corrected: tuple[str, ...]
    reported: tuple[str, ...]
    width: int
    places: int
    without: tuple[str, ...] = ()
    number: int = 20


KNOW_THEM = ("cells", "cells_phase")
"""Models that have learned from fields of these cells."""

CASES = {
    "known": Case(("06",), ("23", "37"), 340, 3),
    "new": Case(("06", "14"), ("23", "28", "37"), 384, 2, without=KNOW_THEM),
    "try": Case(("01",), ("12",), 384, 2, without=KNOW_THEM, number=4),
}


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An image of the afternoon, its true objects, and whether somebody corrects it."""

    name: str
    image: NDArray[Any]
    truth: NDArray[np.int32]
    is_reported: bool


def cut(data: Path, case: Case) -> list[Shown]:
    """Return the images of a case, those that are corrected first."""
    found: dict[str, list[Shown]] = {}
    for field in (*case.corrected, *case.reported):
        image = tifffile.imread(data / FOLDER / "images" / f"{field}.tif")
        truth = tifffile.imread(data / FOLDER / "labels" / f"{field}.tif")
        starts = [np.linspace(0, size - case.width, case.places).astype(int) for size in truth.shape]
        places = [(slice(y, y + case.width), slice(x, x + case.width)) for y in starts[0] for x in starts[1]]
        found[field] = [
            Shown(f"{field}_{n}", image[place], true_pieces(truth[place]), field in case.reported)
            for n, place in enumerate(places)
        ]
    per_field = -(-case.number // len(found))
    images = [shown for each in found.values() for shown in each[:per_field]]
    return images[: case.number]
