"""The image of the work list that is in view: its layers, its session, and how far it is."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.layers.image import adapter
from napari_unet.layers.image.geometry import camera_of
from napari_unet.projects.work_list import state

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from napari_unet.layers.display.overlay import Overlays
    from napari_unet.layers.lists.work_list import WorkList
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace


class ShownImage:
    """Which layers are those of the image in view, and what the list notes of it while it is worked on.

    Parameters
    ----------
    workspace : Workspace
    work_list : WorkList
    overlays : Overlays
        Go with the image.
    """

    def __init__(self, workspace: Workspace, work_list: WorkList, overlays: Overlays) -> None:
        self._workspace, self._list, self._overlays = workspace, work_list, overlays
        self._layers: set[Hashable] = set()
        self._extent: NDArray[np.float64] | None = None  # in world coordinates
        self._last_view: tuple[NDArray[np.float64], float, tuple[float, ...]] | None = None  # extent, zoom, centre
        workspace.session_opened.connect(self._on_session)
        workspace.corrected.connect(self._on_corrected)
        workspace.relabelled.connect(self._on_corrected)
        workspace.segmenting.connect(self._on_segmenting)
        workspace.layer_chosen.connect(self._on_layer)

    @property
    def sessions(self) -> list[LayerSession]:
        """The sessions of the image: one for each channel that was worked on."""
        return [one for one in self._workspace.sessions if one.layer.unique_id in self._layers]

    @property
    def session(self) -> LayerSession | None:
        """That of them which the list keeps; None: there is none."""
        return next((one for one in self.sessions if one.listed), None)

    @property
    def has_layers(self) -> bool:
        """Whether layers of it are in the viewer; a user can remove them."""
        return any(layer.unique_id in self._layers for layer in self._workspace.viewer.layers)

    @property
    def is_chosen(self) -> bool:
        """Whether what is worked on is kept by the list."""
        layer, session = self._workspace.layer, self._workspace.session
        return layer is not None and layer.unique_id in self._layers and (session is None or session.listed)

    def set_done(self, done: bool) -> None:
        """Say that the image is done, or is not."""
        index = self._list.in_view
        if index is not None:
            self._list.set_done(index, done)
            self.note()

    def note(self) -> None:
        """Take note of how far the image is."""
        index, session = self._list.in_view, self.session
        if index is None or session is None:
            return
        summary = session.summary
        found = state(
            corrected=summary.changed_pixels > 0,
            reviewed_share=summary.reviewed_share,
            segmented_by=session.segmented_by,
            done=self._list.images[index].done,
            doubt=session.doubt,
        )
        self._list.note_state(index, found)

    def show(self, index: int, layers: Sequence[Any]) -> None:
        """Work on an image whose layers are there."""
        self._layers = {layer.unique_id for layer in layers}
        self._list.set_in_view(index)
        open_before = self.sessions
        if open_before:
            chosen = self._workspace.session
            self.keep(self.session or (chosen if chosen in open_before else open_before[0]), index)
            self.note()
        else:
            channels = {adapter.channel_of(layer): layer for layer in layers}
            self._workspace.choose_layer(channels.get(self._list.channel, layers[-1]))
            self._workspace.viewer.layers.selection.active = self._workspace.layer
        self._look_at(layers)

    def keep(self, session: LayerSession, index: int) -> None:
        """Let a session know that its project lies in the list."""
        session.listed, session.saved_as = True, self._list.project(index)

    def remove(self) -> None:
        """Take the layers of the image out of the viewer; those that are somebody else's stay."""
        layers, camera = self._workspace.viewer.layers, camera_of(self._workspace.viewer)
        self._last_view = None if self._extent is None else (self._extent, camera.zoom, tuple(camera.center))
        labels = [session.labels_layer for session in self.sessions]
        own = [layer for layer in layers if layer in labels or layer.unique_id in self._layers]
        self._list.set_in_view(None)
        self._layers = set()
        # napari collects garbage, which takes half a second, after each layer, or once after a batch.
        with getattr(layers, "batched_update", nullcontext)():
            for layer in own:
                if layer in layers:
                    layers.remove(layer)
            self._overlays.tidy()

    def release(self) -> None:
        """Leave its layers to nobody: the list was closed."""
        for session in self.sessions:
            session.listed = False
        self._layers = set()

    def _look_at(self, layers: Sequence[Any]) -> None:
        """Fit the view to an image, unless it is of the size of the one before: then the same part is in view."""
        viewer, extent = self._workspace.viewer, np.concatenate([layer.extent.world[:, -2:] for layer in layers])
        size = np.concatenate([extent.min(0), extent.max(0)])
        viewer.reset_view()
        if self._last_view is not None and np.allclose(self._last_view[0], size):
            camera = camera_of(viewer)
            _, camera.zoom, camera.center = self._last_view
        self._extent = size

    # -- events ----------------------------------------------------------------------------------------------------

    def _on_session(self, session: LayerSession) -> None:
        index = self._list.in_view
        if index is not None and session.layer.unique_id in self._layers and self.session is None:
            self.keep(session, index)
            self._list.set_channel(adapter.channel_of(session.layer))

    def _on_corrected(self, _: Any = None) -> None:
        session = self._workspace.session
        if session is not None and session is self.session:
            self.note()

    def _on_segmenting(self, segmenting: bool) -> None:
        if not segmenting:
            self._on_corrected()

    def _on_layer(self) -> None:
        layer = self._workspace.layer
        if self._list.in_view is not None and layer is not None and layer.unique_id in self._layers:
            self._list.set_channel(adapter.channel_of(layer))
