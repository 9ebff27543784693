"""The model file: safetensors weights with a JSON description. Loading never runs code from the file."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_unet.errors import ModelFileError
from napari_unet.models.info import FORMAT, ModelInfo
from napari_unet.models.model import Model
from napari_unet.nets.unet import UNet

if TYPE_CHECKING:
    from pathlib import Path

_METADATA_KEY = "napari_unet"
_MAX_HEADER = 16 * 2**20
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save_model_file(model: Model, path: Path, *, half: bool = False) -> None:
    """Write a model to a file, whole or not at all.

    Parameters
    ----------
    model : Model
        What to write.
    path : Path
        Ends in ``.safetensors``; replaced if it exists.
    half : bool
        Store float16, half the size; loading always gives float32.

    Raises
    ------
    ModelFileError
        If the file cannot be written.
    """
    state = {}
    for name, tensor in model.net.state_dict().items():
        tensor = tensor.detach().cpu()
        state[name] = (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, partial, metadata={_METADATA_KEY: model.info.model_dump_json()})
        partial.chmod(0o644)  # safetensors makes it readable for its owner only
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ModelFileError(f"The model could not be saved as {path}: {_reason(error)}.") from error


def read_model_info(path: Path) -> ModelInfo:
    """Return the description in a model file without loading its weights.

    Raises
    ------
    ModelFileError
        If it is not a model file of this program, or damaged.
    """
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path.name} is damaged or not a model file: {_reason(error)}.") from error
    text = metadata.get(_METADATA_KEY)
    if text is None:
        raise ModelFileError(
            f"{path.name} holds weights, but not the description that models of this program have ({FORMAT})."
        )
    try:
        return ModelInfo.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "description"
        raise ModelFileError(f"The description in {path.name} is not valid: {where}: {first['msg']}.") from error


def load_model_file(path: Path) -> Model:
    """Return the model in a file.

    Raises
    ------
    ModelFileError
        If the file is missing, truncated, foreign, or its weights are not those of the network it describes.
    """
    info = read_model_info(path)
    # Without memory first: a file that describes a huge network but holds none must not allocate it.
    with torch.device("meta"):
        net = UNet(info.spec, initialise=False)
    expected = net.state_dict()
    state = {}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = set(file.keys())
            if names != set(expected):
                odd = sorted(names ^ set(expected))[0]
                raise ModelFileError(f"The weights in {path.name} are not those of the network it describes ({odd}).")
            for name, wanted in expected.items():
                shape = tuple(file.get_slice(name).get_shape())
                if shape != tuple(wanted.shape):
                    raise ModelFileError(
                        f"The weight {name} in {path.name} has the shape {shape}; needed is {tuple(wanted.shape)}."
                    )
                tensor = file.get_tensor(name)
                if wanted.is_floating_point():
                    if tensor.dtype not in _FLOATS:
                        raise ModelFileError(f"The weight {name} in {path.name} has the data type {tensor.dtype}.")
                    tensor = tensor.float()
                    if not np.isfinite(tensor.numpy()).all():  # torch would first start its threads for it
                        raise ModelFileError(f"The weight {name} in {path.name} holds values that are not numbers.")
                state[name] = tensor
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path.name} is damaged: {_reason(error)}.") from error
    net.load_state_dict(state, assign=True)
    net.requires_grad_(False)
    return Model(net.eval(), info)


def _check_header(path: Path) -> None:
    """Turn away what cannot be a safetensors file, before any library looks at it."""
    if not os.path.exists(path):  # False too for a name that no file can have
        raise ModelFileError(f"There is no model file {path}.")
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder; a model is a file that ends in .safetensors.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {_reason(error)}.") from error
    # Only where no JSON header follows: the length that a safetensors file begins with may hold any bytes.
    if start[8:9] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise ModelFileError(
            f"{path.name} looks like a pickled PyTorch file. Such files can run any code when they are opened, "
            "so they are not loaded here."
        )
    if len(start) < 9 or start[8:9] != b"{":
        raise ModelFileError(f"{path.name} is not a model file (safetensors).")
    (header,) = struct.unpack("<Q", start[:8])
    if header > min(size - 8, _MAX_HEADER):
        raise ModelFileError(f"{path.name} is truncated or damaged: its header is longer than the file allows.")


def _reason(error: Exception) -> str:
    """First line of an error's text, without the dot at its end."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def info_as_json(info: ModelInfo) -> dict[str, object]:
    """Return a model's description as plain JSON values."""
    return json.loads(info.model_dump_json())  # type: ignore[no-any-return]
