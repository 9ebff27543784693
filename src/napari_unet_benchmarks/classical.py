"""Segmentation without a network: a threshold and a watershed, with what they need tuned on labelled images."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage

from napari_unet.evaluation.metrics import evaluate
from napari_unet.objects.decode import drop_small
from napari_unet.objects.size import typical_diameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Labelled = tuple[NDArray[Any], NDArray[Any]]
    """An image (C, [Z,] Y, X) and its labels ([Z,] Y, X)."""

SIGMAS = (1.0, 2.0, 4.0)
DISTANCES = (0.25, 0.4, 0.6, 0.9)
"""Least distances of seeds that are tried, as shares of the typical diameter of the training objects."""

MIN_AREA = 0.05
"""Objects of less than that share of a typical disc, or ball, are specks."""


@dataclass(frozen=True, slots=True)
class ObjectPipeline:
    """Otsu's threshold on a smoothed image, then a watershed on the distance transform.

    Attributes
    ----------
    feature : {"intensity", "texture"}
        What the threshold is put on: the grey value, where objects are what there is less of, bright or dark; or its
        standard deviation nearby, which shows cells in phase contrast.
    sigma : float
        Of the smoothing, pixels.
    distance : int
        Least distance of two seeds, pixels.
    least : int
        Pixels of the smallest object.
    """

    feature: Literal["intensity", "texture"]
    sigma: float
    distance: int
    least: int = 1

    def __call__(self, image: NDArray[Any]) -> NDArray[np.int32]:
        """Return the objects ([Z,] Y, X) of an image (C, [Z,] Y, X)."""
        return self.apart(*foreground(image, self.feature, self.sigma))

    def apart(self, mask: NDArray[np.bool_], depth: NDArray[Any]) -> NDArray[np.int32]:
        """Return the objects that a mask falls into; `depth` is how far, about, its pixels are from its outline."""
        from skimage.feature import peak_local_max
        from skimage.segmentation import watershed

        seeds = np.zeros(mask.shape, np.int32)
        peaks = peak_local_max(depth, min_distance=self.distance, labels=mask.astype(int))
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        return drop_small(watershed(-depth, seeds, mask=mask), self.least)


def foreground(image: NDArray[Any], feature: str, sigma: float) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return what a threshold finds in an image (C, [Z,] Y, X), and the smoothed distance to its outline."""
    from skimage.filters import threshold_otsu

    grey = image.mean(0, dtype=np.float32)
    smooth = ndimage.gaussian_filter(grey, sigma)
    if feature == "texture":
        square = ndimage.gaussian_filter(np.square(grey - grey.mean()), sigma)
        smooth = np.sqrt(np.maximum(square - np.square(smooth - grey.mean()), 0))
    if smooth.max() == smooth.min():
        return np.zeros(smooth.shape, bool), np.zeros(smooth.shape, np.float32)
    mask = smooth > threshold_otsu(smooth)
    if feature == "intensity" and np.median(smooth) > (smooth.min() + smooth.max()) / 2:
        mask = ~mask
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask).astype(np.float32), 1)
    return mask, depth


def tuned_for_objects(samples: Sequence[Labelled]) -> ObjectPipeline:
    """Return the pipeline with the best average precision at an intersection over union of 0.5 on some images."""
    truths = [labels for _, labels in samples]
    diameter = typical_diameter(truths) or 16.0
    ndim = truths[0].ndim
    least = max(1, round(MIN_AREA * (np.pi / 4 * diameter**2 if ndim == 2 else np.pi / 6 * diameter**3)))
    best, best_score = ObjectPipeline("intensity", SIGMAS[0], 1), -1.0
    features: tuple[Literal["intensity", "texture"], ...] = ("intensity", "texture")
    for feature, sigma in itertools.product(features, SIGMAS):
        found = [foreground(image, feature, sigma) for image, _ in samples]
        for share in DISTANCES:
            pipeline = ObjectPipeline(feature, sigma, max(1, round(share * diameter)), least)
            ap = evaluate(truths, [pipeline.apart(*parts) for parts in found]).to_dict()["ap"]["0.50"]
            if ap > best_score:
                best, best_score = pipeline, ap
    return best


