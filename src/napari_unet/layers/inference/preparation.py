"""What is to be segmented: the session of the chosen image, and the task of segmenting it with the model in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from napari_unet.errors import UNetError, UntrainedModelError
from napari_unet.inference.task import make_task
from napari_unet.layers.image import canvas
from napari_unet.layers.image.geometry import LayerGeometry
from napari_unet.layers.inference.painting import paint_next, ready_to_paint
from napari_unet.layers.inference.viewport import ordered_subimages
from napari_unet.layers.session.session import LayerSession
from napari_unet.layers.workspace import Scope
from napari_unet.limits import check_choice
from napari_unet.projects.segmenting import check_kind

if TYPE_CHECKING:
    from napari_unet.axes import Image
    from napari_unet.inference.task import Task
    from napari_unet.layers.saved_models import SavedModels
    from napari_unet.layers.workspace import Workspace
    from napari_unet.models.model import Model


class Preparation:
    """Makes sessions and tasks.

    Parameters
    ----------
    workspace : Workspace
    saved_models : SavedModels
        Have the model that is taken where none was chosen.
    """

    def __init__(self, workspace: Workspace, saved_models: SavedModels) -> None:
        self._workspace, self._saved_models = workspace, saved_models

    def begin(self) -> tuple[Model, Image]:
        """Return the model to segment with, and the chosen image.

        Raises
        ------
        UNetError
            If there is none that can be used.
        """
        workspace = self._workspace
        image = workspace.image()
        if workspace.model is None:
            if not self._saved_models.choose_default():
                raise UNetError("There is no model to segment with. Choose one.")
            image = workspace.image()  # the model may go by an object diameter
        model = workspace.model
        assert model is not None  # just loaded
        return model, image

    def prepare(self, scope: Scope) -> tuple[LayerSession, Task]:
        """Return what is to be segmented, and the session that it belongs to.

        Parameters
        ----------
        scope : {"stack", "slice", "view"}
            How much of the chosen image.

        Raises
        ------
        UNetError
            If there is nothing that can be segmented, or no model that can. For one that is untrained yet there is
            then an empty layer to paint into.
        """
        workspace = self._workspace
        check_choice(scope, get_args(Scope), "How much is segmented")
        model, image = self.begin()
        layer, session = workspace.layer, workspace.session
        if session is not None and not session.fits(image):
            session = None
            workspace.image_changed.emit()
        if session is not None and session.listed:  # its project would be written over
            check_kind(image.name, session.corrections, model)
        geometry = LayerGeometry(layer, image)
        frame, z = geometry.current_plane(workspace.viewer)
        task = make_task(
            image,
            model,
            channel=workspace.channel,
            subimages=ordered_subimages(image, model, frame, z, whole=scope == "stack"),
            field=self._field(scope, geometry),
            device=workspace.device,
            flips=workspace.flips,
        )
        if session is None or session.corrections.instances != model.info.finds_objects:
            workspace.close_session(workspace.take_session())
            session = LayerSession(workspace.viewer, layer, image, instances=model.info.finds_objects)
            workspace.adopt(session)
            if image.found_diameter is not None:  # which is shown once there is a session
                workspace.image_changed.emit()
        session.image = image
        session.rescan()
        if model.info.is_untrained:
            ready_to_paint(session)
            raise UntrainedModelError(f"Nothing is learned yet. {paint_next(model)}")
        return session, task

    def _field(self, scope: Scope, geometry: LayerGeometry) -> tuple[slice, slice] | None:
        """Return the pixels (Y, X) that a scope is about; None: all.

        Raises
        ------
        UNetError
            If it is about what is in view, and nothing of the image is.
        """
        if scope == "stack":
            return None
        viewer, purpose = self._workspace.viewer, "segment what is in view"
        if scope == "slice" or viewer.dims.ndisplay == 3:
            canvas.check_on_canvas(viewer, geometry, purpose)
            return None
        return canvas.field_on_canvas(viewer, geometry, purpose)
