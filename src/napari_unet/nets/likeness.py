"""How far an image is from those that a network was trained on, told by its batch norms."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from napari_unet.nets.unet import UNet


def norm_deviation(net: UNet, x: Tensor) -> float | None:
    """Return by how much the features of an image differ from those of the images that a network was trained on.

    Each batch norm keeps the mean and the standard deviation of its features over the training images. On images like
    these both are near those that are kept. The difference of the means is taken in standard deviations, that of the
    standard deviations as the logarithm of their ratio; the sum of both is averaged over the features of a layer, and
    over the layers. Means alone take walls between cells of any kind for those of an axon.

    Parameters
    ----------
    net : UNet
        In evaluation mode; not changed.
    x : Tensor, axes (1, C, [Z,] Y, X)
        Of a size that `nets.geometry.check_input_shape` accepts.

    Returns
    -------
    float or None
        None: the network has no batch norms.
    """
    found: list[float] = []
    norms = [module for module in net.modules() if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d))]
    hooks = [norm.register_forward_hook(partial(_note_deviation, found)) for norm in norms]
    try:
        with torch.inference_mode():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(found) / len(found) if found else None


def _note_deviation(found: list[float], norm: Any, inputs: tuple[Tensor, ...], _: Tensor) -> None:
    features = inputs[0]
    axes = [0, *range(2, features.ndim)]
    usual = (norm.running_var + norm.eps).sqrt()
    spread = (features.var(axes, correction=0) + norm.eps).sqrt()
    shifted = (features.mean(axes) - norm.running_mean).abs() / usual
    found.append(float((shifted + (spread / usual).log().abs()).mean()))
