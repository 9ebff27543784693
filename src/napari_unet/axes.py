"""Named axes, pixel sizes, and images: the only module that transposes arrays.

Inside the program, arrays have the axes C, Z, Y, X, one time point after the other. Images may have any order of axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet import limits
from napari_unet.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CANONICAL = "TCZYX"
"""All axis letters: time, channel, depth, height, width."""

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
            if value is None:
                continue
            if not limits.within(value, limits.PIXEL_SIZE):
                raise ImageError(
                    f"The pixel size along {name.upper()} is {value!s:.40}; it must be a positive number of "
                    f"micrometres, from {limits.in_words(limits.PIXEL_SIZE)}."
                )
            object.__setattr__(self, name, float(value))

    @classmethod
    def from_sequence(cls, values: Sequence[float] | float) -> PixelSize:
        """Return the pixel size from one (Y = X), two (Y, X) or three (Z, Y, X) numbers in micrometres."""
        if isinstance(values, float | int) or not isinstance(values, Iterable):
            return cls(y=values, x=values)
        if isinstance(values, str):
            raise ImageError(f"A pixel size has one, two (Y,X) or three (Z,Y,X) numbers; got {values!r:.40}.")
        values = tuple(values)
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


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of an image and distance of its pixels, in the units of its file.

    Attributes
    ----------
    axes : str
        One letter for each entry of the other attributes.
    scale : tuple of float
        Distance from one pixel to the next.
    translation : tuple of float
        Position of the middle of the first pixel, in the same units.
    units : tuple of str
        As in the file; "" for none.
    """

    axes: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    units: tuple[str, ...]

    def of(self, letter: str) -> tuple[float, float, str]:
        """Return scale, translation and unit of an axis; 1, 0 and "" for an axis that it does not have."""
        if letter not in self.axes:
            return 1.0, 0.0, ""
        axis = self.axes.index(letter)
        return self.scale[axis], self.translation[axis], self.units[axis]

    def with_pixel_size(self, size: PixelSize) -> Placement:
        """Return the placement with another pixel size, in micrometres; the offset in pixels stays the same."""
        scale, translation, units = list(self.scale), list(self.translation), list(self.units)
        for axis, letter in enumerate(self.axes):
            wide = size.along(letter) if letter in "ZYX" else None
            if wide is not None:
                translation[axis] *= wide / scale[axis]
                scale[axis], units[axis] = wide, "micrometer"
        return Placement(self.axes, tuple(scale), tuple(translation), tuple(units))


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
            f"An image has two to five axes (T, C, Z, Y, X); got {len(shape)} axes with the shape {shape}."
        )
    return guesses[len(space)] + ("C" if rgb else "")


_NAMES = {
    "T": ("t", "time", "frame", "timepoint", "time_point"),
    "C": ("c", "channel", "ch", "band", "colour", "color", "rgb", "wavelength", "sample", "s"),
    "Z": ("z", "depth", "slice", "plane", "section"),
    "Y": ("y", "height", "row", "line"),
    "X": ("x", "width", "column", "col"),
}
_LETTERS = {name: letter for letter, names in _NAMES.items() for name in (*names, *(f"{n}s" for n in names[1:]))}


def axis_letter(name: object, kind: object = None) -> str | None:
    """Return the letter of an axis by its name ("t", "Time", "depth", ...), else by its kind; None: not known.

    Parameters
    ----------
    name : object
        Name in a file; only text can be known.
    kind : object
        Type of the axis in OME-Zarr: "time", "channel", or "space", which does not say which.
    """
    found = _LETTERS.get(name.strip().lower()) if isinstance(name, str) else None
    return found or ({"time": "T", "channel": "C"}.get(kind) if isinstance(kind, str) else None)


def named_axes(letters: Sequence[str | None], shape: tuple[int, ...]) -> str | None:
    """Return the axes of an array of which some are named; None if no name is known, or names contradict.

    Axes without a name get the remaining ones of width and height, then depth, then time, from the last on.

    Parameters
    ----------
    letters : sequence of str or None
        Results of `axis_letter`, one for each axis.
    shape : tuple of int
        Of the array.
    """
    known = [letter for letter in letters if letter is not None]
    if not known or len(letters) != len(shape) or len(set(known)) != len(known):
        return None
    free = [letter for letter in "XYZTC" if letter not in known]
    found = list(letters)
    for axis in reversed(range(len(found))):
        if found[axis] is None:
            found[axis] = free.pop(0)
    axes = "".join(letter for letter in found if letter is not None)
    return axes if {"Y", "X"} <= set(axes) else None


def said_axes(data: Any) -> str | None:
    """Return the axes by an array's own dimension names (xarray, Zarr); None: it has none."""
    names = getattr(data, "dims", None) or getattr(getattr(data, "metadata", None), "dimension_names", None)
    if not isinstance(names, tuple | list):
        return None
    return named_axes([axis_letter(name) for name in names], tuple(data.shape))


