"""The architecture of a U-Net, as it is stored in a model file."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class UNetSpec(BaseModel):
    """Architecture of one n-dimensional U-Net (Ronneberger, Fischer and Brox 2015, and its usual variants).

    Attributes
    ----------
    ndim : {2, 3}
        Spatial dimensions.
    in_channels, out_channels : int
        Image channels in, maps out.
    features : int
        Feature channels of the first level; they double with each level.
    levels : int
        Number of poolings, and of up-convolutions. The network has ``levels + 1`` resolutions.
    padding : {"same", "valid"}
        ``"same"`` pads each convolution with zeros; ``"valid"`` does not, and crops the skip connections.
    norm : {"batch", "none"}
        Normalisation after each 3x3 convolution. At inference and fine-tuning its statistics are frozen, so that
        the result at a pixel depends only on its receptive field.
    up : {"transposed", "interpolated"}
        2x2 transposed convolution, or nearest-neighbour interpolation followed by a 1x1 convolution.
    dropout : float
        Dropout probability at the end of the contracting path, on its last two levels (0: none).
    pool_z : tuple of bool, optional
        3D only: for each pooling, whether it also halves Z. None: all do. Useful for anisotropic voxels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ndim: Literal[2, 3] = 2
    in_channels: int = Field(1, ge=1, le=4096)
    out_channels: int = Field(1, ge=1, le=4096)
    features: int = Field(16, ge=1, le=1024)
    levels: int = Field(4, ge=1, le=8)
    padding: Literal["same", "valid"] = "same"
    norm: Literal["batch", "none"] = "batch"
    up: Literal["transposed", "interpolated"] = "transposed"
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    pool_z: tuple[bool, ...] | None = None

    @model_validator(mode="after")
    def _check_pool_z(self) -> UNetSpec:
        if self.pool_z is not None:
            if self.ndim != 3:
                raise ValueError("pool_z is for networks with ndim=3 only")
            if len(self.pool_z) != self.levels:
                raise ValueError(f"pool_z has {len(self.pool_z)} entries; one for each of the {self.levels} poolings")
        # A file must not be able to request terabytes of weights: the widest level is bounded.
        if self.features * 2**self.levels > 8192:
            raise ValueError(f"the deepest level would have {self.features * 2**self.levels} features; at most 8192")
        return self

    def pool_factors(self, level: int) -> tuple[int, ...]:
        """Return the pooling window, one number for each spatial axis, between `level` and ``level + 1``."""
        if self.ndim == 2:
            return (2, 2)
        halves_z = self.pool_z is None or self.pool_z[level]
        return (2 if halves_z else 1, 2, 2)

    @property
    def stride(self) -> tuple[int, ...]:
        """Pixels, one number for each spatial axis, that share one pixel of the deepest level."""
        stride = [1] * self.ndim
        for level in range(self.levels):
            stride = [s * f for s, f in zip(stride, self.pool_factors(level), strict=True)]
        return tuple(stride)


def unet2015(in_channels: int = 1, out_channels: int = 2) -> UNetSpec:
    """Return the network of the 2015 paper: valid convolutions, 64 to 1024 features, dropout, no normalisation.

    A 572x572 image in gives 388x388 maps out (Ronneberger et al. 2015, figure 1).
    """
    return UNetSpec(
        ndim=2,
        in_channels=in_channels,
        out_channels=out_channels,
        features=64,
        levels=4,
        padding="valid",
        norm="none",
        up="transposed",
        dropout=0.5,
    )
