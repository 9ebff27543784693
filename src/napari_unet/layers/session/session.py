"""One image layer, its labels layer, and what is known of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.guidance.where_next import Attention
from napari_unet.layers.image.geometry import LayerGeometry
from napari_unet.layers.session.corrected_labels import CorrectedLabels
from napari_unet.layers.session.kept_maps import KeptMaps
from napari_unet.layers.session.labels_layers import add_labels, place_layer
from napari_unet.layers.session.visibility import ChosenVisibility
from napari_unet.learning.annotations import annotated_crops
from napari_unet.progress import counted
from napari_unet.projects.segmented_by import SegmentedBy

if TYPE_CHECKING:
    from napari_unet.axes import Image
    from napari_unet.inference.credibility import Doubt
    from napari_unet.inference.steps import Finished
    from napari_unet.inference.task import Task
    from napari_unet.learning.annotations import AnnotatedCrop
    from napari_unet.models.model import Model
    from napari_unet.projects.project import Project
    from napari_unet.projects.suggestions import Suggestions


class LayerSession(CorrectedLabels):
    """An image layer and its labels layer, with all that is kept of them while they are worked on.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : napari.layers.Image
    image : Image
        The same as the core sees it.
    instances : bool
        Whether ids are objects, or classes.
    saved : Project, optional
        What is taken up again; None: there is nothing yet.
    labels_layer : napari.layers.Labels, optional
        Its labels, if they are in the viewer already.

    Attributes
    ----------
    attention : Attention
        Where a correction is worth most.
    maps : KeptMaps
        The maps of what was segmented with the model in use. They are not saved with a project.
    unfinished : tuple of Task and Finished, or None
        A segmentation that was stopped.
    saved_as : Path or None
        The project that it was saved to or opened from.
    saved_digest : str
        Digest of what lies there; empty: nothing was saved.
    segmented_by : SegmentedBy
        By what all of the image was segmented last.
    doubt : Doubt or None
        Why what that model has found is not credible; None: not known.
    suspects : int or None
        Objects that are likely to be wrong and that nobody has looked at; None: not known.
    suggestions : dict
        Shapes that are suggested, by plane (T, Z), and are no labels yet. Set it by `suggest`.
    listed : bool
        Whether its image is one of a work list, which keeps the models, and in which its project lies.
    visibility : ChosenVisibility
        Whether the user has hidden the labels.
    """

    image_altered = Signal(object)  # this session: its image was placed elsewhere, or has other pixels

    def __init__(
        self,
        viewer: Any,
        layer: Any,
        image: Image,
        *,
        instances: bool = True,
        saved: Project | None = None,
        labels_layer: Any = None,
    ) -> None:
        labels_layer = labels_layer or _new_labels(viewer, LayerGeometry(layer, image), instances, saved)
        corrections = saved.corrections if saved else None
        super().__init__(viewer, layer, image, labels_layer, instances=instances, corrections=corrections)
        self.saved_as = saved.path if saved else None
        self.saved_digest = ""
        self.segmented_by = saved.segmented_by if saved else SegmentedBy()
        self.suspects: int | None = saved.suspects if saved else None
        self.doubt: Doubt | None = saved.doubt if saved else None
        self.listed = False
        self.suggestions: Suggestions = dict(saved.suggestions) if saved else {}
        self.attention = (saved.attention if saved else None) or Attention(self.corrections.shape)
        self.maps = KeptMaps()
        self.unfinished: tuple[Task, Finished] | None = None
        self.visibility = ChosenVisibility(self.labels_layer)
        for emitter in self._placement_events():
            emitter.connect(self._on_placed)
        layer.events.data.connect(self._on_pixels)

    def fits(self, image: Image) -> bool:
        """Whether an image (the layer's, whose array may have been replaced) goes with the labels as they are now."""
        try:
            labels = LayerGeometry(self.layer, image).canonical_labels(self.labels_layer.data)
        except UNetError:
            return False
        return image.axes == self.image.axes and labels.shape == self.corrections.shape

    def in_words(self, count: int) -> str:
        """Return so many objects (or classes) in words."""
        return counted(count, "object" if self.corrections.instances else "class")

    def show_thumbnail(self) -> None:
        """Draw the layer's small picture in the layer list anew, which writing part by part does not."""
        self.labels_layer.opacity = self.labels_layer.opacity  # napari then draws that picture alone

    def suggest(self, suggestions: Suggestions) -> None:
        """Suggest these shapes, by plane (T, Z), instead of those before."""
        self.suggestions = suggestions
        self.unwritten.models = True

    def annotated_crops(self, model: Model, channel: int | None) -> list[AnnotatedCrop]:
        """Return copies of what there is to learn from here now; nothing where nothing is corrected or reviewed."""
        self._edits.suspect_changed()
        self.rescan()
        return annotated_crops(self.image, self.labels, self.corrections, model, channel)

    # -- events ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the layers; they stay in the viewer."""
        super().close()
        self.visibility.close()
        for emitter in self._placement_events():
            emitter.disconnect(self._on_placed)
        self.layer.events.data.disconnect(self._on_pixels)

    def _placement_events(self) -> list[Any]:
        """Return what tells that the image layer was placed elsewhere."""
        return [getattr(self.layer.events, name) for name in self.geometry.placement()]

    def _on_placed(self, event: Any = None) -> None:
        """Place the labels where the image is now."""
        if self.layer.ndim == self.labels_layer.ndim:  # else the image was replaced by one that they do not fit
            with self._quietly():
                place_layer(self.labels_layer, self.geometry.placement())
        self.image_altered.emit(self)

    def _on_pixels(self, event: Any = None) -> None:
        self.maps.clear()
        self.image_altered.emit(self)


def _new_labels(viewer: Any, geometry: LayerGeometry, instances: bool, saved: Project | None) -> Any:
    """Add a labels layer for an image: a project's labels, or an empty one."""
    data = geometry.layer_data(saved.labels) if saved else geometry.empty_labels()
    name = f"{geometry.layer.name} {'objects' if instances else 'classes'}"
    return add_labels(viewer, data, name, geometry.placement())
