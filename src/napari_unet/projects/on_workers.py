"""Segments the images of a work list with the workers of a cluster, each into its project, as `segmenting` does here.

A worker writes into a folder of its own beside the projects of the list. When it is done, whoever has the list open
moves the project to its place. So an image can be opened here at any time, and what a worker that was given up still
writes lands nowhere.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.cluster.allocation import keep_freed_memory
from napari_unet.cluster.queue import Job, Workers
from napari_unet.errors import ClusterError, FileFormatError, UNetError
from napari_unet.io.atomic import reason, remove
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.progress import CancelToken, Stopwatch, drive
from napari_unet.projects.segmenting import opened_or_new, segment_project_steps
from napari_unet.projects.work_list import relocate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_unet.models.model import Model

FOLDER = "workers"
"""Folder, in that of the list, in which workers write; there is one only while they work."""

_MODEL = "model.safetensors"

LOOK = 1.0
"""Seconds after which a worker looks whether an image is still wanted."""


class Wanted(CancelToken):
    """Asks for an image to be segmented as long as a file exists, which the workers see too.

    Parameters
    ----------
    path : Path
        The file; see `ask`.
    """

    __slots__ = ("_looked", "_path")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._looked: Stopwatch | None = None

    def ask(self) -> None:
        """Make the file."""
        self._path.touch()
        if super().cancelled:  # meanwhile
            self.cancel()

    def cancel(self) -> None:
        """Say that the image is not wanted any more."""
        super().cancel()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    @property
    def cancelled(self) -> bool:
        """Whether it is not wanted any more; the file is looked for now and then."""
        if not super().cancelled and (self._looked is None or self._looked.seconds > LOOK):
            self._looked = Stopwatch()
            if not self._path.exists():
                super().cancel()
        return super().cancelled


@dataclass(frozen=True, slots=True)
class SentImage:
    """An image of a list that a worker is to segment.

    Attributes
    ----------
    folder : Path
        Where it writes; the model lies there, too (`sending`).
    number : int
        No two images that are sent have the same.
    name : str
        Of the image, for people.
    file : Path
    series, channel : int, optional
        As for `new_project`.
    project : Path
        Of the list; the worker reads it, if it is there.
    device : str
        Of the worker.
    flips : bool
        As for `segment_project_steps`.
    """

    folder: Path
    number: int
    name: str
    file: Path
    series: int | None
    channel: int | None
    project: Path
    device: str
    flips: bool

    @property
    def asked(self) -> Path:
        """The file that is there as long as the image is wanted."""
        return asked_file(self.folder, self.number)

    @property
    def made(self) -> Path:
        """The project that the worker makes."""
        return self.folder / f"{self.number}.unetproj"


def asked_file(folder: Path, number: int) -> Path:
    """Return the file that is there as long as the image with a number is wanted."""
    return folder / f"{number}.wanted"


@contextmanager
def sending(folder: Path, model: Model) -> Iterator[Path]:
    """Yield the folder in which workers write for the list in `folder`, with the model in it; in the end it goes.

    Raises
    ------
    UNetError
        If it cannot be written.
    """
    around = folder / FOLDER
    try:
        remove(around)  # of a window that was killed
        made = around / uuid.uuid4().hex  # its own: a worker of before may still write
        made.mkdir(parents=True)
    except OSError as error:
        raise FileFormatError(f"{around} could not be written: {reason(error)}.") from error
    try:
        save_model_file(model, made / _MODEL)
        yield made
    finally:
        with suppress(OSError):
            remove(around)


def send(
    client: Any, take: Callable[[], SentImage | None], cancel: CancelToken
) -> Iterator[tuple[SentImage, UNetError | None]]:
    """Have workers segment images, and yield each when it is done, with why it failed, if it did.

    Parameters
    ----------
    client : distributed.Client
    take : callable
        Returns the next image, which was asked for (`Wanted.ask`); None: there is none now.
    cancel : CancelToken
        Stops all, with `Cancelled`.

    Raises
    ------
    ClusterError
        If the scheduler is gone, or nothing succeeds.
    """
    images = _Images(take)
    for _ in Workers(client, cancel).steps(images):
        while images.ended:
            yield images.ended.popleft()


class _Images:
    """One job for each image; see `cluster.queue.Jobs`."""

    def __init__(self, take: Callable[[], SentImage | None]) -> None:
        self._take = take
        self.ended: deque[tuple[SentImage, UNetError | None]] = deque()

    def take(self) -> Job | None:
        """Return the next image."""
        image = self._take()
        return None if image is None else Job(segment_sent, (image,), (image.number,), network=True, own=True)

    def done(self, job: Job, value: object) -> None:
        """Pass on that an image is done."""
        self.ended.append((job.arguments[0], None))

    def failed(self, job: Job, error: UNetError) -> None:
        """Pass on why an image could not be segmented."""
        self.ended.append((job.arguments[0], error))


def segment_sent(image: SentImage) -> None:
    """Segment an image into a project of its own (in a worker).

    Raises
    ------
    Cancelled
        If it is not wanted any more.
    UNetError
        If this worker does not see its files, or it cannot be segmented.
    """
    import dask

    for path in (image.folder, image.file):
        if not path.exists():
            raise ClusterError(f"A worker does not see {path}. Lists and images must be where all workers see them.")
    cancel = Wanted(image.asked)
    cancel.check()
    keep_freed_memory()
    with dask.config.set(scheduler="threads"):  # else a worker would give what it reads to other workers
        project = opened_or_new(image.project, image.file, image.series, image.channel, image.name, cancel)
        model = _model_in(image.folder)
        steps = segment_project_steps(project, model, image.made, device=image.device, flips=image.flips, cancel=cancel)
        drive(steps, lambda _: None)


_kept: dict[Path, Model] = {}
"""The model that this worker works with."""

_keeping = threading.Lock()


def _model_in(folder: Path) -> Model:
    """Return the model of a run, which is loaded once."""
    with _keeping:
        if folder not in _kept:
            _kept.clear()
            _kept[folder] = load_model_file(folder / _MODEL)
        return _kept[folder]


def put_in_place(image: SentImage) -> None:
    """Move the project that a worker has made to its place in the list, where it replaces an earlier one.

    Nobody may have corrected or reviewed anything in that. If the program is killed meanwhile, the list has this
    project, or none of the image.

    Raises
    ------
    FileFormatError
        If it cannot be moved.
    """
    earlier = image.folder / f"{image.number}.earlier"
    try:
        relocate(image.made, image.made, image.project)
        if image.project.exists():
            os.replace(image.project, earlier)
        os.replace(image.made, image.project)
    except OSError as error:
        if earlier.exists() and not image.project.exists():
            os.replace(earlier, image.project)
        raise FileFormatError(f"{image.project} could not be saved: {reason(error)}.") from error
    drop(image)


def drop(image: SentImage) -> None:
    """Remove what a worker has written, as far as it is not in the list."""
    for path in (image.asked, image.made, image.folder / f"{image.number}.earlier"):
        with suppress(OSError):
            remove(path)
