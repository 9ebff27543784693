"""Saves the session of the chosen image as a project, and takes one up again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import Cancelled, ImageMissingError, UNetError
from napari_unet.layers.image import adapter
from napari_unet.layers.jobs import Job, PresentJob, Runner, ignore, once
from napari_unet.layers.projects.owned_projects import OwnedProjects
from napari_unet.layers.projects.taking_up import take_up
from napari_unet.layers.reader import project_layers
from napari_unet.layers.workspace import with_notes
from napari_unet.projects.description import project_folder
from napari_unet.projects.project import Project
from napari_unet.projects.recovery import Copy, is_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable
    from pathlib import Path

    from napari_unet.layers.inference.object_diameter import ObjectDiameter
    from napari_unet.layers.reader import LayerData
    from napari_unet.layers.session.session import LayerSession
    from napari_unet.layers.workspace import Workspace
    from napari_unet.progress import CancelToken
    from napari_unet.projects.arrays import Block
    from napari_unet.projects.ownership import Ownership


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What a worker has read of a project; the digest is empty for a recovered copy, which is not saved yet."""

    project: Project
    layers: list[LayerData]
    digest: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Opening:
    """What is being opened: a project or, if `copy` is there, a copy that was left behind; and for whom."""

    path: Path
    image: Path | None
    copy: Copy | None
    title: str
    then: Callable[[LayerSession | None], None] | None

    def read(self, cancel: CancelToken) -> _Read:
        """Read it (worker)."""
        if self.copy is not None:
            project = self.copy.open(self.image, cancel)
            return _Read(project, project_layers(project))
        project = Project.open(self.path, self.image, cancel=cancel)
        return _Read(project, project_layers(project), project.state_digest(cancel).digest)

    def release(self) -> None:
        """Leave a copy to others: it could not be opened."""
        if self.copy is not None:
            self.copy.release()

    def ended(self, session: LayerSession | None) -> None:
        """Tell whoever wanted it."""
        if self.then is not None:
            self.then(session)


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
        self._job = PresentJob(runner, self.changed.emit)
        self._owned = OwnedProjects(workspace)
        self._seen: set[Hashable] = set()  # layers that were read from projects, each to be taken up once
        workspace.viewer.layers.events.inserted.connect(self.look_around)

    @property
    def busy(self) -> bool:
        """Whether one is saved or opened."""
        return self._job.busy

    @property
    def path(self) -> Path | None:
        """Where the session of the chosen image was saved to or opened from; None: nowhere yet."""
        session = self._workspace.session
        return None if session is None else session.saved_as

    @property
    def read_only(self) -> bool:
        """Whether the chosen image's project belongs to another window: it can be saved under another name only."""
        own = self._owned.of(self._workspace.session)
        return own is not None and not own.owned

    def claim(self) -> bool:
        """Ask again for the chosen image's project: the other window may be closed; return whether it is ours."""
        own = self._owned.of(self._workspace.session)
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
            folder = project_folder(path)
            project = self.present(session)
            own = self._owned.to_own(session, folder)
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
            own = self._owned.to_own(session, folder)
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
            self._owned.let_go(session, own)
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
                self._owned.let_go(session, own)
                self._end(job, session)
                failed(UNetError(f"{error} Nothing was saved."))

        def ended(_: Path) -> None:
            if self._end(job, session):
                own.saved()
                self._owned.note(session, own)
                session.saved_digest = project.saved_digest.digest if project.saved_digest else unless
                self.saved.emit(session, folder)
                stored()
                self.changed.emit()

        def went_wrong(error: Exception) -> None:
            self._owned.let_go(session, own)
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
            channel=workspace.channel_of(session.layer),
            image_path=adapter.source_of(session.layer),
            image_series=adapter.series_of(session.layer),
            attention=session.attention.copy(),
        )
        project.path, project.segmented_by = session.saved_as, session.segmented_by
        project.suspects, project.doubt = session.suspects, session.doubt
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
        copy = Copy.claim(path) if is_copy(path) else None
        if copy is None and is_copy(path):
            self._end(job)
            self._workspace.say(f"{path.stem} is gone, or open in another window.", "error")
            return False
        opening = _Opening(path, image, copy, title, then)
        self._workspace.say(f"Opening {title}.")
        self._runner.start(
            job,
            once(partial(opening.read, job.cancel)),
            ignore,
            partial(self._opened, job, opening),
            partial(self._not_opened, job, opening),
        )
        return True

    def _opened(self, job: Job, opening: _Opening, found: _Read) -> None:
        """Bring what was read into the viewer (main thread)."""
        if not self._job.is_it(job):
            return
        session = None
        try:
            session = take_up(self._workspace, self._object_diameter, found.project, found.layers, opening.path)
            if session.saved_as is not None:
                self._owned.claim(session, session.saved_as)
            self._workspace.image_changed.emit()
            self._workspace.refresh_corrections()
            session.saved_digest = found.digest
            if opening.copy is not None:
                self.recovered.emit(session, opening.copy)
            self._tell_opened(opening, found.project, session)
        except UNetError as error:
            opening.release()
            self._workspace.say_error(error)
        self._end(job)
        opening.ended(session)

    def _tell_opened(self, opening: _Opening, project: Project, session: LayerSession) -> None:
        name = opening.path.stem
        lead, end = (f"Recovered {name}", ", not saved yet") if opening.copy else (f"Opened {opening.title}", "")
        done, notes = f"{lead}: {session.in_words(session.count())}{end}.", project.notes
        if self.read_only:
            notes = (done, *notes) if notes else ()
            twice = any(one is not session and one.saved_as == session.saved_as for one in self._workspace.sessions)
            where = "already open in this window" if twice else "open in another window"
            done = f"{name} is {where}: it is read-only here. Use Save as… to keep changes."
        text, details = with_notes(done, notes)
        self._workspace.say(text, "warning" if self.read_only else "done", details)

    def _not_opened(self, job: Job, opening: _Opening, error: Exception) -> None:
        opening.release()
        if self._end(job):
            self._workspace.say_error(error)
            if isinstance(error, ImageMissingError) and opening.then is None:
                self.missing.emit(opening.path, error.path)
            opening.ended(None)

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
        self._job.stop()

    def _begin(self, title: str) -> Job | None:
        """Return a new job, if there is none yet."""
        if self._job.busy:
            self._workspace.say("A project is being saved or opened. Wait until that is done.", "error")
            return None
        return self._job.begin(title)

    def _end(self, job: Job, session: LayerSession | None = None) -> bool:
        """Let go of a job; return whether it was the present one."""
        if not self._job.is_it(job):
            return False
        if session is not None:
            session.hold(False)
        self._job.end(job)
        self.look_around()
        return True
