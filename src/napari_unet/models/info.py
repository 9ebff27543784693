"""The description of a model, stored as JSON in the header of its file."""

from __future__ import annotations

import math
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_unet.errors import ModelMismatchError
from napari_unet.limits import DIAMETER, PIXEL_SIZE, in_words, within
from napari_unet.models.normalize import Normalization
from napari_unet.nets.spec import UNetSpec
from napari_unet.objects.decode import Decoding
from napari_unet.objects.flows import FLOWS

FORMAT: Final = "napari-unet/2"

FROM_SCRATCH: Final = "from scratch"
"""Value of "method" in the recipe of a model that has learned from nothing but what its user painted."""

MAX_NAME: Final = 120
"""Letters of the name of a model."""

MAX_HALO: Final = 8192
"""Largest halo in pixels: about the receptive field of the widest network that is allowed."""


class DataSource(BaseModel):
    """A data set that a model was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str = "unknown"
    source: str = ""
    images: int | None = Field(None, ge=0)


class FastMode(BaseModel):
    """A halo smaller than the receptive field requires, and the error that it makes, measured when a model is saved.

    Attributes
    ----------
    halo : tuple of int
        Pixels ([Z,] Y, X) read on either side of a tile.
    maps_error : float
        Largest difference of a probability (0..1) from that of one pass over the whole image.
    labels_differing : float
        Share (0..1) of the pixels whose object or class differs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    halo: tuple[int, ...]
    maps_error: float = Field(ge=0, le=1)
    labels_differing: float = Field(ge=0, le=1)


