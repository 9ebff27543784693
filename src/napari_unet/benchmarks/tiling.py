"""The inference engine against the bare network, against MONAI's sliding window, and against one pass.

The network has random weights (16 features, three poolings, two maps): the time does not depend on them, and the errors
are those of a network whose whole receptive field matters.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.benchmarks.report import in_turn, ratio, report
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet
from napari_unet.objects.blocks import BlockStitcher
from napari_unet.objects.decode import Decoding, decode_instances
from napari_unet.tiling.budget import pixel_budget
from napari_unet.tiling.engine import Predictor, gather, run_plan
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_unet.tiling.plan import TilingPlan

SPEC = UNetSpec(ndim=2, in_channels=1, out_channels=2, features=16, levels=3)
TILE = 512
"""Width of MONAI's window, and of the view."""


def run(size: int = 2048, rounds: int = 5, device: str = "cpu", say: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, and return the figures.

    Parameters
    ----------
    size : int
        Width and height of the image, pixels; rounded up to a multiple of `TILE`.
    rounds : int
        How often each is measured, in turn with the others.
    device : str
        Where the network runs.
    say : callable
        Called with lines for people.
    """
    size = -(-size // TILE) * TILE
    net, image = _network(), _image(size)
    predictor = Predictor(net, device=device)
    plan = make_plan(SPEC, image.shape[1:], budget=pixel_budget(SPEC, predictor.device))
    say(f"{size}×{size}: {plan}")
    bare = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    width = _best_width(bare, size)
    calls: dict[str, Callable[[], Any]] = {
        "bare": lambda: _bare(bare, image, width),
        "engine": lambda: gather(plan, ArraySource(image), predictor),
    }
    monai = _monai(net, image, device)
    if monai is not None:
        calls["monai"] = monai
    for call in calls.values():  # the first call of each prepares kernels and memory
        call()
    seconds = in_turn(calls, rounds)
    whole = gather(make_plan(SPEC, image.shape[1:], budget=10**12), ArraySource(image), predictor)
    tiled = gather(plan, ArraySource(image), predictor)
    figures: dict[str, Any] = {
        "size": size,
        "plan": {"tiles": len(plan.tiles), "tile": list(plan.tile_shape), "halo": list(plan.halo), "work": plan.work},
        "bare_tile": width,
        "seconds": {name: [round(v, 3) for v in values] for name, values in seconds.items()},
        "engine / bare": ratio(seconds["engine"], seconds["bare"]),
        "largest error": float(np.abs(tiled - whole).max()),
        "labels that differ": float(np.mean(_decode(tiled) != _decode(whole))),
        "first tile in view, seconds": _first_in_view(plan, image, predictor),
        "decoding": _decoding(size, rounds),
    }
    if monai is not None:
        figures["engine / monai"] = ratio(seconds["engine"], seconds["monai"])
        # MONAI pads with zeros where this engine mirrors: compared is what no border of the image has a part in.
        inner = slice(plan.halo[0], size - plan.halo[0])
        figures["largest error of monai"] = float(np.abs(monai() - whole)[:, inner, inner].max())
    for name, value in figures.items():
        if name not in ("seconds", "plan", "size"):
            say(f"  {name:<28} {value}")
    return report("tiling", figures)


def _network() -> UNet:
    torch.manual_seed(0)
    net = UNet(SPEC).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net


def _image(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((1, size, size), np.float32)


def _bare(net: UNet, image: NDArray[np.float32], width: int) -> None:
    """Run the network over every pixel once, in tiles without any overlap: wrong at their borders, and the floor."""
    pixels, device = torch.from_numpy(image)[None], next(net.parameters()).device
    with torch.inference_mode():
        for y in range(0, image.shape[1], width):
            for x in range(0, image.shape[2], width):
                tile = pixels[..., y : y + width, x : x + width].to(device)
                net(tile.contiguous(memory_format=torch.channels_last)).cpu()


def _best_width(net: UNet, size: int) -> int:
    """Width of the tiles in which the bare network is fastest."""
    image = _image(min(size, 2048))
    widths = [width for width in (256, 512, 1024, 2048) if image.shape[1] % width == 0]
    seconds = in_turn({str(w): partial(_bare, net, image, w) for w in widths}, 2)
    return int(min(seconds, key=lambda name: min(seconds[name])))


def _monai(net: UNet, image: NDArray[np.float32], device: str) -> Callable[[], NDArray[np.float32]] | None:
    try:
        from monai.inferers import sliding_window_inference
    except ImportError:
        return None
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def call() -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.from_numpy(image)[None].to(device)
            logits = sliding_window_inference(batch, (TILE, TILE), 1, net, overlap=0.25, mode="gaussian")
            return np.asarray(torch.sigmoid(torch.as_tensor(logits))[0].cpu().numpy())

    return call


def _first_in_view(plan: TilingPlan, image: NDArray[np.float32], predictor: Predictor) -> float:
    """Seconds from the call to the first finished tile in the middle of the image."""
    begin = time.perf_counter()
    middle = tuple(n / 2 for n in plan.shape)
    next(run_plan(plan, ArraySource(image), predictor, lambda: middle))
    return round(time.perf_counter() - begin, 3)


def _objects(size: int) -> NDArray[np.float32]:
    """Return maps of round objects on a grid that nearly touch, as many as a dense culture has."""
    y, x = np.indices((size, size), np.float32)
    away = np.hypot((y % 28) - 14, (x % 28) - 14) / 13
    return np.stack([(away < 1).astype(np.float32), np.clip(1 - away, 0, 1)])


def _decode(maps: NDArray[np.float32]) -> NDArray[np.int32]:
    return decode_instances(maps, ("foreground", "distance"), Decoding())


def _decoding(size: int, rounds: int) -> dict[str, Any]:
    """Time from maps to objects, at once and in stitched blocks, on maps with many objects."""
    objects = _objects(size)

    def blocks() -> None:
        stitcher = BlockStitcher(objects.shape[1:], (1024, 1024), 48)
        for block in stitcher.blocks():
            stitcher.add(block, _decode(objects[(slice(None), *block.seen)]))

    seconds = in_turn({"whole": lambda: _decode(objects), "blocks": blocks}, min(rounds, 3))
    return {
        "objects": int(_decode(objects).max()),
        "seconds, at once": round(min(seconds["whole"]), 3),
        "blocks / at once": ratio(seconds["blocks"], seconds["whole"]),
    }
