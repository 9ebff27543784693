"""Files and folders that get their final name only when they are complete, and that never replace an input.

A result is written into a folder beside its target, ``<name>.partial``, and moved out of it when it is complete. Only
the target itself is ever replaced, and only if that is allowed.
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
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

_LOCK_NAME = ".napari-unet"
"""Name of a file in such a folder: the folder was made by this program and, if it is locked, is in use."""

_REPLACED = "replaced"
"""Name of a folder in it, for the earlier target while it is replaced."""

_NAME = 60
"""Letters of the target's name that the folder's name begins with: names have at most 255 bytes."""

_RESULT = {".zgroup", ".zattrs", ".zmetadata", "zarr.json", "0"}
"""Names in a Zarr folder that this program wrote."""

_ARRAY = {".zarray", ".zattrs", "zarr.json", "c"}
"""Names in the array of such a folder, besides those of chunks, which are numbers."""

_PAUSES = (0.02, 0.1, 0.5, 0.0)
"""Seconds between attempts to remove a folder: threads of Zarr may still write to it after an interruption."""

_CLUTTER = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""Files that file managers leave in folders."""


class Protected:
    """Files and folders that no result may replace, be written into, or contain; also not by other names (links).

    Parameters
    ----------
    paths : iterable of Path
        Links stand for their targets. Of a path that does not exist only the name is protected.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._own: dict[object, tuple[Path, str]] = {}
        self._above: dict[object, tuple[Path, str]] = {}
        for path in paths:
            self.add(path)

    def add(self, path: Path, what: str = "an input") -> None:
        """Protect another path; `what` it is called in error messages."""
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

        With ``around=False`` the path may be a folder that contains one of them.
        """
        real = _resolved(output)
        for key in _keys(real):
            if key in self._own and _is_still(key, self._own[key][0]):
                raise FileFormatError(_refusal(output, "is", *self._own[key]))
            if around and key in self._above and _is_still(key, *_resolved(self._above[key][0]).parents):
                raise FileFormatError(_refusal(output, "holds", *self._above[key]))
        for parent in real.parents:
            for key in _keys(parent):
                if key in self._own and _is_still(key, self._own[key][0]):
                    raise FileFormatError(_refusal(output, "lies in", *self._own[key]))


def _is_still(key: object, *paths: Path) -> bool:
    """Return whether a key identifies one of some paths now: the inode of a file that is gone goes to a new one."""
    return not isinstance(key, tuple) or any(key in _keys(_resolved(path)) for path in paths)


def _refusal(output: Path, verb: str, path: Path, what: str) -> str:
    named = "" if output == path else f" ({path})"
    return f"{output} {verb} {what}{named}; it is never replaced. Choose another name."


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a loop
        return path.absolute()


def _keys(real: Path) -> list[object]:
    """Return what identifies a path: its name, and device and inode, which are the same for all names of a file."""
    try:
        about = os.stat(real)
    except (OSError, ValueError):
        return [real]
    return [real, (about.st_dev, about.st_ino)] if about.st_ino else [real]


def check_suffix(path: Path, allowed: Sequence[str]) -> str:
    """Return the suffix of a file's name in small letters; raise `FileFormatError` if it is not one of the allowed."""
    suffix = path.suffix.lower()
    if suffix not in allowed:
        raise FileFormatError(f"The name {path.name!r} must end in {' or '.join(allowed)}.")
    return suffix


def check_outside_zarr(path: Path) -> None:
    """Raise `FileFormatError` if a path lies in a Zarr folder."""
    around = next((parent for parent in path.parents if is_zarr(parent)), None)
    if around is not None:
        raise FileFormatError(f"{path} lies in the Zarr {around}; choose a name outside of it.")


