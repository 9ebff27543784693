"""What the window's buttons do, without a window.

The controller puts the workspace and its helpers together. Widgets and scripts call it; the signals of the workspace
tell them of all that happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from napari_unet.errors import DeviceError
from napari_unet.layers.display.appearance import Appearance
from napari_unet.layers.display.marked_objects import MarkedObjects
from napari_unet.layers.display.overlay import Overlays
from napari_unet.layers.guidance.walk import ObjectWalk
from napari_unet.layers.guidance.where_next import WhereNext
from napari_unet.layers.image import adapter
from napari_unet.layers.inference.axes_question import AxesQuestion
from napari_unet.layers.inference.decoding_sliders import DecodingSliders
from napari_unet.layers.inference.fit_to_corrections import FitToCorrections
from napari_unet.layers.inference.maps_in_view import MapsInView
from napari_unet.layers.inference.model_gallery import ModelGallery
from napari_unet.layers.inference.object_diameter import ObjectDiameter
from napari_unet.layers.inference.painting import paint_next
from napari_unet.layers.inference.preparation import Preparation
from napari_unet.layers.inference.segmenter import Segmenter
from napari_unet.layers.learning.learner import Learner
from napari_unet.layers.learning.model_diff import ModelDiff
from napari_unet.layers.learning.model_switch import ModelSwitch
from napari_unet.layers.learning.new_model import NewModel
from napari_unet.layers.learning.stored_corrections import StoredCorrections
from napari_unet.layers.lists.image_switch import ImageSwitch
from napari_unet.layers.lists.list_keeper import ListKeeper
from napari_unet.layers.lists.list_results import ListResults
from napari_unet.layers.lists.list_walk import ListWalk
from napari_unet.layers.lists.segment_all import SegmentAll
from napari_unet.layers.lists.work_list import WorkList
from napari_unet.layers.measuring.exporter import Exporter
from napari_unet.layers.measuring.made_by import MadeBy
from napari_unet.layers.measuring.outline_shapes import OutlineShapes
from napari_unet.layers.measuring.results import Results
from napari_unet.layers.opener import Opener
from napari_unet.layers.projects.autosave import Autosave
from napari_unet.layers.projects.old_copies import OldCopies
from napari_unet.layers.projects.projects import Projects
from napari_unet.layers.proofreading.frame_links import FrameLinks
from napari_unet.layers.proofreading.gesture_mouse import GestureMouse
from napari_unet.layers.proofreading.gesture_tool import GestureTool
from napari_unet.layers.proofreading.gestures import Gestures
from napari_unet.layers.proofreading.ghosts import Ghosts
from napari_unet.layers.proofreading.given_labels import GivenLabels
from napari_unet.layers.proofreading.listed_objects import ListedObjects
from napari_unet.layers.proofreading.object_table import ObjectTable
from napari_unet.layers.proofreading.propagation import Propagation
from napari_unet.layers.proofreading.reviewer import Reviewer
from napari_unet.layers.recovery import Recovery
from napari_unet.layers.saved_models import SavedModels
from napari_unet.layers.workspace import Workspace, with_notes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from psygnal import SignalInstance

    from napari_unet.axes import Image
    from napari_unet.inference.task import Task
    from napari_unet.layers.jobs import Runner
    from napari_unet.layers.learning.new_model import TaskName
    from napari_unet.layers.proofreading.reviewer import Reviewed
    from napari_unet.layers.reader import Paths
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Level, Scope
    from napari_unet.models.model import Model


class Controller:
    """The verbs of the plugin: choose, segment, review, look next, learn, go back, save.

    Parameters
    ----------
    viewer : napari.Viewer
    runner : Runner
        Where long jobs run.

    Attributes
    ----------
    workspace : Workspace
        What is worked on, the settings, and the signals.
    history : ModelHistory
        The models that were learned or chosen, and the one that waits for a decision.
    """

    def __init__(self, viewer: Any, runner: Runner) -> None:
        self.runner = runner
        workspace = self.workspace = Workspace(viewer)
        self.history = workspace.history
        self.object_diameter = ObjectDiameter(workspace)
        self.saved_models = SavedModels(workspace, runner)
        self._preparation = Preparation(workspace, self.saved_models)
        self._new_model = NewModel(workspace, self._preparation, self.saved_models)
        self.segmenter = Segmenter(workspace, self._preparation, self.object_diameter, runner)
        self.maps_in_view = MapsInView(workspace, runner)
        self.sliders = DecodingSliders(workspace, self.segmenter, self.maps_in_view, runner)
        self.fit = FitToCorrections(workspace, self.sliders, runner)
        self.gallery = ModelGallery(workspace, self.saved_models, self.segmenter, runner)
        self.diff = ModelDiff(workspace)
        self.switch = ModelSwitch(workspace, self.segmenter, self.diff, runner)
        self.work_list = WorkList(workspace, runner)
        self.learner = Learner(workspace, self.switch, self.diff, StoredCorrections(self.work_list), runner)
        self.reviewer = Reviewer(workspace)
        self.where_next = WhereNext(workspace)
        self.walk = ObjectWalk(workspace, self.segmenter, self.where_next, runner)
        self.axes_question = AxesQuestion(workspace)
        self.overlays = Overlays(workspace)
        tool = GestureTool(workspace)
        self.gestures = Gestures(workspace, self.segmenter, self.maps_in_view, tool)
        self.gesture_mouse = GestureMouse(workspace, self.gestures, tool)
        self.appearance = Appearance(workspace, runner)
        self.object_table = ObjectTable(workspace, runner)
        self.listed_objects = ListedObjects(
            workspace, self.object_table, self.segmenter, self.gestures, self.overlays, runner
        )
        self.object_table.suspicion = self.walk.suspicion
        self.walk.suspects_changed.connect(self.object_table.update_suspicion)
        self.gestures.made.connect(self.walk.note_gesture)
        self.given_labels = GivenLabels(workspace, runner)
        self.ghosts = Ghosts(workspace, runner)
        self.propagation = Propagation(workspace, self.segmenter, self.ghosts, runner)
        self.frame_links = FrameLinks(workspace, self.segmenter, runner)
        made_by = MadeBy(workspace)
        self.results = Results(workspace, made_by, MarkedObjects(workspace), runner)
        self.shapes = OutlineShapes(workspace, made_by, runner)
        self.exporter = Exporter(workspace, made_by, self.results, runner)
        self.projects = Projects(workspace, self.object_diameter, runner)
        self.image_switch = ImageSwitch(workspace, self.work_list, self.projects, self.segmenter, self.overlays, runner)
        self.segment_all = SegmentAll(
            workspace, self.work_list, self.image_switch, self.segmenter, self.saved_models, runner
        )
        self.list_walk = ListWalk(workspace, self.work_list, self.image_switch, self.segmenter, self.walk)
        self.list_results = ListResults(workspace, self.work_list, self.image_switch, self.results.marks, runner)
        self.list_keeper = ListKeeper(workspace, self.work_list, self.image_switch, self.segment_all)
        self.opener = Opener(workspace, self.projects, self.list_keeper, runner)
        old_copies = OldCopies(runner)
        self.autosave = Autosave(workspace, self.projects, old_copies, runner)
        self.recovery = Recovery(self.projects, self.list_keeper, old_copies, self.autosave)
        workspace.layer_chosen.connect(self._introduce)
        workspace.follow_viewer()
        self.projects.look_around()

    # -- what is chosen --------------------------------------------------------------------------------------------

    @property
    def viewer(self) -> Any:
        """The viewer."""
        return self.workspace.viewer

    @property
    def said(self) -> SignalInstance:
        """Emits each `Message` that the window is to show."""
        return self.workspace.said

    @property
    def layer(self) -> Any:
        """The image layer that is worked on, or None."""
        return self.workspace.layer

    @property
    def session(self) -> LayerSession | None:
        """The session of that layer, once it was segmented."""
        return self.workspace.session

    @property
    def sessions(self) -> list[LayerSession]:
        """Sessions of all images that were segmented and are still there."""
        return self.workspace.sessions

    @property
    def model(self) -> Model | None:
        """The model in use, or None before the first is loaded."""
        return self.workspace.model

    @property
    def axes(self) -> str | None:
        """Axes of the chosen layer: as the user set them, else as they are guessed; None if it cannot be an image."""
        return self.workspace.axes

    @property
    def busy(self) -> bool:
        """Whether a segmentation or a learning is under way."""
        return self.segmenter.busy or self.learner.busy

    @property
    def can_revert(self) -> bool:
        """Whether there is an earlier model to go back to."""
        return self.history.earlier is not None

    def open(self, paths: Paths) -> bool:
        """Open images, labels and projects: files or folders; return whether it began. See `Opener.open`."""
        return self.opener.open(paths)

    def choose_layer(self, layer: Any) -> None:
        """Work on that image layer (None: on none)."""
        self.workspace.choose_layer(layer)

    def image(self) -> Image:
        """Return the chosen image, or raise `UNetError` saying why there is none."""
        return self.workspace.image()

    def set_axes(self, axes: str) -> bool:
        """Say what the chosen layer's axes mean; return whether they fit it. See `Workspace.set_axes`."""
        return self.workspace.set_axes(axes)

    def choose_device(self, name: str) -> None:
        """Compute there from now on: "auto", "cpu", "cuda" or "mps"; say so and take "auto" if it is not there."""
        from napari_unet.models.model import resolve_device

        try:
            device = "auto" if name == "auto" else str(resolve_device(name))
        except DeviceError as error:
            device = "auto"
            self.say(str(error), "error")
        self.workspace.choose_device(device)

    def choose_model(self, name: str | Path) -> bool:
        """Load a model by name or path and use it from now on; return whether that went well."""
        return self.saved_models.choose(name)

    def use_model(self, model: Model) -> None:
        """Use a model from now on; what an older one is still computing is dropped."""
        self.history.choose(model)

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
        return self._new_model.make(name, task, ndim, classes)

    def save(self, name: str) -> bool:
        """Save the model in use under a name; it then stands in the list of models."""
        return self.saved_models.save(name)

    def model_names(self) -> list[str]:
        """Return the names of all models that can be chosen."""
        return self.saved_models.names()

    def outline_shapes(self, *, selected: bool = False) -> bool:
        """Make a shapes layer of the outlines; return whether it began.

        Parameters
        ----------
        selected : bool
            Only of the objects that are selected in the chart or, if none are, in the table of objects.
        """
        marked = self.results.marks.ids or [key[1] for key in self.object_table.selection]
        return self.shapes.add(marked if selected else None)

    # -- Segment, correct, learn -----------------------------------------------------------------------------------

    def segment(self, scope: Scope | None = None) -> bool:
        """Segment as much of the chosen image as the user has chosen, or as is said; return whether it began."""
        return self.segmenter.start(scope=scope)

    def correct_labels(self, layer: Any = None) -> bool:
        """Correct labels that are in the viewer already (None: the selected layer's). See `GivenLabels.start`."""
        return self.given_labels.start(layer)

    def stop_segmenting(self) -> None:
        """Stop at once; what is finished stays."""
        self.segmenter.stop()

    def prepare(self, scope: Scope | None = None) -> tuple[LayerSession, Task]:
        """Return the session and the task that `segment` begins with. See `Preparation.prepare`."""
        return self._preparation.prepare(scope or self.workspace.scope)

    def toggle_reviewed(self, what: Reviewed = "view") -> None:
        """Mark the field in view, the slice or the object under the cursor as reviewed, or take that back."""
        self.reviewer.toggle(what)

    def look_next(self) -> None:
        """Go to where a correction is worth most."""
        self.where_next.go()

    def refresh_corrections(self, *, everything: bool = False) -> None:
        """Find new corrections in the plane in view (or in all) and tell of the sums."""
        self.workspace.refresh_corrections(everything=everything)

    def learn(self) -> bool:
        """Fine-tune the model on all corrections, in the background; return whether it began."""
        return self.learner.start()

    def stop_learning(self) -> None:
        """Stop after the step under way; what was learned until then is used."""
        self.learner.stop()

    def revert(self) -> None:
        """Go back to the model before the last learning."""
        self.switch.revert()

    def say(self, text: str, level: Level = "info", details: str = "") -> None:
        """Tell the user something; see `layers.workspace.Message`."""
        self.workspace.say(text, level, details)

    def close(self) -> None:
        """Stop all jobs and let go of the viewer."""
        self.listed_objects.close()
        self.object_table.close()
        self.gestures.close()
        self.given_labels.close()
        self.propagation.close()
        self.ghosts.close()
        self.frame_links.close()
        self.walk.close()
        self.fit.close()
        self.sliders.close()
        self.maps_in_view.close()
        self.gallery.stop()
        self.gesture_mouse.close()
        self.segmenter.close()
        self.learner.close()
        self.diff.close()
        self.history.close()
        self.appearance.close()
        self.overlays.close()
        self.opener.close()
        self.segment_all.close()
        self.image_switch.close()
        self.list_results.close()
        self.results.close()
        self.shapes.close()
        self.exporter.close()
        self.projects.close()
        self.recovery.close()
        self.workspace.leave_viewer()
        self.autosave.close()
        self.work_list.close()

    def _introduce(self) -> None:
        """Say what to do with the chosen image: what was said last was about another."""
        layer, model = self.layer, self.model
        if layer is None or self.busy:
            return
        if model is not None and model.info.is_untrained:
            self.say(paint_next(model))
        elif self.session is not None:
            self.say(f"{layer.name}: correct the result, or press Learn.")
        else:
            text, details = with_notes(f"{layer.name}: press Segment.", adapter.notes_of(layer, self.axes))
            self.say(text, details=details)
