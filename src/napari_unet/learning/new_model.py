"""An untrained model that fits images: there is nothing yet that it could have learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from napari_unet.axes import common_pixel_size
from napari_unet.errors import LabelsError, ModelMismatchError, UNetError
from napari_unet.limits import check_choice
from napari_unet.models.info import FROM_SCRATCH, MAX_NAME, ModelInfo
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

FEATURES = 8
"""Feature maps of the first level of a network for painted objects: small, so that it learns within a minute."""

INITIAL_LEVELS, MAX_LEVELS = 3, 5
"""Levels of such a network before anything is painted, and at most; the first learning chooses them."""

FIELD_DIAMETERS = 1.5
"""Diameters of a painted object that the receptive field is at least as wide as."""

NOT_PAINTED = "not painted"
"""Name of class 0, which labels have where nobody has painted: a new model never learns it from that."""

MAX_CLASSES = 63
"""Classes that can be painted; class 0 is not among them."""


def model_for_image(
    image: Image,
    task: Task = "instances",
    *,
    ndim: Literal[2, 3] = 2,
    classes: Sequence[str] = (),
    name: str = "new model",
    seed: int = 0,
) -> Model:
    """Return an untrained model that learns from what is painted on an image.

    Parameters
    ----------
    image : Image
        Gives its colours or one of its channels, and the pixel size.
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
    UNetError
        If another argument cannot be, such as a name without a letter.
    """
    check_choice(task, get_args(Task), "The task of a model")
    check_choice(ndim, (2, 3), "The number of dimensions of a model")
    if not all(one.strip() and len(one) <= MAX_NAME for one in (name, *classes)):
        raise UNetError(f"Names of a model and its classes have 1 to {MAX_NAME} letters.")
    if ndim == 3 and not image.is_volume:
        raise ModelMismatchError(f"A 3D model learns from volumes; {image.name} has no Z axis. Choose 2D.")
    if task == "semantic" and not 2 <= len(classes) <= MAX_CLASSES:
        raise LabelsError(
            f"Name 2 to {MAX_CLASSES} classes, background among them; got {len(classes)}. "
            "For example: background, membrane."
        )
    names = ("object",) if task == "instances" else (NOT_PAINTED, *classes)
    outputs = ("foreground", "distance") if task == "instances" else _class_outputs(names)
    channels, size = 3 if image.is_colour else 1, common_pixel_size([image], ndim)
    return _untrained(
        [image], task, _small_spec(ndim, channels, len(outputs), INITIAL_LEVELS, size), outputs, names, seed,
        name=name, description=f"Made from scratch for {image.name}",
        recipe={"method": FROM_SCRATCH, "steps": 0, "seed": seed},
    )  # fmt: skip


def model_for_labels(
    kind: Kind, task: Task, images: Sequence[Image], labels: Sequence[NDArray[Any]], seed: int = 0
) -> Model:
    """Return an untrained model that learns from densely labelled images.

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
        If there are no classes to tell apart, or too many.
    """
    counts = sorted({image.n_channels for image in images})
    if len(counts) > 1:
        raise ModelMismatchError(
            f"The images have {counts[0]} and {counts[-1]} channels; all must have the same number."
        )
    flat = [image.name for image in images if not image.is_volume]
    if kind == "unet3d" and flat:
        raise ModelMismatchError(f"A 3D network learns from volumes; {flat[0]} has no Z axis. Choose unet2d.")
    ndim: Literal[2, 3] = 3 if kind == "unet3d" else 2
    names = ("object",) if task == "instances" else _class_names(labels)
    outputs = LEARNED[ndim] if task == "instances" else _class_outputs(names)
    channels = 3 if _are_colour(images) else counts[0]
    if kind == "unet2015":
        spec = unet2015(channels, len(outputs))
    else:
        features, levels = (16, 4) if ndim == 2 else (8, 3)
        spec = UNetSpec(ndim=ndim, in_channels=channels, out_channels=len(outputs), features=features, levels=levels)
    decoding = Decoding(seeds="flows" if FLOWS[2][0] in outputs else "distance")
    return _untrained(images, task, spec, outputs, names, seed, name=kind, decoding=decoding)


def fitted_to_objects(model: Model, diameter: float) -> Model:
    """Return an untrained model with a network that sees all of an object of so many pixels, and what is around it."""
    info = model.info
    for levels in range(INITIAL_LEVELS, MAX_LEVELS + 1):
        spec = _small_spec(info.spec.ndim, info.spec.in_channels, info.spec.out_channels, levels, info.pixel_size)
        if receptive_field(spec)[-1] >= FIELD_DIAMETERS * diameter:
            break
    return untrained_model(info.model_copy(update={"spec": spec}), int(info.recipe.get("seed") or 0))


def untrained_model(info: ModelInfo, seed: int = 0) -> Model:
    """Return a model of that description with random weights."""
    torch.manual_seed(seed)
    return Model(UNet(info.spec).eval().requires_grad_(False), info)


def _untrained(
    images: Sequence[Image],
    task: Task,
    spec: UNetSpec,
    outputs: tuple[str, ...],
    classes: tuple[str, ...],
    seed: int,
    **about: Any,
) -> Model:
    """Return a model with random weights for images like these; `about` are further fields of `ModelInfo`."""
    info = ModelInfo(
        spec=spec, task=task, outputs=outputs, classes=classes, inputs="colour" if _are_colour(images) else "channels",
        pixel_size=common_pixel_size(images, spec.ndim), **about,
    )  # fmt: skip
    return untrained_model(info, seed)


def _small_spec(
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


def _are_colour(images: Sequence[Image]) -> bool:
    return all(image.is_colour for image in images)


def _class_names(labels: Sequence[NDArray[Any]]) -> tuple[str, ...]:
    """Return a name for each class that labels hold, background first."""
    n_classes = max(int(array.max(initial=0)) for array in labels) + 1
    if n_classes < 2:
        raise LabelsError("The labels hold class 0 only; there is nothing to tell apart.")
    if n_classes > MAX_CLASSES + 1:
        raise LabelsError(f"The labels hold the class {n_classes - 1}; at most 64 classes. Are they object ids?")
    return ("background", *(f"class {index}" for index in range(1, n_classes)))


def _class_outputs(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"class_{index}" for index in range(len(names)))
