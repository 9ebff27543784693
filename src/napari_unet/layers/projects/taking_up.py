"""Brings a project that was read into the viewer: its layers, its settings, and a session that goes on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.errors import UNetError
from napari_unet.layers.image import adapter
from napari_unet.layers.image.geometry import LayerGeometry
from napari_unet.layers.session.session import LayerSession

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.axes import Image
    from napari_unet.layers.inference.object_diameter import ObjectDiameter
    from napari_unet.layers.reader import LayerData
    from napari_unet.layers.workspace import Workspace
    from napari_unet.projects.project import Project


def take_up(
    workspace: Workspace, object_diameter: ObjectDiameter, project: Project, layers: Sequence[LayerData], path: Path
) -> LayerSession:
    """Bring a project into the viewer, and choose its image (main thread).

    Parameters
    ----------
    workspace : Workspace
    object_diameter : ObjectDiameter
        Is told what the project knows of it.
    project : Project
    layers : sequence of LayerData
        Of the project, that of its labels last. Layers that are open already are taken in place of them.
    path : path
        Where it was read from.

    Returns
    -------
    LayerSession
        Its session, adopted by the workspace.

    Raises
    ------
    UNetError
        If its axes or labels do not fit the image.
    """
    layer = _image_layer(workspace, project) or _added(workspace.viewer, layers[:-1])
    workspace.choose_layer(layer)
    workspace.set_axes(project.image.axes)
    object_diameter.say(project.image.diameter)
    if project.generations:
        workspace.history.take_up(project.generations, project.current, project.waiting)
    workspace.choose_channel(project.channel)
    image = workspace.image()
    if project.image.found_diameter is not None:
        found, against = project.image.found_diameter, project.image.found_against
        object_diameter.note_found(layer, image, workspace.channel, found, against)
        image = workspace.image()
    labels = _labels_layer(workspace, path, layer, image)
    instances = project.corrections.instances
    session = workspace.adopt(
        LayerSession(workspace.viewer, layer, image, instances=instances, saved=project, labels_layer=labels)
    )
    session.offer_id()
    return session


def _image_layer(workspace: Workspace, project: Project) -> Any:
    """Return the layer of a project's image, if it is open already and nothing was made of it yet."""
    taken = [session.layer for session in workspace.sessions]
    for layer in workspace.viewer.layers:
        if not adapter.is_image_layer(layer) or layer in taken or project.image_path is None:
            continue
        source = adapter.source_of(layer)
        same = source is not None and source.resolve() == project.image_path.resolve()
        where = adapter.series_of(layer), adapter.channel_of(layer), tuple(adapter.level_zero(layer).shape)
        if same and where == (project.image_series, project.image_channel, project.image.data.shape):
            return layer
    return None


def _added(viewer: Any, layers: Sequence[LayerData]) -> Any:
    """Add the layers of a project's image, and return that which was worked on."""
    added = [viewer.add_image(data, **options) for data, options, _ in layers]
    return added[-1]


def _labels_layer(workspace: Workspace, path: Path, layer: Any, image: Image) -> Any:
    """Return the labels of the project there, if napari has opened them."""
    known = [session.labels_layer for session in workspace.sessions]
    for other in workspace.viewer.layers:
        if other not in known and adapter.project_of(other) == path.absolute():
            try:
                LayerGeometry(layer, image).labels_of(other.data)
            except UNetError:
                continue
            return other
    return None
