"""The order in which a network defines its layers, found again by their names where a file does not keep it."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from napari_unet.errors import ModelFileError
from napari_unet.io.names import natural_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_FIRST = ("weight", "bias")


def is_sorted_by_name(weights: Mapping[str, Tensor]) -> bool:
    """Return whether weights stand in another order than that of a network, in which a bias follows its weight."""
    place = {key: number for number, key in enumerate(weights)}
    return any(key.endswith("bias") and place.get(f"{key[:-4]}weight", -1) > place[key] for key in weights)


def in_order(weights: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """Return weights layer by layer, each batch norm behind its convolution, and in each layer the weight first.

    safetensors sorts by data type and then by name: biases stand before weights, layer 10 before layer 2, ``bn1``
    before ``conv1``. Layers are taken by name, numbers as numbers. Which norm belongs to which convolution is told by
    the numbers in their names, or by their order if they alternate.

    Parameters
    ----------
    weights : mapping of str to Tensor
        In any order.
    file : str
        Name of the file, for messages.

    Raises
    ------
    ModelFileError
        If the names do not tell which norm belongs to which convolution.
    """
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in weights.items():
        name, _, part = key.rpartition(".")
        layers[name][part] = tensor
    names = sorted(layers, key=natural_key)
    behind = _norms_of(
        [name for name in names if _is_conv(layers[name])], [n for n in names if _is_norm(layers[n])], file
    )
    moved = set(behind.values())
    ordered = [one for name in names if name not in moved for one in (name, behind.get(name)) if one is not None]
    return {
        f"{name}.{part}" if name else part: layers[name][part]
        for name in ordered
        for part in sorted(layers[name], key=lambda part: (part not in _FIRST, part == "bias", part))
    }


def _norms_of(convolutions: list[str], norms: list[str], file: str) -> dict[str, str]:
    """Return the norm of each convolution that has the same parent."""
    found: dict[str, str] = {}
    for parent in {_parent(name) for name in norms} & {_parent(name) for name in convolutions}:
        ours, theirs = ([name for name in names if _parent(name) == parent] for names in (convolutions, norms))
        by_number = {_numbers(name): name for name in theirs}
        alternate = sorted(ours + theirs, key=natural_key) == [
            name for pair in zip(ours, theirs, strict=False) for name in pair
        ]
        if alternate:
            found.update(zip(ours, theirs, strict=True))
        elif len(by_number) == len(theirs) and {_numbers(name) for name in ours} == by_number.keys():
            found.update({name: by_number[_numbers(name)] for name in ours})
        else:
            raise ModelFileError(
                f"The layers in {file} have no order, and their names do not tell it. Save it with torch.save.",
                f"Norms: {', '.join(theirs[:4])}; convolutions: {', '.join(ours[:4])}.",
            )
    return found


def _numbers(name: str) -> tuple[int, ...]:
    """Return the numbers in the last part of a name."""
    return tuple(int(part) for part in re.findall(r"\d+", name.rpartition(".")[2]))


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _is_conv(layer: Mapping[str, Tensor]) -> bool:
    return "weight" in layer and layer["weight"].ndim > 3 and set(layer["weight"].shape[2:]) == {3}


def _is_norm(layer: Mapping[str, Tensor]) -> bool:
    return "running_mean" in layer
