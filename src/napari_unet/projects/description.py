"""`project.json`: the description of a project, which other programs can read too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from napari_unet.errors import FileFormatError
from napari_unet.inference.credibility import Doubt
from napari_unet.io.renamed import Key, up_to_date
from napari_unet.objects.decode import Decoding
from napari_unet.projects.stored import read_stored, write_stored
from napari_unet.projects.suggestions import StoredOutline

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".unetproj"
"""Ending of the folder of a project."""

FILE = "project.json"
FORMAT: Final = "napari-unet-project"
VERSION = 2
_VERDICT = {
    "visited.mended": "fixed",
    "visited.left": "left_alone",
    "visited.aside": "held_out",
    "visited": "regression",
    "known": "retention",
    "margin": "buffer",
    "astray": "out_of_domain",
}
"""Fields of `learning.gate.Verdict`, which has one in each model: old name -> new name; those within others first."""

RENAMED = (
    Key(2, "image.glimpse", "sampled_sha256"),
    Key(2, "image.newest", "modified_ns"),
    Key(2, "image.size", "size_bytes"),
    Key(2, "image.files", "n_files"),
    Key(2, "parts", "chunks"),
    Key(2, "continued_by", "first_journal"),
    Key(2, "zero", "zero_is_background"),
    *(Key(2, f"{model}.verdict.{old}", new) for model in ("models.*", "waiting") for old, new in _VERDICT.items()),
)
"""Names in `project.json`, and in the heads of a journal's records, that earlier versions of the format do not have."""

PROVENANCE = {"predicted": 1, "corrected": 2, "reviewed": 4}
"""The numbers in `provenance.zarr` are sums of these; 0: not segmented yet."""

_MAX_BYTES = 16 * 2**20


