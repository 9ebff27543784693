"""An untrained model for the chosen image, and an empty layer to paint into."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from napari_unet.errors import UNetError, UntrainedModelError
from napari_unet.layers.inference.painting import carry_over, paint_next
from napari_unet.learning.new_model import model_for_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.layers.inference.preparation import Preparation
    from napari_unet.layers.saved_models import SavedModels
    from napari_unet.layers.workspace import Workspace

TaskName = Literal["instances", "semantic"]


class NewModel:
    """Makes untrained models.

    Parameters
    ----------
    workspace : Workspace
    preparation : Preparation
        Makes the empty layer.
    saved_models : SavedModels
        Have the names that are taken.
    """

    def __init__(self, workspace: Workspace, preparation: Preparation, saved_models: SavedModels) -> None:
        self._workspace, self._preparation, self._saved_models = workspace, preparation, saved_models

    def make(self, name: str, task: TaskName, ndim: Literal[2, 3], classes: Sequence[str]) -> bool:
        """Make a model and use it; return whether it went well. See `Controller.new_model`."""
        workspace = self._workspace
        try:
            if name in self._saved_models.names():
                raise UNetError(f"There is a model called {name!r} already; choose another name.")
            model = model_for_image(workspace.image(), task, ndim=ndim, classes=classes, name=name)
        except UNetError as error:
            workspace.say_error(error)
            return False
        before, known = workspace.take_session(), workspace.model
        workspace.history.choose(model)
        with suppress(UntrainedModelError):
            self._preparation.prepare("stack")
        session = workspace.session
        kept = carry_over(before, known, session, model) if before and known and session else ""
        workspace.close_session(before)
        workspace.say(f"Your corrections were kept ({kept}). Press Learn." if kept else paint_next(model))
        return True
