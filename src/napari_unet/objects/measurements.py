"""Size, shape, position, neighbours and grey values of every object, in micrometres where the pixel size is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage

from napari_unet.axes import Image
from napari_unet.errors import ImageError, LabelsError
from napari_unet.limits import is_number, times
from napari_unet.objects.intensities import intensities, states
from napari_unet.objects.label_images import label_image, sections
from napari_unet.objects.neighbours import neighbour_counts
from napari_unet.objects.regions import Regions
from napari_unet.objects.shape import Columns, has_square_pixels, plane_columns, position_columns, volume_columns
from napari_unet.objects.table import Table, concatenate
from napari_unet.progress import Progress, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import PixelSize
    from napari_unet.progress import CancelToken, ProgressCallback

Task = Literal["instances", "semantic"]

MAX_DISTANCE = 1000.0
"""Pixels: objects further from each other are no neighbours in any sense."""

PIXEL_SIZES_AGREE = 0.01
"""By how much of itself the pixel size of labels may differ from that of their image, and nothing be said."""


def measure(
    labels: Any,
    image: Any = None,
    *,
    axes: str | None = None,
    image_axes: str | None = None,
    pixel_size: PixelSize | Sequence[float] | float | None = None,
    channels: Sequence[str] = (),
    name: str | None = None,
    task: Task = "instances",
    slices: bool = False,
    neighbour_distance: float = 0.0,
    provenance: Any = None,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Table:
    """Measure every object of a label image.

    One time point is held in memory at a time, or one slice with `slices`. Every column is described in
    ``docs/measurements.md``; values are those of scikit-image's `regionprops`, in the units of the column's name.

    Parameters
    ----------
    labels : array-like of int (numpy, dask, zarr) or Image
        Object ids, 0 is background. Any order of the axes T, Z, Y and X. Whole numbers of a float type count as ids.
    image : array-like of number or Image, optional
        Grey values to measure in the objects, of the size of the labels, with or without a channel axis.
    axes : str, optional
        Of the labels, for example "TYX". None: those of the image if it says them, else YX, ZYX or TZYX.
    image_axes : str, optional
        Of an array given as `image`. None: those of the labels, and C for one more axis that is there.
    pixel_size : PixelSize, or one (Y = X), two (Y, X) or three (Z, Y, X) numbers, optional
        Micrometres. None: that of the labels or the image if they are `Image`; else no column is in micrometres.
    channels : sequence of str, optional
        Names of the channels. None given: what the image says, else ``channel0``, ``channel1``, ...
    name : str, optional
        For the column ``image``. None: the name of the image, else of the labels.
    task : {"instances", "semantic"}
        What labels are: ids of objects, or classes. Of classes, each connected piece is an object (pieces that meet in
        a corner are one), numbered within its time point, and the column ``class`` holds the class.
    slices : bool
        Measure each slice along Z by itself, as a plane. False: an image with a Z axis is a volume.
    neighbour_distance : float
        Pixels along Y, 0 to 1000. 0: ``neighbours`` counts the objects that touch this one; more: also those with a gap
        of up to so many pixels and no other object in between.
    provenance : array-like of int, optional
        Of the shape of the labels: where each pixel comes from, as `corrections.corrections.Provenance` numbers it
        (1 predicted, 2 corrected, 3 reviewed). Gives the column ``state``.
    progress : callable, optional
        Is told of each time point.
    cancel : CancelToken, optional
        Stops between time points, with `Cancelled`.

    Returns
    -------
    Table
        One row an object; without objects no rows, but all columns.

    Raises
    ------
    LabelsError
        If the labels are not whole numbers from 0, or not of the size of the image.
    ImageError
        If labels or image cannot be used as they are, or a parameter is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_unet import measure
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[2:5, 1:4] = 7
    >>> table = measure(labels, pixel_size=0.5)
    >>> int(table["label"][0]), int(table["area_px"][0]), float(table["area_um2"][0])
    (7, 9, 2.25)
    """
    if task not in ("instances", "semantic"):
        raise LabelsError(f"The task {task!r} is not known; there is instances and semantic.")
    if not is_number(neighbour_distance) or not 0 <= neighbour_distance <= MAX_DISTANCE:
        raise ImageError(f"A neighbour distance is 0 to {MAX_DISTANCE:g} pixels; got {neighbour_distance!s:.40}.")
    picture = _as_image(image, image_axes)
    found = label_image(labels, axes, picture, pixel_size)
    if picture is None and image is not None:
        picture = _fitting(image, found)
    if picture is not None and pixel_size is not None:
        picture = picture.with_pixel_size(found.pixel_size)
    work = _Work(
        labels=found,
        picture=picture,
        channels=() if picture is None else channel_columns(picture, channels),
        origin=None if provenance is None else _of_shape(provenance, found),
        name=name or (picture or found).name,
        task=task,
        neighbour_distance=neighbour_distance,
        is_volume=found.size("Z") > 1 and not slices,
    )
    watch, tables, left_out = Stopwatch(), [], 0
    for frame, z, ids in sections(found, slices=slices and "Z" in found.axes):
        if cancel is not None:
            cancel.check()
        columns, not_finite = work.columns(frame, z, ids)
        tables.append(Table(columns))
        left_out += not_finite
        if progress is not None and (z is None or z + 1 == found.size("Z")):
            progress(Progress(frame + 1, found.n_frames, watch.seconds, "time points"))
    table = concatenate(tables)
    return Table(table.columns, tuple(_notes(found, picture, left_out, is_volume=work.is_volume)))


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What is measured; see `measure`."""

    labels: Image
    picture: Image | None
    channels: tuple[str, ...]
    origin: Image | None
    name: str
    task: Task
    neighbour_distance: float
    is_volume: bool

    def columns(self, frame: int, z: int | None, ids: NDArray[Any]) -> tuple[Columns, int]:
        """Return the columns of a section (Z, Y, X), and how many pixels of the image in it were not finite."""
        ids, classes = (ids, None) if self.task == "instances" else _pieces(ids)
        regions = Regions.of(ids)
        columns = self._identity(regions, frame, z)
        if classes is not None:
            columns["class"] = classes
        shape = volume_columns if self.is_volume else plane_columns
        columns |= shape(regions, ids if self.is_volume else ids[0], self.labels)
        columns |= position_columns(regions, self.labels, is_volume=self.is_volume)
        spacing = _relative_spacing(self.labels)
        columns["neighbours"] = neighbour_counts(ids, regions.ids, self.neighbour_distance, spacing)
        where, not_finite = slice(None) if z is None else slice(z, z + 1), 0
        if self.picture is not None:
            added, not_finite = _intensity_columns(regions, self.picture.read(frame, z=where), self.channels)
            columns |= added
        if self.origin is not None:
            columns["state"] = states(regions, self.origin.read(frame, z=where)[0])
        return columns, not_finite

    def _identity(self, regions: Regions, frame: int, z: int | None) -> Columns:
        columns: Columns = {"image": np.full(len(regions), self.name)}
        if "T" in self.labels.axes:
            columns["time"] = np.full(len(regions), frame)
        if z is not None:
            columns["slice"] = np.full(len(regions), z)
        columns["label"] = regions.ids.astype(np.int64)
        return columns


