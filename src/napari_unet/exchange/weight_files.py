"""Reads plain weights, by name, from files of other programs. Nothing in a file is run."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_unet.errors import ModelFileError
from napari_unet.models.header import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network_weights", "weights")
"""Keys under which training programs keep the weights in their checkpoints."""


_OTHERS = {
    ".onnx": "ONNX",
    ".h5": "Keras",
    ".hdf5": "Keras",
    ".keras": "Keras",
    ".pb": "TensorFlow",
    ".tflite": "TensorFlow",
}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file by their names, in the order of the file.

    Parameters
    ----------
    path : Path
        A ``state_dict`` or a checkpoint that holds one, saved by ``torch.save``; or a safetensors file.

    Returns
    -------
    dict
        On the CPU, with the data types of the file.

    Raises
    ------
    ModelFileError
        If it is missing, damaged, holds no weights, or holds more than data: such a file can run code, and is not read.
    """
    if os.path.isdir(path):
        raise ModelFileError(f"{path.name} is a folder; give one file: a package (.zip), or a state_dict (.pth).")
    if not os.path.isfile(path):
        raise ModelFileError(f"There is no file {path}.")
    if path.suffix.lower() in (".yaml", ".yml"):
        raise ModelFileError(f"{path.name} only describes a model; give the package (.zip) that it belongs to.")
    if path.suffix.lower() in _OTHERS:
        raise ModelFileError(f"{path.name} is of {_OTHERS[path.suffix.lower()]}; weights of PyTorch can be imported.")
    return weights_from(path, path.name)


def weights_from(source: Path | BinaryIO, name: str) -> dict[str, Tensor]:
    """Return the weights in a file, or in an open one that was saved by torch; see `read_weights`."""
    try:
        if isinstance(source, Path) and source.suffix.lower() == ".safetensors":
            content: Any = load_file(source)
        else:
            content = _torch_content(source, name)
    except (SafetensorError, OSError, EOFError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise ModelFileError(f"{name} is damaged, or not a file of weights.", first_line(error)) from error
    weights = _unwrapped(content)
    if not weights:
        raise ModelFileError(f"{name} holds no weights by name (a state_dict).")
    return weights


def _torch_content(source: Path | BinaryIO, name: str) -> Any:
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
        if any(member.endswith("constants.pkl") for member in names):
            raise ModelFileError(
                f"{name} is TorchScript, which is a program. Save the state_dict of the network instead."
            )
        if not any(member.endswith("data.pkl") for member in names):
            raise ModelFileError(f"{name} is a zip that holds neither a package (rdf.yaml) nor weights of PyTorch.")
    if not isinstance(source, Path):
        source.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual files, which are then refused
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelFileError(
            f"{name} is damaged, or holds more than weights. Such files can run code, so they are not read.",
            "Save only the state_dict: torch.save(network.state_dict(), FILE).",
        ) from error


def _unwrapped(content: Any) -> dict[str, Tensor]:
    """Return the tensors of a state_dict, or of the one within a checkpoint; none if it is neither."""
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return _tensors(content) if isinstance(content, dict) else {}


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
