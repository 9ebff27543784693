"""A model as a package of the BioImage Model Zoo (bioimage.io), format 0.5."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml

from napari_unet._version import __version__
from napari_unet.errors import FileFormatError
from napari_unet.exchange.bioimageio_text import picture, readme
from napari_unet.exchange.onnx_check import torch_maps
from napari_unet.exchange.onnx_graph import OPSET
from napari_unet.models.normalize import measure
from napari_unet.models.store import shipped_folder
from napari_unet.nets.geometry import halo, input_size, valid_margin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.models.info import ModelInfo
    from napari_unet.models.model import Model

FORMAT = "0.5.4"

PAPER = {
    "text": "Ronneberger O, Fischer P, Brox T. U-Net: Convolutional Networks for Biomedical Image Segmentation. 2015.",
    "doi": "10.1007/978-3-319-24574-4_28",
}

_OURS = "napari-unet-interactive contributors"
_PICTURE_PIXELS = 256
"""Width of the image of which test tensors are made, at least, for models of planes."""


def write_package(
    path: Path, model: Model, onnx: bytes, image: NDArray[Any], authors: Sequence[str], licence: str | None
) -> None:
    """Write a package.

    Parameters
    ----------
    path : Path
        File to write; a zip.
    model : Model
    onnx : bytes
        The model as ONNX.
    image : ndarray, axes (C, [Z,] Y, X)
        Image from which the test tensors are made, at the scale of the model; a part of `example_shape` is taken.
    authors : sequence of str
        Of the model; none: those of the model's own, if it came with the program.
    licence : str or None
        SPDX name; None: as the model says.

    Raises
    ------
    FileFormatError
        If authors or licence are not known.
    """
    info = model.info
    licence, authors = _licence(info, licence), _authors(info, authors)
    raw = _test_input(image, info)
    ready = np.ascontiguousarray(_normalized(model, raw), np.float32)
    maps = torch_maps(model, ready)
    files = {
        "weights.pt": _saved(model.net.state_dict()),
        "unet.py": (resources.files("napari_unet") / "exchange" / "bioimageio_unet.py").read_bytes(),
        "weights.onnx": onnx,
        "test_input.npy": _npy(raw[None]),
        "test_output.npy": _npy(maps[None]),
        "cover.png": picture(raw, maps, valid_margin(info.spec)),
        "README.md": readme(info).encode(),
    }
    described = _description(info, files, authors, licence, len(raw))
    files = {"rdf.yaml": yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=120).encode()} | files
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)  # without a date: the same model gives the same file
            member.external_attr, member.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(member, content)


def example_shape(info: ModelInfo) -> tuple[int, ...]:
    """Return the spatial shape of the test image: as small as can be, for planes large enough to be seen."""
    smallest = _smallest(info)
    if info.spec.ndim == 3:
        return smallest
    return tuple(
        max(n, input_size(info.spec, _PICTURE_PIXELS - 2 * m, axis))
        for axis, (n, m) in enumerate(zip(smallest, valid_margin(info.spec), strict=True))
    )


def _smallest(info: ModelInfo) -> tuple[int, ...]:
    """Return the smallest input of which a part is left whose result is exact."""
    spec = info.spec
    lost = halo(spec) if spec.padding == "same" else (0,) * spec.ndim
    return tuple(
        input_size(spec, 2 * width + stride, axis)
        for axis, (width, stride) in enumerate(zip(lost, spec.stride, strict=True))
    )


def _test_input(image: NDArray[Any], info: ModelInfo) -> NDArray[np.float32]:
    """Return the middle of an image, mirrored where it is too small, with the channels of the network."""
    block = np.asarray(image, np.float32)
    if len(block) == 1 and info.spec.in_channels > 1:
        block = np.repeat(block, info.spec.in_channels, axis=0)
    if len(block) != info.spec.in_channels:
        raise FileFormatError(f"The test image has {len(block)} channels; the model takes {info.spec.in_channels}.")
    for axis, wanted in enumerate(example_shape(info), start=1):
        short = max(0, wanted - block.shape[axis])
        widths = [(0, 0)] * block.ndim
        widths[axis] = (short // 2, short - short // 2)
        block = np.pad(block, widths, mode="symmetric")
        start = (block.shape[axis] - wanted) // 2
        block = np.take(block, range(start, start + wanted), axis=axis)
    return np.ascontiguousarray(block)


def _normalized(model: Model, raw: NDArray[np.float32]) -> NDArray[np.float32]:
    statistics = measure(raw, model.info.normalization)
    block = raw if model.info.spec.ndim == 3 else raw[:, None]
    return model.normalized(block, statistics)


def _description(
    info: ModelInfo, files: dict[str, bytes], authors: Sequence[str], licence: str, channels: int
) -> dict[str, Any]:
    """Return what ``rdf.yaml`` holds."""
    spec = info.spec
    architecture = {
        "ndim": spec.ndim,
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "features": spec.features,
        "pools": [list(spec.pool_factors(level)) for level in range(spec.levels)],
        "padding": spec.padding,
        "norm": spec.norm,
        "up": spec.up,
        "activation": "sigmoid" if info.finds_objects else "softmax",
    }
    sources = [source for source in info.training_data if source.source.startswith("http")]
    return {
        "type": "model",
        "format_version": FORMAT,
        "name": _name(info.name),
        "description": (info.description or f"A U-Net: {', '.join(info.classes) or info.task}.")[:1024],
        "authors": [{"name": author} for author in authors],
        "cite": [PAPER, *({"text": source.name, "url": source.source} for source in sources)],
        "license": licence,
        "documentation": _entry("README.md", files),
        "covers": [_entry("cover.png", files)],
        "tags": ["unet", "segmentation", f"{spec.ndim}d", "napari", *re.findall(r"\w+", " ".join(info.classes))],
        "inputs": [_input(info, files, channels)],
        "outputs": [_output(info, files)],
        "weights": {
            "pytorch_state_dict": _entry("weights.pt", files)
            | {
                "architecture": _entry("unet.py", files) | {"callable": "UNet", "kwargs": architecture},
                "pytorch_version": torch.__version__.split("+")[0],
            },
            "onnx": _entry("weights.onnx", files) | {"opset_version": OPSET, "parent": "pytorch_state_dict"},
        },
        "config": {"napari_unet": json.loads(info.model_dump_json()) | {"program": __version__}},
    }


def _input(info: ModelInfo, files: dict[str, bytes], channels: int) -> dict[str, Any]:
    names = ["red", "green", "blue"] if info.inputs == "colour" else [f"channel{n}" for n in range(channels)]
    smallest = _smallest(info)
    space = [
        {"type": "space", "id": letter, "size": {"min": smallest[axis], "step": info.spec.stride[axis]}}
        | _scale(info, axis)
        for axis, letter in enumerate(_letters(info))
    ]
    return {
        "id": "image",
        "description": "Intensities as they are; the first steps of the package normalise them.",
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": names}, *space],
        "test_tensor": _entry("test_input.npy", files),
        "data": {"type": "float32"},
        "preprocessing": _preprocessing(info),
    }


def _preprocessing(info: ModelInfo) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}]
    normalization = info.normalization
    if normalization.method == "percentile":
        axes = [] if normalization.per_channel else ["channel"]
        percentiles = {"min_percentile": normalization.low, "max_percentile": normalization.high}
        steps += [
            {"id": "scale_range", "kwargs": {"axes": [*axes, *_letters(info)], **percentiles, "eps": 1e-10}},
            {"id": "clip", "kwargs": {"min": normalization.clip[0], "max": normalization.clip[1]}},
        ]
    if normalization.method == "mean_std":
        axes = [*([] if normalization.per_channel else ["channel"]), *_letters(info)]
        steps += [
            {"id": "zero_mean_unit_variance", "kwargs": {"axes": axes, "eps": 1e-10}},
            {"id": "clip", "kwargs": {"min": normalization.clip[0], "max": normalization.clip[1]}},
        ]
    return steps


def _output(info: ModelInfo, files: dict[str, bytes]) -> dict[str, Any]:
    margin = valid_margin(info.spec)
    lost = halo(info.spec) if info.spec.padding == "same" else (0,) * info.spec.ndim
    space = []
    for axis, letter in enumerate(_letters(info)):
        size: dict[str, Any] = {"tensor_id": "image", "axis_id": letter, "offset": -2 * margin[axis]}
        entry: dict[str, Any] = {"type": "space", "id": letter, "size": size}
        if lost[axis]:
            entry["halo"] = lost[axis]
        space.append(entry | _scale(info, axis))
    return {
        "id": "maps",
        "description": "Probabilities; the README says how objects are read out of them."[:128],
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": list(info.outputs)}, *space],
        "test_tensor": _entry("test_output.npy", files),
        "data": {"type": "float32", "range": [0.0, 1.0]},
    }


def _scale(info: ModelInfo, axis: int) -> dict[str, Any]:
    """Return the pixel size along an axis, as a whole number of nanometres.

    Readers compute the size of the output as size * scale / scale and cut off decimals; with 0.12 that is one too few.
    """
    if info.pixel_size is None or info.pixel_size[axis] < 0.01:
        return {}
    return {"unit": "nanometer", "scale": float(round(1000 * info.pixel_size[axis]))}


def _letters(info: ModelInfo) -> list[str]:
    return ["z", "y", "x"][-info.spec.ndim :]


def _entry(name: str, files: dict[str, bytes]) -> dict[str, Any]:
    return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}


def _saved(state: dict[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, buffer)
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _name(name: str) -> str:
    """Return a name of the letters that the format allows."""
    return (re.sub(r"[^A-Za-z0-9_+\-() ]+", " ", name).strip()[:100] + " U-Net").strip()


def _licence(info: ModelInfo, licence: str | None) -> str:
    """Return the SPDX name of one licence: the format has no place for more. Of several that all hold, the first."""
    found = (licence or info.licence).split(" AND ")[0]
    if found == "unknown" or not re.fullmatch(r"[A-Za-z0-9.+-]+", found):
        raise FileFormatError(
            f"The licence of {info.name!r} is {found!r}; a package needs its SPDX name. Give it: --licence CC-BY-4.0."
        )
    return found


def _authors(info: ModelInfo, authors: Sequence[str]) -> list[str]:
    found = [author.strip() for author in authors if author.strip()]
    if not found and info.parent is None and (shipped_folder() / f"{info.name}.safetensors").is_file():
        found = [_OURS]
    if not found:
        raise FileFormatError(f"Nobody is named who made {info.name!r}. Give a name: --author 'Ada Lovelace'.")
    return found
