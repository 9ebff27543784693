"""95 % intervals of figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binomtest

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLED = 2000


def share_interval(hits: int, n: int) -> tuple[float, float]:
    """Return the interval of a share (Wilson's)."""
    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return round(float(interval.low), 3), round(float(interval.high), 3)


def mean_interval(values: NDArray[Any]) -> tuple[float, float]:
    """Return the interval of a mean (a bootstrap over the values), not rounded."""
    drawn = np.random.default_rng(0).choice(values, (RESAMPLED, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
