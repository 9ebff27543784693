"""The U-Net of 2015 trained as its paper says, beside the modern variant and a classical pipeline.

    napari-unet benchmark unet2015 --data DATA [--minutes 600] [--features 64] [--keep RUNS]

DATA holds `em_membranes_isbi2012`: 24 annotated slices of the ISBI 2012 challenge (Drosophila nerve cord, electron
microscopy), images/NN.tif and labels/NN.tif, 1 inside a cell and 0 membrane. They are for non-commercial use, so
neither they nor weights trained on them are shipped. The last 6 slices are only scored: neighbours look alike.

- `2015` (Ronneberger, Fischer and Brox): valid convolutions, ReLU, dropout, no batch norm; batches of one tile of
  572 x 572, momentum 0.99, cross-entropy with border weights (w0 = 10, sigma = 5), elastic deformation (3 x 3 points,
  10 pixels). The paper names no rate; here it falls from 0.002.
- `modern`: same padding, batch norm, AdamW, cross-entropy and Dice: what `napari-unet train --new unet2d` does.
- `classical`: Gaussian smoothing and a threshold.

Both networks are given the same time and the same width (the paper's is 64; a CPU needs a narrower one). Their maps are
means over mirror images of each slice, as the paper's are over rotations. Scores are the challenge's: V_Rand and V_Info
of membranes thinned to a line, and the F1 of membrane pixels. Cells are told apart by a threshold, as in the challenge,
and by how far their middles stand out (`objects.basins`), which closes gaps in membranes. Thresholds, prominences and
the width of the smoothing are chosen on training slices. With --keep, networks are kept in that folder, and one that is
there is scored and not trained again.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch
from scipy import ndimage
from skimage.filters import gaussian
from skimage.segmentation import watershed

from napari_unet import evaluate, segment
from napari_unet.axes import Image
from napari_unet.learning.dense import train_steps, training_config
from napari_unet.learning.new_model import model_for_labels, untrained_model
from napari_unet.models.checkpoint import load_model_file, save_model_file
from napari_unet.models.info import DataSource
from napari_unet.models.model import Model
from napari_unet.models.normalize import Normalization, measure, normalize
from napari_unet.objects.basins import prominent_basins
from napari_unet.progress import drive
from napari_unet.training.config import Augmentation, StepReport, TrainingConfig
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.evaluation.metrics import Scores
    from napari_unet.learning.new_model import Kind

HELD_OUT = 6
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
PROMINENCES = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
SIGMAS = (1.0, 2.0, 3.0, 4.0)
KINDS: dict[str, Kind] = {"2015": "unet2015", "modern": "unet2d"}
DATA = DataSource(name="ISBI 2012 EM membranes", licence="non-commercial use and testing")
GREY_VALUES = {"contrast": 0.2, "brightness": 0.1, "gamma": 1.3, "noise": 0.0, "blur": 0.0}
PAPER = {
    "batch_size": 1, "patch": (572, 572), "optimizer": "sgd", "momentum": 0.99, "learning_rate": 2e-3,
    "weight_decay": 0.0, "border": 10.0, "dice": 0.0,
    "augmentation": Augmentation(scale=1.0, elastic=10.0, elastic_points=3, **GREY_VALUES),
}  # fmt: skip


def slices(data: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and labels in the order of the stack."""
    paths = sorted((data / "em_membranes_isbi2012" / "images").glob("*.tif"))
    return [tifffile.imread(p) for p in paths], [tifffile.imread(p.parents[1] / "labels" / p.name) for p in paths]


def thinned(inside: np.ndarray) -> np.ndarray:
    """Membranes (False) as lines of one pixel: the pieces between them grow until they meet."""
    pieces = ndimage.label(inside)[0]
    if not pieces.any():
        return inside
    lines = watershed(ndimage.distance_transform_edt(~inside), pieces, watershed_line=True)
    return np.asarray(lines > 0)


def parted(inside: np.ndarray, prominence: float) -> np.ndarray:
    """Cells in a map of what is inside one, told apart by middles that stand out; membranes (False) as lines."""
    heights = ndimage.gaussian_filter(inside.astype(np.float32), 1.0)
    cells = prominent_basins(heights, np.ones(inside.shape, bool), prominence)
    below, beside = np.diff(cells, axis=0, append=cells[-1:]), np.diff(cells, axis=1, append=cells[:, -1:])
    return np.asarray((below == 0) & (beside == 0))


WAYS: dict[str, tuple[Callable[[np.ndarray, float], np.ndarray], tuple[float, ...]]] = {
    "threshold": (lambda inside, threshold: thinned(inside > threshold), THRESHOLDS),
    "prominence": (parted, PROMINENCES),
}
"""How cells are told apart, and the values that are tried."""


def best(truths: list[np.ndarray], maps: list[np.ndarray], way: str = "threshold") -> tuple[float, Scores]:
    """Value for maps of what is inside a cell with the largest V_Rand, and the scores with it."""
    cells, values = WAYS[way]
    found = {v: evaluate(truths, [cells(m, v).astype(np.uint8) for m in maps], "membranes") for v in values}
    value = max(values, key=lambda v: found[v].v_rand or 0.0)
    return value, found[value]


def judged(chosen: dict[str, float], truths: list[np.ndarray], maps: list[np.ndarray]) -> dict[str, float]:
    """Scores of maps with what was chosen for each way, regions after thinning and pixels before.

    And with the threshold that suits them best, which is how the challenge counts.
    """
    found: dict[str, float | None] = {}
    for way, value in chosen.items():
        regions = evaluate(truths, [WAYS[way][0](m, value).astype(np.uint8) for m in maps], "membranes")
        found |= {f"v_rand by {way}": regions.v_rand, f"v_info by {way}": regions.v_info}
    pixels = evaluate(truths, [(m > chosen["threshold"]).astype(np.uint8) for m in maps], "membranes")
    found |= {"pixel_f1": pixels.pixel_f1, "v_rand_best_threshold": best(truths, maps)[1].v_rand}
    return chosen | {name: round(float(value or 0.0), 4) for name, value in found.items()}


