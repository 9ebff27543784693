"""Labels that are in the viewer already, made by another program or on another day, as the result to correct."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import Cancelled, UNetError
from napari_unet.layers.image import adapter
from napari_unet.layers.jobs import PresentJob, Runner, once
from napari_unet.layers.session.session import LayerSession
from napari_unet.layers.workspace import with_notes
from napari_unet.projects.given_labels import check_labels, project_from_labels

if TYPE_CHECKING:
    from napari_unet.axes import Image
    from napari_unet.layers.workspace import Workspace
    from napari_unet.projects.project import Project

_GONE = "The image or the labels were removed meanwhile. Nothing else was changed."


class GivenLabels:
    """Begins a session of the chosen image with the labels of a layer, which stays as it is.

    Parameters
    ----------
    workspace : Workspace
    runner : Runner
        Where the labels are copied.
    """

    changed = Signal()  # what can be begun with, or whether it is busy

    def __init__(self, workspace: Workspace, runner: Runner) -> None:
        self._workspace = workspace
        self._job = PresentJob(runner, self.changed.emit)
        workspace.viewer.layers.selection.events.active.connect(self._on_change)
        workspace.image_changed.connect(self._on_change)
        workspace.session_opened.connect(self._on_change)

    @property
    def busy(self) -> bool:
        """Whether labels are being copied."""
        return self._job.busy

    @property
    def layer(self) -> Any:
        """The selected layer, if it has labels of which no session is made yet; else None."""
        active = self._workspace.viewer.layers.selection.active
        return active if active is not None and self._owner(active) is None and _is_labels(active) else None

    def start(self, layer: Any = None) -> bool:
        """Make the labels of a layer the result of the chosen image, to be corrected; return whether it began.

        They are copied into a layer of their own, which is a prediction of which nothing is corrected or reviewed yet.
        The layer itself is hidden and not changed. What is wrong with labels is told in words.

        Parameters
        ----------
        layer : napari.layers.Labels, optional
            None: the selected one. Of several levels the finest is taken.
        """
        workspace = self._workspace
        try:
            layer, image = self._checked(layer)
            check_labels(image, _labels_of(layer))
        except UNetError as error:
            workspace.say_error(error)
            return False
        model = workspace.model
        instances = model is None or model.info.finds_objects
        job = self._job.begin(f"Copy {layer.name}")

        def copied(project: Project) -> None:
            self._begin(project, layer, image)

        def failed(error: Exception) -> None:
            if not isinstance(error, Cancelled):
                workspace.say_error(error)

        copy = partial(project_from_labels, image, _labels_of(layer), instances=instances, cancel=job.cancel)
        self._job.run(job, once(copy), copied, failed)
        return True

    def close(self) -> None:
        """Stop, and begin nothing any more."""
        workspace = self._workspace
        workspace.viewer.layers.selection.events.active.disconnect(self._on_change)
        workspace.image_changed.disconnect(self._on_change)
        workspace.session_opened.disconnect(self._on_change)
        self._job.stop()

    def _checked(self, layer: Any) -> tuple[Any, Image]:
        """Return the layer to begin with, and the chosen image.

        Raises
        ------
        UNetError
            If it cannot be begun.
        """
        workspace = self._workspace
        if self.busy:
            raise UNetError("Labels are being copied already. Wait until that is done.")
        layer = workspace.viewer.layers.selection.active if layer is None else layer
        if layer is None or not _is_labels(layer):
            raise UNetError("Select the labels layer to correct in the list of layers, and press the button again.")
        if workspace.layer is None:
            raise UNetError("Open the image that these labels were made of, and choose it first.")
        owner = self._owner(layer)
        if owner is not None:
            raise UNetError(f"These are the objects of {owner.layer.name} already. Correct them there.")
        self._check_free()
        return layer, workspace.image()

    def _check_free(self) -> None:
        """Refuse where a result of the chosen image would be given up that somebody has worked on."""
        session = self._workspace.session
        if session is not None and session.alive() and session.rescan().anything:
            raise UNetError(
                f"{session.labels_layer.name} has corrections. Save them, and delete that layer to begin with others."
            )

    def _begin(self, project: Project, layer: Any, image: Image) -> None:
        """Show the copy in a session of its own (main thread)."""
        workspace = self._workspace
        chosen = workspace.layer
        try:
            if chosen is None or layer not in workspace.viewer.layers:
                raise UNetError(_GONE)
            now = workspace.image()
            if now.identity != image.identity or now.label_shape != image.label_shape:
                raise UNetError("Another image was chosen meanwhile. Press the button again.")
            self._check_free()
            before = workspace.take_session()
            if before is not None:
                before.labels_layer.visible = False
                workspace.close_session(before)
            instances = project.corrections.instances
            session = LayerSession(workspace.viewer, chosen, now, instances=instances, saved=project)
        except UNetError as error:
            workspace.say_error(error)
            return
        layer.visible = False
        workspace.adopt(session)
        session.offer_id()
        done = f"{session.in_words(session.count())} to correct. {layer.name} itself is hidden and stays as it is."
        text, details = with_notes(done, project.notes)
        workspace.image_changed.emit()
        workspace.refresh_corrections()
        workspace.say(text, "done", details)

    def _owner(self, layer: Any) -> LayerSession | None:
        """Return the session that a labels layer belongs to."""
        return next((session for session in self._workspace.sessions if session.labels_layer == layer), None)

    def _on_change(self, *_: Any) -> None:
        self.changed.emit()


def _is_labels(layer: Any) -> bool:
    """Whether a layer holds labels that a user may have made: not what the program draws for information."""
    from napari.layers import Labels

    return isinstance(layer, Labels) and not adapter.is_for_information(layer)


def _labels_of(layer: Any) -> Any:
    """Return the labels of a layer at full resolution."""
    return adapter.level_zero(layer)
