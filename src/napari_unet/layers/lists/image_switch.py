"""Goes from one image of the work list to another: stores the one in view, takes it away, and brings the next."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import UNetError
from napari_unet.io.readers import read_image
from napari_unet.layers.image import adapter
from napari_unet.layers.jobs import PresentJob, Runner, once
from napari_unet.layers.lists.shown_image import ShownImage
from napari_unet.layers.reader import image_layers, read_layers
from napari_unet.progress import shortened
from napari_unet.projects.recovery import copy_of
from napari_unet.projects.work_list import ImageState, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

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

    Attributes
    ----------
    shown : ShownImage
        What is in view.

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
        self._segmenter = segmenter
        self.shown = ShownImage(workspace, work_list, overlays)
        self._target: int | None = None
        self._last: int | None = None  # that was gone to, whether it could be shown or not
        self._job = PresentJob(runner)
        self._waiting: list[Callable[[], None]] = []  # for others to be done
        self._edited = False
        workspace.edited.connect(self._on_edited)
        workspace.segmenting.connect(self._on_segmenting)
        projects.changed.connect(self._go_on)
        work_list.wanted.connect(self.go_to)
        work_list.released.connect(self._go_on)
        work_list.changed.connect(self._on_list)

    @property
    def busy(self) -> bool:
        """Whether it is on the way from one image to another."""
        return self._target is not None

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
        if index == self._list.in_view and self.shown.has_layers:
            return False
        self._target = index
        self.changed.emit()
        self._leave()
        return True

    def store(self, then: Callable[[], object]) -> None:
        """Store the image in view as it is now, and call `then`; if it cannot be stored, that is told."""
        session, index = self.shown.session, self._list.in_view
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
        session, index = self.shown.session, self._list.in_view
        if self._projects.busy:
            self._waiting.append(self._leave)
            return
        if session is None or index is None:
            self._remove()
            self._arrive()
            return
        other = [one for one in self.shown.sessions if one is not session and one.summary.anything]
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
        session = self.shown.session
        if session is not None:
            self.shown.note()
            session.unwritten.forget()
        self._remove()
        self._arrive()

    def _stay(self, error: Exception) -> None:
        """Give up going: the image in view cannot be stored."""
        self._target = None
        self._workspace.say_error(error)
        self.changed.emit()

    def _remove(self) -> None:
        """Take the image in view away."""
        if self._list.in_view is not None:
            self.shown.remove()
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
        self.shown.keep(session, index)
        self._show(index, images or [session.layer])
        self._warn(index)

    def _warn(self, index: int) -> None:
        """Say where what the model in use has found in an image is not credible."""
        found, model = self._list.states[index], self._workspace.model
        if model is None or not found.is_doubtful or found.segmented_by != self._list.in_use:
            return
        name = shortened(self._list.images[index].name, 30)
        if found.doubt == "nothing found":
            self._workspace.say(f"{name}: nothing was found. Try Which model?, or paint some and Learn.", "warning")
        else:
            fits = f"{shortened(model.name, 24)} does not seem to fit {name}"
            self._workspace.say(f"{fits}. Try Which model?", "warning")

    def _show(self, index: int, layers: list[Any]) -> None:
        """Work on an image whose layers are there."""
        self.shown.show(index, layers)
        self._finish(index)

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

    def _on_edited(self) -> None:
        self._edited = True

    def _on_segmenting(self, segmenting: bool) -> None:
        if not segmenting:
            self._go_on()

    def _on_list(self) -> None:
        """Keep the layers of a list that was closed."""
        if self._list.in_view is None and not self.busy:
            self.shown.release()
            self._last = None

    def _go_on(self, _: Any = None) -> None:
        """Go on when those that were waited for are done."""
        if not self._projects.busy:
            waiting, self._waiting = self._waiting, []
            for go_on in waiting:
                go_on()  # what has to wait once more says so
