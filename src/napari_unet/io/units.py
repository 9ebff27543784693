"""Units of length as microscopes, ImageJ, OME and NGFF spell them."""

from __future__ import annotations

import math

_MICROMETRES = {
    "pm": 1e-6,
    "picometer": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "um": 1.0,
    "micron": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "in": 25_400.0,
    "inch": 25_400.0,
    "inches": 25_400.0,
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
}

_NGFF_NAMES = ("picometer", "angstrom", "nanometer", "micrometer", "millimeter", "centimeter", "inch", "meter")


def micrometres(unit: str) -> float | None:
    r"""Return a unit in micrometres; None if it is not a known unit of length (such as "pixel").

    Micro may be written as u, as either of the two Unicode characters, or as ImageJ's escaped ``\u00B5``.
    """
    text = unit.strip().replace("\\u00B5", "u").replace("\\u00b5", "u").replace("\\u00C5", "å")
    text = text.replace("\u00b5", "u").replace("\u03bc", "u").lower()
    value = _MICROMETRES.get(text)
    return value if value is not None else _MICROMETRES.get(text.removesuffix("s"))


def ngff_name(unit: str) -> str:
    """Return a unit of length by the name that OME-Zarr (NGFF) has for it; one that is not known as it is."""
    size = micrometres(unit)
    return next((name for name in _NGFF_NAMES if _MICROMETRES[name] == size), unit)


def length(value: object, unit: str) -> float | None:
    """Return a length in micrometres, or None if it is not a positive number or its unit is not known."""
    factor = micrometres(unit)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    if factor is None or not math.isfinite(number) or number <= 0:
        return None
    size = number * factor
    return size if math.isfinite(size) and size > 0 else None
