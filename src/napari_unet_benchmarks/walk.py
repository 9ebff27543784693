"""How soon the walk comes to what is wrong.

    napari-unet benchmark walk --data DATA [--fit]

DATA: see `recipes/README.md`. A model segments images, and the walk is through each of them by itself. An error is what
`object_errors` says, by the true labels (pieces that lie apart are objects of their own; those of fewer than 20 pixels
are left out). A stop finds an error if its object is part of it; where something may be missing, if its place lies in
the true object that is missed. Reported are, for each kind of image and each order of stops:

- the share of all errors found by walks as long as the number of errors of their image, and by walks twice as long,
  with 95 % intervals (bootstrap over images)
- the share found by the walk as the window ends it, at the last suspect, and how long that is

Orders: `walk`, the program's; `without maps`, as after opening a project; `uncertainty`, the mean uncertainty of the
network in each object; and `random`, the mean of 20 draws.

The kinds that the order was chosen on are given beside those that nothing was chosen on (docs/decisions/0023). `--fit`
fits the weights to the first, prints them, and scores each of these kinds by weights fitted to the others.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch
from scipy.optimize import minimize
from scipy.special import expit

from napari_unet import load_model, segment
from napari_unet.guidance.features import FEATURES, OF_SHAPE, object_features
from napari_unet.guidance.policy import POLICY, WalkPolicy
from napari_unet.guidance.suspects import Suspects, find_suspects
from napari_unet.objects.maps import Maps
from napari_unet_benchmarks.annotator_model import Kind
from napari_unet_benchmarks.object_errors import ObjectError, object_errors, true_pieces
from napari_unet_benchmarks.results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_unet.models.model import Model

CHOSEN_ON = {
    "nuclei, BBBC039": ("nuclei", ("nuclei_bbbc039/train", "nuclei_bbbc039/val")),
    "nuclei, cytospins": ("nuclei", ("nuclei_cytospin_bsst265/train",)),
    "nuclei, CODEX": ("nuclei", ("tissue_codex_expert/train",)),
    "cells, phase contrast": ("cells_phase", ("cells_phase_t98g",)),
}
REPORTED_ON = {
    "nuclei, tissue": ("nuclei", ("nuclei_tissue_bsst265/train", "nuclei_tissue_bsst265/val")),
    "nuclei, BBBC038": ("nuclei", ("nuclei_dsb2018/val",)),
    "nuclei, histology": ("nuclei", ("histology_tnbc/train", "histology_tnbc/val")),
    "nuclei, embryo slices": ("nuclei", ("embryo3d_bbbc050",)),
}
DRAWS, RESAMPLED = 20, 1000
LENGTHS = (1, 2)
"""Lengths of walks, as multiples of the number of errors."""

Visit = tuple[int, int, int]
"""A stop: the id of an object and a pixel (y, x) of it; id 0 where something may be missing."""


@dataclass(frozen=True, eq=False)
class Shown:
    """An image: the truth and the prediction, axes (Y, X), and the maps (K, Y, X)."""

    truth: NDArray[np.int32]
    labels: NDArray[np.int32]
    maps: Maps

    @cached_property
    def errors(self) -> list[ObjectError]:
        """What is wrong."""
        return object_errors(self.truth, self.labels)

    def found_at(self, order: Suspects | Sequence[Visit]) -> NDArray[np.float64]:
        """Return at which stop (from 1) of a walk each error is found, infinity where at none."""
        visits = visits_of(order) if isinstance(order, Suspects) else order
        by_id: dict[int, int] = {}
        by_true: dict[int, int] = {}
        for number, (one, y, x) in enumerate(visits, start=1):
            if one:
                by_id.setdefault(one, number)
            else:
                by_true.setdefault(int(self.truth[y, x]), number)
        when = []
        for error in self.errors:
            seen = [by_id.get(one, np.inf) for one in error.predicted]
            if error.kind is Kind.MISSED:
                seen += [by_true.get(one, np.inf) for one in error.true]
            when.append(min(seen, default=np.inf))
        return np.array(when, float)


def visits_of(found: Suspects) -> list[Visit]:
    """Return the stops of a walk in their order."""
    return [(int(one), int(y), int(x)) for one, (y, x) in zip(found.ids, found.places, strict=True)]


def segmented(model: Model, folder: Path) -> Iterator[Shown]:
    """Segment the images of a folder; of volumes, three slices as images of their own."""
    for path in sorted((folder / "images").glob("*.tif")):
        image, truth = tifffile.imread(path), tifffile.imread(folder / "labels" / path.name)
        volume = truth.ndim == 3
        for z in np.linspace(0, len(truth) - 1, 5)[1:-1].astype(int) if volume else [0]:
            plane, true = (image[z], truth[z]) if volume else (image, truth)
            result = segment(plane, model, axes="YXC" if plane.ndim == 3 else "YX", device="cpu", keep_maps=True)
            assert result.maps is not None
            values = result.maps.reshape(-1, *true.shape).astype(np.float16)
            maps = Maps(values.astype(np.float32), model.info.outputs, result.task.zoom)
            yield Shown(true_pieces(true), result.labels.reshape(true.shape).astype(np.int32), maps)


def orders(image: Shown, seed: int) -> dict[str, list[Any]]:
    """Return the orders of the stops in an image, those that are drawn at random several times."""
    walk = find_suspects(image.labels, image.maps)
    unsure = object_features(image.labels, image.maps)
    by_uncertainty = np.argsort(-unsure.values[:, FEATURES.index("uncertainty")], kind="stable")
    rng = np.random.default_rng(seed)
    stops = [(int(i), 0, 0) for i in unsure.ids]
    return {
        "walk": [walk],
        "without maps": [find_suspects(image.labels)],
        "uncertainty": [[stops[n] for n in by_uncertainty]],
        "random": [[stops[n] for n in rng.permutation(len(stops))] for _ in range(DRAWS)],
    }


def marks(images: Sequence[Shown]) -> dict[str, Any]:
    """Return what walks through some images find."""
    figures: dict[str, Any] = {}
    every = [orders(image, seed) for seed, image in enumerate(images)]
    numbers = np.array([len(image.errors) for image in images])
    for name in every[0]:
        when = [[image.found_at(order) for order in here[name]] for image, here in zip(images, every, strict=True)]
        row: dict[str, Any] = {}
        for times in LENGTHS:
            found = np.array(
                [np.mean([(w <= times * len(w)).sum() for w in draws]) if len(draws[0]) else 0 for draws in when]
            )
            row[f"{times} x errors"] = share(found, numbers)
        figures[name] = row
    walks = [here["walk"][0] for here in every]
    ends = [walk.likely() for walk in walks]
    found = np.array([(i.found_at(walk) <= end).sum() for i, walk, end in zip(images, walks, ends, strict=True)])
    figures["walk"]["to the last suspect"] = share(found, numbers) | {"stops": int(sum(ends))}
    firsts = [image.found_at(walk) for image, walk in zip(images, walks, strict=True)]
    kinds, first = Counter(e.kind.value for i in images for e in i.errors), Counter[str]()
    for image, at in zip(images, firsts, strict=True):
        first.update(e.kind.value for e, n in zip(image.errors, at, strict=True) if n <= len(image.errors))
    figures["walk"]["1 x errors, by kind"] = {kind: [first[kind], kinds[kind]] for kind in sorted(kinds)}
    return figures


def share(found: NDArray[Any], numbers: NDArray[Any]) -> dict[str, Any]:
    """Return the share of errors found, pooled over images, and its 95 % interval."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(found), size=(RESAMPLED, len(found)))
    shares = found[draws].sum(axis=1) / np.maximum(numbers[draws].sum(axis=1), 1)
    low, high = np.percentile(shares, [2.5, 97.5])
    return {
        "share": round(float(found.sum() / numbers.sum()), 3),
        "from": round(float(low), 3),
        "to": round(float(high), 3),
    }


