"""Which channels of a file are one image: colours are, and each other channel is one of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_unet.axes import Image


def is_rgb(image: Image) -> bool:
    """Return whether the channels are a pixel's red, green and blue: three, the last axis, without names."""
    small = np.dtype(image.data.dtype) in (np.uint8, np.uint16)
    return image.is_colour and small and not image.channel_names


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
