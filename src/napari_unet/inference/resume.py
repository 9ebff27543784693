"""What was made of which image, in a folder of results: so that a run that was stopped does only what is missing.

Beside the results lies a folder `FOLDER` with a small JSON file for each label file. It names what the labels were made
from (hashes of image and model, and the settings that they depend on), and has the hash of each result. It is written
before a result gets its name: whenever a run is killed, a result that is there is on record, and only the complete one
has that hash. A result with another hash was changed by somebody, and is never replaced unasked.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_unet._version import __version__
from napari_unet.errors import FileFormatError, is_short_of_memory
from napari_unet.io import lazy
from napari_unet.io.atomic import check_free, clear_left_behind
from napari_unet.io.fingerprint import Fingerprint, contents_sha256, joined_digest
from napari_unet.io.readers import read_image
from napari_unet.io.tiffs import files_read
from napari_unet.models.store import AUTO, find_model, list_models
from napari_unet.progress import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unet.inference.options import SegmentOptions
    from napari_unet.io.jobs import FileJob

FOLDER = ".napari-unet-results"
"""Name of the folder, in that of the results; no program shows it unasked."""

_NAME = 48
"""Letters of a result's name that the name of its record begins with: names have at most 255 bytes."""


class ResultRecord(BaseModel):
    """What is on record of the labels of an image, and of its maps.

    Attributes
    ----------
    format : int
        Of this record.
    version : str
        Of the program that made the results.
    source : str
        The image, as seen from the folder of the results.
    image, model : str
        Hashes of their files; with "auto", the second is one of all models that it was chosen from.
    settings : dict
        Those that the results depend on and that are not the default.
    results : dict of str to str
        Name of each result -> its hash.
    files : dict of str to int
        Name of each result -> how many files it has: chunks of a Zarr that are gone read as empty.
    earlier : dict of str to list of str
        The same of results that these replace: they are there until these have got their names.
    damage : str
        Which parts of the image could not be read, in a sentence; empty: none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    version: str = __version__
    source: str
    image: str
    model: str
    settings: dict[str, Any]
    results: dict[str, str] = {}
    files: dict[str, int] = {}
    earlier: dict[str, list[str]] = {}
    damage: str = ""

    @property
    def all_hashes(self) -> dict[str, list[str]]:
        """Name of each result -> the hashes that it has had, the last one last."""
        names = dict.fromkeys([*self.earlier, *self.results])
        found = {name: [*self.earlier.get(name, []), self.results.get(name, "")] for name in names}
        return {name: [one for one in dict.fromkeys(hashes) if one] for name, hashes in found.items()}

    def hashes_of(self, path: Path) -> list[str]:
        """Return the hashes that a result has had."""
        return self.all_hashes.get(_text(path.name), [])

    def is_current(self, path: Path) -> bool:
        """Return whether a result is there, and is the last one on record."""
        return os.path.lexists(path) and contents_sha256(path) == self.results.get(_text(path.name))

    def made(self, path: Path) -> bool:
        """Return whether what is there now is a result that is on record."""
        return contents_sha256(path) in self.hashes_of(path)

    def n_lost(self, path: Path) -> int:
        """Return how many files fewer a result has than when it was made."""
        return max(0, self.files.get(_text(path.name), 0) - Fingerprint.of(path).n_files)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is to be done about an image.

    Attributes
    ----------
    finished : bool
        Whether nothing is to be done.
    why : str
        Why it is done again, as the end of a sentence; empty: it was not done before, or nothing is to be done.
    note : str
        A sentence about what is finished; mostly empty.
    damage : str
        Of an image that is finished: which parts of it could not be read, in a sentence; empty: none.
    """

    finished: bool
    why: str = ""
    note: str = ""
    damage: str = ""