# -- fitting ---------------------------------------------------------------------------------------------------------


def measured(images: Sequence[Shown]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the features of all objects, and which of these are part of an error."""
    values, wrong = [], []
    for image in images:
        features = object_features(image.labels, image.maps)
        values.append(features.values)
        wrong.append(np.isin(features.ids, [i for error in image.errors for i in error.predicted]))
    return np.concatenate(values), np.concatenate(wrong)


def fitted(kinds: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]], names: Sequence[str]) -> dict[str, float]:
    """Return the weights of a logistic regression, none below 0, in which each kind counts alike."""
    columns = [FEATURES.index(name) for name in names]
    x = np.concatenate([values[:, columns] for values, _ in kinds])
    y = np.concatenate([wrong for _, wrong in kinds]).astype(float)
    each = np.concatenate([np.full(len(wrong), 1 / len(wrong) / len(kinds)) for _, wrong in kinds])
    spread = x.std(axis=0) + 1e-9

    def loss(p: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = p[0] + x / spread @ p[1:]
        off = each * (expit(z) - y)
        value = (each * (np.logaddexp(0, z) - y * z)).sum() + 1e-3 * (p[1:] ** 2).sum()
        return float(value), np.concatenate([[off.sum()], (x / spread).T @ off + 2e-3 * p[1:]])

    bounds = [(None, None)] + [(0, None)] * len(columns)
    best = minimize(loss, np.zeros(len(columns) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = {"": best[0]} | dict(zip(names, best[1:] / spread, strict=True))
    return {name: round(float(value), 2) for name, value in weights.items()}


def fit(kinds: dict[str, list[Shown]]) -> None:
    """Print the weights, and what walks find in each kind by weights that were fitted to the others."""
    tables = {name: measured(images) for name, images in kinds.items()}
    for names in (FEATURES, OF_SHAPE):
        print(fitted(list(tables.values()), names))
    for name, images in kinds.items():
        others = [table for other, table in tables.items() if other != name]
        policy = WalkPolicy(with_maps=fitted(others, FEATURES), without_maps=POLICY.without_maps)
        found: dict[int, float] = dict.fromkeys(LENGTHS, 0)
        for image in images:
            when = image.found_at(find_suspects(image.labels, image.maps, policy=policy))
            for times in LENGTHS:
                found[times] += float((when <= times * len(when)).sum())
        total = sum(len(image.errors) for image in images)
        print(f"{name}, by the other kinds:", {times: round(n / total, 3) for times, n in found.items()})


def _report(images: dict[str, list[Shown]], say: Callable[[str], None]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, shown in images.items():
        objects, errors = sum(len(np.unique(i.labels)) - 1 for i in shown), sum(len(i.errors) for i in shown)
        figures[name] = {"images": len(shown), "objects": objects, "errors": errors, "orders": marks(shown)}
        say(f"\n{name}: {len(shown)} images, {objects} objects, {errors} errors")
        for order, row in figures[name]["orders"].items():
            say(f"  {order:<13} {row}")
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fit", action="store_true", help="fit the weights instead, to the kinds for choosing")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)

    def read(sets: dict[str, tuple[str, tuple[str, ...]]]) -> dict[str, list[Shown]]:
        return {
            name: [shown for folder in folders for shown in segmented(load_model(model), arguments.data / folder)]
            for name, (model, folders) in sets.items()
        }

    if arguments.fit:
        fit(read(CHOSEN_ON))
        return
    say = lambda text: print(text, flush=True)  # noqa: E731
    figures = {"chosen on": _report(read(CHOSEN_ON), say), "reported on": _report(read(REPORTED_ON), say)}
    write_result("walk", {"least probability of a suspect": POLICY.min_probability, "sets": figures})


if __name__ == "__main__":
    main()
