"""Files and folders that have their final name only when they are complete, and never take that of what they are from.

What is being written lies in a folder of its own beside its target, ``<name>.partial``, and is moved out of it when it
is complete. Nothing that was there before is touched but the target itself, and that only if it may be replaced.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from napari_unet.errors import FileFormatError
from napari_unet.io.lock import Lock
from napari_unet.io.zarrs import is_zarr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_MARK = ".napari-unet"
"""In the folder of what is being written: that it is ours, and, by its lock, that somebody is writing."""

_ASIDE = "replaced"
"""In that folder: what was at the target before, for the moment in which that has no name."""

_NAME = 60
"""Letters of the name of a target that are in that of the folder: a file system takes 255 bytes."""

_RESULT = {".zgroup", ".zattrs", ".zmetadata", "zarr.json", "0"}
"""What a Zarr folder that this program wrote has in it."""

_ARRAY = {".zarray", ".zattrs", "zarr.json", "c"}
"""What the array in it has in it, besides folders and files of chunks, which are numbers."""

_PAUSES = (0.02, 0.1, 0.5, 0.0)
"""Seconds between attempts to remove a folder: Zarr's threads may still write to it when work on it was interrupted."""

_CLUTTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""What systems leave in any folder that somebody looks into."""


class Protected:
    """Files and folders that nothing may be written over, into or around, by whatever name.

    Parameters
    ----------
    paths : iterable of Path
        Links count as what they lead to. What is not there is known by its name only.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._own: dict[object, tuple[Path, str]] = {}
        self._above: dict[object, tuple[Path, str]] = {}
        for path in paths:
            self.add(path)

    def add(self, path: Path, what: str = "an input") -> None:
        """Protect one more; `what` it is, is told."""
        real = _resolved(path)
        for key in _keys(real):
            self._own.setdefault(key, (path, what))
        for parent in real.parents:
            if parent in self._above:
                break
            for key in _keys(parent):
                self._above.setdefault(key, (path, what))

    def check(self, output: Path, *, around: bool = True) -> None:
        """Raise `FileFormatError` if writing to a path would change one of them.

        Where only some names in a folder are written to, it may be `around` one of them.
        """
        real = _resolved(output)
        for key in _keys(real):
            if key in self._own:
                raise FileFormatError(_refusal(output, "is", *self._own[key]))
            if around and key in self._above:
                raise FileFormatError(_refusal(output, "holds", *self._above[key]))
        for parent in real.parents:
            for key in _keys(parent):
                if key in self._own:
                    raise FileFormatError(_refusal(output, "lies in", *self._own[key]))


def _refusal(output: Path, verb: str, path: Path, what: str) -> str:
    named = "" if output == path else f" ({path})"
    return f"{output} {verb} {what}{named}; it is never replaced. Choose another name."


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return path.absolute()


