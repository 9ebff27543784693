"""Objects that are missing: what the maps suggest at a point, or an outline where they know nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_unet.errors import EditError
from napari_unet.objects.basins import prominent_basins
from napari_unet.objects.boxes import box_around, grown
from napari_unet.objects.edits import MIN_SIZE, Edit, largest_piece, next_id, pixels
from napari_unet.objects.flows import FLOWS, group_by_flow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from napari_unet.objects.maps import Maps

SENSITIVITY = 0.9
"""What is suggested has a foreground probability of 1 less this, at least, at its clearest place."""

WINDOW = 3.0
"""How far around a point is looked, in typical radii."""

REACH = 0.4
"""How far from a point the clearest place of what it means may lie, in typical radii."""

LEVELS, HIGHEST, LOWEST = 16, 0.95, 0.3
"""How many outlines come into question, and the first and the last of them: where the foreground falls to these shares
of what it is at its clearest place; the last is a share of the decoding's threshold besides."""

TYPICAL_THRESHOLD = 1.2
"""The threshold that is taken unless the size speaks against it, as a share of the decoding's."""

SIZE_SPREAD = 0.7
"""Standard deviation of the logarithm of objects' sizes, against which half the threshold weighs as log 2."""

FLOW_SMOOTHING, FLOW_MEETING, PROMINENCE = 1.5, 2.0, 0.15
"""What tells an object from one beside it that is missing too: flows, or without them middles; see `decode.Decoding`.

All of these were chosen on objects of training images (nuclei_bbbc039, nuclei_tissue_bsst265, cells_phase_t98g) that
were taken away, 300 at random and 184 that the network had not found, by the share suggested with an IoU of 0.75.
"""

SMOOTHING = 0.7
"""Standard deviation, pixels of the network, of the Gaussian that smooths outlines."""

STEP = 1.08
"""How many times as large a suggestion becomes, at least, from step to step."""

_FINE = {2: 20.0, 3: 8.0}  # typical radius, pixels, up to which outlines are sought in all pixels, else in blocks


