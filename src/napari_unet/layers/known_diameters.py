"""How wide the objects of each image layer are: as its user said, or as it was found on the image itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_unet.inference.diameter import needs_diameter

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from napari_unet.axes import Image
    from napari_unet.models.model import Model


@dataclass(frozen=True, slots=True)
class FoundDiameter:
    """An object diameter that was found on a channel of an image.

    Attributes
    ----------
    image : Image
    channel : int or None
    diameter : float or None
        Pixels. None: there were too few objects to tell, or what the model is used to holds.
    against : float or None
        The diameter, in pixels, that the model was used to at that time.
    """

    image: Image
    channel: int | None
    diameter: float | None
    against: float | None

    def about(self, image: Image, channel: int | None) -> bool:
        """Whether it was found on that."""
        return self.image.same_pixels(image) and (self.image.axes, self.channel) == (image.axes, channel)


class KnownDiameters:
    """The object diameters of image layers, by the id of the layer."""

    def __init__(self) -> None:
        self._said: dict[Hashable, float] = {}
        self._found: dict[Hashable, FoundDiameter] = {}

    def said(self, layer: Any) -> float | None:
        """Return what the user said it is, pixels; None: not said, or there is no layer."""
        return self._said.get(layer.unique_id) if layer is not None else None

    def say(self, layer: Any, diameter: float | None) -> None:
        """Take note of what the user says, pixels; None: to go by the pixel size, or by what the model learned."""
        self._said.pop(layer.unique_id, None)
        if diameter is not None:
            self._said[layer.unique_id] = diameter

    def note_found(self, layer: Any, found: FoundDiameter) -> None:
        """Take note of what was found on the image of a layer."""
        self._found[layer.unique_id] = found

    def forget_found(self) -> None:
        """Forget what was found: another model may find other diameters."""
        self._found.clear()

    def keep_only(self, layers: Iterable[Any]) -> None:
        """Forget what belongs to other layers than these."""
        there = {layer.unique_id for layer in layers}
        self._said = {key: value for key, value in self._said.items() if key in there}
        self._found = {key: value for key, value in self._found.items() if key in there}

    def applied(self, layer: Any, image: Image, channel: int | None, model: Model | None) -> Image:
        """Return the image of a layer with the diameter that is known of it, if that matters to the model."""
        if not matters(model):
            return replace(image, diameter=None, found_diameter=None)
        said, found = self._said.get(layer.unique_id), self._found.get(layer.unique_id)
        if found is None or not found.about(image, channel):
            return replace(image, diameter=said, found_diameter=None, found_against=None)
        return replace(image, diameter=said, found_diameter=found.diameter, found_against=found.against)

    def to_be_found(self, layer: Any, image: Image, channel: int | None, model: Model | None) -> bool:
        """Return whether it has to be found on the image of a layer before that is segmented."""
        if model is None:
            return False
        found = self._found.get(layer.unique_id)
        known = found is not None and found.about(image, channel) and found.against == model.info.image_diameter
        return not known and needs_diameter(image, model)


def matters(model: Model | None) -> bool:
    """Whether a model (None: one that is not chosen yet) can make use of an object diameter."""
    return model is None or model.info.diameter is not None or model.info.is_untrained