class _Part(BaseModel):
    """A part of the description; keys that a newer version of the program has added are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Size = Annotated[float, Field(gt=0, lt=1e18)]
Count = Annotated[int, Field(ge=0, lt=2**62)]


class PixelSizes(_Part):
    """Micrometres along each axis; None: not known."""

    y: Size
    x: Size
    z: Size | None = None


class ImageReference(_Part):
    """Where the image is, and how to tell whether it has changed.

    Attributes
    ----------
    path : str
        Relative to the project's folder, or absolute if it is on another drive.
    absolute : str, optional
        Its absolute path, for a project that was moved alone. None: the pixels are in the project.
    modified_ns, size_bytes, n_files : int
        See `io.fingerprint.Fingerprint`.
    sampled_sha256 : str
        SHA-256 of a few windows of its pixels (`images.sampled_sha256`), which a copy of the file has too.
    file_channel : int, optional
        The channel of the file that was opened as the image; None: all channels.
    file_series : int, optional
        Number of the image in a file that holds several; None: the one that `io.readers.read_image` takes.
    axes : str
        One letter for each axis of the image.
    shape : tuple of int
        Axes as `axes`.
    pixel_size : PixelSizes, optional
    name : str
        For people.
    diameter : float, optional
        Typical diameter of the objects, in pixels, as the user said.
    found_diameter : float, optional
        The same, as a model found it (`inference.diameter`).
    found_against : float, optional
        `ModelInfo.image_diameter` of that model.
    """

    path: str = Field(min_length=1, max_length=8192, pattern=r"^[^\x00]+$")
    absolute: str | None = Field(None, min_length=1, max_length=8192, pattern=r"^[^\x00]+$")
    modified_ns: int
    size_bytes: Count
    n_files: Count
    sampled_sha256: str = Field(max_length=64)
    file_channel: Count | None = None
    file_series: Count | None = None
    axes: str = Field(pattern=r"^[TCZYX]{2,5}$")
    shape: tuple[Annotated[int, Field(gt=0, lt=2**48)], ...]
    pixel_size: PixelSizes | None = None
    name: str = Field(max_length=1000)
    diameter: Size | None = None
    found_diameter: Size | None = None
    found_against: Size | None = None


class ModelReference(_Part):
    """A model: one that comes with the program, by its name, or a file in the project.

    Attributes
    ----------
    name : str
        For people.
    sha256 : str
        Of its weights.
    shipped : bool
        Whether it comes with the program.
    file : str, optional
        Name of its file.
    verdict : dict, optional
        How it compares with the one before it: see `learning.gate.Verdict`.
    before : int, optional
        Index, in `Description.models`, of the model that was in use before it.
    decoding : dict, optional
        How objects are read out of its maps (`objects.decode.Decoding`), where a user has set that. None: as its file
        says.
    """

    name: str = Field(min_length=1, max_length=120)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    shipped: bool = False
    file: str | None = Field(None, pattern=r"^model-\d{1,6}\.safetensors$")
    verdict: dict[str, Any] | None = None
    before: Count | None = None
    decoding: dict[str, Any] | None = None


class Counts(_Part):
    """Numbers of pixels, for people who read the file; the program counts them itself."""

    corrected: Count = 0
    reviewed: Count = 0
    total: Count = 0


class Description(_Part):
    """All of a project but its arrays and weights.

    Attributes
    ----------
    version : int
        Of this format.
    program : str
        Version of the program that saved it.
    saved : str
        Date and time, ISO 8601.
    image : ImageReference
    channel : int, optional
        The channel that is segmented, if the image has several; None: not chosen.
    task : {"instances", "semantic"}
        Whether labels are ids of objects, or classes.
    zero_is_background : bool
        Whether class 0 is the background, or means that a pixel is not labelled.
    last_id : int
        Largest id that an object has had.
    state : str
        Name of the folder with the arrays and models.
    chunks : dict
        How many chunks of each array are stored: chunks that are missing would be read as zeros.
    provenance : dict
        Meaning of the numbers in `provenance.zarr`, which are sums of these.
    counts : Counts
    models : tuple of ModelReference
        All that were in use, in that order.
    current : int
        Index of the one in use.
    waiting : ModelReference, optional
        A learned model that the user has neither accepted nor rejected yet.
    first_journal : int, optional
        Number of the first journal (`projects.journal`), beside the project, that continues this state. None: there
        is none.
    segmented_by : str
        Hash of the weights of the model that has segmented all of the image last; empty: none has.
    decoding : Decoding, optional
        How objects were read out of that model's maps; None: as it came with.
    suspects : int, optional
        Objects that are likely to be wrong and that nobody has looked at; None: not known.
    doubt : Doubt, optional
        Why what that model has found is not credible; None: not known.
    suggested : tuple of StoredOutline
        Shapes that were suggested between slices and are no labels yet.
    """

    format: Literal["napari-unet-project"] = FORMAT
    version: int = Field(VERSION, ge=1)
    program: str = ""
    saved: str = ""
    image: ImageReference
    channel: Count | None = None
    task: Literal["instances", "semantic"]
    zero_is_background: bool = True
    last_id: int = Field(0, ge=0, lt=2**31)
    state: str = Field(pattern=r"^state-\d{1,9}$")
    chunks: dict[str, Count]
    provenance: dict[str, int] = PROVENANCE
    counts: Counts = Counts()
    models: tuple[ModelReference, ...] = ()
    current: Count = 0
    waiting: ModelReference | None = None
    first_journal: Count | None = None
    segmented_by: str = Field("", max_length=64)
    decoding: Decoding | None = None
    suspects: Count | None = None
    doubt: Doubt | None = None
    suggested: tuple[StoredOutline, ...] = ()


class JournalModels(_Part):
    """Models and settings as a journal records them: fields of `Description`; those that are None are not known."""

    models: tuple[ModelReference, ...] = ()
    current: Count = 0
    waiting: ModelReference | None = None
    channel: Count | None = None
    suggested: tuple[StoredOutline, ...] | None = None


def is_project(path: Path) -> bool:
    """Return whether a folder is that of a project."""
    return path.suffix.lower() == SUFFIX and os.path.isdir(path)


def project_folder(path: Path) -> Path:
    """Return the folder of the project that a user names, perhaps without its ending."""
    return path if path.suffix.lower() == SUFFIX else path.with_name(path.name + SUFFIX)


def read_description(folder: Path) -> Description:
    """Read `project.json`.

    Raises
    ------
    FileFormatError
        If there is none, it is damaged, or it was saved by a newer version of this program.
    """
    file = folder / FILE
    if not os.path.isdir(folder):  # unlike Path.is_dir, False for a name that no folder can have
        there = os.path.exists(folder)
        raise FileFormatError(f"{folder} is a file, not a project." if there else f"There is no project {folder}.")
    return read_stored(file, "project", FORMAT, VERSION, _MAX_BYTES, _validated)


def _validated(text: bytes, version: int) -> Description:
    """Return the description that stands in a file of that version."""
    if version < VERSION:
        return Description.model_validate(up_to_date(from_json(text), version, RENAMED) | {"version": VERSION})
    return Description.model_validate_json(text)


def write_description(folder: Path, description: Description) -> None:
    """Replace `project.json` in one step: readers find the old or the new one, never a part of it.

    Raises
    ------
    FileFormatError
        If it cannot be written; the old one is as it was.
    """
    write_stored(folder / FILE, description)
