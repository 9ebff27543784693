"""Score the shipped models on validation images, against a classical pipeline tuned on the training images.

    python benchmarks/models.py --data DATA

DATA: see `training/nuclei.py`. Both segment every validation image; the classical pipeline (Gaussian smoothing, Otsu's
threshold, watershed on the distance transform) has its parameters chosen on a third of the training images. Average
precision AP = TP / (TP + FP + FN) is pooled over the images of each kind. A table is printed, and the figures are
written, with machine, date and commit, to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import itertools
import time
import zlib
from pathlib import Path

import numpy as np
import tifffile
import torch
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.segmentation import watershed

from _results import write_result
from napari_unet import evaluate, load_model, segment

IOUS = ("0.50", "0.60", "0.70", "0.75", "0.80", "0.90")


def pairs(data: Path, split: str) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Images and labels by kind."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for folder, fixed in (("nuclei_dsb2018", None), ("nuclei_bbbc039", "bbbc039")):
        for path in sorted((data / folder / split / "images").glob("*.tif")):
            if split == "train" and zlib.crc32(path.stem.encode()) % 3:
                continue
            labels = tifffile.imread(path.parents[1] / "labels" / path.name)
            found.setdefault(fixed or path.name.split("_")[0], []).append((tifffile.imread(path), labels))
    return found


def classical(image: np.ndarray, sigma: float, distance: int) -> np.ndarray:
    """Smoothed Otsu threshold and distance-transform watershed; nuclei are the darker class in transmitted light."""
    grey = image.mean(-1) if image.ndim == 3 else image.astype(float)
    smooth = gaussian(grey, sigma)
    if smooth.max() == smooth.min():
        return np.zeros(smooth.shape, np.int32)
    mask = smooth > threshold_otsu(smooth)
    if np.median(smooth) > (smooth.min() + smooth.max()) / 2:
        mask = ~mask
    depth = ndimage.distance_transform_edt(mask)
    seeds = np.zeros(mask.shape, np.int32)
    peaks = peak_local_max(gaussian(depth, 1), min_distance=distance, labels=mask.astype(int))
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-depth, seeds, mask=mask))


def tuned(samples: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, int]:
    """Smoothing and least distance of seeds with the best AP at IoU 0.5 on training images."""
    truths = [labels for _, labels in samples]

    def score(choice: tuple[float, int]) -> float:
        return float(evaluate(truths, [classical(image, *choice) for image, _ in samples]).to_dict()["ap"]["0.50"])

    return max(itertools.product((1.0, 2.0, 3.0), (5, 8, 12, 18)), key=score)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = load_model(arguments.model)
    train, rows = pairs(arguments.data, "train"), {}
    for kind, samples in pairs(arguments.data, "val").items():
        truths = [labels for _, labels in samples]
        begin = time.monotonic()
        predicted = [segment(im, model, axes="YXC" if im.ndim == 3 else "YX", device="cpu").labels for im, _ in samples]
        seconds = (time.monotonic() - begin) / len(samples)
        choice = tuned(train[kind])
        begin = time.monotonic()
        baseline = [classical(image, *choice) for image, _ in samples]
        baseline_seconds = (time.monotonic() - begin) / len(samples)
        ours, theirs = evaluate(truths, predicted).to_dict(), evaluate(truths, baseline).to_dict()
        rows[kind] = {
            "images": len(samples),
            "objects": ours["n_truth"],
            model.name: {"ap": ours["ap"], "pq": ours["pq"], "seconds_per_image": round(seconds, 3)},
            "classical": {
                "ap": theirs["ap"],
                "pq": theirs["pq"],
                "seconds_per_image": round(baseline_seconds, 3),
                "sigma": choice[0],
                "min_distance": choice[1],
            },
        }
        print(f"\n{kind}: {len(samples)} images, {ours['n_truth']} objects")
        print("  IoU        " + "  ".join(f"{iou:>6}" for iou in IOUS) + "      PQ  s/image")
        for name in (model.name, "classical"):
            row = rows[kind][name]
            aps = "  ".join(f"{row['ap'][iou]:6.3f}" for iou in IOUS)
            print(f"  {name:<10} {aps}  {row['pq']:6.3f}  {row['seconds_per_image']:7.2f}")
    write_result("models", {"model": model.name, "sha256": model.sha256(), "kinds": rows})


if __name__ == "__main__":
    main()
