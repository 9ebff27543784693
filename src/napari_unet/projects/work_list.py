"""A work list: many images and, for each of them that was worked on, a project. How it lies on disk.

A work list is a folder, ``NAME.unetlist``. In it ``images.json`` lists the images, by reference, and the models that
were learned; beside it lies one project (``projects.project``) for each image with labels. What is known of an image
(corrected, reviewed, by which model it was segmented) stands in its project only: whatever is interrupted, the list
cannot contradict it.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_unet._version import __version__
from napari_unet.errors import FileFormatError
from napari_unet.inference.credibility import Doubt
from napari_unet.io.atomic import reason, remove
from napari_unet.projects.description import SUFFIX as PROJECT
from napari_unet.projects.description import ModelReference, read_description, write_description
from napari_unet.projects.names import file_name, relative
from napari_unet.projects.segmented_by import SegmentedBy
from napari_unet.projects.stored import read_stored, write_stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_unet.io.finding import FoundImage
    from napari_unet.progress import CancelToken

SUFFIX = ".unetlist"
"""Ending of the folder of a work list."""

FILE = "images.json"
MODELS = "models"
"""Folder, in that of the list, of the models that were learned."""

FORMAT: Final = "napari-unet-work-list"
VERSION = 1
_MAX_BYTES = 2**28
_PathText = Annotated[str, Field(min_length=1, max_length=8192, pattern=r"^[^\x00]+$")]


class _Part(BaseModel):
    """A part of the description; keys that a newer version of the program has added are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ListedImage(_Part):
    """An image of the list.

    Attributes
    ----------
    name : str
        For people; no two images of a list have the same.
    path : str
        Of its file, relative to the folder of the list, or absolute if it is on another drive.
    absolute : str
        The same, absolute.
    series : int, optional
        Its number, in a file that holds several images.
    project : str
        Name of the folder of its project, in that of the list. It is there once the image has labels.
    done : bool
        Whether the user has said that it is done.
    """

    name: str = Field(min_length=1, max_length=1000)
    path: _PathText
    absolute: _PathText
    series: int | None = Field(None, ge=0)
    project: str = Field(pattern=r"^[^/\\\x00]{1,200}\.unetproj$")
    done: bool = False

    def file(self, folder: Path) -> Path:
        """Return where its file is: by the relative path, else by the absolute one."""
        beside = Path(os.path.normpath(folder / self.path))
        return beside if beside.exists() else Path(self.absolute)

    @property
    def key(self) -> tuple[str, int | None]:
        """What two entries that are the same image have in common."""
        return os.path.normcase(self.absolute), self.series


class WorkListDescription(_Part):
    """All of a work list but the projects and the weights of the models.

    Attributes
    ----------
    version : int
        Of this format.
    program : str
        Version of the program that saved it.
    saved : str
        Date and time, ISO 8601.
    images : tuple of ListedImage
    in_view : int, optional
        Index of the image that was worked on last.
    channel : int, optional
        Channel of the files that is segmented, where they have several; None: the last.
    models : tuple of ModelReference
        All that were in use, in that order; see `Description.models`.
    current : int
        Index of the one in use.
    waiting : ModelReference, optional
        A learned model that the user has neither accepted nor rejected yet.
    """

    format: Literal["napari-unet-work-list"] = FORMAT
    version: int = Field(VERSION, ge=1)
    program: str = ""
    saved: str = ""
    images: tuple[ListedImage, ...] = ()
    in_view: int | None = Field(None, ge=0)
    channel: int | None = Field(None, ge=0)
    models: tuple[ModelReference, ...] = ()
    current: int = Field(0, ge=0)
    waiting: ModelReference | None = None


class ImageState(_Part):
    """How far an image of the list is.

    Attributes
    ----------
    kind : {"to do", "segmented", "corrected", "reviewed", "done", "failed"}
        "corrected": something was corrected; "reviewed": something was reviewed.
    reviewed_share : float
        Reviewed pixels as a share of all.
    segmented_by : SegmentedBy
        By what all of it was segmented.
    problem : str
        Why it cannot be worked on; empty: it can.
    suspects : int, optional
        Objects that are likely to be wrong, and that nobody has looked at; None: not known.
    doubt : Doubt, optional
        Why what that model has found is not credible; None: not known.
    """

    kind: Literal["to do", "segmented", "corrected", "reviewed", "done", "failed"] = "to do"
    reviewed_share: float = 0.0
    segmented_by: SegmentedBy = SegmentedBy()
    problem: str = ""
    suspects: int | None = None
    doubt: Doubt | None = None

    @property
    def by_user(self) -> bool:
        """Whether it holds corrections, or reviewed area."""
        return self.kind in ("corrected", "reviewed") or self.reviewed_share > 0

    @property
    def is_open(self) -> bool:
        """Whether there may be something left to look at."""
        return self.kind not in ("done", "failed") and self.reviewed_share < 1

    @property
    def is_doubtful(self) -> bool:
        """Whether what was found is not credible, and nobody has corrected or reviewed it."""
        return self.kind == "segmented" and bool(self.doubt)

    def needs(self, by: SegmentedBy) -> bool:
        """Return whether *Segment all* by that has something to do with it."""
        return self.is_open and self.segmented_by != by

    def out_of_date(self, by: SegmentedBy) -> bool:
        """Return whether it was segmented otherwise: by another model, or with other settings."""
        return self.kind != "to do" and self.needs(by)


JUDGED: Final = ("suspects", "doubt")
"""Attributes of `ImageState` that tell how good the result may be; they are known once all of it was segmented."""


def is_work_list(path: Path) -> bool:
    """Return whether a path is the folder of a work list, or the file in it."""
    folder = path.parent if path.name == FILE else path
    return folder.suffix.lower() == SUFFIX and (folder / FILE).is_file()


