"""How much of what a device can do the 2015 U-Net gets out of it.

The yardstick is measured beside it: the multiplications per second of two large matrices, in the same precision.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_unet.nets.blocked import folded
from napari_unet.nets.geometry import input_size
from napari_unet.nets.spec import unet2015
from napari_unet.nets.unet import UNet
from napari_unet.tiling.engine import Predictor
from napari_unet_benchmarks.report import in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPEC = unet2015()

IMAGE = 512
"""Width, in pixels, of the image whose result is wanted; more is read, for the network is a ``valid`` one."""

MATRIX = {"cpu": 4096, "mps": 4096, "cuda": 8192}
"""Rows and columns of the matrices, so many that a device is busy with nothing else."""

PRECISIONS = {"cpu": ("float32",), "mps": ("float32", "half"), "cuda": ("float32", "tf32", "half")}


def run(device: torch.device, rounds: int) -> dict[str, Any]:
    """Measure, and return the figures.

    Parameters
    ----------
    device : torch.device
    rounds : int
        How often each is measured, in turn with the others; the best time of each counts.
    """
    torch.manual_seed(0)
    net = UNet(SPEC).eval().requires_grad_(False)
    width = input_size(SPEC, IMAGE)
    image = np.random.default_rng(0).random((SPEC.in_channels, width, width), np.float32)
    work = _floating_point_operations(net, image.shape)
    rows = MATRIX[device.type]
    matrix = torch.rand(rows, rows, device=device)
    bare = folded(net).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = torch.from_numpy(image)[None].to(device, memory_format=torch.channels_last)
    calls: dict[str, Callable[[], Any]] = {}
    for precision in PRECISIONS[device.type]:
        calls[f"matrix {precision}"] = partial(_timed, device, precision, lambda: matrix @ matrix)
        calls[f"network {precision}"] = partial(_timed, device, precision, lambda: bare(batch))
    modes = {"exact": True} if device.type == "cpu" else {"exact": True, "fast": False}
    for mode, exact in modes.items():
        calls[mode] = partial(Predictor(net, device=device, exact=exact), image)
    for call in calls.values():  # the first call of each prepares kernels and memory
        call()
    seconds = {name: min(values) for name, values in in_turn(calls, rounds).items()}
    figures: dict[str, Any] = {"reads": [width, width], "GFLOP": round(work / 1e9, 1)}
    for precision in PRECISIONS[device.type]:
        peak = 2 * rows**3 / seconds[f"matrix {precision}"]
        figures[precision] = {
            "matrix peak, GFLOP/s": round(peak / 1e9, 1),
            "share of it": round(work / seconds[f"network {precision}"] / peak, 3),
        }
    for mode in modes:
        figures[f"host to result, {mode}"] = {
            "seconds": round(seconds[mode], 4),
            f"images of {IMAGE}x{IMAGE} per second": round(1 / seconds[mode], 3),
        }
    return figures


def _floating_point_operations(net: UNet, shape: tuple[int, ...]) -> int:
    """Count what a pass takes, a multiplication and an addition being two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        copy.deepcopy(net).to("meta")(torch.empty((1, *shape), device="meta"))
    return int(counter.get_total_flops())


def _timed(device: torch.device, precision: str, compute: Callable[[], torch.Tensor]) -> float:
    """Compute something in a precision, and wait for one of its values."""
    with torch.inference_mode(), _arithmetic(device, precision):
        return float(compute().flatten()[0])


@contextmanager
def _arithmetic(device: torch.device, precision: str) -> Iterator[None]:
    """Have a device compute in that precision and no other."""
    with ExitStack() as stack:
        if device.type == "cuda":
            matmul, before = torch.backends.cuda.matmul, torch.backends.cuda.matmul.allow_tf32
            matmul.allow_tf32 = precision == "tf32"
            stack.callback(setattr, matmul, "allow_tf32", before)
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=precision == "tf32"))
        if precision == "half":
            stack.enter_context(torch.autocast(device.type, torch.float16))
        yield