@dataclass(frozen=True, slots=True, eq=False)
class Suggestion:
    """An object that the maps suggest.

    Attributes
    ----------
    box : tuple of slice
        Where, ([Z,] Y, X).
    mask : ndarray of bool
        Its pixels within the box.
    """

    box: tuple[slice, ...]
    mask: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Number of its pixels."""
        return int(np.count_nonzero(self.mask))


def suggested(
    maps: Maps | None,
    labels: NDArray[Any],
    point: Sequence[float],
    typical_size: float,
    *,
    foreground: float = 0.5,
    sensitivity: float = SENSITIVITY,
    grow: int = 0,
    protected: NDArray[np.bool_] | None = None,
    min_size: int = MIN_SIZE,
) -> Suggestion | None:
    """Return the object that the maps suggest at a point.

    Parameters
    ----------
    maps : Maps or None
        Of the same pixels as the labels.
    labels : ndarray of int, axes ([Z,] Y, X)
        Objects that there are; no suggestion reaches into them.
    point : sequence of float
        Coordinates ([z,] y, x).
    typical_size : float
        Pixels of the objects in the image, for instance the median of those corrected.
    foreground : float
        The threshold of the model's decoding (`decode.Decoding.foreground`): a model whose outlines are right at a low
        one has them there for a faint object, too.
    sensitivity : float
        From 0 to 1: an object is suggested where the foreground is at least 1 less this.
    grow : int
        Steps by which it is larger than what the maps suggest, or smaller if negative. Each step contains the one
        before.
    protected : ndarray of bool, axes ([Z,] Y, X), optional
        Pixels that it leaves out, besides those of objects: what somebody has made background.
    min_size : int
        Pixels that it has at least.

    Returns
    -------
    Suggestion or None
        One piece; None on an object, and where the maps know of nothing.

    Raises
    ------
    EditError
        If the point lies outside the image.
    """
    place = pixels([point], labels.shape)[0]
    if maps is None or "foreground" not in maps.outputs or labels[tuple(place)] != 0:
        return None
    radius = _radius(max(typical_size, 1.0), labels.ndim)
    reach = math.ceil(WINDOW * radius) + 4
    box = grown(tuple(slice(int(p), int(p) + 1) for p in place), reach, labels.shape)
    free = labels[box] == 0
    if protected is not None:
        free &= ~protected[box]
    window = _Window(maps.within(box), free, place - [s.start for s in box], radius, foreground)
    if window.peak < max(1 - sensitivity, 1e-3):
        return None
    mask = window.outlined(typical_size, min_size, grow)
    found = None if mask is None else box_around(mask)
    if mask is None or found is None or np.count_nonzero(mask) < min_size:
        return None
    return Suggestion(
        tuple(slice(b.start + f.start, b.start + f.stop) for b, f in zip(box, found, strict=True)), mask[found]
    )


def added(
    labels: NDArray[Any],
    mask: NDArray[np.bool_],
    new_id: int | None = None,
    *,
    box: tuple[slice, ...] | None = None,
    protected: NDArray[np.bool_] | None = None,
    min_size: int = MIN_SIZE,
) -> Edit:
    """Make a new object of the free pixels of a mask, of the largest piece of them that hangs together.

    Parameters
    ----------
    labels : ndarray of int, axes ([Z,] Y, X)
    mask : ndarray of bool, axes ([Z,] Y, X)
        Of the box, or of the whole image: a suggestion's, or a stroke.
    new_id : int, optional
        The next free id; None: one more than the largest.
    box : tuple of slice, optional
        Where the mask lies.
    protected : ndarray of bool, axes ([Z,] Y, X), optional
        Pixels of the background that stay as they are.
    min_size : int
        Pixels that the object has at least.

    Raises
    ------
    EditError
        If too little of the mask is free.
    """
    if box is None:
        found = box_around(mask)
        if found is None:
            raise EditError("There is nothing to add here.")
        box, mask = found, mask[found]
    free = mask & (labels[box] == 0)
    if protected is not None:
        free &= ~protected[box]
    new = largest_piece(free)
    size = int(np.count_nonzero(new))
    if not size and mask.any():
        raise EditError("There is an object here already. Add a new one beside it.")
    if size < max(1, min_size):
        raise EditError(f"A new object of {size} pixels is too small; the least is {min_size}.")
    label = next_id(labels, new_id)
    return Edit.of(labels, box, np.where(new, label, labels[box].astype(np.int64)), "There is nothing to add.", [label])


def added_outline(
    labels: NDArray[Any], outline: ArrayLike, new_id: int | None = None, *, min_size: int = MIN_SIZE
) -> Edit:
    """Make a new object of what lies within an outline, as far as no other object has it.

    Parameters
    ----------
    labels : ndarray of int, axes (Y, X)
        One slice of a volume: an outline lies in a plane (`Edit.in_slice`).
    outline : array-like of float, axes (n, 2)
        Points y, x in their order; what lies outside the image is left out.
    new_id, min_size
        As for `added`.

    Raises
    ------
    EditError
        If too little of it is free, or lies in the image.
    """
    from skimage.draw import polygon2mask

    points = np.asarray(outline, np.float64).reshape(-1, 2)
    if labels.ndim != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise EditError("An outline needs three points at least, in one plane.")
    low = np.clip(np.floor(points.min(0)).astype(int), 0, labels.shape)
    high = np.clip(np.ceil(points.max(0)).astype(int) + 1, 0, labels.shape)
    if (high <= low).any():
        raise EditError("The outline lies outside the image.")
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return added(labels, polygon2mask(tuple(high - low), points - low), new_id, box=box, min_size=min_size)


class _Window:
    """The maps around a point, and the outlines that come into question there."""

    def __init__(
        self, maps: Maps, free: NDArray[np.bool_], place: NDArray[np.intp], radius: float, threshold: float
    ) -> None:
        self.maps, self.free, self.radius, self.threshold = maps, free, radius, threshold
        self.shares = np.geomspace(HIGHEST, min(LOWEST * threshold, HIGHEST / 2), LEVELS)
        foreground = maps.named("foreground")
        assert foreground is not None
        self.foreground = ndimage.gaussian_filter(foreground, maps.in_pixels(SMOOTHING))
        axes = np.ogrid[tuple(slice(0, n) for n in free.shape)]
        away = sum((axis - p) ** 2 for axis, p in zip(axes, place, strict=True))
        near = (np.asarray(away) <= max(1.0, REACH * radius) ** 2) & free
        middles = maps.middles()
        clear = self.foreground + (0 if middles is None else ndimage.gaussian_filter(middles, maps.in_pixels(1)))
        core = np.unravel_index(int(np.where(near, clear, -np.inf).argmax()), free.shape)
        self.core = tuple(int(i) for i in core)
        self.peak = float(self.foreground[self.core]) if near.any() else 0.0

    def outlined(self, typical_size: float, min_size: int, grow: int) -> NDArray[np.bool_] | None:
        """Return the mask so many steps from the most likely one, None if there is none.

        Masks of lower thresholds contain those of higher ones. Beyond the last, each step is one pixel around.
        """
        factor = math.ceil(self.radius / _FINE[self.free.ndim])
        foreground, own, core = self._own(factor)
        levels = self.peak * self.shares
        masks = [_piece((foreground > level) & own, core) for level in levels]
        sizes = np.array([np.count_nonzero(mask) for mask in masks], float) * factor**foreground.ndim
        if not (sizes >= max(1, min_size)).any():
            return None
        steps, best = _steps(sizes, self.shares / (TYPICAL_THRESHOLD * self.threshold), typical_size, min_size)
        index = best + grow
        chosen = steps[min(max(index, 0), len(steps) - 1)]
        mask = self._fine(masks[chosen], levels[chosen], factor)
        if index >= len(steps):
            return np.asarray(ndimage.binary_dilation(mask, iterations=index - len(steps) + 1, mask=self.free))
        return mask if index >= 0 else _peeled(mask, -index)

    def _own(self, factor: int) -> tuple[NDArray[np.float32], NDArray[np.bool_], tuple[int, ...]]:
        """Return the foreground, the pixels that are not a neighbour's, and the core, all in blocks of pixels."""
        from skimage.measure import block_reduce

        def coarse(values: NDArray[Any], how: Any) -> NDArray[Any]:
            return values if factor == 1 else np.asarray(block_reduce(values, (factor,) * values.ndim, how))

        foreground = np.asarray(coarse(self.foreground, np.mean), np.float32)
        free = np.asarray(coarse(self.free, np.max), bool)
        core = tuple(i // factor for i in self.core)
        low = (foreground > self.peak * self.shares[-1]) & free
        low[core] = True
        flows = [self.maps.named(name) for name in FLOWS[foreground.ndim]]
        if all(flow is not None for flow in flows):
            pixels_of = [p / factor for p in self.maps.in_pixels(1)]
            field = np.stack(
                [
                    p * (2 * coarse(flow, np.mean) - 1)
                    for p, flow in zip(pixels_of, flows, strict=True)
                    if flow is not None
                ]
            ).astype(np.float32)
            smoothing, meeting = ([length * p for p in pixels_of] for length in (FLOW_SMOOTHING, FLOW_MEETING))
            groups = group_by_flow(field, low, smoothing, meeting)
            return foreground, groups == groups[core], core
        middles = self.maps.middles()
        assert middles is not None
        heights = ndimage.gaussian_filter(coarse(middles, np.mean), [p / factor for p in self.maps.in_pixels(1)])
        basins = prominent_basins(heights, low, PROMINENCE)
        return foreground, basins == basins[core], core

    def _fine(self, mask: NDArray[np.bool_], level: float, factor: int) -> NDArray[np.bool_]:
        """Return a mask of blocks as one of pixels, with holes filled that no object has."""
        if factor > 1:
            for axis in range(mask.ndim):
                mask = mask.repeat(factor, axis)
            mask = mask[tuple(slice(0, n) for n in self.free.shape)]
            near = ndimage.binary_dilation(mask, iterations=factor)
            mask = near & (self.foreground > level)
        filled = ndimage.binary_fill_holes(_piece(mask & self.free, self.core)) & self.free
        return _piece(filled, self.core)


def _piece(mask: NDArray[np.bool_], core: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the piece of a mask that a pixel lies in; nothing if it lies in none."""
    if not mask[core]:
        return np.zeros_like(mask)
    pieces, _ = ndimage.label(mask)
    return np.asarray(pieces == pieces[core])


def _steps(
    sizes: NDArray[np.float64], shares: NDArray[np.float64], typical_size: float, min_size: int
) -> tuple[list[int], int]:
    """Return the thresholds that differ enough to be steps, by their index, and which of these steps is most likely.

    `shares` are the thresholds as shares of the one that is taken where the size does not speak against it.
    """
    there = sizes >= max(1, min_size)
    score = -np.abs(np.log(shares))
    score -= np.log(np.maximum(sizes, 1) / typical_size) ** 2 / (2 * SIZE_SPREAD**2)
    best = int(np.where(there, score, -np.inf).argmax())
    steps = [best]
    for others in (range(best + 1, len(sizes)), range(best - 1, -1, -1)):
        last = sizes[best]
        for index in others:
            if there[index] and max(sizes[index], last) >= STEP * min(sizes[index], last):
                steps.append(index)
                last = sizes[index]
    steps.sort()
    return steps, steps.index(best)


def _peeled(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Return a mask without so many pixels around, but never without its innermost one."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]
    innermost = tuple(int(i) for i in np.unravel_index(int(depth.argmax()), depth.shape))
    return _piece(depth > min(width, depth.max() - 1e-6), innermost)


def _radius(size: float, ndim: int) -> float:
    """Return the radius of the disc, or of the ball, of so many pixels."""
    return math.sqrt(size / math.pi) if ndim == 2 else (0.75 * size / math.pi) ** (1 / 3)
