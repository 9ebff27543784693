"""What correcting and drawing cost a person, in seconds: the cost model of the simulated annotator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Effort:
    """Seconds that a practised person with a mouse takes.

    Attributes
    ----------
    decide : float
        To see what is wrong and decide what to do: the operator M of the keystroke-level model (Card, Moran and Newell
        1980, "The keystroke-level model for user performance time with interactive systems").
    point : float
        To move the mouse to a position on the screen: its operator P, the mean of what Fitts's law gives.
    press : float
        To press a key or click: its operator K for a good typist.
    speed : float
        Pixels of the image drawn in a second along an outline. Chosen so that drawing a nucleus about 35 pixels wide,
        110 around, takes with `decide`, `point` and `press` the 8.4 s that Englbrecht, Ruider and Bausch 2021
        ("Automatic image annotation for fluorescent cell nuclei segmentation") needed: 6409 nuclei in 15 hours. How
        wide theirs were in pixels is an assumption. A cell 70 pixels wide comes to 14 s; for comparison, a polygon
        around an everyday object takes 79 s (Lin et al. 2014, "Microsoft COCO").
    brush : float
        Width of the brush, pixels.
    view_width : int
        Width of what is seen at once when a field is reviewed, pixels.
    """

    decide: float = 1.35
    point: float = 1.1
    press: float = 0.2
    speed: float = 20.0
    brush: float = 5.0
    view_width: int = 256

    def clicks(self, number: int) -> float:
        """Find a position, and click so often on what is there."""
        return self.decide + number * (self.point + self.press)

    def strokes(self, length: float, number: int = 1) -> float:
        """Find a position, and draw strokes there of a length (pixels) in all."""
        return self.clicks(number) + length / self.speed

    def review(self, shape: tuple[int, ...]) -> float:
        """Look at all of a field (Y, X) and confirm that it is right."""
        views = math.prod(math.ceil(size / self.view_width) for size in shape)
        return views * (self.decide + self.point) + self.press


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of an object (Y, X) that lie at its outline; the border of the field is none."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask, border_value=1))


def length(line: NDArray[np.bool_]) -> int:
    """Return the length of a line one pixel thin (Y, X), in pixels."""
    return int(np.count_nonzero(line))


def brush_length(region: NDArray[Any], width: float) -> float:
    """Return how far a brush goes to fill a region (Y, X): along its middle, or more often where that is wider."""
    from skimage.morphology import skeletonize

    region = region.astype(bool)
    return max(float(np.count_nonzero(skeletonize(region))), np.count_nonzero(region) / width)
