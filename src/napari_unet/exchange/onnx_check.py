"""Whether an ONNX graph computes what the network computes."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.errors import FileFormatError
from napari_unet.io.extras import required
from napari_unet.models.header import first_line
from napari_unet.nets.geometry import input_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.models.model import Model

TOLERANCE = 1e-4
"""Largest difference of a probability (0..1) from that of torch."""


def check_onnx(graph: Any, model: Model) -> float | None:
    """Run a graph on images of two sizes, and compare its maps with those of torch.

    Parameters
    ----------
    graph : onnx.ModelProto
    model : Model
        What it was made of.

    Returns
    -------
    float or None
        Largest difference; None: onnxruntime is not installed, and nothing was compared.

    Raises
    ------
    FileFormatError
        If they differ by more than `TOLERANCE`, or onnxruntime is installed and cannot be loaded, or does not take the
        graph: it may be too old for its operators.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    run = OnnxSession(graph.SerializeToString())
    spec, random, most = model.info.spec, np.random.default_rng(0), 0.0
    for extra in (0, 1):
        wanted = [(1 + extra + axis) * stride for axis, stride in enumerate(spec.stride)]
        shape = [input_size(spec, size, axis) for axis, size in enumerate(wanted)]
        image = random.random((spec.in_channels, *shape), np.float32)
        expected = torch_maps(model, image)
        most = max(most, float(np.abs(run(image) - expected).max()))
    if not most <= TOLERANCE:  # also where it is not a number
        raise FileFormatError(f"The ONNX file was not written: its maps differ from those of torch by {most:.2g}.")
    return most


def torch_maps(model: Model, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the maps (K, [Z,] Y, X) of a normalised image (C, [Z,] Y, X), in one pass of the network."""
    with torch.inference_mode():
        logits = model.net(torch.from_numpy(image)[None])
        maps = logits.sigmoid() if model.info.finds_objects else logits.softmax(1)
    return np.asarray(maps[0].numpy())


class OnnxSession:
    """Runs an ONNX model on the CPU.

    Parameters
    ----------
    content : bytes or str
        The model, or the path of its file.
    threads : int
        How many threads it may use; 0: as many as there are cores.

    Raises
    ------
    FileFormatError
        If onnxruntime cannot be loaded, or cannot run the model: operators that it does not know, or a damaged file.
    """

    def __init__(self, content: bytes | str, threads: int = 0) -> None:
        onnxruntime = required(
            "onnxruntime", "onnx", "Comparing the maps with those of torch needs the library onnxruntime"
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common class but this
            raise FileFormatError(
                f"onnxruntime {onnxruntime.__version__} cannot run this ONNX file. A newer one may: "
                "pip install -U onnxruntime",
                first_line(error),
            ) from error

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the maps (K, [Z,] Y, X) of a normalised image (C, [Z,] Y, X)."""
        name = self._session.get_inputs()[0].name
        return np.asarray(self._session.run(None, {name: image[None]})[0][0])