class ResultFolder:
    """The results in a folder, and what they were made from.

    Parameters
    ----------
    folder : Path
        It may not exist yet.
    model : str
        Name or file of the model, or "auto".
    options : SegmentOptions
        The settings.
    """

    def __init__(self, folder: Path, model: str, options: SegmentOptions) -> None:
        self._folder, self._model_name, self._options = folder, model, options

    def standing(self, job: FileJob) -> Standing:
        """Return whether the results of an image are there already, made from what they would be made from now.

        Nothing is written. Image and results are read once, if there are results.

        Raises
        ------
        FileFormatError
            If they must not be replaced: somebody made or changed them, or they are those of another image.
        """
        targets = self._targets(job)
        job.check(maps=self._options.maps, overwrite=True)
        there = [target for target in targets if os.path.lexists(target)]
        if self._options.overwrite or not there:
            return Standing(finished=False)
        record = self._read(job)
        for target in there:
            if record is None or not record.hashes_of(target):
                check_free(target)
        assert record is not None
        differences = self._differences(record, job)
        changed = [target for target in there if not record.made(target)]
        broken = [target for target in changed if not _is_readable(target)]
        if broken:
            return Standing(finished=False, why=f"{broken[0].name} is damaged")
        if changed and (differences or len(there) < len(targets)):
            why = f" ({differences})" if differences else ""
            raise FileFormatError(
                f"{changed[0].name} is out of date{why}, but was changed since it was made, so it is kept; "
                "--overwrite replaces it."
            )
        if changed:
            first = max(changed, key=record.n_lost)
            lost = record.n_lost(first)
            how = f"lacks {counted(lost, 'file')} that it had when" if lost else "was changed since"
            more = " --overwrite makes it again." if lost else ""
            return Standing(finished=True, note=f"{first.name} {how} it was made; it is kept so.{more}")
        if not differences and not all(record.is_current(target) for target in targets):
            differences = "it was not finished"
        return Standing(not differences, differences, damage="" if differences else record.damage)

    def tidy(self, job: FileJob) -> None:
        """Remove what is left where a run was killed in the instant after a result had got its name."""
        for target in self._targets(job):
            clear_left_behind(target)

    def begin(self, job: FileJob) -> ResultNotes:
        """Return what puts the results of an image on record; to be made before the image is read.

        Raises
        ------
        FileFormatError
            If the image or the model cannot be read.
        """
        source, before = Fingerprint.of(job.source), self._read(job)
        earlier = {} if before is None else before.all_hashes
        now = self._now(job).model_copy(update={"earlier": earlier})
        return ResultNotes(self._path(job), source, before, now, overwrite=self._options.overwrite)

    def _targets(self, job: FileJob) -> list[Path]:
        return [job.target, *([job.maps_target] if self._options.maps else [])]

    def _path(self, job: FileJob) -> Path:
        name = job.target.name
        return self._folder / FOLDER / f"{name[:_NAME]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}.json"

    def _read(self, job: FileJob) -> ResultRecord | None:
        try:
            return ResultRecord.model_validate_json(self._path(job).read_bytes())
        except (OSError, ValidationError):
            return None

    def _now(self, job: FileJob) -> ResultRecord:
        """Return the record of results that are made now, without any."""
        image, source = contents_sha256(job.source), job.source.resolve()
        others = files_read(job.source, of_all=self._options.series is not None)[1:]
        if others:
            image = joined_digest([image, *map(contents_sha256, others)])
        try:
            seen = Path(os.path.relpath(source, self._folder.resolve()))
        except ValueError:  # on another drive of Windows
            seen = source
        return ResultRecord(source=_text(seen.as_posix()), image=image, model=self._model, settings=self._settings)

    def _differences(self, record: ResultRecord, job: FileJob) -> str:
        """Return what is not now as when the results were made, as the end of a sentence; empty: nothing."""
        wanted = self._now(job)
        if record.image != wanted.image and record.source != wanted.source:
            raise FileFormatError(
                f"{job.target} is the result of another image, {record.source}. Choose another folder, or --overwrite."
            )
        return differences(vars(record), vars(wanted))

    @cached_property
    def _model(self) -> str:
        return model_identity(self._model_name)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return settings_of(self._options, auto=self._model_name == AUTO)


