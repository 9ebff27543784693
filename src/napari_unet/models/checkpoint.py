"""The model file: safetensors weights with a JSON description. Loading never runs code from the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_unet.errors import FileFormatError, ModelFileError
from napari_unet.io.atomic import completed
from napari_unet.models.header import METADATA_KEY, first_line, info_as_json, read_model_info
from napari_unet.models.model import Model
from napari_unet.nets.unet import UNet

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["info_as_json", "load_model_file", "read_model_info", "save_model_file"]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save_model_file(model: Model, path: Path, *, half: bool = False) -> None:
    """Write a model file; on failure no file is left, and an earlier one is unchanged.

    Parameters
    ----------
    model : Model
        The model.
    path : Path
        Ends in ``.safetensors``; an existing file is replaced.
    half : bool
        Whether to store float16, half the size; loading always gives float32.

    Raises
    ------
    ModelFileError
        If the file cannot be written.
    """
    state = {}
    for name, tensor in model.net.state_dict().items():
        tensor = tensor.detach().cpu()
        state[name] = (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous()
    try:
        with completed(path, overwrite=True) as partial:
            save_file(state, partial, metadata={METADATA_KEY: model.info.model_dump_json()})
            partial.chmod(0o644)  # safetensors makes it readable only for its owner
    except (FileFormatError, SafetensorError) as error:
        raise ModelFileError(f"The model could not be saved: {first_line(error)}.") from error


def load_model_file(path: Path) -> Model:
    """Return the model in a file.

    Raises
    ------
    ModelFileError
        If the file is missing, truncated, of another program, or its weights do not fit the network it describes.
    """
    info = read_model_info(path)
    # On the meta device first: a file that describes a huge network without its weights must not allocate memory.
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
                    if not np.isfinite(tensor.numpy()).all():  # unlike torch, this starts no threads
                        raise ModelFileError(f"The weight {name} in {path.name} holds values that are not numbers.")
                state[name] = tensor
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFileError(f"{path.name} is damaged: {first_line(error)}.") from error
    net.load_state_dict(state, assign=True)
    net.requires_grad_(False)
    return Model(net.eval(), info)
