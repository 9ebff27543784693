"""Which input pixels an output pixel of a U-Net depends on: sizes, receptive field, halo.

Pure integer functions of a `UNetSpec`; nothing here runs a network. The dependency of an output interval is followed
backwards through the layers, one axis at a time: a 3x3 convolution widens it by one on each side, a 2x2 pooling
doubles it, an up-convolution halves it, and a skip connection takes the hull of its two branches. The result is exact
for every position within the pooling grid, unlike a closed formula for the receptive field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.errors import ImageError

if TYPE_CHECKING:
    from napari_unet.nets.spec import UNetSpec

CONVOLUTIONS_PER_LEVEL = 2


def dependency(spec: UNetSpec, axis: int, start: int, stop: int) -> tuple[int, int]:
    """Return the input interval that the output pixels ``start..stop`` (exclusive) of one spatial axis depend on.

    Positions are those of a ``same`` network, where output pixel 0 lies on input pixel 0; a ``valid`` network has the
    same dependencies, only its border outputs are missing.
    """
    factors = [spec.pool_factors(level)[axis] for level in range(spec.levels)]
    first, last = start, stop - 1
    skips: list[tuple[int, int]] = []  # interval of each skip connection, from the top level down
    for factor in factors:
        first, last = first - CONVOLUTIONS_PER_LEVEL, last + CONVOLUTIONS_PER_LEVEL
        skips.append((first, last))
        first, last = first // factor, last // factor
    first, last = first - CONVOLUTIONS_PER_LEVEL, last + CONVOLUTIONS_PER_LEVEL  # the bottom of the U
    for factor, (skip_first, skip_last) in zip(reversed(factors), reversed(skips), strict=True):
        first, last = first * factor, last * factor + factor - 1
        first, last = min(first, skip_first), max(last, skip_last)
        first, last = first - CONVOLUTIONS_PER_LEVEL, last + CONVOLUTIONS_PER_LEVEL
    return first, last + 1


def receptive_field(spec: UNetSpec) -> tuple[int, ...]:
    """Return the largest number of input pixels, for each spatial axis, that one output pixel depends on."""
    sizes = []
    for axis, stride in enumerate(spec.stride):
        intervals = [dependency(spec, axis, position, position + 1) for position in range(stride)]
        sizes.append(max(stop - start for start, stop in intervals))
    return tuple(sizes)


def halo(spec: UNetSpec) -> tuple[int, ...]:
    """Return the pixels, for each spatial axis, to be read on either side of a region for its exact result.

    The smallest width for any region that starts and ends on the pooling grid (multiples of `UNetSpec.stride`). A pixel
    in the middle of a pooling cell may depend on more pixels, but not on more than its cell.
    """
    widths = []
    for axis, stride in enumerate(spec.stride):
        start, stop = dependency(spec, axis, 0, stride)
        widths.append(max(-start, stop - stride))
    return tuple(widths)


def valid_margin(spec: UNetSpec) -> tuple[int, ...]:
    """Return the pixels, for each spatial axis, that a ``valid`` network loses on either side (a ``same`` one: 0)."""
    if spec.padding == "same":
        return (0,) * spec.ndim
    margins = []
    for axis in range(spec.ndim):
        margin, scale = 0, 1
        for level in range(spec.levels):
            margin += 2 * CONVOLUTIONS_PER_LEVEL * scale  # once on the way down, once on the way up
            scale *= spec.pool_factors(level)[axis]
        margins.append(margin + CONVOLUTIONS_PER_LEVEL * scale)
    return tuple(margins)


def output_size(spec: UNetSpec, size: int, axis: int = -1) -> int:
    """Return the output pixels along one axis for `size` input pixels, or 0 if the network does not accept that size.

    A ``same`` network accepts multiples of its stride. A ``valid`` one accepts sizes for which each pooling has an even
    number of pixels (Ronneberger et al. 2015).
    """
    factors = [spec.pool_factors(level)[axis] for level in range(spec.levels)]
    if spec.padding == "same":
        return size if size > 0 and size % spec.stride[axis] == 0 else 0
    lost = 2 * CONVOLUTIONS_PER_LEVEL
    current = size
    for factor in factors:
        current -= lost
        if current <= 0 or current % factor:
            return 0
        current //= factor
    current -= lost
    for factor in reversed(factors):
        current = current * factor - lost
    return max(current, 0)


def input_size(spec: UNetSpec, wanted: int, axis: int = -1) -> int:
    """Return the smallest valid input size along one axis whose output has at least `wanted` pixels."""
    stride = spec.stride[axis]
    if spec.padding == "same":
        return max(1, -(-wanted // stride)) * stride
    size = wanted + 2 * valid_margin(spec)[axis]
    for candidate in range(size, size + stride):
        if output_size(spec, candidate, axis) >= wanted:
            return candidate
    raise AssertionError("one of any `stride` successive sizes is valid")  # pragma: no cover


def check_input_shape(spec: UNetSpec, shape: tuple[int, ...]) -> None:
    """Raise `ImageError`, naming the nearest shape that fits, unless the network accepts the spatial `shape`."""
    if len(shape) != spec.ndim:
        raise ImageError(f"This network takes {spec.ndim} spatial axes; got the shape {shape}.")
    if any(output_size(spec, size, axis) == 0 for axis, size in enumerate(shape)):
        margin = valid_margin(spec)
        nearest = tuple(
            input_size(spec, max(1, n - 2 * m), axis) for axis, (n, m) in enumerate(zip(shape, margin, strict=True))
        )
        rule = (
            f"multiples of {spec.stride}"
            if spec.padding == "same"
            else "sizes for which every pooling meets an even number of pixels"
        )
        raise ImageError(f"This network takes {rule}; got {shape}. The nearest larger shape that fits is {nearest}.")
