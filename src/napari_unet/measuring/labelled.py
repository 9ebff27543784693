"""A label image with all that is known of it: what is measured, and what every export is made from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import Image
from napari_unet.errors import UNetError
from napari_unet.io.readers import read_image
from napari_unet.measuring.record import Origin
from napari_unet.objects.label_images import label_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.axes import PixelSize
    from napari_unet.objects.measurements import Task


_WINDOW = 256
"""Pixels across of the part of a plane by which a channel is known again."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What of an image a picture shows.

    Attributes
    ----------
    frame, z : int, optional
        Time point and slice, from 0; None: the middle one.
    channel : int or str, optional
        Of an image that is not one of colours; None: the first.
    """

    frame: int | None = None
    z: int | None = None
    channel: int | str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A label image, in memory or not.

    Attributes
    ----------
    name : str
        Of the image, without endings; results are named after it.
    labels : Image
        Axes of T, Z, Y and X.
    image : Image, optional
        The image that they belong to, with all channels.
    task : {"instances", "semantic"}
        What labels are: ids of objects, or classes.
    classes : tuple of str
        Names of the classes from 0 on, or of the objects; may be empty.
    provenance : ndarray of int, optional
        Of the shape of the labels, see `measure`.
    origin : Origin
        Where they come from.
    shown : Shown
        What pictures show.
    """

    name: str
    labels: Image
    image: Image | None = None
    task: Task = "instances"
    classes: tuple[str, ...] = ()
    provenance: Any = None
    origin: Origin = field(default_factory=lambda: Origin({}))
    shown: Shown = field(default_factory=Shown)

    @property
    def inputs(self) -> list[Path]:
        """The files that it was read from."""
        return list(self.origin.files.values())


def with_all_channels(
    image: Image, source: Path | None, channel: int | None, series: int | None = None
) -> tuple[Image, tuple[str, ...]]:
    """Return an image with all channels of its file, where it is one of them, and what is to be known of it.

    Parameters
    ----------
    image : Image
        As it was segmented.
    source : Path or None
        Its file.
    channel : int or None
        Which channel of the file it is; None: all of them.
    series : int, optional
        Number of the image in a file that holds several.
    """
    if source is None or channel is None:
        return image, ()
    try:
        found = read_image(source, series=series, tolerant=True)
    except UNetError:
        return image, (f"{source.name} cannot be read; only the chosen channel is measured.",)
    whole = _with_axes_of(image, found)
    if whole is None or not _is_channel(image, whole, channel):
        return image, (f"{source.name} has other pixels by now; only the chosen channel is measured.",)
    return whole.with_pixel_size(image.pixel_size), ()


def _with_axes_of(image: Image, found: Image) -> Image | None:
    """Return all channels of an image with the axes that it has now, which may have been chosen; None: another one."""
    if "C" not in found.axes or found.label_shape != image.label_shape:
        return None
    where = found.axes.index("C")
    return replace(found, axes=f"{image.label_axes[:where]}C{image.label_axes[where:]}", placement=image.placement)


def _is_channel(image: Image, whole: Image, channel: int) -> bool:
    """Return whether a channel is the image, as far as the middle of its middle plane tells."""
    if channel >= whole.n_channels:
        return False
    depth, height, width = image.space
    y, x = (slice(max(0, (n - _WINDOW) // 2), (n + _WINDOW) // 2) for n in (height, width))
    place = image.n_frames // 2, slice(depth // 2, depth // 2 + 1), y, x
    ours, theirs = image.read(*place), whole.read(*place, channels=[channel])
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


def labelled(
    labels: Any,
    image: Any = None,
    *,
    axes: str | None = None,
    image_axes: str | None = None,
    pixel_size: PixelSize | Sequence[float] | float | None = None,
    name: str = "",
    task: Task = "instances",
    classes: Sequence[str] = (),
    shown: Shown | None = None,
) -> Labelled:
    """Return labels, with or without their image, for `export`.

    Parameters
    ----------
    labels : array-like of int or Image
        Any order of the axes T, Z, Y and X.
    image : array-like or Image, optional
        The image that they belong to.
    axes, image_axes : str, optional
        Meaning of their axes; None: what they say, or guessed.
    pixel_size : PixelSize, or one, two or three numbers, optional
        Micrometres.
    name : str
        Results are named after it. Empty: the name of the image.
    task : {"instances", "semantic"}
        What labels are: ids of objects, or classes.
    classes : sequence of str
        Names of the classes from 0 on, or of the objects.
    shown : Shown, optional
        What pictures show.

    Raises
    ------
    LabelsError, ImageError
        If they cannot be used, or are not of one size.
    """
    picture = image
    if image is not None and not isinstance(image, Image):
        picture = Image(image, image_axes or axes or label_image(labels).axes)
    elif isinstance(image, Image) and image_axes is not None:
        picture = Image(image.data, image_axes, image.pixel_size, image.channel_names, image.name)
    found = label_image(labels, axes, picture, pixel_size)
    if picture is not None and pixel_size is not None:
        picture = picture.with_pixel_size(found.pixel_size)
    name = name or (picture or found).name
    return Labelled(name, found, picture, task, tuple(classes), origin=Origin({}, name), shown=shown or Shown())