def channel_columns(image: Image, channels: Sequence[str] = ()) -> tuple[str, ...]:
    """Return how the names of columns end for each channel: "" for a single one without a name, else ``_<name>``.

    Raises
    ------
    ImageError
        If names are given, and not as many as there are channels.
    """
    count = image.n_channels
    if channels and len(channels) != count:
        raise ImageError(f"{image.name} has {count} channels; got {len(channels)} names for them.")
    names = list(channels) or list(image.channel_names)
    if len(names) != count:
        names = ["red", "green", "blue"] if image.is_colour else [f"channel{number}" for number in range(count)]
        if count == 1:
            return ("",)
    endings: list[str] = []
    for number, name in enumerate(names):
        ending = "_" + (re.sub(r"\W+", "_", name).strip("_") or f"channel{number}")
        endings.append(f"{ending}_{number}" if ending in endings else ending)
    return tuple(endings)


def _intensity_columns(regions: Regions, block: NDArray[Any], names: Sequence[str]) -> tuple[Columns, int]:
    """Return the grey values of objects in an image (C, Z, Y, X), and how many pixels were not finite."""
    columns: Columns = {}
    left_out = 0
    for planes, ending in zip(block, names, strict=True):
        told = intensities(regions, planes)
        left_out += told.left_out
        values = {"mean": told.mean, "std": told.std, "min": told.minimum, "max": told.maximum, "sum": told.total}
        columns |= {f"intensity_{what}{ending}": column for what, column in values.items()}
    return columns, left_out


