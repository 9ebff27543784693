"""Going back to earlier models and on to new ones: each puts a model in use, and shows in view what it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.errors import UNetError
from napari_unet.layers.jobs import Job, Runner
from napari_unet.layers.learning.model_diff import preview_steps, view_of

if TYPE_CHECKING:
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.learning.model_diff import FieldSegmented, ModelDiff
    from napari_unet.layers.workspace import Level, Workspace
    from napari_unet.learning.history import Generation


class ModelSwitch:
    """Puts models of the history in use.

    Parameters
    ----------
    workspace : Workspace
    segmenter : Segmenter
        Segments what is in view with the model that is then in use.
    diff : ModelDiff
        Shows what that changes.
    runner : Runner
        Where a model that is not in use yet segments what is in view.
    """

    def __init__(self, workspace: Workspace, segmenter: Segmenter, diff: ModelDiff, runner: Runner) -> None:
        self._workspace, self._segmenter, self._diff, self._runner = workspace, segmenter, diff, runner
        self._history = workspace.history
        self._history.none_waits.connect(diff.hide)

    def revert(self) -> None:
        """Go back to the model that the one in use was learned from, or that was in use before it was chosen."""
        earlier = self._history.earlier
        if earlier is None:
            self._workspace.say("There is no earlier model to go back to.", "error")
            return
        self.go_to(self._history.generations.index(earlier))

    def go_to(self, index: int) -> None:
        """Use a model of the history."""
        history = self._history
        if not 0 <= index < len(history.generations) or index == history.current:
            return
        back = index < history.current
        try:
            history.use(history.generations[index])
        except UNetError as error:  # its file is gone, or damaged
            self._workspace.say_error(error)
            history.changed.emit()
            return
        self._show("Back to the model before." if back else "Changed to another model.")

    def use(self) -> None:
        """Use the model that waits for a decision."""
        generation = self._history.waiting
        if generation is not None:
            self._history.let_wait(None)
            self.use_new(generation, "The new model is in use.")

    def drop(self) -> None:
        """Go on with the model in use; the one that waits for a decision stays in the list."""
        if self._history.waiting is not None:
            self._history.set_aside()
            self._workspace.say("Not used: the model in use is unchanged. The new one stays in the list under Learn.")

    def delete(self, index: int) -> bool:
        """Delete a learned model of the history that is not in use; return whether that was done."""
        generations = self._history.generations
        if not 0 <= index < len(generations) or not self._history.can_delete(generations[index]):
            self._workspace.say("A model that is in use cannot be deleted. Choose another one first.", "error")
            return False
        self._history.delete(generations[index])
        self._workspace.say(f"Deleted model {index + 1} of the list. Models that were saved under a name stay.", "done")
        return True

    def keep_changes(self) -> None:
        """Mark what the new model has changed in view as reviewed."""
        self._tell_changed(self._diff.keep(), "were marked as reviewed")

    def refuse_changes(self) -> None:
        """Put back what was in view before the new model, as corrections of the user."""
        self._tell_changed(self._diff.refuse(), "were put back, as corrections")

    def use_new(self, generation: Generation, lead: str, details: str = "", level: Level = "done") -> None:
        """Use a new model, after all others, and segment what is in view with it; say the lead sentence before."""
        self._history.add(generation)
        self._show(lead, details, level)

    def propose(self, generation: Generation, text: str, details: str = "") -> None:
        """Have a new model wait for a decision, say why, and show what it would change in view."""
        self._history.let_wait(generation)
        self._workspace.say(text, "warning", details)
        view = view_of(self._workspace)
        if view is None:
            return
        job = Job("Look at the new model")

        def segmented(event: FieldSegmented) -> None:
            if self._history.waiting is generation:
                self._diff.show(event)

        self._runner.start(
            job,
            lambda: preview_steps(view, generation.model, self._workspace.device, job.cancel),
            segmented,
            lambda _: None,
            lambda error: self._workspace.say_error(error),
        )

    def _tell_changed(self, pixels: int, what: str) -> None:
        self._workspace.refresh_corrections()
        self._workspace.say(f"{pixels:,} changed pixels {what}." if pixels else "Nothing has changed in view.")

    def _show(self, lead: str, details: str = "", level: Level = "done") -> None:
        """Segment what is in view with the model that is now in use, and say why."""
        workspace = self._workspace
        if workspace.session is None or not workspace.session.alive():
            workspace.say(lead, level, details)
            return
        view = view_of(workspace)
        if view is not None:
            self._diff.follow(view)
        elif workspace.viewer.dims.ndisplay == 2:  # nothing of the image is on the canvas
            workspace.say(f"{lead} Press Segment to see what it finds.", level, details)
            return
        self._segmenter.start(lead, "view", details, level)
