"""The folder of a project. Each saved state is a subfolder; `project.json` names the current one."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import reason, remove
from napari_unet.projects.description import FILE, SUFFIX, read_description
from napari_unet.projects.images import COPY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STATE = re.compile(r"state-\d{1,9}")
_UNFINISHED = "unfinished"  # a file in the folder of a state that is not complete
_FLUSH_THREADS = 8  # flushing several files takes a file system about as long as one


@dataclass(frozen=True, slots=True)
class State:
    """Where a new state is written.

    Attributes
    ----------
    base : Path
        The folder that `project.json` is written into, last.
    folder : Path
        Of the state.
    image : Path
        Path for a copy of the image, if one is needed.
    """

    base: Path
    folder: Path
    image: Path

    def flush(self) -> None:
        """Flush all files to the disk, so that after a loss of power no description lacks what it describes."""
        (self.folder / _UNFINISHED).unlink()  # raises an error if the folder was removed and made anew meanwhile
        tops = (self.folder, self.image)
        files = [os.path.join(folder, name) for top in tops for folder, _, names in os.walk(top) for name in names]
        with ThreadPoolExecutor(_FLUSH_THREADS) as pool:
            list(pool.map(_flush, files))


@contextmanager
def new_state(folder: Path, *, overwrite: bool) -> Iterator[State]:
    """Make the folder of a new state of a project; on leaving the context, the states before are removed.

    Parameters
    ----------
    folder : Path
        Absolute path. A new project gets this name when it is complete.
    overwrite : bool
        Whether a project of that name may be replaced.

    Raises
    ------
    FileFormatError
        If the name is taken, or the folder cannot be written; everything is then as before.
    """
    there, made = _checked(folder, overwrite=overwrite), False
    base = folder if there else folder.with_name(f"{folder.name}.partial")
    message = f"{folder} could not be saved: {{}}." + (" What was saved before is as it was." if there else "")
    try:
        if not there:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _make_room(base)
            base.mkdir(exist_ok=True)
            made = True
        number = 1 + max((int(re.sub(r"\D", "", name)) for name in _own(base)), default=0)
        state = State(base, base / f"state-{number}", base / f"image-{number}.zarr")
        state.folder.mkdir()
        (state.folder / _UNFINISHED).touch()
        yield state
        if not there:
            os.replace(base, folder)
    except FileNotFoundError as error:
        raise FileFormatError(message.format("the folder disappeared meanwhile")) from error
    except OSError as error:
        raise FileFormatError(message.format(reason(error))) from error
    finally:
        if made:
            _removed(base)
        _tidy(folder)


def _make_room(base: Path) -> None:
    """Remove what an interrupted attempt has left, and nothing else."""
    if os.path.lexists(base):
        ours = base.is_dir() and not base.is_symlink() and all(_is_own(name) for name in os.listdir(base))
        if not ours:
            raise FileFormatError(f"{base} is in the way: rename it, or choose another name for the project.")
        remove(base)


def _flush(name: str) -> None:
    with open(name, "rb+") as file:
        os.fsync(file.fileno())


def _checked(folder: Path, *, overwrite: bool) -> bool:
    """Return whether there is a project already; raise `FileFormatError` if it may not be replaced."""
    if folder.suffix.lower() != SUFFIX:
        raise FileFormatError(f"The name {folder.name!r} must end in {SUFFIX}; for example {folder.stem + SUFFIX!r}.")
    if not os.path.lexists(folder):
        return False
    if not os.path.isfile(folder / FILE):
        raise FileFormatError(f"{folder} is there already, and is not a project; choose another name.")
    if not overwrite:
        raise FileFormatError(f"There is a project {folder} already; choose another name, or allow it to be replaced.")
    return True


def _own(folder: Path) -> list[str]:
    """Return the names in a folder that are those of states and copies of images."""
    return [name for name in os.listdir(folder) if _STATE.fullmatch(name) or COPY.fullmatch(name)]


def _is_own(name: str) -> bool:
    """Return whether a name may occur in the folder of a project that is not complete yet."""
    return bool(_STATE.fullmatch(name) or COPY.fullmatch(name)) or name == FILE or name.startswith(f"{FILE}.")


def _tidy(folder: Path) -> None:
    """Remove states and copies of images that are not in use: earlier ones, and those never completed."""
    with suppress(OSError, FileFormatError):
        said = read_description(folder)
        for name in _own(folder):
            if name not in (said.state, said.image.path):
                _removed(folder / name)


def _removed(path: Path) -> None:
    with suppress(OSError):
        remove(path)
