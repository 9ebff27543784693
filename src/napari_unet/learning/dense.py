"""A model from densely labelled images: from scratch, or from another model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import LabelsError
from napari_unet.learning.crops import image_samples
from napari_unet.learning.fit_to_labels import fitted_to_labels
from napari_unet.learning.scale import at_scale_of_labels
from napari_unet.models.info import DataSource
from napari_unet.models.model import Model, resolve_device
from napari_unet.objects.size import typical_diameter
from napari_unet.training.config import StepReport, TrainingConfig
from napari_unet.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.progress import CancelToken
    from napari_unet.training.samples import Sample


def training_config(
    model: Model, *, scratch: bool, steps: int | None, max_seconds: float | None, seed: int
) -> TrainingConfig:
    """Return the settings for dense labels: from scratch with a high falling rate, else with a lower one.

    Patches and batches are what fits in memory; on which data the rates were chosen is not recorded. A model of volumes
    learns from small patches at a high rate, as there are few steps in the time that a person waits
    (docs/decisions/0030-volumes.md).

    Parameters
    ----------
    model : Model
    scratch : bool
        Whether its weights are random.
    steps, max_seconds, seed
        See `TrainingConfig`; None: by the other of the two, or 2000 steps.
    """
    flat = model.info.spec.ndim == 2
    patch: tuple[int, ...] = (208, 208) if flat else (24, 96, 96)
    batch_size = 8 if flat else 2
    rate = 2e-3 if scratch else 5e-4
    if model.info.spec.padding == "valid":
        patch, batch_size = (572, 572), 1  # as in the 2015 paper
    volumes = not (flat or scratch)
    if volumes:
        patch, rate = (16, 64, 64), 5e-3
    return TrainingConfig(
        steps=steps or (1_000_000 if max_seconds else 2000), max_seconds=max_seconds, batch_size=batch_size,
        patch=patch, learning_rate=rate, weight_decay=1e-2, schedule="cosine",
        freeze_norm=not scratch, free_norm=0.5 if volumes else 0.0, exclusive=not model.info.finds_objects, seed=seed,
    )  # fmt: skip


def train_steps(
    model: Model,
    images: Sequence[Image],
    labels: Sequence[NDArray[Any]],
    config: TrainingConfig,
    *,
    ignore_label: int | None = None,
    device: str = "auto",
    data: DataSource | None = None,
    cancel: CancelToken | None = None,
) -> Generator[StepReport, None, Model]:
    """Train on whole labelled images; yield a report after every step and return the new model.

    Parameters
    ----------
    model : Model
        Where to begin; it is not changed.
    images, labels : sequences
        Labels have the axes of their image but the channels.
    config : TrainingConfig
        How.
    ignore_label : int, optional
        Pixels with this value are not learned from.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    data : DataSource, optional
        What is noted as training data.
    cancel : CancelToken, optional
        Ends the training after the step under way.
    """
    views: list[NDArray[Any]] = []
    masks: list[NDArray[np.bool_] | None] = []
    for image, truth in zip(images, labels, strict=True):
        if truth.shape != image.label_shape:
            raise LabelsError(
                f"The labels of {image.name} have the shape {truth.shape}; needed is {image.label_shape}."
            )
        model.check_channels(image.n_channels)
        view = image.canonical_labels(truth)
        masks.append(None if ignore_label is None else view != ignore_label)
        views.append(view if masks[-1] is None else np.where(masks[-1], view, 0))
    model = at_scale_of_labels(model, images, views)
    samples: list[Sample] = []
    for image, view, mask in zip(images, views, masks, strict=True):
        channels, weight = tuple(range(image.n_channels)), float(np.sqrt(view.size))
        samples += image_samples(image, model, view, mask, channels, weight, config.border)
    session = Trainer(model.net, samples, config, resolve_device(device))
    yield from session.run(cancel)
    source = data or DataSource(name="labelled images of the user", licence="the user's own", images=len(images))
    recipe = {"steps": session.step, "learning_rate": config.learning_rate, "seed": config.seed}
    known: dict[str, Any] = {"training_data": (source,), "recipe": recipe, "scores": {}, "fast_mode": None}
    if model.info.finds_objects and model.info.diameter is None:
        known["diameter"] = typical_diameter(views)
    trained = Model(session.trained(), model.info.model_copy(update=known))
    return trained if model.info.spec.ndim == 2 else fitted_to_labels(trained, images, views, masks, device, cancel)
