"""The U-Net of this package, in two or three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.nets.geometry import check_input_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.nets.spec import UNetSpec

_CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_UP: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


def _double_conv(spec: UNetSpec, n_in: int, n_out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each followed by its normalisation (if any) and ReLU."""
    layers: list[nn.Module] = []
    for channels in (n_in, n_out):
        # A bias before a batch norm has no effect: its mean is subtracted.
        padding, bias = (1 if spec.padding == "same" else 0), spec.norm == "none"
        layers.append(_CONV[spec.ndim](channels, n_out, kernel_size=3, padding=padding, bias=bias))
        if spec.norm == "batch":
            layers.append(_NORM[spec.ndim](n_out))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class _Up(nn.Module):
    """Double the resolution, join the skip connection, and convolve twice."""

    def __init__(self, spec: UNetSpec, level: int) -> None:
        super().__init__()
        n_out = spec.features * 2**level
        factor = spec.pool_factors(level)
        if spec.up == "transposed":
            self.up: nn.Module = _UP[spec.ndim](2 * n_out, n_out, kernel_size=factor, stride=factor)
        else:
            # Nearest neighbour: linear interpolation would use pixels beyond the pooling cell, and so widen the halo.
            self.up = nn.Sequential(
                nn.Upsample(scale_factor=tuple(float(f) for f in factor), mode="nearest"),
                _CONV[spec.ndim](2 * n_out, n_out, kernel_size=1),
            )
        self.conv = _double_conv(spec, 2 * n_out, n_out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        return self.conv(torch.cat([_center_crop(skip, x.shape[2:]), x], dim=1))  # type: ignore[no-any-return]


def _center_crop(x: Tensor, shape: torch.Size) -> Tensor:
    """Return the middle of a map, of the given spatial shape; for a ``same`` network that is the map itself."""
    if x.shape[2:] == shape:
        return x
    for axis, size in enumerate(shape, start=2):
        x = x.narrow(axis, (x.shape[axis] - size) // 2, size)
    return x


class UNet(nn.Module):
    """U-Net after Ronneberger, Fischer and Brox (2015), doi:10.1007/978-3-319-24574-4_28; 3D after Cicek et al. (2016).

    Parameters
    ----------
    spec : UNetSpec
        The architecture.
    initialise : bool
        Whether to draw random weights; False if they are loaded afterwards.

    Notes
    -----
    Takes float tensors with axes (N, C, [Z,] Y, X) of a size that `nets.geometry.check_input_shape` accepts, and
    returns logits with axes (N, C, [Z,] Y, X): no activation at the end.
    """

    def __init__(self, spec: UNetSpec, *, initialise: bool = True) -> None:
        super().__init__()
        self.spec = spec
        widths = [spec.features * 2**level for level in range(spec.levels + 1)]
        self.down = nn.ModuleList(
            _double_conv(spec, n_in, n_out) for n_in, n_out in zip([spec.in_channels, *widths], widths, strict=False)
        )
        self.pools = nn.ModuleList(_POOL[spec.ndim](spec.pool_factors(level)) for level in range(spec.levels))
        self.dropout = nn.Dropout(spec.dropout)
        self.up = nn.ModuleList(_Up(spec, level) for level in reversed(range(spec.levels)))
        self.head = _CONV[spec.ndim](widths[0], spec.out_channels, kernel_size=1)
        if initialise:
            self.apply(_he_init)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch of images; see the class for axes."""
        check_input_shape(self.spec, tuple(x.shape[2:]))
        *skips, x = self._descend(x)
        for up in self.up:
            x = up(x, skips.pop())
        return self.head(x)  # type: ignore[no-any-return]

    def mean_features(self, x: Tensor) -> Tensor:
        """Return the mean of each feature map of the contracting path, level by level, axes (N, features).

        Images of any size; pixels beyond the last complete pooling window are left out at the levels below.
        """
        return torch.cat([features.flatten(2).mean(2) for features in self._descend(x)], dim=1)

    def _descend(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the features of each level of the contracting path, the finest first."""
        for level, conv in enumerate(self.down):
            x = conv(x if level == 0 else self.pools[level - 1](x))
            if level >= self.spec.levels - 1:  # as in the published network, on the last two levels
                x = self.dropout(x)
            yield x


def _he_init(module: nn.Module) -> None:
    """Gaussian weights of variance 2 / fan-in (He et al. 2015), as the 2015 paper asks; biases zero.

    For a 2x2 up-convolution torch takes four times the output channels for the fan-in, which is twice the inputs of one
    of its pixels. No ReLU follows, so its maps get the same variance as those of the skip connection.
    """
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def freeze_norm(net: nn.Module) -> None:
    """Keep the statistics of normalisation layers unchanged while the rest of the network is trained.

    Otherwise a few correlated patches of one image would replace those of the data that the network was trained on.
    """
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            module.eval()
