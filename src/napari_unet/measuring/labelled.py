"""A label image with all that is known of it: what is measured, and what every export is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_unet.axes import Image
from napari_unet.errors import FileFormatError
from napari_unet.io.readers import read_image
from napari_unet.measuring.record import Origin
from napari_unet.objects.label_images import label_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.axes import PixelSize
    from napari_unet.objects.measurements import Task


@dataclass(frozen=True, slots=True)
class Shown:
    """What of an image a picture shows.

    Attributes
    ----------
    frame, z : int, optional
        Time point and slice, from 0; None: the middle one.
    channel : int, optional
        Of an image that is not one of colours; None: the first.
    """

    frame: int | None = None
    z: int | None = None
    channel: int | None = None


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


def with_all_channels(image: Image, source: Path | None, channel: int | None) -> tuple[Image, tuple[str, ...]]:
    """Return an image with all channels of its file, where it is one of them, and what is to be known of it.

    Parameters
    ----------
    image : Image
        As it was segmented.
    source : Path or None
        Its file.
    channel : int or None
        Which channel of the file it is; None: all of them.
    """
    if source is None or channel is None:
        return image, ()
    try:
        found = read_image(source, tolerant=True)
    except FileFormatError:
        return image, (f"{source.name} cannot be read; only the chosen channel is measured.",)
    if found.label_shape != image.label_shape or found.n_channels <= channel:
        return image, ()
    return found.with_pixel_size(image.pixel_size), ()


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
