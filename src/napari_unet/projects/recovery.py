"""Copies of sittings that nobody has saved yet: where they lie, in whose hands they are, and which were left behind.

Each has a folder of its own in `recovery_folder`, with the project, a file that is locked while its program lives, and
a note of where the sitting was saved before. What a kill leaves behind is a copy that nobody has locked.
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
from napari_unet.io.atomic import reason, remove
from napari_unet.io.lock import Lock
from napari_unet.models.store import data_folder
from napari_unet.projects.description import FILE, SUFFIX, read_description
from napari_unet.projects.images import COPY, copy_pixels, sampled_sha256
from napari_unet.projects.journal import Journal, journals
from napari_unet.projects.project import Project

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from napari_unet.axes import Image
    from napari_unet.progress import CancelToken
    from napari_unet.projects.arrays import Block
    from napari_unet.projects.journal import Content, Key

MIN_KEPT = 5
"""So many copies that were left behind are kept in any case, the newest."""

DAYS_KEPT = 30
"""So long all of them are kept; the window tells so."""

MAX_COPIED_BYTES = 2 * 2**30
"""Bytes: no copies are made of a sitting whose labels, or pixels that no file has, are larger."""

MIN_FREE_BYTES = 2**30
"""Bytes that have to be free on the disk: a copy must not be what fills it."""

_MAX_NAME_BYTES = 120  # bytes of a name: systems allow 255, and some take more than one for a letter
_LOCK, _NOTE, _GONE, _PIXELS = "in-use.lock", "session.json", ".gone", "pixels.zarr"
_NOTE_BEFORE = "sitting.json"  # as earlier versions of the program called it
_OWN = re.compile(r"\d{8}-\d{6}-\d+-\w+(\.gone)?")


class _Note(BaseModel):
    """Where a sitting was saved before, and what was there then."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    saved_as: str | None = None
    saved: str = ""


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A copy whose program is gone.

    Attributes
    ----------
    path : Path
        Its project, which `Copy.claim` takes.
    when : datetime
        When it was made, local time.
    """

    path: Path
    when: datetime.datetime

    def __str__(self) -> str:
        today = self.when.date() == datetime.datetime.now(self.when.tzinfo).date()
        day = "today" if today else f"on {self.when.day} {self.when:%B}"
        return f"{self.path.stem} ({day} at {self.when:%H:%M})"


class Copy:
    """The copy of a sitting, in the hands of this program; see `begin` and `claim`.

    Attributes
    ----------
    path : Path
        Its project.
    digest : str
        Digest of the state that it holds; empty: none yet.
    blocks : dict
        Digests of the blocks with a person's work, in that state.
    journal : int
        Number of the first journal that goes on from that state.
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path, self.digest, self._lock = path, "", lock
        self.blocks: dict[Key, bytes] = {}
        self.journal = 0
        self._sampled = ""  # of the pixels in `_PIXELS`

    @property
    def folder(self) -> Path:
        """Where the project lies, and the journals beside it."""
        return self.path.parent

    @property
    def there(self) -> bool:
        """Whether it holds a state."""
        return (self.path / FILE).is_file()

    def next_journal(self) -> int:
        """Return the number of a journal that there is none of yet."""
        return 1 + max((number for number, _ in journals(self.folder)), default=0)

    def prepare(self, project: Project) -> Copy:
        """Copy the pixels of an image that no file has, which may take a while, before there is a state to write."""
        copy_pixels(project.image, self.folder / _PIXELS)
        self._sampled = sampled_sha256(project.image)
        return self

    @classmethod
    def begin(cls, name: str, saved_as: Path | None) -> Copy:
        """Make room for the copy of a sitting.

        Parameters
        ----------
        name : str
            For people.
        saved_as : Path, optional
            Where it was saved before, which is never touched.

        Raises
        ------
        FileFormatError
            If the system does not let it be written.
        """
        base = recovery_folder()
        start = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}-"
        try:
            base.mkdir(parents=True, exist_ok=True)
            while True:
                folder = Path(tempfile.mkdtemp(prefix=start, dir=base))
                with suppress(FileNotFoundError):  # another program, which looks around just now, took it for rubbish
                    lock = Lock.acquire(folder / _LOCK)
                    if lock is not None:
                        break
            saved = "" if saved_as is None else _saved(saved_as)
            note = _Note(saved_as=None if saved_as is None else str(saved_as), saved=saved)
            (folder / _NOTE).write_text(note.model_dump_json(), encoding="utf-8")
        except OSError as error:
            raise FileFormatError(f"{base} cannot be written to: {reason(error)}.") from error
        return cls(folder / f"{file_name(name)}{SUFFIX}", lock)

    @classmethod
    def claim(cls, path: Path) -> Copy | None:
        """Take a copy that was left behind into the hands of this program; None: another has it, or it is gone."""
        with suppress(OSError):
            lock = Lock.acquire(path.parent / _LOCK)
            if lock is not None:
                return cls(path, lock)
        return None

    def save_steps(self, project: Project, cancel: CancelToken, *, empty: bool = False) -> Generator[Block, None, None]:
        """Have it hold the present state of a sitting, all or nothing; see `Project.save_steps`."""
        if shutil.disk_usage(self.folder).free < MIN_FREE_BYTES:
            raise FileFormatError(
                f"The disk of {recovery_folder()} has less than {MIN_FREE_BYTES / 2**30:.0f} GB free."
            )
        with suppress(FileFormatError):
            pixels = read_description(self.path).image.path
            if COPY.fullmatch(pixels):  # those that no file has; they need not be written anew each time
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
        """Return the sitting, which does not need the copy any more; its `path` is where it was saved before.

        None if it never was, or was saved anew since. For errors see `Project.open`.
        """
        project = Project.open(self.path, image, cancel=cancel)
        if project.image_path is not None and self.path in project.image_path.parents:
            project.image, project.image_path = _in_hand(project.image, cancel), None
        self.digest, project.path = project.state_digest(cancel).digest, self._saved_as()
        self.journal = read_description(self.path).first_journal or 0
        return project

    def release(self) -> None:
        """Leave it behind, for whoever asks next."""
        self._lock.release()

    def discard(self) -> Path:
        """Let nobody find it any more, from now on; return what is to be removed, which may take a while."""
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
        with suppress(OSError, ValidationError):
            file = self.folder / _NOTE
            note = _Note.model_validate_json((file if file.exists() else self.folder / _NOTE_BEFORE).read_bytes())
            if note.saved_as is not None and note.saved and note.saved == _saved(Path(note.saved_as)):
                return Path(note.saved_as)
        return None


