"""Whether there is anything to be seen in an image."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import ImageError
from napari_unet.inference.field import lack_in, numbers_in
from napari_unet.inference.tile_runner import sample_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.axes import Image
    from napari_unet.inference.field import Lack
    from napari_unet.inference.task import Task


def lack_of_content(image: Image, channels: Sequence[int]) -> Lack:
    """Return what is missing in some channels of an image; empty: nothing.

    All pixels are read only where an even sample of them shows nothing. So single ones that are no numbers may not be
    seen in a large image.

    Parameters
    ----------
    image : Image
    channels : sequence of int
    """
    lack = lack_in(sample_pixels(image, channels))
    if lack in ("", "some no numbers"):
        return lack
    known = np.zeros((0,))
    for frame, z in itertools.product(range(image.n_frames), range(image.size("Z"))):
        values = numbers_in(image.read(frame, slice(z, z + 1), channels=channels))
        known = np.unique(np.concatenate([known, [values.min(), values.max()]])) if values.size else known
        if len(known) > 1:
            return "" if lack == "one value" else "some no numbers"
    return "one value" if len(known) else "no numbers"


def content_notes(task: Task, n_objects: int) -> list[str]:
    """Return what is to be said of an image in which nothing was found, as there is nothing to be seen."""
    if n_objects and task.model.info.finds_objects:  # classes are given to any pixels
        return []
    lack = lack_of_content(task.image, task.channels)
    if lack == "no numbers":
        return [f"No pixel of {task.image.name} is a number (all are NaN or infinite): save it again."]
    if lack == "one value":
        return [f"All pixels of {task.image.name} have the same value: look at another channel."]
    return []


def check_content(image: Image, channels: Sequence[int]) -> Lack:
    """Return what is missing in some channels of an image that is to be learned from; see `lack_of_content`.

    Raises
    ------
    ImageError
        If no pixel is a number.
    """
    lack = lack_of_content(image, channels)
    if lack == "no numbers":
        raise ImageError(f"No pixel of {image.name} is a number (all are NaN or infinite). Leave it out.")
    return lack
