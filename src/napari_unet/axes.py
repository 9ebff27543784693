"""Named axes and pixel sizes: the one place where arrays are transposed.

Inside the program arrays are in the order C, Z, Y, X, one time point after the other. Images come in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CANONICAL = "TCZYX"
"""Every axis letter that is known: time, channel, depth, height, width."""

_ALIASES = {"S": "C"}  # tifffile's name for the samples of a colour pixel


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Size of a pixel in micrometres along Y, X and (None: not known, or 2D) Z."""

    y: float
    x: float
    z: float | None = None

    def __post_init__(self) -> None:
        for name in ("z", "y", "x"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ImageError(
                    f"The pixel size along {name.upper()} is {value}; it must be a positive number of micrometres."
                )

    @classmethod
    def from_sequence(cls, values: Sequence[float]) -> PixelSize:
        """Return the pixel size from one (Y = X), two (Y, X) or three (Z, Y, X) numbers in micrometres."""
        if len(values) == 1:
            return cls(y=values[0], x=values[0])
        if len(values) == 2:
            return cls(y=values[0], x=values[1])
        if len(values) == 3:
            return cls(z=values[0], y=values[1], x=values[2])
        raise ImageError(f"A pixel size has one, two (Y,X) or three (Z,Y,X) numbers; got {len(values)}.")

    def along(self, letter: str) -> float | None:
        """Return the size along "Z", "Y" or "X"."""
        return {"Z": self.z, "Y": self.y, "X": self.x}[letter]


def guess_axes(shape: tuple[int, ...], rgb: bool = False) -> str:
    """Return the likely axes of an array, one letter for each dimension.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    rgb : bool
        Whether the last axis holds the 3 or 4 colours of a pixel.

    Raises
    ------
    ImageError
        If the array has less than two or more than five axes.
    """
    space = shape[:-1] if rgb else shape
    guesses = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}
    if len(space) not in guesses or len(shape) > 5:
        raise ImageError(
            "An image has two to five axes (time, channel, depth, height, width); "
            f"got {len(shape)} axes with the shape {shape}."
        )
    return guesses[len(space)] + ("C" if rgb else "")


