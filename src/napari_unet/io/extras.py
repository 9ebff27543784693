"""Optional libraries, and what to say where they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from napari_unet.errors import FileFormatError


def required(module: str, extra: str, lead: str) -> Any:
    """Return an optional module.

    Parameters
    ----------
    module : str
        Its name.
    extra : str
        The extra of this program that installs it.
    lead : str
        What the message begins with: for what it is needed.

    Raises
    ------
    FileFormatError
        If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise FileFormatError(f'{lead}: pip install "napari-unet-interactive[{extra}]".', str(error)) from error
