"""Finds the U-Net that some weights belong to, by their shapes, and gives them the names that they have here.

Programs name the layers of a U-Net in many ways. What a layer is can mostly be seen from its shape: the first
convolution of a level on the way down doubles the features, that on the way up halves them. What cannot be seen, the
caller says: in which order skip connections are joined, and whether convolutions are padded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import ValidationError

from napari_unet.errors import ModelFileError
from napari_unet.exchange.weight_order import in_order, is_sorted_by_name
from napari_unet.nets.spec import UNetSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

_PARTS = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
_SHOWN = 8
"""Problems that are named."""


@dataclass
class _Layer:
    """A layer: its name, its tensors by the last part of their names, and what it is."""

    name: str
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(self.tensors["weight"].shape[2:]) if "weight" in self.tensors else ()

    @property
    def kind(self) -> Literal["conv", "head", "up", "norm", "other"]:
        if "running_mean" in self.tensors and "running_var" in self.tensors and not self.kernel:
            return "norm"
        if len(self.kernel) in (2, 3):
            sizes = set(self.kernel)
            if sizes == {3}:
                return "conv"
            if sizes == {1}:
                return "head"
            if self.kernel[-2:] == (2, 2) and sizes <= {1, 2}:
                return "up"
        return "other"

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensors.get("weight", next(iter(self.tensors.values()))).shape)


@dataclass
class _Block:
    """Two convolutions with their norms."""

    convs: list[_Layer]
    norms: list[_Layer] = field(default_factory=list)

    @property
    def n_out(self) -> int:
        return self.convs[0].shape[0]

    @property
    def n_in(self) -> int:
        return self.convs[0].shape[1]


def as_unet(
    weights: Mapping[str, Tensor], name: str, *, join: Literal["skip-up", "up-skip"], padding: Literal["same", "valid"]
) -> tuple[UNetSpec, dict[str, Tensor]]:
    """Return the architecture that weights belong to, and the weights by their names in `nets.unet.UNet`.

    A bias before a batch norm becomes part of its mean, which changes nothing.

    Parameters
    ----------
    weights : mapping of str to Tensor
        In the order in which their network defines them. A safetensors file keeps none, and some programs sort by
        name: then it is found by the names (`weight_order`).
    name : str
        Of the file, for messages.
    join : {"skip-up", "up-skip"}
        In which order a skip connection and the enlarged map are joined: ``torch.cat([skip, up])`` or the other.
    padding : {"same", "valid"}
        Whether convolutions are padded with zeros.

    Raises
    ------
    ModelFileError
        If they are not those of a U-Net as it is used here; ``details`` lists what does not fit.
    """
    ordered = not name.lower().endswith(".safetensors") and not is_sorted_by_name(weights)
    found = _Parts(weights if ordered else in_order(weights, name))
    if not found.problems:
        found.arrange(ordered=ordered)
    if found.problems:
        more = len(found.problems) - _SHOWN
        listed = "; ".join(found.problems[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise ModelFileError(f"The weights in {name} are not those of a U-Net as it is used here.", f"{listed}.")
    try:
        spec = found.spec(padding)
    except ValidationError as error:
        raise ModelFileError(f"The network in {name} is too large to be used here.", str(error)) from error
    return spec, found.named(swap=join == "up-skip")


class _Parts:
    """The layers of a network, sorted by what they are, and what about them does not fit."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.problems: list[str] = []
        self._blocks: list[_Block] = []
        self._ups: list[_Layer] = []
        self._heads: list[_Layer] = []
        for layer in self._layers(weights):
            self._sort(layer)
        self._check_blocks()

    def _layers(self, weights: Mapping[str, Tensor]) -> Sequence[_Layer]:
        layers: dict[str, _Layer] = {}
        for key, tensor in weights.items():
            prefix, _, part = key.rpartition(".")
            if part not in _PARTS:
                self.problems.append(f"{key} {tuple(tensor.shape)}: no weight of a convolution or a batch norm")
            elif part == "num_batches_tracked":
                layers.setdefault(prefix, _Layer(prefix)).tensors[part] = tensor
            else:
                if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
                    self.problems.append(f"{key}: values that are not numbers, or not floating point")
                layers.setdefault(prefix, _Layer(prefix)).tensors[part] = tensor.detach().float()
        return list(layers.values())

    def _sort(self, layer: _Layer) -> None:
        kind, last = layer.kind, self._blocks[-1] if self._blocks else None
        if kind == "conv":
            if last is not None and len(last.convs) == 1:
                last.convs.append(layer)
            else:
                self._blocks.append(_Block([layer]))
        elif kind == "norm" and last is not None:
            last.norms.append(layer)
        elif kind == "up":
            self._ups.append(layer)
        elif kind == "head":
            self._heads.append(layer)
        elif "weight" in layer.tensors and len(layer.shape) == 1:
            self.problems.append(f"{layer.name}: a norm without running statistics (group, instance or layer norm)")
        else:
            self.problems.append(f"{layer.name} {layer.shape}: no 3x3 convolution, 2x2 up-convolution or last 1x1")

    def _check_blocks(self) -> None:
        for block in self._blocks:
            first = block.convs[0]
            if len(block.convs) != 2 or block.convs[1].shape[:2] != (block.n_out, block.n_out):
                self.problems.append(f"{first.name} {first.shape}: not followed by a second convolution of its width")
            if len(block.norms) != len(self._blocks[0].norms) or len(block.norms) not in (0, 2):
                self.problems.append(f"{first.name}: {len(block.norms)} batch norms; each convolution has one, or none")
            elif any(norm.tensors["running_mean"].shape != (block.n_out,) for norm in block.norms):
                self.problems.append(f"{block.norms[0].name}: a batch norm of another width than its convolution")
        if not self._blocks:
            self.problems.append("there is no 3x3 convolution")
        if len(self._heads) != 1:
            self.problems.append(f"{len(self._heads)} convolutions of 1x1; there is one, at the end")

    def arrange(self, *, ordered: bool) -> None:
        """Put the blocks in the order of their levels, and take note of what is missing or left over.

        `ordered`: whether the order is the network's, by which blocks of one shape are told apart.
        """
        features = min(block.n_out for block in self._blocks)
        first = next((b for b in self._blocks if b.n_out == features and b.n_in != 2 * features), None)
        if first is None:  # an image of twice as many channels as there are features: the first is the first
            first = self._blocks[0]
            if not ordered:
                self.problems.append(
                    "the first and the last block are alike; save the state_dict with torch.save (.pth)"
                )
        self._down, self._up = {features: first}, dict[int, _Block]()
        for block in self._blocks:
            if block is first:
                continue
            where = self._down if block.n_out == 2 * block.n_in else self._up if block.n_in == 2 * block.n_out else None
            if where is None or block.n_out in where:
                self.problems.append(
                    f"{block.convs[0].name} {block.convs[0].shape}: features neither double nor halve, or a "
                    "second block of that level"
                )
            else:
                where[block.n_out] = block
        self._levels, self._features = len(self._down) - 1, features
        self._enlarge = {layer.shape[1]: layer for layer in self._ups}
        widths = [features * 2**level for level in range(self._levels + 1)]
        self._check_levels(widths)

    def _check_levels(self, widths: list[int]) -> None:
        if self._levels < 1:
            self.problems.append("there is no second level")
        for wanted, there, what in (
            (widths, self._down, "on the way down"),
            (widths[:-1], self._up, "on the way up"),
            (widths[:-1], self._enlarge, "up-convolution"),
        ):
            odd = sorted(set(wanted) ^ set(there))
            if odd or (what == "up-convolution" and len(self._ups) != len(wanted)):
                self.problems.append(f"{what}: levels of {sorted(there)} features; needed are {wanted}")
        for width, layer in self._enlarge.items():
            if layer.shape[0] != 2 * width:
                self.problems.append(f"{layer.name} {layer.shape}: an up-convolution halves the features")
        head = self._heads[0]
        if head.shape[1] != self._features:
            self.problems.append(f"{head.name} {head.shape}: the last convolution takes {self._features} features")
        dimensions = {len(layer.kernel) for b in self._blocks for layer in b.convs} | {len(head.kernel)}
        if len(dimensions | {len(layer.kernel) for layer in self._ups}) > 1:
            self.problems.append("convolutions of two and of three dimensions")

    def spec(self, padding: Literal["same", "valid"]) -> UNetSpec:
        """Return the architecture."""
        first, head = self._down[self._features], self._heads[0]
        pool_z = None
        if len(head.kernel) == 3:
            pool_z = tuple(self._enlarge[self._features * 2**level].kernel[0] == 2 for level in range(self._levels))
        return UNetSpec(
            ndim=3 if pool_z else 2,
            in_channels=first.n_in,
            out_channels=head.shape[0],
            features=self._features,
            levels=self._levels,
            padding=padding,
            norm="batch" if first.norms else "none",
            pool_z=None if pool_z is None or all(pool_z) else pool_z,
        )

    def named(self, *, swap: bool) -> dict[str, Tensor]:
        """Return the weights by their names here; `swap`: the enlarged map is joined before the skip connection."""
        state: dict[str, Tensor] = {}
        for level in range(self._levels + 1):
            self._add_block(state, f"down.{level}", self._down[self._features * 2**level])
        for index, level in enumerate(reversed(range(self._levels))):
            width = self._features * 2**level
            _add(state, f"up.{index}.up", self._enlarge[width], width)
            self._add_block(state, f"up.{index}.conv", self._up[width], swap=swap)
        _add(state, "head", self._heads[0], self._heads[0].shape[0])
        return state

    def _add_block(self, state: dict[str, Tensor], name: str, block: _Block, *, swap: bool = False) -> None:
        step = 3 if block.norms else 2  # convolution, norm if any, ReLU
        for number, conv in enumerate(block.convs):
            weight = conv.tensors["weight"]
            if swap and number == 0:
                weight = torch.cat([weight[:, block.n_out :], weight[:, : block.n_out]], dim=1)
            state[f"{name}.{number * step}.weight"] = weight
            bias = conv.tensors.get("bias", torch.zeros(block.n_out))
            if not block.norms:
                state[f"{name}.{number * step}.bias"] = bias
                continue
            norm, key = block.norms[number].tensors, f"{name}.{number * step + 1}"
            state[f"{key}.weight"] = norm.get("weight", torch.ones(block.n_out))
            state[f"{key}.bias"] = norm.get("bias", torch.zeros(block.n_out))
            state[f"{key}.running_mean"] = norm["running_mean"] - bias
            state[f"{key}.running_var"] = norm["running_var"]
            state[f"{key}.num_batches_tracked"] = norm.get("num_batches_tracked", torch.tensor(0))


def _add(state: dict[str, Tensor], name: str, layer: _Layer, n_out: int) -> None:
    state[f"{name}.weight"] = layer.tensors["weight"]
    state[f"{name}.bias"] = layer.tensors.get("bias", torch.zeros(n_out))
