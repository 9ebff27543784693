"""From corrected layers to a better model: what is copied in the main thread, and what runs in the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.learning.finetune import finetune_config, finetune_steps, image_samples
from napari_unet.task import make_task

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.layers.session import LayerSession
    from napari_unet.learning.session import StepReport
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Copies of what one image has to teach; labels and mask have the axes (T, Z, Y, X)."""

    image: Image
    channels: tuple[int, ...]
    labels: NDArray[np.int32]
    supervised: NDArray[np.bool_]


def snapshot(session: LayerSession, model: Model, channel: int | None) -> list[Material]:
    """Return what there is to learn from a session now; empty where nothing is corrected or reviewed.

    The user goes on painting while the worker learns, so everything is copied here, in the main thread.
    """
    if not session.rescan().anything:
        return []
    labels = session.labels
    supervised = np.zeros(labels.shape, bool)
    for plane in session.corrections.supervised_planes():
        supervised[plane] = session.corrections.supervised(labels, plane)
    task = make_task(session.image, model, channel=channel)
    return [Material(session.image, task.channels, np.array(labels, np.int32), supervised)]


def learning_steps(
    model: Model, material: list[Material], max_seconds: float, device: str, cancel: CancelToken
) -> Generator[StepReport, None, Model]:
    """Yield a report after every training step, and return the new model."""
    samples = [
        sample
        for part in material
        for sample in image_samples(part.image, model, part.labels, part.supervised, part.channels)
    ]
    config = finetune_config(model, max_seconds=max_seconds)
    return (yield from finetune_steps(model, samples, config, device, cancel))