def recovery_folder() -> Path:
    """Return the folder of all copies; it need not exist."""
    return data_folder() / "recovery"


def is_copy(path: Path) -> bool:
    """Return whether a project is such a copy."""
    return path.absolute().parent.parent == recovery_folder().absolute()


def file_name(name: str) -> str:
    """Return a name, without an ending, that a file may have on every system."""
    allowed = "".join("-" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in name)
    return allowed.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip(" .") or "untitled"


def why_not(project: Project) -> str:
    """Return why no copies are made of a sitting; empty: they are."""
    pixels, labels = np.dtype(project.image.data.dtype).itemsize, np.dtype(project.labels.dtype).itemsize
    own = pixels * int(np.prod(project.image.data.shape, dtype=np.int64)) if project.image_path is None else 0
    if max(own, labels * int(np.prod(project.labels.shape, dtype=np.int64))) <= MAX_COPIED_BYTES:
        return ""
    limit = f"{MAX_COPIED_BYTES / 2**30:.0f} GB"
    return f"This image is too large for unsaved work to be kept by itself (over {limit}): press Save."


def keep_steps(
    project: Project, copy: Copy | None, saved: str, cancel: CancelToken
) -> Generator[Block, None, Copy | None]:
    """Keep a copy of what is not saved, if anything has changed; each block that is yielded has to be taken.

    Parameters
    ----------
    project : Project
        As it is now; its `path` is where it was saved.
    copy : Copy, optional
        The one before, which gets a new state.
    saved : str
        Digest of what was saved; empty: nothing was.
    cancel : CancelToken
        Stops it; the copy before stays as it was.

    Returns
    -------
    Copy or None
        That which holds the present state; None: none needs to, since it is saved, or nothing of it is a person's.

    Raises
    ------
    FileFormatError, ModelFileError
        If it cannot be written.
    """
    now = project.state_digest(cancel)
    if now.digest == saved or not (now.by_user or saved):
        return None
    if copy is not None and copy.digest == now.digest:
        return copy
    return (yield from _saved_steps(project, copy, cancel))


