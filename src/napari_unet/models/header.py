"""Reads the description of a model file, and the hash of its weights, without torch."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open

from napari_unet.errors import ModelFileError
from napari_unet.io.renamed import Key, Value, up_to_date
from napari_unet.models.info import FORMAT, ModelInfo

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

METADATA_KEY = "napari_unet"
"""Key, in the metadata of a safetensors file, of the description."""

RENAMED = (
    Key(2, "bank", "replay_set"),
    Key(2, "fast", "fast_mode"),
    Key(2, "decoding.min_seed", None),
    Key(2, "decoding.meeting", "sink_radius"),
    Key(2, "recipe.another_kind", "new_domain"),
    Key(2, "recipe.share_of_the_way", "interpolation"),
    Value(2, "recipe.method", "from nothing", "from scratch"),
)
"""Names in the description of a model that earlier versions of the format do not have."""

VERSION = int(FORMAT.split("/")[1])
_MAX_HEADER = 16 * 2**20


def read_model_info(path: Path) -> ModelInfo:
    """Return the description in a model file without loading its weights.

    Raises
    ------
    ModelFileError
        If it is not a model file of this program, damaged, or saved by a newer version.
    """
    check_header(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path.name} is damaged or not a model file: {first_line(error)}.") from error
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{path.name} holds weights, but not the description that models of this program have ({FORMAT})."
        )
    try:
        version = _version(text)
        if version > VERSION:
            raise ModelFileError(
                f"{path.name} was saved by a newer version of this program. Update napari-unet-interactive to use it.",
                f"Its format is {version}; this version reads up to {VERSION}.",
            )
        if version < VERSION:
            document = up_to_date(from_json(text), version, RENAMED)
            return ModelInfo.model_validate(document | {"format": FORMAT})
        return ModelInfo.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "description"
        raise ModelFileError(f"The description in {path.name} is not valid: {where}: {first['msg']}.") from error


class _Head(BaseModel):
    """What every version of the description has."""

    model_config = ConfigDict(extra="ignore")

    format: str = Field(FORMAT, pattern=r"^napari-unet/[1-9]\d{0,5}$")


def _version(text: str) -> int:
    """Return the version of the format of a description; raise `ValidationError` if it says none."""
    return int(_Head.model_validate_json(text).format.split("/")[1])


def check_header(path: Path) -> None:
    """Check that a file may be a safetensors file, before a library opens it.

    Raises
    ------
    ModelFileError
        If it is not one.
    """
    try:
        about = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise ModelFileError(f"There is no model file {path}.") from error
    if stat.S_ISDIR(about.st_mode):
        raise ModelFileError(f"{path} is a folder; a model is a file that ends in .safetensors.")
    if not stat.S_ISREG(about.st_mode):  # opening a pipe would block until another program writes to it
        raise ModelFileError(f"{path} is no file but a pipe or a device. Save the model as a file, and give that.")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {first_line(error)}.") from error
    # Only if no JSON header follows: a safetensors file begins with a length, which may be any bytes.
    if start[8:9] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise ModelFileError(
            f"{path.name} is a pickled file of PyTorch, which can run code. Make a model of it: napari-unet import."
        )
    if len(start) < 9 or start[8:9] != b"{":
        raise ModelFileError(f"{path.name} is not a model file of this program (safetensors). Choose another one.")
    (header,) = struct.unpack("<Q", start[:8])
    if header > min(about.st_size - 8, _MAX_HEADER):
        raise ModelFileError(
            f"{path.name} is cut off, damaged, or not a model file. Copy it again, or choose another one."
        )


def weights_sha256(path: Path) -> str:
    """Return the hash of the weights in a file: `Model.sha256` of the model that is loaded from it.

    Raises
    ------
    ModelFileError
        If they cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            entries: dict[str, Any] = json.loads(file.read(length))
            for name, entry in sorted(entries.items()):
                if name == "__metadata__":
                    continue
                begin, end = entry["data_offsets"]
                file.seek(8 + length + begin)
                digest.update(name.encode())
                digest.update(_loaded(file.read(end - begin), entry["dtype"]).tobytes())
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ModelFileError(f"{path.name} is damaged: {first_line(error)}.") from error
    return digest.hexdigest()


def _loaded(raw: bytes, dtype: str) -> NDArray[Any]:
    """Return stored numbers as they are loaded: floats as float32, all others unchanged."""
    if dtype == "BF16":  # the upper half of a float32; numpy has no such type
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype in ("F16", "F32", "F64"):
        return np.frombuffer(raw, f"<f{int(dtype[1:]) // 8}").astype(np.float32)
    return np.frombuffer(raw, np.uint8)


def info_as_json(info: ModelInfo) -> dict[str, object]:
    """Return a model's description as plain JSON values."""
    return json.loads(info.model_dump_json())  # type: ignore[no-any-return]


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, without the dot at its end."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