def normalize_axes(axes: str, shape: tuple[int, ...]) -> str:
    """Return `axes` in capital letters with aliases resolved, after checking that they fit the shape.

    Raises
    ------
    ImageError
        If a letter is unknown or doubled, Y or X is missing, or the number of letters is not that of the axes.
    """
    letters = "".join(_ALIASES.get(letter, letter) for letter in axes.upper())
    unknown = sorted(set(letters) - set(CANONICAL))
    if unknown:
        raise ImageError(f"The axes {axes!r} have the unknown letter {unknown[0]!r}; known are T, C, Z, Y and X.")
    if len(set(letters)) != len(letters):
        raise ImageError(f"The axes {axes!r} name an axis twice.")
    if "Y" not in letters or "X" not in letters:
        raise ImageError(f"The axes {axes!r} lack Y or X; an image has both.")
    if len(letters) != len(shape):
        raise ImageError(
            f"The axes {axes!r} have {len(letters)} letters, but the image has {len(shape)} axes (shape {shape}); "
            f"for example {guess_axes(shape)!r}."
            if 2 <= len(shape) <= 5
            else f"The axes {axes!r} have {len(letters)} letters, but the image has {len(shape)} axes (shape {shape})."
        )
    return letters


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image of any size, in memory or not, with the meaning of its axes.

    Attributes
    ----------
    data : array-like (numpy, dask or zarr)
        Pixels, in the order of `axes`.
    axes : str
        One letter for each axis, of T, C, Z, Y and X in any order.
    pixel_size : PixelSize or None
        Micrometres; None: not known.
    channel_names : tuple of str
        May be empty.
    name : str
        For messages.
    damage : object, optional
        Tells, by ``str()``, what of the image could not be read so far and counts as empty ("" for nothing).
    source : Path, optional
        The file or folder that pixels are read from whenever they are asked for; None: they are in memory.
    diameter : float, optional
        Typical diameter, in pixels, of the objects to be found in it, as somebody said; None: not known.
    found_diameter : float, optional
        The same as it was found on the image (`sizing`); taken where nothing else is known of its scale.
    found_against : float, optional
        The diameter that the model which found it is used to, and which does not hold for this image; None: that model
        was used to none.
    notes : tuple of str
        What its user should know of how it was read, a sentence each: what was left out, or not believed.
    identity : hashable, optional
        Tells its pixels from those of other images, where `data` is derived anew at each look; None: `data` itself.

    Raises
    ------
    ImageError
        On making it, if the axes do not fit, an axis is empty, the pixels are not real numbers, or the diameter is not
        a positive one.
    """

    data: Any
    axes: str
    pixel_size: PixelSize | None = None
    channel_names: tuple[str, ...] = ()
    name: str = "image"
    damage: object = None
    source: Path | None = None
    diameter: float | None = None
    found_diameter: float | None = None
    found_against: float | None = None
    notes: tuple[str, ...] = ()
    identity: Hashable | None = None
    _sizes: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.data.shape)
        axes = normalize_axes(self.axes, shape)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "_sizes", dict(zip(axes, shape, strict=True)))
        if 0 in shape:
            raise ImageError(f"{self.name} is empty: its shape is {shape}. Open another one.")
        if self.diameter is not None and not (np.isfinite(self.diameter) and self.diameter > 0):
            raise ImageError(f"The object diameter is {self.diameter}; it must be a positive number of pixels.")
        dtype = np.dtype(self.data.dtype)
        if dtype.kind not in "buif":
            kind = "complex numbers" if dtype.kind == "c" else f"the data type {dtype}"
            raise ImageError(
                f"{self.name} holds {kind}; whole or real numbers are needed. "
                "For complex data take its magnitude first."
            )

    def same_pixels(self, other: Image) -> bool:
        """Whether another image has the pixels of this one: not equal ones, but the same."""
        if self.identity is None or other.identity is None:
            return self.data is other.data
        return self.identity == other.identity

    def size(self, letter: str) -> int:
        """Return the number of pixels along an axis, 1 if the image does not have it."""
        return self._sizes.get(letter, 1)

    @property
    def n_frames(self) -> int:
        """Time points."""
        return self.size("T")

    @property
    def n_channels(self) -> int:
        """Channels (3 for colour)."""
        return self.size("C")

    @property
    def is_colour(self) -> bool:
        """Whether the channels are the red, green and blue of each pixel: three of them, along the last axis."""
        return self.axes.endswith("C") and self.n_channels == 3

    @property
    def is_volume(self) -> bool:
        """Whether there is a Z axis."""
        return "Z" in self.axes

    @property
    def label_axes(self) -> str:
        """Axes of a label image that belongs to this image: its own without the channels."""
        return self.axes.replace("C", "")

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of a label image that belongs to this image, in the order of `label_axes`."""
        return tuple(self.size(letter) for letter in self.label_axes)

    @property
    def space(self) -> tuple[int, int, int]:
        """Depth, height and width; the depth of a plane is 1."""
        return self.size("Z"), self.size("Y"), self.size("X")

    def read(
        self,
        frame: int = 0,
        z: slice = slice(None),
        y: slice = slice(None),
        x: slice = slice(None),
        channels: Sequence[int] | None = None,
    ) -> NDArray[Any]:
        """Return pixels of one time point, axes (C, Z, Y, X), always with all four axes."""
        picks: dict[str, Any] = {"T": frame, "C": slice(None), "Z": z, "Y": y, "X": x}
        block = np.asarray(self.data[tuple(picks[letter] for letter in self.axes)])
        rest = self.axes.replace("T", "")
        block = block.transpose([rest.index(letter) for letter in "CZYX" if letter in rest])
        for position, letter in enumerate("CZYX"):
            if letter not in rest:
                block = np.expand_dims(block, position)
        return block if channels is None else block[list(channels)]

    def canonical_labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a label image of this image with the axes (T, Z, Y, X); writing to it writes the labels."""
        axes = self.label_axes
        view = labels.transpose([axes.index(letter) for letter in "TZYX" if letter in axes])
        for position, letter in enumerate("TZYX"):
            if letter not in axes:
                view = np.expand_dims(view, position)
        return view


def common_pixel_size(images: Sequence[Image], ndim: int) -> tuple[float, ...] | None:
    """Return the images' pixel size in micrometres, if all have about the same."""
    sizes = []
    for image in images:
        size = image.pixel_size
        letters = "ZYX"[-ndim:]
        values = [size.along(letter) for letter in letters] if size is not None else [None]
        if None in values:
            return None
        sizes.append([float(value) for value in values if value is not None])
    spread = np.ptp(sizes, axis=0) / np.mean(sizes, axis=0)
    return tuple(float(v) for v in np.mean(sizes, axis=0)) if (spread < 0.1).all() else None