def check_free(path: Path, *, overwrite: bool | None = False) -> None:
    """Check that something may be written under a name.

    Parameters
    ----------
    path : Path
        Final name of a file or a Zarr folder.
    overwrite : bool or None
        Whether an earlier result may be replaced: a file, or a Zarr folder that holds one image and nothing else. None:
        it never may.

    Raises
    ------
    FileFormatError
        If the name is taken, and may not be replaced.
    """
    try:
        about = os.lstat(path)
    except (OSError, ValueError):  # it does not exist, or cannot exist: then writing raises an error
        return
    if not overwrite:
        instead = "." if overwrite is None else ", or replace it with --overwrite."
        raise FileFormatError(f"{path} exists already; choose another name{instead}")
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
    """Return whether a folder may be replaced: it is empty, or a Zarr as this program writes them."""
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
    path: Path,
    *,
    overwrite: bool = False,
    discard: bool = False,
    rescue: Callable[[Path], bool] | None = None,
    ready: Callable[[Path], object] | None = None,
) -> Iterator[Path]:
    """Yield a path to write to, in a folder beside `path`; on leaving without an error rename it to `path`.

    Parameters
    ----------
    path : Path
        Final name of a file or a Zarr folder. Its parent folders are created.
    overwrite : bool
        Whether an existing one may be replaced; see `check_free`.
    discard : bool
        Whether it is temporary: removed in the end, and never renamed.
    rescue : callable, optional
        Called with the partial result if writing fails; returns whether to keep it as ``<stem>.unfinished<suffix>``.
    ready : callable, optional
        Called with the complete result before it gets its name. If it raises an error, nothing gets it.

    Yields
    ------
    Path
        Does not exist yet; it is removed if an error is raised.

    Raises
    ------
    FileFormatError
        If `path` exists and may not be replaced, or cannot be written.
    """
    if not discard:
        check_free(path, overwrite=overwrite)
    with _own_folder(path) as folder:
        partial = folder / path.name
        try:
            yield partial
            if not discard:
                if ready is not None:
                    ready(partial)
                check_free(path, overwrite=overwrite)  # another program may have written it meanwhile
                _replace(partial, path, folder / _REPLACED / path.name)
        except (OSError, FileFormatError) as error:
            message = f"{path} could not be written: {reason(error)}." if isinstance(error, OSError) else str(error)
            kept = path.with_name(f"{path.stem}.unfinished{path.suffix}")
            if rescue is not None and not os.path.lexists(kept) and rescue(partial):
                with suppress(OSError):
                    os.replace(partial, kept)
                    message += f" What was finished is kept as {kept.name}."
            raise FileFormatError(message, getattr(error, "details", "")) from error


@contextmanager
def _own_folder(path: Path) -> Iterator[Path]:
    """Create a locked folder for what becomes `path`, and remove it in the end."""
    made: Path | None = None
    lock: Lock | None = None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                folder = _partial(path, number)
                _clear(folder)
                with suppress(FileExistsError):
                    folder.mkdir()
                    made = folder
                    with suppress(FileNotFoundError):  # another run has just removed it as left behind
                        lock = Lock.acquire(folder / _LOCK_NAME)
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


def _partial(path: Path, number: int) -> Path:
    """Return the folder in which the run of that number, of those at the same time, makes `path`."""
    return path.with_name(path.name[:_NAME] + (f".{number}.partial" if number > 1 else ".partial"))


def clear_left_behind(path: Path) -> None:
    """Remove what a run that was killed left of making `path`; what is in use, or of something else, stays."""
    for number in itertools.count(1):
        folder = _partial(path, number)
        if not os.path.lexists(folder):
            return
        with suppress(OSError):
            _clear(folder)


def _clear(folder: Path) -> None:
    """Remove the folder of a run that was killed; a folder that is in use, or of something else, stays."""
    lock_file = folder / _LOCK_NAME
    if folder.is_symlink() or not lock_file.is_file():
        with suppress(OSError):
            folder.rmdir()  # if it is empty: the run was killed before it wrote the lock file
        return
    lock = Lock.acquire(lock_file)
    if lock is not None:
        _put_back(folder)
        remove(folder)  # while it is locked, so that no other run takes it; Windows removes it only once it is unlocked
        lock.release()
        remove(folder)


def _put_back(folder: Path) -> None:
    """Move the earlier target back to its name, if that is free."""
    with suppress(FileNotFoundError):
        for name in os.listdir(folder / _REPLACED):
            if not os.path.lexists(folder.parent / name):
                os.replace(folder / _REPLACED / name, folder.parent / name)


def check_writable(path: Path) -> None:
    """Check, before long work, that its result can be written to `path` in the end.

    Raises
    ------
    FileFormatError
        If it cannot be written.
    """
    with completed(path, discard=True) as partial:
        partial.touch()


def _replace(partial: Path, path: Path, earlier: Path) -> None:
    """Give a complete result its name. A folder is not replaced in one step: the earlier one is moved away first."""
    if path.is_dir():
        earlier.parent.mkdir()
        os.replace(path, earlier)
    elif partial.is_file():
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
    os.replace(partial, path)


def remove(path: Path) -> None:
    """Remove a file or folder, if it exists; of a link, only the link."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for pause in _PAUSES:
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(pause)


def reason(error: OSError) -> str:
    """Return the reason of an error as a part of a sentence."""
    full = "No space left on device" in str(error) or "quota exceeded" in str(error)
    if full or error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror or str(error)