def listed(found: Iterable[FoundImage], folder: Path, before: Sequence[ListedImage]) -> list[ListedImage]:
    """Return the entries of images that are not in a list yet.

    Parameters
    ----------
    found : iterable of FoundImage
    folder : Path
        Of the list.
    before : sequence of ListedImage
        Those that it has; of the same image there is no second one, and no second one of the same name.
    """
    known, names = {one.key for one in before}, {one.name for one in before}
    entries = []
    for one in found:
        absolute = str(one.path)
        key = os.path.normcase(absolute), one.series
        if key in known:
            continue
        name = one.name if one.name not in names else f"{one.name} ({one.path.parent.name})"
        number = 2
        while name in names:
            name, number = f"{one.name} ({one.path.parent.name} {number})", number + 1
        known.add(key)
        names.add(name)
        digest = hashlib.blake2b(f"{absolute} {one.series}".encode(), digest_size=4).hexdigest()
        entries.append(
            ListedImage(
                name=name[:1000],
                path=relative(one.path, folder),
                absolute=absolute,
                series=one.series,
                project=f"{file_name(one.name)[:60].strip(' .')}-{digest}{PROJECT}",
            )
        )
    return entries


def state_of(image: ListedImage, folder: Path) -> ImageState:
    """Return how far an image of a list is, by what is saved of it."""
    project = folder / image.project
    if not image.file(folder).exists():
        return ImageState(kind="failed", problem=f"{image.name} is not there any more: {image.absolute}.")
    if not project.is_dir():
        return ImageState(kind="done" if image.done else "to do")
    try:
        said = read_description(project)
    except FileFormatError as error:
        return ImageState(kind="failed", problem=str(error))
    return state(
        corrected=said.counts.corrected > 0,
        reviewed_share=said.counts.reviewed / max(1, said.counts.total),
        segmented_by=SegmentedBy(said.segmented_by, said.decoding),
        done=image.done,
        suspects=said.suspects,
        doubt=said.doubt,
    )


def state(
    *,
    corrected: bool,
    reviewed_share: float,
    segmented_by: SegmentedBy,
    done: bool,
    suspects: int | None = None,
    doubt: Doubt | None = None,
) -> ImageState:
    """Return the state of an image that has labels."""
    kind: Literal["segmented", "corrected", "reviewed", "done"] = "segmented"
    if done or reviewed_share >= 1:
        kind = "done"
    elif reviewed_share > 0:
        kind = "reviewed"
    elif corrected:
        kind = "corrected"
    return ImageState(
        kind=kind, reviewed_share=reviewed_share, segmented_by=segmented_by, suspects=suspects, doubt=doubt
    )


def read_list(folder: Path) -> WorkListDescription:
    """Read the description of a work list.

    Raises
    ------
    FileFormatError
        If there is none, it is damaged, or it was saved by a newer version of this program.
    """
    return read_stored(
        folder / FILE,
        "list of images",
        FORMAT,
        VERSION,
        _MAX_BYTES,
        lambda text, _: WorkListDescription.model_validate_json(text),
    )


def write_list(folder: Path, description: WorkListDescription) -> None:
    """Replace the description of a work list in one step; its folder is made if need be.

    Raises
    ------
    FileFormatError
        If it cannot be written; the old one is as it was.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    description = description.model_copy(update={"program": __version__, "saved": now})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileFormatError(f"{folder} could not be written: {reason(error)}.") from error
    write_stored(folder / FILE, description, indent=1)


def copy_list(folder: Path, target: Path, description: WorkListDescription, cancel: CancelToken) -> WorkListDescription:
    """Copy a work list with its projects and models to another place, under a name that nothing has yet.

    Returns
    -------
    WorkListDescription
        Of the copy: paths relative to it.

    Raises
    ------
    FileFormatError
        If the name is taken, or it cannot be written; nothing of it is left then.
    Cancelled
        If it was stopped.
    """
    if target.suffix.lower() != SUFFIX:
        raise FileFormatError(f"The name {target.name!r} must end in {SUFFIX}; for example {target.stem + SUFFIX!r}.")
    if os.path.lexists(target):
        raise FileFormatError(f"There is {target} already. Choose another name.")
    partial = target.with_name(f"{target.name}.partial")
    try:
        remove(partial)
        partial.mkdir(parents=True)
        for name in (MODELS, *(image.project for image in description.images)):
            cancel.check()
            if (folder / name).is_dir():
                shutil.copytree(folder / name, partial / name)
                if name != MODELS:
                    relocate(partial / name, folder / name, target / name)
        images = tuple(
            one.model_copy(update={"path": relative(one.file(folder), target), "absolute": str(one.file(folder))})
            for one in description.images
        )
        description = description.model_copy(update={"images": images})
        write_list(partial, description)
        os.replace(partial, target)
    except (OSError, shutil.Error) as error:
        why = reason(error) if not isinstance(error, shutil.Error) else str(error)[:200]
        raise FileFormatError(f"{target} could not be saved: {why}.") from error
    finally:
        with suppress(OSError):
            remove(partial)
    return description


def relocate(copied: Path, before: Path, after: Path) -> None:
    """Have a project that is about to lie elsewhere find its image by a relative path.

    Parameters
    ----------
    copied : Path
        The folder whose description is changed.
    before, after : Path
        Where it was saved, and where it is going to lie.
    """
    said = read_description(copied)
    image = said.image
    if image.absolute is not None:
        found = Path(os.path.normpath(before / image.path))
        path = str(found) if found.exists() else image.absolute
        changed = image.model_copy(update={"path": relative(Path(path), after), "absolute": path})
        write_description(copied, said.model_copy(update={"image": changed}))
