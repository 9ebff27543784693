"""Convolution of maps, directly and by the Fourier transform: which is faster, by the width of the kernel.

    napari-unet benchmark convolution [--rounds 5]

Both in PyTorch, on one thread, of the same float32 noise, in turn, in seconds of a core: `conv2d`, which networks use,
and the product of `torch.fft.rfft2` of maps and kernels (those of the kernels count too, as while a network learns they
change with each step). Once from one map to one, once from 16 to 16. Nothing is tuned. docs/tutorial/arithmetic.md has
the figures.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import conv2d

from napari_unet_benchmarks.report import in_turn
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from torch import Tensor

WIDTHS = (3, 5, 9, 17, 33, 65)
"""Widths of the kernels, pixels."""

SIZES = {1: 512, 16: 128}
"""Width of the maps, pixels, by how many there are."""


def by_fft(maps: Tensor, kernels: Tensor) -> Tensor:
    """Return what `conv2d` does, to rounding; axes (1, M, Y, X) and (N, M, y, x), the result (1, N, ...)."""
    shape = tuple(m + k - 1 for m, k in zip(maps.shape[-2:], kernels.shape[-2:], strict=True))
    turned = torch.fft.rfft2(kernels.flip(-2, -1), shape)
    product = torch.einsum("bmyx,nmyx->bnyx", torch.fft.rfft2(maps, shape), turned)
    whole: Tensor = torch.fft.irfft2(product, shape)
    first = [k - 1 for k in kernels.shape[-2:]]
    return whole[..., first[0] : maps.shape[-2], first[1] : maps.shape[-1]]


def timed(maps: int, width: int, rounds: int) -> dict[str, Any]:
    """Time both from `maps` maps to as many, with kernels of `width` squared, and compare what they give."""
    generator = torch.Generator()
    generator.manual_seed(0)
    image = torch.randn(1, maps, SIZES[maps], SIZES[maps], generator=generator)
    kernels = torch.randn(maps, maps, width, width, generator=generator)
    ways = {"direct": lambda: conv2d(image, kernels), "fft": lambda: by_fft(image, kernels)}
    direct, fft = ways["direct"](), ways["fft"]()  # the first call of each sets things up, and is not timed
    seconds = in_turn(ways, rounds, time.process_time)
    medians = {way: statistics.median(each) for way, each in seconds.items()}
    return {
        "maps": maps,
        "size": SIZES[maps],
        "width": width,
        "seconds": {way: float(f"{value:.3g}") for way, value in medians.items()},
        "range": {way: [float(f"{f(each):.3g}") for f in (min, max)] for way, each in seconds.items()},
        "direct_over_fft": float(f"{medians['direct'] / medians['fft']:.2g}"),
        "largest_difference": float(f"{((direct - fft).abs().max() / direct.abs().max()).item():.1e}"),
    }


def main() -> None:
    """Time all widths and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for maps in SIZES:
        for width in WIDTHS:
            rows.append(timed(maps, width, options.rounds))
            print(rows[-1], flush=True)
    write_result("convolution", {"rounds": options.rounds, "kernels": rows})


if __name__ == "__main__":
    main()
