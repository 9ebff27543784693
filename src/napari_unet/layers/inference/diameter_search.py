"""Finds how wide the objects of an image are, in the background, before the image is segmented."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_unet.errors import Cancelled
from napari_unet.inference.diameter import find_diameter
from napari_unet.layers.jobs import Job, Runner, ignore, once

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.axes import Image
    from napari_unet.layers.inference.object_diameter import ObjectDiameter
    from napari_unet.layers.workspace import Workspace
    from napari_unet.models.model import Model


class DiameterSearch:
    """Finds the object diameter of the chosen image, one image at a time.

    Parameters
    ----------
    workspace : Workspace
    object_diameter : ObjectDiameter
        Takes note of what is found.
    runner : Runner
        Where it is looked for.

    Attributes
    ----------
    layer : napari.layers.Layer or None
        That of the image under way.
    """

    def __init__(self, workspace: Workspace, object_diameter: ObjectDiameter, runner: Runner) -> None:
        self._workspace, self._object_diameter, self._runner = workspace, object_diameter, runner
        self._job: Job | None = None
        self.layer: Any = None

    @property
    def busy(self) -> bool:
        """Whether it is looked for."""
        return self._job is not None

    def is_needed(self, image: Image) -> bool:
        """Return whether it has to be found on the chosen image before that is segmented."""
        return self._object_diameter.to_be_found(self._workspace.layer, image)

    def start(self, model: Model, image: Image, found: Callable[[], object], given_up: Callable[[], object]) -> None:
        """Look for it with a model, and take note of it, then call `found`, also if it cannot be told.

        If it was stopped, or another image is chosen by then, or its labels are gone, `given_up` is called.
        """
        workspace, layer, session, channel = (
            self._workspace, self._workspace.layer, self._workspace.session, self._workspace.channel
        )  # fmt: skip
        job = self._job = Job("Measure the objects")
        self.layer = layer

        def end(diameter: float | None, *, stopped: bool = False) -> None:
            if job is not self._job:
                return
            self.drop()
            if stopped or workspace.layer is not layer or workspace.session is not session:
                given_up()
                return
            self._object_diameter.note_found(layer, image, channel, diameter, model.info.image_diameter)
            found()

        def failed(error: Exception) -> None:
            end(None, stopped=isinstance(error, Cancelled))  # what else is wrong shows when it is segmented

        find = partial(find_diameter, image, model, channel=channel, device=workspace.device, cancel=job.cancel)
        workspace.segmenting.emit(True)
        workspace.say("Looking how wide the objects are.")
        self._runner.start(job, once(find), ignore, end, failed)

    def stop(self) -> None:
        """Stop; `given_up` is called when it has."""
        if self._job is not None:
            self._job.cancel.cancel()

    def drop(self) -> None:
        """Stop, and tell nobody."""
        self.stop()
        self._job = self.layer = None