class ModelInfo(BaseModel):
    """Description of a model.

    Attributes
    ----------
    name, description : str
        For people.
    spec : UNetSpec
        Architecture.
    task : {"instances", "semantic"}
        One id for each object, or one class for each pixel.
    outputs : tuple of str
        Name of each output map: "foreground", "boundary", "distance", and for a flow field "flow_z" (of volumes),
        "flow_y", "flow_x"; or one ``class_N`` for each class.
    classes : tuple of str
        For instances the name of the objects; for classes the name of each, from class 0 on.
    inputs : {"channels", "colour"}
        ``"channels"``: exactly `spec.in_channels` channels. ``"colour"``: red, green and blue; a grey image counts as
        one with three equal channels.
    pixel_size : tuple of float, optional
        Micrometres ([Z,] Y, X) that the network expects; images with another pixel size are rescaled. None: any.
    diameter : float, optional
        Diameter (`objects.size`), in pixels, of the objects in the images that the network was trained on, after
        rescaling. An image whose objects have another diameter is rescaled. None: not known, or there are no objects.
    image_diameter : float, optional
        Diameter, in pixels before rescaling, that is assumed for an image of which neither the diameter nor the pixel
        size is known. None: such an image is not rescaled.
    depth_ratio : float, optional
        Of volumes with `image_diameter`: magnification of Z as a multiple of that of Y and X, where the pixel size is
        not known. Objects that are wide, but in few slices, keep these. None: 1.
    normalization : Normalization
        How intensities are normalised.
    decoding : Decoding
        How maps become labels.
    original_decoding : Decoding, optional
        The same before somebody moved the sliders, or fitted them to corrections. None: nobody has.
    fast_mode : FastMode, optional
        A smaller halo that is enough in practice, and the error that it makes. None: not measured, or there is none.
    training_data : tuple of DataSource
        Data sets that it was trained on, with their licences.
    recipe : dict
        How it was trained: settings as text and numbers.
    scores : dict
        Measured scores: name -> value.
    licence : str
        Licence of the weights, as SPDX writes it; of several that all hold ("CC-BY-4.0 AND MIT") the strictest first.
    replay_set : str, optional
        Name of the shipped model whose replay set is learned again with the corrections; see `models.replay_set`.
    parent : str, optional
        Name and SHA-256 of the model that this one was fine-tuned from.
    styles : tuple of tuple of float
        Styles (`inference.style`) of the images that it was fine-tuned on, if `image_diameter` is the size of their
        objects.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["napari-unet/2"] = FORMAT
    name: str = Field(min_length=1, max_length=MAX_NAME)
    description: str = ""
    spec: UNetSpec
    task: Literal["instances", "semantic"] = "instances"
    outputs: tuple[str, ...]
    classes: tuple[str, ...] = ()
    inputs: Literal["channels", "colour"] = "channels"
    pixel_size: tuple[float, ...] | None = None
    diameter: float | None = Field(None, ge=DIAMETER[0], le=DIAMETER[1])
    image_diameter: float | None = Field(None, ge=DIAMETER[0], le=DIAMETER[1])
    depth_ratio: float | None = Field(None, ge=1, le=DIAMETER[1])
    normalization: Normalization = Normalization()
    decoding: Decoding = Decoding()
    original_decoding: Decoding | None = None
    fast_mode: FastMode | None = None
    training_data: tuple[DataSource, ...] = ()
    recipe: dict[str, str | int | float | bool | None] = {}
    scores: dict[str, float] = {}
    licence: str = "unknown"
    replay_set: str | None = Field(None, pattern=r"^[\w-]+$")
    parent: str | None = None
    styles: tuple[tuple[float, ...], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> ModelInfo:
        if len(self.outputs) != self.spec.out_channels:
            raise ValueError(f"{len(self.outputs)} outputs are named, but the network has {self.spec.out_channels}")
        if self.inputs == "colour" and self.spec.in_channels != 3:
            raise ValueError("a colour model has three input channels")
        if self.finds_objects:
            missing = {"foreground", *self.decoding.needs(self.spec.ndim)} - set(self.outputs)
            if missing:
                raise ValueError(f"the output {sorted(missing)[0]!r}, which the decoding needs, is missing")
        if self.pixel_size is not None and (
            len(self.pixel_size) != self.spec.ndim or not all(within(size, PIXEL_SIZE) for size in self.pixel_size)
        ):
            raise ValueError(
                f"the pixel size {self.pixel_size} is not {self.spec.ndim} numbers of micrometres from "
                f"{in_words(PIXEL_SIZE)}"
            )
        if self.image_diameter is not None and self.diameter is None:
            raise ValueError("the objects' diameter in the images is given, but not the one that the network works at")
        if any(len(style) != self.spec.features * (2 ** (self.spec.levels + 1) - 1) for style in self.styles):
            raise ValueError("a style is not as long as the network has feature maps on its way down")
        if self.fast_mode is not None and (
            len(self.fast_mode.halo) != self.spec.ndim
            or not all(1 <= width <= MAX_HALO for width in self.fast_mode.halo)
        ):
            raise ValueError(
                f"the halo {self.fast_mode.halo} is not {self.spec.ndim} numbers of pixels from 1 to {MAX_HALO}"
            )
        if any(not all(map(math.isfinite, style)) for style in self.styles):
            raise ValueError("a style holds a value that is not a number")
        return self

    def with_decoding(self, decoding: Decoding) -> ModelInfo:
        """Return the description with other settings for reading objects out of maps; it knows the original ones."""
        original = self.original_decoding or self.decoding
        changes = {"decoding": decoding, "original_decoding": None if decoding == original else original}
        return self.model_copy(update=changes)

    @property
    def finds_objects(self) -> bool:
        """Whether the labels are objects with ids of their own, or classes of pixels."""
        return self.task == "instances"

    @property
    def vectors(self) -> dict[int, int]:
        """Axis, counted from the last -> index of the output that is the component of the flow field along it."""
        names = FLOWS[self.spec.ndim]
        return {axis - len(names): self.outputs.index(n) for axis, n in enumerate(names) if n in self.outputs}

    @property
    def is_from_scratch(self) -> bool:
        """Whether it was trained only on what its user painted."""
        return self.recipe.get("method") == FROM_SCRATCH

    @property
    def is_untrained(self) -> bool:
        """Whether it is such a model that has not learned yet."""
        return self.is_from_scratch and self.recipe.get("steps") == 0

    @property
    def finds_diameter(self) -> bool:
        """Whether the diameter of objects in an image can be found with it (`inference.diameter`).

        It must be a model for objects with a known diameter. A model that was trained on the few objects of one user is
        not used for that.
        """
        return self.finds_objects and self.diameter is not None and not self.is_from_scratch

    @property
    def axes(self) -> str:
        """Axes of the input of the network."""
        return "CZYX" if self.spec.ndim == 3 else "CYX"


def check_task(name: str, info: ModelInfo, task: str | None) -> None:
    """Raise `ModelMismatchError` if a model has another task than is asked for; None: nothing is asked for."""
    if task is not None and task != info.task:
        finds = "objects" if info.finds_objects else "classes"
        raise ModelMismatchError(
            f"The model {name!r} finds {finds}, so its task is {info.task}; got {task}. Leave the task out."
        )
