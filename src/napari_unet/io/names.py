"""Names that a file may not have on every system, and the order in which people sort names."""

from __future__ import annotations

import re

_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[1-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which names are sorted as people do: runs of digits count as numbers, so that 2 is before 10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def is_device(name: str) -> bool:
    """Return whether Windows takes a name for a device, as it does "con", "NUL.tif" and "com1".

    See https://learn.microsoft.com/windows/win32/fileio/naming-a-file.
    """
    return _DEVICE.fullmatch(name.strip()) is not None
