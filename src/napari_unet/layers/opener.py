"""Brings files and folders into the viewer, as layers that know their axes, pixel size and channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.errors import FileFormatError, UNetError
from napari_unet.io.finding import holds_many
from napari_unet.io.readers import image_files, list_series
from napari_unet.io.zarrs import is_zarr
from napari_unet.layers.jobs import PresentJob, Runner, in_words
from napari_unet.layers.reader import MAX_SERIES, as_list, as_project, read_layers
from napari_unet.projects.work_list import is_work_list

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_unet.layers.lists.list_keeper import ListKeeper
    from napari_unet.layers.projects.projects import Projects
    from napari_unet.layers.reader import LayerData, Paths
    from napari_unet.layers.workspace import Workspace

MAX_FILES = 50
"""So many images are opened at once, each as a layer of its own, or several; more become a list."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What came of one path; `many`: it holds so many scenes that they are for the list."""

    path: Path
    layers: list[LayerData]
    error: Exception | None = None
    many: bool = False


class Opener:
    """Opens images, labels and projects, one call at a time.

    Parameters
    ----------
    workspace : Workspace
    projects : Projects
        Open the projects among them.
    list_keeper : ListKeeper
        Opens lists of images, and makes one of what holds many.
    runner : Runner
        Where reading runs.
    """

    changed = Signal()  # whether it is busy

    def __init__(self, workspace: Workspace, projects: Projects, list_keeper: ListKeeper, runner: Runner) -> None:
        self._workspace, self._projects = workspace, projects
        self._keeper = list_keeper
        self._job = PresentJob(runner, self.changed.emit)
        self._failed: list[_Read] = []
        self._waiting: list[Path] = []  # to be opened as soon as no other is
        self._many: list[Path] = []  # folders and plates, for the list
        projects.changed.connect(self._next_project)

    @property
    def busy(self) -> bool:
        """Whether files are being read."""
        return self._job.busy

    def open(self, paths: Paths) -> bool:
        """Open files and folders, each as layers of its own; return whether it began.

        Parameters
        ----------
        paths : path or sequence of path
            Images and labels as `read_layers` reads them (large ones lazily), and projects. Folders and plates of
            images become a list, of which one image is shown at a time, and so do more than `MAX_FILES` files, and a
            file of more than `MAX_SERIES` scenes. What cannot be read is told in words; the others are opened all the
            same.
        """
        say = self._workspace.say
        if self._job.busy:
            say("Files are still being opened. Wait until that is done.", "error")
            return False
        given = [Path(path) for path in as_list(paths)]
        saved = [path for path in given if is_work_list(path)]
        if saved:
            return self._keeper.open(saved[0])
        try:
            images, projects = _sorted_out(given)
        except UNetError as error:
            self._workspace.say_error(error)
            return False
        self._many = [path for path in images if holds_many(path)]
        images = [path for path in images if path not in self._many]
        if len(images) > MAX_FILES:
            self._many, images = [*self._many, *images], []
        self._waiting.extend(projects)
        if images:
            self._read(images)
        else:
            self._next_project()
        return bool(images or projects) or self._begin_list()

    def close(self) -> None:
        """Stop, and add nothing any more."""
        self._projects.changed.disconnect(self._next_project)
        self._waiting.clear()
        self._job.stop()

    def _read(self, paths: list[Path]) -> None:
        what = paths[0].name if len(paths) == 1 else f"{len(paths)} images"
        self._failed.clear()
        self._workspace.say(f"Opening {what}.")
        job = self._job.begin(f"Open {what}")

        def steps() -> Generator[_Read, None, None]:
            for path in paths:
                if job.cancel.cancelled:
                    return
                yield _read(path)

        def done(_: Any) -> None:
            self._tell(len(paths) - len([path for path in self._many if path in paths]))
            self._next_project()
            self._begin_list()

        self._job.run(job, steps, done, self._workspace.say_error, self._add)

    def _add(self, found: _Read) -> None:
        """Add what was read to the viewer (main thread)."""
        viewer = self._workspace.viewer
        if found.many:
            self._many.append(found.path)
            return
        if found.error is None:
            # Before the layers come: of an image that is then chosen, the controller says what to do with it.
            self._workspace.say(f"Opened {found.path.name}.", "done")
            try:
                for data, options, kind in found.layers:
                    getattr(viewer, f"add_{kind}")(data, **options)
            except Exception as error:  # noqa: BLE001 - napari reads the pixels, and what is wrong there is told too
                found = _Read(found.path, [], error)
        if found.error is not None:
            self._failed.append(found)

    def _tell(self, number: int) -> None:
        """Say what came of it; for one image that was opened, all is said already."""
        if self._failed:
            (text, details), *others = [_in_words(read) for read in self._failed]
            if others:
                details = "\n".join([text, *(other for other, _ in others)])
                text = f"{self._failed[0].path.name} and {len(others)} more could not be read: see Details."
            if number > 1:
                text = f"Opened {number - len(self._failed)} of {number} files. {text}"
            self._workspace.say(text, "error", details)
        elif number > 1:
            self._workspace.say(f"Opened {number} files. Choose the image to segment, and press Segment.", "done")

    def _begin_list(self) -> bool:
        """Have folders and plates of images in the list; return whether there are any."""
        many, self._many = self._many, []
        return bool(many) and self._keeper.add(many)

    def _next_project(self) -> None:
        """Open the next project that waits, if nothing else is being opened."""
        if self._waiting and not self._job.busy and not self._projects.busy:
            self._projects.open(self._waiting.pop(0))


def _sorted_out(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return the images, folders and plates of images, and the projects among some paths.

    Raises
    ------
    UNetError
        If a folder holds nothing that is read, or cannot be looked into.
    """
    images: list[Path] = []
    projects: list[Path] = []
    for path in paths:
        try:
            project = as_project(path)
            if project is not None:
                projects.append(project)
            elif path.is_dir() and not is_zarr(path):
                found = image_files(path)
                images.append(found[0] if len(found) == 1 else path)
            else:
                images.append(path)
        except OSError as error:
            raise FileFormatError(f"{path} cannot be read: {error.strerror or error}.") from error
    return images, projects


def _read(path: Path) -> _Read:
    """Read one path, whatever comes of it (worker)."""
    try:
        if path.is_file() and as_project(path) is None and len(list_series(path)) > MAX_SERIES:
            return _Read(path, [], many=True)
        return _Read(path, read_layers(path))
    except Exception as error:  # noqa: BLE001 - told in words; the other files are read all the same
        return _Read(path, [], error)


def _in_words(read: _Read) -> tuple[str, str]:
    """Return what to tell of a file that could not be read: a sentence, and details."""
    error = read.error
    assert error is not None
    if isinstance(error, OSError) and not isinstance(error, UNetError):
        return f"{read.path.name} cannot be read: {error.strerror or error}.", ""
    return in_words(error)
