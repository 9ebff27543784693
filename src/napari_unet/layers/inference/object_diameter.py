"""The object diameter of the chosen image: what is known of it, and what its user says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.layers.known_diameters import FoundDiameter, matters

if TYPE_CHECKING:
    from typing import Any

    from napari_unet.axes import Image
    from napari_unet.layers.workspace import Workspace


class ObjectDiameter:
    """The object diameter of the chosen image, in pixels.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        workspace.model_changed.connect(self._update_images)

    @property
    def said(self) -> float | None:
        """As the user said; None: not said."""
        return self._workspace.diameters.said(self._workspace.layer)

    @property
    def learned(self) -> float | None:
        """What the model takes it to be where neither that nor the pixel size is known; None: nothing."""
        model = self._workspace.model
        return model.info.image_diameter if model is not None else None

    @property
    def found(self) -> float | None:
        """As it was found on the chosen image, where it goes by that; None: it does not."""
        session = self._workspace.session
        if self.said is not None or session is None or session.image.found_against != self.learned:
            return None
        return session.image.found_diameter

    @property
    def best(self) -> float | None:
        """What the model finds best; None: not known."""
        model = self._workspace.model
        return model.info.diameter if model is not None else None

    @property
    def matters(self) -> bool:
        """Whether the model can make use of it."""
        return matters(self._workspace.model)

    def say(self, diameter: float | None) -> None:
        """Say what it is; None: to go by the pixel size, or by what the model learned."""
        workspace = self._workspace
        if workspace.layer is None or diameter == self.said:
            return
        workspace.diameters.say(workspace.layer, diameter)
        self._update_images()
        workspace.image_changed.emit()

    def to_be_found(self, layer: Any, image: Image) -> bool:
        """Return whether it has to be found on the image of a layer before that is segmented."""
        workspace = self._workspace
        return workspace.diameters.to_be_found(layer, image, workspace.channel, workspace.model)

    def note_found(
        self, layer: Any, image: Image, channel: int | None, diameter: float | None, against: float | None
    ) -> None:
        """Take note of what was found on the image of a layer; see `FoundDiameter`."""
        self._workspace.diameters.note_found(layer, FoundDiameter(image, channel, diameter, against))
        self._update_images()
        self._workspace.image_changed.emit()

    def _update_images(self) -> None:
        """Have what was corrected learned at that scale."""
        for session in self._workspace.sessions:
            session.image = self._workspace.with_diameter(session.layer, session.image)
