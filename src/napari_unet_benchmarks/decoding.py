"""Which maps should tell touching objects apart? Four ways, the same network, the same patches, the same steps.

    napari-unet benchmark decoding --data DATA [--steps 480] [--keep RUNS] [--only distance classes flows offsets]

DATA: see `recipes/nuclei.py`; fluorescence images only, split as there: learned from are those of "train", thresholds
are chosen on those of "choose" (the best mean AP at IoU 0.50, 0.70 and 0.80), and scored are those of "val". The ways
stand in `_decodings.py`, the training in `_training.py`. Told of each:

- average precision, its difference from `distance` with an interval that holds 95 of 100 draws of the images (it says
  nothing of another seed), panoptic quality, and milliseconds to decode an image of 256 x 256, measured in turn
- with five corrected objects in an image otherwise unlabelled, and with a reviewed field of 128 x 128: the share of the
  supervised pixels where what separates objects follows from them alone. The rest cannot be learned from
- what 40 steps from five corrected objects do to the other objects of the image and to other images. Corrected are
  those that all ways together find worst, in the validation images with the most objects

With --keep, trained networks stay in that folder and are not trained again, so that it can be done in pieces.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy import ndimage

from napari_unet import evaluate
from napari_unet.corrections.corrections import RING
from napari_unet.io.readers import read_image, read_labels
from napari_unet.objects.stitch import best_matches
from napari_unet_benchmarks.decodings import WAYS, Way
from napari_unet_benchmarks.report import in_turn
from napari_unet_benchmarks.results import write_result
from napari_unet_benchmarks.same_training import Schedule, fresh, learn, predicted, prepared
from napari_unet_benchmarks.shipped import recipe_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_unet.nets.unet import UNet
    from recipe import Split

    Labelled = tuple[NDArray[Any], NDArray[Any]]

IOUS = ("0.50", "0.60", "0.70", "0.75", "0.80", "0.90")
CHOSEN_BY = ("0.50", "0.70", "0.80")
OBJECTS, FIELD = 5, 128
CORRECTED_IMAGES, OTHER_IMAGES = 4, 12
CORRECTING = Schedule(steps=40, rate=3e-4, warmup=5, falling=False, batch=4, frozen=True)
ROUNDS = 5
DRAWS = 1000


def labelled(data: Path, split: Split, most: int | None) -> list[Labelled]:
    """Return the fluorescence images of a split, axes (Y, X), and their labels."""
    pairs = [pair for pair in recipe_of("nuclei").pairs(data, split) if pair.kind == "fluorescence"][:most]
    return [(np.asarray(read_image(pair.image).data), read_labels(pair.labels).astype(np.int32)) for pair in pairs]


def network(name: str, arguments: argparse.Namespace) -> tuple[UNet, float]:
    """Return a trained network, as it was kept or trained now, and how long that took, in seconds of a core."""
    way = WAYS[name]
    kept = arguments.keep / f"{name}-{arguments.steps}-{arguments.seed}.safetensors" if arguments.keep else None
    net = fresh(way, arguments.seed)
    if kept is not None and kept.exists():
        state = load_file(kept)
        seconds = float(state.pop("core_seconds"))
        net.load_state_dict(state)
        return net.eval().requires_grad_(False), seconds
    print(f"{name}:", flush=True)
    samples = [prepared(way, *pair) for pair in labelled(arguments.data, "train", arguments.images)]
    begin = time.process_time()
    net = learn(way, net, samples, Schedule(arguments.steps, seed=arguments.seed))
    seconds = time.process_time() - begin
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_file(net.state_dict() | {"core_seconds": torch.tensor(seconds)}, kept)
    return net, seconds


def chosen(way: Way, net: UNet, pairs: Sequence[Labelled]) -> dict[str, Any]:
    """Return the decoding that is best on some images."""
    truths, maps = [truth for _, truth in pairs], [predicted(way, net, image) for image, _ in pairs]
    best: tuple[float, dict[str, Any]] = (-1.0, {})
    for values in itertools.product(*way.grid.values()):
        choice = dict(zip(way.grid, values, strict=True))
        ap = evaluate(truths, [way.decode(m, choice) for m in maps]).to_dict()["ap"]
        best = max(best, (float(np.mean([ap[iou] for iou in CHOSEN_BY])), choice), key=lambda found: found[0])
    return best[1]


def counts(truths: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Return the matches at each IoU, and the objects, true and found, of each image; axes (image, IoU + 1)."""
    rows = []
    for truth, labels in zip(truths, found, strict=True):
        scores = evaluate(truth, labels).to_dict()
        objects, ap = scores["n_truth"] + scores["n_pred"], np.array([scores["ap"][iou] for iou in IOUS])
        rows.append([*(ap * objects / (1 + ap)), objects])
    return np.array(rows)


