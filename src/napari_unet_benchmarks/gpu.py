"""All that is to be measured on a graphics card, in one run of a few minutes.

    napari-unet benchmark gpu [--device auto] [--size 4096] [--rounds 3] [--steps 60]

- `exact`: how far maps and objects of the shipped models are from those of the CPU, exact and in fast mode
- `planes`, `volumes`: what `tiling` measures: the engine beside the bare network and MONAI, and the share of the peak
- `learning`: training steps a second, of planes and of volumes, in half precision where the card has units for it and
  in full

The CPU is a device, too: `--device cpu --size 512 --rounds 1 --steps 5` shows that all of it runs.
"""

from __future__ import annotations

import argparse
from functools import partial
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet import finetune, load_model, segment
from napari_unet.axes import Image
from napari_unet.io.readers import read_image
from napari_unet.learning.finetune import finetune_config
from napari_unet.models.model import resolve_device
from napari_unet_benchmarks import tiling
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from napari_unet.progress import Progress

SAMPLES = {"nuclei": ("nuclei.tif", "YX"), "nuclei3d": ("nuclei_stack.tif", "ZYX")}
"""Shipped models, and the sample that each is tried on; the frames of a film stand for slices."""

WARM_UP = 0.3
"""Share of the steps that are not timed: the first ones prepare kernels and memory."""


def agreement(name: str, sample: tuple[str, str], device: str) -> dict[str, Any]:
    """Return how far what a device finds is from what the CPU finds."""
    image, model = _sample(*sample), load_model(name)
    there = segment(image, model, device="cpu", keep_maps=True)
    figures = {}
    for mode in ("exact", "fast"):
        here = segment(image, model, device=device, mode=mode, keep_maps=True)
        assert there.maps is not None
        assert here.maps is not None
        figures[mode] = {
            "largest difference of a map": round(float(np.abs(here.maps - there.maps).max()), 6),
            "share of pixels of another foreground": round(float(np.mean((here.labels > 0) != (there.labels > 0))), 6),
            "objects": [there.n_objects, here.n_objects],
        }
    return figures


def steps_a_second(name: str, sample: tuple[str, str], device: str, steps: int) -> dict[str, float]:
    """Return how many training steps a device makes in a second, as the program chooses its precision, and in full."""
    image, model = _sample(*sample), load_model(name)
    labels = segment(image, model, device="cpu").labels
    found = {}
    for precision in ("auto", "full"):
        seconds: list[float] = []
        config = finetune_config(model, steps=steps, max_seconds=None, precision=precision)
        finetune(model, [image], [labels], config=config, device=device, progress=partial(_note, seconds))
        first = min(int(WARM_UP * len(seconds)), len(seconds) - 2)
        found[precision] = round((len(seconds) - 1 - first) / max(seconds[-1] - seconds[first], 1e-9), 3)
    return found


def _note(seconds: list[float], told: Progress) -> None:
    seconds.append(told.elapsed)


def _sample(name: str, axes: str) -> Image:
    with as_file(files("napari_unet") / "samples" / name) as path:
        return Image(np.asarray(read_image(path).data), axes)


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", type=int, default=4096, help="width of the plane, pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60, help="training steps, of which some are timed")
    arguments = parser.parse_args()
    device = str(resolve_device(arguments.device))
    figures: dict[str, Any] = {"device": device}
    figures["exact"] = {name: agreement(name, sample, device) for name, sample in SAMPLES.items()}
    print(figures["exact"], flush=True)
    figures["learning"] = {
        name: steps_a_second(name, sample, device, arguments.steps) for name, sample in SAMPLES.items()
    }
    print(figures["learning"], flush=True)
    for what, volume in (("planes", False), ("volumes", True)):
        size = min(arguments.size, 512) if volume else arguments.size
        figures[what] = tiling.run(size, arguments.rounds, device, volume)
    write_result("gpu", figures)


if __name__ == "__main__":
    main()
