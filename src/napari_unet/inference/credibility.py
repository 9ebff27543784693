"""Whether a result is one that a model makes of images that it knows; told without labels.

A model of objects is judged by three things: how far it agrees with itself (`inference.agreement`), how certain it is
where objects are, and whether these have a size that it has learned. A model of classes is judged by the likeness of
the image to its training images (`nets.likeness`), and by how certain it is. How often that is right:
docs/decisions/0027-which-model.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_unet.inference.agreement import disagreements
from napari_unet.inference.policy import DEFAULT_MODEL_CHOICE, ModelChoicePolicy
from napari_unet.inference.scale import rescaled, scaled_shape
from napari_unet.models.normalize import measure
from napari_unet.objects.boxes import absolute
from napari_unet.objects.size import diameters
from napari_unet.objects.stitch import compact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.inference.steps import SubimageDone
    from napari_unet.inference.task import Task
    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model

Doubt = Literal["", "may not fit", "nothing found"]
"""Why the result of a whole image is not credible; empty: nothing speaks against it."""

_COMPARED = {"distance"}
"""Map that tells most about a model of objects, whether objects are told apart by it or not."""


def can_be_judged(info: ModelInfo) -> bool:
    """Return whether the figures hold for a model: no user has taught it, and if it finds objects, it knows how wide.

    What a user has taught a model is judged when it is learned, on what is reviewed (`learning.gate`).
    """
    knows_width = info.diameter is not None or not info.finds_objects
    return knows_width and info.parent is None and not info.is_from_scratch


def estimated_ap(
    maps: NDArray[np.float32],
    labels: NDArray[Any],
    info: ModelInfo,
    zoom: Sequence[float] = (),
    policy: ModelChoicePolicy = DEFAULT_MODEL_CHOICE,
) -> float:
    """Return the AP at IoU 0.50 that a model of objects is expected to have reached, 0..1; 0 where it has found none.

    Parameters
    ----------
    maps : ndarray of float32, axes (K, [Z,] Y, X)
        As the network predicts them, 0..1.
    labels : ndarray of int, axes ([Z,] Y, X)
        The objects found in them.
    info : ModelInfo
    zoom : sequence of float, optional
        Magnification ([Z,] Y, X) by which the network saw the image, where maps and labels have the image's pixels.
    policy : ModelChoicePolicy
    """
    if not labels.any():
        return 0.0
    objects, foreground = compact(labels).astype(np.int32), maps[info.outputs.index("foreground")]
    certainty = 2 * float(foreground[objects > 0].sum()) / float(foreground.sum() + (objects > 0).sum())
    widths = diameters(objects) * (math.sqrt(zoom[-1] * zoom[-2]) if zoom else 1.0)
    typical = float(np.average(widths, weights=widths**2))
    away = abs(math.log(typical / info.diameter)) if info.diameter else 0.0
    disagreement = float(np.median(disagreements(maps, objects, info, tuple(_COMPARED & set(info.outputs)))))
    return _logistic(
        policy.offset
        + policy.disagreement_weight * disagreement
        + policy.certainty_weight * certainty
        + policy.size_weight * away
        + policy.volume_bonus * (info.spec.ndim == 3)
    )


def seems_right(
    maps: NDArray[np.float32],
    labels: NDArray[Any],
    info: ModelInfo,
    zoom: Sequence[float] = (),
    policy: ModelChoicePolicy = DEFAULT_MODEL_CHOICE,
) -> bool:
    """Return whether objects that were found are credible; judged by the part of the result that holds most of them.

    Parameters
    ----------
    maps, labels, info, zoom, policy
        As for `estimated_ap`; of any size.
    """
    box = densest_box(labels > 0, policy.judged_shape[-labels.ndim :])
    return estimated_ap(maps[(slice(None), *box)], labels[box], info, zoom, policy) >= policy.doubtful


def subimage_seems_right(task: Task, done: SubimageDone) -> bool | None:
    """Return whether what was found in a plane or volume is credible; None where nothing is, or can be said of it.

    Classes are judged by the part that holds most of them, read once more.
    """
    info = task.model.info
    if not can_be_judged(info) or not done.labels.any():
        return None
    flat = info.spec.ndim == 2
    maps, labels = (done.maps[:, 0], done.labels[0]) if flat else (done.maps, done.labels)
    if info.finds_objects:
        return seems_right(maps, labels, info, task.zoom)
    policy = DEFAULT_MODEL_CHOICE
    widths = scaled_shape(policy.likeness_shape[-labels.ndim :], [1 / z for z in task.zoom])
    box = densest_box(labels > 0, widths)
    z, y, x = absolute((slice(0, 1), *box) if flat else box, done.region)
    pixels = task.image.read(done.subimage.frame, z, y, x, task.channels)
    block = rescaled(task.model.normalized(pixels, measure(pixels, info.normalization)), task.zoom)
    found = likeness(task.model, block, maps[(slice(None), *box)])
    return None if found is None else found >= policy.doubtful


def likeness(
    model: Model,
    block: NDArray[np.float32],
    maps: NDArray[np.float32],
    policy: ModelChoicePolicy = DEFAULT_MODEL_CHOICE,
) -> float | None:
    """Return how like an image is to those that a model of classes has learned, from 0 to `policy.most_for_classes`.

    None where that cannot be said: the block is smaller than the network can see, or it keeps no features.

    Its features have to be those of the training images, and it has to be certain of the classes.

    Parameters
    ----------
    model : Model
    block : ndarray of float32, axes (C, [Z,] Y, X)
        The image, or a part of it, as the network sees it: normalised and rescaled.
    maps : ndarray of float32, axes (K, [Z,] Y, X)
        Probabilities of the classes that the network predicts for it.
    policy : ModelChoicePolicy
    """
    deviation = feature_deviation(model, block, policy.likeness_shape)
    if deviation is None:
        return None
    certainty = float(maps.max(axis=0).mean())
    return (
        policy.most_for_classes
        * _logistic(policy.deviation_weight * (deviation - policy.usual_deviation))
        * _logistic(policy.class_certainty_weight * (certainty - policy.usual_certainty))
    )


def feature_deviation(model: Model, block: NDArray[np.float32], shape: Sequence[int]) -> float | None:
    """Return by how much the features of an image differ from those of the images that a model has learned.

    Parameters
    ----------
    model : Model
    block : ndarray of float32, axes (C, [Z,] Y, X)
        The image, or a part of it, as the network sees it: normalised and rescaled.
    shape : sequence of int
        Pixels (Z, Y, X) that are looked at, at most: the middle of the block.

    Returns
    -------
    float or None
        See `nets.likeness.norm_deviation`; None also where the block is smaller than the network can see.
    """
    import torch

    from napari_unet.nets.likeness import norm_deviation

    box = []
    for n, step, width in zip(block.shape[1:], model.info.spec.stride, shape[1 - block.ndim :], strict=True):
        size = min(n, width) // step * step
        box.append(slice((n - size) // 2, (n - size) // 2 + size))
    part = block[(slice(None), *box)]
    return norm_deviation(model.net, torch.from_numpy(np.ascontiguousarray(part))[None]) if part.size else None


def densest_box(mask: NDArray[np.bool_], shape: Sequence[int]) -> tuple[slice, ...]:
    """Return the box of a shape, of those side by side that cover an array, in which most is set.

    Parameters
    ----------
    mask : ndarray of bool
        Of any number of axes.
    shape : sequence of int
        Size of the box along each; it is smaller at the far border.
    """
    counts: NDArray[Any] = mask
    for axis, (n, width) in enumerate(zip(mask.shape, shape, strict=True)):
        counts = np.add.reduceat(counts, np.arange(0, n, width), axis=axis, dtype=np.int64)
    first = np.unravel_index(int(counts.argmax()), counts.shape)
    starts = [int(at) * width for at, width in zip(first, shape, strict=True)]
    return tuple(slice(start, min(n, start + width)) for start, width, n in zip(starts, shape, mask.shape, strict=True))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
