"""Files and folders that have their final name only when they are complete."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from napari_unet.errors import FileFormatError
from napari_unet.io.zarrs import is_zarr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def completed(
    path: Path, *, overwrite: bool = False, discard: bool = False, rescue: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """Give ``<name>.partial`` beside `path` to write to, and rename it to `path` when all went well.

    Parameters
    ----------
    path : Path
        Final name of a file or a Zarr folder. Its parent folders are made.
    overwrite : bool
        Whether an existing one may be replaced.
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
    if os.path.exists(path):  # unlike Path.exists, False where the folder cannot be looked into
        if not overwrite:
            raise FileFormatError(f"{path} exists already; choose another name, or replace it with --overwrite.")
        if path.is_dir() and not is_zarr(path):
            raise FileFormatError(f"{path} is a folder with other things in it; choose another name.")
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(partial)
        yield partial
        if not discard:
            _replace(partial, path)
    except (OSError, FileFormatError) as error:
        told = f"{path} could not be written: {reason(error)}." if isinstance(error, OSError) else str(error)
        kept = path.with_name(f"{path.stem}.unfinished{path.suffix}")
        if rescue is not None and not kept.exists() and rescue(partial):
            with suppress(OSError):
                os.replace(partial, kept)
                told += f" What was finished is kept as {kept.name}."
        raise FileFormatError(told) from error
    finally:
        with suppress(OSError):
            remove(partial)


def check_writable(path: Path) -> None:
    """Find out before long work whether its result can be written to `path` at its end.

    Raises
    ------
    FileFormatError
        If the system does not let it be written.
    """
    with completed(path, overwrite=True, discard=True) as partial:
        partial.touch()


def _replace(partial: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(partial, path)
        return
    # A folder cannot be replaced in one step: it is moved aside, so that one of both is always complete.
    aside = path.with_name(f"{path.name}.replaced")
    remove(aside)
    os.replace(path, aside)
    os.replace(partial, path)
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """Return why the system did not let something be written, as a part of a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full"
    return error.strerror or str(error)
