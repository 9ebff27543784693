"""Goes from one image of the work list to another: stores the one in view, takes it away, and brings the next."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.io.readers import read_image
from napari_unet.layers.image import adapter
from napari_unet.layers.image.geometry import camera_of
from napari_unet.layers.jobs import PresentJob, Runner, once
from napari_unet.layers.reader import image_layers, read_layers
from napari_unet.progress import shortened
from napari_unet.projects.recovery import copy_of
from napari_unet.projects.work_list import ImageState, state, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

    from napari_unet.layers.display.overlay import Overlays
    from napari_unet.layers.inference.segmenter import Segmenter
    from napari_unet.layers.lists.work_list import WorkList
    from napari_unet.layers.projects.projects import Projects
    from napari_unet.layers.reader import LayerData
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace


class ImageSwitch:
    """Shows one image of the work list at a time; only that one is in memory.

    Parameters
    ----------
    workspace : Workspace
    work_list : WorkList
    projects : Projects
        Store and open what was done with an image.
    segmenter : Segmenter
        Is stopped where it works on an image that is left.
    overlays : Overlays
        Go with the image.
    runner : Runner
        Where images are read.

    Notes
    -----
    What is painted while an image is being stored makes it be stored once more: no stroke is lost. Where it cannot be
    stored, it stays in view.
    """

    arriving = Signal(int)  # index of the image that is about to be opened; whoever writes its project says so now
    emptied = Signal()  # the image in view is taken away, and no other is there yet
    changed = Signal()  # whether it is under way

    def __init__(
        self,
        workspace: Workspace,
        work_list: WorkList,
        projects: Projects,
        segmenter: Segmenter,
        overlays: Overlays,
        runner: Runner,
    ) -> None:
        self._workspace, self._list, self._projects = workspace, work_list, projects
        self._segmenter, self._overlays = segmenter, overlays
        self._target: int | None = None
        self._last: int | None = None  # that was gone to, whether it could be shown or not
        self._job = PresentJob(runner)
        self._waiting: list[Callable[[], None]] = []  # for others to be done
        self._layers: set[Hashable] = set()  # of the image in view
        self._extent: NDArray[np.float64] | None = None  # of the image in view, in world coordinates
        self._last_view: tuple[NDArray[np.float64], float, tuple[float, ...]] | None = None  # extent, zoom, centre
        self._edited = False
        workspace.session_opened.connect(self._on_session)
        workspace.corrected.connect(self._on_corrected)
        workspace.edited.connect(self._on_edited)
        workspace.segmenting.connect(self._on_segmenting)
        workspace.layer_chosen.connect(self._on_layer)
        projects.changed.connect(self._go_on)
        work_list.wanted.connect(self.go_to)
        work_list.released.connect(self._go_on)
        work_list.changed.connect(self._on_list)

    @property
    def busy(self) -> bool:
        """Whether it is on the way from one image to another."""
        return self._target is not None

    @property
    def session(self) -> LayerSession | None:
        """The session of the image in view that the list keeps; None: there is none."""
        return next((one for one in self._sessions() if one.listed), None)

    def next(self) -> bool:
        """Go to the next image; return whether there is one."""
        return self._step(1)

    def previous(self) -> bool:
        """Go to the image before; return whether there is one."""
        return self._step(-1)

    def go_to(self, index: int) -> bool:
        """Go to an image; return whether it began. On the way to another one, it is gone to then."""
        if not 0 <= index < len(self._list.images):
            return False
        if self._target is not None:
            self._target = index
            return True
        if index == self._list.in_view and self._shown():
            return False
        self._target = index
        self.changed.emit()
        self._leave()
        return True

    def set_done(self, done: bool) -> None:
        """Say that the image in view is done, or is not."""
        index, session = self._list.in_view, self.session
        if index is not None:
            self._list.set_done(index, done)
            if session is not None:
                self._note(session, index)

    @property
    def shows_chosen(self) -> bool:
        """Whether what is worked on is kept by the list."""
        layer, session = self._workspace.layer, self._workspace.session
        return layer is not None and layer.unique_id in self._layers and (session is None or session.listed)

    def store(self, then: Callable[[], object]) -> None:
        """Store the image in view as it is now, and call `then`; if it cannot be stored, that is told."""
        session, index = self.session, self._list.in_view
        if session is None or index is None:
            then()
            return
        if self._projects.busy:
            self._waiting.append(lambda: self.store(then))
            return
        self._projects.store(session, self._list.project(index), then, self._workspace.say_error)

    def leave(self, then: Callable[[], object]) -> None:
        """Store the image in view, take it away, and call `then`: another list is opened."""

        def stored() -> None:
            self._remove()
            then()

        if self._list.in_view is None:
            then()
        else:
            self.store(stored)

    def close(self) -> None:
        """Follow no longer."""
        self._target = None
        self._waiting.clear()
        self._job.stop()
        self._projects.changed.disconnect(self._go_on)

    # -- away from the one in view ---------------------------------------------------------------------------------

    def _step(self, by: int) -> bool:
        work_list = self._list
        if not work_list.images:
            self._workspace.say("There is no list of images yet. Open a folder, or drop one on the panel.")
            return False
        starts = (self._target, work_list.in_view, self._last)
        index = next((start + by for start in starts if start is not None), 0)
        if not 0 <= index < len(work_list.images):
            self._workspace.say(
                "This is the last image of the list." if by > 0 else "This is the first image of the list."
            )
            return False
        return self.go_to(index)

    def _leave(self) -> None:
        """Store and remove the image in view, then bring the other."""
        session, index = self.session, self._list.in_view
        if self._projects.busy:
            self._waiting.append(self._leave)
            return
        if session is None or index is None:
            self._remove()
            self._arrive()
            return
        other = [one for one in self._sessions() if one is not session and one.summary.anything]
        if other:
            self._stay(
                UNetError(
                    "This image has results of two channels, and a list keeps one. Save the other, then remove it.",
                    f"The other one is {other[0].labels_layer.name}.",
                )
            )
            return
        if self._segmenter.works_on(session):
            self._waiting.append(self._leave)
            self._segmenter.stop()
            return
        self._edited = False
        self._projects.store(session, self._list.project(index), self._left, self._stay)

    def _left(self) -> None:
        if self._edited:  # painted while it was stored
            self._leave()
            return
        session, index = self.session, self._list.in_view
        if session is not None and index is not None:
            self._note(session, index)
            session.unwritten.forget()
        self._remove()
        self._arrive()

    def _stay(self, error: Exception) -> None:
        """Give up going: the image in view cannot be stored."""
        self._target = None
        self._workspace.say_error(error)
        self.changed.emit()

    def _remove(self) -> None:
        """Take the layers of the image in view out of the viewer; those that are somebody else's stay."""
        index, layers = self._list.in_view, self._workspace.viewer.layers
        if index is None:
            return
        camera = camera_of(self._workspace.viewer)
        self._last_view = None if self._extent is None else (self._extent, camera.zoom, tuple(camera.center))
        labels = [session.labels_layer for session in self._sessions()]
        own = [layer for layer in layers if layer in labels or layer.unique_id in self._layers]
        self._list.set_in_view(None)
        self._layers = set()
        # napari collects garbage, which takes half a second, after each layer, or once after a batch.
        with getattr(layers, "batched_update", nullcontext)():
            for layer in own:
                if layer in layers:
                    layers.remove(layer)
            self._overlays.tidy()
        self.emptied.emit()

    # -- to the next one -------------------------------------------------------------------------------------------

    def _arrive(self) -> None:
        """Bring the image that is to be shown."""
        index = self._target
        if index is None or index >= len(self._list.images):
            self._target = None
            self.changed.emit()
            return
        if self._projects.busy:
            self._waiting.append(self._arrive)
            return
        self._last = index
        self.arriving.emit(index)
        if self._list.claimed == index:
            self._waiting.append(self._arrive)
            return
        here = self._open_already(index)
        if here:
            self._show(index, here)
            return
        project = self._list.project(index)
        copy = copy_of(project)
        if copy is not None or project.is_dir():
            before = {layer.unique_id for layer in self._workspace.viewer.layers}
            title = self._list.images[index].name
            self._projects.open(copy or project, then=lambda session: self._opened(index, session, before), title=title)
        else:
            self._read(index)

    def _read(self, index: int) -> None:
        """Read an image that has no labels yet."""
        image, path = self._list.images[index], self._list.file(index)

        def read() -> list[LayerData]:
            if image.series is None:
                layers = read_layers(path)
            else:
                found = read_image(path, series=image.series, tolerant=True)
                layers = image_layers(found, image.name, str(path), image.series)
            return [(data, {**options, "visible": True}, kind) for data, options, kind in layers if kind == "image"]

        def done(layers: list[LayerData]) -> None:
            viewer = self._workspace.viewer
            try:
                added = [viewer.add_image(data, **options) for data, options, _ in layers]
            except Exception as error:  # noqa: BLE001 - napari reads the pixels, and what is wrong there is told too
                self._fail(index, error)
                return
            if not added:
                self._fail(index, UNetError(f"{image.name} holds labels, and no image."))
                return
            self._show(index, added)

        self._job.run(self._job.begin(f"Open {image.name}"), once(read), done, partial(self._fail, index))

    def _opened(self, index: int, session: LayerSession | None, before: set[Hashable]) -> None:
        """Take note of a project that was opened, or was not."""
        if session is None:
            folder = self._list.folder
            if folder is not None:
                self._list.note_state(index, state_of(self._list.images[index], folder))
            self._finish(None)
            return
        new = [layer for layer in self._workspace.viewer.layers if layer.unique_id not in before]
        images = [layer for layer in new if adapter.is_image_layer(layer)]
        self._mark(session, index)
        self._show(index, images or [session.layer])
        self._warn(index)

    def _warn(self, index: int) -> None:
        """Say where what the model in use has found in an image is not credible."""
        found, model = self._list.states[index], self._workspace.model
        if model is None or not found.is_doubtful or found.segmented_by != self._list.model_in_use:
            return
        name = shortened(self._list.images[index].name, 30)
        if found.doubt == "nothing found":
            self._workspace.say(f"{name}: nothing was found. Try Which model?, or paint some and Learn.", "warning")
        else:
            fits = f"{shortened(model.name, 24)} does not seem to fit {name}"
            self._workspace.say(f"{fits}. Try Which model?", "warning")

    def _show(self, index: int, layers: list[Any]) -> None:
        """Work on an image whose layers are there."""
        viewer = self._workspace.viewer
        self._layers = {layer.unique_id for layer in layers}
        self._list.set_in_view(index)
        open_before = self._sessions()
        if open_before:
            chosen = self._workspace.session
            session = self.session or (chosen if chosen in open_before else open_before[0])
            self._mark(session, index)
            self._note(session, index)
        else:
            channels = {adapter.channel_of(layer): layer for layer in layers}
            self._workspace.choose_layer(channels.get(self._list.channel, layers[-1]))
            viewer.layers.selection.active = self._workspace.layer
        self._look_at(layers)
        self._finish(index)

    def _look_at(self, layers: list[Any]) -> None:
        """Fit the view to an image, unless it is of the size of the one before: then the same part is in view."""
        viewer, extent = self._workspace.viewer, np.concatenate([layer.extent.world[:, -2:] for layer in layers])
        size = np.concatenate([extent.min(0), extent.max(0)])
        viewer.reset_view()
        if self._last_view is not None and np.allclose(self._last_view[0], size):
            camera = camera_of(viewer)
            _, camera.zoom, camera.center = self._last_view
        self._extent = size

    def _fail(self, index: int, error: Exception) -> None:
        """Name an image that cannot be read."""
        self._workspace.say_error(error)
        self._list.note_state(index, ImageState(kind="failed", problem=str(error)))
        self._finish(None)

    def _finish(self, arrived: int | None) -> None:
        """End, or go on to the image that was asked for meanwhile."""
        target, self._target = self._target, None
        if arrived is not None and target is not None and target != arrived:
            self.go_to(target)
        else:
            self.changed.emit()

    def _open_already(self, index: int) -> list[Any]:
        """Return the layers of an image that somebody has opened before it was in the list."""
        if self._list.images[index].series is not None:
            return []
        path = self._list.file(index).resolve()
        found = []
        for layer in self._workspace.viewer.layers:
            source = adapter.source_of(layer) if adapter.is_image_layer(layer) else None
            if source is not None and source.resolve() == path:
                found.append(layer)
        return found

    # -- events ----------------------------------------------------------------------------------------------------

    def _sessions(self) -> list[LayerSession]:
        """Return the sessions of the image in view."""
        return [one for one in self._workspace.sessions if one.layer.unique_id in self._layers]

    def _shown(self) -> bool:
        return any(layer.unique_id in self._layers for layer in self._workspace.viewer.layers)

    def _mark(self, session: LayerSession, index: int) -> None:
        """Let a session know that its project lies in the list."""
        session.listed, session.saved_as = True, self._list.project(index)

    def _note(self, session: LayerSession, index: int) -> None:
        """Take note of how far the image in view is."""
        summary = session.summary
        found = state(
            corrected=summary.changed_pixels > 0,
            reviewed_share=summary.reviewed_share,
            segmented_by=session.segmented_by,
            done=self._list.images[index].done,
            doubt=session.doubt,
        )
        self._list.note_state(index, found)

    def _on_session(self, session: LayerSession) -> None:
        index = self._list.in_view
        if index is not None and session.layer.unique_id in self._layers and self.session is None:
            self._mark(session, index)
            self._list.set_channel(adapter.channel_of(session.layer))

    def _on_corrected(self, _: Any = None) -> None:
        index, session = self._list.in_view, self._workspace.session
        if index is not None and session is not None and session is self.session:
            self._note(session, index)

    def _on_edited(self) -> None:
        self._edited = True

    def _on_segmenting(self, segmenting: bool) -> None:
        if not segmenting:
            self._on_corrected()
            self._go_on()

    def _on_layer(self) -> None:
        index, layer = self._list.in_view, self._workspace.layer
        if index is not None and layer is not None and layer.unique_id in self._layers:
            self._list.set_channel(adapter.channel_of(layer))

    def _on_list(self) -> None:
        """Keep the layers of a list that was closed: they are nobody's then."""
        if self._list.in_view is None and not self.busy:
            for session in self._sessions():
                session.listed = False
            self._layers, self._last = set(), None

    def _go_on(self, _: Any = None) -> None:
        """Go on when those that were waited for are done."""
        if not self._projects.busy:
            waiting, self._waiting = self._waiting, []
            for go_on in waiting:
                go_on()  # what has to wait once more says so
