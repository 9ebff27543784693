"""What the window's buttons do, without a window.

The controller owns the model in use, one `LayerSession` for each image layer, and at most one segmentation and one
learning job. It tells of everything that happens by signals; widgets show them and send intents back.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from napari_unet.errors import UNetError, UntrainedModelError
from napari_unet.inference.task import make_task
from napari_unet.layers import adapter, canvas
from napari_unet.layers.autosave import Autosave
from napari_unet.layers.learner import Learner
from napari_unet.layers.object_diameter import ObjectSizes
from napari_unet.layers.opener import Opener
from napari_unet.layers.overlay import Overlays
from napari_unet.layers.painting import carry_over, paint_next, ready_to_paint
from napari_unet.layers.projects import Projects
from napari_unet.layers.reviewer import Reviewer
from napari_unet.layers.saved_models import SavedModels
from napari_unet.layers.segmenter import Segmenter
from napari_unet.layers.session import LayerSession
from napari_unet.layers.viewport import ordered_subimages
from napari_unet.layers.where_next import Guide
from napari_unet.learning.new_model import model_for_image
from napari_unet.models.store import DEFAULT_MODEL, list_models, load_model
from napari_unet.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from napari_unet.axes import Image
    from napari_unet.inference.task import Task
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.reader import Paths
    from napari_unet.layers.reviewer import Reviewed
    from napari_unet.models.model import Model

Level = Literal["info", "done", "error"]
Scope = Literal["stack", "slice", "view"]
"""What is segmented: everything, the slice in view, or the part of it that the canvas shows."""
TaskName = Literal["instances", "semantic"]


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for the status line."""

    text: str
    level: Level = "info"


