"""Applies a U-Net to large tiles on a CPU, level by level and in small blocks.

The values are those of `UNet.forward`, up to rounding. The difference is in memory. torch allocates each activation of
a large tile anew, and the operating system clears its pages before they are used: a pixel of a 1024x1024 tile takes 1.6
times as long as one of a 256x256 tile. Here, what is needed after a block (the skip connections, and the input of the
next level) is stored in buffers that are reused from tile to tile (`nets.buffers`), and all other activations are
small. So large tiles, for which the halo is a small share, take no more time per pixel than small ones.
"""

from __future__ import annotations

import copy
import itertools
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_unet.nets.buffers import BUFFERS
from napari_unet.nets.geometry import CONVOLUTIONS_PER_LEVEL, check_input_shape
from napari_unet.nets.onednn import use_onednn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unet.nets.spec import UNetSpec
    from napari_unet.nets.unet import UNet

BLOCK_BYTES = {2: 16 * 2**20, 3: 28 * 2**20}
"""Largest size, in bytes, of an activation of a block, by the number of spatial axes: memory of that size is mostly
reused without being cleared. Smaller blocks of volumes take longer (docs/decisions/0034-speed.md)."""

MAX_STRIP_READS = 1.05
"""Pixels that are read for strips, blocks that are cut along the first axis only, over those for compact blocks, up to
which strips are taken: a strip lies in memory in one piece, and is read without a copy, which is worth as much."""

Region = tuple[slice, ...]


def folded(net: UNet) -> UNet:
    """Return a copy of a network in evaluation mode whose batch norms have become part of the convolutions."""
    net = copy.deepcopy(net).eval().requires_grad_(False)
    if net.spec.norm == "batch":
        for conv in [*net.down, *(up.conv for up in net.up)]:
            layers = list(conv)
            for index, layer in enumerate(layers):
                if isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)):
                    conv[index - 1] = fuse_conv_bn_eval(layers[index - 1], layer)
                    conv[index] = nn.Identity()
    return net


def bytes_per_pixel(spec: UNetSpec) -> int:
    """Return the bytes that a call of `BlockedUNet` takes for each pixel that is read, apart from its blocks."""
    widths, pixels = [], 1.0  # features for each pixel of the image, by level
    for level in range(spec.levels + 1):
        widths.append(spec.features * 2**level * pixels)
        pixels /= math.prod(spec.pool_factors(min(level, spec.levels - 1)))
    kept, flowing = sum(widths[:-1]), widths[0] / math.prod(spec.pool_factors(0)) + widths[1]
    return int(4 * (kept + flowing + 2 * spec.in_channels + 3 * spec.out_channels)) + 1


