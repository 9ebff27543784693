"""The settings by which files are segmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from napari_unet.axes import PixelSize
    from napari_unet.inference.task import Mode


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """How files are segmented.

    Attributes
    ----------
    axes, series
        As for `io.readers.read_image`.
    pixel_size, channel, device, mode, tile, diameter, flips
        As for `inference.in_memory.segment`; channels of an image that names them by name, too.
    sensitivity, separation, min_size
        As for `inference.adjusting.adjusted`.
    maps : bool
        Whether the network's maps are written, too.
    overwrite : bool
        Whether earlier results may be replaced.
    """

    axes: str | None = None
    pixel_size: PixelSize | None = None
    channel: int | str | None = None
    device: str = "auto"
    mode: Mode = "auto"
    tile: int | None = None
    maps: bool = False
    overwrite: bool = False
    diameter: float | Literal["auto"] | None = None
    flips: bool = False
    series: int | str | None = None
    sensitivity: float | None = None
    separation: float | None = None
    min_size: int | None = None
