"""The colours of results: few, far apart for everybody, and the same from image to image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.utils.colormaps import CyclicLabelColormap
    from numpy.typing import NDArray

COLOURS = ("#ff2060", "#409f9f", "#8060df", "#608000", "#bf6080", "#9f80ff", "#bfff80")
"""Found among colours of a contrast to black of 4.5 and more, away from those of the overlay, as those that differ most
from each other (CIEDE2000, 10.6 at least) for people who see all colours and for those who lack one kind of cone
(Machado et al. 2009)."""

NAME = "objects"
"""Of every colormap made here."""


def object_colours(numbers: NDArray[np.uint8] | None = None) -> CyclicLabelColormap:
    """Return the colours whose numbers are told, for ids 1, 2, ... and from the first on again; None: each in turn."""
    from napari.utils.colormaps import CyclicLabelColormap

    rgba = np.array([[*(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1] for code in COLOURS], np.float32)
    table = np.concatenate([np.zeros((1, 4), np.float32), rgba if numbers is None else rgba[numbers]])
    return CyclicLabelColormap(name=NAME, display_name=NAME, colors=table)
