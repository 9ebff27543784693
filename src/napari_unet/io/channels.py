"""Which channels of a file are one image: colours are, and each other channel is one of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import ImageError
from napari_unet.io.series import by_name_or_number
from napari_unet.progress import first_names

if TYPE_CHECKING:
    from napari_unet.axes import Image


_NAMED = 8
"""Channels that a message names."""


def is_rgb(image: Image) -> bool:
    """Return whether the channels are a pixel's red, green and blue: three, the last axis, without names."""
    small = np.dtype(image.data.dtype) in (np.uint8, np.uint16)
    return image.is_colour and small and not image.channel_names


def channel_number(image: Image, channel: int | str | None) -> int | None:
    """Return the number of a channel, counted from 0, that is asked for by its number or its name; None: none is.

    A whole number is the number of a channel where there are so many, else it is a name.

    Raises
    ------
    ImageError
        If there is no such channel, or several have that name.
    """
    if channel is None:
        return None
    names = dict.fromkeys(range(image.n_channels), "") | dict(enumerate(image.channel_names))
    found = by_name_or_number(names, channel)
    if len(found) == 1:
        return found[0]
    if found:
        numbers = " and ".join(map(str, found))
        raise ImageError(f"{image.name} has several channels called {channel!s:.40}: choose by number, {numbers}.")
    known = f"the channels 0 to {image.n_channels - 1}, without names" if image.n_channels > 1 else "one, number 0"
    if image.channel_names:
        known = first_names([f"{number} {name!r}" for number, name in enumerate(image.channel_names)], _NAMED)
    raise ImageError(f"{image.name} has no channel {channel!s:.40}; it has {known}.")


def one_channel(image: Image, channel: int | None = None) -> Image:
    """Return an image of one channel, as the window makes a layer of each; colours stay together.

    Parameters
    ----------
    image : Image
    channel : int, optional
        Which; None, or where there are fewer: the last, which is that which is selected when a file was opened.
    """
    if "C" not in image.axes or is_rgb(image):
        return image
    last = image.n_channels - 1
    channel = last if channel is None else min(channel, last)
    axis = image.axes.index("C")
    data = image.data[(slice(None),) * axis + (channel,)]
    name = image.name
    if image.n_channels > 1:
        name = f"{name} {image.channel_names[channel] if image.channel_names else f'channel {channel + 1}'}"
    return replace(image, data=data, axes=image.axes.replace("C", ""), channel_names=(), name=name)