def model_identity(name: str) -> str:
    """Return a hash of a model's file, by its name or path; for "auto" one of all models that can be chosen.

    Raises
    ------
    ModelFileError, FileFormatError
        If there is none, or it cannot be read.
    """
    if name != AUTO:
        return contents_sha256(find_model(name))
    models = {entry.name: contents_sha256(entry.path) for entry in list_models()}
    return hashlib.sha256(json.dumps(models, sort_keys=True).encode()).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return which of image, model and settings are not as they were, as the end of a sentence; empty: all are."""
    old, new = before["settings"], now["settings"]
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    found = {
        "the image has changed": before["image"] != now["image"],
        "another model": before["model"] != now["model"],
        f"other settings: {', '.join(names)}": bool(names),
    }
    return ", ".join(what for what, differs in found.items() if differs)


def settings_of(options: SegmentOptions, *, auto: bool) -> dict[str, Any]:
    """Return the settings that results depend on and that are not the default, as JSON has them."""
    size = options.pixel_size
    settings = {
        "axes": options.axes,
        "series": options.series,
        "channel": options.channel,
        "pixel_size_um": None if size is None else [size.z, size.y, size.x],
        "diameter_px": options.diameter,
        "mode": None if options.mode == "auto" else options.mode,
        "tile": None if options.mode == "exact" else options.tile,
        "flips": options.flips or None,
        "sensitivity": options.sensitivity,
        "separation": options.separation,
        "min_size_px": options.min_size,
        "auto": True if auto else None,
    }
    return {name: value for name, value in settings.items() if value is not None}


class ResultNotes:
    """Puts the results of one image on record; called by `segment_file` before each gets its name (`ready`)."""

    def __init__(
        self, path: Path, source: Fingerprint, before: ResultRecord | None, now: ResultRecord, *, overwrite: bool
    ) -> None:
        self._path, self._source, self._before, self._record = path, source, before, now
        self._overwrite = overwrite

    def __call__(self, target: Path, complete: Path, damage: str) -> None:
        """Put a result on record.

        Raises
        ------
        FileFormatError
            If the image has changed since, or somebody has written or changed what the result would replace.
        OSError
            If the record cannot be written.
        """
        self._source.check()
        if not (self._overwrite or self._may_be_replaced(target)):
            raise FileFormatError(
                f"{target.name} was written meanwhile, perhaps by another run, and is kept; --overwrite replaces it."
            )
        name = _text(target.name)
        results = self._record.results | {name: contents_sha256(complete)}
        files = self._record.files | {name: Fingerprint.of(complete).n_files}
        self._record = self._record.model_copy(update={"results": results, "files": files, "damage": damage})
        self._path.parent.mkdir(exist_ok=True)
        temporary = self._path.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(self._record.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)

    def _may_be_replaced(self, target: Path) -> bool:
        """Return whether there is nothing, or what this program made, or what is left of it."""
        if not os.path.lexists(target):
            return True
        before = self._before
        return (
            before is not None and bool(before.hashes_of(target)) and (before.made(target) or not _is_readable(target))
        )


def _is_readable(path: Path) -> bool:
    """Return whether all pixels of a result can be read; raise an error if there is no memory to find out."""
    try:
        data = read_image(path, indices=True).data
        for index in np.ndindex(data.shape[:-2]):
            np.asarray(data[index])
    except Exception as error:  # decoders raise errors of many kinds on damaged data
        if is_short_of_memory(error):
            raise lazy.unreadable(path.name, error) from error
        return False
    return True


def _text(name: str) -> str:
    """Return a name as it can be stored in JSON, whatever bytes it has."""
    return name.encode("utf-8", "backslashreplace").decode()
