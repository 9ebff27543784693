"""Averaging over mirror images: what it gains, and what it costs.

    napari-unet benchmark flips --data DATA [--model NAME ...] [--smoke]

DATA: see `recipes/nuclei.py`. The shipped models segment their validation images plainly and averaged over four
mirrorings; objects are scored by AP, classes by Dice, and both are timed in turn, image by image. `--model`: some of
them, the others stay in the file as they are. `--smoke`: one image of each model, and no file.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_unet import evaluate, load_model, segment
from napari_unet.io.readers import read_image, read_labels
from napari_unet.models.store import list_models
from napari_unet.progress import Stopwatch
from napari_unet_benchmarks.results import RESULTS, write_result
from napari_unet_benchmarks.shipped import recipe_of

if TYPE_CHECKING:
    import numpy as np

    from napari_unet.models.model import Model

WAYS = {"plain": False, "flips": True}
MAX_IMAGES = 40
"""Images of a kind that are scored: of more, every so many-th."""


def scores(model: Model, truth: list[np.ndarray], found: list[np.ndarray]) -> dict[str, Any]:
    """Return what a model is scored by."""
    every = evaluate(truth, found, task=model.info.task).to_dict()
    if not model.info.finds_objects:
        return {f"Dice {model.info.classes[int(c)]}": round(v, 4) for c, v in every["dice_per_class"].items()}
    return {f"AP {iou}": round(every["ap"][iou], 4) for iou in ("0.50", "0.75", "0.90")} | {"PQ": round(every["pq"], 4)}


def compared(name: str, data: Path, most: int) -> dict[str, Any]:
    """Segment the validation images of a model both ways, and score them by kind."""
    model, rows = load_model(name), {}
    pairs: dict[str, list[Any]] = {}
    for pair in recipe_of(name).pairs(data, "val"):
        pairs.setdefault(pair.kind, []).append(pair)
    ratios: list[float] = []
    for kind, ones in pairs.items():
        truth: list[np.ndarray] = []
        found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
        for pair in ones[:: -(-len(ones) // most)]:
            image, seconds = read_image(pair.image), {}
            truth.append(image.canonical_labels(read_labels(pair.labels)))
            for way, flips in WAYS.items():
                watch = Stopwatch()
                result = segment(image, model, device="cpu", flips=flips)
                seconds[way] = watch.seconds
                found[way].append(image.canonical_labels(result.labels))
            ratios.append(seconds["flips"] / seconds["plain"])
        rows[kind] = {"images": len(truth)} | {way: scores(model, truth, labels) for way, labels in found.items()}
        print(f"{name} {kind} {rows[kind]}", flush=True)
    cost = {
        "median": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "most": round(max(ratios), 2),
    }
    print(f"{name}: {cost} times as long", flush=True)
    return {"sha256": model.sha256(), "times as long": cost, "kinds": rows}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", nargs="*", default=[one.name for one in list_models() if one.shipped])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    file = RESULTS / "flips-cpu.json"
    before = json.loads(file.read_text())["models"] if file.exists() else {}
    done = {name: compared(name, arguments.data, 1 if arguments.smoke else MAX_IMAGES) for name in arguments.model}
    figures = {"models": before | done}
    if not arguments.smoke:
        write_result("flips", figures)


if __name__ == "__main__":
    main()
