"""Label images of any origin, read one time point or slice after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.axes import Image, PixelSize, guess_axes, said_axes
from napari_unet.errors import LabelsError
from napari_unet.limits import times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

COUNTED_IDS = 2**30
"""New objects get ids after the largest one below this: a user may have painted with the largest id of the dtype."""


def label_image(
    labels: Any,
    axes: str | None = None,
    like: Image | None = None,
    pixel_size: PixelSize | Sequence[float] | float | None = None,
) -> Image:
    """Return labels as an `Image` of the axes T, Z, Y and X.

    Parameters
    ----------
    labels : array-like (numpy, dask, zarr) or Image
        Whole numbers from 0.
    axes : str, optional
        As stored; None: what the array says, else those of the image that it belongs to, else YX, ZYX or TZYX.
    like : Image, optional
        The image that they belong to, with or without channels.
    pixel_size : PixelSize, or one (Y = X), two (Y, X) or three (Z, Y, X) numbers, optional
        Micrometres; None: that of the labels, else that of the image.

    Raises
    ------
    LabelsError
        If they have several channels, or are not of the size of the image.
    ImageError
        If they cannot be an image at all, or the pixel size makes no sense.
    """
    if isinstance(labels, Image):
        found = labels if axes is None else Image(labels.data, axes, labels.pixel_size, name=labels.name)
    else:
        data = labels if hasattr(labels, "shape") and hasattr(labels, "dtype") else np.asarray(labels)
        shape = tuple(int(n) for n in data.shape)
        if axes is None:
            same = like is not None and shape == like.label_shape
            axes = said_axes(data) or (like.label_axes if like is not None and same else guess_axes(shape))
        found = Image(data, axes, name="labels")
    if found.n_channels > 1:
        raise LabelsError(f"{found.name} has {found.n_channels} channels or colours; labels have one number a pixel.")
    if like is not None:
        _check_size(found, like)
    if pixel_size is not None and not isinstance(pixel_size, PixelSize):
        pixel_size = PixelSize.from_sequence(pixel_size)
    known = pixel_size or found.pixel_size or (like.pixel_size if like is not None else None)
    return found.with_pixel_size(known)


def _check_size(labels: Image, image: Image) -> None:
    sizes = [[one.size(letter) for letter in "TZYX"] for one in (labels, image)]
    if sizes[0] != sizes[1]:
        first, second = (
            f"{one.name} has {times([one.size(letter) for letter in one.label_axes])} ({one.label_axes})"
            for one in (labels, image)
        )
        raise LabelsError(
            f"Labels and image are not of one size: {first}, {second}. Choose those that belong together."
        )


def sections(labels: Image, *, slices: bool) -> Iterator[tuple[int, int | None, NDArray[Any]]]:
    """Yield what is looked at in one go: time point, slice (None: a whole volume or plane), and its labels (Z, Y, X).

    Parameters
    ----------
    labels : Image
    slices : bool
        Whether the slices of a volume are looked at by themselves.

    Raises
    ------
    LabelsError
        If the labels are not whole numbers from 0.
    """
    for frame in range(labels.n_frames):
        if not slices:
            yield frame, None, as_ids(labels.read(frame)[0], labels.name)
            continue
        for z in range(labels.size("Z")):
            yield frame, z, as_ids(labels.read(frame, z=slice(z, z + 1))[0], labels.name)


def as_ids(labels: NDArray[Any], name: str = "labels") -> NDArray[Any]:
    """Return labels as whole numbers, a copy only where they were not.

    Raises
    ------
    LabelsError
        If they are not whole numbers from 0 to 2^63 - 1.
    """
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all() or (labels != np.rint(labels)).any():
            raise LabelsError(f"{name} holds numbers that are not whole; labels are object numbers or classes.")
        if np.abs(labels).max(initial=0) >= 2.0**63:
            raise LabelsError(f"{name} has the label {labels.max()}; labels are numbers from 0 to {2**63 - 1}.")
        labels = labels.astype(np.int64)
    lowest, highest = int(labels.min(initial=0)), int(labels.max(initial=0))
    if lowest < 0:
        raise LabelsError(f"{name} has the negative label {lowest}; labels are numbers from 0.")
    if highest >= 2**63:
        raise LabelsError(f"{name} has the label {highest}; labels are numbers from 0 to {2**63 - 1}.")
    return labels
