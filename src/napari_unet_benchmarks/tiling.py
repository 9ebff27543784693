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

from napari_unet.inference.steps import TileDone, segment_steps
from napari_unet.inference.task import as_image, make_task
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model, resolve_device
from napari_unet.nets.spec import UNetSpec
from napari_unet.nets.unet import UNet
from napari_unet.objects.blocks import BlockStitcher
from napari_unet.objects.decode import Decoding, decode_instances
from napari_unet.tiling.budget import pixel_budget
from napari_unet.tiling.engine import Predictor, gather
from napari_unet.tiling.plan import make_plan
from napari_unet.tiling.source import ArraySource
from napari_unet_benchmarks import one_image, peak
from napari_unet_benchmarks.report import in_turn, ratio, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SPECS = {ndim: UNetSpec(ndim=ndim, in_channels=1, out_channels=2, features=16, levels=3) for ndim in (2, 3)}

WINDOW = {2: (512, 512), 3: (64, 128, 128)}
"""MONAI's window, and what of a plane is in view."""

WIDTHS = {2: (256, 512, 1024, 2048), 3: (64, 128, 256)}
"""Widths of the tiles among which the bare network's fastest is looked for, those that divide the image."""


def run(
    size: int = 4096,
    rounds: int = 5,
    device: str = "cpu",
    volume: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure, and return the figures.

    Parameters
    ----------
    size : int
        Width and height of the image, pixels; rounded up to a multiple of the window.
    rounds : int
        How often each is measured, in turn with the others.
    device : str
        Where the network runs; "auto" for the fastest.
    volume : bool
        A volume of 64 slices and a network in three dimensions, instead of a plane.
    say : callable
        Called with lines for people.
    """
    device = str(resolve_device(device))
    spec = SPECS[3 if volume else 2]
    window = WINDOW[spec.ndim]
    size = -(-size // window[-1]) * window[-1]
    shape = (*window[: spec.ndim - 2], size, size)
    net, image = _network(spec), np.random.default_rng(0).random((1, *shape), np.float32)
    predictor = Predictor(net, device=device)
    plan = make_plan(spec, shape, budget=pixel_budget(spec, predictor.device))
    say(f"{'×'.join(map(str, shape))}: {plan}")
    bare = net.to(device, memory_format=_layout(spec))  # type: ignore[call-overload]
    width = _best_width(bare, image)
    calls: dict[str, Callable[[], Any]] = {
        "bare": lambda: _bare(bare, image, width),
        "engine": lambda: gather(plan, ArraySource(image), predictor),
    }
    monai = _monai(bare, image)
    if monai is not None:
        calls["monai"] = monai
    for call in calls.values():  # the first call of each prepares kernels and memory
        call()
    seconds = in_turn(calls, rounds)
    whole = gather(make_plan(spec, shape, budget=10**12), ArraySource(image), predictor)
    tiled = gather(plan, ArraySource(image), predictor)
    figures: dict[str, Any] = {
        "shape": list(shape),
        "plan": {
            "text": str(plan), "tiles": len(plan.tiles), "tile": list(plan.tile_shape), "halo": list(plan.halo),
            "work": round(plan.work, 3),
        },
        "bare_tile": width,
        "seconds": {name: [round(v, 3) for v in values] for name, values in seconds.items()},
        "engine / bare": ratio(seconds["engine"], seconds["bare"]),
        "largest error": float(np.abs(tiled - whole).max()),
        "labels that differ": float(np.mean(_decode(tiled) != _decode(whole))),
    }  # fmt: skip
    if monai is not None:
        figures["engine / monai"] = ratio(seconds["engine"], seconds["monai"])
        figures["largest error of monai"] = _inner_error(monai(), whole, plan.halo)
    if not volume:
        figures["view complete, seconds"] = _view_complete(net, image, device, rounds)
        figures["decoding"] = _decoding(size, min(rounds, 3))
        figures["a usual image"] = one_image.run(rounds)
        figures["unet 2015"] = peak.run(predictor.device, min(rounds, 3))
    for name, value in figures.items():
        if name not in ("seconds", "plan", "shape"):
            say(f"  {name:<28} {value}")
    return report("tiling", figures)


def _network(spec: UNetSpec) -> UNet:
    torch.manual_seed(0)
    net = UNet(spec).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return net


def _layout(spec: UNetSpec) -> torch.memory_format:
    return torch.channels_last if spec.ndim == 2 else torch.channels_last_3d


def _bare(net: UNet, image: NDArray[np.float32], width: int) -> None:
    """Run the network over every pixel once, in tiles without any overlap: wrong at their borders, and the floor."""
    pixels, device, layout = torch.from_numpy(image)[None], next(net.parameters()).device, _layout(net.spec)
    with torch.inference_mode():
        for y in range(0, image.shape[-2], width):
            for x in range(0, image.shape[-1], width):
                tile = pixels[..., y : y + width, x : x + width].to(device)
                net(tile.contiguous(memory_format=layout)).cpu()


def _best_width(net: UNet, image: NDArray[np.float32]) -> int:
    """Width of the tiles in which the bare network is fastest."""
    part = image[..., :2048, :2048]
    widths = [width for width in WIDTHS[net.spec.ndim] if part.shape[-1] % width == 0] or [part.shape[-1]]
    seconds = in_turn({str(width): partial(_bare, net, part, width) for width in widths}, 2)
    return int(min(seconds, key=lambda name: min(seconds[name])))


def _monai(net: UNet, image: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]] | None:
    try:
        from monai.inferers import sliding_window_inference
    except ImportError:
        return None
    window, device = WINDOW[net.spec.ndim], next(net.parameters()).device

    def call() -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.from_numpy(image)[None].to(device)
            logits = sliding_window_inference(batch, window, 1, net, overlap=0.25, mode="gaussian")
            return np.asarray(torch.sigmoid(torch.as_tensor(logits))[0].cpu().numpy())

    return call


def _inner_error(maps: NDArray[np.float32], whole: NDArray[np.float32], halo: tuple[int, ...]) -> float:
    """Largest error of MONAI, which pads with zeros where this engine mirrors: where no border has a part in it.

    Along Z, where that is nowhere, the middle slice is compared.
    """
    sizes = zip(whole.shape[1:], halo, strict=True)
    inner = [slice(w, n - w) if n > 2 * w else slice(n // 2, n // 2 + 1) for n, w in sizes]
    return float(np.abs(maps - whole)[(slice(None), *inner)].max())


def _view_complete(net: UNet, image: NDArray[np.float32], device: str, rounds: int) -> list[float]:
    """Seconds from the call until there are objects in all of what is in view, in the middle of the image."""
    info = ModelInfo(name="random", spec=net.spec, outputs=("foreground", "distance"))
    task = make_task(as_image(image[0], "YX"), Model(net.to("cpu"), info), device=device)
    middle = (0, 0, image.shape[-2] / 2, image.shape[-1] / 2)
    seconds = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        missing = np.ones(image.shape[-2:], bool)
        middles = [n // 2 for n in image.shape[-2:]]
        view = tuple(slice(m - w // 2, m + w // 2) for m, w in zip(middles, WINDOW[2], strict=True))
        for event in segment_steps(task, device=device, focus=lambda: middle):
            missing[event.region[1:] if isinstance(event, TileDone) else ...] = False
            if not missing[view].any():
                break
        seconds.append(round(time.perf_counter() - begin, 3))
    return seconds[1:]


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

    seconds = in_turn({"whole": lambda: _decode(objects), "blocks": blocks}, rounds)
    return {
        "objects": int(_decode(objects).max()),
        "seconds, at once": round(min(seconds["whole"]), 3),
        "blocks / at once": ratio(seconds["blocks"], seconds["whole"]),
    }
