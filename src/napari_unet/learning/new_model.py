"""An untrained model that fits an image: there is nothing yet that it could have learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch

from napari_unet.axes import common_pixel_size
from napari_unet.errors import LabelsError, ModelMismatchError
from napari_unet.models.info import FROM_SCRATCH, ModelInfo
from napari_unet.models.model import Model
from napari_unet.nets.geometry import receptive_field
from napari_unet.nets.spec import UNetSpec, unet2015
from napari_unet.nets.unet import UNet
from napari_unet.objects.decode import Decoding
from napari_unet.objects.flows import FLOWS, LEARNED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image

Kind = Literal["unet2d", "unet3d", "unet2015"]

Task = Literal["instances", "semantic"]


FEATURES, LEVELS, MAX_LEVELS = 8, 3, 5
"""Of a network before anything is painted; the first learning chooses the levels."""

NOT_PAINTED = "not painted"
"""Name of class 0, which labels have where nobody has painted: a new model never learns it from that."""

MAX_CLASSES = 63

CONTEXT = 1.5
"""Diameters of an object that the receptive field is at least as wide as."""


def model_for_image(
    image: Image,
    task: Literal["instances", "semantic"] = "instances",
    *,
    ndim: Literal[2, 3] = 2,
    classes: Sequence[str] = (),
    name: str = "new model",
    seed: int = 0,
) -> Model:
    """Return an untrained model that fits an image: its colours or one of its channels, its pixel size.

    Parameters
    ----------
    image : Image
        What it is to learn on.
    task : {"instances", "semantic"}
        One id for each object, or one class for each pixel.
    ndim : {2, 3}
        Whether slices are segmented one by one, or volumes.
    classes : sequence of str
        Names of the classes, which are painted with the labels 1, 2, ...; background is one of them.
    name : str
    seed : int
        Seeds the initial weights.

    Raises
    ------
    ModelMismatchError
        If a 3D model is asked for, and the image is flat.
    LabelsError
        If there are too few classes to tell apart, or too many.
    """
    if ndim == 3 and not image.is_volume:
        raise ModelMismatchError(f"A 3D model learns from volumes; {image.name} has no Z axis. Choose 2D.")
    outputs: tuple[str, ...] = ("foreground", "distance")
    names: tuple[str, ...] = ("object",)
    if task == "semantic":
        if not 2 <= len(classes) <= MAX_CLASSES:
            raise LabelsError(
                f"Name 2 to {MAX_CLASSES} classes, background among them; got {len(classes)}. "
                "For example: background, membrane."
            )
        names = (NOT_PAINTED, *classes)
        outputs = tuple(f"class_{index}" for index in range(len(names)))
    size = common_pixel_size([image], ndim)
    info = ModelInfo(
        name=name,
        description=f"Made from nothing for {image.name}",
        spec=small_spec(ndim, 3 if image.is_colour else 1, len(outputs), LEVELS, size),
        task=task,
        outputs=outputs,
        classes=names,
        inputs="colour" if image.is_colour else "channels",
        pixel_size=size,
        recipe={"method": FROM_SCRATCH, "steps": 0, "seed": seed},
    )
    return untrained_model(info, seed)


def small_spec(
    ndim: Literal[2, 3], channels: int, outputs: int, levels: int, size: tuple[float, ...] | None
) -> UNetSpec:
    """Return a small network, which halves Z only where slices lie as near to each other as pixels do by then."""
    pool_z = None
    if ndim == 3 and size is not None:
        deep, wide, halved = size[0], min(size[1:]), []
        for _ in range(levels):
            halved.append(deep <= 1.5 * wide)
            deep, wide = deep * (2 if halved[-1] else 1), 2 * wide
        pool_z = tuple(halved)
    return UNetSpec(
        ndim=ndim, in_channels=channels, out_channels=outputs, features=FEATURES, levels=levels, pool_z=pool_z
    )


def fitted(model: Model, diameter: float) -> Model:
    """Return an untrained model with a network that sees all of an object of so many pixels, and what is around it."""
    info = model.info
    for levels in range(LEVELS, MAX_LEVELS + 1):
        spec = small_spec(info.spec.ndim, info.spec.in_channels, info.spec.out_channels, levels, info.pixel_size)
        if receptive_field(spec)[-1] >= CONTEXT * diameter:
            break
    return untrained_model(info.model_copy(update={"spec": spec}), int(info.recipe.get("seed") or 0))


def model_for_labels(
    kind: Kind, task: Task, images: Sequence[Image], labels: Sequence[NDArray[Any]], seed: int = 0
) -> Model:
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
    return untrained_model(info, seed)


def untrained_model(info: ModelInfo, seed: int = 0) -> Model:
    """Return a model of that description with random weights."""
    torch.manual_seed(seed)
    return Model(UNet(info.spec).eval().requires_grad_(False), info)
