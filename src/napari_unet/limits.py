"""Ranges of plausible values in microscopy: a value outside is a typing error, or has another unit."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError

if TYPE_CHECKING:
    from collections.abc import Sequence

PIXEL_SIZE = (1e-4, 1e3)
"""Micrometres: from a tenth of a nanometre (electron microscopes) to a millimetre."""

DIAMETER = (1.0, 1e4)
"""Pixels across an object."""

MAGNIFICATION = (1 / 64, 16.0)
"""Factor by which an image may be resized for a network."""

TILE = (1, 2**16)
"""Pixels: width of the tiles that may be asked for."""

SHARE = (0.0, 1.0)
"""A part of a whole; where a slider stands."""

MIN_SIZE = (0, 10**9)
"""Pixels that an object has at least."""

MAX_PRINTED = 10.0
"""Micrometres: largest pixel size that is believed if it comes from tags for printers; 10 is about 2500 dpi."""

_DPI = (72, 96, 144, 150, 300, 600)
"""Resolutions of screens and printers, in pixels per inch, that programs write if they know no pixel size."""


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def within(value: object, limits: tuple[float, float]) -> bool:
    """Return whether a value is a number within limits (inclusive, with a tolerance for rounding)."""
    low, high = limits
    return is_number(value) and low * (1 - 1e-6) <= float(value) <= high * (1 + 1e-6)  # type: ignore[arg-type]


def check_choice(value: object, allowed: Sequence[object], what: str) -> None:
    """Raise `UNetError` unless a value is one of a few; `what` is its name, with which the sentence begins."""
    if value not in allowed:
        *others, last = map(repr, allowed)
        raise UNetError(f"{what} is {value!r:.40}; it must be {', '.join(others)} or {last}.")


def in_words(limits: tuple[float, float]) -> str:
    """Return a range as text: ``0.0001 to 1000``."""
    return f"{limits[0]:g} to {limits[1]:g}"


def printed_dpi(y: float, x: float) -> int | None:
    """Return a pixel size (micrometres) in pixels per inch, if that is a usual print resolution; else None."""
    dpi = 25_400 / x
    nearest = round(dpi)
    return nearest if nearest in _DPI and abs(dpi / nearest - 1) < 1e-3 and abs(y / x - 1) < 1e-3 else None


def bytes_in_words(size: float) -> str:
    """Return a number of bytes as text: ``3.2 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB" if size < 1e6 else f"{size:.0e} TB"


def times(shape: Sequence[int]) -> str:
    """Return a shape as text: ``192×256``."""
    return "×".join(str(n) for n in shape)
