"""Everything about a model but its weights: what the JSON header of a model file holds."""

from __future__ import annotations

import math
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_unet.limits import DIAMETER, PIXEL_SIZE, in_words, within
from napari_unet.models.normalize import Normalization
from napari_unet.nets.spec import UNetSpec
from napari_unet.objects.decode import Decoding
from napari_unet.objects.flows import FLOWS

FORMAT: Final = "napari-unet/1"

FROM_SCRATCH: Final = "from nothing"
"""Method, in its recipe, of a model that knows nothing but what its user painted."""

MAX_HALO: Final = 8192
"""Pixels read around a tile; the widest network there may be depends on about as many."""


class DataSource(BaseModel):
    """A data set that a model was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str = "unknown"
    source: str = ""
    images: int | None = Field(None, ge=0)


class FastMode(BaseModel):
    """What a model's results come to with a smaller halo than they depend on, as measured when it was saved.

    Attributes
    ----------
    halo : tuple of int
        Pixels ([Z,] Y, X) read on either side of a tile.
    maps_error : float
        Largest difference of a probability from that of one pass over the whole image.
    labels_differing : float
        Share of the pixels whose object or class is another.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    halo: tuple[int, ...]
    maps_error: float = Field(ge=0, le=1)
    labels_differing: float = Field(ge=0, le=1)


class ModelInfo(BaseModel):
    """Description of a model, stored in its file.

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
        What the labels mean: for instances the kind of object, for classes the name of each from 0 on.
    inputs : {"channels", "colour"}
        ``"channels"``: exactly `spec.in_channels` channels. ``"colour"``: red, green and blue, where a grey image is
        taken with all three equal.
    pixel_size : tuple of float, optional
        Micrometres ([Z,] Y, X) of the images that the network expects; others are rescaled. None: any.
    diameter : float, optional
        Typical diameter of the objects, in pixels, as the network sees them (`objects.size`): an image whose objects
        are said to have another is rescaled. None: not known, or there are no objects.
    image_diameter : float, optional
        Diameter, in their own pixels, of the objects in the images that it is made for: an image of which neither that
        nor the pixel size is known is rescaled as if its objects had it. None: such an image is taken as it is.
    normalization : Normalization
        How intensities are brought to the network's range.
    decoding : Decoding
        How maps become labels.
    fast : FastMode, optional
        The smaller halo that segmenting may do with, and what that costs. None: not measured, or there is none.
    training_data : tuple of DataSource
        What it was trained on, and under which licence.
    recipe : dict
        Training settings, as text and numbers.
    scores : dict
        What was measured: name -> value.
    licence : str
        Licence of the weights.
    bank : str, optional
        Name of the shipped model whose training patches it carries along; see `models.bank`.
    parent : str, optional
        Name and SHA-256 of the model that this one was fine-tuned from.
    styles : tuple of tuple of float
        How the images that it has learned since look to it, if it is used to the size of their objects; see `kinds`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["napari-unet/1"] = FORMAT
    name: str = Field(min_length=1, max_length=120)
    description: str = ""
    spec: UNetSpec
    task: Literal["instances", "semantic"] = "instances"
    outputs: tuple[str, ...]
    classes: tuple[str, ...] = ()
    inputs: Literal["channels", "colour"] = "channels"
    pixel_size: tuple[float, ...] | None = None
    diameter: float | None = Field(None, ge=DIAMETER[0], le=DIAMETER[1])
    image_diameter: float | None = Field(None, ge=DIAMETER[0], le=DIAMETER[1])
    normalization: Normalization = Normalization()
    decoding: Decoding = Decoding()
    fast: FastMode | None = None
    training_data: tuple[DataSource, ...] = ()
    recipe: dict[str, str | int | float | bool | None] = {}
    scores: dict[str, float] = {}
    licence: str = "unknown"
    bank: str | None = Field(None, pattern=r"^[\w-]+$")
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
        if self.fast is not None and (
            len(self.fast.halo) != self.spec.ndim or not all(1 <= width <= MAX_HALO for width in self.fast.halo)
        ):
            raise ValueError(
                f"the halo {self.fast.halo} is not {self.spec.ndim} numbers of pixels from 1 to {MAX_HALO}"
            )
        if any(not all(map(math.isfinite, style)) for style in self.styles):
            raise ValueError("a style holds what is no number")
        return self

    @property
    def finds_objects(self) -> bool:
        """Whether the labels are objects with ids of their own, or classes of pixels."""
        return self.task == "instances"

    @property
    def vectors(self) -> dict[int, int]:
        """Axes of the maps, counted from the last, with the output that is the component of a flow field along it."""
        names = FLOWS[self.spec.ndim]
        return {axis - len(names): self.outputs.index(n) for axis, n in enumerate(names) if n in self.outputs}

    @property
    def is_from_scratch(self) -> bool:
        """Whether it knows nothing but what its user painted."""
        return self.recipe.get("method") == FROM_SCRATCH

    @property
    def is_untrained(self) -> bool:
        """Whether it is to learn from what its user paints, and has not yet."""
        return self.is_from_scratch and self.recipe.get("steps") == 0

    @property
    def finds_diameter(self) -> bool:
        """Whether it can tell how wide objects are: one for objects in planes that knows at which size it finds them.

        What knows only the few objects that its user painted is no judge of others.
        """
        return self.finds_objects and self.diameter is not None and self.spec.ndim == 2 and not self.is_from_scratch

    @property
    def axes(self) -> str:
        """Axes of what the network takes."""
        return "CZYX" if self.spec.ndim == 3 else "CYX"
