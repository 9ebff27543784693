"""From what a user corrected to a better model: what the window does when Learn is pressed, without a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.learning.finetune import finetune_config, finetune_steps, image_samples
from napari_unet.learning.scratch import scratch_config, scratch_steps
from napari_unet.task import choose_channels

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.corrections.corrections import Corrections
    from napari_unet.learning.session import StepReport
    from napari_unet.models.model import Model
    from napari_unet.progress import CancelToken


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Copies of what one image has to teach, so that the user can go on painting.

    Attributes
    ----------
    image : Image
    channels : tuple of int
        Those that the model is given.
    labels : ndarray of int32, axes (T, Z, Y, X)
    supervised : ndarray of bool, axes (T, Z, Y, X)
        The pixels to learn from: corrected objects with a ring around them, and all that is reviewed.
    reviewed : ndarray of bool, axes (T, Z, Y, X)
        The pixels that the user has checked, a part of those.
    """

    image: Image
    channels: tuple[int, ...]
    labels: NDArray[np.int32]
    supervised: NDArray[np.bool_]
    reviewed: NDArray[np.bool_]


def gather_material(
    image: Image, labels: NDArray[Any], corrections: Corrections, model: Model, channel: int | None = None
) -> Material | None:
    """Return copies of what there is to learn from an image now; None where that is nothing.

    That is so where nothing is corrected or reviewed, or where the labels are classes and the model finds objects.

    Parameters
    ----------
    image : Image
    labels : ndarray of int, axes (T, Z, Y, X)
        As they are now, corrections included.
    corrections : Corrections
        Of these labels, as of its last `update`.
    model : Model
        What is to learn.
    channel : int, optional
        The channel that is segmented; None: all, or the first where the model takes one only.

    Raises
    ------
    ImageError, ModelMismatchError
        If image and model do not fit together.
    """
    if not corrections.summary().anything or corrections.instances != (model.info.task == "instances"):
        return None
    supervised = np.zeros(labels.shape, bool)
    for plane in corrections.supervised_planes():
        supervised[plane] = corrections.supervised(labels, plane)
    channels = choose_channels(image, model, channel)
    return Material(image, channels, np.array(labels, np.int32), supervised, corrections.reviewed.copy())


def learning_steps(
    model: Model,
    material: Sequence[Material],
    max_seconds: float,
    device: str = "auto",
    cancel: CancelToken | None = None,
) -> Generator[StepReport, None, Model]:
    """Yield a report after every training step, and return the new model."""
    samples = [
        sample
        for part in material
        for sample in image_samples(part.image, model, part.labels, part.supervised, part.channels)
    ]
    if model.info.from_nothing:
        config = scratch_config(model, max_seconds=max_seconds)
        return (yield from scratch_steps(model, samples, config, device, cancel))
    config = finetune_config(model, max_seconds=max_seconds)
    return (yield from finetune_steps(model, samples, config, device, cancel))
