"""How wide the objects of an image are: as its user said, as the model in use takes it to be, or as it found them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_unet.inference.diameter import needs_diameter

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_unet.axes import Image
    from napari_unet.layers.controller import Controller


@dataclass(frozen=True, slots=True)
class _Found:
    """The diameter that was found on a channel of an image, pixels, against what the model is used to.

    None: there were too few objects to tell, or what the model is used to holds.
    """

    image: Image
    channel: int | None
    diameter: float | None
    against: float | None

    def about(self, image: Image, channel: int | None) -> bool:
        """Whether it was found on that."""
        return self.image.same_pixels(image) and (self.image.axes, self.channel) == (image.axes, channel)


class ObjectSizes:
    """The object diameter of each image layer.

    Parameters
    ----------
    controller : Controller
        Whose images and model they are for, and whose signals tell of what happens.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._said: dict[Hashable, float] = {}
        self._found: dict[Hashable, _Found] = {}
        controller.model_changed.connect(self._keep_up)

    @property
    def said(self) -> float | None:
        """Pixels, of the chosen image, as the user said; None: not said."""
        return self.said_of(self._controller.layer)

    @property
    def learned(self) -> float | None:
        """What the model takes it to be where neither that nor the pixel size is known; None: nothing."""
        model = self._controller.model
        return model.info.image_diameter if model is not None else None

    @property
    def found(self) -> float | None:
        """Pixels, as they were found on the chosen image, where it goes by that; None: it does not."""
        session = self._controller.session
        if self.said is not None or session is None or session.image.found_against != self.learned:
            return None
        return session.image.found_diameter

    @property
    def best(self) -> float | None:
        """What the model finds best; None: not known."""
        model = self._controller.model
        return model.info.diameter if model is not None else None

    @property
    def matter(self) -> bool:
        """Whether the model can make use of it."""
        model = self._controller.model
        return model is None or model.info.diameter is not None or model.info.is_untrained

    def say(self, diameter: float | None) -> None:
        """Say what it is in the chosen image, pixels; None: to go by its pixel size, or by what the model learned."""
        desk = self._controller
        if desk.layer is None or diameter == self.said:
            return
        self._said.pop(desk.layer.unique_id, None)
        if diameter is not None:
            self._said[desk.layer.unique_id] = diameter
        self._keep_up()
        desk.image_changed.emit()

    def said_of(self, layer: Any) -> float | None:
        """Return the same of an image layer."""
        return self._said.get(layer.unique_id) if layer is not None else None

    def of(self, layer: Any, image: Image) -> Image:
        """Return the image of a layer, which then knows it."""
        if not self.matter:
            return replace(image, diameter=None, found_diameter=None)
        said, found = self._said.get(layer.unique_id), self._found.get(layer.unique_id)
        if found is None or not found.about(image, self._controller.channel):
            return replace(image, diameter=said, found_diameter=None, found_against=None)
        return replace(image, diameter=said, found_diameter=found.diameter, found_against=found.against)

    def wanted(self, layer: Any, image: Image) -> bool:
        """Return whether it has to be found on the image of a layer before that is segmented."""
        model, found = self._controller.model, self._found.get(layer.unique_id)
        looked = found is not None and found.about(image, self._controller.channel) and found.against == self.learned
        return model is not None and not looked and needs_diameter(image, model)

    def take(
        self, layer: Any, image: Image, channel: int | None, diameter: float | None, against: float | None
    ) -> None:
        """Take note of what was found on an image against what the model is used to; None: it could not be told."""
        self._found[layer.unique_id] = _Found(image, channel, diameter, against)
        self._keep_up()
        self._controller.image_changed.emit()

    def forget(self) -> None:
        """Let go of what was found: another model may see it otherwise."""
        self._found.clear()

    def let_go(self) -> None:
        """Let go of what was said and found of layers that are gone."""
        there = {layer.unique_id for layer in self._controller.viewer.layers}
        self._said = {key: value for key, value in self._said.items() if key in there}
        self._found = {key: value for key, value in self._found.items() if key in there}

    def _keep_up(self) -> None:
        """Have what was corrected learned at that scale."""
        for session in self._controller.sessions:
            session.image = self.of(session.layer, session.image)
