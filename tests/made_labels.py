"""Random labels, and maps as a network might give them for these, for tests of edits."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy import ndimage

from napari_unet.objects.maps import Maps
from napari_unet.objects.targets import target_maps

OUTPUTS = {2: ("foreground", "distance", "flow_y", "flow_x"), 3: ("foreground", "distance")}

seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from([(40, 44), (7, 24, 26)])


def discs(shape: tuple[int, ...], rng: np.random.Generator, n: int = 5) -> np.ndarray:
    """Return round objects that may touch or cover each other in part; ids from 1, some may be missing."""
    labels = np.zeros(shape, np.int32)
    grid = np.indices(shape)
    for label in range(1, n + 1):
        middle = [rng.integers(0, size) for size in shape]
        radius = rng.uniform(2.5, 8)
        labels[np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, middle, strict=True))) < radius] = label
    return labels


def maps_of(labels: np.ndarray, rng: np.random.Generator | None = None, noise: float = 0.1) -> Maps:
    """Return the maps of labels, blurred and noisy."""
    outputs = OUTPUTS[labels.ndim]
    values = target_maps(labels, outputs).astype(np.float32)
    values = np.stack([ndimage.gaussian_filter(part, 1) for part in values])
    if rng is not None:
        values += rng.normal(0, noise, values.shape).astype(np.float32)
    return Maps(np.clip(values, 0, 1).astype(np.float16), outputs)


def pair(size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Return two discs that touch, each with an id of its own, and the two as one object."""
    y, x = np.mgrid[:size, : 2 * size]
    true = np.zeros((size, 2 * size), np.int32)
    true[(y - size / 2) ** 2 + (x - 0.55 * size) ** 2 < (0.4 * size) ** 2] = 1
    true[((y - size / 2) ** 2 + (x - 1.2 * size) ** 2 < (0.3 * size) ** 2) & (true == 0)] = 2
    return true, (true > 0).astype(np.int32)


def hangs_together(mask: np.ndarray) -> bool:
    """Whether a mask is one piece, by the faces of its pixels."""
    return ndimage.label(mask)[1] == 1


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((one & other).sum() / (one | other).sum())
