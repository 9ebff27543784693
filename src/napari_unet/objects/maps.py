"""The maps of a network by their names, and what they say about where one object ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.objects.flows import FLOWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMOOTHING = 0.7
"""Standard deviation, pixels of the network, of the Gaussian that smooths maps by which objects are told apart."""

CONTRAST_OF_MIDDLES = (4.0, 8.0)
"""Logarithm of how many times as much a pixel costs at a border as in a middle: with a flow field, and without one."""

CONTRAST_OF_SHAPE = 2.0
"""The same, where there are no maps, of a pixel at the outline for the innermost one."""

CONTRAST_OF_FLOWS = 4.0
"""The same, of a pixel that flows part at, for one where they are parallel.

These were chosen on 331 pairs of touching objects of training images (nuclei_bbbc039, nuclei_tissue_bsst265,
cells_phase_t98g), made one and split again by a click in each: both parts came to an intersection over union of 0.75 in
95, 93 and 89 % of them; by a watershed of the distance map in 88, 83 and 78 %.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Maps of the same pixels as some labels.

    Attributes
    ----------
    values : ndarray of float, axes (K, [Z,] Y, X)
        Probabilities 0..1, of any data type and on any medium, as long as it can be sliced as NumPy's arrays can.
    outputs : tuple of str
        The names of the K maps, as in `ModelInfo.outputs`.
    zoom : tuple of float
        Of maps that were made at another scale and brought back: how many times as large they were, along each axis, as
        for `decode.decode_instances`. A length that is the network's is 1 / zoom times as many pixels here.
    """

    values: Any
    outputs: tuple[str, ...]
    zoom: tuple[float, ...] = ()

    def within(self, box: tuple[slice, ...]) -> Maps:
        """Return the maps of a box ([Z,] Y, X), as float32 in memory."""
        return Maps(np.asarray(self.values[(slice(None), *box)], np.float32), self.outputs, self.zoom)

    def plane(self, z: int) -> Maps:
        """Return the maps (K, Y, X) of one slice of a volume."""
        return Maps(self.values[:, z], self.outputs, self.zoom[-2:])

    def named(self, name: str) -> NDArray[np.float32] | None:
        """Return one map ([Z,] Y, X); None if there is none of that name."""
        if name not in self.outputs:
            return None
        return np.asarray(self.values[self.outputs.index(name)], np.float32)

    def in_pixels(self, length: float) -> tuple[float, ...]:
        """Return how many pixels a length of the network's is along each axis ([Z,] Y, X)."""
        return tuple(length / z for z in self.zoom) or (length,) * (np.ndim(self.values) - 1)

    def middles(self) -> NDArray[np.float32] | None:
        """Return what is high in the middles of objects and low at their borders ([Z,] Y, X), about 0..1.

        The distance map; else the foreground less the boundary map; None where there is no foreground either.
        """
        if (distance := self.named("distance")) is not None:
            return distance
        foreground, boundary = self.named("foreground"), self.named("boundary")
        return foreground if foreground is None or boundary is None else foreground - boundary

    def divergence(self) -> NDArray[np.float32] | None:
        """Return how much the flow field parts at each pixel ([Z,] Y, X), -1..1; None if there is no flow field.

        It is positive on the border between two objects, from where flows lead to either middle, and negative in
        middles: how much flows change on a pixel of the network. What a model of planes says of the slices of a volume
        is its divergence within the slices.
        """
        parts = []
        for axis, name in zip((-3, -2, -1), FLOWS[3], strict=True):
            flow = self.named(name)
            if flow is not None and flow.shape[axis] > 1:
                parts.append(self.in_pixels(1)[axis] * np.gradient(2 * flow - 1, axis=axis))
        return np.clip(np.sum(parts, axis=0), -1, 1).astype(np.float32) if parts else None


def crossing_cost(maps: Maps | None, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what it costs to cross each pixel ([Z,] Y, X), so that cheap ways stay within one object.

    Parameters
    ----------
    maps : Maps or None
        Of the same pixels, with some pixels around the mask, if there are any. None: how far a pixel lies within the
        mask takes the place of the maps.
    mask : ndarray of bool, axes ([Z,] Y, X)
        The pixels that are to be divided among objects.

    Returns
    -------
    ndarray of float32, axes ([Z,] Y, X), positive
    """
    middles = None if maps is None else maps.middles()
    divergence = None if maps is None else maps.divergence()
    shown = middles is not None
    if middles is None:
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]
        middles = np.asarray(depth / max(float(depth.max()), 1.0), np.float32)
    contrast = CONTRAST_OF_MIDDLES[divergence is None] if shown else CONTRAST_OF_SHAPE
    smoothing = (SMOOTHING,) * mask.ndim if maps is None else maps.in_pixels(SMOOTHING)
    cost = contrast * (1 - ndimage.gaussian_filter(middles, smoothing))
    if divergence is not None:
        cost = cost + CONTRAST_OF_FLOWS * ndimage.gaussian_filter(divergence, smoothing)
    return np.asarray(np.exp(np.clip(cost, -20, 20)), np.float32)
