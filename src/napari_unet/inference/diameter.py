"""How wide the objects in an image are, found on the image itself by the network that is to segment it.

A network that sees objects at a size it knows says of their pixels how far within they lie, or where they meet, and
that agrees with the objects that are then found. At a wrong size it does not: large ones fall to pieces, small ones run
together. So one place is segmented at a few scales, and objects are measured where the network agrees best with itself.
No second network, and nothing to train (docs/decisions/0013-found-diameter.md has what that gains).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import ImageError, ModelMismatchError
from napari_unet.inference.scale import DIAMETER_TOLERANCE, magnification, scale_is_known
from napari_unet.inference.style import around, place_of_contrast, resembles_learned
from napari_unet.inference.task import choose_channels
from napari_unet.models.model import Model, resolve_device
from napari_unet.objects.size import diameters
from napari_unet.objects.targets import target_maps
from napari_unet.tiling.engine import Predictor, gather
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.scaled import resized
from napari_unet.tiling.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.axes import Image
    from napari_unet.models.info import ModelInfo
    from napari_unet.progress import CancelToken

LOOKS = {0.5: 192, 1.0: 128, 0.25: 256, 2.0: 192}
"""Scales at which it is looked, and the width, in pixels of the network, of what is looked at. At half scale `nuclei`
measures objects of 16 to 130 pixels rightly; at full scale smaller ones, at a quarter larger ones."""

USUAL = 192
"""The same at the scale that a model is used to."""

PLAIN = (0.75, 1.125)
"""What is this wide at half scale, as a multiple of the diameter that the model finds best, is looked at no further."""

CLEARLY = 0.02
"""By how much better the network has to agree with itself at another scale than at the image's own to be given that."""

SURE = 0.15
"""A model that is used to larger objects must disagree with itself by less than that, and by less than at the scale
that it is used to."""

LEAST = 3
"""Objects that it takes to tell."""


def said_diameter(diameter: float | str | None) -> float | None:
    """Return the diameter that somebody said; None where it is to be found ("auto"), or nothing is said.

    Raises
    ------
    ImageError
        If it is another word.
    """
    if isinstance(diameter, str):
        if diameter != "auto":
            raise ImageError(f"The object diameter is a number of pixels, or 'auto'; got {diameter!r}.")
        return None
    return diameter


def finds_diameter(model: Model) -> bool:
    """Return whether a model can tell how wide objects are; see `ModelInfo.finds_diameter`."""
    return model.info.finds_diameter


def needs_diameter(image: Image, model: Model) -> bool:
    """Return whether nobody said what the scale of an image is, and the model can find it out."""
    looked = image.found_diameter is not None and image.found_against == model.info.image_diameter
    return finds_diameter(model) and not looked and not scale_is_known(image, model.info)


def with_diameter(
    image: Image,
    model: Model,
    *,
    channel: int | None = None,
    always: bool = False,
    device: str = "auto",
    cancel: CancelToken | None = None,
) -> tuple[Image, Model]:
    """Return an image that knows how wide its objects are, where nothing was known of its scale, and its model.

    Parameters
    ----------
    image, model, channel, device, cancel
        As for `find_diameter`.
    always : bool
        Whatever is known of the scale: if a diameter is found, the model that is returned knows nothing of another.

    Raises
    ------
    ModelMismatchError
        If it is to be found always, and the model cannot.
    """
    if always and not finds_diameter(model):
        raise ModelMismatchError(
            f"The model {model.name!r} cannot find out how wide objects are: that takes one for objects in planes that "
            "knows at which size it finds them. Leave the object diameter out, or give a number."
        )
    if not always and not needs_diameter(image, model):
        return image, model
    seeker = Model(model.net, _free(model.info)) if always else model
    found = find_diameter(image, seeker, channel=channel, device=device, cancel=cancel)
    if found is None:
        return image, model
    said = None if always else image.diameter
    return replace(image, diameter=said, found_diameter=found, found_against=seeker.info.image_diameter), seeker


def _free(info: ModelInfo) -> ModelInfo:
    """Return the description of a model that knows nothing of the scale of any image."""
    return info.model_copy(update={"pixel_size": None, "image_diameter": None})


