"""The models that can be chosen by name: choose one, or save the one in use among them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.inference.fast_mode import with_fast_mode
from napari_unet.layers.jobs import Job, Runner, once
from napari_unet.models.store import DEFAULT_MODEL, list_models, load_model, save_model

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.layers.workspace import Workspace
    from napari_unet.models.model import Model


class SavedModels:
    """Loads and saves models.

    Parameters
    ----------
    workspace : Workspace
    runner : Runner
        Where the fast mode of what was saved is measured.
    """

    changed = Signal()  # which there are

    def __init__(self, workspace: Workspace, runner: Runner) -> None:
        self._workspace, self._runner = workspace, runner

    def names(self) -> list[str]:
        """Return the names of all models that can be chosen."""
        return list(dict.fromkeys(entry.name for entry in list_models()))

    def choose(self, name: str | Path) -> bool:
        """Load a model by name or path and use it from now on; return whether that went well."""
        workspace = self._workspace
        try:
            model = load_model(name)
        except UNetError as error:
            workspace.say_error(error)
            return False
        workspace.diameters.forget_found()
        workspace.history.choose(model)
        return True

    def choose_default(self) -> bool:
        """Use the model that is taken where none was chosen; return whether that went well."""
        return self.choose(DEFAULT_MODEL)

    def save(self, name: str) -> bool:
        """Save the model in use under a name; return whether it went well."""
        workspace = self._workspace
        if workspace.model is None:
            workspace.say("There is no model to save yet.", "error")
            return False
        try:
            save_model(workspace.model, name)
        except UNetError as error:
            workspace.say_error(error)
            return False
        workspace.say(f"Saved as {name.strip()!r}. It is now in the list of models.", "done")
        self.changed.emit()
        self._measure(workspace.model, name)
        return True

    def _measure(self, model: Model, name: str) -> None:
        """Find out in the background how small a halo a saved model does with on this image, and save that with it."""
        workspace = self._workspace
        if model.info.fast_mode is not None or workspace.session is None:
            return
        steps = once(partial(with_fast_mode, model, [workspace.session.image]))

        def measured(known: Model) -> None:
            workspace.history.amend(model, known)
            with suppress(UNetError):  # it is saved as it was
                if load_model(name.strip()).sha256() == model.sha256():  # else somebody has saved another one since
                    save_model(known, name, overwrite=True)

        self._runner.start(Job(f"Measure {name}"), steps, lambda _: None, measured, lambda _: None)
