"""A heartbeat on the main thread of a window: how long it pauses. Loads no network library."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, QTimer

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEAT = 10
"""Milliseconds between two beats when nothing is in the way."""


class Heart:
    """Beats every few milliseconds while the main thread lives, and notes when."""

    def __init__(self) -> None:
        self._beats = [time.perf_counter()]
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(lambda: self._beats.append(time.perf_counter()))
        self._timer.start(BEAT)

    def gaps(self) -> dict[str, float]:
        """Stop, and return what the gaps were, in milliseconds."""
        self._timer.stop()
        gaps: NDArray[np.float64] = 1000 * np.diff([*self._beats, time.perf_counter()])
        values = {"p50": np.percentile(gaps, 50), "p99": np.percentile(gaps, 99), "max": gaps.max()}
        return {"beats": len(gaps)} | {name: round(float(value), 1) for name, value in values.items()}