def smoothed(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the classical pipeline's map: grey values 0..1, smoothed; membranes are dark."""
    plain = Normalization()
    return np.asarray(gaussian(np.clip(normalize(image[None], measure(image[None], plain), plain)[0], 0, 1), sigma))


def classical(images: list[np.ndarray], labels: list[np.ndarray], some: slice, held_out: slice) -> dict[str, float]:
    """Scores of smoothing and a threshold, both chosen on some of the slices."""
    seen = {sigma: [smoothed(image, sigma) for image in images[some]] for sigma in SIGMAS}
    by_threshold = {sigma: best(labels[some], maps) for sigma, maps in seen.items()}
    sigma = max(SIGMAS, key=lambda s: by_threshold[s][1].v_rand or 0.0)
    chosen = {"threshold": by_threshold[sigma][0], "prominence": best(labels[some], seen[sigma], "prominence")[0]}
    maps = [smoothed(image, sigma) for image in images[held_out]]
    return judged(chosen, labels[held_out], maps) | {"sigma": sigma}


def fresh(name: str, images: list[Image], labels: list[np.ndarray], features: int, seed: int) -> Model:
    """Return an untrained network of that kind and width."""
    info = model_for_labels(KINDS[name], "semantic", images[:1], labels[:1], seed).info
    spec = info.spec.model_copy(update={"features": features})
    return untrained_model(info.model_copy(update={"spec": spec, "classes": ("membrane", "inside")}), seed)


def trained(name: str, images: list[Image], labels: list[np.ndarray], arguments: argparse.Namespace) -> Model:
    """Return a network of that kind, trained for the time, or as it was kept."""
    kept = arguments.keep / f"{name}-{arguments.features}-{arguments.seed}.safetensors" if arguments.keep else None
    if kept is not None and kept.exists():
        print(f"{name}: {kept} is there")
        return load_model_file(kept)
    model = fresh(name, images, labels, arguments.features, arguments.seed)
    config = training_config(
        model, scratch=True, steps=arguments.steps, max_seconds=60 * arguments.minutes, seed=arguments.seed
    )
    if name == "2015":
        config = TrainingConfig(**(config.model_dump(exclude={"augmentation"}) | PAPER))
    losses: list[float] = []
    begin = time.process_time()
    said = 0.0

    def note(report: StepReport) -> None:
        nonlocal said
        losses.append(report.loss)
        if report.seconds - said >= 30 or report.note:
            said = report.seconds
            recent = float(np.mean(losses[-20:]))
            print(
                f"{name}: {report.seconds / 60:.1f} min, step {report.step}, loss {recent:.4f} {report.note}",
                flush=True,
            )

    run = train_steps(
        model, images, labels, config, device=arguments.device, data=DATA.model_copy(update={"images": len(images)})
    )
    model = drive(run, note)
    recipe = model.info.recipe | {
        "minutes": arguments.minutes,
        "cpu_minutes": round((time.process_time() - begin) / 60, 2),
        "pixels_a_step": config.batch_size * math.prod(config.patch),
        "last_loss": round(float(np.mean(losses[-20:])), 4),
    }
    model = Model(model.net, model.info.model_copy(update={"name": name, "recipe": recipe}))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_model_file(model, kept)
    return model


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=600.0, help="of training, for each network")
    parser.add_argument("--steps", type=int, help="most steps, for each network")
    parser.add_argument("--features", type=int, default=64, help="channels of the first level")
    parser.add_argument("--networks", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="folder for the trained networks")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    images, labels = slices(arguments.data)
    learned, held_out = slice(None, -HELD_OUT), slice(-HELD_OUT, None)
    some = slice(0, len(images) - HELD_OUT, 3)  # of the training slices, to choose thresholds on
    rows: dict[str, dict[str, Any]] = {}
    for name in arguments.networks:
        pictures = [Image(image, "YX", name=f"{i:02d}") for i, image in enumerate(images[learned])]
        model = trained(name, pictures, labels[learned], arguments)
        begin = time.monotonic()
        results = [
            segment(image, model, axes="YX", device=arguments.device, keep_maps=True, flips=True)
            for image in images[some] + images[held_out]
        ]
        seconds = (time.monotonic() - begin) / len(results)
        maps = [result.maps[1, 0, 0] for result in results if result.maps is not None]
        chosen = {way: best(labels[some], maps[:-HELD_OUT], way)[0] for way in WAYS}
        rows[name] = judged(chosen, labels[held_out], maps[-HELD_OUT:]) | {
            "parameters": sum(p.numel() for p in model.net.parameters()),
            "recipe": model.info.recipe,
            "seconds_per_slice": round(seconds, 2),
        }
        print(f"{name}: {rows[name]}", flush=True)
    rows["classical"] = classical(images, labels, some, held_out)
    told = [f"{score} by {way}" for way in WAYS for score in ("v_rand", "v_info")]
    told += ["pixel_f1", "v_rand_best_threshold"]
    print(f"\n{HELD_OUT} slices held out: {', '.join(told)}")
    for name, row in rows.items():
        print(f"  {name:<17}", *(f"{row[score]:8.4f}" for score in told))
    split = {"training_slices": len(images) - HELD_OUT, "held_out_slices": HELD_OUT, "features": arguments.features}
    write_result("unet2015", split | {"seed": arguments.seed, "rows": rows})


if __name__ == "__main__":
    main()
