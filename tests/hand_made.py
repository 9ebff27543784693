"""Models whose weights are set by hand, images for which the result is known, and a runner that the test drives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from napari_unet.learning.comparison import Comparison
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet

GAIN = Comparison(0.5, 0.8, 0.1, 0.5, 12)


def bright(name: str = "bright", ndim: int = 2, in_channels: int = 1, threshold: float = 0.5, **info: Any) -> Model:
    """Return a model that takes no time: an object is what is brighter than a threshold in the first channel."""
    spec = UNetSpec(ndim=ndim, in_channels=in_channels, out_channels=2, features=2, levels=1, norm="none")
    net = UNet(spec).eval()
    middle = (1,) * ndim
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        for block in (net.down[0], net.up[0].conv):
            for layer in block:
                if hasattr(layer, "weight"):
                    layer.weight[(0, 0, *middle)] = 1
        net.head.weight[:, 0] = 40
        net.head.bias.fill_(-40 * threshold)
    return Model(net, ModelInfo(**({"name": name, "spec": spec, "outputs": ("foreground", "distance")} | info)))


def squares(shape: tuple[int, ...] = (64, 64), dim: float = 0.4) -> np.ndarray:
    """Return four squares, one of them as bright as `dim`, the others 1."""
    image = np.zeros(shape, np.float32)
    for y in (10, 40):
        for x in (10, 40):
            image[..., y : y + 10, x : x + 10] = dim if (y, x) == (10, 10) else 1
    return image


def hazy() -> np.ndarray:
    """Return two squares of 6 pixels, at 20 and at 40, in a haze that a sensitive model takes for one object."""
    image = np.zeros((64, 64), np.float32)
    image[10:55, 10:55] = 0.5
    image[20:26, 20:26] = image[40:46, 40:46] = 1
    return image


class LaterRunner:
    """Runs jobs when it is told to, event by event: the order of things is the test's."""

    def __init__(self) -> None:
        self.jobs: list[SimpleNamespace] = []

    def start(self, job: Any, steps: Any, on_event: Any, on_return: Any, on_error: Any) -> None:
        self.jobs.append(SimpleNamespace(job=job, events=steps(), tell=on_event, end=on_return, fail=on_error))

    def step(self, index: int = -1, n: int = 1) -> None:
        for _ in range(n):
            self.jobs[index].tell(next(self.jobs[index].events))

    def finish(self, index: int = -1) -> None:
        started = self.jobs[index]
        while True:
            try:
                event = next(started.events)
            except StopIteration as end:
                started.end(end.value)
                return
            except Exception as error:  # noqa: BLE001
                started.fail(error)
                return
            started.tell(event)