def begin_steps(
    project: Project,
    copy: Copy | None,
    cancel: CancelToken,
    blocks: Mapping[Key, Content] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Generator[Block, None, Copy]:
    """Begin a copy that a journal goes on from: of an image with nothing in its labels.

    `blocks` are the first in that journal; `about` is noted with them. For errors see `keep_steps`.
    """
    target = yield from _saved_steps(project, copy, cancel, empty=True)
    journal = Journal(target.folder, target.next_journal())
    try:
        for key, content in (blocks or {}).items():
            journal.append_block(key, content, dict(about or {}))
        journal.sync()
    except (OSError, FileFormatError) as error:
        if target is not copy:
            remove(target.discard())
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise FileFormatError(f"{recovery_folder()} cannot be written to: {why}.") from error
    finally:
        journal.close()
    return target


def _saved_steps(
    project: Project, copy: Copy | None, cancel: CancelToken, *, empty: bool = False
) -> Generator[Block, None, Copy]:
    target = copy or Copy.begin(project.image.name, project.path)
    try:
        yield from target.save_steps(project, cancel, empty=empty)
    except BaseException:
        if target is not copy:
            remove(target.discard())
        raise
    return target


def left_behind() -> tuple[list[LeftBehind], list[Path]]:
    """Return the copies whose programs are gone, newest first, and folders of no more use, which are to be removed."""
    found, rubbish = [], []
    with suppress(OSError):
        for folder in recovery_folder().iterdir():
            if folder.name.endswith(_GONE) and _OWN.fullmatch(folder.name):
                rubbish.append(folder)
            elif _OWN.fullmatch(folder.name) and folder.is_dir():
                copies = [path for path in folder.glob(f"*{SUFFIX}") if (path / FILE).is_file()]
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
            rubbish.append(copy.discard())
        copy.release()
    dates = [(path, _when(path)) for path in kept]
    return [LeftBehind(path, when) for path, when in dates if when is not None], rubbish


def _in_hand(image: Image, cancel: CancelToken) -> Image:
    """Return an image with its pixels in memory or, where that is short, in a temporary file."""
    pixels: Any = spill.zeros(image.data.shape, image.data.dtype)
    for index in np.ndindex(*image.data.shape[:-2]):
        cancel.check()
        pixels[index] = np.asarray(image.data[index])
    return replace(image, data=pixels, source=None)


def _saved(path: Path) -> str:
    """Return when a project was saved, to know that again; empty: there is none that can be read."""
    with suppress(FileFormatError):
        said = read_description(path)
        return f"{said.saved} {said.state}"
    return ""


def _when(path: Path) -> datetime.datetime | None:
    """Return when a copy was made, local time; None: it cannot be read, perhaps by this version of the program."""
    with suppress(FileFormatError, ValueError, OSError):
        made = datetime.datetime.fromisoformat(read_description(path).saved).astimezone()
        written = [journal.stat().st_mtime for _, journal in journals(path.parent)]
        return max([made, *(datetime.datetime.fromtimestamp(when, made.tzinfo) for when in written)])
    return None
