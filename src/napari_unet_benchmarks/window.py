"""Does the window stay alive: a heartbeat on the main thread while somebody paints, the network segments and learns."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from qtpy.QtCore import QTimer

from napari_unet._qt.window import close_window, live_until, open_window
from napari_unet.layers.samples import nuclei_2d
from napari_unet.learning.interactive import learning_steps
from napari_unet.training.config import StepReport
from napari_unet_benchmarks.heart import Heart
from napari_unet_benchmarks.report import report

if TYPE_CHECKING:
    from collections.abc import Callable


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
    controller.workspace.learning_seconds = seconds
    figures: dict[str, Any] = {"size": size}
    try:
        live_until(lambda: False, 1.0)
        first: list[float] = []
        begin = time.perf_counter()

        def noted(progress: Any) -> None:
            if not first:  # of a small extra tile in the middle of the view, which comes before any other news
                first.append(time.perf_counter() - begin)

        controller.workspace.progressed.connect(noted)
        heart = Heart()
        panel.button.click()
        live_until(lambda: not controller.busy, seconds)
        figures["segmenting"] = heart.gaps()
        figures["first tile painted, seconds"] = round(first[0], 3) if first else None
        figures["finished"] = not controller.busy
        heart = Heart()
        live_until(lambda: not controller.busy, 600)
        figures["the rest of it"] = heart.gaps()
        heart = Heart()
        live_until(lambda: False, min(seconds, 5))
        figures["idle"] = heart.gaps()
        session, model = controller.session, controller.model
        assert session is not None, "it was segmented"
        assert model is not None
        corner = session.labels[0, 0, :40, :40]
        corner[...] = corner.max() + 1  # something to learn from
        bare, pace = _Pace(), _Pace()
        torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))  # as many as it has beside a window
        for event in learning_steps(model, session.annotated_crops(model, None), seconds, controller.workspace.device):
            bare.take(event)
        controller.workspace.stepped.connect(pace.take)
        heart = Heart()
        widget.learn_panel.button.click()
        live_until(lambda: not controller.learner.busy, 3 * seconds)
        figures["learning"] = heart.gaps()
        controller.workspace.stepped.disconnect(pace.take)
        live_until(lambda: not controller.busy, 600)
        painter = _Painter(session.labels_layer)
        heart = Heart()
        live_until(lambda: False, min(seconds, 5))
        figures["painting"] = heart.gaps()
        beside = _Pace()
        controller.workspace.stepped.connect(beside.take)
        heart = Heart()
        widget.learn_panel.button.click()
        live_until(lambda: not controller.learner.busy, 3 * seconds)
        figures["painting and learning"] = heart.gaps()
        paces = {"without a window": bare, "in one": pace, "while painting": beside}
        figures["steps a second"] = {name: each.rate for name, each in paces.items()}
        figures["seconds a step, median"] = {name: each.typical for name, each in paces.items()}
        figures["steps learned"] = {name: each.steps for name, each in paces.items()}
        heart = Heart()
        live_until(lambda: not controller.busy, 600)
        figures["what is in view, segmented again"] = heart.gaps()
        painter.stop()
    finally:
        close_window(viewer, widget, 60)
    for name, value in figures.items():
        say(f"  {name:<34} {value}")
    return report("gui", figures)


class _Pace:
    """Takes note of the steps of a learning."""

    def __init__(self) -> None:
        self._reports: list[StepReport] = []

    def take(self, event: object) -> None:
        """Note one, if it is one."""
        if isinstance(event, StepReport):
            self._reports.append(event)

    @property
    def steps(self) -> int:
        return len(self._reports)

    @property
    def rate(self) -> float | None:
        """Steps a second, from the first one on; checks and previews between them take their time, too."""
        if self.steps < 2:
            return None
        first, last = self._reports[0], self._reports[-1]
        return round((last.step - first.step) / (last.seconds - first.seconds), 3)

    @property
    def typical(self) -> float | None:
        """Seconds from one step to the next, median: without what is done between some of them."""
        if self.steps < 2:
            return None
        return round(float(np.median(np.diff([each.seconds for each in self._reports]))), 4)


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