def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> dict[str, list[float]]:
    """Return how far the AP of one is above that of the other at each IoU, with what 95 of 100 draws of images give."""

    def ap(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        total = rows.sum(-2)
        return np.asarray(total[..., :-1] / (total[..., -1:] - total[..., :-1]))

    drawn = np.random.default_rng(0).integers(len(one), size=(DRAWS, len(one)))
    low, high = np.percentile(ap(one[drawn]) - ap(other[drawn]), [2.5, 97.5], axis=0)
    rows = zip(IOUS, ap(one) - ap(other), low, high, strict=True)
    return {iou: [round(float(value), 4) for value in row] for iou, *row in rows}


def known_share(way: Way, pairs: Sequence[Labelled], field: bool) -> float:
    """Return how much of what separates objects follows from corrections, or from a reviewed field."""
    rng, known, supervised_pixels = np.random.default_rng(0), 0.0, 0
    separating = [index for index, output in enumerate(way.outputs) if output != "foreground"]
    for _, truth in pairs:
        ids = np.unique(truth[truth > 0])
        if len(ids) < OBJECTS:
            continue
        if field:
            y, x = (int(rng.integers(n - FIELD + 1)) for n in truth.shape)
            mask = np.zeros(truth.shape, bool)
            mask[y : y + FIELD, x : x + FIELD] = True
        else:
            mask = ndimage.binary_dilation(np.isin(truth, rng.choice(ids, OBJECTS, replace=False)), iterations=RING)
        known += float(way.known(truth, mask)[separating][:, mask].mean(0).sum())
        supervised_pixels += int(mask.sum())
    return round(known / supervised_pixels, 4)


def ap_of(truths: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> dict[str, float]:
    """Return AP at two IoUs."""
    ap = evaluate(list(truths), list(found)).to_dict()["ap"]
    return {iou: round(ap[iou], 4) for iou in ("0.50", "0.75")}


def without(labels: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Return labels without the objects of which more than half lies in a mask."""
    inside, sizes = np.bincount(labels[mask], minlength=labels.max() + 1), np.bincount(labels.ravel())
    gone = np.flatnonzero(inside > sizes / 2)
    return np.where(np.isin(labels, gone), 0, labels)


def worst(truth: NDArray[Any], found: Sequence[NDArray[Any]]) -> list[int]:
    """Return the objects that all results together have found worst."""
    matches = [best_matches(truth, labels) for labels in found]
    mean = {number: float(np.mean([match[number][0] for match in matches])) for number in matches[0]}
    return sorted(mean, key=lambda number: mean[number])[:OBJECTS]


def corrections(
    nets: Mapping[str, UNet], choices: Mapping[str, dict[str, Any]], val: list[Labelled], steps: int
) -> dict[str, Any]:
    """Return what learning from five corrected objects of an image does, for each way and image."""
    crowded = sorted(range(len(val)), key=lambda i: -len(np.unique(val[i][1])))[:CORRECTED_IMAGES]
    others = [pair for i, pair in enumerate(val) if i not in crowded]
    others = others[:: max(1, len(others) // OTHER_IMAGES)][:OTHER_IMAGES]
    schedule = Schedule(**(vars(CORRECTING) | {"steps": steps}))

    def segmented(name: str, net: UNet, pairs: list[Labelled]) -> list[NDArray[Any]]:
        return [WAYS[name].decode(predicted(WAYS[name], net, image), choices[name]) for image, _ in pairs]

    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in nets}
    known = {name: ap_of([t for _, t in others], segmented(name, net, others)) for name, net in nets.items()}
    for index in crowded:
        image, truth = val[index]
        before = {name: segmented(name, net, [(image, truth)])[0] for name, net in nets.items()}
        mask = np.isin(truth, worst(truth, list(before.values())))
        supervised, rest = ndimage.binary_dilation(mask, iterations=RING), without(truth, mask)
        for name, net in nets.items():
            better = learn(WAYS[name], net, [prepared(WAYS[name], image, truth, supervised)], schedule)
            after = segmented(name, better, [(image, truth)])[0]
            rows[name].append({
                "objects": len(np.unique(truth)) - 1,
                "before": ap_of([rest], [without(before[name], mask)]),
                "after": ap_of([rest], [without(after, mask)]),
                "others before": known[name],
                "others after": ap_of([t for _, t in others], segmented(name, better, others)),
            })  # fmt: skip
            print(f"{name}: {rows[name][-1]}", flush=True)
    parts = ("before", "after", "others before", "others after")
    means = {
        name: {part: {iou: round(float(np.mean([row[part][iou] for row in found])), 4) for iou in ("0.50", "0.75")}
               for part in parts}
        for name, found in rows.items()
    }  # fmt: skip
    return {"steps": steps, "rate": schedule.rate, "means": means, "images": rows}


def compared(nets: dict[str, UNet], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all figures of some trained networks."""
    choose, val = (labelled(arguments.data, split, arguments.images) for split in ("choose", "val"))
    choices = {name: chosen(WAYS[name], net, choose) for name, net in nets.items()}
    maps = {name: [predicted(WAYS[name], net, image) for image, _ in val] for name, net in nets.items()}
    truths = [truth for _, truth in val]
    found = {name: [WAYS[name].decode(m, choices[name]) for m in maps[name]] for name in nets}
    tables = {name: counts(truths, labels) for name, labels in found.items()}
    small = [i for i, truth in enumerate(truths) if truth.shape == (256, 256)]

    def decoding(name: str) -> None:
        for index in small:
            WAYS[name].decode(maps[name][index], choices[name])

    seconds = in_turn({name: partial(decoding, name) for name in nets}, ROUNDS)
    rows = {}
    for name in nets:
        scores = evaluate(truths, found[name]).to_dict()
        rows[name] = {
            "outputs": WAYS[name].outputs, "decoding": choices[name],
            "ap": {iou: round(scores["ap"][iou], 4) for iou in IOUS}, "pq": round(scores["pq"], 4),
            "above distance": difference(tables[name], tables["distance"]) if "distance" in tables else None,
            "decoding, ms": round(1000 * float(np.median(seconds[name])) / max(1, len(small)), 1),
            "known of corrected objects": known_share(WAYS[name], val, field=False),
            "known of a reviewed field": known_share(WAYS[name], val, field=True),
        }  # fmt: skip
    return {"images": len(val), "objects": sum(len(np.unique(t)) - 1 for t in truths), "rows": rows,
            "corrections": corrections(nets, choices, val, arguments.correcting_steps)}  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--correcting-steps", type=int, default=CORRECTING.steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--train", action="store_true", help="train and keep, compare later")
    parser.add_argument("--keep", type=Path, help="folder for the trained networks")
    parser.add_argument("--images", type=int, help="most images of each split, to try it out; no result is written")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    trained = {name: network(name, arguments) for name in arguments.only}
    if arguments.train:
        return
    figures = compared({name: net for name, (net, _) in trained.items()}, arguments)
    for name, (_, seconds) in trained.items():
        figures["rows"][name]["training, core seconds"] = round(seconds)
    print("\n  IoU        " + "  ".join(f"{iou:>6}" for iou in IOUS) + "      PQ      ms")
    for name, row in figures["rows"].items():
        aps = "  ".join(f"{row['ap'][iou]:6.3f}" for iou in IOUS)
        print(f"  {name:<10} {aps}  {row['pq']:6.3f}  {row['decoding, ms']:6.1f}")
    if arguments.images is None and set(trained) == set(WAYS):
        figures |= {"steps": arguments.steps, "seed": arguments.seed, "load_average": round(os.getloadavg()[1], 1)}
        write_result("decoding", figures)


if __name__ == "__main__":
    main()