@dataclass(frozen=True, slots=True)
class ClassPipeline:
    """Classes by the grey value of a smoothed image, between thresholds after Otsu.

    Attributes
    ----------
    sigma : float
        Of the smoothing, pixels.
    classes : tuple of int
        The class of each range of grey values, from dark to bright.
    enclosed : tuple of (int, int), optional
        A class, and one that the holes in it are: an axon is what myelin surrounds, whatever its grey value.
    """

    sigma: float
    classes: tuple[int, ...]
    enclosed: tuple[int, int] | None = None

    def __call__(self, image: NDArray[Any]) -> NDArray[np.int32]:
        """Return the classes ([Z,] Y, X) of an image (C, [Z,] Y, X)."""
        smooth = ndimage.gaussian_filter(image.mean(0, dtype=np.float32), self.sigma)
        return self.classify(smooth, _thresholds(smooth, len(self.classes)))

    def classify(self, smooth: NDArray[np.float32], thresholds: NDArray[Any]) -> NDArray[np.int32]:
        """Return the classes of a smoothed image, given the thresholds between them."""
        found = np.asarray(self.classes, np.int32)[np.digitize(smooth, thresholds)]
        if self.enclosed is not None:
            around, inner = self.enclosed
            wall = ndimage.binary_opening(found == around)
            found = np.where(wall, around, np.where(_holes(wall), inner, 0)).astype(np.int32)
        return np.asarray(found)


def tuned_for_classes(samples: Sequence[Labelled]) -> ClassPipeline:
    """Return the pipeline with the best mean Dice on some images."""
    truths = [labels for _, labels in samples]
    count = max(int(labels.max()) for labels in truths) + 1
    best, best_score = ClassPipeline(SIGMAS[0], tuple(range(count))), -1.0
    pairs = [None, *itertools.permutations(range(1, count), 2)]
    for sigma in SIGMAS:
        smooth = [ndimage.gaussian_filter(image.mean(0, dtype=np.float32), sigma) for image, _ in samples]
        thresholds = [_thresholds(image, count) for image in smooth]
        for classes, enclosed in itertools.product(itertools.permutations(range(count)), pairs):
            pipeline = ClassPipeline(sigma, classes, enclosed)
            found = [pipeline.classify(*parts) for parts in zip(smooth, thresholds, strict=True)]
            score = _mean_dice(truths, found, count)
            if score > best_score:
                best, best_score = pipeline, score
    return best


def _holes(wall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pieces outside a mask that reach no border of the image."""
    pieces, count = ndimage.label(~wall)
    hole = np.ones(count + 1, bool)
    for axis in range(wall.ndim):
        hole[np.take(pieces, (0, -1), axis)] = False
    hole[0] = False
    return np.asarray(hole[pieces])


def _mean_dice(truths: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]], count: int) -> float:
    """Return the mean Dice of the classes other than 0, pooled over the images."""
    table = np.zeros(count**2)
    for truth, classes in zip(truths, found, strict=True):
        table += np.bincount((truth.astype(np.intp) * count + classes).ravel(), minlength=count**2)
    square = table.reshape(count, count)
    return float(np.mean((2 * square.diagonal() / np.maximum(square.sum(0) + square.sum(1), 1))[1:]))


def _thresholds(smooth: NDArray[np.float32], count: int) -> NDArray[Any]:
    """Return the thresholds between classes after Otsu; where there are fewer grey values, those that there are."""
    from skimage.filters import threshold_multiotsu

    try:
        return np.asarray(threshold_multiotsu(smooth, count))
    except ValueError:  # an image of one grey value has no two classes
        return np.linspace(float(smooth.min()), float(smooth.max()), count + 1)[1:-1]