def _as_image(image: Any, axes: str | None) -> Image | None:
    """Return the image that is measured; None where its axes are to follow from those of the labels."""
    if isinstance(image, Image):
        return image if axes is None else Image(image.data, axes, image.pixel_size, image.channel_names, image.name)
    return None if image is None or axes is None else Image(_array(image), axes)


def _array(values: Any) -> Any:
    return values if hasattr(values, "shape") and hasattr(values, "dtype") else np.asarray(values)


def _fitting(image: Any, labels: Image) -> Image:
    """Return an array as an image whose axes are those of the labels, and C for one more."""
    data = _array(image)
    shape, wanted = tuple(int(n) for n in data.shape), tuple(int(n) for n in labels.data.shape)
    if shape == wanted:
        return Image(data, labels.axes)
    fits = [axis for axis in range(len(shape)) if shape[:axis] + shape[axis + 1 :] == wanted]
    if len(fits) == 1:
        return Image(data, labels.axes[: fits[0]] + "C" + labels.axes[fits[0] :])
    if fits:
        raise ImageError(
            f"Which axis of the image (shape {shape}) is that of the channels? Say it by image_axes, for example "
            f"{'C' + labels.axes!r}."
        )
    raise LabelsError(f"Labels and image are not of one size: labels have {times(wanted)}, the image {times(shape)}.")


def _of_shape(provenance: Any, labels: Image) -> Image:
    data = _array(provenance)
    if tuple(data.shape) != tuple(labels.data.shape):
        raise LabelsError(
            f"The provenance has the shape {times(data.shape)}, and the labels {times(labels.data.shape)}; they have "
            "one shape."
        )
    return Image(data, labels.axes, name="provenance")


def _pieces(classes: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return numbered connected pieces of all classes (Z, Y, X), and the class of each number from 1."""
    pieces, owners, last = np.zeros(classes.shape, np.int32), [], 0
    for value in np.unique(classes[classes > 0]).tolist():
        mask = classes == value
        found, count = ndimage.label(mask, np.ones((3, 3, 3)))
        pieces[mask] = found[mask] + last
        owners += [value] * count
        last += count
    return pieces, np.array(owners, np.int64)


def _relative_spacing(image: Image) -> tuple[float, float, float]:
    """Return the size of a pixel along Z, Y and X in units of that along Y."""
    pixel = image.pixel_size
    return (1.0, 1.0, 1.0) if pixel is None else ((pixel.z or pixel.y) / pixel.y, 1.0, pixel.x / pixel.y)


def _notes(labels: Image, picture: Image | None, left_out: int, *, is_volume: bool) -> Iterator[str]:
    pixel = labels.pixel_size
    yield from labels.notes
    if picture is not None:
        yield from (note for note in picture.notes if note not in labels.notes)
    if picture is not None and _differ(pixel, picture.pixel_size):
        yield f"{labels.name} and {picture.name} tell different pixel sizes; that of {labels.name} is used."
    if left_out:
        yield f"{(picture or labels).name}: {left_out} values in objects are not finite numbers and were left out."
    if pixel is not None and is_volume and pixel.z is None:
        yield f"{labels.name}: the distance of slices is not known, so there is no volume in micrometres."
    if pixel is not None and not is_volume and not has_square_pixels(pixel):
        yield f"{labels.name}: pixels are not square, so there is no perimeter in micrometres and no circularity."


def _differ(one: PixelSize | None, other: PixelSize | None) -> bool:
    """Whether two pixel sizes are known, and are not the same."""
    if one is None or other is None:
        return False
    pairs = [(one.along(letter), other.along(letter)) for letter in "ZYX"]
    return any(a is not None and b is not None and abs(a / b - 1) > PIXEL_SIZES_AGREE for a, b in pairs)