class Controller:
    """The verbs of the plugin: choose, segment, review, look next, learn, go back, save.

    Parameters
    ----------
    viewer : napari.Viewer
    runner : Runner
        Where long jobs run.

    Notes
    -----
    napari hands plugins a proxy of the viewer, and each look at a layer through it is a new proxy of that layer:
    layers are compared by ``==`` and kept by their `unique_id`, never by their identity.
    """

    said = Signal(Message)
    segmenting = Signal(bool)
    learning = Signal(bool)
    progressed = Signal(Progress)
    stepped = Signal(object)  # StepReport
    checked = Signal(object)  # Checked
    image_changed = Signal()
    model_changed = Signal()
    corrected = Signal(object)  # Summary
    edited = Signal()  # the labels may have changed; call `refresh_corrections` when there is time

    def __init__(self, viewer: Any, runner: Runner) -> None:
        self.viewer = viewer
        self.runner, self.device = runner, "auto"
        self.channel: int | None = None
        self.scope: Scope = "stack"
        self.flips = False  # whether the network's maps are averaged over mirror images
        self.learning_seconds = 60.0
        self._sessions: dict[Hashable, LayerSession] = {}
        self._axes: dict[Hashable, str] = {}
        self._layer: Any = None
        self._model: Model | None = None
        self.segmenter = Segmenter(self, runner)
        self.learner = Learner(self, runner)
        self.reviewer = Reviewer(self)
        self.guide = Guide(self)
        self.sizes = ObjectSizes(self)
        self.overlays = Overlays(self)
        self.projects = Projects(self, runner)
        self.opener = Opener(self, runner)
        self.autosave = Autosave(self, runner)
        self.shelf = SavedModels(self, runner)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)
        self._on_active()
        self.projects.look_around()

    def open(self, paths: Paths) -> bool:
        """Open images, labels and projects: files or folders; return whether it began. See `Opener.open`."""
        return self.opener.open(paths)

    # -- what is chosen --------------------------------------------------------------------------------------------

    @property
    def layer(self) -> Any:
        """The image layer that is worked on, or None."""
        return self._layer

    @property
    def session(self) -> LayerSession | None:
        """The session of that layer, once it was segmented."""
        return self._sessions.get(self._layer.unique_id) if self._layer is not None else None

    @property
    def sessions(self) -> list[LayerSession]:
        """Sessions of all images that were segmented and are still there."""
        return [session for session in self._sessions.values() if session.alive()]

    @property
    def model(self) -> Model | None:
        """The model in use, or None before the first is loaded."""
        return self._model

    @property
    def busy(self) -> bool:
        """Whether a segmentation or a learning is under way."""
        return self.segmenter.busy or self.learner.busy

    @property
    def can_revert(self) -> bool:
        """Whether there is an earlier model to go back to."""
        return self.learner.can_revert

    def choose_layer(self, layer: Any) -> None:
        """Work on that image layer (None: on none)."""
        if layer == self._layer:
            return
        self._layer, self.channel = layer, None
        self._take_turns()
        self.image_changed.emit()
        if layer is not None and not self.busy:
            self._introduce(layer.name)
        self.refresh_corrections(everything=True)

    def _introduce(self, name: str) -> None:
        """Say what to do with the chosen image: what was said last was about another."""
        if self._model is not None and self._model.info.is_untrained:
            self.say(paint_next(self._model))
        elif self.session is not None:
            self.say(f"{name}: correct the result, or press Learn.")
        else:
            self.say(" ".join((f"{name}: press Segment.", *adapter.notes_of(self._layer, self.axes))))

    @property
    def axes(self) -> str | None:
        """Axes of the chosen layer: as the user set them, else as they are guessed; None if it cannot be an image."""
        return None if self._layer is None else self._axes_of(self._layer)

    def _axes_of(self, layer: Any) -> str | None:
        chosen = self._axes.get(layer.unique_id)
        if chosen is not None and len(chosen) == adapter.level_zero(layer).ndim:
            return chosen
        try:
            return adapter.layer_axes(layer)
        except UNetError:
            return None

    def set_axes(self, axes: str) -> None:
        """Say what the chosen layer's axes mean; a result made with other axes is let go of."""
        if self._layer is None or axes == self.axes:
            return
        self._axes[self._layer.unique_id] = axes
        self._forget(self._sessions.pop(self._layer.unique_id, None))
        self.image_changed.emit()

    def choose_model(self, name: str | Path) -> bool:
        """Load a model by name or path and use it from now on; return whether that went well."""
        try:
            model = load_model(name)
        except UNetError as error:
            self.say(str(error), "error")
            return False
        self.sizes.forget()
        self.learner.choose(model)
        return True

    def new_model(self, name: str, task: TaskName, ndim: Literal[2, 3] = 2, classes: Sequence[str] = ()) -> bool:
        """Make an untrained model for the chosen image and an empty layer to paint into; return whether it went well.

        Parameters
        ----------
        name : str
        task : {"instances", "semantic"}
            Separate objects, or a class for each pixel.
        ndim : {2, 3}
            Slice by slice, or volumes.
        classes : sequence of str
            Names of the classes with the labels 1, 2, ...
        """
        try:
            if name in self.model_names():
                raise UNetError(f"There is a model called {name!r} already; choose another name.")
            model = model_for_image(self.image(), task, ndim=ndim, classes=classes, name=name)
        except UNetError as error:
            self.say(str(error), "error")
            return False
        before, known = self._sessions.pop(self._layer.unique_id, None), self._model
        self.learner.choose(model)
        with suppress(UntrainedModelError):
            self.prepare("stack")
        kept = carry_over(before, known, self.session, model) if before and known and self.session else ""
        self._forget(before)
        self.say(f"Kept of what you corrected: {kept}. Press Learn." if kept else paint_next(model))
        return True

    # -- Segment ---------------------------------------------------------------------------------------------------

    def segment(self, scope: Scope | None = None) -> bool:
        """Segment as much of the chosen image as the user has chosen, or as is said; return whether it began."""
        return self.segmenter.start(scope=scope)

    def stop_segmenting(self) -> None:
        """Stop at once; what is finished stays."""
        self.segmenter.stop()

    def prepare(self, scope: Scope | None = None) -> tuple[LayerSession, Task]:
        """Return what is to be segmented, and the session that it belongs to.

        Parameters
        ----------
        scope : {"stack", "slice", "view"}, optional
            How much of the image; None: as much as the user has chosen.

        Raises
        ------
        UNetError
            If there is nothing that can be segmented, or no model that can. For one that is untrained yet there is
            then an empty layer to paint into.
        """
        image, layer, scope = self.image(), self._layer, scope or self.scope
        if self._model is None and not self.choose_model(DEFAULT_MODEL):
            raise UNetError("There is no model to segment with; choose one.")
        model = self._model
        assert model is not None  # just loaded
        session = self.session
        if session is not None and not session.fits(image):
            session = None
            self.image_changed.emit()
        frame, z = adapter.current_place(self.viewer, layer, image)
        field = self._field(scope, image)
        task = make_task(
            image,
            model,
            channel=self.channel,
            subimages=ordered_subimages(image, model, frame, z, whole=scope == "stack"),
            field=field,
            device=self.device,
            flips=self.flips,
        )
        instances = model.info.task == "instances"
        if session is None or session.corrections.instances != instances:
            self._forget(self._sessions.pop(layer.unique_id, None))
            session = self.adopt(LayerSession(self.viewer, layer, image, instances=instances))
        session.image = image
        session.rescan()
        if model.info.is_untrained:
            ready_to_paint(session)
            raise UntrainedModelError(f"This model has learned nothing yet. {paint_next(model)}")
        return session, task

    def _field(self, scope: Scope, image: Image) -> tuple[slice, slice] | None:
        """Return the pixels (Y, X) that a scope is about; None: all.

        Raises
        ------
        UNetError
            If it is about what is in view, and nothing of the image is.
        """
        if scope == "stack":
            return None
        purpose = "segment what is in view"
        canvas.check_on_canvas(self.viewer, self._layer, image, purpose)
        if scope == "slice" or self.viewer.dims.ndisplay == 3:
            return None
        field = canvas.field_in_view(self.viewer, self._layer, image)
        if field[0].stop == 0:
            raise UNetError(f"Nothing of this image is on the canvas. Move it there to {purpose}.")
        return field

    def adopt(self, session: LayerSession) -> LayerSession:
        """Work on a session of the chosen image from now on; return it."""
        session.edited.connect(self._on_edited)
        session.renewed.connect(self._on_renewed)
        self._sessions[session.layer.unique_id] = session
        self.viewer.layers.selection.active = session.labels_layer
        return session

    def image(self) -> Image:
        """Return the chosen image, or raise `UNetError` saying why there is none."""
        if self._layer is None or self._layer not in self.viewer.layers:
            active = self.viewer.layers.selection.active
            if active is not None:
                adapter.layer_image(active)  # says what is wrong with it
            raise UNetError(
                "There is no image to segment. Open one (File > Open, or File > Open Sample) and select it."
            )
        return self.sizes.of(self._layer, adapter.layer_image(self._layer, self.axes))

    # -- Correct ---------------------------------------------------------------------------------------------------

    def toggle_reviewed(self, what: Reviewed = "view") -> None:
        """Mark the field in view, the slice or the object under the cursor as reviewed, or take that back."""
        self.reviewer.toggle(what)

    def look_next(self) -> None:
        """Go to where a correction is worth most."""
        self.guide.look_next()

    def refresh_corrections(self, *, everything: bool = False) -> None:
        """Look for new corrections in the plane in view (or in all) and tell of the sums."""
        session = self.session
        if session is not None and session.alive():
            try:
                self.corrected.emit(session.rescan(everything=everything))
            except UNetError as error:
                self.say(str(error), "error")

    # -- Learn -----------------------------------------------------------------------------------------------------

    def learn(self) -> bool:
        """Fine-tune the model on all corrections, in the background; return whether it began."""
        return self.learner.start()

    def stop_learning(self) -> None:
        """Stop after the step under way; what was learned until then is used."""
        self.learner.stop()

    def revert(self) -> None:
        """Go back to the model before the last learning."""
        self.learner.revert()

    def save(self, name: str) -> bool:
        """Save the model in use under a name; it then stands in the list of models."""
        return self.shelf.save(name)

    def model_names(self) -> list[str]:
        """Return the names of all models that can be chosen."""
        return list(dict.fromkeys(entry.name for entry in list_models()))

    def serve(self, model: Model) -> None:
        """Use a model from now on; what an older one is still computing is dropped."""
        self._model = model
        self.segmenter.drop()
        self.model_changed.emit()

    def amend(self, model: Model, known: Model) -> None:
        """Use the same model with more known of it, if it is still in use."""
        self.learner.amend(model, known)
        if self._model is model:
            self._model = known

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_active(self, event: Any = None) -> None:
        """Follow the selected layer: an image, or the image of a selected result."""
        active = self.viewer.layers.selection.active
        if active is not None and adapter.is_image_layer(active):
            self.choose_layer(active)
            return
        for session in self._sessions.values():
            if session.labels_layer == active:
                self.choose_layer(session.layer)
                return
        if self._layer is None:
            images = [layer for layer in self.viewer.layers if adapter.is_image_layer(layer)]
            if images:
                self.choose_layer(images[-1])

    def _on_removed(self, event: Any) -> None:
        before = self.session
        self.sizes.let_go()
        for key, session in list(self._sessions.items()):
            if not session.alive():
                self._forget(self._sessions.pop(key))
        if self._layer is not None and self._layer not in self.viewer.layers:
            self._axes.pop(self._layer.unique_id, None)
            self._layer = None
            self._on_active()
            if self._layer is None:
                self.image_changed.emit()
        elif self.session is not before:
            self.image_changed.emit()

    def _on_edited(self) -> None:
        self.edited.emit()

    def _on_renewed(self, session: LayerSession) -> None:
        """Have all that belongs to an image lie on it, and what is learned be of its pixels and its scale as of now."""
        if not session.alive():
            return
        try:
            image = self.sizes.of(session.layer, adapter.layer_image(session.layer, self._axes_of(session.layer)))
        except UNetError:
            return  # it is told when the user asks for something
        if session.fits(image):
            session.image = image
            self.overlays.place(session)
            self.learner.changes.place(session)
        if session is self.session:
            self.image_changed.emit()
            self.corrected.emit(session.summary)

    def _take_turns(self) -> None:
        """Show what belongs to the chosen image, and hide what belongs to others: it would lie over it."""
        if self._layer is not None:
            for session in self.sessions:
                session.turn.take(session.layer == self._layer)
            self.overlays.take_turns()
            self.learner.changes.take_turns(self.session)

    def _forget(self, session: LayerSession | None) -> None:
        if session is None:
            return
        self.segmenter.forget(session)
        self.learner.let_go(session)
        self.autosave.leave(session)
        session.close()

    def close(self) -> None:
        """Stop all jobs and let go of the viewer."""
        self.segmenter.close()
        self.learner.close()
        self.overlays.close()
        self.opener.close()
        self.projects.close()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.layers.selection.events.active.disconnect(self._on_active)
        while self._sessions:
            self._forget(self._sessions.popitem()[1])
        self.autosave.close()

    def say(self, text: str, level: Level = "info") -> None:
        """Tell the user something."""
        self.said.emit(Message(text, level))
