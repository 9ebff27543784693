"""Convolutions of volumes on a CPU that are always computed by oneDNN.

torch asks oneDNN for a convolution only where a batch, channels and the first two spatial axes have more than 20480
elements together (`use_mkldnn` in its Convolution.cpp; kernels of at most 3 pixels, one image). In a plane those are
all elements, and only tiny ones fall short. Of a volume the last axis does not count, so that the blocks of
`nets.blocked` fall short at most levels, and torch's own way takes 5 to 14 times as long
(docs/decisions/0034-speed.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneDnnConv3d(nn.Module):
    """A convolution with the weights of another one, for inference.

    Parameters
    ----------
    conv : nn.Conv3d
        Padded with zeros.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        assert not isinstance(conv.padding, str)  # those of this package are numbers
        self.weight, self.bias = conv.weight, conv.bias
        self._padding, self._stride = conv.padding, conv.stride
        self._dilation, self._groups = conv.dilation, conv.groups

    def forward(self, x: Tensor) -> Tensor:
        """Return what `nn.Conv3d` does, up to rounding; axes (N, C, Z, Y, X)."""
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, self._padding, self._stride, self._dilation, self._groups
        )


def use_onednn(net: nn.Module) -> None:
    """Have oneDNN compute all convolutions of volumes of a network in memory, where torch was built with it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv3d):
                setattr(module, name, OneDnnConv3d(child))