def find_diameter(
    image: Image,
    model: Model,
    *,
    channel: int | None = None,
    device: str = "auto",
    cancel: CancelToken | None = None,
) -> float | None:
    """Return how wide the objects in an image are, pixels; None where that cannot be told.

    That is: where there are too few objects, or where the image would have to be made smaller or larger for them
    although the model does as well with it as it is. A model that is used to images with objects of one size tells only
    if it is sure that they are smaller here. It depends on the image, the channel and the model alone: neither on tiles
    nor on what somebody looks at.

    Parameters
    ----------
    image : Image
    model : Model
        One that `finds_diameter`.
    channel : int, optional
        Channel to look at; as for segmenting.
    device : str
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    cancel : CancelToken, optional
        Ends it, with `Cancelled`.

    Raises
    ------
    ImageError, ModelMismatchError, DeviceError
        If they do not fit together.
    """
    looks = _Looks(image, model, choose_channels(image, model, channel), device, cancel)
    best, used_to = model.info.diameter or 1.0, model.info.image_diameter
    if used_to is not None and looks.at_what_was_learned():
        return None
    half = looks.at(0.5)
    seen = [half]
    if half is None or half.diameter < PLAIN[0] * best or used_to is not None:
        seen.append(looks.at(1.0))
    if half is None or half.diameter > PLAIN[1] * best:
        seen.append(looks.at(0.25))
    found = min((look for look in seen if look is not None), key=lambda look: look.disagreement, default=None)
    if found is None:
        return None
    if used_to is not None and not looks.smaller_than(used_to, found):
        return None
    unsaid = replace(image, diameter=None, found_diameter=found.diameter, found_against=None)
    zoom = magnification(unsaid, _free(model.info))
    if zoom and not looks.clearly_better(looks.at(2.0) if zoom[0] > 1 else found):
        return None
    return found.diameter


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at one scale tells.

    `disagreement` is, of the typical object, the share by which its map differs from the one that follows from the
    object, 0..1; `diameter` how wide objects are, pixels of the image.
    """

    disagreement: float
    diameter: float


class _Looks:
    """Looks at one place of an image, at any scale."""

    def __init__(
        self, image: Image, model: Model, channels: Sequence[int], device: str, cancel: CancelToken | None
    ) -> None:
        check = (lambda _: cancel.check()) if cancel is not None else None
        self._model, self._predictor = model, Predictor(model.net, device=resolve_device(device), check=check)
        self._block, self._place = place_of_contrast(image, model, channels)
        self._had: dict[float, _Look | None] = {}

    def at(self, scale: float) -> _Look | None:
        """Return what a look at a scale tells; None where there are too few objects."""
        if scale not in self._had:
            region = around(self._place, self._block.shape[1:], round(LOOKS.get(scale, USUAL) / scale))
            self._had[scale] = self._look(self._block[(slice(None), *region)], scale)
        return self._had[scale]

    def at_what_was_learned(self) -> bool:
        """Whether the image looks like those that the model has learned at the size that it is used to."""
        return resembles_learned(self._model, self._block, self._place)

    def smaller_than(self, used_to: float, look: _Look) -> bool:
        """Whether a look surely shows smaller objects than those that the model is used to."""
        if look.disagreement > SURE or look.diameter * DIAMETER_TOLERANCE > used_to:
            return False
        usual = self.at((self._model.info.diameter or used_to) / used_to)
        return usual is None or look.disagreement < usual.disagreement

    def clearly_better(self, look: _Look | None) -> bool:
        """Whether the network agrees clearly better with itself in a look than at the image's own scale."""
        plain = self.at(1.0)
        return look is not None and (plain is None or look.disagreement < plain.disagreement - CLEARLY)

    def _look(self, block: NDArray[np.float32], scale: float) -> _Look | None:
        if scale != 1:
            block = resized(block, [max(1, round(n * scale)) for n in block.shape[1:]])
        plan = make_plan(self._model.info.spec, block.shape[1:], budget=2**62)
        maps = gather(plan, ArraySource(block), self._predictor)
        labels, info = self._model.decode(maps), self._model.info
        if labels.max(initial=0) < LEAST:
            return None
        names = info.decoding.needs(info.spec.ndim)
        nothing = 0.5 if info.decoding.seeds == "flows" else 0.0  # what a map says where there is no object
        got = maps[[info.outputs.index(name) for name in names]] - nothing
        expected = target_maps(labels, names).astype(np.float32) - nothing
        lengths = (np.sqrt((vectors**2).sum(0)) for vectors in (got - expected, got, expected))
        difference, *both = (np.bincount(labels.ravel(), length.ravel())[1:] for length in lengths)
        total = sum(both)
        shares = difference / np.maximum(total, 1e-6)
        return _Look(float(np.median(shares)), float(np.median(diameters(labels))) / scale)
