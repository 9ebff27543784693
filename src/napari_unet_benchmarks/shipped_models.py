"""Score the shipped models on their validation images, against a classical pipeline tuned on their training images.

    napari-unet benchmark shipped_models --data DATA [--only nuclei cells ...] [--threads 2]

DATA: see `recipes/README.md`; what is trained, chosen and validated on say the recipes. Both segment every validation
image, on which nothing was tuned; the classical pipeline (`napari_unet_benchmarks.classical`: smoothing, Otsu's
threshold, watershed on the distance transform; for classes, thresholds between grey values and what is enclosed) has
all its parameters chosen on images of the splits "train" and "choose". Scores are pooled over the images of each kind.
An image of 1024 x 1024 is timed, from pixels to labels, in turn with the bare network. Models that are not measured
anew keep their figures, with the date and commit of their own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from napari_unet import load_model
from napari_unet_benchmarks.model_scores import run
from napari_unet_benchmarks.report import report
from napari_unet_benchmarks.results import RESULTS, write_result
from napari_unet_benchmarks.shipped import SHIPPED, recipe_of

if TYPE_CHECKING:
    from napari_unet_benchmarks.model_scores import Pairs


def by_kind(name: str, data: Path, most: int | None) -> tuple[dict[str, Pairs], dict[str, Pairs]]:
    """Return the files of a model's validation and training images by kind; classes are tuned on all kinds alike."""
    recipe = recipe_of(name)
    val: dict[str, list[tuple[Path, Path]]] = {}
    for pair in recipe.pairs(data, "val"):
        val.setdefault(pair.kind, []).append((pair.image, pair.labels))
    learned = [pair for split in ("train", "choose") for pair in recipe.pairs(data, split)]
    alike = not any(pair.kind in val for pair in learned)  # kinds that are animals: none is in both
    train = {kind: [(pair.image, pair.labels) for pair in learned if alike or pair.kind == kind][:most] for kind in val}
    return {kind: pairs[:most] for kind, pairs in val.items()}, dict(train)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=SHIPPED, default=list(SHIPPED))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--images", type=int, help="most images of a kind, to try it out; no result is written")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    path = RESULTS / "shipped_models-cpu.json"
    models = json.loads(path.read_text()).get("models", {}) if path.exists() else {}
    for name in arguments.only:
        print(f"\n== {name}", flush=True)
        found = run(load_model(name), *by_kind(name, arguments.data, arguments.images))
        models[name] = {key: report("", {})[key] for key in ("date", "commit")} | found
        if arguments.images is None:
            write_result("shipped_models", {"models": models})


if __name__ == "__main__":
    main()
