"""What learning does in volumes of kinds that `nuclei3d` does not know.

    napari-unet benchmark volumes --data DATA [--steps 400] [--learn-steps 200] [--only small ...] [--window]

Two ways: `train` on two labelled volumes of a kind, and the window's Learn after eight wrong objects of one volume were
drawn anew. Scored (AP at IoU 0.5, pooled over objects) are the volumes that were learned from and two others; then what
is still found in volumes of the kind that `nuclei3d` knows. With `--window` only the second way. Kinds: `volume_kinds`.
Steps and not seconds, so that the figures are the same on a machine that is busy with something else. One thread, on
the CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet import evaluate, segment
from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.dense import train_steps, training_config
from napari_unet.learning.interactive import learning_steps
from napari_unet.models.store import load_model
from napari_unet.objects.stitch import best_matches
from napari_unet.progress import drive
from napari_unet_benchmarks.intervals import share_interval
from napari_unet_benchmarks.results import write_result
from napari_unet_benchmarks.volume_kinds import KINDS, KNOWN, embryo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_unet.learning.interactive import Learned
    from napari_unet.models.model import Model
    from napari_unet_benchmarks.volume_kinds import Volume, VolumeKind

BASE = "nuclei3d"
OBJECTS = 8
GOOD = 0.75
"""Intersection over union from which on a person leaves an object as it is."""
COVERED = 0.25
"""Share of an object's voxels that lie in one that was found and is none, from which on a person deletes that one."""


def score(model: Model, volumes: Sequence[Volume]) -> dict[str, Any]:
    """Return AP at IoU 0.5 of all volumes, its 95 % interval over objects, and of each volume how many it found."""
    found = [segment(one.image, model, axes="ZYX", device="cpu").labels for one in volumes]
    hits = total = 0
    for one, labels in zip(volumes, found, strict=True):
        right = sum(iou > 0.5 for iou, _ in best_matches(one.labels, labels).values())
        hits, total = hits + right, total + one.objects + int(labels.max()) - right
    return {
        "AP": round(hits / total, 3),
        "interval": share_interval(hits, total),
        "objects": sum(one.objects for one in volumes),
        "each": [
            round((evaluate([one.labels], [f]).ap or {})["0.50"], 3) for one, f in zip(volumes, found, strict=True)
        ],
        "found": [int(labels.max()) for labels in found],
    }


def _ap(truth: NDArray[Any], labels: NDArray[Any]) -> float:
    ap = evaluate([truth], [labels]).ap
    assert ap is not None  # of instances
    return round(ap["0.50"], 3)


def trained(volumes: Sequence[Volume], steps: int) -> Model:
    """Return what `train` makes of the model in so many steps."""
    model = load_model(BASE)
    config = training_config(model, scratch=False, steps=steps, max_seconds=None, seed=0)
    images = [Image(one.image, "ZYX", name=f"volume {i}") for i, one in enumerate(volumes, start=1)]
    run = train_steps(model, images, [one.labels for one in volumes], config, device="cpu")
    return drive(run, lambda report: None)


def corrected(truth: NDArray[Any], predicted: NDArray[Any], n: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return the labels after so many wrong objects, drawn at random, were drawn anew in all their slices.

    What was found there is deleted first, as a person does: pieces of the object, and what covers it and is none.
    """
    labels = predicted.astype(np.int32)
    matches = best_matches(truth, predicted)
    right = [found for iou, found in matches.values() if iou > 0.5]
    wrong = [true for true, (iou, _) in matches.items() if iou < GOOD]
    for true in rng.permutation(wrong)[:n]:
        mask = truth == true
        sizes, inside = np.bincount(labels.ravel()), np.bincount(labels[mask], minlength=labels.max() + 1)
        covers = (inside > COVERED * mask.sum()) & ~np.isin(np.arange(len(inside)), right)
        pieces = np.flatnonzero((inside > sizes / 2) | covers & (np.arange(len(inside)) <= predicted.max()))
        labels[np.isin(labels, pieces[pieces > 0])] = 0
        labels[mask] = labels.max() + 1
    return labels


def learned(volume: Volume, steps: int, seed: int = 0) -> Learned:
    """Return what the window's Learn makes of the model after `OBJECTS` corrections, in so many steps."""
    model = load_model(BASE)
    image = Image(volume.image, "ZYX")
    predicted = segment(volume.image, model, axes="ZYX", device="cpu").labels
    labels = corrected(volume.labels, predicted, OBJECTS, np.random.default_rng(seed))
    corrections = Corrections((1, *labels.shape))
    corrections.prediction[0], corrections.seen[:] = predicted, True
    corrections.update(labels[None])
    crops = annotated_crops(image, labels[None], corrections, model)
    return drive(learning_steps(model, crops, None, "cpu", settings={"steps": steps}), lambda event: None)


def measure(kind: VolumeKind, data: Path, steps: int, learn_steps: int) -> dict[str, Any]:
    """Return the figures of one kind; with no steps of `train`, those of the window."""
    own, others = kind.volumes(data)
    before = load_model(BASE)
    window = learned(own[0], learn_steps)
    served = window.model if window.verdict.should_promote() else before
    figures: dict[str, Any] = {
        "settings were chosen on it": kind.chosen,
        "before": {
            "corrected": score(before, own[:1]),
            "learned from": score(before, own),
            "others": score(before, others),
        },
        "8 corrections": {
            "corrected": score(window.model, own[:1]),
            "others": score(window.model, others),
            "in use, others": score(served, others),
            "verdict": str(window.verdict),
        },
    }
    last = window.model
    if steps:
        last = trained(own, steps)
        figures["train"] = {"learned from": score(last, own), "others": score(last, others)}
    figures["embryos"] = {"before": score(before, known(data)), "after": score(last, known(data))}
    return figures


def known(data: Path) -> list[Volume]:
    """Return the volumes on which what is forgotten shows."""
    return [embryo(data, name) for name in KNOWN]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400, help="of train")
    parser.add_argument("--learn-steps", type=int, default=200, help="of Learn")
    parser.add_argument("--only", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--dry", action="store_true", help="write no result")
    parser.add_argument("--window", action="store_true", help="corrections in the window only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    steps, summary = 0 if arguments.window else arguments.steps, {}
    print(f"{'':<10}{'':<14}{'before':>8}{'train':>8}{'8 corrections':>15}")
    for name in arguments.only:
        one = summary[name] = measure(KINDS[name], arguments.data, steps, arguments.learn_steps)
        window, train = one["8 corrections"], one.get("train", {})
        for what, after in (("learned from", window["corrected"]), ("others", window["others"])):
            by_train = train.get(what, {"AP": "-"})["AP"]
            print(f"{name:<10}{what:<14}{one['before'][what]['AP']:>8}{by_train:>8}{after['AP']:>15}")
        embryos = one["embryos"]
        print(f"{name:<10}{'embryos':<14}{embryos['before']['AP']:>8}{embryos['after']['AP']:>8}", flush=True)
    if not arguments.dry:
        limits = {"steps": steps, "learn steps": arguments.learn_steps, "threads": 1}
        write_result("volumes_window" if arguments.window else "volumes", limits | {"summary": summary})


if __name__ == "__main__":
    main()
