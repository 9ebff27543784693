"""What a few corrections do: to the field corrected, to others like it, and to what the model knew before.

    napari-unet benchmark learning --data DATA [--steps 40]

On each of the five fields of the sample stack the shipped model's worst objects (by wrong pixels) are redrawn from the
reference masks, as a person would, and the model learns from them for a fixed number of steps. Scored are the other
four fields and, for forgetting, a part of `nuclei_dsb2018/val` (DATA: see `recipes/nuclei.py`). Ways to learn:

- `corrected`: from the corrected objects, as the window does
- `reviewed`: from the whole field, as after correcting everything in it and pressing Reviewed; a part of it is kept
  aside
- `all the way`: as `corrected`, without going back a part of the way where that forgets too much; and so
- `all the way, no ...`: without holding on to the rest (`distillation`), without patches of the data that the model was
  first trained on (`replay`), with the last weights instead of their running mean (`ema`), or
  with one rate for all levels of the network (`depth_rate`)
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch

from napari_unet import evaluate, load_model, segment
from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.finetune import finetune_config, finetune_steps
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.split import split_annotations
from napari_unet.objects.stitch import best_matches
from napari_unet.progress import drive
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from napari_unet.models.model import Model

OBJECTS = 3
WAYS: dict[str, dict[str, float]] = {
    "corrected": {},
    "reviewed": {},
    "all the way": {},
    "all the way, no distillation": {"distillation": 0.0},
    "all the way, no replay": {"replay": 0.0},
    "all the way, no ema": {"ema": 0.0},
    "all the way, one rate": {"depth_rate": 1.0},
}
SAMPLES = files("napari_unet") / "samples"


def corrected(labels: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, Corrections]:
    """Labels (T, Z, Y, X) with the worst objects redrawn, and the corrections that this makes."""
    best, sizes_truth = best_matches(truth, labels), np.bincount(truth.ravel())
    corrections = Corrections((1, 1, *labels.shape))
    corrections.prediction[0, 0] = labels
    labels = labels.copy()
    for worst in sorted(best, key=lambda i: (best[i][0] - 1) * sizes_truth[i])[:OBJECTS]:
        iou, label = best[worst]
        label = label if iou > 0.3 else int(labels.max()) + 1
        labels[labels == label] = 0
        labels[truth == worst] = label
    return labels[None, None], corrections


def learn(
    model: Model, pixels: np.ndarray, labels: np.ndarray, corrections: Corrections, way: str, steps: int
) -> Model:
    """Return what a way of learning makes of the model."""
    corrections.update(labels)
    image = Image(pixels, "YX")
    crops = annotated_crops(image, labels, corrections, model)
    settings: dict[str, Any] = {"steps": steps} | WAYS[way]
    if not way.startswith("all the way"):
        return drive(learning_steps(model, crops, None, "cpu", settings=settings), lambda _: None).model
    config = finetune_config(model, max_seconds=None, **settings)
    return drive(finetune_steps(model, split_annotations(model, crops).samples, config, "cpu"), lambda _: None)


def score(model: Model, images: list[np.ndarray], truths: list[np.ndarray]) -> dict[str, float]:
    """AP at two IoUs, pooled."""
    predicted = [segment(image, model, axes="YX", device="cpu").labels for image in images]
    ap = evaluate(truths, predicted).to_dict()["ap"]
    return {"0.50": round(ap["0.50"], 4), "0.75": round(ap["0.75"], 4)}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = load_model("nuclei")
    stack = list(tifffile.imread(str(SAMPLES / "nuclei_stack.tif")))
    truths = list(tifffile.imread(str(SAMPLES / "nuclei_stack_reference.tif")).astype(np.int32))
    paths = sorted((arguments.data / "nuclei_dsb2018" / "val" / "images").glob("fluorescence*.tif"))[::3]
    known = [tifffile.imread(path) for path in paths]
    known_truths = [tifffile.imread(path.parents[1] / "labels" / path.name) for path in paths]
    predicted = [segment(image, model, axes="YX", device="cpu").labels for image in stack]
    rows: dict[str, list[dict[str, Any]]] = {way: [] for way in arguments.ways}
    base_known = score(model, known, known_truths)
    for index in range(len(stack)):
        others = [i for i in range(len(stack)) if i != index]
        images, labels = [stack[i] for i in others], [truths[i] for i in others]
        before = score(model, images, labels)
        for way in arguments.ways:
            if way.startswith("reviewed"):
                target = truths[index][None, None]
                corrections = Corrections(target.shape)
                corrections.prediction[0, 0] = predicted[index]
                corrections.reviewed[:] = True
            else:
                target, corrections = corrected(predicted[index], truths[index])
            better = learn(model, stack[index], target, corrections, way, arguments.steps)
            own = score(better, [stack[index]], [truths[index]])
            after, known_after = score(better, images, labels), score(better, known, known_truths)
            rows[way].append({"field": index, "own": own, "before": before, "after": after, "known": known_after})
            print(f"field {index}, {way}: own {own} others {before} -> {after}; known {base_known} -> {known_after}")
    print(f"\nmean AP at IoU 0.5 and 0.75 over {len(stack)} fields, {arguments.steps} steps")
    summary = {}
    for way, found in rows.items():
        means = {
            f"{part} {iou}": round(float(np.mean([row[part][iou] for row in found])), 4)
            for part in ("before", "after", "known")
            for iou in ("0.50", "0.75")
        }
        summary[way] = means
        print(f"  {way:<20} {means}")
    figures = {"steps": arguments.steps, "objects": OBJECTS, "known before": base_known, "summary": summary}
    write_result("learning", figures | {"fields": rows})


if __name__ == "__main__":
    main()
