"""Models and devices that are named on the command line: found and checked, or the program exits with a message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_unet.cli.messages import fail
from napari_unet.errors import ModelFileError, UNetError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model


def describe_model(name: str) -> tuple[Path, ModelInfo]:
    """Return path and description of a model, without loading torch, or exit with a message."""
    from napari_unet.models.header import read_model_info
    from napari_unet.models.store import find_model

    try:
        path = find_model(name)
        return path, read_model_info(path)
    except ModelFileError as error:
        fail(error, 2)


def open_model(name: str) -> Model:
    """Load a model, or exit with a message."""
    from napari_unet.models.store import load_model

    describe_model(name)
    try:
        return load_model(name)
    except ModelFileError as error:
        fail(error, 2)


def check_model_name(path: Path) -> None:
    """Exit with a message if a model file that is to be written has another ending."""
    if path.suffix.lower() != ".safetensors":
        fail(f"The model file must end in .safetensors; got {path.name!r}, for example {path.stem}.safetensors.", 2)


def check_device_name(name: str) -> None:
    """Exit with a message if a device name is not valid on any machine; unlike `check_device`, without torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,4})?", name):
        fail(f"There is no device {name!r}: it is auto, cpu, cuda, cuda:N (N: its number, from 0) or mps.", 2)


def check_device(name: str) -> None:
    """Exit with a message unless this machine has the device."""
    check_device_name(name)
    from napari_unet.models.model import resolve_device

    try:
        resolve_device(name)
    except UNetError as error:
        fail(error, 2)
