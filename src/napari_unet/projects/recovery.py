"""Recovery copies of sessions that are not saved: where they are, which program owns them, and which were left behind.

Each has a folder of its own in `recovery_folder`, with the project, a lock file that is locked as long as its program
runs, and a note of where the session was saved before. A copy that is not locked was left behind by a program that was
killed.
"""

from __future__ import annotations

import datetime
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_unet.errors import FileFormatError
from napari_unet.io import spill
from napari_unet.io.atomic import reason
from napari_unet.io.lock import Lock
from napari_unet.models.store import data_folder
from napari_unet.projects.description import FILE, SUFFIX, read_description
from napari_unet.projects.images import COPY, copy_pixels, sampled_sha256
from napari_unet.projects.journal import journals
from napari_unet.projects.names import file_name
from napari_unet.projects.ownership import LOCK, state_of
from napari_unet.projects.project import Project
from napari_unet.projects.work_list import SUFFIX as LIST

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_unet.axes import Image
    from napari_unet.progress import CancelToken
    from napari_unet.projects.arrays import Block
    from napari_unet.projects.journal import Key

MIN_KEPT = 5
"""Number of copies that were left behind, the newest ones, that are kept whatever their age."""

DAYS_KEPT = 30
"""Days for which all copies that were left behind are kept. The window tells the user both numbers."""

MIN_FREE_BYTES = 2**30
"""Bytes that have to be free on the disk: a copy must not fill it."""

_NOTE, _GONE, _PIXELS = "session.json", ".gone", "pixels.zarr"
_NOTE_BEFORE = "sitting.json"  # as earlier versions of the program called it
_OWN = re.compile(r"\d{8}-\d{6}-\d+-\w+(\.gone)?")


class _Note(BaseModel):
    """Where a session was saved before, and which of its states was there then."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    saved_as: str | None = None
    saved: str = ""


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A copy whose program has ended without removing it.

    Attributes
    ----------
    path : Path
        Of its project folder, or of a work list; an argument of `Copy.claim`.
    when : datetime
        When it was last written, local time.
    """

    path: Path
    when: datetime.datetime

    def __str__(self) -> str:
        today = self.when.date() == datetime.datetime.now(self.when.tzinfo).date()
        day = "today" if today else f"on {self.when.day} {self.when:%B}"
        return f"{self.path.stem} ({day} at {self.when:%H:%M})"


