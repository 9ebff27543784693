"""*Fit to my corrections*: sets the sliders by what was corrected and reviewed in all open images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.errors import NothingToLearnError, UNetError
from napari_unet.layers.inference.decoding_sliders import named
from napari_unet.layers.jobs import PresentJob, once
from napari_unet.learning.fit_to_corrections import fit_to_corrections
from napari_unet.progress import counted

if TYPE_CHECKING:
    from napari_unet.layers.inference.decoding_sliders import DecodingSliders, Slider
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.workspace import Workspace
    from napari_unet.learning.fitting import Fitted
    from napari_unet.models.model import Model
    from napari_unet.objects.decode import Decoding


class FitToCorrections:
    """Looks for the settings by which most of what somebody vouches for comes out right, and sets them.

    Parameters
    ----------
    workspace : Workspace
    sliders : DecodingSliders
        What is set.
    runner : Runner
        Where it looks.
    """

    changed = Signal()  # whether it is looking

    def __init__(self, workspace: Workspace, sliders: DecodingSliders, runner: Runner) -> None:
        self._workspace, self._sliders = workspace, sliders
        self._job = PresentJob(runner, self.changed.emit)

    @property
    def busy(self) -> bool:
        """Whether it is looking."""
        return self._job.busy

    def start(self) -> bool:
        """Begin; return whether it did."""
        workspace, model = self._workspace, self._workspace.model
        if self._job.busy:
            workspace.say("A fit is under way. Wait until it is done.", "error")
            return False
        try:
            if model is None or not self._sliders.apply:
                raise NothingToLearnError("There is nothing to fit yet. Press Segment, then correct the result.")
            crops = workspace.annotated_crops(model)
            if not crops:
                raise NothingToLearnError("Nothing is corrected or reviewed yet. Correct some objects, then fit.")
        except UNetError as error:
            workspace.say_error(error)
            return False
        job = self._job.begin("Fit to my corrections")
        workspace.say("Fitting the settings to your corrections. You can go on painting.")
        fit = partial(fit_to_corrections, model, crops, workspace.device, job.cancel)
        self._job.run(job, once(fit), partial(self._on_fitted, model), workspace.say_error)
        return True

    def close(self) -> None:
        """Stop, and tell of nothing any more."""
        self._job.stop()

    def _on_fitted(self, model: Model, fitted: Fitted) -> None:
        workspace, now = self._workspace, self._workspace.model
        if now is None or now.net is not model.net:
            workspace.say("Another model is in use by now, so nothing was fitted. Press Fit again.")
        elif not fitted.enough:
            workspace.say("Too few objects are corrected or reviewed to fit to. Correct some more.", "error")
        elif fitted.decoding == now.info.decoding:
            right = counted(fitted.objects, "object")
            workspace.say(
                f"No other settings fit the {right} you corrected or reviewed clearly better.", "done", str(fitted)
            )
        else:
            what = ", ".join(self._changed(now.info.decoding, fitted.decoding))
            self._sliders.set(fitted.decoding, f"{what[:1].upper()}{what[1:]}, by your corrections:", str(fitted))

    def _changed(self, before: Decoding, after: Decoding) -> list[str]:
        """Return in words which sliders change, and where they stand then."""
        was, now = self._sliders.positions_of(before), self._sliders.positions_of(after)
        names: tuple[Slider, ...] = ("sensitivity", "separation", "smallest")
        pairs = [(name, getattr(now, name)) for name in names if getattr(was, name) != getattr(now, name)]
        return [named(name, value).lower() for name, value in pairs]
