"""Normalisation of intensities, by statistics of the whole image and never of a tile or crop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Normalization(BaseModel):
    """How intensities are normalised; part of the model file.

    Attributes
    ----------
    method : {"percentile", "mean_std", "none"}
        ``"percentile"`` maps the low percentile to 0 and the high one to 1; ``"mean_std"`` the mean to 0 and a
        standard deviation above it to 1.
    low, high : float
        Percentiles.
    per_channel : bool
        Whether each channel has its own statistics, or all have common ones, which keeps the hue of colours.
    clip : tuple of float
        Range that normalised values are clipped to, because of single hot pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["percentile", "mean_std", "none"] = "percentile"
    low: float = Field(1.0, ge=0, le=100)
    high: float = Field(99.8, ge=0, le=100)
    per_channel: bool = False
    clip: tuple[float, float] = (-1.0, 4.0)

    @model_validator(mode="after")
    def _check(self) -> Normalization:
        if not self.low < self.high:
            raise ValueError(f"the low percentile, {self.low:g}, is not below the high one, {self.high:g}")
        low, high = self.clip
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"the range that values are cut to, {low:g} to {high:g}, is empty or endless")
        return self


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of an image that normalise it: offset and range of each channel."""

    offset: tuple[float, ...]
    span: tuple[float, ...]


def measure(image: NDArray[Any], normalization: Normalization) -> Statistics:
    """Return the statistics of an image.

    Parameters
    ----------
    image : ndarray, axes (C, ...)
        The whole image, or an even sample of its pixels. Pixels that are not finite are left out.
    normalization : Normalization
        Which percentiles.
    """
    channels = len(image)
    if normalization.method == "none":
        return Statistics((0.0,) * channels, (1.0,) * channels)
    groups = list(image) if normalization.per_channel else [image]
    offsets, spans = [], []
    for values in groups:
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if not values.size or values.dtype.kind == "b":
            low, high = 0.0, 1.0
        elif normalization.method == "mean_std":
            low = float(values.mean(dtype=np.float64))
            high = low + float(values.std(dtype=np.float64))
        else:
            low, high = (float(v) for v in np.percentile(values, [normalization.low, normalization.high]))
            if high <= low:  # nearly all pixels are equal: take the full range, so that the others can be seen
                low, high = float(values.min()), float(values.max())
        offsets.append(low)
        spans.append(high - low if high > low else 1.0)
    if not normalization.per_channel:
        offsets, spans = offsets * channels, spans * channels
    return Statistics(tuple(offsets), tuple(spans))


def normalize(block: NDArray[Any], statistics: Statistics, normalization: Normalization) -> NDArray[np.float32]:
    """Return a block (C, ...) of an image as float32, normalised; pixels that are not finite become 0.

    A block gives the same values as that part of the whole image.
    """
    trailing = (-1, *[1] * (block.ndim - 1))
    offset = np.array(statistics.offset, np.float64).reshape(trailing)
    span = np.array(statistics.span, np.float64).reshape(trailing)
    # In double precision first: a 32-bit image may have a large offset. The result is float32 again.
    values = ((block.astype(np.float64) - offset) / span).astype(np.float32)
    if block.dtype.kind == "f":
        np.nan_to_num(values, copy=False, nan=0.0, posinf=normalization.clip[1], neginf=normalization.clip[0])
    if normalization.method != "none":
        np.clip(values, *normalization.clip, out=values)
    return values
