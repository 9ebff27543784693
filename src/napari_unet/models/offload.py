"""Where the weights of models lie that were learned, whether anybody has saved them or not: one folder for each run."""

from __future__ import annotations

import datetime
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
"""The folders of earlier runs may take so much of the disk; beyond that, the oldest are removed."""

MIN_AGE = 30 * 24 * 3600.0
"""Seconds that such a folder is kept in any case."""

_LOCK = "in-use.lock"
_RUN = re.compile(r"\d{8}-\d{6}-\d+-\w+")
_NOT_IN_NAME = re.compile(r"[^\w .+-]")


class Parking:
    """Writes models into files of this run's folder, in a thread of its own.

    The files are model files like any other. They stay when the program ends, in whatever way; see `tidy`.

    Attributes
    ----------
    problem : str
        Why the last model could not be written; empty: it could.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._number = 0
        self._folder: Path | None = None
        self._home: Path | None = None
        self._lock: Lock | None = None
        self._pool = ThreadPoolExecutor(1, "models")
        self._last: Future[None] | None = None

    def keep(self, model: Model, done: Callable[[Path], None]) -> None:
        """Write a model soon; `done` gets its path, in another thread, unless it cannot be written."""
        self._number += 1
        self._home = learned_folder()
        name = f"{self._number:03d} {_NOT_IN_NAME.sub('-', model.name)[:60]}{SUFFIX}"
        self._last = self._pool.submit(self._write, model, self._home, name, done)

    def settle(self) -> None:
        """Wait until all are written."""
        if self._last is not None:
            self._last.result()

    def close(self) -> None:
        """Wait for what is being written, and take no more."""
        self._pool.shutdown()
        if self._lock is not None:
            self._lock.release()

    def _write(self, model: Model, home: Path, name: str, done: Callable[[Path], None]) -> None:
        try:
            folder = self._made(home)
            save_model_file(model, folder / name)
        except ModelFileError as error:
            self.problem = f"A learned model is in memory only, save it: {error}"
        except OSError as error:
            self.problem = f"A learned model is in memory only, save it: {home} cannot be written to: {reason(error)}."
        else:
            self.problem = ""
            done(folder / name)

    def _made(self, home: Path) -> Path:
        """Return the folder of this run."""
        if self._folder is None:
            home.mkdir(parents=True, exist_ok=True)
            start = f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}-"
            folder = Path(tempfile.mkdtemp(prefix=start, dir=home))
            self._lock = Lock.acquire(folder / _LOCK)
            self._folder = folder
            threading.Thread(target=tidy, args=(home,), name="tidy models", daemon=True).start()
        return self._folder


def learned_folder() -> Path:
    """Return the folder of all models that were learned in a window; it need not exist."""
    return data_folder() / "learned"


def tidy(home: Path) -> None:
    """Remove the oldest folders of runs that have ended, if all together are too large, and they are old."""
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
            written = [file.stat().st_mtime for file in run.iterdir() if file.name != _LOCK]  # that was opened just now
            if time.time() - max(written, default=0.0) > MIN_AGE:
                remove(run)
                del sizes[run]


def linked(file: Path, target: Path) -> None:
    """Have a model file under another name too; it is copied where the disk cannot give it two names.

    Raises
    ------
    OSError
        If it is gone, or the system does not let it be written.
    """
    try:
        os.link(file, target)
    except FileExistsError:
        return
    except OSError:
        partial = target.with_name(f"{target.name}.partial")
        shutil.copyfile(file, partial)
        os.replace(partial, target)
