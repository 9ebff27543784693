"""Saves the session of the chosen image as a project, and takes one up again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import Cancelled, ImageMissingError, UNetError
from napari_unet.layers.image import adapter
from napari_unet.layers.image.geometry import LayerGeometry
from napari_unet.layers.jobs import Job, Runner, ignore, once
from napari_unet.layers.reader import project_layers
from napari_unet.layers.session.session import LayerSession
from napari_unet.layers.workspace import with_notes
from napari_unet.projects.description import SUFFIX
from napari_unet.projects.ownership import Ownership
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import Copy, is_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable
    from pathlib import Path

    from napari_unet.layers.inference.object_diameter import ObjectDiameter
    from napari_unet.layers.reader import LayerData
    from napari_unet.layers.workspace import Workspace
    from napari_unet.projects.arrays import Block


class Projects:
    """Saves and opens projects, one at a time.

    Parameters
    ----------
    workspace : Workspace
    object_diameter : ObjectDiameter
        Is a part of what is saved.
    runner : Runner
        Where reading and writing run.

    Notes
    -----
    Painting goes on while a project is saved: each part of a plane is copied in the main thread when it is its turn.
    """

    changed = Signal()  # whether it is busy, or where the chosen image is saved
    saved = Signal(object, object)  # a session, and where it is saved now
    recovered = Signal(object, object)  # a session, and the copy of unsaved work that it was opened from
    missing = Signal(object, str)  # a project, and where its image was, which is not there

    def __init__(self, workspace: Workspace, object_diameter: ObjectDiameter, runner: Runner) -> None:
        self._workspace, self._object_diameter, self._runner = workspace, object_diameter, runner
        self._job: Job | None = None
        self._owned: dict[LayerSession, Ownership] = {}  # of what was saved or opened
        workspace.session_closing.connect(self._on_closing)
        self._seen: set[Hashable] = set()  # layers that were read from projects, each to be taken up once
        workspace.viewer.layers.events.inserted.connect(self.look_around)

    @property
    def busy(self) -> bool:
        """Whether one is saved or opened."""
        return self._job is not None

    @property
    def path(self) -> Path | None:
        """Where the session of the chosen image was saved to or opened from; None: nowhere yet."""
        session = self._workspace.session
        return None if session is None else session.saved_as

    @property
    def read_only(self) -> bool:
        """Whether the chosen image's project belongs to another window: it can be saved under another name only."""
        session = self._workspace.session
        own = self._owned.get(session) if session is not None else None
        return own is not None and not own.owned

    def claim(self) -> bool:
        """Ask again for the chosen image's project: the other window may be closed; return whether it is ours."""
        session = self._workspace.session
        own = self._owned.get(session) if session is not None else None
        ours = own is None or own.claim()
        self.changed.emit()
        return ours

    # -- save ------------------------------------------------------------------------------------------------------

    def save(self, path: Path | None = None) -> bool:
        """Save the session of the chosen image; return whether it began.

        Parameters
        ----------
        path : Path, optional
            Its folder, whose name gets its ending if it lacks it; one that is there is replaced. None: as before.
        """
        workspace = self._workspace
        session = workspace.session
        try:
            if session is None or not session.alive():
                raise UNetError("There is nothing to save yet. Press Segment first.")
            path = path or session.saved_as
            if path is None:
                raise UNetError("Choose where to save the project.")
            folder = path if path.suffix.lower() == SUFFIX else path.with_name(path.name + SUFFIX)
            project = self.present(session)
            own = self._to_own(session, folder)
        except UNetError as error:
            workspace.say_error(error)
            return False

        def saved() -> None:
            session.saved_as = folder
            workspace.say(f"Saved as {folder.name}. Use Open… to continue another day.", "done")

        return self._write(session, project, own, saved, workspace.say_error)

    def store(
        self, session: LayerSession, folder: Path, stored: Callable[[], object], failed: Callable[[Exception], None]
    ) -> bool:
        """Save the session of an image of a work list, if it has changed, and tell nobody; return whether it began.

        Parameters
        ----------
        session : LayerSession
        folder : Path
            Its project, which is replaced.
        stored, failed : callable
            One of them is called in the end, and neither if it was closed before.
        """
        try:
            project = self.present(session)
            own = self._to_own(session, folder)
        except UNetError as error:
            failed(error)
            return False
        return self._write(session, project, own, stored, failed, unless=session.saved_digest)

    def _write(
        self,
        session: LayerSession,
        project: Project,
        own: Ownership,
        stored: Callable[[], object],
        failed: Callable[[Exception], None],
        *,
        unless: str = "",
    ) -> bool:
        """Write a session, unless it has the digest of what is there; return whether it began."""
        folder = own.path
        job = self._begin(f"Save {folder.name}")
        if job is None:
            self._let_go(session, own)
            return False
        session.hold(True)

        def steps() -> Generator[Block, None, Path]:
            if unless and project.state_digest(job.cancel).digest == unless:
                return folder
            return (yield from project.save_steps(folder, overwrite=True, cancel=job.cancel))

        def take(block: Block) -> None:
            try:
                block.take(session.labels, session.corrections)
            except UNetError as error:  # its array was replaced meanwhile
                job.cancel.cancel()
                self._let_go(session, own)
                self._end(job, session)
                failed(UNetError(f"{error} Nothing was saved."))

        def ended(_: Path) -> None:
            if self._end(job, session):
                own.saved()
                self._own(session, own)
                session.saved_digest = project.saved_digest.digest if project.saved_digest else unless
                self.saved.emit(session, folder)
                stored()
                self.changed.emit()

        def went_wrong(error: Exception) -> None:
            self._let_go(session, own)
            if self._end(job, session) and not isinstance(error, Cancelled):
                failed(error)

        self._runner.start(job, steps, take, ended, went_wrong)
        return True

    def present(self, session: LayerSession) -> Project:
        """Return a session as it is now.

        Raises
        ------
        UNetError
            If the labels do not fit the image any more.
        """
        workspace = self._workspace
        project = Project(
            replace(session.image, diameter=workspace.diameters.said(session.layer)),
            session.own_labels,
            session.corrections,
            () if session.listed else workspace.history.generations,
            current=None if session.listed else workspace.history.current,
            waiting=None if session.listed else workspace.history.waiting,
            channel=workspace.channel if session is workspace.session else session.channel,
            image_path=adapter.source_of(session.layer),
            attention=session.attention.copy(),
        )
        project.path, project.segmented_by = session.saved_as, session.segmented_by
        project.suggestions = session.suggestions
        return project

    # -- open ------------------------------------------------------------------------------------------------------

    def open(
        self,
        path: Path,
        image: Path | None = None,
        then: Callable[[LayerSession | None], None] | None = None,
        title: str = "",
    ) -> bool:
        """Take up a session that was saved; return whether it began.

        Parameters
        ----------
        path : Path
            The folder of the project. A copy that was left behind is recovered: it is then not saved yet.
        image : Path, optional
            Where its image is now; None: where it was.
        then : callable, optional
            Called with the session in the end; with None if it cannot be opened.
        title : str
            What the user calls it; empty: as its folder is called.
        """
        title = title or path.name
        job = self._begin(f"Open {title}")
        if job is None:
            return False
        then = then or ignore
        copy = Copy.claim(path) if is_copy(path) else None
        if copy is None and is_copy(path):
            self._end(job)
            self._workspace.say(f"{path.stem} is gone, or open in another window.", "error")
            return False

        def read() -> tuple[Project, list[LayerData], str]:
            if copy is not None:
                project = copy.open(image, job.cancel)
                return project, project_layers(project), ""
            project = Project.open(path, image, cancel=job.cancel)
            return project, project_layers(project), project.state_digest(job.cancel).digest

        def opened(found: tuple[Project, list[LayerData], str]) -> None:
            project, layers, digest = found
            if job is not self._job:
                return
            session = None
            try:
                session = self._take_up(project, layers, path)
                session.saved_digest = digest
                if copy is not None:
                    self.recovered.emit(session, copy)
                lead, end = (f"Recovered {path.stem}", ", not saved yet") if copy else (f"Opened {title}", "")
                done, notes = f"{lead}: {session.in_words(session.count())}{end}.", project.notes
                if self.read_only:
                    notes = (done, *notes) if notes else ()
                    done = f"{path.stem} is open in another window: it is read-only here. Use Save as… to keep changes."
                text, details = with_notes(done, notes)
                self._workspace.say(text, "done", details)
            except UNetError as error:
                if copy is not None:
                    copy.release()
                self._workspace.say_error(error)
            self._end(job)
            then(session)

        def failed(error: Exception) -> None:
            if copy is not None:
                copy.release()
            if not self._end(job):
                return
            self._workspace.say_error(error)
            if isinstance(error, ImageMissingError) and then is ignore:
                self.missing.emit(path, error.path)
            then(None)

        self._workspace.say(f"Opening {title}.")
        self._runner.start(job, once(read), lambda _: None, opened, failed)
        return True

    def look_around(self, event: Any = None) -> None:
        """Take up what napari has opened as a project: its layers are there, and all else is missing."""
        for layer in self._workspace.viewer.layers:
            path = adapter.project_of(layer)
            if path is not None and layer.unique_id not in self._seen and not self.busy:
                self._seen.add(layer.unique_id)
                self.open(path)

    def close(self) -> None:
        """Stop, and tell of nothing any more; what is being saved is then as it was before."""
        self._workspace.viewer.layers.events.inserted.disconnect(self.look_around)
        if self._job is not None:
            self._job.cancel.cancel()
            self._job = None

    def _take_up(self, project: Project, layers: list[LayerData], path: Path) -> LayerSession:
        """Bring a project, read from there, into the viewer (main thread); return its session."""
        workspace = self._workspace
        layer = self._image_layer(project) or self._added(project, layers[:-1])
        workspace.choose_layer(layer)
        workspace.set_axes(project.image.axes)
        self._object_diameter.say(project.image.diameter)
        if project.generations:
            workspace.history.take_up(project.generations, project.current, project.waiting)
        workspace.channel = project.channel
        image = workspace.image()
        if project.image.found_diameter is not None:
            found, against = project.image.found_diameter, project.image.found_against
            self._object_diameter.note_found(layer, image, workspace.channel, found, against)
            image = workspace.image()
        labels = self._labels_layer(path, layer, image)
        instances = project.corrections.instances
        session = workspace.adopt(
            LayerSession(workspace.viewer, layer, image, instances=instances, saved=project, labels_layer=labels)
        )
        session.offer_id()
        if session.saved_as is not None:
            own = Ownership(session.saved_as)
            own.claim()
            self._own(session, own)
        workspace.image_changed.emit()
        workspace.refresh_corrections()
        return session

    # -- whose project it is ---------------------------------------------------------------------------------------

    def _to_own(self, session: LayerSession, folder: Path) -> Ownership:
        """Return the ownership of what a session is saved to.

        Raises
        ------
        FileFormatError
            If another window has it, or has saved it since.
        """
        own = self._owned.get(session)
        if own is None or own.path != folder.absolute():
            own = Ownership(folder.absolute())
        own.check()
        return own

    def _own(self, session: LayerSession, own: Ownership) -> None:
        before = self._owned.get(session)
        if before is not None and before is not own:
            before.release()
        self._owned[session] = own

    def _let_go(self, session: LayerSession, own: Ownership) -> None:
        """Own what could not be saved no longer, unless it is where the session was saved before."""
        if self._owned.get(session) is not own:
            own.release()

    def _on_closing(self, session: LayerSession) -> None:
        own = self._owned.pop(session, None)
        if own is not None:
            own.release()

    def _image_layer(self, project: Project) -> Any:
        """Return the layer of a project's image, if it is open already and nothing was made of it yet."""
        taken = [session.layer for session in self._workspace.sessions]
        for layer in self._workspace.viewer.layers:
            if not adapter.is_image_layer(layer) or layer in taken or project.image_path is None:
                continue
            source = adapter.source_of(layer)
            same = source is not None and source.resolve() == project.image_path.resolve()
            shape = tuple(adapter.level_zero(layer).shape)
            if same and adapter.channel_of(layer) == project.image_channel and shape == project.image.data.shape:
                return layer
        return None

    def _added(self, project: Project, layers: list[LayerData]) -> Any:
        """Add the layers of a project's image, and return that which was worked on."""
        viewer = self._workspace.viewer
        added = [viewer.add_image(data, **options) for data, options, _ in layers]
        return added[-1]

    def _labels_layer(self, path: Path, layer: Any, image: Any) -> Any:
        """Return the labels of the project there, if napari has opened them."""
        known = [session.labels_layer for session in self._workspace.sessions]
        for other in self._workspace.viewer.layers:
            if other not in known and adapter.project_of(other) == path.absolute():
                try:
                    LayerGeometry(layer, image).labels_of(other.data)
                except UNetError:
                    continue
                return other
        return None

    def _begin(self, title: str) -> Job | None:
        """Return a new job, if there is none yet."""
        if self._job is not None:
            self._workspace.say("A project is being saved or opened. Wait until that is done.", "error")
            return None
        self._job = Job(title, 0)
        self.changed.emit()
        return self._job

    def _end(self, job: Job, session: LayerSession | None = None) -> bool:
        """Let go of a job; return whether it was the present one."""
        if job is not self._job:
            return False
        if session is not None:
            session.hold(False)
        self._job = None
        self.changed.emit()
        self.look_around()
        return True
