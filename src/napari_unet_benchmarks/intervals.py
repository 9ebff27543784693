"""95 % intervals of figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binomtest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.evaluation.metrics import Scores

RESAMPLED = 2000


def share_interval(hits: int, n: int) -> tuple[float, float]:
    """Return the interval of a share (Wilson's)."""
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return round(float(interval.low), 3), round(float(interval.high), 3)


def mean_interval(values: NDArray[Any]) -> tuple[float, float]:
    """Return the interval of a mean (a bootstrap over the values), not rounded."""
    drawn = np.random.default_rng(0).choice(values, (RESAMPLED, len(values))).mean(axis=1)
    return middle_95(drawn)


def ap_interval(images: Sequence[Scores], iou: str) -> tuple[float, float]:
    """Return the interval of the pooled average precision at an IoU (as "0.50"): a bootstrap over images."""
    counts = np.array([_counts(scores.to_dict(), iou) for scores in images])
    drawn = np.random.default_rng(0).integers(0, len(counts), (RESAMPLED, len(counts)))
    matched, either = counts[drawn].sum(axis=1).T
    low, high = middle_95(matched / np.maximum(either, 1))
    return round(low, 3), round(high, 3)


def middle_95(drawn: NDArray[Any]) -> tuple[float, float]:
    """Return the interval of what was drawn again and again, not rounded."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _counts(scores: Mapping[str, Any], iou: str) -> tuple[float, float]:
    """Return how many objects of an image are matched, and how many there are in truth, in the prediction or both."""
    objects = scores["n_truth"] + scores["n_pred"]
    matched = scores["f1"][iou] * objects / 2 if objects else 0.0
    return matched, objects - matched
