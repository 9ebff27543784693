"""An untrained model that fits an image: there is nothing yet that it could have learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_unet.axes import common_pixel_size
from napari_unet.errors import LabelsError, ModelMismatchError
from napari_unet.learning.train import untrained
from napari_unet.models.info import FROM_NOTHING, ModelInfo
from napari_unet.nets.geometry import receptive_field
from napari_unet.nets.spec import UNetSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.axes import Image
    from napari_unet.models.model import Model

FEATURES, LEVELS, MOST_LEVELS = 8, 3, 5
"""Of a network before anything is painted; the first learning chooses the levels."""

NOT_PAINTED = "not painted"
"""Name of class 0, which labels have where nobody has painted: a new model never learns it from that."""

MOST_CLASSES = 63

CONTEXT = 1.5
"""Diameters of an object that the receptive field is at least as wide as."""


def blank_model(
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
        if not 2 <= len(classes) <= MOST_CLASSES:
            raise LabelsError(
                f"Name 2 to {MOST_CLASSES} classes, background among them; got {len(classes)}. "
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
        recipe={"method": FROM_NOTHING, "steps": 0, "seed": seed},
    )
    return untrained(info, seed)


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
    for levels in range(LEVELS, MOST_LEVELS + 1):
        spec = small_spec(info.spec.ndim, info.spec.in_channels, info.spec.out_channels, levels, info.pixel_size)
        if receptive_field(spec)[-1] >= CONTEXT * diameter:
            break
    return untrained(info.model_copy(update={"spec": spec}), int(info.recipe.get("seed") or 0))
