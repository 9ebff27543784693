"""The order in which a network defines its layers, found again by their names where a file does not keep it."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_FIRST = ("weight", "bias")


def in_order(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights layer by layer, each batch norm behind its convolution, and in each layer the weight first.

    safetensors sorts by data type and then by name: biases stand before weights, layer 10 before layer 2, ``bn1``
    before ``conv1``. Layers are taken by name, numbers as numbers. Among those that have one parent, the first norm
    belongs to the first convolution of 3x3, and so on, if there are as many of both.

    Parameters
    ----------
    weights : mapping of str to Tensor
        In any order.
    """
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in weights.items():
        name, _, part = key.rpartition(".")
        layers[name][part] = tensor
    names = sorted(layers, key=_natural)
    behind = _norms_of([name for name in names if _is_conv(layers[name])], [n for n in names if _is_norm(layers[n])])
    moved = set(behind.values())
    ordered = [one for name in names if name not in moved for one in (name, behind.get(name)) if one is not None]
    return {
        f"{name}.{part}" if name else part: layers[name][part]
        for name in ordered
        for part in sorted(layers[name], key=lambda part: (part not in _FIRST, part == "bias", part))
    }


def _norms_of(convolutions: list[str], norms: list[str]) -> dict[str, str]:
    """Return the norm of each convolution, under each parent that has as many of both."""
    found: dict[str, str] = {}
    for parent in {_parent(name) for name in norms}:
        held = [[name for name in names if _parent(name) == parent] for names in (convolutions, norms)]
        if len(held[0]) == len(held[1]):
            found.update(zip(*held, strict=True))
    return found


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which names are sorted as people do: 2 before 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def _is_conv(layer: Mapping[str, Tensor]) -> bool:
    return "weight" in layer and layer["weight"].ndim > 3 and set(layer["weight"].shape[2:]) == {3}


def _is_norm(layer: Mapping[str, Tensor]) -> bool:
    return "running_mean" in layer
