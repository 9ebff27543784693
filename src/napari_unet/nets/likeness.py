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
    these the mean of a feature is near the one that is kept. The difference is taken in standard deviations, as a mean
    over all features of all layers.

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
    means = features.mean([0, *range(2, features.ndim)])
    found.append(float(((means - norm.running_mean) / (norm.running_var + norm.eps).sqrt()).abs().mean()))