def normalize_axes(axes: str, shape: tuple[int, ...], *, rgb: bool = False) -> str:
    """Return `axes` in capital letters with aliases resolved, after checking that they fit the shape.

    Parameters
    ----------
    axes : str
        One letter for each axis.
    shape : tuple of int
        Of the array.
    rgb : bool
        Whether the last axis holds the colours of a pixel.

    Raises
    ------
    ImageError
        If a letter is unknown or doubled, Y or X is missing, the number of letters is not that of the axes, or colours
        are not called C.
    """
    if not isinstance(axes, str):
        raise ImageError(f"The axes are {axes!r:.40}; they must be letters, one for each axis, such as 'ZYX'.")
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
            f"for example {guess_axes(shape, rgb)!r}."
            if 2 <= len(shape) <= 5
            else f"The axes {axes!r} have {len(letters)} letters, but the image has {len(shape)} axes (shape {shape})."
        )
    if rgb and letters[-1] != "C":
        raise ImageError(f"The last axis of a colour image is C; got {axes!r}, for example {guess_axes(shape, rgb)!r}.")
    return letters


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An image of any size, in memory or not, with the meaning of its axes.

    Attributes
    ----------
    data : array-like (numpy, dask or zarr)
        Pixels, axes as `axes`.
    axes : str
        One letter for each axis, of T, C, Z, Y and X in any order.
    pixel_size : PixelSize or None
        In micrometres; None: not known.
    channel_names : tuple of str
        May be empty.
    name : str
        For messages.
    damage : object, optional
        Its text, ``str(damage)``, says which parts could not be read so far and count as empty; "" for none.
    source : Path, optional
        The file or folder that pixels are read from lazily; None: they are in memory.
    diameter : float, optional
        Typical diameter, in pixels, of the objects, as the user said; None: not known.
    found_diameter : float, optional
        The same, as a model found it (`inference.diameter`); used if nothing else is known about the scale.
    found_against : float, optional
        `ModelInfo.image_diameter` of that model, which `found_diameter` replaces for this image; None: it has none.
    notes : tuple of str
        Sentences for the user about how it was read: what was left out, or ignored.
    placement : Placement, optional
        Its placement, if the file has more than a pixel size; labels get the same.
    identity : hashable, optional
        Identifies its pixels, if `data` is a new object each time; None: `data` does.

    Raises
    ------
    ImageError
        If the axes do not fit the data, an axis is empty, pixels are not real numbers, or the diameter is not positive.
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
    placement: Placement | None = None
    identity: Hashable | None = None
    _sizes: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.data.shape)
        axes = normalize_axes(self.axes, shape)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "_sizes", dict(zip(axes, shape, strict=True)))
        if 0 in shape:
            raise ImageError(f"{self.name} is empty: its shape is {shape}. Open another one.")
        if self.diameter is not None and not limits.within(self.diameter, limits.DIAMETER):
            raise ImageError(
                f"The object diameter is {self.diameter!s:.40}; it must be a positive number of pixels, from "
                f"{limits.in_words(limits.DIAMETER)}."
            )
        dtype = np.dtype(self.data.dtype)
        if dtype.kind not in "buif":
            kind = "complex numbers" if dtype.kind == "c" else f"the data type {dtype}"
            raise ImageError(
                f"{self.name} holds {kind}; whole or real numbers are needed. "
                "For complex data take its magnitude first."
            )

    def with_pixel_size(self, size: PixelSize | None) -> Image:
        """Return the image with another pixel size; None: it stays as it is."""
        if size is None:
            return self
        placement = None if self.placement is None else self.placement.with_pixel_size(size)
        return replace(self, pixel_size=size, placement=placement)

    def of_channel(self, channel: int) -> Image:
        """Return the image with one of its channels alone; the axis stays. Of a Zarr array the pixels are read."""
        pick = tuple(slice(channel, channel + 1) if letter == "C" else slice(None) for letter in self.axes)
        names = self.channel_names[channel : channel + 1]
        identity = None if self.identity is None else (self.identity, channel)
        return replace(self, data=self.data[pick], channel_names=names, placement=None, identity=identity)

    def same_pixels(self, other: Image) -> bool:
        """Return whether another image has the same pixels: not equal ones, but the same object or `identity`."""
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
        """Whether its channels are red, green and blue: there are three, along the last axis."""
        return self.axes.endswith("C") and self.n_channels == 3

    @property
    def is_volume(self) -> bool:
        """Whether there is a Z axis."""
        return "Z" in self.axes

    @property
    def label_axes(self) -> str:
        """Axes of a label image of this image: its own without the channels."""
        return self.axes.replace("C", "")

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of a label image of this image, axes as `label_axes`."""
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
        """Return a view of a label image (axes as `label_axes`) with the axes (T, Z, Y, X)."""
        axes = self.label_axes
        view = labels.transpose([axes.index(letter) for letter in "TZYX" if letter in axes])
        for position, letter in enumerate("TZYX"):
            if letter not in axes:
                view = np.expand_dims(view, position)
        return view


def common_pixel_size(images: Sequence[Image], ndim: int) -> tuple[float, ...] | None:
    """Return the mean pixel size of images, ([Z,] Y, X) in micrometres; None if it is not known or differs."""
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
