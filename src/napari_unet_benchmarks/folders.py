"""A folder of many small images: what several at once gain, and what it costs to know what is finished.

    napari-unet benchmark folders --data DATA [--images N] [--rounds N] [--smoke]

DATA: see `recipes/nuclei.py`. The first images of a plate (BBBC039) are segmented one after the other with all cores,
one after the other with one core, and as many at once as there are cores with one each, in turn. Then the folder is
gone through again when all is finished. Last, one image is segmented in new processes with all cores, in which idle
threads sleep (as the command line has it), or keep their cores busy for a while (as OpenMP does by default). No number
of the program was chosen by this. `--smoke`: two images, one round, and no file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet import load_model
from napari_unet.errors import UNetError
from napari_unet.inference.folder import segment_files
from napari_unet.inference.options import SegmentOptions
from napari_unet.inference.resume import ResultFolder
from napari_unet.io.jobs import plan_files
from napari_unet.io.readers import image_files, read_labels
from napari_unet.progress import Stopwatch
from napari_unet_benchmarks.report import in_turn, ratio
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.models.model import Model

MODEL = "nuclei"
IMAGES = Path("nuclei_bbbc039") / "val" / "images"
OPTIONS = SegmentOptions(device="cpu")


def segmented(model: Model, images: list[Path], out: Path, at_once: int, threads: int) -> int:
    """Segment images into an empty folder; return the number of objects."""
    shutil.rmtree(out, ignore_errors=True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    results, found = ResultFolder(out, MODEL, OPTIONS), 0
    try:
        for _, outcome in segment_files(plan_files(images, out), model, OPTIONS, results=results, at_once=at_once):
            if isinstance(outcome, UNetError):
                raise outcome
            found += outcome["n_objects"]
    finally:
        torch.set_num_threads(before)
    return found


def finished(images: list[Path], out: Path) -> int:
    """Find out which images are finished, and return how many."""
    results = ResultFolder(out, MODEL, OPTIONS)
    return sum(results.standing(job).finished for job in plan_files(images, out))


NETWORK = """
import sys, time
import torch
from napari_unet import load_model
from napari_unet.io.readers import read_image
from napari_unet.tiling.engine import predict_maps
torch.set_num_threads(int(sys.argv[2]))
net, image = load_model(sys.argv[3]).net, read_image(sys.argv[1]).read(0, slice(0, 1), slice(None), slice(None), (0,))
block = (image.repeat(3, axis=0)[:, 0] / image.max()).astype("float32")
predict_maps(net, block)
begin = time.perf_counter()
for _ in range(3):
    predict_maps(net, block)
print((time.perf_counter() - begin) / 3)
"""


def waiting(image: Path, rounds: int) -> dict[str, Any]:
    """Time the network where idle threads sleep, and where they do not, in turn."""
    cores, seconds = os.cpu_count() or 1, dict[str, list[float]](passive=[], default=[])
    for _ in range(rounds):
        for policy, found in seconds.items():
            rest = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
            done = subprocess.run(
                [sys.executable, "-c", NETWORK, str(image), str(cores), MODEL],
                env=rest | ({"OMP_WAIT_POLICY": "PASSIVE"} if policy == "passive" else {}),
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.append(float(done.stdout))
    return {
        "seconds": {policy: [round(v, 3) for v in found] for policy, found in seconds.items()},
        "default / passive": ratio(seconds["default"], seconds["passive"]),
    }


def run(data: Path, n_images: int, rounds: int) -> dict[str, Any]:
    """Measure, and return the figures."""
    cores, model = os.cpu_count() or 1, load_model(MODEL)
    images = image_files(data / IMAGES)[:n_images]
    with tempfile.TemporaryDirectory() as folder:
        out = {name: Path(folder) / name for name in ("cores", "one", "several")}
        calls: dict[str, Callable[[], Any]] = {
            "one after the other, all cores": partial(segmented, model, images, out["cores"], 1, cores),
            "one after the other, one core": partial(segmented, model, images, out["one"], 1, 1),
            "as many at once as cores, one each": partial(segmented, model, images, out["several"], cores, cores),
        }
        objects = {name: call() for name, call in calls.items()}  # prepares kernels and memory, too
        seconds = in_turn(calls, rounds)
        labels = [[read_labels(path) for path in sorted(one.glob("*.tif"))] for one in out.values()]
        same = all(np.array_equal(a, b) for other in labels[1:] for a, b in zip(labels[0], other, strict=True))
        watch = Stopwatch()
        n_finished = finished(images, out["several"])
        looking = watch.seconds
    first, one, several = seconds.values()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "images": len(images),
        "objects": objects,
        "the same pixels of each object": same,
        "seconds": {name: [round(v, 2) for v in values] for name, values in seconds.items()},
        "several at once / all cores": ratio(several, first),
        "several at once / one core": ratio(several, one),
        "other programs at work (load)": None if load is None else round(load, 1),
        "idle threads": waiting(images[0], rounds),
        "found finished": n_finished,
        "seconds for an image that is finished": round(looking / len(images), 4),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.images, arguments.rounds = 2, 1
    figures = run(arguments.data, arguments.images, arguments.rounds)
    for name, value in figures.items():
        print(f"{name}: {value}", flush=True)
    if not arguments.smoke:
        write_result("folders", figures)


if __name__ == "__main__":
    main()
