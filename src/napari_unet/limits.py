"""Ranges in which the numbers of microscopy lie: what is outside was mistyped, or means something else."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PIXEL_SIZE = (1e-4, 1e3)
"""Micrometres: from a tenth of a nanometre (electron microscopes) to a millimetre."""

DIAMETER = (1.0, 1e4)
"""Pixels across an object."""

MAGNIFICATION = (1 / 64, 16.0)
"""How many times as large a network may see an image as it is."""

MAX_PRINTED = 10.0
"""Micrometres: tags that are meant for printers count as a pixel size only up to that; 10 is about 2500 dpi."""

_DPI = (72, 96, 144, 150, 300, 600)
"""Resolutions of screens and printers, pixels per inch, that programs write for lack of a pixel size."""


def is_number(value: object) -> bool:
    """Whether it is a finite real number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def within(value: object, limits: tuple[float, float]) -> bool:
    """Whether it is a number from the one limit to the other; limits count, with what rounding does to them."""
    low, high = limits
    return is_number(value) and low * (1 - 1e-6) <= float(value) <= high * (1 + 1e-6)  # type: ignore[arg-type]


def in_words(limits: tuple[float, float]) -> str:
    """Return a range as one writes it: ``0.0001 to 1000``."""
    return f"{limits[0]:g} to {limits[1]:g}"


def printed_dpi(y: float, x: float) -> int | None:
    """Return the pixels per inch that a pixel size (micrometres) comes to, if it is a usual one of print; else None."""
    dpi = 25_400 / x
    nearest = round(dpi)
    return nearest if nearest in _DPI and abs(dpi / nearest - 1) < 1e-3 and abs(y / x - 1) < 1e-3 else None


def bytes_in_words(size: float) -> str:
    """Return a number of bytes as one writes it: ``3.2 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB" if size < 1e6 else f"{size:.0e} TB"


def times(shape: Sequence[int]) -> str:
    """Return a shape as one writes it: ``192×256``."""
    return "×".join(str(n) for n in shape)
