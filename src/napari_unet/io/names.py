"""Names that a file may not have on every system."""

from __future__ import annotations

import re

_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[1-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL)


def is_device(name: str) -> bool:
    """Return whether Windows takes a name for a device, as it does "con", "NUL.tif" and "com1".

    See https://learn.microsoft.com/windows/win32/fileio/naming-a-file.
    """
    return _DEVICE.fullmatch(name.strip()) is not None
