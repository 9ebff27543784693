"""A model from labelled images: from nothing, or from another model, on densely labelled data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from napari_unet.axes import common_pixel_size
from napari_unet.errors import LabelsError, ModelMismatchError
from napari_unet.learning.finetune import image_samples
from napari_unet.learning.scale import at_scale_of_labels
from napari_unet.learning.session import StepReport, TrainingConfig, TrainingSession
from napari_unet.models.info import DataSource, ModelInfo
from napari_unet.models.model import Model, resolve_device
from napari_unet.nets.spec import UNetSpec, unet2015
from napari_unet.nets.unet import UNet
from napari_unet.objects.decode import Decoding
from napari_unet.objects.flows import FLOWS, LEARNED
from napari_unet.objects.size import typical_diameter

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.learning.sampling import Sample
    from napari_unet.progress import CancelToken

Kind = Literal["unet2d", "unet3d", "unet2015"]
Task = Literal["instances", "semantic"]


def new_model(kind: Kind, task: Task, images: Sequence[Image], labels: Sequence[NDArray[Any]], seed: int = 0) -> Model:
    """Return an untrained model that fits images and labels.

    Parameters
    ----------
    kind : {"unet2d", "unet3d", "unet2015"}
        A small 2D or 3D U-Net with ``same`` padding and batch norm, or the network of the 2015 paper.
    task : {"instances", "semantic"}
        One id for each object, or one class for each pixel.
    images : sequence of Image
        All with the same number of channels.
    labels : sequence of ndarray of int
        For a semantic task the classes are 0 to the largest value.
    seed : int
        Seeds the initial weights.

    Raises
    ------
    ModelMismatchError
        If the images differ in their channels, or a 3D network is asked for planes.
    LabelsError
        If there are no classes to tell apart.
    """
    counts = sorted({image.n_channels for image in images})
    colour = all(image.is_colour for image in images)
    if len(counts) > 1:
        raise ModelMismatchError(
            f"The images have {counts[0]} and {counts[-1]} channels; all must have the same number."
        )
    flat = [image.name for image in images if not image.is_volume]
    if kind == "unet3d" and flat:
        raise ModelMismatchError(f"A 3D network learns from volumes; {flat[0]} has no Z axis. Choose unet2d.")
    if task == "instances":
        outputs = LEARNED[3 if kind == "unet3d" else 2]
        classes: tuple[str, ...] = ("object",)
    else:
        n_classes = int(max(int(array.max(initial=0)) for array in labels)) + 1
        if n_classes < 2:
            raise LabelsError("The labels hold class 0 only; there is nothing to tell apart.")
        if n_classes > 64:
            raise LabelsError(f"The labels hold the class {n_classes - 1}; at most 64 classes. Are they object ids?")
        outputs = tuple(f"class_{index}" for index in range(n_classes))
        classes = ("background", *(f"class {index}" for index in range(1, n_classes)))
    channels = 3 if colour else counts[0]
    if kind == "unet2015":
        spec = unet2015(channels, len(outputs))
    else:
        sizes = {"features": 16, "levels": 4} if kind == "unet2d" else {"features": 8, "levels": 3}
        spec = UNetSpec(ndim=2 if kind == "unet2d" else 3, in_channels=channels, out_channels=len(outputs), **sizes)
    info = ModelInfo(
        name=kind, spec=spec, task=task, outputs=outputs, classes=classes, inputs="colour" if colour else "channels",
        pixel_size=common_pixel_size(images, spec.ndim),
        decoding=Decoding(seeds="flows" if FLOWS[2][0] in outputs else "distance"),
    )  # fmt: skip
    return untrained(info, seed)


def untrained(info: ModelInfo, seed: int = 0) -> Model:
    """Return a model of that description with random weights."""
    torch.manual_seed(seed)
    return Model(UNet(info.spec).eval().requires_grad_(False), info)


def training_config(
    model: Model, *, scratch: bool, steps: int | None, max_seconds: float | None, seed: int
) -> TrainingConfig:
    """Return the settings for dense labels: from nothing with a high falling rate, else with a lower one."""
    flat = model.info.spec.ndim == 2
    patch: tuple[int, ...] = (208, 208) if flat else (24, 96, 96)
    batch_size = 8 if flat else 2
    if model.info.spec.padding == "valid":
        patch, batch_size = (572, 572), 1
    return TrainingConfig(
        steps=steps or (1_000_000 if max_seconds else 2000), max_seconds=max_seconds, batch_size=batch_size,
        patch=patch, learning_rate=2e-3 if scratch else 5e-4, weight_decay=1e-2, schedule="cosine",
        freeze_norm=not scratch, exclusive=model.info.task == "semantic", seed=seed,
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
    session = TrainingSession(model.net, samples, config, resolve_device(device))
    yield from session.run(cancel)
    source = data or DataSource(name="labelled images of the user", licence="the user's own", images=len(images))
    recipe = {"steps": session.step, "learning_rate": config.learning_rate, "seed": config.seed}
    known: dict[str, Any] = {"training_data": (source,), "recipe": recipe, "scores": {}, "fast": None}
    if model.info.task == "instances" and model.info.diameter is None:
        known["diameter"] = typical_diameter(views)
    return Model(session.trained(), model.info.model_copy(update=known))