class BlockedUNet:
    """A U-Net on the CPU that computes large tiles as fast per pixel as small ones.

    Parameters
    ----------
    net : UNet
        Not changed.
    check : callable, optional
        Called before every block, a few hundredths of a second apart, with the share of the work that is done; an
        exception that it raises ends the call.
    """

    def __init__(self, net: UNet, check: Callable[[float], None] | None = None) -> None:
        self._net = folded(net).to(memory_format=_format(net.spec))  # type: ignore[call-overload]
        use_onednn(self._net)
        self._check = check
        self._buffers: dict[str, Tensor] = {}
        self._done, self._all = 0, 1  # work of a call, in multiplications

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits of one image; axes (1, C, [Z,] Y, X), as those of `UNet.forward`."""
        check_input_shape(self._net.spec, tuple(x.shape[2:]))
        with torch.inference_mode(), BUFFERS.lent() as self._buffers:
            try:
                return self._logits(x)
            finally:
                self._buffers = {}

    def _logits(self, x: Tensor) -> Tensor:
        net, spec = self._net, self._net.spec
        self._done, self._all = 0, self._work(self._shape(x))
        skips: list[Tensor] = []
        for level, (conv, pool) in enumerate(zip(net.down, net.pools, strict=False)):
            skip = self._buffer(f"skip {level}", spec.features * 2**level, self._shape(x))
            factor = spec.pool_factors(level)
            pooled = self._buffer(
                f"flow {level % 2}", skip.shape[1], [n // f for n, f in zip(skip.shape[2:], factor, strict=True)]
            )
            for region, seen, crop in self._blocks(skip, level):
                result = conv(x[seen])[crop]
                skip[region] = result
                pooled[_scaled(region, factor)] = pool(result)
            skips.append(skip)
            x = pooled
        bottom = self._buffer(f"flow {spec.levels % 2}", spec.features * 2**spec.levels, self._shape(x))
        for region, seen, crop in self._blocks(bottom, spec.levels):
            bottom[region] = net.down[-1](x[seen])[crop]
        x = bottom
        for level, up in zip(reversed(range(spec.levels)), net.up, strict=True):
            factor, skip = spec.pool_factors(level), skips[level]
            wide = [n * f for n, f in zip(x.shape[2:], factor, strict=True)]
            skip = skip[_middle(skip.shape[2:], wide)]
            if level:
                result = self._buffer(f"flow {level % 2}", skip.shape[1], self._shape(skip))
            else:
                result = torch.empty((1, spec.out_channels, *self._shape(skip)))
            for region, seen, crop in self._blocks(result, level, up=True):
                block = up(x[_scaled(seen, factor)], skip[seen])[crop]
                result[region] = block if level else net.head(block)
            x = result
        return x

    def _shape(self, x: Tensor) -> list[int]:
        """Return the spatial shape of the result of the two convolutions of a level."""
        lost = 0 if self._net.spec.padding == "same" else 2 * CONVOLUTIONS_PER_LEVEL
        return [n - lost for n in x.shape[2:]]

    def _buffer(self, name: str, channels: int, shape: list[int]) -> Tensor:
        """Return a buffer that is reused, axes (1, C, [Z,] Y, X), in memory with the channels last."""
        size = channels * math.prod(shape)
        if name not in self._buffers or self._buffers[name].numel() < size:
            self._buffers.pop(name, None)  # free it before the larger one is allocated
            self._buffers[name] = torch.empty(size)
        return self._buffers[name][:size].view(1, *shape, channels).movedim(-1, 1)

    def _blocks(self, result: Tensor, level: int, *, up: bool = False) -> Iterator[tuple[Region, Region, Region]]:
        """Yield for each block its region in the result, the region that is read, and the part to keep."""
        shape, same = tuple(result.shape[2:]), self._net.spec.padding == "same"
        context = CONVOLUTIONS_PER_LEVEL
        every = (slice(None), slice(None))
        for box in itertools.product(*_cuts(shape, self._net.spec.features * 2**level)):
            if self._check is not None:
                self._check(self._done / self._all)
            if same:  # pixels that depend on zero padding are cut off, except at the border
                seen = [(max(0, a - context), min(n, b + context)) for (a, b), n in zip(box, shape, strict=True)]
                crop = [slice(a - first, b - first) for (a, b), (first, _) in zip(box, seen, strict=True)]
            else:
                seen = [(a, b + 2 * context) for a, b in box]
                crop = [slice(None)] * len(shape)
            yield (*every, *(slice(*part) for part in box)), (*every, *(slice(*part) for part in seen)), (*every, *crop)
            self._done += math.prod(b - a for a, b in box) * self._cost(level, up=up)

    def _cost(self, level: int, *, up: bool) -> int:
        """Return the multiplications for a pixel of a level, up to a factor; the skip connection doubles the input."""
        spec = self._net.spec
        width: int = spec.features * 2**level
        return width * (width + (2 * width if up else width // 2 if level else spec.in_channels))

    def _work(self, shape: list[int]) -> int:
        """Return the multiplications for all blocks, given the shape of the first level."""
        spec, work = self._net.spec, 0
        lost = 0 if spec.padding == "same" else 2 * CONVOLUTIONS_PER_LEVEL
        for level in range(spec.levels):
            work += math.prod(shape) * self._cost(level, up=False)
            shape = [n // f - lost for n, f in zip(shape, spec.pool_factors(level), strict=True)]
        work += math.prod(shape) * self._cost(spec.levels, up=False)
        for level in reversed(range(spec.levels)):
            shape = [n * f - lost for n, f in zip(shape, spec.pool_factors(level), strict=True)]
            work += math.prod(shape) * self._cost(level, up=True)
        return work


def _cuts(shape: tuple[int, ...], channels: int) -> list[list[tuple[int, int]]]:
    """Cut a level into blocks whose widest activation, skip and up-convolution joined, is within `BLOCK_BYTES`."""
    most = BLOCK_BYTES[len(shape)] // (4 * 2 * channels)
    counts = [1] * len(shape)
    while math.prod(math.ceil(n / count) for n, count in zip(shape, counts, strict=True)) > most:
        sizes = [n / count for n, count in zip(shape, counts, strict=True)]
        if max(sizes) <= 2:
            break
        counts[sizes.index(max(sizes))] += 1
    compact = [_evenly(n, count) for n, count in zip(shape, counts, strict=True)]
    rows = most // math.prod(shape[1:]) // 2 * 2
    if not rows:
        return compact
    strips = [_evenly(shape[0], math.ceil(shape[0] / rows)), *([(0, n)] for n in shape[1:])]
    return strips if _reads(strips, shape) <= MAX_STRIP_READS * _reads(compact, shape) else compact


def _evenly(size: int, count: int) -> list[tuple[int, int]]:
    """Cut an axis into at most so many intervals, on the pooling grid."""
    step = math.ceil(math.ceil(size / count) / 2) * 2
    return [(a, min(a + step, size)) for a in range(0, size, step)]


def _reads(cuts: list[list[tuple[int, int]]], shape: tuple[int, ...]) -> int:
    """Return how many pixels are read for all blocks, with those around them."""
    more = CONVOLUTIONS_PER_LEVEL
    axes = zip(cuts, shape, strict=True)
    return math.prod(sum(min(n, b + more) - max(0, a - more) for a, b in intervals) for intervals, n in axes)


def _scaled(region: Region, factor: tuple[int, ...]) -> Region:
    """Return the region on the next lower level."""
    parts = zip(region[2:], factor, strict=True)
    return (*region[:2], *(slice(part.start // f, part.stop // f) for part, f in parts))


def _middle(shape: torch.Size, inner: list[int]) -> Region:
    """Return the middle of a map, which a ``valid`` network concatenates in the expanding path."""
    starts = [(n - m) // 2 for n, m in zip(shape, inner, strict=True)]
    return (slice(None), slice(None), *(slice(a, a + m) for a, m in zip(starts, inner, strict=True)))


def _format(spec: UNetSpec) -> torch.memory_format:
    return torch.channels_last if spec.ndim == 2 else torch.channels_last_3d
