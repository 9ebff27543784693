"""How wide the objects of an image are, as its user said, or as the model in use takes them to be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_unet.axes import Image
    from napari_unet.layers.controller import Controller


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
        controller.model_changed.connect(self._keep_up)

    @property
    def said(self) -> float | None:
        """Pixels, of the chosen image, as the user said; None: not said."""
        layer = self._controller.layer
        return self._said.get(layer.unique_id) if layer is not None else None

    @property
    def learned(self) -> float | None:
        """What the model takes it to be where neither that nor the pixel size is known; None: nothing."""
        model = self._controller.model
        return model.info.image_diameter if model is not None else None

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

    def of(self, layer: Any, image: Image) -> Image:
        """Return the image of a layer, which then knows it."""
        return replace(image, diameter=self._said.get(layer.unique_id) if self.matter else None)

    def _keep_up(self) -> None:
        """Have what was corrected learned at that scale."""
        for session in self._controller.sessions:
            session.image = self.of(session.layer, session.image)
