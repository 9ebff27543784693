"""Learned models are written to disk at once, saved by the user or not, so that they need not stay in memory.

Each run of the program has a folder of its own for them.
"""

from __future__ import annotations

import datetime
import itertools
import os
import re
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.errors import ModelFileError
from napari_unet.io.atomic import reason, remove
from napari_unet.io.lock import Lock
from napari_unet.models.checkpoint import save_model_file
from napari_unet.models.store import SUFFIX, data_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from napari_unet.models.model import Model

MAX_BYTES = 4 * 2**30
"""Disk space that the folders of earlier runs may take; beyond it, the oldest are removed."""

MIN_AGE = 30 * 24 * 3600.0
"""Seconds for which such a folder is kept in any case."""

_LOCK = "in-use.lock"
_RUN = re.compile(r"\d{8}-\d{6}-\d+-\w+")
_NOT_IN_NAME = re.compile(r"[^\w .+-]")


class DiskOffload:
    """Writes models into the folder of this run, in a thread of its own.

    They are ordinary model files. They stay when the program ends, however it ends; see `tidy`.

    Attributes
    ----------
    problem : str
        Why the last model could not be written; empty: it could.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._numbers = itertools.count(1)
        self._folder: Path | None = None
        self._home: Path | None = None
        self._lock: Lock | None = None
        self._pool = ThreadPoolExecutor(1, "models")
        self._last: Future[None] | None = None

    def keep(self, model: Model, done: Callable[[Path], None]) -> None:
        """Write a model soon, unless closed; `done` is called with its path, in another thread, once it is written."""
        self._home = learned_folder()
        name = f"{next(self._numbers):03d} {_NOT_IN_NAME.sub('-', model.name)[:60]}{SUFFIX}"
        with suppress(RuntimeError):  # closed, while a worker was at it
            self._last = self._pool.submit(self._write, model, self._home, name, done)

    def discard(self, file: Callable[[], Path | None]) -> None:
        """Remove the file of a model, if it has one by the time that all are written.

        One that cannot be removed stays until the folder of this run is.
        """

        def remove_it() -> None:
            path = file()
            if path is not None:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

        with suppress(RuntimeError):  # closed
            self._last = self._pool.submit(remove_it)

    def settle(self) -> None:
        """Wait until all are written."""
        if self._last is not None:
            self._last.result()

    def close(self) -> None:
        """Wait until all are written, and accept no more."""
        self._pool.shutdown()
        if self._lock is not None:
            self._lock.release()

    def _write(self, model: Model, home: Path, name: str, done: Callable[[Path], None]) -> None:
        try:
            folder = self._made(home)
            save_model_file(model, folder / name)
        except ModelFileError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = f"{home} cannot be written to: {reason(error)}."
        else:
            self.problem = ""
            done(folder / name)

    def _made(self, home: Path) -> Path:
        """Return the folder of this run, which is made first if need be."""
        if self._folder is None:
            home.mkdir(parents=True, exist_ok=True)
            start = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}-"
            folder = Path(tempfile.mkdtemp(prefix=start, dir=home))
            self._lock = Lock.acquire(folder / _LOCK)
            self._folder = folder
            threading.Thread(target=tidy, args=(home,), name="tidy models", daemon=True).start()
        return self._folder


def learned_folder() -> Path:
    """Return the folder of all models that were learned in a window; it may not exist yet."""
    return data_folder() / "learned"


def tidy(home: Path) -> None:
    """Remove the oldest folders of runs that have ended, older than `MIN_AGE`, until all are below `MAX_BYTES`."""
    with suppress(OSError):
        runs = sorted((path for path in home.iterdir() if _RUN.fullmatch(path.name)), key=lambda path: path.name)
        sizes = {run: sum(file.stat().st_size for file in run.iterdir()) for run in runs}
        for run in runs:
            if sum(sizes.values()) <= MAX_BYTES:
                return
            lock = Lock.acquire(run / _LOCK)
            if lock is None:
                continue
            lock.release()
            written = [file.stat().st_mtime for file in run.iterdir() if file.name != _LOCK]  # opened just now
            if time.time() - max(written, default=0.0) > MIN_AGE:
                remove(run)
                del sizes[run]


def linked(file: Path, target: Path) -> None:
    """Give a model file a second name (a hard link); it is copied where the file system has none.

    Raises
    ------
    OSError
        If the file is gone, or the new one cannot be written.
    """
    try:
        os.link(file, target)
    except FileExistsError:
        return
    except OSError:
        partial = target.with_name(f"{target.name}.partial")
        shutil.copyfile(file, partial)
        os.replace(partial, target)
