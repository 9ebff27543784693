"""A small part of an image, on which models are tried: what is in view, or where there is most to be seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.inference.policy import DEFAULT_MODEL_CHOICE, ModelChoicePolicy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.axes import Image

_COLOUR = 0.03
"""Mean difference of the channels of a pixel, as a share of the range of all, above which an image shows colours."""

Lack = Literal["", "no numbers", "some no numbers", "one value"]
"""What is missing in pixels: numbers, in all or some of them, or any difference."""

_SEARCHED = 3
"""Places along Y and X among which the field of an image is looked for, where nobody says which it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A small part of an image, in memory, that models are tried on.

    Attributes
    ----------
    image : Image
        Axes ([Z,] Y, X), with channels where the image has some.
    plane : int
        Slice of it that is looked at.
    channel : int or None
        The channel to segment; None: as the model takes them.
    """

    image: Image
    plane: int = 0
    channel: int | None = None

    @property
    def pixels(self) -> NDArray[Any]:
        """The plane that is looked at, axes (C, Y, X)."""
        return self.image.read(z=slice(self.plane, self.plane + 1))[:, 0]

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to be seen: one value everywhere, or none that is a number."""
        return bool(blankness(self.pixels if self.channel is None else self.pixels[self.channel]))

    @property
    def is_colourful(self) -> bool:
        """Whether there are colours, and not the same grey in three channels."""
        if not self.image.is_colour or self.channel is not None:
            return False
        pixels = self.pixels.astype(np.float32)
        return bool(np.ptp(pixels, axis=0).mean() > _COLOUR * max(float(np.ptp(pixels)), 1e-6))


def blankness(pixels: NDArray[Any]) -> str:
    """Return why there is nothing to be seen in some pixels, in a sentence; empty: there is something."""
    lack = lack_in(pixels)
    if lack == "no numbers":
        return "No pixel in view is a number: look at another slice, or open the image anew."
    if lack == "one value":
        return "All pixels in view have the same value: look at another slice or channel."
    return ""


def numbers_in(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return those of some pixels that are numbers: neither NaN nor infinite."""
    return pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels


def lack_in(pixels: NDArray[Any]) -> Lack:
    """Return what is missing in some pixels; empty: nothing."""
    values = numbers_in(pixels)
    if not values.size:
        return "no numbers"
    if (values == values.flat[0]).all():
        return "one value"
    return "" if values.size == pixels.size else "some no numbers"


def field_of(
    image: Image,
    position: tuple[int, int, float, float] | None = None,
    channel: int | None = None,
    policy: ModelChoicePolicy = DEFAULT_MODEL_CHOICE,
) -> Field:
    """Read the part of an image that models are tried on; its size is bounded, whatever that of the image.

    Parameters
    ----------
    image : Image
    position : tuple, optional
        Time point, slice, and pixel (Y, X) in its middle; None: where there is most contrast, of a few places in the
        middle slice of the first time point.
    channel : int, optional
        The channel to segment.
    policy : ModelChoicePolicy
        Says how large it is.
    """
    width = policy.volume_width if image.is_volume else policy.field_width
    frame, z, *middle = position or (0, image.size("Z") // 2, *_place_of_contrast(image, width, channel))
    depth = min(policy.volume_depth, image.size("Z"))
    first = min(max(0, z - depth // 2), image.size("Z") - depth)
    y, x = (_interval(at, n, width) for at, n in zip(middle, image.space[1:], strict=True))
    block = image.read(frame, slice(first, first + depth), y, x)
    if not image.is_volume:
        block = block[:, 0]
    axes = "CZYX"[-block.ndim :] if image.is_volume else "CYX"
    if "C" not in image.axes:
        block, axes = block[0], axes[1:]
    elif image.axes.endswith("C"):
        block, axes = np.moveaxis(block, 0, -1), f"{axes[1:]}C"
    part = replace(
        image, data=block, axes=axes, source=None, identity=None, placement=None, found_diameter=None,
        found_against=None,
    )  # fmt: skip
    return Field(part, z - first, channel)


def _interval(middle: float, size: int, width: int) -> slice:
    start = min(max(0, round(middle) - width // 2), max(0, size - width))
    return slice(start, min(size, start + width))


def _place_of_contrast(image: Image, width: int, channel: int | None) -> tuple[float, float]:
    """Return the pixel (Y, X) in the middle of that part of the middle slice, of a few, that varies most."""
    z = image.size("Z") // 2
    best, place = -1.0, (image.size("Y") / 2, image.size("X") / 2)
    middles = [
        np.linspace(min(width, n) / 2, n - min(width, n) / 2, _SEARCHED if n > width else 1) for n in image.space[1:]
    ]
    if all(len(along) == 1 for along in middles):
        return place
    for at in [(float(y), float(x)) for y in middles[0] for x in middles[1]]:
        y, x = (_interval(middle, n, width) for middle, n in zip(at, image.space[1:], strict=True))
        pixels = image.read(0, slice(z, z + 1), y, x, None if channel is None else [channel])
        values = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
        contrast = float(np.std(values, dtype=np.float64)) if values.size else 0.0
        if contrast > best:
            best, place = contrast, at
    return place
