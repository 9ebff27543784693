"""The folder of a run: what all workers have to know, and what is finished of an image that is segmented by blocks.

A file here has its name only when it is complete, so that it is its own record: a run that was killed at any instant is
gone on with by doing what has no file.
"""

from __future__ import annotations

import os
import urllib.parse
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_unet.cluster.queue import not_seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIX = ".unfinished"
"""Ending of the folder of a run, after the name of the labels."""

_DESCRIPTION = "run.json"

LABELS, MAPS = "labels.zarr", "maps.zarr"
"""The labels, and the maps if they are wanted, as far as they are written."""


class RunDescription(BaseModel):
    """All that workers have to know of a run: which image, read how, and how it is cut up.

    Attributes
    ----------
    identity : dict
        What the result depends on: hashes of model and image, and settings. Only a run with the same is gone on with.
    source : str
        Path of the image.
    axes, series
        As for `io.readers.read_image`.
    pixel_size : tuple of float or None
        Micrometres, Z (None: not known), Y and X.
    diameter, found_diameter, found_against : float or None
        Of the image, see `axes.Image`.
    channels : tuple of int
    zoom : tuple of float
    shape, halo, spans, steps
        Of the tiling plan, see `tiling.grid`.
    frames : int
        Time points.
    slices : int or None
        Planes of each; None: volumes are segmented in one go.
    flips : bool
    block, overlap
        Of the blocks in which objects are found, see `objects.blocks.BlockGrid`.
    maps : bool
        Whether maps are kept.
    device : str
        Of each worker.
    missing : int
        Chunks of the image that are not stored.
    report : dict
        What is said of the run in the end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    identity: dict[str, Any]
    source: str
    axes: str | None
    series: int | str | None
    pixel_size: tuple[float | None, float, float] | None
    diameter: float | None
    found_diameter: float | None
    found_against: float | None
    channels: tuple[int, ...]
    zoom: tuple[float, ...]
    shape: tuple[int, ...]
    halo: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    steps: tuple[int, ...]
    frames: int
    slices: int | None
    flips: bool
    block: tuple[int, ...]
    overlap: int
    maps: bool
    device: str
    missing: int = 0
    report: dict[str, Any]


def around(target: Path) -> Path:
    """Return the folder beside `target` for the runs that make it."""
    return target.with_name(target.name + SUFFIX)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where things are in the folder of a run; planes and volumes, tiles and blocks have numbers.

    Each run has a folder of its own in that of the target, so that a worker that still writes for a run that was given
    up cannot write into another one's.
    """

    path: Path

    @classmethod
    def new(cls, target: Path) -> RunFolder:
        """Make the folder of a new run that makes `target`.

        Raises
        ------
        OSError
            If it cannot be made.
        """
        folder = cls(around(target) / uuid.uuid4().hex)
        folder.path.mkdir(parents=True)
        for name in ("sample", "tiles", "objects", "ids", "written", "damaged"):
            (folder.path / name).mkdir()
        return folder

    @classmethod
    def all(cls, target: Path) -> list[RunFolder]:
        """Return the folders of all runs that make `target`, whether or not they can be gone on with."""
        return [cls(path) for path in sorted(around(target).glob("*")) if path.is_dir()]

    @classmethod
    def find(cls, target: Path, identity: dict[str, Any] | None = None) -> RunFolder | None:
        """Return the folder of a run that can be gone on with: of any, or of one with an identity; None: none."""
        for folder in cls.all(target):
            if folder.is_complete and identity in (None, folder.known().identity):
                return folder
        return None

    @property
    def model(self) -> Path:
        """The model, so that workers need no other copy of it."""
        return self.path / "model.safetensors"

    @property
    def statistics(self) -> Path:
        """By which intensities are normalised."""
        return self.path / "statistics.json"

    def sample(self, number: int) -> Path:
        """Return the file of the pixels of one plane from which these are taken."""
        return self.path / "sample" / f"{number}.npy"

    def tile(self, subimage: int, number: int) -> Path:
        """Return the file of a tile's maps, (K, [Z,] Y, X)."""
        return self.path / "tiles" / str(subimage) / f"{number}.npy"

    def objects(self, subimage: int, number: int) -> Path:
        """Return the file of a block's objects."""
        return self.path / "objects" / str(subimage) / f"{number}.npz"

    def ids(self, kind: Literal["plane", "final"], subimage: int) -> Path:
        """Return the table of ids of all objects of a plane or volume: within it, or in the whole image."""
        return self.path / "ids" / f"{kind}-{subimage}.npy"

    def written(self, subimage: int, number: int) -> Path:
        """Return the file that says that a block of the final labels is written."""
        return self.path / "written" / str(subimage) / str(number)

    def note_damaged(self, chunks: Iterable[str]) -> None:
        """Keep which chunks of the image could not be read: a run that is gone on with reads them no more."""
        for chunk in chunks:
            with self.completing(self.path / "damaged" / urllib.parse.quote(chunk, safe="")) as temporary:
                temporary.touch()

    @property
    def damaged(self) -> list[str]:
        """The chunks of the image that could not be read so far, in the order of their names."""
        found = (path.name for path in (self.path / "damaged").glob("[!.]*"))
        return sorted(map(urllib.parse.unquote, found))

    def describe(self, description: RunDescription) -> None:
        """Write what workers have to know."""
        with self.completing(self.path / _DESCRIPTION) as temporary:
            temporary.write_text(description.model_dump_json(indent=1), encoding="utf-8")

    @property
    def is_complete(self) -> bool:
        """Whether all is there that a run needs to be gone on with."""
        known = self.description()
        names = [self.model.name, LABELS, *([MAPS] if known is not None and known.maps else [])]
        return known is not None and all((self.path / name).exists() for name in names)

    def description(self) -> RunDescription | None:
        """Return what workers have to know; None: there is no run, or another version has written it."""
        try:
            return RunDescription.model_validate_json((self.path / _DESCRIPTION).read_bytes())
        except (OSError, ValidationError):
            return None

    def known(self) -> RunDescription:
        """Return what workers have to know.

        Raises
        ------
        ClusterError
            If this machine does not see it.
        """
        found = self.description()
        if found is None:
            raise not_seen(self.path, "Results")
        return found

    @contextmanager
    def completing(self, path: Path) -> Iterator[Path]:
        """Yield a name to write to, which becomes `path` if there is no error; two may do so at once."""
        path.parent.mkdir(exist_ok=True)  # not those above: if they are gone, the run was given up
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def save(self, path: Path, array: NDArray[Any]) -> None:
        """Write an array to a file of this folder."""
        with self.completing(path) as temporary, temporary.open("wb") as file:
            np.save(SimpleNamespace(write=file.write), array)  # into a file NumPy writes itself, and hides what fails


def is_begun(target: Path) -> bool:
    """Return whether there is a run to go on with, of labels that are not finished."""
    return RunFolder.find(target.absolute()) is not None
