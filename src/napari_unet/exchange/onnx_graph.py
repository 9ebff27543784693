"""A model as an ONNX graph, written node by node.

The architecture is known, so nothing has to be traced: only the library onnx is needed, and every size of an image that
the network accepts is accepted by the graph. Batch norms become part of the convolutions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from napari_unet.errors import FileFormatError
from napari_unet.io.extras import required
from napari_unet.models.header import METADATA_KEY
from napari_unet.nets.blocked import folded
from napari_unet.nets.geometry import halo, valid_margin

if TYPE_CHECKING:
    from napari_unet.models.model import Model
    from napari_unet.nets.unet import UNet

OPSET = 17
"""Version of the operators, of 2022: what reads ONNX today knows it."""

_IR_VERSION = 8
"""Version of the file format that came with these operators."""

_MAX_BYTES = 2**31 - 2**20
"""A protobuf message, and so an ONNX file without a second one beside it, has at most 2 GiB."""

INPUT, OUTPUT = "image", "maps"


def onnx_graph(model: Model) -> Any:
    """Return a model as an ``onnx.ModelProto``.

    Parameters
    ----------
    model : Model

    Returns
    -------
    onnx.ModelProto
        Its input ``image`` is float32, axes (N, C, [Z,] Y, X), normalised. Its output ``maps`` is float32, axes (N, K,
        [Z,] Y, X), probabilities 0..1. N and the spatial axes have any size that the network accepts. The metadata hold
        the description of the model, and how to normalise, in JSON.

    Raises
    ------
    FileFormatError
        If the library onnx is missing, or the network is larger than such a file can be.
    """
    required("onnx", "onnx", "Writing ONNX needs the library onnx")
    if sum(parameter.numel() for parameter in model.net.parameters()) * 4 > _MAX_BYTES:
        raise FileFormatError("The network has more than 2 GB of weights, which is more than one ONNX file can hold.")
    return _Writer(model).proto()


def metadata(model: Model) -> dict[str, str]:
    """Return what an ONNX file says about a model, as JSON by key."""
    info = model.info
    said = {
        "axes": f"N{info.axes}",
        "stride": list(info.spec.stride),
        "halo": list(halo(info.spec)),
        "margin": list(valid_margin(info.spec)),
        "outputs": list(info.outputs),
        "classes": list(info.classes),
        "normalization": info.normalization.model_dump(),
        "pixel_size_um": info.pixel_size,
        "diameter_px": info.diameter,
        "decoding": info.decoding.model_dump(),
    }
    return {METADATA_KEY: info.model_dump_json()} | {key: json.dumps(value) for key, value in said.items()}


class _Writer:
    """Adds the nodes of a U-Net to a graph, in the order in which they are computed."""

    def __init__(self, model: Model) -> None:
        self._model, self._net = model, folded(model.net)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def proto(self) -> Any:
        """Return the whole model."""
        from onnx import TensorProto, helper

        model, net, spec = self._model, self._net, self._model.info.spec
        result = self._unet(net)
        activation = {"axis": 1} if not model.info.finds_objects else {}
        self._node("Softmax" if activation else "Sigmoid", [result], "activation", output=OUTPUT, **activation)
        names = ["z", "y", "x"][-spec.ndim :]
        sizes = names if spec.padding == "same" else [f"{name}_out" for name in names]
        graph = helper.make_graph(
            self._nodes,
            "unet",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", spec.in_channels, *names])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", spec.out_channels, *sizes])],
            self._weights,
        )
        proto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="napari-unet-interactive",
            ir_version=_IR_VERSION, doc_string=model.info.description,
        )  # fmt: skip
        helper.set_model_props(proto, metadata(model))
        return proto

    def _unet(self, net: UNet) -> str:
        """Add the network; return the name of its logits."""
        spec, skips, x = net.spec, [], INPUT
        for level, block in enumerate(net.down):
            if level:
                window = list(spec.pool_factors(level - 1))
                x = self._node("MaxPool", [x], f"pool{level}", kernel_shape=window, strides=window)
            x = self._double_conv(x, block, f"down{level}")
            skips.append(x)
        skips.pop()
        margins = _crops(net)
        for level, up in zip(reversed(range(spec.levels)), net.up, strict=True):
            x = self._enlarged(x, up.up, f"up{level}")
            skip = self._cropped(skips.pop(), margins[level], f"skip{level}")
            x = self._node("Concat", [skip, x], f"concat{level}", axis=1)
            x = self._double_conv(x, up.conv, f"up{level}")
        return self._conv(x, net.head, "head")

    def _double_conv(self, x: str, block: Any, name: str) -> str:
        convs = [layer for layer in block if isinstance(layer, (nn.Conv2d, nn.Conv3d))]
        for number, conv in enumerate(convs, start=1):
            x = self._conv(x, conv, f"{name}_conv{number}")
            x = self._node("Relu", [x], f"{name}_relu{number}")
        return x

    def _conv(self, x: str, conv: Any, name: str) -> str:
        pads = [*conv.padding, *conv.padding]
        return self._node("Conv", [x, *self._parameters(conv, name)], name, kernel_shape=[*conv.kernel_size], pads=pads)

    def _enlarged(self, x: str, up: Any, name: str) -> str:
        if isinstance(up, nn.ConvTranspose2d | nn.ConvTranspose3d):
            inputs, kernel, strides = [x, *self._parameters(up, name)], list(up.kernel_size), list(up.stride)
            return self._node("ConvTranspose", inputs, name, kernel_shape=kernel, strides=strides)
        factors = self._constant(np.array([1, 1, *up[0].scale_factor], np.float32), f"{name}_factors")
        x = self._node(
            "Resize", [x, "", factors], f"{name}_resize",
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
        return self._conv(x, up[1], name)

    def _cropped(self, x: str, margin: tuple[int, ...], name: str) -> str:
        """Leave out the border of a skip connection, which is as wide whatever the size of the image."""
        if not any(margin):
            return x
        first, last = np.array(margin, np.int64), -np.array(margin, np.int64)
        axes = np.arange(2, 2 + len(margin), dtype=np.int64)
        parts = [self._constant(v, f"{name}_{n}") for n, v in (("first", first), ("last", last), ("axes", axes))]
        return self._node("Slice", [x, *parts], f"{name}_crop")

    def _parameters(self, layer: Any, name: str) -> list[str]:
        """Add weight and bias of a layer; return their names."""
        found: dict[str, Tensor | None] = {"weight": layer.weight, "bias": layer.bias}
        return [
            self._constant(tensor.detach().cpu().numpy(), f"{name}.{kind}")
            for kind, tensor in found.items()
            if tensor is not None
        ]

    def _constant(self, values: Any, name: str) -> str:
        from onnx import numpy_helper

        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _node(self, kind: str, inputs: list[str], name: str, *, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"{name}_out"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output


def _crops(net: UNet) -> list[tuple[int, ...]]:
    """Return what each skip connection of a network loses at either border, from the finest level on, per axis."""
    spec = net.spec
    if spec.padding == "same":
        return [(0,) * spec.ndim] * spec.levels
    lost = [2] * spec.ndim  # at either border of the deepest level, by its two convolutions, in its pixels
    crops: list[tuple[int, ...]] = []
    for level in reversed(range(spec.levels)):
        crop = [n * f for n, f in zip(lost, spec.pool_factors(level), strict=True)]
        crops.insert(0, tuple(crop))
        lost = [n + 4 for n in crop]  # and by two convolutions on the way down and two on the way up
    return crops
