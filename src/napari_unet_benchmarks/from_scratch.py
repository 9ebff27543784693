"""How good a model made from scratch is after its first minute, by how much was painted on one image.

    napari-unet benchmark from_scratch --data DATA [--seconds 60] [--steps N] [--seeds 3] [--only fluorescence ...]

For objects, some true objects of one image are painted whole, drawn at random from those that are not cut off or tiny;
for classes, straight strokes of the true classes over a share of the pixels. Scored (AP at IoU 0.5; or mean Dice of the
classes) are the rest of that image (without painted objects, or without painted pixels) and other images. `trivial` is
the Dice of calling everything the commonest class. One thread, on the CPU. `--steps` instead of seconds makes the
figures the same on a machine that is busy with something else.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch

from napari_unet import evaluate, segment
from napari_unet.axes import Image
from napari_unet.corrections.corrections import Corrections
from napari_unet.learning.annotations import annotated_crops
from napari_unet.learning.interactive import learning_steps
from napari_unet.learning.new_model import model_for_image
from napari_unet.progress import drive
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from napari_unet.models.model import Model


@dataclass(frozen=True)
class Case:
    """Images of one kind: the first is painted on, the others are scored; classes where there are such."""

    folder: str
    pattern: str
    classes: tuple[str, ...] = ()
    others: int = 4
    least_objects: int = 20


CASES = {
    "fluorescence": Case("nuclei_dsb2018/val", "fluorescence*"),
    "U2OS": Case("nuclei_bbbc039/val", "*"),
    "histology": Case("nuclei_dsb2018/val", "histology*"),
    "phase contrast": Case("cells_phase_t98g", "*", others=2),
    "membranes": Case("em_membranes_isbi2012", "*", ("membrane", "inside")),
    "axons": Case("axons_sem", "*", ("background", "axon", "myelin"), others=2),
}
OBJECTS = (3, 5, 10)
SHARES = (0.002, 0.01)


def read(case: Case, data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images (Y, X[, 3]) and labels (Y, X); classes are numbered from 1."""
    found = []
    for path in sorted((data / case.folder / "images").glob(case.pattern)):
        truth = tifffile.imread(path.parents[1] / "labels" / path.name).astype(np.int32)
        if case.classes:
            truth += 1
        elif len(np.unique(truth)) <= case.least_objects:
            continue
        found.append((tifffile.imread(path), truth))
        if len(found) > case.others:
            break
    return found


def paint_objects(truth: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Labels with `n` of the true objects: whole ones of a fair size."""
    sizes = np.bincount(truth.ravel())
    border = np.concatenate([truth[0], truth[-1], truth[:, 0], truth[:, -1]])
    ids = np.setdiff1d(truth, [0, *border])
    ids = ids[sizes[ids] > 0.4 * np.median(sizes[ids])]
    return np.where(np.isin(truth, rng.choice(ids, n, replace=False)), truth, 0)


def paint_strokes(truth: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Labels with strokes of 3 by about 30 pixels, equally many pixels of each class, over a share of the image."""
    painted = np.zeros_like(truth)
    n_classes = truth.max()
    rows, columns = np.indices(truth.shape)
    for label in range(1, n_classes + 1):
        while (painted == label).sum() < share * truth.size / n_classes:
            y, x = (int(v) for v in rng.choice(np.argwhere(truth == label)))
            angle = rng.uniform(0, np.pi)
            along = (rows - y) * np.sin(angle) + (columns - x) * np.cos(angle)
            across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
            stroke = (abs(along) <= 15) & (abs(across) <= 1.5)
            painted[stroke & (truth == label)] = label
    return painted


def learn(image: Image, painted: np.ndarray, case: Case, seed: int, limits: dict[str, Any]) -> Model:
    """Do what New model, painting and Learn do in the window."""
    model = model_for_image(image, "semantic" if case.classes else "instances", classes=case.classes, seed=seed)
    labels = painted[None, None]
    corrections = Corrections(labels.shape, instances=not case.classes)
    corrections.update(labels)
    crops = annotated_crops(image, labels, corrections, model)
    steps = learning_steps(model, crops, None, "cpu", settings={"seed": seed, **limits})
    return drive(steps, lambda _: None).model


def score(truths: list[np.ndarray], predicted: list[np.ndarray], case: Case) -> float:
    """AP at IoU 0.5, or the mean Dice of the classes, pooled."""
    if case.classes:
        return round(evaluate(truths, predicted, task="semantic").dice, 3)
    ap = evaluate(truths, predicted).ap
    assert ap is not None  # of instances
    return round(ap["0.50"], 3)


def without_painted(labels: np.ndarray, painted: np.ndarray, case: Case) -> np.ndarray:
    """Labels without the pixels (of classes) or the objects that are mostly painted."""
    if case.classes:
        return np.where(painted, 0, labels)
    share = np.bincount(labels.ravel(), weights=(painted > 0).ravel()) / np.maximum(1, np.bincount(labels.ravel()))
    return np.where(share[labels] > 0.5, 0, labels)


def measure(case: Case, data: Path, amount: float, seed: int, limits: dict[str, Any]) -> dict[str, Any]:
    """Paint, learn and score once."""
    (pixels, truth), *others = read(case, data)
    axes = "YXC" if pixels.ndim == 3 else "YX"
    rng = np.random.default_rng(seed)
    painted = paint_strokes(truth, amount, rng) if case.classes else paint_objects(truth, int(amount), rng)
    model = learn(Image(pixels, axes), painted, case, seed, limits)
    found = [
        segment(image, model, axes=axes, device="cpu").labels for image in (pixels, *(other[0] for other in others))
    ]
    rest, its_truth = without_painted(found[0], painted, case), without_painted(truth, painted, case)
    commonest = np.full_like(truth, np.bincount(truth.ravel()).argmax())
    return {
        "painted": amount,
        "seed": seed,
        "steps": model.info.recipe["steps"],
        "seconds": model.info.recipe["seconds"],
        "levels": model.info.spec.levels,
        "same image": score([its_truth], [rest], case),
        "others": score([other[1] for other in others], found[1:], case) if others else None,
        "trivial": score([truth], [commonest], case) if case.classes else None,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(CASES))
    parser.add_argument("--amounts", type=float, nargs="*")
    parser.add_argument("--dry", action="store_true", help="write no result")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    limits = {"max_seconds": None, "steps": arguments.steps} if arguments.steps else {"max_seconds": arguments.seconds}
    summary: dict[str, Any] = {}
    print(f"{'':<16}{'painted':>9}{'steps':>7}{'same image':>12}{'others':>9}{'trivial':>9}   (range over seeds)")
    for name in arguments.only:
        case = CASES[name]
        for amount in arguments.amounts or (SHARES if case.classes else OBJECTS):
            runs = [measure(case, arguments.data, amount, seed, limits) for seed in range(arguments.seeds)]
            mean = {k: _mean([run[k] for run in runs]) for k in ("steps", "same image", "others", "trivial")}
            spread = "-".join(f"{extreme(run['same image'] for run in runs):.2f}" for extreme in (min, max))
            summary.setdefault(name, []).append({"painted": amount, **mean, "runs": runs})
            cells = "".join(
                f"{'' if mean[k] is None else mean[k]:>{n}}"
                for k, n in (("same image", 12), ("others", 9), ("trivial", 9))
            )
            print(f"{name:<16}{amount:>9g}{mean['steps']:>7.0f}{cells}   {spread}", flush=True)
    if not arguments.dry:
        write_result("from_scratch", {"limits": limits, "threads": 1, "summary": summary})


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 3) if known else None


if __name__ == "__main__":
    main()
