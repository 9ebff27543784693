"""What a chart of measurements shows: counts, the range of an axis, and which rows lie within a box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.objects.table import Table

MAX_BINS = 40

NOT_CHARTED = ("label", "class", "time", "slice")
"""Columns of numbers that are names."""

FIRST = ("area_um2", "area_px", "volume_um3", "volume_voxels")
"""Columns that a chart begins with: of those that are known of as many objects, the first."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a chart: its range, and round numbers along it."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: NDArray[Any], *, zero: bool = False) -> Axis:
        """Return an axis for values, those that are not finite left out; with `zero` it begins at 0."""
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        low = min(low, 0.0) if zero else low
        if high <= low:
            pad = abs(low) * 0.05 or 0.5
            low, high = (low, high + 2 * pad) if zero else (low - pad, high + pad)
        step = 10 ** math.floor(math.log10((high - low) / 3))
        step *= next(n for n in (1, 2, 5, 10) if (high - low) / (n * step) <= 4)
        first = math.ceil(low / step - 1e-9)
        ticks = [round(n * step, 12) for n in range(first, math.floor(high / step + 1e-9) + 1)]
        return cls(low, high, tuple(ticks))

    def share(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return where values are along it, 0..1."""
        return (np.asarray(values, np.float64) - self.low) / (self.high - self.low)

    def value(self, share: float) -> float:
        """Return the value at a place, 0..1."""
        return self.low + share * (self.high - self.low)


def chart_columns(table: Table) -> list[str]:
    """Return the columns that can be charted: numbers of which at least one is known."""
    return [
        name
        for name, values in table.columns.items()
        if values.dtype.kind in "fiu" and name not in NOT_CHARTED and table.known(name)
    ]


def first_column(table: Table) -> str:
    """Return the column that a chart begins with: the size that is known of most objects; "" if none can be charted."""
    names = chart_columns(table)
    sizes = [name for name in FIRST if name in names]
    return max(sizes, key=table.known) if sizes else names[0] if names else ""


def histogram(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts and edges of bins, by the rule of Freedman and Diaconis, at most `MAX_BINS`."""
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return np.zeros(1, np.int64), np.array([0.0, 1.0])
    axis = Axis.over(known)
    spread = float(np.subtract(*np.percentile(known, [75, 25])))
    width = 2 * spread / len(known) ** (1 / 3)
    bins = 10 if width <= 0 else math.ceil((axis.high - axis.low) / width)
    counts, edges = np.histogram(known, bins=min(max(bins, 5), MAX_BINS), range=(axis.low, axis.high))
    return counts.astype(np.int64), edges


def rows_within(
    x: NDArray[Any], y: NDArray[Any] | None, across: tuple[float, float], up: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return which rows lie in a box of a chart, borders included; of a histogram (`y` is None) in a range."""
    with np.errstate(invalid="ignore"):
        found = (x >= min(across)) & (x <= max(across))
        if y is not None:
            found &= (y >= min(up)) & (y <= max(up))
    return np.asarray(found)


def nearest_row(x: NDArray[Any], y: NDArray[Any], at: tuple[float, float]) -> tuple[int, float] | None:
    """Return the row nearest to a place, and how far it is; all are shares of the axes. None: there is none."""
    far = np.hypot(x - at[0], y - at[1])
    if not np.isfinite(far).any():
        return None
    row = int(np.nanargmin(far))
    return row, float(far[row])
