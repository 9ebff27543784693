# mypy: ignore-errors
"""A U-Net of napari-unet-interactive, for programs that read model packages. It needs PyTorch and nothing else."""

import torch
from torch import nn

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
UP = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class Up(nn.Module):
    """Double the resolution, join the skip connection, and convolve twice."""

    def __init__(self, up, conv):
        super().__init__()
        self.up, self.conv = up, conv

    def forward(self, x, skip):
        """Return the features of a level."""
        x = self.up(x)
        for axis in range(2, x.ndim):
            size = x.shape[axis]
            skip = skip.narrow(axis, (skip.shape[axis] - size) // 2, size)
        return self.conv(torch.cat([skip, x], dim=1))


class UNet(nn.Module):
    """U-Net after Ronneberger, Fischer and Brox (2015): normalised images in, probabilities 0..1 out.

    Parameters
    ----------
    ndim : int
        2 or 3.
    in_channels, out_channels : int
        Image channels in, maps out.
    features : int
        Feature channels of the first level; they double with each level.
    pools : list of list of int
        Pooling window of each level, one number for each spatial axis.
    padding : str
        "same" or "valid".
    norm : str
        "batch" or "none".
    up : str
        "transposed", or "interpolated": nearest neighbour, then a convolution of one pixel.
    activation : str
        "sigmoid": maps of their own. "softmax": classes, which exclude each other.
    """

    def __init__(self, ndim, in_channels, out_channels, features, pools, padding, norm, up, activation):
        super().__init__()
        self.ndim, self.padding, self.norm, self.activation = ndim, int(padding == "same"), norm, activation
        widths = [features * 2**level for level in range(len(pools) + 1)]
        self.down = nn.ModuleList(self.convs(a, b) for a, b in zip([in_channels, *widths], widths))  # noqa: B905
        self.pools = nn.ModuleList(POOL[ndim](tuple(pool)) for pool in pools)
        self.up = nn.ModuleList(
            Up(self.enlarge(n, tuple(pool), up), self.convs(2 * n, n))
            for n, pool in reversed(list(zip(widths, pools)))  # noqa: B905
        )
        self.head = CONV[ndim](features, out_channels, kernel_size=1)

    def convs(self, n_in, n_out):
        """Return two convolutions of three pixels, each with its norm, if any, and ReLU."""
        layers = []
        for n in (n_in, n_out):
            layers.append(CONV[self.ndim](n, n_out, 3, padding=self.padding, bias=self.norm == "none"))
            layers += [NORM[self.ndim](n_out)] if self.norm == "batch" else []
            layers.append(nn.ReLU())
        return nn.Sequential(*layers)

    def enlarge(self, n, pool, up):
        """Return what doubles the resolution, and halves the features."""
        if up == "transposed":
            return UP[self.ndim](2 * n, n, kernel_size=pool, stride=pool)
        factors = tuple(float(factor) for factor in pool)
        return nn.Sequential(nn.Upsample(scale_factor=factors, mode="nearest"), CONV[self.ndim](2 * n, n, 1))

    def forward(self, x):
        """Return the maps (N, K, [Z,] Y, X) of images (N, C, [Z,] Y, X)."""
        skips = []
        for level, conv in enumerate(self.down):
            x = conv(x if level == 0 else self.pools[level - 1](x))
            skips.append(x)
        skips.pop()
        for up in self.up:
            x = up(x, skips.pop())
        x = self.head(x)
        return x.sigmoid() if self.activation == "sigmoid" else x.softmax(1)