class Copy:
    """A recovery copy that this program owns (has locked); made by `begin` or `claim`.

    Attributes
    ----------
    path : Path
        Of its project folder.
    digest : str
        Digest of the state that it holds; empty: it holds none yet.
    blocks : dict
        Digests of the blocks with the user's work, in that state or the first records of its journal.
    journal : int
        Number of the first journal that continues that state.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path, self.digest, self._lock = path, "", lock
        self.blocks: dict[Key, bytes] = {}
        self.journal = 0
        self._sampled = ""  # of the pixels in `_PIXELS`

    @property
    def folder(self) -> Path:
        """Folder of the project, and of the journals beside it."""
        return self.path.parent

    @property
    def there(self) -> bool:
        """Whether it holds a state."""
        return (self.path / FILE).is_file()

    def next_journal(self) -> int:
        """Return a number that no journal has yet."""
        return 1 + max((number for number, _ in journals(self.folder)), default=0)

    def prepare(self, project: Project) -> Copy:
        """Copy the pixels of an image that is in no file, before there is a state to save: this may take long."""
        copy_pixels(project.image, self.folder / _PIXELS)
        self._sampled = sampled_sha256(project.image)
        return self

    @classmethod
    def begin(cls, name: str, saved_as: Path | None) -> Copy:
        """Create the folder of a recovery copy, and lock it.

        Parameters
        ----------
        name : str
            Of the session, for people.
        saved_as : Path, optional
            Where the session was saved before; nothing is written there.

        Raises
        ------
        FileFormatError
            If it cannot be written.
        """
        base = recovery_folder()
        start = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}-"
        try:
            base.mkdir(parents=True, exist_ok=True)
            while True:
                folder = Path(tempfile.mkdtemp(prefix=start, dir=base))
                with suppress(FileNotFoundError):  # another program, in `left_behind`, has removed it
                    lock = Lock.acquire(folder / LOCK)
                    if lock is not None:
                        break
            _write_note(folder, saved_as)
        except OSError as error:
            raise FileFormatError(f"{base} cannot be written to: {reason(error)}.") from error
        return cls(folder / f"{file_name(name)}{SUFFIX}", lock)

    @classmethod
    def claim(cls, path: Path) -> Copy | None:
        """Lock a copy that was left behind; None: another program has locked it, or it is gone."""
        with suppress(OSError):
            lock = Lock.acquire(path.parent / LOCK)
            if lock is not None:
                return cls(path, lock)
        return None

    def save_steps(self, project: Project, cancel: CancelToken, *, empty: bool = False) -> Generator[Block, None, None]:
        """Save the current state of a session into it; see `Project.save_steps`."""
        if shutil.disk_usage(self.folder).free < MIN_FREE_BYTES:
            raise FileFormatError(
                f"The disk of {recovery_folder()} has less than {MIN_FREE_BYTES / 2**30:.0f} GB free."
            )
        with suppress(FileFormatError):
            pixels = read_description(self.path).image.path
            if COPY.fullmatch(pixels):  # pixels that are in no file; they need not be written again each time
                project.image_path = self.path / pixels
        ready = self.folder / _PIXELS if self._sampled and self._sampled == sampled_sha256(project.image) else None
        yield from project.save_steps(self.path, overwrite=True, cancel=cancel, empty=empty, pixels=ready)
        self.digest = project.saved_digest.digest if project.saved_digest and not empty else ""
        self.blocks, self.journal = project.saved_blocks, project.journal or 0
        for number, path in journals(self.folder):
            if number < self.journal:
                with suppress(OSError):
                    path.unlink()

    def open(self, image: Path | None, cancel: CancelToken) -> Project:
        """Return its session, which does not need the copy any more.

        `Project.path` is where the session was saved before; None if it was not, or was saved again since. For errors
        see `Project.open`.
        """
        project = Project.open(self.path, image, cancel=cancel)
        if project.image_path is not None and self.path in project.image_path.parents:
            project.image, project.image_path = _loaded(project.image, cancel), None
        self.digest, project.path = project.state_digest(cancel).digest, self._saved_as()
        self.journal = read_description(self.path).first_journal or 0
        return project

    def note_saved(self, saved_as: Path) -> None:
        """Note where the session is saved now. Without that the copy is as good, and is saved anew."""
        with suppress(OSError):
            _write_note(self.folder, saved_as)

    def release(self) -> None:
        """Unlock it, so that it counts as left behind."""
        self._lock.release()

    def discard(self) -> Path:
        """Rename it, so that it is not found any more; return the folder to be removed, which may take long."""
        folder = self.path.parent
        gone = folder.with_name(folder.name + _GONE)
        try:
            os.replace(folder, gone)
        except OSError:  # Windows moves no folder with an open file in it
            self.release()
            with suppress(OSError):
                os.replace(folder, gone)
        self.release()
        return folder if folder.exists() else gone

    def _saved_as(self) -> Path | None:
        note = _read_note(self.folder)
        if (
            note is not None
            and note.saved_as is not None
            and note.saved
            and note.saved == state_of(Path(note.saved_as))
        ):
            return Path(note.saved_as)
        return None


def recovery_folder() -> Path:
    """Return the folder of all copies; it may not exist yet."""
    return data_folder() / "recovery"


def is_copy(path: Path) -> bool:
    """Return whether a project folder is that of a recovery copy."""
    return path.absolute().parent.parent == recovery_folder().absolute()


def copy_of(project: Path) -> Path | None:
    """Return the newest copy, left behind, of a session that was saved there and not since; None: there is none.

    It also finds the copy of a session that was to be saved there and never was. The path is for `Copy.claim`.
    """
    with suppress(OSError):
        folders = [folder for folder in recovery_folder().iterdir() if _OWN.fullmatch(folder.name)]
        for folder in sorted(folders, key=lambda folder: folder.name, reverse=True):
            note = _read_note(folder)
            if folder.name.endswith(_GONE) or note is None or note.saved_as != str(project):
                continue
            copies = _sessions_in(folder)
            if copies and note.saved == state_of(project):
                return copies[0]
    return None


def left_behind() -> tuple[list[LeftBehind], list[Path]]:
    """Return the copies that were left behind, newest first, and folders that are to be removed."""
    found, to_remove = [], []
    with suppress(OSError):
        for folder in recovery_folder().iterdir():
            if folder.name.endswith(_GONE) and _OWN.fullmatch(folder.name):
                to_remove.append(folder)
            elif _OWN.fullmatch(folder.name) and folder.is_dir():
                lists = [path for path in folder.glob(f"*{LIST}") if any(path.glob(f"*{SUFFIX}"))]
                copies = _sessions_in(folder) + lists
                found.append(copies[0] if copies else folder / "none")
    kept: list[Path] = []
    oldest = f"{datetime.datetime.now() - datetime.timedelta(DAYS_KEPT):%Y%m%d-%H%M%S}"
    for path in sorted(found, key=lambda path: path.parent.name, reverse=True):
        copy = Copy.claim(path)
        if copy is None:
            continue
        if path.exists() and (len(kept) < MIN_KEPT or path.parent.name >= oldest):
            kept.append(path)
        else:
            to_remove.append(copy.discard())
        copy.release()
    dates = [(path, _when(path)) for path in kept if not _comes_with_list(path, kept)]
    return [LeftBehind(path, when) for path, when in dates if when is not None], to_remove


def _sessions_in(folder: Path) -> list[Path]:
    """Return the sessions of which the folder of a recovery copy holds a state."""
    return [path for path in folder.glob(f"*{SUFFIX}") if (path / FILE).is_file()]


def _loaded(image: Image, cancel: CancelToken) -> Image:
    """Return an image with its pixels in memory or, if there are many, in a temporary file."""
    pixels: Any = spill.zeros(image.data.shape, image.data.dtype)
    for index in np.ndindex(*image.data.shape[:-2]):
        cancel.check()
        pixels[index] = np.asarray(image.data[index])
    return replace(image, data=pixels, source=None)


def _write_note(folder: Path, saved_as: Path | None) -> None:
    saved = "" if saved_as is None else state_of(saved_as)
    note = _Note(saved_as=None if saved_as is None else str(saved_as), saved=saved)
    partial = folder / f"{_NOTE}.partial"
    partial.write_text(note.model_dump_json(), encoding="utf-8")
    os.replace(partial, folder / _NOTE)


def _read_note(folder: Path) -> _Note | None:
    """Return what a copy says of where its session was saved; None: it cannot be read."""
    with suppress(OSError, ValidationError):
        file = folder / _NOTE
        return _Note.model_validate_json((file if file.exists() else folder / _NOTE_BEFORE).read_bytes())
    return None


def _comes_with_list(path: Path, kept: Sequence[Path]) -> bool:
    """Return whether a copy is of an image of a list that is kept itself, and so comes back with it."""
    note = _read_note(path.parent)
    return note is not None and note.saved_as is not None and Path(note.saved_as).parent in kept


def _when(path: Path) -> datetime.datetime | None:
    """Return when a copy was last written, local time; None: it cannot be read (by this version of the program)."""
    with suppress(FileFormatError, ValueError, OSError):
        if path.suffix == LIST:
            last = max(file.stat().st_mtime for file in path.iterdir())
            return datetime.datetime.fromtimestamp(last, datetime.UTC).astimezone()
        made = datetime.datetime.fromisoformat(read_description(path).saved).astimezone()
        written = [journal.stat().st_mtime for _, journal in journals(path.parent)]
        return max([made, *(datetime.datetime.fromtimestamp(when, made.tzinfo) for when in written)])
    return None
