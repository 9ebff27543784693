"""Decoding: predicted maps -> labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from napari_unet.objects.basins import prominent_basins
from napari_unet.objects.flows import FLOWS, group_by_flow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_SHALLOW = 0.25
"""Distance to the background, pixels, below which depths are not told apart; a logarithm needs a least one."""


class Decoding(BaseModel):
    """Settings for decoding maps to labels; part of the model file.

    Attributes
    ----------
    foreground : float
        Foreground probability above which a pixel belongs to an object.
    seeds : {"distance", "boundary", "flows", "shape"}
        What separates touching objects: peaks of the distance map, peaks of the foreground minus the boundary map, the
        ends of the paths of pixels along the flow field, or necks of the foreground itself, which a network learns
        first (docs/decisions/0037-shape.md).
    prominence : float
        Smallest height of a peak above the saddle to a higher one (`objects.basins`). Of shapes by how much narrower a
        neck is than the parts on both sides, as a natural logarithm: 0.1 is a tenth. Not used with flows.
    seed_threshold : float
        A lower peak does not become an object of its own beside another one. Not used with flows and shapes.
    smoothing : float
        Standard deviation, in pixels, of the Gaussian that smooths the maps that separate objects.
    sink_radius : int
        Pixels around the end of a path along the flow field within which the ends of other paths belong to the same
        object. Only used with flows.
    min_size : int
        Objects of fewer pixels are dropped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    foreground: float = Field(0.5, gt=0, lt=1)
    seeds: Literal["distance", "boundary", "flows", "shape"] = "distance"
    prominence: float = Field(0.1, ge=0, lt=1)
    seed_threshold: float = Field(0.3, ge=0, lt=1)
    smoothing: float = Field(1.0, ge=0, le=100)
    sink_radius: int = Field(2, ge=0, le=100)
    min_size: int = Field(12, ge=0, le=10**9)

    def needs(self, ndim: int) -> tuple[str, ...]:
        """Return the names of the maps that separate touching objects."""
        return {"flows": FLOWS[ndim], "shape": ("foreground",)}.get(self.seeds, (self.seeds,))

    def at_scale(self, zoom: tuple[float, ...]) -> Decoding:
        """Return the settings for maps that were computed at `zoom` times the size of the image, and resized back."""
        if not zoom:
            return self
        pixels = math.prod(zoom)
        return self.model_copy(
            update={
                "smoothing": self.smoothing / pixels ** (1 / len(zoom)),
                "min_size": round(self.min_size / pixels),
            }
        )


def decode_instances(
    maps: NDArray[Any], outputs: Sequence[str], decoding: Decoding, zoom: tuple[float, ...] = ()
) -> NDArray[np.int32]:
    """Return one id for each object in the predicted maps.

    With flows, pixels whose paths end together are one object; otherwise an object is the watershed basin of a
    prominent peak, within the foreground. The peaks of shapes are those of the distance to the background.

    Parameters
    ----------
    maps : ndarray of float, axes (K, [Z,] Y, X), probabilities 0..1
    outputs : sequence of str
        Names of the K maps; "foreground" and those that `decoding.seeds` needs must be among them.
    decoding : Decoding
        Thresholds.
    zoom : tuple of float
        How many times as large as the image the maps were, along each axis, before they were resized; () for 1.

    Returns
    -------
    ndarray of int32, axes ([Z,] Y, X)
        Ids 1, 2, ... without gaps; 0 is background.
    """
    named = dict(zip(outputs, maps, strict=True))
    mask = named["foreground"] > decoding.foreground
    if not mask.any():  # most blocks of a sparse volume
        return np.zeros(mask.shape, np.int32)
    if decoding.seeds == "flows":
        # Lengths are in pixels of the network's input; here they are in pixels of the image, which differ by axis.
        pixels = [1 / z for z in zoom or (1.0,) * mask.ndim]
        flows = np.stack([p * (2 * named[name] - 1) for p, name in zip(pixels, FLOWS[mask.ndim], strict=True)])
        smoothing, sink_radius = ([length * p for p in pixels] for length in (decoding.smoothing, decoding.sink_radius))
        return drop_small(group_by_flow(flows, mask, smoothing, sink_radius), decoding.at_scale(zoom).min_size)
    at_scale = decoding.at_scale(zoom)
    least = -np.inf if decoding.seeds == "shape" else decoding.seed_threshold
    labels = prominent_basins(_middles(named, mask, at_scale, zoom), mask, decoding.prominence, least)
    return drop_small(labels, at_scale.min_size)


def _middles(
    named: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_], decoding: Decoding, zoom: tuple[float, ...]
) -> NDArray[Any]:
    """Return what is high in the middles of objects and low between them, with the settings at this scale."""
    if decoding.seeds == "shape":
        middle = _depths(mask, zoom)
    else:
        middle = named["distance"] if decoding.seeds == "distance" else named["foreground"] - named["boundary"]
    if decoding.smoothing:
        middle = ndimage.gaussian_filter(middle, decoding.smoothing)
    return np.log(np.maximum(middle, _SHALLOW)) if decoding.seeds == "shape" else middle


def _depths(mask: NDArray[np.bool_], zoom: tuple[float, ...]) -> NDArray[np.float64]:
    """Return how far each pixel lies from the background, in pixels of the network."""
    if mask.all():  # there is no background, so what lies outside the image is
        return _depths(np.pad(mask, 1), zoom)[(slice(1, -1),) * mask.ndim]
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=zoom or None), np.float64)


def decode_classes(maps: NDArray[Any]) -> NDArray[np.int32]:
    """Return the most probable class of each pixel, axes (K, [Z,] Y, X) -> ([Z,] Y, X); class 0 is background."""
    return np.asarray(np.argmax(maps, axis=0), np.int32)


def drop_small(labels: NDArray[Any], min_size: int) -> NDArray[np.int32]:
    """Return the labels without objects of fewer than `min_size` pixels, numbered 1, 2, ... without gaps."""
    counts = np.bincount(labels.ravel())
    keep = counts >= max(1, min_size)
    keep[0] = False
    new_ids = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(new_ids[labels])
