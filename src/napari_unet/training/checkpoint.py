"""The file from which an interrupted training goes on: safetensors with JSON. Reading it never runs code from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_unet.errors import FileFormatError
from napari_unet.io.atomic import completed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_KEY = "napari-unet checkpoint"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint over an earlier one, which stays until the new one is complete and on the disk.

    Parameters
    ----------
    path : Path
    tensors : mapping of str to Tensor
        On the CPU.
    facts : mapping
        What else is to be known, as JSON.

    Raises
    ------
    FileFormatError
        If it cannot be written.
    """
    with completed(path, overwrite=True) as partial:
        save_file(dict(tensors), partial, metadata={_KEY: json.dumps(facts, allow_nan=False)})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors and facts of a checkpoint; None where there is no such file.

    Raises
    ------
    FileFormatError
        If the file is damaged, or of another program.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise FileFormatError(
            f"{path} is no checkpoint of a training, or damaged. Delete or rename it to train."
        ) from error  # a traceback shows what the library says of it
