"""Samples made of those that there are: objects pasted elsewhere, and small ones that nobody touched left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_unet.objects.boxes import grown
from napari_unet.tiling.engine import predict_maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.models.model import Model
    from napari_unet.training.samples import Sample

RIM = 3
"""Pixels around an object that are pasted with it, less and less."""

EMPTY = 0.2
"""Probability of the foreground, by the old model, below which there is room for an object."""

COPIES = 12
"""Objects that are pasted into a sample, at most, each at a place of its own."""

SMALL = 1 / 3
"""Share of the area of the smallest known object below which one that nobody touched counts as none."""

WEAK = 0.3
"""How much a pixel of these counts, where a corrected one counts 1."""


def pasted(samples: Sequence[Sample], model: Model) -> list[Sample]:
    """Return the samples, and of each in which something is unknown another with its objects pasted in empty places.

    The rim of an object is blended with what is there, and its brightness is moved by the difference of the two
    backgrounds. Half of the patches of such an image are drawn from the new sample. After Ghiasi et al. 2021
    (doi:10.1109/CVPR46437.2021.00294), with the rims of Dwibedi et al. 2017 (doi:10.1109/ICCV.2017.146).
    """
    found = []
    for sample in samples:
        other = None if sample.supervised.all() else _with_copies(sample, _foreground(sample, model) < EMPTY)
        found += [sample] if other is None else [replace(one, weight=sample.weight / 2) for one in (sample, other)]
    return found


def small_ones_left(samples: Sequence[Sample], model: Model) -> list[Sample]:
    """Return the samples, where what the model takes for an object counts as background, weakly, if it is too small.

    That is: nobody touched it, and it is far smaller than all known objects (positive-unlabelled learning).
    """
    found = []
    for sample in samples:
        known = sample.supervised[0] > 0
        areas = np.bincount(_objects(sample).ravel())[1:]
        if known.all() or not len(areas):
            found.append(sample)
            continue
        numbers, _ = ndimage.label(_foreground(sample, model) > 0.5)
        sizes = np.bincount(numbers.ravel())
        touched = np.unique(numbers[known])
        small = (sizes < SMALL * areas.min()) & ~np.isin(np.arange(len(sizes)), touched)
        small[0] = False
        where = small[numbers]
        targets, supervised = sample.targets.copy(), sample.supervised.astype(np.float16)
        targets[0, where], supervised[0, where] = 0, WEAK
        found.append(replace(sample, targets=targets, supervised=supervised))
    return found


def _objects(sample: Sample) -> NDArray[np.int32]:
    """Return the known objects, numbered; those that touch count as one."""
    numbers, _ = ndimage.label((sample.targets[0] > 0.5) & (sample.supervised[0] > 0))
    return np.asarray(numbers, np.int32)


def _foreground(sample: Sample, model: Model) -> NDArray[np.float32]:
    """Return the foreground by the old model."""
    maps = predict_maps(model.net, sample.image.astype(np.float32))
    return np.asarray(maps[0])


def _with_copies(sample: Sample, empty: NDArray[np.bool_]) -> Sample | None:
    """Return the sample with its objects pasted into empty places; None: there is no object, or no place."""
    numbers, rng = _objects(sample), np.random.default_rng(0)
    boxes = ndimage.find_objects(numbers)
    image, targets = sample.image.astype(np.float32), sample.targets.copy()
    supervised, free = sample.supervised.copy(), empty & (sample.targets[0] < 0.5)
    flows = range(0) if sample.flows is None else range(sample.flows, sample.flows + numbers.ndim)
    focus = []
    for turn in range(COPIES if boxes else 0):
        label = turn % len(boxes) + 1
        box = grown(boxes[label - 1], RIM, numbers.shape)
        shape = numbers[box].shape
        mine = numbers[box] == label
        # where all of the box is free
        room = ndimage.minimum_filter(free.astype(np.uint8), shape, origin=[-((n - 1) // 2) for n in shape], cval=0)
        places = np.argwhere(room[tuple(slice(0, n - m + 1) for n, m in zip(room.shape, shape, strict=True))])
        if not len(places):
            continue
        place = places[rng.integers(len(places))]
        there = tuple(slice(at, at + n) for at, n in zip(place, shape, strict=True))
        around = ndimage.binary_dilation(mine, iterations=RIM)
        alpha = np.clip(1 - ndimage.distance_transform_edt(~mine) / (RIM + 1), 0, 1)
        rim = around & ~mine
        for channel, piece in enumerate(sample.image):
            shift = image[channel][there][rim].mean() - piece[box][rim].mean() if rim.any() else 0.0
            image[channel][there] += alpha * (piece[box] + shift - image[channel][there])
        for index in range(len(targets)):
            targets[index][there] = np.where(mine, sample.targets[index][box], np.where(rim, 0, targets[index][there]))
            supervised[index][there] = np.where(mine, sample.supervised[index][box], supervised[index][there])
            if index not in flows:  # there is no flow in the background
                supervised[index][there] = np.where(rim, sample.supervised[0].max(), supervised[index][there])
        free[there] = False
        focus.append(place + np.array(shape) // 2)
    if not focus:
        return None
    chosen = np.array(focus)[rng.integers(len(focus), size=256)]
    return replace(sample, image=image, targets=targets, supervised=supervised, focus=chosen)
