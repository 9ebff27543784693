"""Does the window stay alive: a heartbeat on the main thread while somebody paints, the network segments and learns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer

from napari_unet._qt.window import close_window, live_until, open_window
from napari_unet.benchmarks.report import report
from napari_unet.layers.samples import nuclei_2d

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BEAT = 10
"""Milliseconds between two beats when nothing is in the way."""


def run(size: int = 4096, seconds: float = 15.0, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure the gaps between beats, and return the figures.

    Parameters
    ----------
    size : int
        Width and height of the image, pixels: the sample image, repeated.
    seconds : float
        How long each part takes at most.
    say : callable
        Called with lines for people.
    """
    viewer, widget = open_window()
    (data, kwargs, _) = nuclei_2d()[0]
    data = np.asarray(data)
    repeats = [-(-size // n) for n in data.shape]
    viewer.add_image(np.tile(data, repeats)[:size, :size], name=kwargs.get("name", "nuclei"))
    controller, panel = widget.controller, widget.segment_panel
    controller.learning_seconds = seconds
    figures: dict[str, Any] = {"size": size}
    try:
        live_until(lambda: False, 1.0)
        first: list[float] = []
        begin = time.perf_counter()

        def noted(progress: Any) -> None:
            if not first:
                first.append(time.perf_counter() - begin)

        controller.progressed.connect(noted)
        heart = _Heart()
        panel.button.click()
        live_until(lambda: not controller.busy, seconds)
        figures["segmenting"] = heart.gaps()
        figures["first tile painted, seconds"] = round(first[0], 3) if first else None
        figures["finished"] = not controller.busy
        heart = _Heart()
        live_until(lambda: not controller.busy, 600)
        figures["the rest of it"] = heart.gaps()
        session = controller.session
        assert session is not None  # it was segmented
        painter = _Painter(session.labels_layer)
        heart = _Heart()
        live_until(lambda: False, min(seconds, 5))
        figures["painting"] = heart.gaps()
        heart = _Heart()
        widget.learn_panel.button.click()
        live_until(lambda: not controller.learner.busy, 3 * seconds)
        figures["painting and learning"] = heart.gaps()
        figures["steps learned"] = len(widget.learn_panel.plot.losses)
        heart = _Heart()
        live_until(lambda: not controller.busy, 600)
        figures["what is in view, segmented again"] = heart.gaps()
        painter.stop()
    finally:
        close_window(viewer, widget, 60)
    for name, value in figures.items():
        say(f"  {name:<34} {value}")
    return report("gui", figures)


class _Heart:
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


class _Painter:
    """Paints along a spiral, sixty strokes a second."""

    def __init__(self, layer: Any) -> None:
        self._layer, self._step = layer, 0
        layer.brush_size, self._label = 12, int(np.asarray(layer.data).max()) + 1
        self._timer = QTimer()
        self._timer.timeout.connect(self._paint)
        self._timer.start(16)

    def stop(self) -> None:
        self._timer.stop()

    def _paint(self) -> None:
        angle = self._step / 20
        height, width = self._layer.data.shape[-2:]
        place = height / 2 + 5 * angle * np.sin(angle), width / 2 + 5 * angle * np.cos(angle)
        self._layer.paint(place, self._label)
        self._step += 1
