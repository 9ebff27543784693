"""What may be wrong in a result, told from the result alone: the seconds that correcting it is expected to take.

Four errors show in the maps and the objects that were made of them. An object that the network was unsure of may be
none, or end elsewhere. One that is large beside the others may be several. Two between which the map of middles hardly
sinks may be one. Foreground that was not enough for an object may be one that was missed. How likely each is, follows
from one measured property by a logistic curve; the curves were fitted to what was wrong with the objects that the model
`nuclei` finds in training images of its own (`napari-unet benchmark where_next` tells how well that carries over).
What the curves say of an object with nothing remarkable is taken off, so that nothing is suggested where a network is
sure.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.special import expit

from napari_unet.guidance.effort import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


class Suspicion(IntEnum):
    """What may be wrong."""

    UNSURE = 0  # no object, or one that ends elsewhere; or another class
    MERGED = 1
    SPLIT = 2
    MISSED = 3


CURVES = {Suspicion.UNSURE: (-2.6, 15.0), Suspicion.MERGED: (-2.9, 2.8), Suspicion.SPLIT: (-5.0, 4.1)}
"""Log-odds that an object is wrong in that way: with nothing remarkable, and what is added for each 1 of

- the mean uncertainty in it, 0 (all its pixels certain) to 1 (all foreground probabilities one half)
- the logarithm of its size, as a multiple of the median
- how far the map of middles rises again at its border with a neighbour, 0..1, as a share of the lower of their peaks
"""

_MIN_FOREGROUND = 0.1
"""Foreground probability below which there is none: over a large image, little ones would sum up."""

_MIN_PEAK = 0.05
"""Least height of a peak of the map of middles, 0..1: a lower one is taken for as high."""

_SMOOTHING = 0.5
"""Standard deviation, in blocks, of the Gaussian that smooths that map: a pixel, as decoding does."""

_PIXELS_PER_BLOCK = 4
"""In a block of 2 x 2, of which the first stands for all."""

_DEFAULT_AREA = 80.0
"""Blocks of an object, about 20 pixels wide, where there is none to compare with."""

_IN_PLANE = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)


def seconds_to_correct(
    maps: NDArray[np.float32], labels: NDArray[Any], outputs: Sequence[str], effort: Effort | None = None
) -> NDArray[np.float32]:
    """Return the expected seconds of correcting, spread over what may be wrong.

    Parameters
    ----------
    maps : ndarray of float32, axes (K, Z, Y, X), probabilities 0..1
    labels : ndarray of int, axes (Z, Y, X)
        The objects that were made of them, ids 1, 2, ...; not used where the maps are those of classes.
    outputs : sequence of str
        Names of the maps: "foreground" is among them, or all of them are classes.
    effort : Effort, optional
        What correcting costs.

    Returns
    -------
    ndarray of float32, axes (suspicions, Z, Y, X), at half the size along Y and X
        In the order of `Suspicion`. Of an object of a volume, the seconds of each of its slices.
    """
    effort = effort or Effort()
    found = np.zeros((len(Suspicion), maps.shape[1], *(-(-n // 2) for n in maps.shape[2:])), np.float32)
    if "foreground" not in outputs:
        sure = (maps.max(axis=0) * len(maps) - 1) / max(1, len(maps) - 1)
        found[Suspicion.UNSURE] = (1 - halved(sure, np.maximum)) * (_PIXELS_PER_BLOCK / (effort.brush * effort.speed))
        return found
    foreground, ids = (planes[:, ::2, ::2] for planes in (maps[outputs.index("foreground")], labels))
    number = int(labels.max(initial=0)) + 1
    size = np.bincount(ids.ravel(), minlength=number)
    there = size > 0
    there[0] = False
    n, usual_size = np.maximum(size, 1), float(np.median(size[there])) if there.any() else _DEFAULT_AREA
    area = n / _slices(ids, number)  # of the outline in one slice; an object of a volume is corrected slice by slice
    usual = float(np.median(area[there])) if there.any() else _DEFAULT_AREA
    around, usual_around = (2 * np.sqrt(np.pi * _PIXELS_PER_BLOCK * a) for a in (area, usual))
    uncertainty = np.bincount(ids.ravel(), 1 - np.abs(2 * foreground - 1).ravel(), number) / n
    seconds = {
        Suspicion.UNSURE: _risk(Suspicion.UNSURE, uncertainty) * _strokes(effort, around / 2),
        Suspicion.MERGED: _risk(Suspicion.MERGED, np.log(n / usual_size)) * _strokes(effort, usual_around / np.pi, 2),
    }
    if "distance" in outputs:
        rise = _rise(maps[outputs.index("distance")][:, ::2, ::2], ids, number)
        seconds[Suspicion.SPLIT] = _risk(Suspicion.SPLIT, rise) * effort.clicks(2) / 2  # half for each of the two
    for kind, of_object in seconds.items():
        found[kind] = np.where(there, of_object / area, 0).astype(np.float32)[ids]
    # As many objects were missed as the probabilities sum up to; what lies beside an object is its own outline.
    free = ~ndimage.binary_dilation(ids > 0, _IN_PLANE) & (foreground > _MIN_FOREGROUND)
    found[Suspicion.MISSED][free] = foreground[free] * (_strokes(effort, usual_around) / usual)
    return found


def halved(planes: NDArray[np.float32], join: Callable[..., NDArray[np.float32]] | None = None) -> NDArray[np.float32]:
    """Return planes (Z, Y, X) at half their size: blocks of 2 x 2 pixels, joined in pairs; by default, their means."""
    even = np.pad(planes, [(0, n % 2 if axis else 0) for axis, n in enumerate(planes.shape)], "edge")
    rows = (join or _mean)(even[:, ::2], even[:, 1::2])
    return (join or _mean)(rows[:, :, ::2], rows[:, :, 1::2])


def _mean(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return (a + b) * np.float32(0.5)


def _risk(kind: Suspicion, measured: NDArray[Any]) -> NDArray[np.float64]:
    """Return how much more probable an error is than in an object with nothing remarkable."""
    usual, slope = CURVES[kind]
    return np.asarray(np.maximum(expit(usual + slope * measured) - expit(usual), 0))


def _strokes(effort: Effort, length: NDArray[Any] | float, number: int = 1) -> Any:
    return effort.clicks(number) + length / effort.speed


def _slices(ids: NDArray[Any], number: int) -> NDArray[np.intp]:
    """Return in how many slices each object lies, at least 1."""
    if len(ids) == 1:
        return np.ones(number, np.intp)
    return np.maximum(sum(np.bincount(plane.ravel(), minlength=number) > 0 for plane in ids), 1)


def _rise(middles: NDArray[np.float32], ids: NDArray[Any], number: int) -> NDArray[np.float32]:
    """Return the largest value of a map (Z, Y, X) at each object's borders with others, as a share of their peaks."""
    smooth = ndimage.gaussian_filter(middles, (0, _SMOOTHING, _SMOOTHING))
    peak, rise = np.zeros((2, number), np.float32)
    np.maximum.at(peak, ids.ravel(), smooth.ravel())
    peak = np.maximum(peak, _MIN_PEAK)
    for axis in range(ids.ndim):
        before, after = (np.moveaxis(ids, axis, 0)[part] for part in (np.s_[:-1], np.s_[1:]))
        touching = np.nonzero((before != after) & (before > 0) & (after > 0))
        heights = np.moveaxis(smooth, axis, 0)
        height = np.minimum(heights[:-1][touching], heights[1:][touching])
        pair = before[touching], after[touching]
        share = height / np.minimum(peak[pair[0]], peak[pair[1]])
        for one in pair:
            np.maximum.at(rise, one, share)
    return np.minimum(rise, 1)
