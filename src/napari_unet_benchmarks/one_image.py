"""Where the time of a usual image goes: a shipped model on 1024 x 1024 pixels, from the array to its labels.

Everything is in seconds of one core (`time.process_time`, one thread), whatever else the machine does meanwhile.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet import load_model, segment
from napari_unet.axes import Image
from napari_unet.inference.diameter import with_diameter
from napari_unet.inference.in_memory import segment_task
from napari_unet.inference.task import make_task
from napari_unet.io.readers import read_image
from napari_unet.nets.blocked import folded
from napari_unet.nets.buffers import BUFFERS
from napari_unet.tiling.engine import predict_maps
from napari_unet_benchmarks.report import in_turn, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_unet.nets.unet import UNet

MODEL = "nuclei"
WIDTH = 1024
BARE_TILE = 512


def run(rounds: int) -> dict[str, Any]:
    """Measure, and return the figures.

    Parameters
    ----------
    rounds : int
        How often each part is measured, in turn with the others.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measured(rounds)
    finally:
        torch.set_num_threads(before)


def _measured(rounds: int) -> dict[str, Any]:
    model = load_model(MODEL)
    image = Image(_pixels(), "YX")
    with_size, _ = with_diameter(image, model, device="cpu")
    task = make_task(with_size, model, device="cpu")
    block = np.repeat(np.asarray(image.data, np.float32)[None] / np.float32(image.data.max()), 3, axis=0)
    kept = segment_task(task, device="cpu", keep_maps=True).maps
    assert kept is not None
    maps = kept[:, 0, 0]
    net = folded(model.net).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    bare: Callable[[], None] = partial(_bare, net, block)
    calls: dict[str, Callable[[], Any]] = {
        "array to labels": partial(segment, image, model, device="cpu"),
        "finding the diameter": partial(with_diameter, image, model, device="cpu"),
        "all the rest": partial(segment_task, task, device="cpu"),
        "bare network": bare,
        "engine": partial(predict_maps, model.net, block),
        "decoding": partial(task.decode, maps),
    }
    objects = calls["array to labels"]().n_objects  # each call once before, which prepares kernels and memory
    for call in calls.values():
        call()
    seconds = in_turn(calls, rounds, time.process_time)
    with BUFFERS:  # as in a folder: each image finds the memory of the one before
        calls["array to labels"]()
        seconds |= in_turn({"of many images": calls["array to labels"]}, rounds, time.process_time)
    whole = seconds["array to labels"]
    return {
        "model": MODEL,
        "sha256": model.sha256(),
        "pixels": [WIDTH, WIDTH],
        "zoom": [round(z, 3) for z in task.zoom],
        "objects": objects,
        "seconds of one core": {name: round(statistics.median(values), 3) for name, values in seconds.items()},
        "engine / bare": ratio(seconds["engine"], seconds["bare network"]),
        "array to labels / bare": ratio(whole, seconds["bare network"]),
        "decoding's share": ratio(seconds["decoding"], whole),
    }


def _pixels() -> NDArray[Any]:
    """Return the sample of nuclei, repeated in mirror images to the width that is measured."""
    with as_file(files("napari_unet") / "samples" / "nuclei.tif") as path:
        sample = np.asarray(read_image(path).data).squeeze()
    pads = [(0, max(0, WIDTH - n)) for n in sample.shape]
    return np.pad(sample, pads, mode="symmetric")[:WIDTH, :WIDTH]


def _bare(net: UNet, block: NDArray[np.float32]) -> None:
    """Run the network over every pixel once, in tiles without any overlap: wrong at their borders, and the floor."""
    pixels = torch.from_numpy(block)[None]
    with torch.inference_mode():
        for y in range(0, WIDTH, BARE_TILE):
            for x in range(0, WIDTH, BARE_TILE):
                tile = pixels[..., y : y + BARE_TILE, x : x + BARE_TILE]
                net(tile.contiguous(memory_format=torch.channels_last)).sigmoid_()
