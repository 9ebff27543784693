"""Puts the model in use among those that can be chosen."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.inference.fast_mode import with_fast_mode
from napari_unet.layers.jobs import Job, Runner, once
from napari_unet.models.store import load_model, save_model

if TYPE_CHECKING:
    from napari_unet.layers.controller import Controller
    from napari_unet.models.model import Model


class SavedModels:
    """Saves models.

    Parameters
    ----------
    controller : Controller
        Whose model it is, and whose signals tell of what happens.
    runner : Runner
        Where the fast mode of what was saved is measured.
    """

    def __init__(self, controller: Controller, runner: Runner) -> None:
        self._controller, self._runner = controller, runner

    def save(self, name: str) -> bool:
        """Save the model in use under a name; return whether it went well."""
        desk = self._controller
        if desk.model is None:
            desk.say("There is no model to save yet.", "error")
            return False
        try:
            save_model(desk.model, name)
        except UNetError as error:
            desk.say(str(error), "error")
            return False
        desk.say(f"Saved. {name.strip()!r} stands in the list of models from now on.", "done")
        desk.model_changed.emit()
        self._measure(desk.model, name)
        return True

    def _measure(self, model: Model, name: str) -> None:
        """Find out in the background how small a halo a saved model does with on this image, and save that with it."""
        desk = self._controller
        if model.info.fast_mode is not None or desk.session is None:
            return
        steps = once(partial(with_fast_mode, model, [desk.session.image]))

        def measured(known: Model) -> None:
            desk.amend(model, known)
            with suppress(UNetError):  # it is saved as it was
                if load_model(name.strip()).sha256() == model.sha256():  # else somebody has saved another one since
                    save_model(known, name, overwrite=True)

        self._runner.start(Job(f"Measure {name}", 0), steps, lambda _: None, measured, lambda _: None)