def _keys(real: Path) -> list[object]:
    """Return by what a path is known: its name, and what the disk calls it, which all its names have in common."""
    try:
        about = os.stat(real)
    except (OSError, ValueError):
        return [real]
    return [real, (about.st_dev, about.st_ino)] if about.st_ino else [real]


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Find out whether something may be written under a name.

    Parameters
    ----------
    path : Path
        Final name of a file or a Zarr folder.
    overwrite : bool
        Whether an earlier result of that name may be replaced: a file, or a Zarr folder of one image with nothing else
        in it.

    Raises
    ------
    FileFormatError
        If it is taken, and may not be replaced.
    """
    try:
        about = os.lstat(path)
    except (OSError, ValueError):  # not there, or what is wrong with the name is told when it is written
        return
    if not overwrite:
        raise FileFormatError(f"{path} exists already; choose another name, or replace it with --overwrite.")
    if stat.S_ISLNK(about.st_mode):
        with suppress(OSError):
            about = os.stat(path)
    if stat.S_ISDIR(about.st_mode):
        if not _is_result(path):
            other = "a Zarr with more in it than one image" if is_zarr(path) else "a folder with other things in it"
            raise FileFormatError(f"{path} is {other}, and is not replaced; choose another name.")
    elif not stat.S_ISREG(about.st_mode) and not stat.S_ISLNK(about.st_mode):
        raise FileFormatError(f"{path} is no file but a pipe or a device; choose another name.")
    elif path.suffix.lower() == ".zarr":
        raise FileFormatError(f"{path} is a file, and a Zarr is a folder; choose another name.")


def _is_result(folder: Path) -> bool:
    """Whether a folder may be replaced: it is empty, or a Zarr as this program writes them, and nothing else."""
    try:
        names = set(os.listdir(folder)) - _CLUTTER
        if not names:
            return True
        if not is_zarr(folder) or not names <= _RESULT:
            return False
        inner = set(os.listdir(folder / "0")) - _CLUTTER if "0" in names else set()
        return all(name.replace(".", "").isdecimal() for name in inner - _ARRAY)
    except OSError:
        return False


@contextmanager
def completed(
    path: Path, *, overwrite: bool = False, discard: bool = False, rescue: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """Give a path to write to, in a folder beside `path`, and rename it to `path` when all went well.

    Parameters
    ----------
    path : Path
        Final name of a file or a Zarr folder. Its parent folders are made.
    overwrite : bool
        Whether an existing one may be replaced; see `check_free`.
    discard : bool
        Never rename it: it holds what is only needed meanwhile.
    rescue : callable, optional
        Whether what there is should be kept, as ``<stem>.unfinished<suffix>``, if it cannot be written to its end.

    Yields
    ------
    Path
        Does not exist; what is written there is removed if anything goes wrong.

    Raises
    ------
    FileFormatError
        If `path` exists and may not be replaced, or the system does not let it be written.
    """
    if not discard:
        check_free(path, overwrite=overwrite)
    with _own_folder(path) as folder:
        partial = folder / path.name
        try:
            yield partial
            if not discard:
                check_free(path, overwrite=overwrite)  # somebody else may have written it meanwhile
                _replace(partial, path, folder / _ASIDE / path.name)
        except (OSError, FileFormatError) as error:
            told = f"{path} could not be written: {reason(error)}." if isinstance(error, OSError) else str(error)
            kept = path.with_name(f"{path.stem}.unfinished{path.suffix}")
            if rescue is not None and not os.path.lexists(kept) and rescue(partial):
                with suppress(OSError):
                    os.replace(partial, kept)
                    told += f" What was finished is kept as {kept.name}."
            raise FileFormatError(told) from error


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """Make a folder for what becomes `path`, which nobody else has, and remove it at the end."""
    made: Path | None = None
    lock: Lock | None = None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                folder = path.with_name(path.name[:_NAME] + (f".{number}.partial" if number > 1 else ".partial"))
                _clear(folder)
                with suppress(FileExistsError):
                    folder.mkdir()
                    made = folder
                    with suppress(FileNotFoundError):  # another run, which clears up just now, took it for left behind
                        lock = Lock.acquire(folder / _MARK)
                if lock is not None:
                    break
        except OSError as error:
            raise FileFormatError(f"{path} could not be written: {reason(error)}.") from error
        yield folder
    finally:
        if lock is not None:
            lock.release()
        if made is not None:
            with suppress(OSError):
                _put_back(made)
                remove(made)


def _clear(folder: Path) -> None:
    """Remove what a run that was killed has left; leave alone what is not ours, or in use."""
    mark = folder / _MARK
    if folder.is_symlink() or not mark.is_file():
        with suppress(OSError):
            folder.rmdir()  # if it is empty: it was killed before it could say whose that is
        return
    lock = Lock.acquire(mark)
    if lock is not None:
        _put_back(folder)
        remove(folder)  # while it is locked, so that nobody else takes it; Windows lets it be removed only afterwards
        lock.release()
        remove(folder)


def _put_back(folder: Path) -> None:
    """Give what was to be replaced its name again, if that has been given to nothing else."""
    with suppress(FileNotFoundError):
        for name in os.listdir(folder / _ASIDE):
            if not os.path.lexists(folder.parent / name):
                os.replace(folder / _ASIDE / name, folder.parent / name)


def check_writable(path: Path) -> None:
    """Find out before long work whether its result can be written to `path` at its end.

    Raises
    ------
    FileFormatError
        If the system does not let it be written.
    """
    with completed(path, discard=True) as partial:
        partial.touch()


def _replace(partial: Path, path: Path, aside: Path) -> None:
    """Give what is complete its name. A folder cannot be replaced in one step: the one before is first moved aside."""
    if path.is_dir():
        aside.parent.mkdir()
        os.replace(path, aside)
    elif partial.is_file():
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
    os.replace(partial, path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a link, the link."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for pause in _PAUSES:
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(pause)


def reason(error: OSError) -> str:
    """Return why the system did not let something be written, as a part of a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror or str(error)
